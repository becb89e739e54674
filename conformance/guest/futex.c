// subject: futex operations: values, time-outs, bit sets, requeueing, wake operations, shared and private, waitv
#include "t.h"
#include "table.h"
static long f(int *a, int op, int v, void *t, int *b, int v3) { return syscall(SYS_futex, a, op, v, t, b, v3); }
static int *w;
static pid_t waiter(int op, int *on, int bits) {
    pid_t c = fork();
    if (c == 0) {
        struct timespec t = {5, 0};
        if ((op & 127) == FUTEX_WAIT_BITSET) { clock_gettime(CLOCK_MONOTONIC, &t); t.tv_sec += 5; }
        long r = f(on, op, *on, &t, NULL, bits);
        _exit(r < 0 ? errno : 0);
    }
    msleep(60);
    return c;
}
int main(void) {
    w = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct timespec past = {0, 0}, soon = {0, 5000000}, bad = {0, 1000000000}, negative = {-1, 0};
    T(f(w, FUTEX_WAIT, 1, NULL, NULL, 0));
    T(f(w, FUTEX_WAIT, 0, &soon, NULL, 0));
    T(f(w, FUTEX_WAIT, 0, &past, NULL, 0));
    T(f(w, FUTEX_WAIT, 0, &bad, NULL, 0));
    T(f(w, FUTEX_WAIT, 0, &negative, NULL, 0));
    T(f(w, FUTEX_WAIT_BITSET, 0, &past, NULL, 1));
    T(f(w, FUTEX_WAIT_BITSET, 0, &past, NULL, 0));
    T(f(w, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 1));
    T(f((int *)((char *)w + 1), FUTEX_WAIT, 0, NULL, NULL, 0));
    T(f(w, FUTEX_WAKE, 1, NULL, NULL, 0));
    T(f(w, 99, 1, NULL, NULL, 0));
    T(f(w, FUTEX_FD, 1, NULL, NULL, 0));
    pid_t c = waiter(FUTEX_WAIT, w, 0);
    T(f(w, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
    T(f(w, FUTEX_WAKE, 10, NULL, NULL, 0));
    reap("woken", c);
    c = waiter(FUTEX_WAIT_BITSET, w, 2);
    T(f(w, FUTEX_WAKE_BITSET, 10, NULL, NULL, 4));
    T(f(w, FUTEX_WAKE_BITSET, 10, NULL, NULL, 6));
    reap("bits", c);
    c = waiter(FUTEX_WAIT, w, 0);
    pid_t d = waiter(FUTEX_WAIT, w, 0);
    T(f(w, FUTEX_CMP_REQUEUE, 1, (void *)5, w + 8, 1));
    T(f(w, FUTEX_CMP_REQUEUE, 1, (void *)5, w + 8, 0));
    T(f(w + 8, FUTEX_WAKE, 10, NULL, NULL, 0));
    reap("requeued", c);
    reap("requeued", d);
    c = waiter(FUTEX_WAIT, w + 16, 0);
    w[17] = 5;
    T(f(w + 17, FUTEX_WAKE_OP, 1, (void *)1, w + 16, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0)));
    printf("%d\n", w[16]);
    reap("wake op", c);
    // Of a file that two processes map.
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    ftruncate(fd, 4096);
    int *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    c = waiter(FUTEX_WAIT, m, 0);
    int fd2 = open("f", O_RDWR), *n = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd2, 0);
    T(f(n, FUTEX_WAKE, 1, NULL, NULL, 0));
    reap("by a file", c);
    struct { uint64_t val, uaddr; uint32_t flags, res; } v[2] = {{0, (uint64_t)w, 2, 0}, {1, (uint64_t)(w + 1), 2, 0}};
    T(syscall(SYS_futex_waitv, v, 2, 0, NULL, CLOCK_MONOTONIC));
    v[1].val = 0;
    T(syscall(SYS_futex_waitv, v, 2, 0, &past, CLOCK_MONOTONIC));
    T(syscall(SYS_futex_waitv, v, 0, 0, NULL, CLOCK_MONOTONIC));
    T(syscall(SYS_futex_waitv, v, 129, 0, NULL, CLOCK_MONOTONIC));
    T(syscall(SYS_futex_waitv, v, 2, 1, NULL, CLOCK_MONOTONIC));
    T(f(w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    T((*w & FUTEX_TID_MASK) == (int)gettid());
    T(f(w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    T(f(w, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    T(f(w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    T(f(w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    return 0;
}
