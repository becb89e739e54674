// subject: mmap at the edges: MAP_FIXED_NOREPLACE, SIGBUS past the end, protections by open mode, bad lengths, mremap, image files
#include "t.h"
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
static sigjmp_buf back;
static void caught(int s, siginfo_t *i, void *c) { (void)c; printf("signal %d code %d\n", s, i->si_code); siglongjmp(back, 1); }
#define TOUCH(what) do { printf("%s: ", #what); if (!sigsetjmp(back, 1)) { what; printf("fine\n"); } } while (0)
#define M(...) do { void *m_ = mmap(__VA_ARGS__); printf("mmap(%s): %s\n", #__VA_ARGS__, m_ == MAP_FAILED ? en(errno) : "ok"); } while (0)
int main(void) {
    struct sigaction a = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &a, NULL);
    sigaction(SIGSEGV, &a, NULL);
    put("f", "hello");
    int r = open("f", O_RDONLY), w = open("f", O_WRONLY), rw = open("f", O_RDWR), ap = open("f", O_RDWR | O_APPEND), d = open(".", O_RDONLY), path = open("f", O_PATH), p[2];
    pipe(p);
    M(0, 4096, PROT_READ, MAP_SHARED, r, 0);
    M(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0);
    M(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, r, 0);
    M(0, 4096, PROT_READ, MAP_PRIVATE, w, 0);
    M(0, 4096, PROT_WRITE, MAP_SHARED, w, 0);
    M(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ap, 0);
    M(0, 4096, PROT_READ, MAP_SHARED, d, 0);
    M(0, 4096, PROT_READ, MAP_SHARED, path, 0);
    M(0, 4096, PROT_READ, MAP_SHARED, p[0], 0);
    M(0, 4096, PROT_READ, MAP_SHARED, 99, 0);
    M(0, 0, PROT_READ, MAP_SHARED, r, 0);
    M(0, 4096, PROT_READ, MAP_SHARED, r, 100);
    M(0, 4096, PROT_READ, 0, r, 0);
    M(0, 4096, PROT_READ, 0x3 /* VALIDATE */ | 0x4000000, r, 0);
    M(0, 4096, PROT_READ, 0x3, r, 0);
    M(0, 4096, PROT_READ, MAP_SHARED, r, 1L << 40);
    M(0, -4096L, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    M((void *)0x1000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    M((void *)0x12345, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    char *m = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, rw, 0);
    TOUCH(m[0] = 'j');
    TOUCH(m[4000] = 'x');
    TOUCH(m[4096] = 'x');
    TOUCH(m[5000]);
    T(ftruncate(rw, 8192));
    TOUCH(m[4096] = 'y');
    T(ftruncate(rw, 5));
    TOUCH(m[4096] = 'z');
    show("f");
    M(m, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    munmap(m + 4096, 4096);
    M(m + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    TOUCH(m[4096] = 1);
    char *ro = mmap(0, 4096, PROT_READ, MAP_SHARED, r, 0);
    T(mprotect(ro, 4096, PROT_READ | PROT_WRITE));
    ro = mmap(0, 4096, PROT_READ, MAP_PRIVATE, r, 0);
    T(mprotect(ro, 4096, PROT_READ | PROT_WRITE));
    TOUCH(ro[0] = 'P');
    T(mprotect(ro, 4096, PROT_READ | PROT_EXEC));
    T(mprotect(ro, 4096, 0x100));
    // Programs are mapped executable, data too: only the mount could forbid it.
    M(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, r, 0);
    int me = open(self, O_RDONLY);
    M(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, me, 0);
    M(0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, me, 0);
    T(open(self, O_RDWR) >= 0 ? 0 : -1);
    int image = MUST(open("/etc/passwd", O_RDONLY));
    M(0, 4096, PROT_READ, MAP_SHARED, image, 0);
    M(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, image, 0);
    M(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, image, 0);
    char *an = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    an[0] = 'a';
    IS(mremap(an, 8192, 4096, 0) == an);
    TOUCH(an[4096] = 1);
    char *moved = mremap(an, 4096, 1 << 20, MREMAP_MAYMOVE);
    IS(moved != MAP_FAILED && moved[0] == 'a');
    T((long)mremap(moved, 1 << 20, 0, MREMAP_MAYMOVE));
    T((long)mremap(moved + 1, 4096, 8192, MREMAP_MAYMOVE));
    T((long)mremap(moved, 4096, 4096, MREMAP_FIXED, moved + 8192));
    T((long)mremap(moved, 4096, 4096, 0x100));
    T(msync(m, 4096, MS_SYNC));
    T(msync(m, 4096, MS_SYNC | MS_ASYNC));
    T(msync(m + 1, 4096, MS_SYNC));
    T(madvise(moved, 4096, 999));
    T(madvise(moved, 4096, MADV_DONTNEED));
    IS(moved[0] == 0);
    T(madvise(m, 4096, MADV_REMOVE));
    T(munmap(m + 1, 4096));
    T(munmap(m, 0));
    T(syscall(462 /* mseal */, moved, 4096, 0));
    T(munmap(moved, 4096));
    T(mprotect(moved, 4096, PROT_NONE));
    return 0;
}
