// subject: brk, mmap flags, mprotect, mremap, mincore, madvise, mlock, fork and copy on write
#include "t.h"
int main(void) {
    char *b = sbrk(0);
    IS(sbrk(4096) == b);
    b[100] = 1;
    IS(sbrk(-4096) != (void *)-1 && sbrk(0) == b);
    char *m = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS(m != MAP_FAILED);
    IS(mmap(m, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m);
    IS(mmap(m, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
    printf("%s\n", en(errno));
    T(mmap((void *)1, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    T(mmap((void *)0x1000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    T(mprotect(m + 4096, 4096, PROT_NONE));
    CHILD("no access", { struct rlimit r = {0, 0}; setrlimit(RLIMIT_CORE, &r); m[4096] = 1; });
    T(mprotect(m + 1, 4096, PROT_READ));
    T(mprotect((void *)0x10000000000, 4096, PROT_READ));
    T(mprotect(m + 4096, 4096, PROT_READ | PROT_WRITE));
    m[4096] = 5;
    CHILD("copy on write", { m[4096] = 6; });
    printf("%d\n", m[4096]);
    T(madvise(m + 4096, 4096, MADV_DONTNEED));
    printf("%d\n", m[4096]);
    T(madvise(m, 4096, 9999));
    unsigned char v[4];
    T(mincore(m, 16384, v));
    T(mincore(m + 1, 10, v));
    T(mlock(m, 4096));
    T(munlock(m, 4096));
    T(msync(m, 4096, MS_ASYNC));
    T(munmap(m + 8192, 4096));
    T(msync(m, 16384, MS_ASYNC));
    OK(mremap(m, 4096, 8192, 0) == MAP_FAILED ? -1 : 0);
    char *x = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS(x != MAP_FAILED);
    memcpy(x, "\xb8\x2a\0\0\0\xc3", 6);
    printf("%d\n", ((int (*)(void))x)());
    CHILD("deep stack", {
        volatile char big[4 << 20];
        for (size_t i = 0; i < sizeof big; i += 4096) big[i] = 1;
    });
    void *huge = mmap(0, 1ul << 40, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    IS(huge != MAP_FAILED);
    T(process_madvise(-1, NULL, 0, 0, 0));
    return 0;
}
