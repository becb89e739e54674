// subject: a signal storm over fork, exec, wait, identity and signal calls
// timeout 90
#include "storm.h"
static int status_of(pid_t c) {
    int st1;
    if (c < 0) return -1;
    while (waitpid(c, &st1, 0) < 0)
        if (errno != EINTR) return -1;
    if (!WIFEXITED(st1) || WEXITSTATUS(st1)) {
        errno = WIFEXITED(st1) ? WEXITSTATUS(st1) : 200;
        return -1;
    }
    return 0;
}
static int do_fork(void) { pid_t c = fork(); if (c == 0) _exit(0); return status_of(c); }
static int do_vfork(void) { pid_t c = vfork(); if (c == 0) _exit(0); return status_of(c); }
static int do_exec(void) {
    pid_t c = fork();
    if (c == 0) {
        execl(self, "self", "quiet", NULL);
        _exit(errno);
    }
    return status_of(c);
}
static int do_exec_fail(void) { execl("/nonexistent/program", "x", NULL); return -1; }
static void *nothing(void *p) { return p; }
static int do_thread(void) { pthread_t t; int e = pthread_create(&t, NULL, nothing, NULL); if (e) { errno = e; return -1; } pthread_join(t, NULL); return 0; }
static int do_kill(void) { return kill(getpid(), 0); }
static int do_socket(void) { int s = socket(AF_INET, SOCK_STREAM, 0); if (s < 0) return -1; struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {0}}; if (bind(s, (void *)&a, sizeof a) < 0) return -1; socklen_t n = sizeof a; if (getsockname(s, (void *)&a, &n) < 0) return -1; return close(s); }
static int do_connect_refused(void) { int s = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr_un a = {AF_UNIX, "none"}; int r = connect(s, (void *)&a, sizeof a); int e = errno; close(s); errno = e; return r; }
int main(int argc, char **argv) {
    if (argc > 1) return 0;
    (void)argv;
    struct utsname u;
    struct rlimit r;
    struct sysinfo si;
    storm(1);
    const int N = 60;
    STORM(N, getpid());
    STORM(N, getuid());
    STORM(N, getppid());
    STORM(N, uname(&u));
    STORM(N, sysinfo(&si));
    STORM(N, getgroups(0, NULL));
    STORM(N, setuid(getuid()));
    STORM(N, getpgid(0));
    STORM(N, getsid(0));
    STORM(N, getrlimit(RLIMIT_NOFILE, &r));
    STORM(N, prctl(PR_GET_NAME, (char[16]){0}));
    STORM(N, do_kill());
    STORM(N, kill(0x3fffffff, 0));
    STORM(N, do_exec_fail());
    STORM(N, do_socket());
    STORM(N, do_connect_refused());
    STORM(N, do_thread());
    STORM(2 * N, do_fork());
    STORM(2 * N, do_vfork());
    STORM(3 * N, do_exec());
    storm(0);
    return 0;
}
