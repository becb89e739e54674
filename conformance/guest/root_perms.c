// subject: root overrides permission bits, except execution of what nobody may execute
// root
#include "t.h"
int main(int argc, char **argv) {
    if (argc > 1) return 3;
    (void)argv;
    put("f", "x");
    chmod("f", 0);
    T(open("f", O_RDWR));
    T(access("f", R_OK | W_OK));
    T(access("f", X_OK));
    T(execl("f", "f", NULL));
    chmod("f", 0001);
    T(access("f", X_OK));
    mkdir("d", 0);
    T(chdir("d"));
    T(creat("new", 0644));
    T(chdir(".."));
    T(access("d", R_OK | W_OK | X_OK));
    chown("f", 1000, 1000);
    chmod("f", 0600);
    T(open("f", O_RDWR));
    T(chmod("f", 0644));
    T(utimensat(AT_FDCWD, "f", (struct timespec[2]){{1, 0}, {2, 0}}, 0));
    T(open("f", O_RDONLY | O_NOATIME));
    st("f");
    mkdir("sticky", 01777);
    chmod("sticky", 01777);
    put("sticky/f", "x");
    chown("sticky/f", 1000, 1000);
    chown("sticky", 1001, 1001);
    CHILD("uid 1002 in a sticky directory", {
        setgid(1002);
        setuid(1002);
        T(unlink("sticky/f"));
        T(rename("sticky/f", "sticky/g"));
        T(creat("sticky/mine", 0644));
        T(rename("sticky/f", "sticky/mine"));
        T(rename("sticky/mine", "sticky/f"));
        T(unlink("sticky/mine"));
    });
    CHILD("the owner of the file", { setuid(1000); T(rename("sticky/f", "sticky/g")); });
    CHILD("the owner of the directory", { setuid(1001); T(unlink("sticky/g")); });
    return 0;
}
