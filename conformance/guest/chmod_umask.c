// subject: chmod, fchmod, fchmodat, umask, sticky and set-id bits of an ordinary user
#include "t.h"
int main(void) {
    put("f", "x");
    for (int m = 0; m < 07777; m += 0421) {
        int r = chmod("f", m);
        struct stat s;
        stat("f", &s);
        printf("chmod %04o: %d %04o\n", m, r, s.st_mode & 07777);
    }
    chmod("f", 0644);
    T(chmod("f", 0177777));
    st("f");
    T(chmod("none", 0));
    T(chmod("f/", 0644));
    T(chmod("", 0644));
    int fd = MUST(open("f", O_RDONLY));
    T(fchmod(fd, 0600));
    st("f");
    T(fchmod(99, 0600));
    mkdir("d", 0755);
    T(chmod("d", 01777));
    st("d");
    T(chmod("d", 02755));
    st("d");
    mkdir("d/sub", 0755);
    st("d/sub");
    struct stat a, b;
    stat("d", &a);
    put("d/file", "");
    stat("d/file", &b);
    IS(a.st_gid == b.st_gid);
    printf("umask %o\n", umask(0));
    close(creat("u0", 0666));
    st("u0");
    printf("umask %o\n", umask(0777));
    close(creat("u7", 0666));
    st("u7");
    printf("umask %o\n", umask(01234567));
    printf("umask %o\n", umask(027));
    mkfifo("p", 0666);
    st("p");
    mkdir("ud", 0777);
    st("ud");
    CHILD("child", { printf("umask in child %o\n", umask(0)); });
    printf("umask after child %o\n", umask(022));
    chmod("f", 04711);
    int w = MUST(open("f", O_WRONLY));
    T(write(w, "y", 1));
    st("f");
    chmod("f", 06775);
    T(write(w, "y", 1));
    st("f");
    chmod("f", 06775);
    T(ftruncate(w, 0));
    st("f");
    chmod("f", 02644);
    T(write(w, "y", 1));
    st("f");
    return 0;
}
