// subject: link(2), linkat(2)
#include "t.h"
int main(void) {
    put("f", "data");
    T(link("f", "g"));
    st("f");
    struct stat a, b;
    stat("f", &a);
    stat("g", &b);
    IS(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    T(link("f", "g"));
    T(link("none", "x"));
    T(link("f", "none/x"));
    mkdir("d", 0755);
    T(link("d", "dd"));
    T(link("f", "d"));
    T(link("f/", "x"));
    T(link("f", "x/"));
    T(link("f", ""));
    symlink("f", "l");
    T(link("l", "l2"));
    st("l2");
    T(linkat(AT_FDCWD, "l", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
    st("followed");
    T(linkat(AT_FDCWD, "f", AT_FDCWD, "x", 1));
    int d = MUST(open("d", O_RDONLY));
    T(linkat(AT_FDCWD, "f", d, "inside", 0));
    st("d/inside");
    put("g", "changed");
    show("f");
    T(unlink("f"));
    show("g");
    st("g");
    int fd = MUST(open("g", O_RDONLY));
    unlink("g");
    unlink("followed");
    unlink("d/inside");
    fstat(fd, &a);
    printf("links %ld\n", (long)a.st_nlink);
    char p[64];
    snprintf(p, sizeof p, "/proc/self/fd/%d", fd);
    T(linkat(AT_FDCWD, p, AT_FDCWD, "revived", AT_SYMLINK_FOLLOW));
    T(linkat(fd, "", AT_FDCWD, "revived", AT_EMPTY_PATH));
    mkfifo("p", 0600);
    T(link("p", "p2"));
    st("p2");
    return 0;
}
