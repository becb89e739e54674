// subject: unix datagram and seqpacket sockets
#include "t.h"
static struct sockaddr_un U(const char *p) {
    struct sockaddr_un a = {AF_UNIX, ""};
    strncpy(a.sun_path, p, sizeof a.sun_path);
    return a;
}
int main(void) {
    struct sockaddr_un a = U("a"), b = U("b"), f;
    int x = MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), y = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    T(bind(x, (void *)&a, sizeof a));
    T(bind(y, (void *)&b, sizeof b));
    T(sendto(x, "hello", 5, 0, (void *)&b, sizeof b));
    char buf[64];
    socklen_t n = sizeof f;
    memset(&f, 0, sizeof f);
    T(recvfrom(y, buf, sizeof buf, 0, (void *)&f, &n));
    printf("from %s length %u\n", f.sun_path, n);
    T(sendto(x, "", 0, 0, (void *)&b, sizeof b));
    T(recv(y, buf, sizeof buf, 0));
    T(sendto(x, "long message", 12, 0, (void *)&b, sizeof b));
    T(recv(y, buf, 4, MSG_TRUNC));
    T(recv(y, buf, 4, MSG_DONTWAIT));
    T(send(x, "x", 1, 0));
    T(connect(x, (void *)&b, sizeof b));
    T(send(x, "conn", 4, 0));
    T(recv(y, buf, sizeof buf, 0));
    struct sockaddr_un none = U("none");
    T(sendto(x, "x", 1, 0, (void *)&none, sizeof none));
    sa_family_t un = AF_UNSPEC;
    T(connect(x, (void *)&un, sizeof un));
    T(send(x, "x", 1, 0));
    struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
    struct msghdr m = {.msg_name = &b, .msg_namelen = sizeof b, .msg_iov = v, .msg_iovlen = 2};
    T(sendmsg(x, &m, 0));
    struct iovec r = {buf, sizeof buf};
    struct msghdr rm = {.msg_name = &f, .msg_namelen = sizeof f, .msg_iov = &r, .msg_iovlen = 1};
    T(recvmsg(y, &rm, 0));
    printf("from %s\n", f.sun_path);
    struct mmsghdr mm[3] = {{m, 0}, {m, 0}, {m, 0}};
    T(sendmmsg(x, mm, 3, 0));
    printf("%u %u %u\n", mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
    char bufs[4][16];
    struct iovec rv[4];
    struct mmsghdr rmm[4];
    memset(rmm, 0, sizeof rmm);
    for (int i = 0; i < 4; i++) {
        rv[i] = (struct iovec){bufs[i], 16};
        rmm[i].msg_hdr.msg_iov = &rv[i];
        rmm[i].msg_hdr.msg_iovlen = 1;
    }
    T(recvmmsg(y, rmm, 4, MSG_DONTWAIT, NULL));
    close(y);
    T(sendto(x, "x", 1, 0, (void *)&b, sizeof b));
    unlink("b");
    T(sendto(x, "x", 1, 0, (void *)&b, sizeof b));
    int l = MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0)), c = MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0));
    struct sockaddr_un q = U("q");
    T(bind(l, (void *)&q, sizeof q));
    T(listen(l, 1));
    T(connect(c, (void *)&q, sizeof q));
    int s = accept4(l, 0, 0, SOCK_CLOEXEC);
    IS(fcntl(s, F_GETFD) == FD_CLOEXEC);
    T(send(c, "one", 3, 0));
    T(send(c, "two", 3, 0));
    T(recv(s, buf, 64, 0));
    T(recv(s, buf, 64, 0));
    close(c);
    T(recv(s, buf, 64, 0));
    return 0;
}
