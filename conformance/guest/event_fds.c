// subject: eventfd, timerfd, signalfd, memfd, pidfd
#include "t.h"
int main(void) {
    uint64_t v;
    int e = MUST(eventfd(3, EFD_NONBLOCK));
    T(read(e, &v, 8));
    printf("%lu\n", v);
    T(read(e, &v, 8));
    T(read(e, &v, 4));
    v = UINT64_MAX;
    T(write(e, &v, 8));
    v = 5;
    T(write(e, &v, 8));
    T(write(e, &v, 8));
    T(read(e, &v, 8));
    printf("%lu\n", v);
    int s = MUST(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
    T(read(s, &v, 8));
    T(read(s, &v, 8));
    T(read(s, &v, 8));
    T(eventfd(0, 0x10));
    int t = MUST(timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC));
    struct itimerspec i = {{0, 5000000}, {0, 1000000}}, o;
    T(timerfd_settime(t, 0, &i, NULL));
    T(timerfd_gettime(t, &o));
    T(read(t, &v, 8));
    IS(v >= 1);
    T(timerfd_create(99, 0));
    sigset_t m;
    sigemptyset(&m);
    sigaddset(&m, SIGUSR1);
    sigaddset(&m, SIGCHLD);
    sigprocmask(SIG_BLOCK, &m, NULL);
    int sf = MUST(signalfd(-1, &m, SFD_NONBLOCK | SFD_CLOEXEC));
    struct signalfd_siginfo si;
    T(read(sf, &si, sizeof si));
    kill(getpid(), SIGUSR1);
    T(read(sf, &si, sizeof si));
    printf("signal %u from me %d code %d uid %d\n", si.ssi_signo, si.ssi_pid == (unsigned)getpid(), si.ssi_code, si.ssi_uid == getuid());
    pid_t c = fork();
    if (c == 0) _exit(7);
    struct pollfd p = {sf, POLLIN, 0};
    T(poll(&p, 1, 2000));
    T(read(sf, &si, sizeof si));
    printf("signal %u child %d status %d code %d\n", si.ssi_signo, si.ssi_pid == (unsigned)c, si.ssi_status, si.ssi_code);
    reap("child", c);
    int f = MUST(memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    T(ftruncate(f, 4096));
    T(write(f, "mem", 3));
    char link[64] = "", path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", f);
    readlink(path, link, 63);
    puts(link);
    T(fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    T(fcntl(f, F_GET_SEALS));
    T(ftruncate(f, 0));
    T(ftruncate(f, 8192));
    struct stat st_;
    fstat(f, &st_);
    printf("%s links %ld size %ld\n", kind(st_.st_mode), (long)st_.st_nlink, (long)st_.st_size);
    IS(st_.st_uid == getuid());
    T(memfd_create("x", 0x8000));
    c = fork();
    if (c == 0) {
        msleep(30);
        _exit(3);
    }
    int pf = syscall(SYS_pidfd_open, c, 0);
    if (pf >= 0) {
        p = (struct pollfd){pf, POLLIN, 0};
        T(poll(&p, 1, 2000));
        siginfo_t w;
        memset(&w, 0, sizeof w);
        T(waitid(P_PIDFD, pf, &w, WEXITED));
        printf("%d %d\n", w.si_code, w.si_status);
        T(syscall(SYS_pidfd_send_signal, pf, 0, NULL, 0));
    } else {
        printf("pidfd_open %s\n", en(errno));
        reap("child", c);
    }
    T(syscall(SYS_pidfd_open, -1, 0));
    return 0;
}
