// subject: device nodes in the file system and chroot
// root
#include "t.h"
int main(void) {
    T(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
    st("null");
    struct stat s;
    stat("null", &s);
    printf("%u:%u\n", major(s.st_rdev), minor(s.st_rdev));
    T(mknod("fifo", S_IFIFO | 0600, 0));
    mkdir("root", 0755);
    mkdir("root/d", 0755);
    put("root/d/f", "inside");
    put("outside", "outside");
    symlink("/d/f", "root/abs");
    symlink("../../../../d/f", "root/d/up");
    CHILD("chroot", {
        int out = open(".", O_RDONLY);
        T(chroot("root"));
        show("outside");
        T(chdir("/"));
        show("/d/f");
        show("abs");
        show("d/up");
        show("/outside");
        show("../outside");
        char b[100];
        printf("%s\n", getcwd(b, sizeof b));
        chdir("d");
        printf("%s\n", getcwd(b, sizeof b));
        T(fchdir(out));
        show("outside");
        T(syscall(SYS_getcwd, b, sizeof b) > 0 ? 0 : -1);
        printf("%.13s\n", b);
        T(chroot("none"));
        T(chroot("outside"));
        setuid(1000);
        T(chroot("."));
    });
    show("root/d/f");
    char b[64];
    T(setxattr("outside", "user.r", "v", 1, 0) == 0 || errno == EOPNOTSUPP ? 0 : -1);
    (void)b;
    return 0;
}
