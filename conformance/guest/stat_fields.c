// subject: fields of stat, fstatat flags, statx masks
#include "t.h"
#include <linux/stat.h>
int main(void) {
    put("f", "12345");
    struct stat s, s2;
    stat("f", &s);
    printf("mode %o links %ld size %ld uid %d gid %d rdev %ld blksize>0 %d\n", s.st_mode, (long)s.st_nlink, (long)s.st_size,
           s.st_uid == getuid(), s.st_gid == getgid(), (long)s.st_rdev, s.st_blksize > 0);
    int fd = MUST(open("f", O_RDONLY));
    fstat(fd, &s2);
    IS(s.st_ino == s2.st_ino && s.st_dev == s2.st_dev);
    T(fstatat(AT_FDCWD, "f", &s2, 0));
    T(fstatat(fd, "", &s2, AT_EMPTY_PATH));
    IS(s.st_ino == s2.st_ino);
    T(fstatat(fd, "", &s2, 0));
    T(fstatat(fd, "x", &s2, 0));
    T(fstatat(99, "x", &s2, 0));
    T(fstatat(99, "/", &s2, 0));
    T(fstatat(AT_FDCWD, "", &s2, AT_EMPTY_PATH));
    T(fstatat(AT_FDCWD, "f", &s2, 0x8000));
    T(stat((char *)8, &s2));
    T(stat("f", (void *)8));
    T(fstat(99, &s2));
    struct statx x;
    memset(&x, 0xee, sizeof x);
    T(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x));
    IS((x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    IS(x.stx_ino == s.st_ino && x.stx_size == 5 && x.stx_mode == s.st_mode);
    IS(makedev(x.stx_dev_major, x.stx_dev_minor) == s.st_dev);
    IS(x.stx_mtime.tv_sec == s.st_mtim.tv_sec && x.stx_mtime.tv_nsec == (unsigned)s.st_mtim.tv_nsec);
    T(statx(AT_FDCWD, "f", 0x8000000, STATX_BASIC_STATS, &x));
    T(statx(AT_FDCWD, "f", 0, 0x80000000, &x));
    T(statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &x));
    T(statx(AT_FDCWD, "none", 0, STATX_ALL, &x));
    T(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_ALL, &x));
    symlink("f", "l");
    statx(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x);
    printf("%s size %ld\n", kind(x.stx_mode), (long)x.stx_size);
    stat(".", &s);
    mkdir("d", 0755);
    stat("d", &s2);
    IS(s.st_dev == s2.st_dev);
    IS(s.st_ino != s2.st_ino);
    printf("links %ld\n", (long)s2.st_nlink);
    stat("/dev/null", &s);
    printf("%s %u:%u mode %o\n", kind(s.st_mode), major(s.st_rdev), minor(s.st_rdev), s.st_mode & 0777);
    const char *devs[] = {"/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"};
    for (int i = 0; i < 5; i++) {
        stat(devs[i], &s);
        printf("%s %s %u:%u\n", devs[i], kind(s.st_mode), major(s.st_rdev), minor(s.st_rdev));
    }
    int p[2];
    pipe(p);
    fstat(p[0], &s);
    printf("%s %o\n", kind(s.st_mode), s.st_mode & 0777);
    int so = socket(AF_UNIX, SOCK_STREAM, 0);
    fstat(so, &s);
    printf("%s\n", kind(s.st_mode));
    int big = MUST(open("blocks", O_RDWR | O_CREAT, 0644));
    char *buf = calloc(1, 1 << 20);
    memset(buf, 1, 1 << 20);
    write(big, buf, 1 << 20);
    fsync(big);
    fstat(big, &s);
    IS(s.st_blocks * 512 >= 1 << 20);
    return 0;
}
