// subject: signals during socket calls: EINTR and restarts where Linux has them, and nowhere else
#include "t.h"
static volatile int hits;
static void h(int s) { (void)s; hits++; }
static void handler(int flags) {
    struct sigaction a = {.sa_handler = h, .sa_flags = flags};
    sigaction(SIGALRM, &a, NULL);
}
static void after_ms(int ms) {
    struct itimerval t = {{0, 0}, {0, ms * 1000}};
    setitimer(ITIMER_REAL, &t, NULL);
}
static struct sockaddr_un un = {AF_UNIX, "l"}, dn = {AF_UNIX, "d"};
static int l, d, full, pend;
static struct sockaddr_in in;
static char buf[64], big[1 << 20];
static int t_accept(void) {
    struct sockaddr_un f;
    socklen_t n = sizeof f;
    return accept(l, (void *)&f, &n);
}
static int t_accept_in(void) {
    struct sockaddr_in f;
    socklen_t n = sizeof f;
    return accept(pend, (void *)&f, &n);
}
static int t_accept4_null(void) { return accept4(l, NULL, NULL, 0); }
static int udp;
static int t_recvfrom(void) {
    struct sockaddr_un f;
    socklen_t n = sizeof f;
    return recvfrom(d, buf, sizeof buf, 0, (void *)&f, &n);
}
static int t_recvfrom_in(void) {
    struct sockaddr_in f;
    socklen_t n = sizeof f;
    return recvfrom(udp, buf, sizeof buf, 0, (void *)&f, &n);
}
static int t_recvmsg(void) {
    struct sockaddr_un f;
    struct iovec v = {buf, sizeof buf};
    struct msghdr m = {.msg_name = &f, .msg_namelen = sizeof f, .msg_iov = &v, .msg_iovlen = 1};
    return recvmsg(d, &m, 0);
}
static int t_recvmsg_in(void) {
    struct iovec v = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return recvmsg(udp, &m, 0);
}
static int t_recvmmsg(void) {
    struct sockaddr_un f;
    struct iovec v = {buf, sizeof buf};
    struct mmsghdr m = {{.msg_name = &f, .msg_namelen = sizeof f, .msg_iov = &v, .msg_iovlen = 1}, 0};
    return recvmmsg(d, &m, 1, 0, NULL);
}
static int t_send(void) {
    struct iovec v = {big, sizeof big};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return sendmsg(full, &m, 0);
}
static int t_sendto(void) { return sendto(full, big, sizeof big, 0, NULL, 0); }
static int t_connect(void) { return connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&un, sizeof un); }
static struct {
    const char *name;
    int (*f)(void);
} calls[] = {{"accept", t_accept}, {"accept inet", t_accept_in}, {"accept4 null", t_accept4_null}, {"recvfrom", t_recvfrom},
             {"recvfrom inet", t_recvfrom_in}, {"recvmsg", t_recvmsg}, {"recvmsg inet", t_recvmsg_in}, {"recvmmsg", t_recvmmsg},
             {"sendmsg", t_send}, {"sendto", t_sendto}, {"connect", t_connect}};
