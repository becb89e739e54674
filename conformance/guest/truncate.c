// subject: truncate, ftruncate, holes read as zeros, RLIMIT_FSIZE
#include "t.h"
static void size(const char *p) {
    struct stat s;
    stat(p, &s);
    printf("%s size %ld\n", p, (long)s.st_size);
}
int main(void) {
    put("f", "0123456789");
    T(truncate("f", 4));
    show("f");
    T(truncate("f", 8));
    size("f");
    char b[16] = "";
    int fd = MUST(open("f", O_RDWR));
    T(read(fd, b, 16));
    IS(memcmp(b, "0123\0\0\0\0", 8) == 0);
    T(ftruncate(fd, 0));
    size("f");
    T(ftruncate(fd, -1));
    T(truncate("f", -1));
    T(truncate("none", 0));
    mkdir("d", 0755);
    T(truncate("d", 0));
    T(truncate("f/", 0));
    int ro = MUST(open("f", O_RDONLY));
    T(ftruncate(ro, 0));
    chmod("f", 0444);
    T(truncate("f", 1));
    T(ftruncate(fd, 5));
    size("f");
    chmod("f", 0644);
    T(lseek(fd, 1 << 20, SEEK_SET));
    T(write(fd, "x", 1));
    size("f");
    T(pread(fd, b, 4, 100000));
    IS(b[0] == 0);
    int p[2];
    pipe(p);
    T(ftruncate(p[1], 0));
    mkfifo("p", 0600);
    T(truncate("p", 0));
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit r = {1000, 1000};
    T(setrlimit(RLIMIT_FSIZE, &r));
    T(truncate("f", 2000));
    T(ftruncate(fd, 2000));
    T(pwrite(fd, "0123456789", 10, 995));
    T(pwrite(fd, "0123456789", 10, 1000));
    int n = MUST(open("new", O_RDWR | O_CREAT, 0644));
    T(ftruncate(n, 1001));
    signal(SIGXFSZ, SIG_DFL);
    CHILD("default", { pwrite(n, "x", 1, 1000); });
    return 0;
}
