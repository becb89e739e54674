// subject: chown(2) by an ordinary user
#include "t.h"
int main(void) {
    put("f", "x");
    uid_t u = getuid();
    gid_t g = getgid();
    T(chown("f", -1, -1));
    T(chown("f", u, -1));
    T(chown("f", -1, g));
    T(chown("f", u, g));
    T(chown("f", 0, -1));
    T(chown("f", -1, 0));
    T(chown("f", u + 1, g));
    T(lchown("f", u, g));
    T(chown("none", u, g));
    T(chown("/", u, g));
    T(chown("/etc/passwd", -1, -1));
    T(chown("/etc/passwd", u, -1));
    symlink("f", "l");
    T(lchown("l", u, g));
    T(fchownat(AT_FDCWD, "l", 0, 0, AT_SYMLINK_NOFOLLOW));
    T(fchownat(AT_FDCWD, "l", u, g, 0x8000));
    int fd = MUST(open("f", O_RDONLY));
    T(fchown(fd, u, g));
    T(fchownat(fd, "", u, g, AT_EMPTY_PATH));
    T(fchown(99, u, g));
    chmod("f", 06755);
    T(chown("f", u, g));
    st("f");
    chmod("f", 06755);
    T(chown("f", -1, -1));
    st("f");
    chmod("f", 02644);
    T(chown("f", u, g));
    st("f");
    mkdir("d", 0755);
    chmod("d", 02755);
    T(chown("d", u, g));
    st("d");
    T(chmod("/", 0777));
    T(chmod("/etc/passwd", 0644));
    return 0;
}
