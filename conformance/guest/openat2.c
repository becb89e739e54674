// subject: openat2(2): size, unknown bits, RESOLVE_* flags
#include "t.h"
#include <linux/openat2.h>
static long o2(int dfd, const char *p, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how h = {flags, mode, resolve};
    return syscall(SYS_openat2, dfd, p, &h, sizeof h);
}
int main(void) {
    mkdir("d", 0755);
    put("d/f", "in");
    put("out", "out");
    symlink("../out", "d/up");
    symlink("f", "d/l");
    symlink("/etc/passwd", "d/abs");
    int d = MUST(open("d", O_PATH | O_DIRECTORY));
    struct open_how h = {O_RDONLY, 0, 0};
    T(syscall(SYS_openat2, d, "f", &h, 8));
    T(syscall(SYS_openat2, d, "f", 0, sizeof h));
    struct { struct open_how h; uint64_t more; } big = {{O_RDONLY, 0, 0}, 0};
    OK(syscall(SYS_openat2, d, "f", &big, sizeof big));
    big.more = 1;
    T(syscall(SYS_openat2, d, "f", &big, sizeof big));
    T(o2(d, "f", O_RDONLY, 0644, 0));
    T(o2(d, "f", 1ull << 40, 0, 0));
    T(o2(d, "f", O_RDONLY, 0, 1ull << 20));
    T(o2(d, "f", O_PATH | O_WRONLY, 0, 0));
    OK(o2(d, "new", O_CREAT | O_WRONLY, 0600, 0));
    T(o2(d, "new2", O_CREAT | O_WRONLY, 0200000, 0));
    OK(o2(d, "f", O_RDONLY, 0, RESOLVE_BENEATH));
    T(o2(d, "../out", O_RDONLY, 0, RESOLVE_BENEATH));
    T(o2(d, "up", O_RDONLY, 0, RESOLVE_BENEATH));
    T(o2(d, "abs", O_RDONLY, 0, RESOLVE_BENEATH));
    T(o2(d, "/etc/passwd", O_RDONLY, 0, RESOLVE_BENEATH));
    T(o2(d, "l", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
    OK(o2(d, "l", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS));
    T(o2(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS));
    OK(o2(d, "../f", O_RDONLY, 0, RESOLVE_IN_ROOT));
    T(o2(d, "/out", O_RDONLY, 0, RESOLVE_IN_ROOT));
    T(o2(d, "abs", O_RDONLY, 0, RESOLVE_IN_ROOT));
    OK(o2(d, "f", O_RDONLY, 0, RESOLVE_NO_XDEV));
    T(o2(AT_FDCWD, "/proc/self/stat", O_RDONLY, 0, RESOLVE_NO_XDEV));
    T(o2(d, "f", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT));
    return 0;
}
