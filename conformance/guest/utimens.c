// subject: utimensat and its old forms, UTIME_NOW, UTIME_OMIT, nanoseconds, what changes mtime and ctime
#include "t.h"
static void times_of(const char *p) {
    struct stat s;
    lstat(p, &s);
    printf("%s: a %ld.%09ld m %ld.%09ld\n", p, s.st_atim.tv_sec, s.st_atim.tv_nsec, s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
}
static struct timespec mt(const char *p) {
    struct stat s;
    lstat(p, &s);
    return s.st_mtim;
}
static int newer(struct timespec a, struct timespec b) { return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec); }
int main(void) {
    put("f", "x");
    struct timespec t[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
    T(utimensat(AT_FDCWD, "f", t, 0));
    times_of("f");
    struct timespec omit[2] = {{0, UTIME_OMIT}, {42, 0}};
    T(utimensat(AT_FDCWD, "f", omit, 0));
    times_of("f");
    struct timespec both[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    T(utimensat(AT_FDCWD, "f", both, 0));
    times_of("f");
    struct timespec bad[2] = {{0, 1000000000}, {0, 0}};
    T(utimensat(AT_FDCWD, "f", bad, 0));
    bad[0].tv_nsec = -1;
    T(utimensat(AT_FDCWD, "f", bad, 0));
    T(utimensat(AT_FDCWD, "f", t, 0x8000));
    T(utimensat(AT_FDCWD, "none", t, 0));
    struct timespec neg[2] = {{-5, 0}, {-1000, 5}};
    T(utimensat(AT_FDCWD, "f", neg, 0));
    times_of("f");
    symlink("f", "l");
    T(utimensat(AT_FDCWD, "l", t, AT_SYMLINK_NOFOLLOW));
    struct stat s;
    lstat("l", &s);
    printf("link m %ld.%09ld\n", s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
    times_of("f");
    int fd = MUST(open("f", O_RDWR));
    T(futimens(fd, t));
    times_of("f");
    struct timeval tv[2] = {{5, 500000}, {6, 600000}};
    T(utimes("f", tv));
    times_of("f");
    T(lutimes("l", tv));
    T(futimesat(AT_FDCWD, "f", tv));
    tv[0].tv_usec = 1000000;
    T(utimes("f", tv));
    struct utimbuf ub = {7, 8};
    T(utime("f", &ub));
    times_of("f");
    T(utime("f", NULL));
    IS(newer(mt("f"), (struct timespec){1500000000, 0}));
    T(utimensat(AT_FDCWD, "f", t, 0));
    struct timespec before = mt("f");
    T(write(fd, "y", 1));
    IS(newer(mt("f"), before));
    utimensat(AT_FDCWD, "f", t, 0);
    char c;
    T(pread(fd, &c, 1, 0));
    IS(!newer(mt("f"), before));
    T(chmod("f", 0600));
    IS(!newer(mt("f"), before));
    T(ftruncate(fd, 10));
    IS(newer(mt("f"), before));
    mkdir("d", 0755);
    utimensat(AT_FDCWD, "d", t, 0);
    before = mt("d");
    put("d/x", "");
    IS(newer(mt("d"), before));
    utimensat(AT_FDCWD, "d", t, 0);
    chmod("d/x", 0600);
    IS(!newer(mt("d"), before));
    unlink("d/x");
    IS(newer(mt("d"), before));
    T(utimensat(AT_FDCWD, "/etc/passwd", t, 0));
    T(utimensat(AT_FDCWD, "/etc/passwd", NULL, 0));
    T(utimensat(AT_FDCWD, "/etc/passwd", both, 0));
    T(utimensat(fd, NULL, t, 0));
    struct stat cs;
    stat("f", &s);
    msleep(20);
    chmod("f", 0644);
    stat("f", &cs);
    IS(newer(cs.st_ctim, s.st_ctim));
    return 0;
}
