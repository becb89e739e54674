// subject: what an O_PATH descriptor can and cannot do
#include "t.h"
int main(void) {
    put("f", "data");
    chmod("f", 0);
    mkdir("d", 0755);
    put("d/in", "x");
    symlink("f", "l");
    char b[64];
    struct stat s;
    int f = MUST(open("f", O_PATH));
    T(read(f, b, 1));
    T(write(f, b, 1));
    T(fchmod(f, 0644));
    T(fchown(f, -1, -1));
    T(ftruncate(f, 0));
    T(fstat(f, &s));
    T(lseek(f, 0, SEEK_SET));
    T(ioctl(f, FIONREAD, b));
    T(fgetxattr(f, "user.x", b, 1));
    T(mmap(0, 4096, PROT_READ, MAP_PRIVATE, f, 0));
    printf("flags %o\n", fcntl(f, F_GETFL) & ~O_LARGEFILE);
    T(fcntl(f, F_SETFL, O_NONBLOCK));
    T(flock(f, LOCK_SH));
    T(dup(f));
    struct statfs sf;
    T(fstatfs(f, &sf));
    int d = MUST(open("d", O_PATH | O_DIRECTORY));
    T(openat(d, "in", O_RDONLY));
    T(fchdir(d));
    st("in");
    T(chdir(".."));
    T(getdents64(d, b, sizeof b));
    int l = MUST(open("l", O_PATH | O_NOFOLLOW));
    fstat(l, &s);
    printf("%s\n", kind(s.st_mode));
    ssize_t n = readlinkat(l, "", b, sizeof b);
    printf("readlinkat %.*s\n", (int)n, b);
    T(openat(l, "", O_RDONLY));
    T(openat(f, "x", O_RDONLY));
    T(fstatat(f, "", &s, AT_EMPTY_PATH));
    T(faccessat(f, "", R_OK, AT_EMPTY_PATH));
    chmod("f", 0644);
    char p[64];
    snprintf(p, sizeof p, "/proc/self/fd/%d", f);
    int again = MUST(open(p, O_RDONLY));
    T(read(again, b, 4));
    return 0;
}
