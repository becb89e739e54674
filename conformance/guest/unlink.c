// subject: unlink(2) of open files, errnos, unlinkat
#include "t.h"
int main(void) {
    put("f", "still here");
    int fd = MUST(open("f", O_RDWR));
    T(unlink("f"));
    T(unlink("f"));
    char b[32] = "";
    T(read(fd, b, 32));
    puts(b);
    T(write(fd, "+", 1));
    struct stat s;
    fstat(fd, &s);
    printf("links %ld size %ld\n", (long)s.st_nlink, (long)s.st_size);
    T(fchmod(fd, 0600));
    T(ftruncate(fd, 3));
    fstat(fd, &s);
    printf("mode %o size %ld\n", s.st_mode, (long)s.st_size);
    char p[64];
    snprintf(p, sizeof p, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(p, b, sizeof b);
    (void)n;
    char link[PATH_MAX];
    n = readlink(p, link, sizeof link - 1);
    link[n > 0 ? n : 0] = 0;
    char *slash = strrchr(link, '/');
    puts(slash ? slash : link);
    int again = open(p, O_RDONLY);
    T(again >= 0 ? read(again, b, 32) : -1);
    put("f", "new");
    show("f");
    T(lseek(fd, 0, SEEK_END));
    mkdir("d", 0755);
    T(unlink("d"));
    T(unlinkat(AT_FDCWD, "d", 0));
    T(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR));
    T(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
    T(unlinkat(AT_FDCWD, "f", 1));
    T(unlink("f/"));
    T(unlink("f/x"));
    T(unlink("."));
    T(unlink(".."));
    T(unlink("/"));
    T(unlink(""));
    return 0;
}
