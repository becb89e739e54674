// subject: fchmodat2(2): links, empty paths, O_PATH, unknown flags
#include "t.h"
#include "table.h"
#define C(...) syscall(SYS_fchmodat2, __VA_ARGS__)
int main(void) {
    put("f", "x");
    symlink("f", "l");
    symlink("none", "dangling");
    mkdir("d", 0755);
    T(C(AT_FDCWD, "f", 0600, 0));
    st("f");
    T(C(AT_FDCWD, "l", 0640, 0));
    st("f");
    T(C(AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW));
    T(C(AT_FDCWD, "f", 0604, AT_SYMLINK_NOFOLLOW));
    st("f");
    T(C(AT_FDCWD, "dangling", 0600, 0));
    T(C(AT_FDCWD, "dangling", 0600, AT_SYMLINK_NOFOLLOW));
    T(C(AT_FDCWD, "", 0600, 0));
    int fd = MUST(open("f", O_RDONLY)), path = MUST(open("f", O_PATH)), lp = MUST(open("l", O_PATH | O_NOFOLLOW)), dir = MUST(open("d", O_RDONLY));
    T(C(fd, "", 0644, AT_EMPTY_PATH));
    st("f");
    T(C(path, "", 0611, AT_EMPTY_PATH));
    st("f");
    T(C(lp, "", 0611, AT_EMPTY_PATH));
    T(C(AT_FDCWD, "", 0700, AT_EMPTY_PATH));
    st(".");
    chmod(".", 0755);
    T(C(dir, "", 0711, AT_EMPTY_PATH));
    st("d");
    T(C(fd, "x", 0600, 0));
    T(C(99, "x", 0600, 0));
    T(C(99, "", 0600, AT_EMPTY_PATH));
    T(C(AT_FDCWD, "f", 0600, AT_REMOVEDIR));
    T(C(AT_FDCWD, "f", 0600, AT_EACCESS | AT_SYMLINK_FOLLOW));
    T(C(AT_FDCWD, "f", 0177777, 0));
    st("f");
    T(fchmod(path, 0600));
    T(fchmod(fd, 0600));
    return 0;
}
