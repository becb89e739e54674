// subject: setsid, setpgid, getpgid, getsid and their errnos
#include "t.h"
int main(int argc, char **argv) {
    if (argc > 1) {
        (void)argv;
        char c;
        write(1, "e", 1);
        read(0, &c, 1);
        return 0;
    }
    IS(getpgrp() == getpid());
    IS(getsid(0) == getpid());
    T(setsid());
    T(setpgid(0, 0));
    T(setpgid(-1, 0));
    T(setpgid(0, -1));
    T(getpgid(-1));
    T(getsid(0x3fffffff));
    T(getpgid(0x3fffffff));
    CHILD("session", {
        IS(setsid() == getpid());
        IS(getpgrp() == getpid() && getsid(0) == getpid());
        T(setsid());
        T(setpgid(0, 0));
    });
    int p[2], q[2];
    pipe(p);
    pipe(q);
    pid_t a = fork();
    if (a == 0) {
        char c;
        read(p[0], &c, 1);
        _exit(0);
    }
    pid_t b = fork();
    if (b == 0) {
        char c;
        read(p[0], &c, 1);
        _exit(0);
    }
    IS(getpgid(a) == getpgrp());
    T(setpgid(a, a));
    IS(getpgid(a) == a);
    T(setpgid(b, a));
    IS(getpgid(b) == a);
    IS(getsid(a) == getsid(0));
    T(setpgid(b, 0x3fffffff));
    T(setpgid(getppid(), getppid()));
    T(setpgid(b, 0));
    IS(getpgid(b) == b);
    T(kill(-a, SIGTERM));
    reap("a", a);
    T(kill(-a, SIGTERM));
    write(p[1], "x", 1);
    reap("b", b);
    pid_t e = fork();
    if (e == 0) {
        dup2(p[0], 0);
        dup2(q[1], 1);
        execl(self, "self", "x", NULL);
        _exit(1);
    }
    char c;
    read(q[0], &c, 1);
    T(setpgid(e, e));
    kill(e, SIGKILL);
    reap("e", e);
    return 0;
}
