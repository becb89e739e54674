// subject: job control on a terminal: ^C, ^Z, ^\, SIGWINCH, SIGTTOU, SIGTTIN, SIGHUP at hang-up
#include "t.h"
static volatile int got[65];
static void h(int s) { got[s]++; }
static void ready(int p) { write(p, "r", 1); }
static void await(int p) { char c; read(p, &c, 1); }
int main(void) {
    int m = MUST(posix_openpt(O_RDWR | O_NOCTTY));
    unlockpt(m);
    char *name = strdup(ptsname(m));
    int p[2], q[2];
    pipe(p);
    pipe(q);
    pid_t lead = fork();
    if (lead == 0) {
        close(m);
        setsid();
        int s = open(name, O_RDWR);
        IS(tcgetsid(s) == getpid());
        signal(SIGINT, h);
        signal(SIGQUIT, h);
        signal(SIGWINCH, h);
        signal(SIGTTOU, SIG_IGN);
        signal(SIGHUP, h);
        signal(SIGCONT, h);
        ready(p[1]);
        await(q[0]);
        IS(got[SIGINT] == 1);
        ready(p[1]);
        await(q[0]);
        IS(got[SIGQUIT] == 1);
        ready(p[1]);
        await(q[0]);
        IS(got[SIGWINCH] == 1);
        // A job in the foreground, stopped by ^Z.
        int go[2];
        pipe(go);
        pid_t job = fork();
        if (job == 0) {
            signal(SIGINT, SIG_DFL);
            setpgid(0, 0);
            await(go[0]);
            for (;;) pause();
        }
        setpgid(job, job);
        T(tcsetpgrp(s, job));
        IS(tcgetpgrp(s) == job);
        ready(go[1]);
        ready(p[1]);
        int status;
        IS(waitpid(job, &status, WUNTRACED) == job);
        ended("job", status);
        T(tcsetpgrp(s, getpgrp()));
        kill(-job, SIGCONT);
        IS(waitpid(job, &status, WCONTINUED) == job);
        ended("job", status);
        kill(-job, SIGINT);
        reap("job", job);
        // A background job that reads is stopped by SIGTTIN, one that sets the foreground group by SIGTTOU.
        job = fork();
        if (job == 0) {
            setpgid(0, 0);
            char c;
            read(s, &c, 1);
            _exit(0);
        }
        setpgid(job, job);
        IS(waitpid(job, &status, WUNTRACED) == job);
        ended("reader", status);
        kill(-job, SIGKILL);
        reap("reader", job);
        job = fork();
        if (job == 0) {
            signal(SIGTTOU, SIG_DFL);
            setpgid(0, 0);
            tcsetpgrp(s, getpgrp());
            _exit(0);
        }
        setpgid(job, job);
        IS(waitpid(job, &status, WUNTRACED) == job);
        ended("setter", status);
        kill(-job, SIGKILL);
        reap("setter", job);
        T(tcsetpgrp(s, 1));
        ready(p[1]);
        await(q[0]);
        while (!got[SIGHUP]) msleep(5);
        IS(got[SIGHUP] == 1 && got[SIGCONT] >= 1);
        char c;
        T(read(s, &c, 1));
        _exit(0);
    }
    char b[256];
    fcntl(m, F_SETFL, O_NONBLOCK);
    await(p[0]);
    write(m, "\003", 1);
    msleep(100);
    ready(q[1]);
    await(p[0]);
    write(m, "\034", 1);
    msleep(100);
    ready(q[1]);
    await(p[0]);
    struct winsize w = {50, 132, 0, 0};
    ioctl(m, TIOCSWINSZ, &w);
    msleep(100);
    ready(q[1]);
    await(p[0]);
    msleep(50);
    write(m, "\032", 1);
    await(p[0]);
    while (read(m, b, sizeof b) > 0) {}
    close(m);
    ready(q[1]);
    reap("leader", lead);
    return 0;
}
