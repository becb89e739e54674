// subject: vfork and exec: memory seen by the parent, descriptors and CLOEXEC, failing execs, signals, working directories
#include "t.h"
static volatile int seen;
static void list(void) {
    for (int fd = 3; fd < 20; fd++) {
        int f = fcntl(fd, F_GETFD);
        if (f >= 0) printf("fd %d flags %d\n", fd, f);
    }
}
int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "list")) {
        list();
        sigset_t m;
        sigprocmask(0, NULL, &m);
        struct sigaction a;
        sigaction(SIGUSR1, NULL, &a);
        sigaction(SIGUSR2, NULL, &a);
        printf("USR1 blocked %d, USR2 ignored %d\n", sigismember(&m, SIGUSR1), a.sa_handler == SIG_IGN);
        return 7;
    }
    put("f", "x");
    mkdir("d", 0755);
    int a = open("f", O_RDONLY), b = open("f", O_RDONLY | O_CLOEXEC), c = open(".", O_RDONLY | O_CLOEXEC), d = open("f", O_PATH), e = open("d", O_PATH | O_CLOEXEC);
    printf("%d %d %d %d %d\n", a, b, c, d, e);
    int p[2];
    pipe2(p, O_CLOEXEC);
    int ev = eventfd(0, EFD_CLOEXEC), ep = epoll_create1(0);
    printf("%d %d\n", ev, ep);
    list();
    pid_t v = vfork();
    if (v == 0) { seen = 1; _exit(3); }
    IS(seen == 1);
    reap("exit", v);
    v = vfork();
    if (v == 0) {
        execl("/nonexistent", "x", NULL);
        seen = errno;
        _exit(4);
    }
    IS(seen == ENOENT);
    reap("failed exec", v);
    signal(SIGUSR2, SIG_IGN);
    sigset_t m;
    sigemptyset(&m);
    sigaddset(&m, SIGUSR1);
    sigprocmask(SIG_BLOCK, &m, NULL);
    v = vfork();
    if (v == 0) { execl(self, self, "list", NULL); _exit(5); }
    reap("exec", v);
    IS(fcntl(b, F_GETFD) == FD_CLOEXEC);
    // Descriptors are a copy, the working directory too.
    v = vfork();
    if (v == 0) { close(a); chdir("d"); umask(0); _exit(0); }
    reap("closes", v);
    IS(fcntl(a, F_GETFD) >= 0);
    T(access("d", F_OK));
    printf("umask %o\n", umask(022));
    // With CLONE_FILES exec unshares, and closes only its own.
    seen = 0;
    static char stack[65536] __attribute__((aligned(16)));
    v = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (v == 0) { int n = dup(a); fcntl(n, F_SETFD, FD_CLOEXEC); execl(self, self, "list", NULL); _exit(5); }
    reap("shared table", v);
    list();
    // The exec of the child of a vfork of a thread.
    v = vfork();
    if (v == 0) { setsid(); kill(getpid(), SIGTERM); _exit(1); }
    reap("killed", v);
    T(execl("d", "d", NULL));
    T(execve("f", (char *[]){"f", NULL}, NULL));
    T(syscall(SYS_execveat, 99, "f", NULL, NULL, 0));
    T(syscall(SYS_execveat, AT_FDCWD, "", NULL, NULL, 0));
    T(syscall(SYS_execveat, a, "", NULL, NULL, AT_EMPTY_PATH));
    T(syscall(SYS_execveat, AT_FDCWD, self, NULL, NULL, 0x4));
    symlink(self, "l");
    T(syscall(SYS_execveat, AT_FDCWD, "l", NULL, NULL, AT_SYMLINK_NOFOLLOW));
    // No arguments at all: the kernel makes one of them.
    CHILD("no arguments", { close(1); syscall(SYS_execve, self, NULL, NULL); _exit(9); });
    return 0;
}
