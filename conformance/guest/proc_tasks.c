// subject: threads in /proc: task directories, names, thread-self, what is gone when they are; names of other processes
#include "t.h"
static pthread_barrier_t b1, b2;
static pid_t tid;
static void *thread(void *x) {
    tid = gettid();
    prctl(PR_SET_NAME, "worker");
    char b[64] = "";
    readlink("/proc/thread-self", b, 63);
    char want[64];
    snprintf(want, sizeof want, "%d/task/%d", getpid(), gettid());
    IS(!strcmp(b, want));
    pthread_barrier_wait(&b1);
    pthread_barrier_wait(&b2);
    return x;
}
static int count(const char *path) {
    DIR *d = opendir(path);
    if (!d) return -errno;
    int n = 0;
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}
int main(void) {
    pthread_barrier_init(&b1, NULL, 2);
    pthread_barrier_init(&b2, NULL, 2);
    char p[128];
    T(count("/proc/self/task"));
    pthread_t t;
    pthread_create(&t, NULL, thread, NULL);
    pthread_barrier_wait(&b1);
    T(count("/proc/self/task"));
    show("/proc/self/comm");
    snprintf(p, sizeof p, "/proc/self/task/%d/comm", tid);
    int fd = open(p, O_RDONLY);
    char b[64] = "";
    read(fd, b, 63);
    printf("%s", b);
    close(fd);
    fd = open(p, O_WRONLY);
    T(write(fd, "renamed", 7));
    close(fd);
    fd = open(p, O_RDONLY);
    memset(b, 0, 64);
    read(fd, b, 63);
    printf("%s", b);
    snprintf(p, sizeof p, "/proc/%d/status", tid);
    OK(open(p, O_RDONLY));
    snprintf(p, sizeof p, "/proc/self/task/%d", getppid());
    T(open(p, O_RDONLY));
    snprintf(p, sizeof p, "/proc/self/task/%d/task", tid);
    T(open(p, O_RDONLY));
    snprintf(p, sizeof p, "/proc/self/task/%d/fd", tid);
    IS(count(p) == count("/proc/self/fd"));
    snprintf(p, sizeof p, "/proc/self/task/%d/children", getpid());
    OK(open(p, O_RDONLY));
    T(tgkill(getpid(), tid, 0));
    T(tgkill(getppid(), tid, 0));
    T(syscall(SYS_tkill, tid, 0));
    OK(getpgid(tid));
    T(sched_getscheduler(tid));
    T(setpgid(tid, 0));
    snprintf(p, sizeof p, "/proc/self/task/%d/stat", tid);
    fd = open(p, O_RDONLY);
    pthread_barrier_wait(&b2);
    pthread_join(t, NULL);
    for (int i = 0; i < 100 && access(p, F_OK) == 0; i++) msleep(5);
    T(access(p, F_OK));
    T(count("/proc/self/task"));
    pid_t c = fork();
    if (c == 0) _exit(0);
    siginfo_t i;
    waitid(P_PID, c, &i, WEXITED | WNOWAIT);
    // A process that has ended and was not waited for.
    snprintf(p, sizeof p, "/proc/%d/stat", c);
    fd = open(p, O_RDONLY);
    memset(b, 0, 64);
    read(fd, b, 63);
    printf("%s\n", strchr(b, ')') ? (char[]){strrchr(b, ')')[2], 0} : "?");
    snprintf(p, sizeof p, "/proc/%d/cmdline", c);
    fd = open(p, O_RDONLY);
    T(read(fd, b, 10));
    snprintf(p, sizeof p, "/proc/%d/exe", c);
    T(readlink(p, b, 10));
    snprintf(p, sizeof p, "/proc/%d/cwd", c);
    T(readlink(p, b, 10));
    snprintf(p, sizeof p, "/proc/%d/fd", c);
    IS(count(p) <= 0);
    snprintf(p, sizeof p, "/proc/%d/maps", c);
    fd = open(p, O_RDONLY);
    T(read(fd, b, 10));
    waitpid(c, NULL, 0);
    snprintf(p, sizeof p, "/proc/%d", c);
    T(access(p, F_OK));
    return 0;
}
