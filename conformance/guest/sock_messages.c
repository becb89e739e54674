// subject: messages: peek, truncation, waiting for all, long ones whole, SIGPIPE, shutdown, time-outs
#include "t.h"
static volatile int pipes;
static void onpipe(int s) { (void)s; pipes++; }
static ssize_t msg(int fd, void *p, size_t n, int flags) {
    struct iovec v[3] = {{p, n / 3}, {(char *)p + n / 3, n / 3}, {(char *)p + n / 3 * 2, n - n / 3 * 2}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
    return sendmsg(fd, &m, flags);
}
static void *drain(void *p) {
    static char b[65536];
    long total = 0;
    unsigned sum = 0;
    ssize_t n;
    while ((n = read(*(int *)p, b, sizeof b)) > 0) {
        for (ssize_t i = 0; i < n; i++) sum = sum * 31 + (unsigned char)b[i];
        total += n;
        if (total < 400000) msleep(1);
    }
    printf("drained %ld sum %08x\n", total, sum);
    return NULL;
}
static int tcp[2];
static void pair_tcp(void) {
    int l = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    bind(l, (void *)&a, n);
    listen(l, 1);
    getsockname(l, (void *)&a, &n);
    tcp[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(tcp[0], (void *)&a, n);
    tcp[1] = accept(l, NULL, NULL);
    close(l);
}
static void long_message(const char *what, int *s, size_t size, int how) {
    char *p = malloc(size);
    for (size_t i = 0; i < size; i++) p[i] = i * 7 + (i >> 8);
    pthread_t t;
    pthread_create(&t, NULL, drain, &s[0]);
    ssize_t n = how == 0 ? msg(s[1], p, size, 0) : how == 1 ? sendto(s[1], p, size, 0, NULL, 0) : write(s[1], p, size);
    printf("%s: %d\n", what, n == (ssize_t)size);
    shutdown(s[1], SHUT_WR);
    pthread_join(t, NULL);
    close(s[0]);
    close(s[1]);
    free(p);
}
static double took(struct timespec *a) {
    struct timespec b;
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (b.tv_sec - a->tv_sec) + (b.tv_nsec - a->tv_nsec) / 1e9;
}
int main(void) {
    int s[2];
    char b[256];
    signal(SIGPIPE, onpipe);
    // Blocking calls send all of it, however long it takes.
    for (int how = 0; how < 3; how++) {
        socketpair(AF_UNIX, SOCK_STREAM, 0, s);
        long_message("unix", s, 3000001, how);
        pair_tcp();
        int t[2] = {tcp[1], tcp[0]};
        long_message("tcp", t, 9000001, how);
    }
    // Non-blocking ones what fits.
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s);
    static char big[4 << 20];
    ssize_t n = msg(s[0], big, sizeof big, 0);
    IS(n > 0 && n < (ssize_t)sizeof big);
    T(msg(s[0], big, sizeof big, 0));
    T(msg(s[0], big, 1, MSG_DONTWAIT));
    close(s[0]);
    close(s[1]);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    T(msg(s[0], big, sizeof big, 0));
    T(sendto(s[0], big, sizeof big, 0, NULL, 0));
    T(msg(s[0], "abcdef", 6, 0));
    T(recv(s[1], b, 3, MSG_PEEK));
    T(recv(s[1], b, 3, MSG_PEEK | MSG_TRUNC));
    struct iovec v[2] = {{b, 2}, {b + 10, 2}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    T(recvmsg(s[1], &m, 0));
    printf("flags %x %.2s %.2s\n", m.msg_flags, b, b + 10);
    T(msg(s[0], "", 0, 0));
    T(recvmsg(s[1], &m, 0));
    printf("flags %x\n", m.msg_flags);
    T(recvmsg(s[1], &m, MSG_DONTWAIT));
    // Waiting for all, from a slow sender.
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    pid_t c = fork();
    if (c == 0) {
        for (int i = 0; i < 4; i++) write(s[0], "1234", 4), msleep(20);
        close(s[0]);
        _exit(0);
    }
    close(s[0]);
    T(recv(s[1], b, 10, MSG_WAITALL));
    T(recv(s[1], b, 10, MSG_WAITALL));
    T(recv(s[1], b, 10, MSG_WAITALL));
    reap("sender", c);
    // Who reads no more, and who is told by a signal.
    int kinds[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    for (int i = 0; i < 3; i++) {
        socketpair(AF_UNIX, kinds[i], 0, s);
        shutdown(s[1], SHUT_RD);
        pipes = 0;
        T(msg(s[0], "x", 1, 0));
        T(msg(s[0], "x", 1, MSG_NOSIGNAL));
        T(sendto(s[0], "x", 1, 0, NULL, 0));
        printf("SIGPIPE %d\n", pipes);
        shutdown(s[0], SHUT_WR);
        pipes = 0;
        T(msg(s[0], "x", 1, 0));
        printf("SIGPIPE %d\n", pipes);
        T(recv(s[1], b, 1, MSG_DONTWAIT));
        close(s[1]);
        pipes = 0;
        T(msg(s[0], "x", 1, 0));
        printf("SIGPIPE %d\n", pipes);
        T(shutdown(s[0], 7));
        close(s[0]);
    }
    pair_tcp();
    shutdown(tcp[0], SHUT_WR);
    pipes = 0;
    T(msg(tcp[0], "x", 1, 0));
    printf("SIGPIPE %d\n", pipes);
    T(recv(tcp[1], b, 1, 0));
    T(msg(tcp[1], "back", 4, 0));
    T(recv(tcp[0], b, 9, 0));
    // Time-outs.
    struct timeval tv = {0, 60000};
    struct timespec t0;
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    T(recv(s[0], b, 1, 0));
    IS(took(&t0) >= 0.05 && took(&t0) < 1);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    n = msg(s[0], big, sizeof big, 0);
    IS(n > 0 && n < (ssize_t)sizeof big);
    T(msg(s[0], big, sizeof big, 0));
    IS(took(&t0) >= 0.1 && took(&t0) < 1);
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un un = {AF_UNIX, "slow"}, f;
    bind(l, (void *)&un, sizeof un);
    listen(l, 0);
    setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    socklen_t fn = sizeof f;
    T(accept(l, (void *)&f, &fn));
    IS(took(&t0) >= 0.05 && took(&t0) < 1);
    int k = socket(AF_UNIX, SOCK_STREAM, 0);
    T(connect(k, (void *)&un, sizeof un));
    k = socket(AF_UNIX, SOCK_STREAM, 0);
    setsockopt(k, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    T(connect(k, (void *)&un, sizeof un));
    IS(took(&t0) >= 0.05 && took(&t0) < 1);
    k = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    T(connect(k, (void *)&un, sizeof un));
    int d = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un dn = {AF_UNIX, "dslow"};
    bind(d, (void *)&dn, sizeof dn);
    setsockopt(d, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    fn = sizeof f;
    T(recvfrom(d, b, sizeof b, 0, (void *)&f, &fn));
    m = (struct msghdr){.msg_name = &f, .msg_namelen = sizeof f, .msg_iov = v, .msg_iovlen = 1};
    T(recvmsg(d, &m, 0));
    IS(took(&t0) >= 0.1 && took(&t0) < 1);
    int e = socket(AF_UNIX, SOCK_DGRAM, 0), sent = 0;
    setsockopt(e, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    while (sendto(e, "x", 1, 0, (void *)&dn, sizeof dn) == 1) sent++;
    printf("queue full: %s, %d\n", en(errno), sent > 0);
    // What is wrong with a message.
    m = (struct msghdr){.msg_iov = v, .msg_iovlen = 1025};
    T(sendmsg(e, &m, 0));
    T(recvmsg(d, &m, MSG_DONTWAIT));
    m = (struct msghdr){.msg_iov = (void *)8, .msg_iovlen = 1};
    T(sendmsg(e, &m, 0));
    T(sendmsg(e, (void *)8, 0));
    T(recvmsg(d, (void *)8, MSG_DONTWAIT));
    m = (struct msghdr){.msg_name = &dn, .msg_namelen = -1, .msg_iov = v, .msg_iovlen = 1};
    T(sendmsg(e, &m, 0));
    char ctl[16] = {3};
    m = (struct msghdr){.msg_iov = v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
    T(sendmsg(s[1], &m, 0));
    m.msg_controllen = 1UL << 40;
    T(sendmsg(s[1], &m, 0));
    T(sendmsg(99, &m, 0));
    T(sendmsg(0, &m, 0) == -1 && errno == ENOTSOCK);
    T(sendto(e, (void *)8, 10, 0, (void *)&dn, sizeof dn));
    T(sendto(s[1], "x", 1, 0, (void *)&dn, sizeof dn));
    T(sendto(socket(AF_UNIX, SOCK_STREAM, 0), "x", 1, 0, (void *)&dn, sizeof dn));
    T(msg(socket(AF_UNIX, SOCK_STREAM, 0), "x", 1, 0));
    return 0;
}
