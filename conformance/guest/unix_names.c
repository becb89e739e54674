// subject: names of unix sockets: abstract, autobind, sources of datagrams, a socket reused after a failed connect
#include "t.h"
static socklen_t un(struct sockaddr_un *a, const char *name, size_t n) {
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    memcpy(a->sun_path, name, n);
    return offsetof(struct sockaddr_un, sun_path) + n;
}
static void said(const char *what, struct sockaddr_un *a, socklen_t n) {
    printf("%s: length %u", what, n);
    for (socklen_t i = 2; i < n && i < sizeof *a; i++) {
        unsigned char c = a->sun_path[i - 2];
        printf(c >= 32 && c < 127 ? " %c" : " %02x", c);
    }
    printf("\n");
}
static void own(const char *what, int fd) {
    struct sockaddr_un a;
    socklen_t n = sizeof a;
    if (getsockname(fd, (void *)&a, &n) < 0)
        printf("%s: %s\n", what, en(errno));
    else
        said(what, &a, n);
}
static void peer(const char *what, int fd) {
    struct sockaddr_un a;
    socklen_t n = sizeof a;
    if (getpeername(fd, (void *)&a, &n) < 0)
        printf("%s: %s\n", what, en(errno));
    else
        said(what, &a, n);
}
static int sock(int type) { return MUST(socket(AF_UNIX, type, 0)); }
int main(void) {
    struct sockaddr_un a, b, f;
    socklen_t an, n;
    char buf[64];
    // A stream socket without a name stays without one, on both sides.
    an = un(&a, "srv", 4);
    int l = sock(SOCK_STREAM), c = sock(SOCK_STREAM);
    T(bind(l, (void *)&a, an));
    own("bound with its NUL", l);
    listen(l, 4);
    T(connect(c, (void *)&a, an - 1));
    own("client", c);
    peer("client's peer", c);
    n = sizeof f;
    memset(&f, 0, sizeof f);
    int s = accept(l, (void *)&f, &n);
    said("accepted", &f, n);
    peer("server's peer", s);
    own("server", s);
    n = 1;
    int c2 = sock(SOCK_STREAM);
    connect(c2, (void *)&a, an);
    int s2 = accept(l, (void *)&f, &n);
    IS(s2 >= 0 && n == 2);
    write(c, "x", 1);
    n = sizeof f;
    T(recvfrom(s, buf, sizeof buf, 0, (void *)&f, &n));
    printf("source length %u\n", n);
    write(c, "y", 1);
    struct iovec v = {buf, sizeof buf};
    struct msghdr m = {.msg_name = &f, .msg_namelen = sizeof f, .msg_iov = &v, .msg_iovlen = 1};
    T(recvmsg(s, &m, 0));
    printf("source length %u\n", m.msg_namelen);
    // A client with a name tells it.
    int c3 = sock(SOCK_STREAM);
    socklen_t bn = un(&b, "client", 6);
    T(bind(c3, (void *)&b, bn));
    T(connect(c3, (void *)&a, an));
    n = sizeof f;
    int s3 = accept(l, (void *)&f, &n);
    said("accepted", &f, n);
    write(c3, "z", 1);
    n = sizeof f;
    T(recvfrom(s3, buf, sizeof buf, 0, (void *)&f, &n));
    said("source", &f, n);
    // After a failed connect the same socket may be bound, listen and be connected to.
    int r = sock(SOCK_STREAM);
    bn = un(&b, "later", 5);
    T(connect(r, (void *)&b, bn));
    own("after failure", r);
    T(bind(r, (void *)&b, bn));
    own("bound", r);
    T(listen(r, 1));
    int rc = sock(SOCK_STREAM);
    T(connect(rc, (void *)&b, bn));
    T(connect(rc, (void *)&b, bn));
    T(listen(rc, 1));
    // Bound and not listening; listening without a name.
    int d = sock(SOCK_STREAM);
    bn = un(&b, "deaf", 4);
    T(bind(d, (void *)&b, bn));
    T(connect(rc = sock(SOCK_STREAM), (void *)&b, bn));
    T(listen(sock(SOCK_STREAM), 1));
    T(accept(d, NULL, NULL));
    n = sizeof f;
    T(accept(d, (void *)&f, &n));
    close(d);
    T(connect(rc, (void *)&b, bn));
    unlink("deaf");
    T(connect(rc, (void *)&b, bn));
    // Abstract names: every byte counts.
    char name[64];
    int k = snprintf(name, sizeof name, "%cnames-%d", 0, getpid());
    bn = un(&b, name, k);
    int x = sock(SOCK_DGRAM), y = sock(SOCK_DGRAM);
    T(bind(x, (void *)&b, bn));
    T(bind(y, (void *)&b, bn));
    socklen_t longer = bn + 1;
    T(connect(y, (void *)&b, longer));
    T(connect(y, (void *)&b, bn));
    T(bind(x, (void *)&b, bn));
    memset(name, 'n', sizeof name);
    char big[108];
    memset(big, 'n', sizeof big);
    big[0] = 0;
    snprintf(big + 1, 20, "%d", getpid());
    socklen_t gn = un(&a, big, 108);
    int g = sock(SOCK_DGRAM);
    T(bind(g, (void *)&a, gn));
    n = sizeof f;
    T(getsockname(g, (void *)&f, &n));
    IS(n == gn && !memcmp(&f, &a, n));
    T(sendto(g, "big", 3, 0, (void *)&b, bn));
    n = sizeof f;
    T(recvfrom(x, buf, sizeof buf, 0, (void *)&f, &n));
    IS(n == gn && !memcmp(&f, &a, n));
    T(sendto(x, "back", 4, 0, (void *)&f, n));
    T(recv(g, buf, sizeof buf, 0));
    // Autobind: five digits; whoever knows them can send there.
    int u = sock(SOCK_DGRAM);
    sa_family_t fam = AF_UNIX;
    T(bind(u, (void *)&fam, sizeof fam));
    T(bind(u, (void *)&fam, sizeof fam));
    n = sizeof f;
    T(getsockname(u, (void *)&f, &n));
    IS(n == 8 && f.sun_path[0] == 0 && strspn(f.sun_path + 1, "0123456789abcdef") >= 5);
    T(sendto(x, "auto", 4, 0, (void *)&f, n));
    T(recv(u, buf, sizeof buf, 0));
    int on = 1, pc = sock(SOCK_STREAM);
    setsockopt(pc, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    an = un(&a, "srv", 3);
    T(connect(pc, (void *)&a, an));
    n = sizeof f;
    T(getsockname(pc, (void *)&f, &n));
    printf("autobound by SO_PASSCRED: %u\n", n);
    n = sizeof f;
    int spc = accept(l, (void *)&f, &n);
    printf("peer length %u\n", n);
    (void)spc;
    // Paths: 108 bytes without a NUL, a mode set before, a mode by umask, things in the way.
    memset(big, 'p', sizeof big);
    an = un(&a, big, 108);
    int p = sock(SOCK_STREAM);
    T(bind(p, (void *)&a, an));
    n = sizeof f;
    T(getsockname(p, (void *)&f, &n));
    printf("%u\n", n);
    listen(p, 1);
    T(connect(sock(SOCK_STREAM), (void *)&a, an));
    umask(027);
    p = sock(SOCK_STREAM);
    an = un(&a, "masked", 6);
    T(bind(p, (void *)&a, an));
    st("masked");
    umask(0);
    p = sock(SOCK_STREAM);
    an = un(&a, "open", 4);
    T(bind(p, (void *)&a, an));
    st("open");
    mkdir("dir", 0755);
    put("file", "");
    symlink("nowhere", "dangling");
    const char *bad[] = {"dir", "file", "dangling", "file/x", "none/x", "dir/", ".", "/", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        an = un(&a, bad[i], strlen(bad[i]) + 1);
        printf("%s ", bad[i]);
        T(bind(i == 8 ? -1 : sock(SOCK_STREAM), (void *)&a, an));
        if (i < 8) {
            printf("%s ", bad[i]);
            T(connect(sock(SOCK_STREAM), (void *)&a, an));
        }
    }
    an = un(&a, "nobody", 6);
    mkdir("shut", 0500);
    if (geteuid() != 0) {
        an = un(&a, "shut/x", 6);
        T(bind(sock(SOCK_STREAM), (void *)&a, an));
    }
    T(bind(sock(SOCK_STREAM), (void *)&a, 2 + 109));
    T(bind(sock(SOCK_STREAM), (void *)&a, 129));
    T(bind(sock(SOCK_STREAM), (void *)&a, -1));
    T(bind(sock(SOCK_STREAM), (void *)&a, 0));
    T(bind(sock(SOCK_STREAM), (void *)&a, 1));
    T(connect(sock(SOCK_STREAM), (void *)&a, 2));
    T(connect(sock(SOCK_DGRAM), (void *)&a, 2));
    T(connect(sock(SOCK_STREAM), (void *)&a, 0));
    T(bind(0, (void *)&a, an) == -1 && errno == ENOTSOCK);
    T(getsockname(99, (void *)&a, &n));
    T(socket(AF_UNIX, SOCK_RAW, 0) >= 0);
    T(socket(AF_UNIX, SOCK_RDM, 0));
    T(socket(AF_UNIX, SOCK_STREAM, 5));
    T(socket(AF_UNIX, SOCK_STREAM, AF_UNIX) >= 0);
    T(socket(AF_UNIX, SOCK_STREAM | 0x100, 0));
    T(socket(-1, SOCK_STREAM, 0));
    T(socket(AF_INET, 15, 0));
    // Datagrams between bound, connected and disconnected sockets.
    int e = sock(SOCK_DGRAM), h = sock(SOCK_DGRAM);
    an = un(&a, "e", 1);
    bn = un(&b, "h", 1);
    bind(e, (void *)&a, an);
    bind(h, (void *)&b, bn);
    T(connect(e, (void *)&b, bn));
    peer("e's peer", e);
    int third = sock(SOCK_DGRAM);
    T(sendto(third, "no", 2, 0, (void *)&a, an));
    T(sendto(h, "yes", 3, 0, (void *)&a, an));
    n = sizeof f;
    T(recvfrom(e, buf, sizeof buf, 0, (void *)&f, &n));
    said("source", &f, n);
    T(sendto(third, "anon", 4, 0, (void *)&b, bn));
    n = sizeof f;
    T(recvfrom(h, buf, sizeof buf, 0, (void *)&f, &n));
    printf("source length %u\n", n);
    rename("h", "h2");
    T(send(e, "moved", 5, 0));
    T(recv(h, buf, sizeof buf, 0));
    own("h after rename", h);
    unlink("h2");
    own("h after unlink", h);
    close(h);
    T(send(e, "gone", 4, 0));
    peer("e's peer", e);
    return 0;
}
