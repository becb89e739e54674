// subject: reparenting of orphans, PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG
#include "t.h"
int main(void) {
    int p[2];
    pipe(p);
    char b[64];
    pid_t c = fork();
    if (c == 0) {
        pid_t parent = getpid();
        if (fork() == 0) {
            for (int i = 0; i < 1000 && getppid() == parent; i++) msleep(1);
            dprintf(p[1], "%s", getppid() != parent ? "reparented" : "not");
            _exit(0);
        }
        _exit(0);
    }
    reap("middle", c);
    ssize_t n = read(p[0], b, sizeof b);
    printf("orphan: %.*s\n", (int)n, b);
    T(prctl(PR_SET_CHILD_SUBREAPER, 1));
    int v = 0;
    T(prctl(PR_GET_CHILD_SUBREAPER, &v));
    printf("%d\n", v);
    pid_t me = getpid();
    c = fork();
    if (c == 0) {
        pid_t parent = getpid();
        if (fork() == 0) {
            for (int i = 0; i < 1000 && getppid() == parent; i++) msleep(1);
            dprintf(p[1], "%s", getppid() == me ? "mine" : "elsewhere");
            _exit(7);
        }
        _exit(0);
    }
    reap("middle", c);
    n = read(p[0], b, sizeof b);
    printf("orphan: %.*s\n", (int)n, b);
    int st1;
    IS(wait(&st1) > 0);
    ended("adopted", st1);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    c = fork();
    if (c == 0) {
        int q[2];
        pipe(q);
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGUSR1);
            int s = 0;
            prctl(PR_GET_PDEATHSIG, &s);
            sigset_t m;
            sigemptyset(&m);
            sigaddset(&m, SIGUSR1);
            sigprocmask(SIG_BLOCK, &m, NULL);
            write(q[1], "r", 1);
            struct timespec t = {3, 0};
            int got = sigtimedwait(&m, NULL, &t);
            dprintf(p[1], "set %d got %d", s, got);
            _exit(0);
        }
        char r;
        read(q[0], &r, 1);
        msleep(30);
        _exit(0);
    }
    reap("middle", c);
    n = read(p[0], b, sizeof b);
    printf("orphan: %.*s\n", (int)n, b);
    return 0;
}
