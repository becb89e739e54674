// subject: epoll: edge triggering, one-shot, exclusive, nesting and loops, closed descriptors, masks, errnos
#include "t.h"
static int ep;
static void ready(const char *when) {
    struct epoll_event e[8];
    int n = epoll_wait(ep, e, 8, 0);
    printf("%s: %d", when, n);
    for (int i = 0; i < n; i++) printf(" [%d %x]", (int)e[i].data.u32, e[i].events);
    printf("\n");
}
static int ctl(int op, int fd, uint32_t events, int data) {
    struct epoll_event e = {events, {.u32 = data}};
    return epoll_ctl(ep, op, fd, &e);
}
int main(void) {
    put("f", "x");
    ep = MUST(epoll_create1(0));
    int p[2], q[2], file = open("f", O_RDWR), dir = open(".", O_RDONLY), path = open("f", O_PATH);
    pipe(p);
    pipe(q);
    T(epoll_create(0));
    T(epoll_create(-1));
    T(epoll_create1(1));
    T(ctl(EPOLL_CTL_ADD, file, EPOLLIN, 0));
    T(ctl(EPOLL_CTL_ADD, dir, EPOLLIN, 0));
    T(ctl(EPOLL_CTL_ADD, path, EPOLLIN, 0));
    T(ctl(EPOLL_CTL_ADD, ep, EPOLLIN, 0));
    T(ctl(EPOLL_CTL_ADD, 99, EPOLLIN, 0));
    T(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN, 0));
    T(ctl(EPOLL_CTL_DEL, p[0], EPOLLIN, 0));
    T(ctl(9, p[0], EPOLLIN, 0));
    T(epoll_ctl(file, EPOLL_CTL_ADD, p[0], &(struct epoll_event){EPOLLIN}));
    T(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLET, 1));
    T(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    ready("nothing");
    write(p[1], "ab", 2);
    ready("edge");
    ready("edge again");
    write(p[1], "c", 1);
    ready("another edge");
    T(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 2));
    ready("one shot");
    ready("one shot again");
    T(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN, 3));
    ready("level");
    ready("level again");
    T(ctl(EPOLL_CTL_ADD, q[0], EPOLLIN | EPOLLEXCLUSIVE, 4));
    T(ctl(EPOLL_CTL_MOD, q[0], EPOLLIN, 4));
    T(ctl(EPOLL_CTL_ADD, q[1], EPOLLOUT | EPOLLEXCLUSIVE | EPOLLONESHOT, 5));
    T(ctl(EPOLL_CTL_ADD, q[1], EPOLLOUT, 5));
    ready("writable");
    close(p[1]);
    ready("hang-up");
    // A duplicate keeps the registration alive.
    int d = dup(q[1]);
    close(q[1]);
    ready("duplicate");
    T(ctl(EPOLL_CTL_DEL, q[1], 0, 0));
    close(d);
    ready("closed");
    int inner = epoll_create1(0), deep[6];
    struct epoll_event e = {EPOLLIN, {.u32 = 6}};
    T(epoll_ctl(inner, EPOLL_CTL_ADD, p[0], &e));
    T(ctl(EPOLL_CTL_ADD, inner, EPOLLIN, 7));
    ready("nested");
    T(epoll_ctl(inner, EPOLL_CTL_ADD, ep, &e));
    T(ctl(EPOLL_CTL_ADD, epoll_create1(0), EPOLLIN | EPOLLEXCLUSIVE, 8));
    deep[0] = epoll_create1(0);
    for (int i = 1; i < 6; i++) {
        deep[i] = epoll_create1(0);
        printf("depth %d: %d %s\n", i, epoll_ctl(deep[i], EPOLL_CTL_ADD, deep[i - 1], &e), en(errno));
        errno = 0;
    }
    struct epoll_event out[2];
    T(epoll_wait(ep, out, 0, 0));
    T(epoll_wait(ep, out, -1, 0));
    T(epoll_wait(file, out, 1, 0));
    T(epoll_wait(99, out, 1, 0));
    T(epoll_wait(ep, out, 1, 0));
    sigset_t m;
    sigfillset(&m);
    T(epoll_pwait(ep, out, 1, 0, &m));
    T(syscall(SYS_epoll_pwait, ep, out, 1, 0, &m, 4));
    T(syscall(SYS_epoll_pwait2, ep, out, 1, &(struct timespec){0, 1000000000}, NULL, 8));
    T(syscall(SYS_epoll_pwait2, ep, out, 1, &(struct timespec){0, 0}, NULL, 8));
    return 0;
}
