// subject: passing descriptors and credentials over unix sockets, SO_PEERCRED
#include "t.h"
static void send_fds(int s, int *fd, int n) {
    char c[CMSG_SPACE(sizeof(int) * 8)];
    memset(c, 0, sizeof c);
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    *h = (struct cmsghdr){CMSG_LEN(sizeof(int) * n), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(h), fd, sizeof(int) * n);
    T(sendmsg(s, &m, 0));
}
static int recv_fds(int s, int *fd, int flags) {
    char c[CMSG_SPACE(sizeof(int) * 8)], b[8];
    struct iovec v = {b, 8};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c};
    T(recvmsg(s, &m, flags));
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (!h || h->cmsg_type != SCM_RIGHTS) return 0;
    int n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fd, CMSG_DATA(h), n * sizeof(int));
    return n;
}
int main(void) {
    int s[2];
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    put("f", "passed");
    mkdir("d", 0755);
    put("d/in", "inside");
    pid_t c = fork();
    if (c == 0) {
        int fd[8];
        msleep(50);
        int n = recv_fds(s[1], fd, MSG_CMSG_CLOEXEC);
        printf("got %d\n", n);
        char b[16] = "";
        read(fd[0], b, 15);
        puts(b);
        IS(fcntl(fd[0], F_GETFD) == FD_CLOEXEC);
        int in = openat(fd[1], "in", O_RDONLY);
        IS(in >= 0);
        T(fchdir(fd[1]));
        show("in");
        T(write(fd[2], "via pipe", 8));
        _exit(0);
    }
    int p[2];
    pipe(p);
    int fds[3] = {open("f", O_RDONLY), open("d", O_PATH), p[1]};
    send_fds(s[0], fds, 3);
    reap("receiver", c);
    char b[16] = "";
    read(p[0], b, 15);
    puts(b);
    struct ucred u;
    socklen_t n = sizeof u;
    T(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &u, &n));
    IS(u.pid == getpid() && u.uid == getuid() && u.gid == getgid());
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = {AF_UNIX, "sock"};
    bind(l, (void *)&a, sizeof a);
    listen(l, 1);
    c = fork();
    if (c == 0) {
        int k = socket(AF_UNIX, SOCK_STREAM, 0);
        connect(k, (void *)&a, sizeof a);
        char x;
        read(k, &x, 1);
        _exit(0);
    }
    int k = accept(l, 0, 0);
    n = sizeof u;
    T(getsockopt(k, SOL_SOCKET, SO_PEERCRED, &u, &n));
    IS(u.pid == c);
    IS(u.uid == getuid() && u.gid == getgid());
    close(k);
    reap("client", c);
    int on = 1;
    T(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    T(write(s[0], "x", 1));
    char cb[256], d[4];
    struct iovec v = {d, 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = cb, .msg_controllen = sizeof cb};
    T(recvmsg(s[1], &m, 0));
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    IS(h && h->cmsg_type == SCM_CREDENTIALS);
    if (h && h->cmsg_type == SCM_CREDENTIALS) {
        memcpy(&u, CMSG_DATA(h), sizeof u);
        IS(u.pid == getpid() && u.uid == getuid() && u.gid == getgid());
    }
    // Passing a socket over itself and a bad descriptor.
    send_fds(s[0], (int[]){99}, 1);
    char cc[CMSG_SPACE(sizeof u)];
    struct ucred forged = {1, 0, 0};
    struct msghdr fm = {.msg_iov = &(struct iovec){"y", 1}, .msg_iovlen = 1, .msg_control = cc, .msg_controllen = sizeof cc};
    h = CMSG_FIRSTHDR(&fm);
    *h = (struct cmsghdr){CMSG_LEN(sizeof u), SOL_SOCKET, SCM_CREDENTIALS};
    memcpy(CMSG_DATA(h), &forged, sizeof forged);
    T(sendmsg(s[0], &fm, 0));
    return 0;
}
