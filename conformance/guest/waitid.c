// subject: waitid: every selection and option, WNOWAIT, stops and continues, threads' flags, errnos
#include "t.h"
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
static pid_t c;
static void w(const char *what, int type, id_t id, int options) {
    siginfo_t i = {0};
    struct rusage u;
    errno = 0;
    int r = syscall(SYS_waitid, type, id, &i, options, &u);
    printf("%s: %d %s, pid %s, code %d, status %d, uid %s\n", what, r, en(r < 0 ? errno : 0),
           i.si_pid == 0 ? "none" : i.si_pid == c ? "child" : "other", i.si_code, i.si_status, i.si_pid ? i.si_uid == getuid() ? "mine" : "other" : "none");
}
static pid_t child(int code) {
    c = fork();
    if (c == 0) _exit(code);
    return c;
}
int main(void) {
    w("no children", P_ALL, 0, WEXITED);
    child(3);
    w("look", P_PID, c, WEXITED | WNOWAIT);
    w("look again", P_ALL, 0, WEXITED | WNOWAIT);
    w("take", P_PID, c, WEXITED);
    w("gone", P_PID, c, WEXITED);
    child(4);
    w("own group", P_PGID, 0, WEXITED);
    child(5);
    w("own group by number", P_PGID, getpgrp(), WEXITED);
    child(6);
    w("another group", P_PGID, 0x3fffffff, WEXITED);
    int fd = MUST(syscall(SYS_pidfd_open, c, 0));
    w("pidfd", P_PIDFD, fd, WEXITED);
    w("pidfd again", P_PIDFD, fd, WEXITED);
    w("no descriptor", P_PIDFD, 99, WEXITED);
    w("not a pidfd", P_PIDFD, 1, WEXITED);
    w("no options", P_ALL, 0, 0);
    w("only WNOHANG", P_ALL, 0, WNOHANG);
    w("odd options", P_ALL, 0, WEXITED | 0x100);
    w("odd type", 9, 0, WEXITED);
    w("pid 0", P_PID, 0, WEXITED);
    w("negative pid", P_PID, -5, WEXITED);
    c = fork();
    if (c == 0) for (;;) pause();
    w("WNOHANG", P_PID, c, WEXITED | WNOHANG);
    kill(c, SIGSTOP);
    w("stopped", P_PID, c, WSTOPPED);
    w("stopped again", P_PID, c, WSTOPPED | WNOHANG);
    kill(c, SIGCONT);
    w("continued", P_PID, c, WCONTINUED);
    w("continued again", P_PID, c, WCONTINUED | WNOHANG);
    kill(c, SIGTERM);
    w("killed", P_PID, c, WEXITED);
    c = fork();
    if (c == 0) { setpgid(0, 0); for (;;) pause(); }
    setpgid(c, c);
    w("in its group", P_PGID, c, WEXITED | WNOHANG);
    kill(-c, SIGQUIT);
    siginfo_t i = {0};
    T(waitid(P_PGID, c, &i, WEXITED));
    printf("%s %d\n", i.si_code == CLD_KILLED || i.si_code == CLD_DUMPED ? "killed" : "?", i.si_status);
    // A child that sends no SIGCHLD is only found by __WCLONE and __WALL.
    c = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (c == 0) _exit(9);
    w("clone, plain", P_PID, c, WEXITED);
    w("clone, __WCLONE", P_PID, c, WEXITED | __WCLONE);
    c = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (c == 0) _exit(10);
    w("clone, __WALL", P_ALL, 0, WEXITED | __WALL);
    signal(SIGUSR1, SIG_IGN);
    c = syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0);
    if (c == 0) _exit(11);
    w("clone with SIGUSR1", P_PID, c, WEXITED | __WCLONE);
    T(wait4(0x3fffffff, NULL, 0, NULL));
    T(wait4(INT_MIN, NULL, 0, NULL));
    T(wait4(-1, NULL, 0x1000, NULL));
    return 0;
}
