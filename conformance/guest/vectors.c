// subject: readv, writev, preadv2, pwritev2: flags, offsets, vectors of nothing, limits
#include "t.h"
#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif
int main(void) {
    put("f", "0123456789");
    int fd = open("f", O_RDWR), p[2], d = open(".", O_RDONLY), path = open("f", O_PATH);
    pipe(p);
    char a[8] = "", b[8] = "";
    struct iovec v[2] = {{a, 3}, {b, 4}}, none[1] = {{NULL, 0}}, many[1025], bad[2] = {{a, 3}, {(void *)0x10, 3}}, huge[2] = {{a, -1}, {b, 1}};
    for (int i = 0; i < 1025; i++) many[i] = (struct iovec){a, 1};
    T(readv(fd, v, 2));
    printf("%.3s|%.4s\n", a, b);
    T(readv(fd, v, 2));
    T(readv(fd, v, 2));
    T(preadv(fd, v, 2, 5));
    printf("%.3s|%.2s\n", a, b);
    T(preadv(fd, v, 2, -1));
    T(preadv2(fd, v, 2, -1, 0));
    T(lseek(fd, 2, SEEK_SET));
    T(preadv2(fd, v, 1, -1, 0));
    T(lseek(fd, 0, SEEK_CUR));
    T(preadv2(fd, v, 2, -2, 0));
    T(readv(fd, v, 0));
    T(readv(fd, NULL, 0));
    T(readv(fd, none, 1));
    T(readv(fd, many, 1025));
    T(writev(fd, many, -1));
    T(lseek(fd, 0, SEEK_SET));
    T(readv(fd, bad, 2));
    T(writev(fd, bad, 2));
    T(readv(fd, huge, 2));
    T(lseek(fd, 0, SEEK_SET));
    T(pwritev(p[1], v, 1, 0));
    T(preadv(p[0], v, 1, 0));
    T(preadv2(p[0], v, 1, -1, RWF_NOWAIT));
    T(readv(d, v, 1));
    T(writev(d, v, 1));
    T(readv(path, v, 1));
    T(preadv2(fd, v, 1, 0, 0x4000));
    T(pwritev2(fd, v, 1, 0, 0x4000));
    strcpy(a, "abc");
    T(pwritev2(fd, v, 1, 0, RWF_DSYNC));
    T(pwritev2(fd, v, 1, 0, RWF_SYNC));
    T(pwritev2(fd, v, 1, 0, RWF_APPEND));
    T(pwritev2(fd, v, 1, -1, RWF_APPEND));
    show("f");
    T(pwrite(fd, "x", 1, 1L << 62));
    T(pwrite(fd, "x", 1, -1));
    T(lseek(fd, 1L << 40, SEEK_SET));
    T(lseek(fd, -1, SEEK_SET));
    T(lseek(fd, LONG_MAX, SEEK_SET));
    T(lseek(fd, 1, 9));
    T(lseek(p[0], 0, SEEK_SET));
    T(read(fd, a, 0));
    T(read(99, a, 0));
    T(write(fd, NULL, 0));
    T(read(fd, NULL, 0));
    struct rlimit l = {20, 20};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &l);
    T(pwrite(fd, "0123456789", 10, 15));
    T(pwrite(fd, "0123456789", 10, 20));
    T(ftruncate(fd, 21));
    T(truncate("f", 21));
    T(ftruncate(fd, 20));
    st("f");
    return 0;
}