static void fill(void) {
    int f[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, f);
    full = f[0];
    fcntl(full, F_SETFL, O_NONBLOCK);
    while (write(full, big, sizeof big) > 0) {}
    while (write(full, big, 1) > 0) {}
    fcntl(full, F_SETFL, 0);
}
static void timeouts(int *fds, int n) {
    struct timeval tv = {5, 0};
    for (int i = 0; i < n; i++) {
        setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
        setsockopt(fds[i], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    }
}
int main(void) {
    l = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    bind(l, (void *)&un, sizeof un);
    listen(l, 0);
    d = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    bind(d, (void *)&dn, sizeof dn);
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pend = MUST(socket(AF_INET, SOCK_STREAM, 0));
    bind(pend, (void *)&in, sizeof in);
    listen(pend, 1);
    udp = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    bind(udp, (void *)&in, sizeof in);
    fill();
    // A handler without SA_RESTART.
    handler(0);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (!strcmp(calls[i].name, "connect")) {
            connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&un, sizeof un);
        }
        hits = 0;
        after_ms(30);
        errno = 0;
        int r = calls[i].f();
        printf("%s: %d %s, %d\n", calls[i].name, r, en(errno), hits);
    }
    // What was sent before the signal counts.
    for (int how = 0; how < 3; how++) {
        int f[2];
        socketpair(AF_UNIX, SOCK_STREAM, 0, f);
        struct iovec v = {big, sizeof big};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
        hits = 0;
        after_ms(50);
        ssize_t n = how == 0 ? sendmsg(f[0], &m, 0) : how == 1 ? sendto(f[0], big, sizeof big, 0, NULL, 0) : write(f[0], big, sizeof big);
        printf("in part: %s, %d\n", n > 0 && n < (ssize_t)sizeof big ? "yes" : "no", hits);
        handler(how == 0 ? SA_RESTART : 0);
        close(f[0]);
        close(f[1]);
    }
    // A connection on its way that is interrupted goes on by itself.
    int full_in = MUST(socket(AF_INET, SOCK_STREAM, 0)), k;
    socklen_t len = sizeof in;
    struct sockaddr_in to;
    bind(full_in, (void *)&in, sizeof in);
    listen(full_in, 0);
    getsockname(full_in, (void *)&to, &len);
    connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&to, sizeof to);
    k = socket(AF_INET, SOCK_STREAM, 0);
    hits = 0;
    after_ms(50);
    T(connect(k, (void *)&to, sizeof to));
    fcntl(k, F_SETFL, O_NONBLOCK);
    T(connect(k, (void *)&to, sizeof to));
    fcntl(k, F_SETFL, 0);
    handler(SA_RESTART);
    after_ms(50);
    pid_t taker = fork();
    if (taker == 0) {
        msleep(200);
        accept(full_in, NULL, NULL);
        accept(full_in, NULL, NULL);
        for (;;) pause();
    }
    T(connect(k, (void *)&to, sizeof to));
    T(connect(k, (void *)&to, sizeof to));
    printf("signals %d\n", hits);
    kill(taker, SIGKILL);
    reap("taker", taker);
    // With time-outs it is EINTR whatever the handler asked for.
    int fds[] = {l, d, pend, udp, full};
    timeouts(fds, 5);
    handler(SA_RESTART);
    for (size_t i = 0; i < sizeof calls / sizeof *calls - 1; i++) {
        hits = 0;
        after_ms(30);
        errno = 0;
        int r = calls[i].f();
        if (r >= 0 && !strncmp(calls[i].name, "accept", 6)) close(r), r = 0;
        printf("bounded %s: %d %s, %d\n", calls[i].name, r, en(errno), hits);
    }
    struct timeval none = {0, 0};
    for (int i = 0; i < 5; i++) {
        setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
        setsockopt(fds[i], SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
    }
    // A storm. Restarted calls end by what a child does, and never by EINTR.
    handler(SA_RESTART);
    struct itimerval storm = {{0, 1000}, {0, 1000}};
    for (int with = 0; with < 2; with++) {
        pid_t c = fork();
        if (c == 0) {
            int e = socket(AF_UNIX, SOCK_DGRAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0);
            socklen_t n = sizeof in;
            struct sockaddr_in to = in, tt = in;
            getsockname(udp, (void *)&to, &n);
            getsockname(pend, (void *)&tt, &n);
            for (int i = 0; i < 100; i++) {
                sendto(e, "x", 1, 0, (void *)&dn, sizeof dn);
                sendto(u, "y", 1, 0, (void *)&to, sizeof to);
                int k = socket(AF_UNIX, SOCK_STREAM, 0);
                connect(k, (void *)&un, sizeof un);
                int t = socket(AF_INET, SOCK_STREAM, 0);
                connect(t, (void *)&tt, sizeof tt);
                close(k);
                close(t);
                msleep(2);
            }
            _exit(0);
        }
        hits = 0;
        setitimer(ITIMER_REAL, &storm, NULL);
        int bad = 0, eintr = 0;
        for (int i = 0; i < 100; i++) {
            int r[4] = {t_recvfrom(), t_recvfrom_in(), -1, -1};
            if (r[0] != 1 || r[1] != 1) bad++, eintr += errno == EINTR;
            r[2] = t_accept();
            if (r[2] < 0) bad++, eintr += errno == EINTR;
            r[3] = t_accept_in();
            if (r[3] < 0) bad++, eintr += errno == EINTR;
            close(r[2]);
            close(r[3]);
        }
        struct itimerval off = {{0, 0}, {0, 0}};
        setitimer(ITIMER_REAL, &off, NULL);
        printf("storm: %d failed, %d by EINTR, %s\n", bad, eintr, hits > 20 ? "many signals" : "few signals");
        reap("sender", c);
        // Drain what one more round may have left.
        fcntl(d, F_SETFL, O_NONBLOCK);
        fcntl(udp, F_SETFL, O_NONBLOCK);
        while (t_recvfrom() > 0) {}
        while (t_recvfrom_in() > 0) {}
        fcntl(d, F_SETFL, 0);
        fcntl(udp, F_SETFL, 0);
    }
    // Calls that do not wait are not interrupted, even by a handler without SA_RESTART.
    handler(0);
    fcntl(l, F_SETFL, O_NONBLOCK);
    fcntl(d, F_SETFL, O_NONBLOCK);
    fcntl(pend, F_SETFL, O_NONBLOCK);
    fcntl(udp, F_SETFL, O_NONBLOCK);
    fcntl(full, F_SETFL, O_NONBLOCK);
    setitimer(ITIMER_REAL, &storm, NULL);
    int wrong = 0, done = 0;
    hits = 0;
    for (int i = 0; i < 2000 || hits < 100; i++) {
        for (size_t k = 0; k + 1 < sizeof calls / sizeof *calls; k++) {
            errno = 0;
            int r = calls[k].f();
            if (r != -1 || errno != EAGAIN) {
                if (!wrong++) printf("%s: %d %s\n", calls[k].name, r, en(errno));
            }
            done++;
        }
        struct sockaddr_un f;
        socklen_t n = sizeof f;
        int e = socket(AF_UNIX, SOCK_DGRAM, 0);
        if (getsockname(l, (void *)&f, &n) < 0 || e < 0 || sendto(e, "x", 1, 0, (void *)&dn, sizeof dn) != 1
            || recv(d, buf, 9, 0) != 1 || connect(e, (void *)&dn, sizeof dn) < 0)
            if (!wrong++) printf("other: %s\n", en(errno));
        close(e);
    }
    struct itimerval off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &off, NULL);
    printf("without waiting: %d wrong\n", wrong);
    return 0;
}
