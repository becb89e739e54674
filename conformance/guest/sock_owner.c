// subject: who is told of a descriptor by signals: F_SETOWN, F_SETOWN_EX, FIOSETOWN, O_ASYNC, F_SETSIG
#include "t.h"
#include <sys/ioctl.h>
static volatile int got, from_fd, band;
static void h(int s, siginfo_t *i, void *u) {
    (void)u;
    got = s;
    from_fd = i->si_fd;
    band = i->si_code;
}
static void wait_for_it(void) {
    for (int i = 0; i < 200 && !got; i++) msleep(1);
}
int main(void) {
    int s[2], v;
    setpgid(0, 0);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGIO, &a, NULL);
    sigaction(SIGURG, &a, NULL);
    sigaction(SIGRTMIN, &a, NULL);
    T(fcntl(s[0], F_GETOWN));
    T(fcntl(s[0], F_SETOWN, getpid()));
    IS(fcntl(s[0], F_GETOWN) == getpid());
    struct f_owner_ex o = {-1, -1};
    T(fcntl(s[0], F_GETOWN_EX, &o));
    IS(o.type == F_OWNER_PID && o.pid == getpid());
    T(fcntl(s[0], F_SETFL, O_ASYNC | O_NONBLOCK));
    T(write(s[1], "x", 1));
    wait_for_it();
    IS(got == SIGIO);
    got = 0;
    T(fcntl(s[0], F_SETSIG, SIGRTMIN));
    T(write(s[1], "x", 1));
    wait_for_it();
    IS(got == SIGRTMIN && from_fd == s[0] && band == POLL_IN);
    T(fcntl(s[0], F_GETSIG) == SIGRTMIN);
    T(fcntl(s[0], F_SETSIG, 0));
    got = 0;
    T(fcntl(s[0], F_SETOWN, -getpgrp()));
    IS(fcntl(s[0], F_GETOWN) == -getpgrp() || errno == 0);
    T(fcntl(s[0], F_GETOWN_EX, &o));
    IS(o.type == F_OWNER_PGRP && o.pid == getpgrp());
    T(write(s[1], "x", 1));
    wait_for_it();
    IS(got == SIGIO);
    o = (struct f_owner_ex){F_OWNER_TID, getpid()};
    T(fcntl(s[0], F_SETOWN_EX, &o));
    o = (struct f_owner_ex){-1, -1};
    T(fcntl(s[0], F_GETOWN_EX, &o));
    IS(o.type == F_OWNER_TID && o.pid == getpid());
    o = (struct f_owner_ex){7, getpid()};
    T(fcntl(s[0], F_SETOWN_EX, &o));
    T(fcntl(s[0], F_SETOWN_EX, (void *)8));
    T(fcntl(s[0], F_SETOWN, 0x3fffffff));
    T(fcntl(s[0], F_SETOWN, 0));
    T(fcntl(s[0], F_GETOWN));
    T(fcntl(99, F_SETOWN, getpid()));
    v = getpid();
    T(ioctl(s[0], FIOSETOWN, &v));
    v = 0;
    T(ioctl(s[0], FIOGETOWN, &v));
    IS(v == getpid());
    v = -getpgrp();
    T(ioctl(s[0], SIOCSPGRP, &v));
    v = 0;
    T(ioctl(s[0], SIOCGPGRP, &v));
    IS(v == -getpgrp());
    int p[2];
    pipe(p);
    T(ioctl(p[0], FIOGETOWN, &v));
    T(fcntl(p[0], F_SETOWN, getpid()));
    v = 1;
    T(ioctl(p[0], FIOASYNC, &v));
    got = 0;
    T(write(p[1], "x", 1));
    wait_for_it();
    IS(got == SIGIO);
    // Inherited, shared by duplicates.
    int d = dup(p[0]);
    IS(fcntl(d, F_GETOWN) == getpid());
    CHILD("child", {
        IS(fcntl(d, F_GETOWN) == getppid());
        T(fcntl(d, F_SETOWN, getpid()));
    });
    T(fcntl(p[0], F_GETOWN) == getpid());
    // Urgent data.
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;
    bind(l, (void *)&in, n);
    listen(l, 1);
    getsockname(l, (void *)&in, &n);
    connect(c, (void *)&in, n);
    int k = accept(l, NULL, NULL);
    T(fcntl(k, F_SETOWN, getpid()));
    got = 0;
    T(send(c, "u", 1, MSG_OOB));
    wait_for_it();
    IS(got == SIGURG);
    char b;
    T(recv(k, &b, 1, MSG_OOB));
    T(ioctl(k, SIOCATMARK, &v));
    T(ioctl(k, FIONREAD, &v));
    T(ioctl(k, TIOCOUTQ, &v));
    T(ioctl(k, 0x12345678, &v));
    T(ioctl(p[0], SIOCATMARK, &v));
    T(fcntl(s[0], 77, 0));
    T(fcntl(s[0], F_SETLEASE, F_RDLCK));
    return 0;
}
