// subject: inet sockets: connections on their way, options of one packet, both families, errors, reading by recvmsg
#include "t.h"
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/udp.h>
static socklen_t lo4(struct sockaddr_in *a, int port) {
    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return sizeof *a;
}
int main(void) {
    struct sockaddr_in a, b, f;
    socklen_t n = lo4(&a, 0);
    char buf[2048];
    int on = 1, v;
    // Listening without a name takes one.
    int l = socket(AF_INET, SOCK_STREAM, 0);
    T(listen(l, 1));
    T(getsockname(l, (void *)&b, &n));
    IS(b.sin_port != 0);
    a.sin_port = b.sin_port;
    // A connection that is asked for without waiting.
    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    T(connect(c, (void *)&a, sizeof a));
    struct pollfd p = {c, POLLOUT, 0};
    T(poll(&p, 1, 2000));
    n = sizeof v;
    T(getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &n));
    printf("error %d\n", v);
    T(connect(c, (void *)&a, sizeof a));
    T(connect(c, (void *)&a, sizeof a));
    n = sizeof f;
    int s = accept(l, (void *)&f, &n);
    socklen_t m = sizeof b;
    getsockname(c, (void *)&b, &m);
    IS(n == sizeof f && f.sin_port == b.sin_port && f.sin_addr.s_addr == b.sin_addr.s_addr);
    n = 6;
    memset(&f, 0, sizeof f);
    T(getpeername(c, (void *)&f, &n));
    printf("%u %d\n", n, f.sin_port == a.sin_port);
    // Refused, in both ways.
    int dead = socket(AF_INET, SOCK_STREAM, 0);
    n = lo4(&b, 0);
    bind(dead, (void *)&b, n);
    getsockname(dead, (void *)&b, &n);
    c = socket(AF_INET, SOCK_STREAM, 0);
    T(connect(c, (void *)&b, n));
    T(connect(c, (void *)&a, sizeof a));
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(c, (void *)&b, n);
    p = (struct pollfd){c, POLLOUT, 0};
    poll(&p, 1, 2000);
    printf("revents %x\n", p.revents);
    T(connect(c, (void *)&b, n));
    // Addresses that cannot be.
    c = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_un un = {AF_UNIX, "x"};
    T(connect(c, (void *)&un, sizeof un));
    T(connect(c, (void *)&a, 4));
    T(bind(c, (void *)&un, sizeof un));
    T(bind(c, (void *)&a, 8));
    b.sin_addr.s_addr = htonl(0x01020304);
    b.sin_port = 0;
    T(bind(c, (void *)&b, sizeof b));
    sa_family_t none = AF_UNSPEC;
    T(connect(c, (void *)&none, sizeof none));
    T(accept(c, (void *)&f, &n));
    T(accept(socket(AF_INET, SOCK_DGRAM, 0), (void *)&f, &n));
    T(listen(socket(AF_INET, SOCK_DGRAM, 0), 1));
    T(getpeername(c, (void *)&f, &n));
    // The same port twice.
    int r = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_addr.s_addr = htonl(INADDR_ANY);
    T(bind(r, (void *)&a, sizeof a));
    // Datagrams: control data in both directions, many at once, connected and not.
    int u = socket(AF_INET, SOCK_DGRAM, 0), w = socket(AF_INET, SOCK_DGRAM, 0);
    n = lo4(&a, 0);
    bind(u, (void *)&a, n);
    getsockname(u, (void *)&a, &n);
    setsockopt(u, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    setsockopt(u, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
    setsockopt(u, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    char ctl[256];
    memset(ctl, 0, sizeof ctl);
    struct iovec io = {"data", 4};
    struct msghdr mh = {.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &io, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(4) * 2};
    struct cmsghdr *h = CMSG_FIRSTHDR(&mh);
    h->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)), h->cmsg_level = IPPROTO_IP, h->cmsg_type = IP_PKTINFO;
    struct in_pktinfo pi = {.ipi_spec_dst.s_addr = htonl(0x7f000005)};
    memcpy(CMSG_DATA(h), &pi, sizeof pi);
    h = CMSG_NXTHDR(&mh, h);
    h->cmsg_len = CMSG_LEN(4), h->cmsg_level = IPPROTO_IP, h->cmsg_type = IP_TTL;
    v = 9;
    memcpy(CMSG_DATA(h), &v, 4);
    h = CMSG_NXTHDR(&mh, h);
    h->cmsg_len = CMSG_LEN(4), h->cmsg_level = IPPROTO_IP, h->cmsg_type = IP_TOS;
    v = 0x28;
    memcpy(CMSG_DATA(h), &v, 4);
    T(sendmsg(w, &mh, 0));
    io = (struct iovec){buf, sizeof buf};
    mh = (struct msghdr){.msg_name = &f, .msg_namelen = sizeof f, .msg_iov = &io, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
    T(recvmsg(u, &mh, 0));
    printf("from %s\n", inet_ntoa(f.sin_addr));
    for (h = CMSG_FIRSTHDR(&mh); h; h = CMSG_NXTHDR(&mh, h)) {
        if (h->cmsg_type == IP_PKTINFO) {
            memcpy(&pi, CMSG_DATA(h), sizeof pi);
            printf("pktinfo %s\n", inet_ntoa(pi.ipi_addr));
        } else
            printf("type %d value %d\n", h->cmsg_type, *CMSG_DATA(h));
    }
#ifdef UDP_SEGMENT
    v = 100;
    memset(ctl, 0, sizeof ctl);
    io = (struct iovec){buf, 250};
    mh = (struct msghdr){.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &io, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = CMSG_SPACE(2)};
    h = CMSG_FIRSTHDR(&mh);
    h->cmsg_len = CMSG_LEN(2), h->cmsg_level = IPPROTO_UDP, h->cmsg_type = UDP_SEGMENT;
    memcpy(CMSG_DATA(h), &v, 2);
    T(sendmsg(w, &mh, 0));
    T(recv(u, buf, sizeof buf, 0));
    T(recv(u, buf, sizeof buf, 0));
    T(recv(u, buf, sizeof buf, 0));
#endif
    h = (struct cmsghdr *)ctl;
    h->cmsg_len = CMSG_LEN(2), h->cmsg_level = IPPROTO_IP, h->cmsg_type = 99;
    T(sendmsg(w, &mh, 0));
    T(connect(w, (void *)&a, sizeof a));
    T(send(w, "conn", 4, 0));
    n = sizeof f;
    T(recvfrom(u, buf, sizeof buf, 0, (void *)&f, &n));
    T(sendto(u, "reply", 5, 0, (void *)&f, n));
    T(recv(w, buf, sizeof buf, 0));
    int third = socket(AF_INET, SOCK_DGRAM, 0);
    T(sendto(third, "stranger", 8, 0, (void *)&f, n));
    T(recv(w, buf, sizeof buf, MSG_DONTWAIT));
    T(connect(w, (void *)&none, sizeof none));
    T(send(w, "x", 1, 0));
    T(sendto(w, "free", 4, 0, (void *)&a, sizeof a));
    n = sizeof f;
    T(recvfrom(u, buf, 2, MSG_TRUNC, (void *)&f, &n));
    struct iovec vv[3] = {{"1", 1}, {"22", 2}, {"333", 3}};
    struct mmsghdr mm[3];
    memset(mm, 0, sizeof mm);
    for (int i = 0; i < 3; i++) mm[i].msg_hdr = (struct msghdr){.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &vv[i], .msg_iovlen = 1};
    T(sendmmsg(w, mm, 3, 0));
    char bb[4][8];
    struct sockaddr_in ff[4];
    struct mmsghdr rr[4];
    memset(rr, 0, sizeof rr);
    struct iovec rv[4];
    for (int i = 0; i < 4; i++) {
        rv[i] = (struct iovec){bb[i], 8};
        rr[i].msg_hdr = (struct msghdr){.msg_name = &ff[i], .msg_namelen = sizeof ff[i], .msg_iov = &rv[i], .msg_iovlen = 1};
    }
    T(recvmmsg(u, rr, 4, MSG_WAITFORONE, NULL));
    printf("%u %u %u, same sender %d\n", rr[0].msg_len, rr[1].msg_len, rr[2].msg_len, ff[0].sin_port == ff[2].sin_port);
    struct timespec ts = {0, 30000000};
    T(recvmmsg(u, rr, 4, MSG_DONTWAIT, &ts));
    // Errors come back by the queue.
    setsockopt(w, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    close(u);
    T(sendto(w, "lost", 4, 0, (void *)&a, sizeof a));
    msleep(20);
    memset(ctl, 0, sizeof ctl);
    io = (struct iovec){buf, sizeof buf};
    mh = (struct msghdr){.msg_name = &f, .msg_namelen = sizeof f, .msg_iov = &io, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
    T(recvmsg(w, &mh, MSG_ERRQUEUE));
    printf("flags %x to the same port %d\n", mh.msg_flags, f.sin_port == a.sin_port);
    for (h = CMSG_FIRSTHDR(&mh); h; h = CMSG_NXTHDR(&mh, h))
        if (h->cmsg_type == IP_RECVERR) printf("errno %u\n", ((struct sock_extended_err *)CMSG_DATA(h))->ee_errno);
    // The other family.
    int l6 = socket(AF_INET6, SOCK_STREAM, 0);
    if (l6 >= 0) {
        struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT}, f6;
        T(bind(l6, (void *)&a6, sizeof a6));
        T(listen(l6, 4));
        n = sizeof a6;
        getsockname(l6, (void *)&a6, &n);
        n = lo4(&a, ntohs(a6.sin6_port));
        T(connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&a, n));
        n = sizeof f6;
        IS(accept4(l6, (void *)&f6, &n, SOCK_NONBLOCK) >= 0);
        char text[64];
        printf("%u %s\n", n, inet_ntop(AF_INET6, &f6.sin6_addr, text, sizeof text));
        T(connect(socket(AF_INET6, SOCK_STREAM, 0), (void *)&a, sizeof a));
    }
    // Options.
    T(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    T(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &on, 1));
    T(setsockopt(l, SOL_SOCKET, SO_MARK, &on, sizeof on));
    n = sizeof v;
    T(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &n));
    T(getsockopt(s, SOL_SOCKET, SO_DOMAIN, &v, &n));
    T(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &n));
    T(getsockopt(s, SOL_SOCKET, 12345, &v, &n));
    T(setsockopt(s, SOL_SOCKET, 12345, &v, n));
    T(getsockopt(p.fd, 99, 1, &v, &n));
    struct linger li = {1, 0};
    T(setsockopt(s, SOL_SOCKET, SO_LINGER, &li, sizeof li));
    close(s);
    T(if_nametoindex("lo"));
    T(if_nametoindex("nosuch0"));
    char name[IF_NAMESIZE];
    IS(if_indextoname(1, name) && !strcmp(name, "lo"));
    struct ifreq q;
    memset(&q, 0, sizeof q);
    strcpy(q.ifr_name, "lo");
    T(ioctl(l, SIOCGIFADDR, &q));
    printf("%s\n", inet_ntoa(((struct sockaddr_in *)&q.ifr_addr)->sin_addr));
    T(ioctl(l, SIOCGIFFLAGS, &q));
    IS((q.ifr_flags & (IFF_UP | IFF_LOOPBACK)) == (IFF_UP | IFF_LOOPBACK));
    T(ioctl(l, SIOCGIFMTU, &q));
    T(ioctl(l, SIOCSIFMTU, &q));
    struct ifconf ic = {.ifc_len = 0};
    T(ioctl(l, SIOCGIFCONF, &ic));
    IS(ic.ifc_len > 0 && ic.ifc_len % sizeof q == 0);
    T(ioctl(1, SIOCGIFMTU, &q) == -1 && errno == ENOTTY);
    return 0;
}
