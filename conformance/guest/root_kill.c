// subject: who may signal whom, and priorities of other users
// root
#include "t.h"
static pid_t sleeper(int r, int e, int s) {
    int p[2];
    pipe(p);
    pid_t c = fork();
    if (c == 0) {
        setresuid(r, e, s);
        write(p[1], "x", 1);
        for (;;) pause();
    }
    char x;
    read(p[0], &x, 1);
    close(p[0]);
    close(p[1]);
    return c;
}
int main(void) {
    pid_t a = sleeper(1000, 1000, 1000), b = sleeper(1001, 1001, 1001), m = sleeper(1000, 1001, 1001), r = sleeper(0, 0, 0);
    CHILD("1000", {
        setresuid(1000, 1000, 1000);
        T(kill(a, 0) ? -1 : 0);
        T(kill(b, 0) ? -1 : 0);
        T(kill(m, 0) ? -1 : 0);
        T(kill(r, 0) ? -1 : 0);
        T(syscall(SYS_tgkill, b, b, 0) ? -1 : 0);
        T(setpriority(PRIO_PROCESS, b, 5));
        T(getpriority(PRIO_PROCESS, b));
        T(sched_getaffinity(b, sizeof(cpu_set_t), &(cpu_set_t){0}) < 0 ? -1 : 0);
        struct sched_param p = {0};
        T(sched_setparam(b, &p));
        T(prlimit64(b, RLIMIT_CORE, NULL, &(struct rlimit64){0}) ? -1 : 0);
        T(getpgid(b) < 0 ? -1 : 0);
    });
    CHILD("real 1001 effective 1000", { setresuid(1001, 1000, 1000); T(kill(a, 0) ? -1 : 0); T(kill(b, 0) ? -1 : 0); });
    T(kill(a, SIGTERM) ? -1 : 0);
    T(kill(b, SIGTERM) ? -1 : 0);
    T(kill(m, SIGTERM) ? -1 : 0);
    T(kill(r, SIGTERM) ? -1 : 0);
    reap("a", a);
    reap("b", b);
    reap("m", m);
    reap("r", r);
    return 0;
}
