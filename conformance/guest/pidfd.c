// subject: pidfds: opening, polling, signals, waiting, descriptors of others, flags, fdinfo
#include "t.h"
#include "table.h"
#define OPEN(p, f) syscall(SYS_pidfd_open, p, f)
#define SIG(fd, s, i, f) syscall(SYS_pidfd_send_signal, fd, s, i, f)
#define GET(fd, n, f) syscall(SYS_pidfd_getfd, fd, n, f)
static int got;
static void h(int s, siginfo_t *i, void *c) { (void)c; got = s * 1000 + (i->si_pid == getpid()) * 100 + (i->si_code & 63); }
int main(void) {
    put("f", "secret");
    int p[2];
    pipe(p);
    pid_t c = fork();
    if (c == 0) {
        int fd = open("f", O_RDONLY);
        dup2(fd, 50);
        write(p[1], "x", 1);
        for (;;) pause();
    }
    char b[16];
    read(p[0], b, 1);
    int fd = MUST(OPEN(c, 0));
    T(fcntl(fd, F_GETFD));
    T(OPEN(c, 0x1000));
    T(OPEN(-1, 0));
    T(OPEN(0, 0));
    T(OPEN(0x3fffffff, 0));
    OK(OPEN(c, O_NONBLOCK));
    OK(OPEN(getpid(), 0));
    OK(OPEN(c, O_EXCL /* PIDFD_THREAD */));
    struct pollfd f = {fd, POLLIN, 0};
    T(poll(&f, 1, 0));
    int their = GET(fd, 50, 0);
    IS(their >= 0);
    T(fcntl(their, F_GETFD));
    T(pread(their, b, 6, 0));
    printf("%.6s\n", b);
    T(GET(fd, 51, 0));
    T(GET(fd, 50, 1));
    T(GET(p[0], 50, 0));
    T(GET(99, 50, 0));
    T(SIG(fd, 0, NULL, 0));
    T(SIG(fd, 99, NULL, 0));
    T(SIG(fd, 0, NULL, 0x100));
    T(SIG(fd, 0, NULL, 1));
    T(SIG(p[0], 0, NULL, 0));
    T(SIG(99, 0, NULL, 0));
    siginfo_t i = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    i.si_pid = getpid();
    T(SIG(fd, SIGUSR2, &i, 0));
    i.si_code = SI_USER;
    T(SIG(fd, SIGUSR1, &i, 0));
    i.si_code = SI_TKILL;
    T(SIG(fd, SIGUSR1, &i, 0));
    struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &a, NULL);
    int me = OPEN(getpid(), 0);
    T(SIG(me, SIGUSR1, NULL, 0));
    printf("%d\n", got);
    i.si_code = SI_QUEUE;
    T(SIG(me, SIGUSR1, &i, 0));
    printf("%d\n", got);
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    int info = open(path, O_RDONLY);
    read(info, text, 511);
    int pid = 0;
    if (strstr(text, "Pid:")) sscanf(strstr(text, "Pid:"), "Pid: %d", &pid);
    IS(pid == c);
    T(SIG(fd, SIGKILL, NULL, 0));
    T(poll(&f, 1, 2000));
    printf("%x\n", f.revents);
    T(SIG(fd, 0, NULL, 0));
    siginfo_t w = {0};
    T(waitid(3, fd, &w, WEXITED));
    printf("%d %d\n", w.si_code, w.si_status);
    T(SIG(fd, 0, NULL, 0));
    T(OPEN(c, 0));
    T(read(fd, b, 1));
    T(ioctl(fd, 0x1234, 0));
    T(syscall(SYS_process_mrelease, fd, 0));
    // A descriptor of the child's child, sent over.
    int s[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    return 0;
}
