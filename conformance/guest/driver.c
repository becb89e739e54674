// Runs guest programs one after the other, each in a fresh directory, and frames what they print. The same binary
// drives the native leg and the guest leg, so that both start their programs in the same surroundings.
//
//   driver WORK GUESTS NAME:SECONDS...
//
// prints for each program "@@ NAME RESULT BYTES\n", the bytes, "\n"; RESULT is exit:N, signal:N or timeout.
#include "t.h"

static char out[1 << 20];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void frame(const char *name, const char *result, size_t n) {
    printf("@@ %s %s %zu\n", name, result, n);
    fwrite(out, 1, n, stdout);
    printf("\n");
}

static void one(const char *work, const char *guests, char *spec) {
    char *colon = strchr(spec, ':');
    double limit = 20;
    if (colon) {
        *colon = 0;
        limit = atof(colon + 1);
    }
    char dir[4096], program[4096], result[64];
    snprintf(dir, sizeof dir, "%s/%s", work, spec);
    snprintf(program, sizeof program, "%s/%s", guests, spec);
    if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
        frame(spec, "driver:mkdir", 0);
        return;
    }
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0) {
        frame(spec, "driver:pipe", 0);
        return;
    }
    double end = now() + limit;
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        if (chdir(dir) < 0) _exit(97);
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(p[1], 1);
        dup2(p[1], 2);
        closefrom(3);
        umask(022);
        for (int s = 1; s < 65; s++) signal(s, SIG_DFL);
        char *argv[] = {program, NULL};
        char *envp[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent", "LANG=C", NULL};
        execve(program, argv, envp);
        dprintf(1, "execve %s: %s\n", program, en(errno));
        _exit(97);
    }
    close(p[1]);
    if (pid < 0) {
        close(p[0]);
        frame(spec, "driver:fork", 0);
        return;
    }
    size_t n = 0;
    int status = 0, reaped = 0, killed = 0;
    double drain = 0;
    for (;;) {
        double t = now();
        if (!reaped && waitpid(pid, &status, WNOHANG) == pid) {
            reaped = 1;
            drain = t + 0.3;
        }
        if (!killed && !reaped && t > end) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            killed = 1;
            drain = t + 3;
        }
        if ((reaped || killed) && t > drain) break;
        struct pollfd f = {p[0], POLLIN, 0};
        if (poll(&f, 1, reaped ? 20 : 100) > 0) {
            ssize_t r = read(p[0], out + n, sizeof out - n);
            if (r > 0) n += r;
            if (r == 0) break;
            if (n == sizeof out) n = sizeof out / 2;
        }
    }
    close(p[0]);
    while (!reaped) {
        if (waitpid(pid, &status, WNOHANG) == pid) break;
        double t = now();
        if (!killed && t > end) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            killed = 1;
        }
        if (t > end + 5) break;
        msleep(1);
    }
    kill(-pid, SIGKILL);
    if (killed) snprintf(result, sizeof result, "timeout");
    else if (WIFEXITED(status)) snprintf(result, sizeof result, "exit:%d", WEXITSTATUS(status));
    else snprintf(result, sizeof result, "signal:%d", WTERMSIG(status));
    frame(spec, result, n);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    umask(022);
    mkdir(argv[1], 0755);
    // As a container's first process it leaves the work to a child: signals to pid 1 have rules of their own.
    if (getpid() == 1) {
        pid_t worker = fork(), p;
        int status = 0;
        while (worker > 0 && ((p = waitpid(-1, &status, 0)) != worker))
            if (p < 0 && errno != EINTR) break;
        if (worker > 0) return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        if (worker < 0) return 3;
    }
    for (int i = 3; i < argc; i++) one(argv[1], argv[2], argv[i]);
    return 0;
}
