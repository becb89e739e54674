// subject: blocking calls interrupted by a signal, with and without SA_RESTART
// timeout 30
#include "t.h"
static volatile int n;
static void h(int s) { (void)s; n++; }
static int pfd[2], sv[2], lis, ev, wp;
static long do_read(void) { char c; return read(pfd[0], &c, 1); }
static long do_write(void) { char b[4096] = {0}; return write(wp, b, sizeof b); }
static long do_recv(void) { char c; return recv(sv[0], &c, 1, 0); }
static long do_recvmsg(void) { char c; struct iovec v = {&c, 1}; struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1}; return recvmsg(sv[0], &m, 0); }
static long do_accept(void) { return accept(lis, 0, 0); }
static long do_accept_addr(void) { struct sockaddr_un a; socklen_t l = sizeof a; return accept(lis, (void *)&a, &l); }
static long do_wait(void) { return waitpid(-1, 0, 0); }
static long do_poll(void) { struct pollfd p = {pfd[0], POLLIN, 0}; return poll(&p, 1, 5000); }
static long do_select(void) { fd_set r; FD_ZERO(&r); FD_SET(pfd[0], &r); struct timeval t = {5, 0}; return select(pfd[0] + 1, &r, 0, 0, &t); }
static long do_epoll(void) { struct epoll_event e; return epoll_wait(ev, &e, 1, 5000); }
static long do_nanosleep(void) { struct timespec t = {5, 0}; return nanosleep(&t, 0); }
static long do_pause(void) { return pause(); }
static long do_flock(void) { int f = open("lock", O_RDONLY); long r = flock(f, LOCK_EX); int e = errno; close(f); errno = e; return r; }
static long do_setlkw(void) { struct flock l = {.l_type = F_WRLCK}; int f = open("rec", O_RDWR); long r = fcntl(f, F_SETLKW, &l); int e = errno; close(f); errno = e; return r; }
static long do_fifo(void) { int f = open("fifo", O_RDONLY); return f; }
static long do_futex(void) { int w = 0; return syscall(SYS_futex, &w, FUTEX_WAIT, 0, NULL, NULL, 0); }
static long do_connect(void) { int f = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr_un a = {AF_UNIX, "full"}; long r = connect(f, (void *)&a, sizeof a); int e = errno; close(f); errno = e; return r; }
static long do_sigtimed(void) { sigset_t m; sigemptyset(&m); sigaddset(&m, SIGRTMIN); struct timespec t = {5, 0}; return sigtimedwait(&m, 0, &t); }
static struct { const char *name; long (*f)(void); } calls[] = {
    {"read", do_read}, {"write", do_write}, {"recv", do_recv}, {"recvmsg", do_recvmsg}, {"accept", do_accept},
    {"accept with address", do_accept_addr}, {"waitpid", do_wait}, {"poll", do_poll}, {"select", do_select},
    {"epoll_wait", do_epoll}, {"nanosleep", do_nanosleep}, {"pause", do_pause}, {"flock", do_flock}, {"F_SETLKW", do_setlkw},
    {"open fifo", do_fifo}, {"futex", do_futex}, {"connect", do_connect}, {"sigtimedwait", do_sigtimed},
};
int main(void) {
    pipe(pfd);
    int full[2];
    pipe(full);
    wp = full[1];
    fcntl(wp, F_SETFL, O_NONBLOCK);
    char b[4096] = {0};
    while (write(wp, b, sizeof b) > 0) {}
    fcntl(wp, F_SETFL, 0);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
    lis = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = {AF_UNIX, "full"};
    bind(lis, (void *)&a, sizeof a);
    listen(lis, 0);
    int idle = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a2 = {AF_UNIX, "idle"};
    bind(idle, (void *)&a2, sizeof a2);
    listen(idle, 1);
    int c1 = socket(AF_UNIX, SOCK_STREAM, 0);
    connect(c1, (void *)&a, sizeof a);
    lis = idle;
    ev = epoll_create1(0);
    mkfifo("fifo", 0600);
    put("lock", "");
    put("rec", "");
    int held = open("lock", O_RDONLY);
    flock(held, LOCK_EX);
    pid_t holder = fork();
    if (holder == 0) {
        int f = open("rec", O_RDWR);
        struct flock l = {.l_type = F_WRLCK};
        fcntl(f, F_SETLKW, &l);
        for (;;) pause();
    }
    msleep(50);
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
        for (int restart = 0; restart < 2; restart++) {
            // Three signals 20 ms apart; a restarted call is ended by a fourth whose handler never restarts.
            pid_t c = fork();
            if (c == 0) {
                pid_t me = getpid();
                struct sigaction x = {.sa_handler = h, .sa_flags = restart ? SA_RESTART : 0};
                sigaction(SIGUSR1, &x, NULL);
                x.sa_flags = 0;
                sigaction(SIGUSR2, &x, NULL);
                pid_t k = fork();
                if (k == 0) {
                    for (int j = 0; j < 3; j++) {
                        msleep(25);
                        kill(me, SIGUSR1);
                    }
                    msleep(25);
                    kill(me, SIGUSR2);
                    for (;;) pause();
                }
                errno = 0;
                long r = calls[i].f();
                int e = errno, at = n;
                kill(k, SIGKILL);
                printf("%s restart %d: %ld %s after %d signals\n", calls[i].name, restart, r, en(e), at);
                _exit(0);
            }
            waitpid(c, 0, 0);
        }
    kill(holder, SIGKILL);
    return 0;
}
