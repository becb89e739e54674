// subject: robust and priority-inheriting mutexes, process-shared; futex errnos
#include "t.h"
struct shared { pthread_mutex_t m; pthread_cond_t c; int n; };
static struct shared *make(int robust, int pi) {
    struct shared *s = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    if (robust) pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    if (pi) pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
    printf("init %s\n", en(pthread_mutex_init(&s->m, &a)));
    pthread_condattr_t ca;
    pthread_condattr_init(&ca);
    pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&s->c, &ca);
    return s;
}
int main(void) {
    for (int pi = 0; pi < 2; pi++) {
        struct shared *s = make(1, pi);
        printf("lock %s\n", en(pthread_mutex_lock(&s->m)));
        printf("again %s\n", en(pthread_mutex_lock(&s->m)));
        CHILD("other", { printf("try %s\n", en(pthread_mutex_trylock(&s->m))); printf("unlock %s\n", en(pthread_mutex_unlock(&s->m))); });
        printf("unlock %s\n", en(pthread_mutex_unlock(&s->m)));
        CHILD("dies with the lock", { pthread_mutex_lock(&s->m); _exit(0); });
        printf("lock %s\n", en(pthread_mutex_lock(&s->m)));
        printf("consistent %s\n", en(pthread_mutex_consistent(&s->m)));
        printf("unlock %s\n", en(pthread_mutex_unlock(&s->m)));
        printf("lock %s\n", en(pthread_mutex_lock(&s->m)));
        pid_t c = fork();
        if (c == 0) {
            printf("waiter %s\n", en(pthread_mutex_lock(&s->m)));
            s->n = 5;
            pthread_mutex_unlock(&s->m);
            _exit(0);
        }
        msleep(30);
        pthread_mutex_unlock(&s->m);
        reap("waiter", c);
        printf("%d\n", s->n);
        CHILD("killed with the lock", { pthread_mutex_lock(&s->m); kill(getpid(), SIGKILL); });
        printf("lock %s\n", en(pthread_mutex_lock(&s->m)));
        pthread_mutex_unlock(&s->m);
        printf("lock %s\n", en(pthread_mutex_lock(&s->m)));
    }
    uint32_t w = 1;
    T(syscall(SYS_futex, &w, FUTEX_WAIT, 0, NULL, NULL, 0));
    T(syscall(SYS_futex, &w, FUTEX_WAKE, 1, NULL, NULL, 0));
    struct timespec t = {0, 1000000};
    T(syscall(SYS_futex, &w, FUTEX_WAIT, 1, &t, NULL, 0));
    T(syscall(SYS_futex, (char *)&w + 1, FUTEX_WAIT, 1, &t, NULL, 0));
    T(syscall(SYS_futex, (void *)8, FUTEX_WAIT, 1, &t, NULL, 0));
    T(syscall(SYS_futex, &w, 99, 1, &t, NULL, 0));
    IS(syscall(SYS_set_tid_address, &w) == gettid());
    uint32_t pi = 0;
    T(syscall(SYS_futex, &pi, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    IS((pi & FUTEX_TID_MASK) == (uint32_t)gettid() || pi == 0);
    T(syscall(SYS_futex, &pi, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    return 0;
}
