// subject: who may bind what beside whom: SO_REUSEADDR, SO_REUSEPORT, wildcards, both families, listening sockets
#include "t.h"
static int sock(int family, int type, int reuse) {
    int s = socket(family, type, 0), one = 1;
    if (reuse & 1) setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, 4);
    if (reuse & 2) setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, 4);
    if (family == AF_INET6) { int only = !!(reuse & 4); setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &only, 4); }
    return s;
}
static int bind4(int s, uint32_t addr, int port) {
    struct sockaddr_in a = {AF_INET, htons(port), {htonl(addr)}, {0}};
    return bind(s, (void *)&a, sizeof a);
}
static int bind6(int s, struct in6_addr addr, int port) {
    struct sockaddr_in6 a = {AF_INET6, htons(port), 0, addr, 0};
    return bind(s, (void *)&a, sizeof a);
}
static int port_of(int s) {
    struct sockaddr_in6 a;
    socklen_t n = sizeof a;
    getsockname(s, (void *)&a, &n);
    return ntohs(a.sin6_port);
}
int main(void) {
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++)
        for (int r1 = 0; r1 < 4; r1++)
            for (int r2 = 0; r2 < 4; r2++) {
                int a = sock(AF_INET, type, r1), b = sock(AF_INET, type, r2), c = sock(AF_INET, type, r2);
                MUST(bind4(a, INADDR_LOOPBACK, 0));
                printf("type %d %d %d: same %s", type, r1, r2, bind4(b, INADDR_LOOPBACK, port_of(a)) ? en(errno) : "ok");
                printf(" any %s", bind4(c, INADDR_ANY, port_of(a)) ? en(errno) : "ok");
                if (type == SOCK_STREAM) {
                    listen(a, 1);
                    int d = sock(AF_INET, type, r2);
                    printf(" listening %s", bind4(d, INADDR_LOOPBACK, port_of(a)) ? en(errno) : "ok");
                    close(d);
                }
                printf("\n");
                close(a), close(b), close(c);
            }
    int s = sock(AF_INET, SOCK_STREAM, 0);
    T(bind4(s, 0x08080808, 0));
    T(bind4(s, INADDR_LOOPBACK, 0));
    T(bind4(s, INADDR_LOOPBACK, 0));
    T(bind(s, (void *)&(struct sockaddr_in){AF_INET6}, sizeof(struct sockaddr_in)));
    T(bind(s, (void *)&(struct sockaddr_in){AF_UNSPEC}, 4));
    T(bind4(sock(AF_INET, SOCK_STREAM, 0), INADDR_LOOPBACK + 5, 0));
    int six = sock(AF_INET6, SOCK_STREAM, 4);
    if (six >= 0 && bind6(six, in6addr_any, 0) == 0) {
        T(bind4(sock(AF_INET, SOCK_STREAM, 0), INADDR_ANY, port_of(six)));
        int dual = sock(AF_INET6, SOCK_STREAM, 0);
        T(bind6(dual, in6addr_any, 0));
        T(bind4(sock(AF_INET, SOCK_STREAM, 0), INADDR_ANY, port_of(dual)));
        T(listen(dual, 3));
        struct sockaddr_in to = {AF_INET, htons(port_of(dual)), {htonl(INADDR_LOOPBACK)}, {0}};
        int c = socket(AF_INET, SOCK_STREAM, 0);
        T(connect(c, (void *)&to, sizeof to));
        struct sockaddr_in6 peer;
        socklen_t n = sizeof peer;
        OK(accept(dual, (void *)&peer, &n));
        char text[64];
        puts(inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
        int mapped = sock(AF_INET6, SOCK_STREAM, 0);
        struct in6_addr m = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}}};
        T(bind6(mapped, m, 0));
        int only = sock(AF_INET6, SOCK_STREAM, 4);
        T(bind6(only, m, 0));
    }
    return 0;
}
