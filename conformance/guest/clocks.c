// subject: clocks: which there are, resolutions, sleeping until a time, clocks of processes and threads
#include "t.h"
#include <sys/timex.h>
int main(void) {
    struct timespec t, r;
    for (int c = -1; c < 14; c++) {
        printf("%d: get %s", c, clock_gettime(c, &t) < 0 ? en(errno) : "ok");
        printf(" res %s", clock_getres(c, &r) < 0 ? en(errno) : "ok");
        struct timespec zero = {0, 0};
        printf(" sleep %s\n", en(clock_nanosleep(c, TIMER_ABSTIME, &zero, NULL)));
    }
    clockid_t mine, childs;
    pid_t c = fork();
    if (c == 0) for (;;) pause();
    T(clock_getcpuclockid(0, &mine));
    T(clock_gettime(mine, &t));
    T(clock_getcpuclockid(c, &childs));
    T(clock_gettime(childs, &t));
    T(clock_getcpuclockid(0x3fffffff, &childs));
    T(clock_gettime(~0x3fffffff << 3 | 2, &t));
    pthread_getcpuclockid(pthread_self(), &mine);
    T(clock_gettime(mine, &t));
    kill(c, SIGKILL);
    reap("child", c);
    struct timespec bad = {0, 1000000000}, neg = {-1, 0}, soon = {0, 1000000};
    T(nanosleep(&bad, NULL));
    T(nanosleep(&neg, NULL));
    T(nanosleep(&soon, &r));
    T(clock_nanosleep(CLOCK_MONOTONIC, 9, &soon, NULL));
    T(clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, NULL));
    T(clock_settime(CLOCK_REALTIME, &bad) == -1);
    T(settimeofday(NULL, NULL) == -1);
    struct timex x = {.modes = 0};
    IS(adjtimex(&x) >= 0);
    x.modes = ADJ_OFFSET;
    T(adjtimex(&x));
    x.modes = 0;
    T(clock_adjtime(CLOCK_MONOTONIC, &x));
    IS(clock_adjtime(CLOCK_REALTIME, &x) >= 0);
    T(clock_adjtime(99, &x));
    IS(time(NULL) > 1000000000);
    timer_t timer;
    struct sigevent e = {.sigev_notify = SIGEV_NONE};
    T(timer_create(CLOCK_BOOTTIME, &e, &timer));
    T(timer_create(CLOCK_MONOTONIC_RAW, &e, &timer));
    T(timer_create(CLOCK_REALTIME_ALARM, &e, &timer) == -1);
    T(timer_create(99, &e, &timer));
    e.sigev_notify = 99;
    T(timer_create(CLOCK_MONOTONIC, &e, &timer));
    e.sigev_notify = SIGEV_SIGNAL;
    e.sigev_signo = 99;
    T(timer_create(CLOCK_MONOTONIC, &e, &timer));
    e.sigev_notify = 4;
    e.sigev_signo = SIGUSR1;
    e._sigev_un._tid = 0x3fffffff;
    T(timer_create(CLOCK_MONOTONIC, &e, &timer));
    e._sigev_un._tid = gettid();
    T(timer_create(CLOCK_MONOTONIC, &e, &timer));
    T(timer_getoverrun(timer));
    T(timer_delete(timer));
    T(timer_delete(timer));
    return 0;
}
