// subject: directory descriptors of the *at calls: every sort of descriptor, absolute paths, empty paths
#include "t.h"
#include "table.h"
#include <linux/openat2.h>
static void all(const char *what, int fd, const char *path) {
    struct stat s;
    struct statx x;
    char b[64];
    struct open_how how = {.flags = O_RDONLY};
    printf("== %s, \"%s\"\n", what, path);
    OK(openat(fd, path, O_RDONLY));
    OK(syscall(SYS_openat2, fd, path, &how, sizeof how));
    T(fstatat(fd, path, &s, 0));
    T(fstatat(fd, path, &s, AT_EMPTY_PATH));
    T(statx(fd, path, 0, 0, &x));
    T(statx(fd, path, AT_EMPTY_PATH, 0, &x));
    T(readlinkat(fd, path, b, 64));
    T(faccessat(fd, path, F_OK, 0));
    T(faccessat(fd, path, F_OK, AT_EMPTY_PATH));
    T(mkdirat(fd, path, 0755));
    T(mknodat(fd, path, S_IFREG | 0600, 0));
    T(unlinkat(fd, path, AT_REMOVEDIR));
    T(renameat(fd, path, fd, path));
    T(linkat(fd, path, AT_FDCWD, "linked", 0));
    unlink("linked");
    T(symlinkat("x", fd, path));
    T(fchmodat(fd, path, 0755, 0));
    T(fchownat(fd, path, -1, -1, 0));
    T(fchownat(fd, path, -1, -1, AT_EMPTY_PATH));
    T(utimensat(fd, path, NULL, 0));
    T(syscall(SYS_utimensat, fd, NULL, NULL, 0));
    T(syscall(SYS_name_to_handle_at, fd, path, b, b, 0x7000));
    T(syscall(SYS_execveat, fd, path, NULL, NULL, 0));
}
int main(void) {
    mkdir("d", 0755);
    put("d/f", "x");
    put("g", "x");
    symlink("d", "ld");
    symlink("g", "lg");
    int p[2];
    pipe(p);
    int dir = open("d", O_RDONLY), opath = open("d", O_PATH), file = open("g", O_RDONLY), fpath = open("g", O_PATH), link = open("lg", O_PATH | O_NOFOLLOW),
        dlink = open("ld", O_PATH | O_NOFOLLOW), closed = dup(dir);
    close(closed);
    all("directory", dir, "f");
    all("directory", dir, "");
    all("directory", dir, ".");
    all("O_PATH directory", opath, "f");
    all("O_PATH directory", opath, "");
    all("file", file, "f");
    all("file", file, "");
    all("O_PATH file", fpath, "");
    all("O_PATH link", link, "");
    all("O_PATH link to a directory", dlink, "f");
    all("pipe", p[0], "");
    all("pipe", p[0], "x");
    all("closed", closed, "f");
    all("closed", closed, "");
    all("closed", closed, "/nonexistent");
    all("working directory", AT_FDCWD, "");
    mkdir("gone", 0755);
    int gone = open("gone", O_RDONLY);
    rmdir("gone");
    all("removed directory", gone, "new");
    all("removed directory", gone, "");
    all("removed directory", gone, "..");
    return 0;
}
