// subject: threads in a dynamically linked program
// dynamic
#include "t.h"
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cv = PTHREAD_COND_INITIALIZER;
static long counter;
static __thread int tls = 7;
static void *count(void *p) {
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&m);
        counter++;
        pthread_mutex_unlock(&m);
    }
    tls++;
    return p;
}
static void *tid(void *p) {
    *(int *)p = gettid();
    return (void *)(long)(getpid() == (pid_t)syscall(SYS_getpid));
}
static void *cd(void *p) {
    (void)p;
    return (void *)(long)chdir("d");
}
static void *blocked(void *p) {
    (void)p;
    int q[2];
    pipe(q);
    char c;
    read(q[0], &c, 1);
    return NULL;
}
static volatile int got;
static void h(int s) { (void)s; got = gettid(); }
static int ready;
static void *sig(void *p) {
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &s, NULL);
    pthread_mutex_lock(&m);
    ready = gettid();
    pthread_cond_signal(&cv);
    pthread_mutex_unlock(&m);
    while (!got) msleep(1);
    (void)p;
    return (void *)(long)(got == gettid());
}
static void *late(void *p) {
    (void)p;
    msleep(50);
    printf("the leader is gone, the process lives\n");
    _exit(5);
}
int main(void) {
    pthread_t t[16];
    for (int i = 0; i < 16; i++) MUST(-pthread_create(&t[i], NULL, count, NULL));
    for (int i = 0; i < 16; i++) pthread_join(t[i], NULL);
    printf("counter %ld tls %d\n", counter, tls);
    int id = 0;
    void *r;
    pthread_create(&t[0], NULL, tid, &id);
    pthread_join(t[0], &r);
    IS(r && id > 0 && id != gettid());
    IS(gettid() == getpid());
    mkdir("d", 0755);
    put("d/here", "in d");
    pthread_create(&t[0], NULL, cd, NULL);
    pthread_join(t[0], &r);
    show("here");
    pthread_create(&t[0], NULL, blocked, NULL);
    msleep(20);
    T(pthread_cancel(t[0]));
    pthread_join(t[0], &r);
    IS(r == PTHREAD_CANCELED);
    signal(SIGUSR1, h);
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &s, NULL);
    pthread_create(&t[0], NULL, sig, NULL);
    pthread_mutex_lock(&m);
    while (!ready) pthread_cond_wait(&cv, &m);
    pthread_mutex_unlock(&m);
    kill(getpid(), SIGUSR1);
    pthread_join(t[0], &r);
    IS(r);
    got = 0;
    ready = 0;
    pthread_create(&t[0], NULL, sig, NULL);
    pthread_mutex_lock(&m);
    while (!ready) pthread_cond_wait(&cv, &m);
    pthread_mutex_unlock(&m);
    T(pthread_kill(t[0], SIGUSR1));
    pthread_join(t[0], &r);
    IS(r);
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_nsec += 10000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&m);
    printf("timedwait %s\n", en(pthread_cond_timedwait(&cv, &m, &ts)));
    pthread_mutex_unlock(&m);
    CHILD("leader exits first", {
        pthread_create(&t[0], NULL, late, NULL);
        pthread_exit(NULL);
    });
    CHILD("exit_group from a thread", {
        pthread_create(&t[0], NULL, (void *(*)(void *))(void *)_exit, (void *)6);
        for (;;) pause();
    });
    CHILD("fork in a thread's process has one thread", {
        pthread_create(&t[0], NULL, blocked, NULL);
        pid_t c = fork();
        if (c == 0) {
            DIR *dd = opendir("/proc/self/task");
            int n = 0;
            struct dirent *e;
            while (dd && (e = readdir(dd))) n += e->d_name[0] != '.';
            _exit(n);
        }
        reap("tasks", c);
    });
    return 0;
}
