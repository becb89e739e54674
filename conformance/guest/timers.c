// subject: sleeping, interval timers, POSIX timers, alarm
#include "t.h"
static volatile int n;
static void h(int s) { (void)s; n++; }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
int main(void) {
    struct sigaction a = {.sa_handler = h};
    sigaction(SIGALRM, &a, NULL);
    double t = now();
    struct timespec ts = {0, 50000000}, rem = {0, 0};
    T(nanosleep(&ts, NULL));
    IS(now() - t >= 0.05);
    ts.tv_nsec = 1000000000;
    T(nanosleep(&ts, NULL));
    ts.tv_nsec = -1;
    T(nanosleep(&ts, NULL));
    T(nanosleep((void *)8, NULL));
    struct itimerval i = {{0, 0}, {0, 20000}}, o;
    T(setitimer(ITIMER_REAL, &i, NULL));
    ts = (struct timespec){5, 0};
    T(nanosleep(&ts, &rem));
    IS(rem.tv_sec == 4 && n == 1);
    i.it_value.tv_usec = 1000000;
    T(setitimer(ITIMER_REAL, &i, NULL));
    T(alarm(10));
    T(alarm(0));
    i = (struct itimerval){{0, 1000}, {0, 1000}};
    n = 0;
    T(setitimer(ITIMER_REAL, &i, NULL));
    while (n < 10) pause();
    i = (struct itimerval){{0, 0}, {0, 0}};
    T(setitimer(ITIMER_REAL, &i, &o));
    T(getitimer(ITIMER_REAL, &o));
    T(getitimer(99, &o));
    timer_t id;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    T(timer_create(CLOCK_MONOTONIC, &e, &id));
    struct itimerspec s = {{0, 0}, {0, 10000000}};
    n = 0;
    T(timer_settime(id, 0, &s, NULL));
    while (!n) pause();
    T(timer_getoverrun(id));
    T(timer_delete(id));
    T(syscall(SYS_timer_delete, 12345));
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_nsec += 20000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    T(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL));
    CHILD("timers are not inherited", {
        setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {9, 0}}, NULL);
        if (fork() == 0) {
            getitimer(ITIMER_REAL, &o);
            _exit(o.it_value.tv_sec);
        }
        int st1;
        wait(&st1);
        _exit(WEXITSTATUS(st1));
    });
    return 0;
}
