// subject: credentials and descriptors on unix sockets: SO_PEERCRED, SCM_CREDENTIALS by every way of sending, truncation
#include "t.h"
static const char *who(struct ucred *u, pid_t pid) {
    if (u->pid == pid && u->uid == getuid() && u->gid == getgid()) return "right";
    if (u->pid == 0 && u->uid == 65534 && u->gid == 65534) return "nobody";
    if (u->pid == 0 && u->uid == -1u && u->gid == -1u) return "none";
    static char b[64];
    snprintf(b, sizeof b, "pid %s uid %d gid %d", u->pid == pid ? "right" : "wrong", u->uid == getuid(), u->gid == getgid());
    return b;
}
static void peercred(const char *what, int fd, pid_t pid) {
    struct ucred u = {-7, 7, 7};
    socklen_t n = sizeof u;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &n) < 0)
        printf("%s: %s\n", what, en(errno));
    else
        printf("%s: %s, %u bytes\n", what, who(&u, pid), n);
}
// Receives with room for `room` bytes of control data and says what came.
static void receive(const char *what, int fd, pid_t pid, size_t room, int flags) {
    char c[512], b[64];
    struct iovec v = {b, sizeof b};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room ? c : NULL, .msg_controllen = room};
    ssize_t n = recvmsg(fd, &m, flags);
    printf("%s: %zd %s, flags %x, control %zu:", what, n, n < 0 ? en(errno) : "", m.msg_flags, (size_t)m.msg_controllen);
    if (n >= 0)
        for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
            if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS && h->cmsg_len >= CMSG_LEN(sizeof(struct ucred))) {
                struct ucred u;
                memcpy(&u, CMSG_DATA(h), sizeof u);
                printf(" credentials %s", who(&u, pid));
            } else if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
                int k = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int), *f = (int *)CMSG_DATA(h);
                printf(" %d descriptors", k);
                for (int i = 0; i < k; i++) {
                    printf(" %s%s", fcntl(f[i], F_GETFD) & FD_CLOEXEC ? "cloexec" : "kept", fcntl(f[i], F_GETFL) < 0 ? " bad" : "");
                    close(f[i]);
                }
            } else
                printf(" (%d, %d, %zu)", h->cmsg_level, h->cmsg_type, (size_t)h->cmsg_len);
        }
    printf("\n");
}
static ssize_t sendwith(int s, struct sockaddr_un *to, int *fds, int nfds, struct ucred *u) {
    char c[1024];
    memset(c, 0, sizeof c);
    struct iovec v = {"m", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c};
    if (to) m.msg_name = to, m.msg_namelen = sizeof *to;
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    size_t used = 0;
    if (nfds) {
        h->cmsg_len = CMSG_LEN(nfds * sizeof(int)), h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(h), fds, nfds * sizeof(int));
        used += CMSG_SPACE(nfds * sizeof(int));
    }
    if (u) {
        h = (struct cmsghdr *)(c + used);
        h->cmsg_len = CMSG_LEN(sizeof *u), h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_CREDENTIALS;
        memcpy(CMSG_DATA(h), u, sizeof *u);
        used += CMSG_SPACE(sizeof *u);
    }
    m.msg_controllen = used;
    if (!used) m.msg_control = NULL;
    return sendmsg(s, &m, 0);
}
int main(void) {
    int s[2], on = 1, off = 0, p[2];
    pid_t me = getpid();
    pipe(p);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    peercred("pair", s[0], me);
    // Sent before anybody asked.
    write(s[1], "early", 5);
    setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    receive("before", s[0], me, 256, 0);
    T(write(s[1], "w", 1));
    receive("write", s[0], me, 256, 0);
    T(send(s[1], "s", 1, 0));
    receive("send", s[0], me, 256, 0);
    T(sendwith(s[1], NULL, NULL, 0, NULL));
    receive("sendmsg", s[0], me, 256, 0);
    struct ucred u = {me, getuid(), getgid()};
    T(sendwith(s[1], NULL, NULL, 0, &u));
    receive("said", s[0], me, 256, 0);
    T(sendwith(s[1], NULL, p, 2, NULL));
    receive("with descriptors", s[0], me, 256, MSG_CMSG_CLOEXEC);
    T(sendwith(s[1], NULL, p, 2, &u));
    receive("both", s[0], me, 256, 0);
    T(sendwith(s[1], NULL, p, 2, NULL));
    receive("peek", s[0], me, 256, MSG_PEEK);
    receive("after peek", s[0], me, 256, 0);
    // Not enough room, in every size.
    for (size_t room = 0; room <= 72; room += 8) {
        char what[32];
        snprintf(what, sizeof what, "room %zu", room);
        sendwith(s[1], NULL, p, 2, NULL);
        receive(what, s[0], me, room, 0);
    }
    setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &off, sizeof off);
    for (size_t room = 0; room <= 32; room += 4) {
        char what[32];
        snprintf(what, sizeof what, "room %zu", room);
        sendwith(s[1], NULL, p, 2, NULL);
        receive(what, s[0], me, room, 0);
    }
    T(write(s[1], "n", 1));
    receive("not asked", s[0], me, 256, 0);
    // From a child, whose pid it is then; the child may be dead when it is read.
    setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    pid_t c = fork();
    if (c == 0) {
        write(s[1], "1", 1);
        sendwith(s[1], NULL, NULL, 0, NULL);
        _exit(0);
    }
    receive("child, write", s[0], c, 256, 0);
    receive("child, sendmsg", s[0], c, 256, 0);
    reap("child", c);
    // Lies.
    struct ucred lie = {me, getuid() + 1, getgid()};
    if (getuid() != 0) {
        T(sendwith(s[1], NULL, NULL, 0, &lie));
        lie = (struct ucred){me, getuid(), getgid() + 1};
        T(sendwith(s[1], NULL, NULL, 0, &lie));
        lie = (struct ucred){getppid(), getuid(), getgid()};
        T(sendwith(s[1], NULL, NULL, 0, &lie));
    }
    int bad[2] = {p[0], 99};
    T(sendwith(s[1], NULL, bad, 2, NULL));
    receive("nothing", s[0], me, 256, MSG_DONTWAIT);
    // Streams: connecting, accepting, listening; names or none.
    struct sockaddr_un a = {AF_UNIX, "sock"}, b = {AF_UNIX, "client"};
    int l = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    peercred("fresh", l, me);
    bind(l, (void *)&a, sizeof a);
    peercred("bound", l, me);
    listen(l, 5);
    peercred("listener", l, me);
    for (int named = 0; named < 2; named++) {
        int q[2];
        pipe(q);
        c = fork();
        if (c == 0) {
            char x;
            int k = socket(AF_UNIX, SOCK_STREAM, 0);
            if (named) bind(k, (void *)&b, sizeof b);
            connect(k, (void *)&a, sizeof a);
            peercred("client sees", k, getppid());
            write(q[1], "x", 1);
            setsockopt(k, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
            write(q[1], "x", 1);
            receive("client gets", k, getppid(), 256, 0);
            read(k, &x, 1);
            _exit(0);
        }
        char x;
        read(q[0], &x, 1);
        int k = accept(l, NULL, NULL);
        peercred("server sees", k, c);
        read(q[0], &x, 1);
        sendwith(k, NULL, NULL, 0, NULL);
        msleep(50);
        close(k);
        reap("client", c);
    }
    gid_t g[64];
    socklen_t n = sizeof g;
    int k = socket(AF_UNIX, SOCK_STREAM, 0);
    connect(k, (void *)&a, sizeof a);
    T(getsockopt(k, SOL_SOCKET, SO_PEERGROUPS, g, &n));
    n = 5;
    struct ucred t = {-1, -1, -1};
    T(getsockopt(k, SOL_SOCKET, SO_PEERCRED, &t, &n));
    IS(n == 5 && t.pid == me);
    n = -1;
    T(getsockopt(k, SOL_SOCKET, SO_PEERCRED, &t, &n));
    int i4 = socket(AF_INET, SOCK_STREAM, 0);
    peercred("inet", i4, me);
    // Stream data with descriptors does not run together with what is before it.
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    write(s[1], "aa", 2);
    sendwith(s[1], NULL, p, 1, NULL);
    write(s[1], "bb", 2);
    receive("first", s[0], me, 256, 0);
    receive("second", s[0], me, 256, 0);
    write(s[1], "cc", 2);
    sendwith(s[1], NULL, p, 1, NULL);
    char buf[8];
    T(read(s[0], buf, 8));
    receive("lost", s[0], me, 256, MSG_DONTWAIT);
    // A datagram to a name, with everything.
    int d = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un dn = {AF_UNIX, "dgram"};
    bind(d, (void *)&dn, sizeof dn);
    setsockopt(d, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    c = fork();
    if (c == 0) {
        int e = socket(AF_UNIX, SOCK_DGRAM, 0);
        struct ucred m = {getpid(), getuid(), getgid()};
        T(sendwith(e, &dn, p, 1, &m));
        T(sendto(e, "to", 2, 0, (void *)&dn, sizeof dn));
        _exit(0);
    }
    reap("sender", c);
    receive("datagram", d, c, 256, 0);
    receive("datagram", d, c, 256, 0);
    IS(open("/dev/null", O_RDONLY) < 40);
    return 0;
}
