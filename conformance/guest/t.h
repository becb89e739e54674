// What every guest program shares: results are printed as "expression = value" or "expression = -1 ENAME", never
// as something that differs between two runs (pids, inode numbers, times); relations are printed instead.
#ifndef T_H
#define T_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <utime.h>

// The program's own path, absolute; its arguments are free for sub-programs.
static char *self __attribute__((unused));

__attribute__((constructor)) static void t_init(int argc, char **argv, char **envp) {
    (void)argc;
    (void)envp;
    self = argv ? argv[0] : 0;
    setvbuf(stdout, NULL, _IONBF, 0);
}

static inline const char *en(int e) {
    const char *s = e ? strerrorname_np(e) : "0";
    return s ? s : "E?";
}

// Prints the value itself.
#define T(e)                                                 \
    do {                                                     \
        errno = 0;                                           \
        long r_ = (long)(e);                                 \
        if (r_ == -1)                                        \
            printf("%s = -1 %s\n", #e, en(errno));           \
        else                                                 \
            printf("%s = %ld\n", #e, r_);                    \
    } while (0)

// Prints "ok" for every success: for results that vary.
#define OK(e)                                                \
    do {                                                     \
        errno = 0;                                           \
        long r_ = (long)(e);                                 \
        if (r_ == -1)                                        \
            printf("%s = -1 %s\n", #e, en(errno));           \
        else                                                 \
            printf("%s = ok\n", #e);                         \
    } while (0)

// Prints whether a relation holds.
#define IS(e) printf("%s: %s\n", #e, (e) ? "yes" : "no")

// Set-up that must work; a failure ends the program with its own exit code.
#define MUST(e)                                                                    \
    ({                                                                             \
        errno = 0;                                                                 \
        long r_ = (long)(e);                                                       \
        if (r_ == -1) {                                                            \
            printf("line %d: %s failed: %s\n", __LINE__, #e, en(errno));           \
            exit(99);                                                              \
        }                                                                          \
        r_;                                                                        \
    })

// For programs without a native counterpart: states what must hold.
#define ASSERT(c)                                                                  \
    do {                                                                           \
        if (!(c)) {                                                                \
            printf("line %d: not true: %s (%s)\n", __LINE__, #c, en(errno));       \
            exit(98);                                                              \
        }                                                                          \
    } while (0)

static inline void put(const char *path, const char *text) {
    int fd = (int)MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    MUST(write(fd, text, strlen(text)));
    close(fd);
}

static inline void show(const char *path) {
    char b[4096];
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        printf("%s: %s\n", path, en(errno));
        return;
    }
    ssize_t n = read(fd, b, sizeof b - 1);
    close(fd);
    if (n < 0) {
        printf("%s: read %s\n", path, en(errno));
        return;
    }
    b[n] = 0;
    printf("%s: %zd bytes \"%s\"\n", path, n, b);
}

static inline const char *kind(mode_t m) {
    return S_ISREG(m) ? "reg" : S_ISDIR(m) ? "dir" : S_ISLNK(m) ? "lnk" : S_ISFIFO(m) ? "fifo" : S_ISSOCK(m) ? "sock"
         : S_ISCHR(m) ? "chr" : S_ISBLK(m) ? "blk" : "none";
}

static inline void st(const char *path) {
    struct stat s;
    if (lstat(path, &s) < 0)
        printf("%s: %s\n", path, en(errno));
    else
        printf("%s: %s %04o links %ld size %ld\n", path, kind(s.st_mode), s.st_mode & 07777, (long)s.st_nlink,
               S_ISDIR(s.st_mode) ? 0L : (long)s.st_size);
}

static inline void msleep(long ms) {
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&ts, &ts) < 0 && errno == EINTR) {}
}

// Prints how a child ended.
static inline void ended(const char *who, int status) {
    if (WIFEXITED(status))
        printf("%s: exit %d\n", who, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        printf("%s: signal %d%s\n", who, WTERMSIG(status), WCOREDUMP(status) ? "" : "");
    else if (WIFSTOPPED(status))
        printf("%s: stopped %d\n", who, WSTOPSIG(status));
    else if (WIFCONTINUED(status))
        printf("%s: continued\n", who);
    else
        printf("%s: status %x\n", who, status);
}

static inline void reap(const char *who, pid_t pid) {
    int status = 0;
    pid_t r;
    do r = waitpid(pid, &status, 0);
    while (r < 0 && errno == EINTR);
    if (r != pid)
        printf("%s: waitpid %s\n", who, r < 0 ? en(errno) : "other");
    else
        ended(who, status);
}

// Runs a block in a child and says how it ended.
#define CHILD(name, ...)                       \
    do {                                       \
        pid_t c_ = fork();                     \
        if (c_ == 0) {                         \
            __VA_ARGS__;                       \
            _exit(0);                          \
        }                                      \
        if (c_ < 0)                            \
            printf("fork: %s\n", en(errno));   \
        else                                   \
            reap(name, c_);                    \
    } while (0)
#endif
