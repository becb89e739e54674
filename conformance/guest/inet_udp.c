// subject: UDP on the loopback
#include "t.h"
int main(void) {
    int a = MUST(socket(AF_INET, SOCK_DGRAM, 0)), b = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    struct sockaddr_in x = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {0}}, y = x, f;
    T(bind(a, (void *)&x, sizeof x));
    T(bind(b, (void *)&y, sizeof y));
    socklen_t n = sizeof x;
    getsockname(a, (void *)&x, &n);
    getsockname(b, (void *)&y, &n);
    T(sendto(a, "ping", 4, 0, (void *)&y, sizeof y));
    char buf[64];
    n = sizeof f;
    T(recvfrom(b, buf, 64, 0, (void *)&f, &n));
    IS(f.sin_port == x.sin_port && f.sin_addr.s_addr == x.sin_addr.s_addr && n == 16);
    T(sendto(b, "", 0, 0, (void *)&f, n));
    T(recv(a, buf, 64, 0));
    T(send(a, "x", 1, 0));
    T(connect(a, (void *)&y, sizeof y));
    T(send(a, "conn", 4, 0));
    T(recv(b, buf, 2, MSG_TRUNC));
    n = sizeof f;
    T(getpeername(a, (void *)&f, &n));
    IS(f.sin_port == y.sin_port);
    int on = 1;
    T(setsockopt(b, IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
    T(send(a, "info", 4, 0));
    char c[256];
    struct iovec v = {buf, 64};
    struct msghdr m = {.msg_name = &f, .msg_namelen = sizeof f, .msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c};
    T(recvmsg(b, &m, 0));
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    IS(h && h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO);
    IS(f.sin_port == x.sin_port);
    struct iovec w = {"multi", 5};
    struct mmsghdr mm[2] = {{{.msg_iov = &w, .msg_iovlen = 1}, 0}, {{.msg_iov = &w, .msg_iovlen = 1}, 0}};
    T(sendmmsg(a, mm, 2, 0));
    T(recv(b, buf, 64, 0));
    T(recv(b, buf, 64, 0));
    close(b);
    T(send(a, "lost", 4, 0));
    msleep(20);
    T(send(a, "lost", 4, 0));
    f = (struct sockaddr_in){.sin_family = AF_UNSPEC};
    T(connect(a, (void *)&f, sizeof f));
    T(send(a, "x", 1, 0));
    char *big = calloc(1, 70000);
    T(sendto(a, big, 70000, 0, (void *)&y, sizeof y));
    T(sendto(a, big, 10, 0, (void *)8, sizeof y));
    int s6 = socket(AF_INET6, SOCK_DGRAM, 0);
    if (s6 >= 0) {
        struct sockaddr_in6 l6 = {AF_INET6, 0, 0, IN6ADDR_LOOPBACK_INIT, 0}, g6;
        int r = bind(s6, (void *)&l6, sizeof l6);
        if (r == 0) {
            n = sizeof l6;
            getsockname(s6, (void *)&l6, &n);
            T(sendto(s6, "six", 3, 0, (void *)&l6, sizeof l6));
            n = sizeof g6;
            T(recvfrom(s6, buf, 64, 0, (void *)&g6, &n));
            IS(n == 28 && g6.sin6_port == l6.sin6_port);
        }
    }
    return 0;
}
