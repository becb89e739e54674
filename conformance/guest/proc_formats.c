// subject: /proc: the names, order and number of fields of what programs parse
#include "t.h"
// Lines with every run of digits made "N", and hexadecimal runs too where they are long.
static void shape(const char *path, int lines, int values) {
    char b[65536];
    int fd = open(path, O_RDONLY);
    printf("== %s\n", path);
    if (fd < 0) { printf("%s\n", en(errno)); return; }
    ssize_t n = 0, r;
    while ((r = read(fd, b + n, sizeof b - 1 - n)) > 0) n += r;
    close(fd);
    if (r < 0) { printf("read %s\n", en(errno)); return; }
    b[n] = 0;
    IS(n == 0 || b[n - 1] == '\n');
    int k = 0;
    for (char *line = strtok(b, "\n"); line && k < lines; line = strtok(NULL, "\n"), k++) {
        char *end = values ? NULL : strchr(line, ':');
        if (end) end[1] = 0;
        for (char *c = line; *c; c++) {
            int digits = strspn(c, "0123456789");
            if (digits) {
                putchar('N');
                c += digits - 1;
            } else if (*c != ' ' || c[1] != ' ') putchar(*c);
        }
        putchar('\n');
    }
}
static void fields(const char *path) {
    char b[4096] = "";
    int fd = open(path, O_RDONLY), n = 0;
    if (fd < 0) { printf("%s: %s\n", path, en(errno)); return; }
    b[read(fd, b, sizeof b - 1)] = 0;
    close(fd);
    char *at = strrchr(b, ')');
    for (at = at ? at : b; *at; at++) n += *at == ' ';
    printf("%s: %d blanks, ends %d\n", path, n, b[strlen(b) - 1] == '\n');
}
int main(void) {
    shape("/proc/self/status", 100, 0);
    fields("/proc/self/stat");
    fields("/proc/self/statm");
    fields("/proc/thread-self/stat");
    shape("/proc/self/limits", 20, 1);
    shape("/proc/self/io", 20, 0);
    shape("/proc/self/comm", 1, 1);
    shape("/proc/self/oom_score_adj", 1, 1);
    shape("/proc/self/loginuid", 0, 1);
    shape("/proc/self/sched", 0, 1);
    fields("/proc/self/schedstat");
    shape("/proc/self/personality", 1, 1);
    shape("/proc/self/wchan", 0, 1);
    shape("/proc/self/syscall", 0, 1);
    shape("/proc/self/coredump_filter", 1, 1);
    shape("/proc/self/timerslack_ns", 1, 1);
    shape("/proc/self/uid_map", 0, 1);
    shape("/proc/self/setgroups", 1, 1);
    shape("/proc/meminfo", 5, 1);
    shape("/proc/uptime", 1, 1);
    fields("/proc/loadavg");
    shape("/proc/version", 0, 1);
    shape("/proc/filesystems", 0, 1);
    shape("/proc/stat", 0, 1);
    // fdinfo of every kind.
    int fd[] = {open("f", O_RDWR | O_CREAT, 0600), open(".", O_RDONLY | O_CLOEXEC), eventfd(7, 0), epoll_create1(0), timerfd_create(CLOCK_MONOTONIC, 0),
                inotify_init1(0), socket(AF_INET, SOCK_DGRAM, 0), open("f", O_PATH), syscall(SYS_pidfd_open, getpid(), 0)};
    sigset_t m;
    sigemptyset(&m);
    sigaddset(&m, SIGUSR1);
    for (size_t i = 0; i < sizeof fd / sizeof *fd; i++) {
        char p[64];
        snprintf(p, sizeof p, "/proc/self/fdinfo/%d", fd[i]);
        printf("%zu ", i);
        char b[4096];
        int f = open(p, O_RDONLY), n = f < 0 ? 0 : read(f, b, sizeof b - 1);
        close(f);
        b[n < 0 ? 0 : n] = 0;
        for (char *line = strtok(b, "\n"); line; line = strtok(NULL, "\n")) {
            if (!strncmp(line, "pos:", 4) || !strncmp(line, "flags:", 6) || !strncmp(line, "eventfd-count", 13)) printf("[%s] ", line);
            else if (strchr(line, ':')) printf("%.*s ", (int)(strchr(line, ':') - line), line);
        }
        printf("\n");
    }
    // Writing.
    put("/proc/self/comm", "new name that is too long");
    show("/proc/self/comm");
    T(open("/proc/self/stat", O_WRONLY));
    T(open("/proc/self/status", O_RDWR));
    T(open("/proc/self/mem", O_RDWR) > 0 ? 0 : -1);
    T(mkdir("/proc/x", 0755));
    T(unlink("/proc/self/comm"));
    T(rename("/proc/self/comm", "/proc/self/x"));
    T(open("/proc/new", O_CREAT | O_WRONLY, 0600));
    T(open("/proc/self/nothing", O_RDONLY));
    T(open("/proc/999999999/stat", O_RDONLY));
    T(access("/proc/self/task", R_OK | X_OK));
    T(chmod("/proc/self/comm", 0600));
    struct stat s;
    T(stat("/proc/self/stat", &s));
    printf("%o %ld %ld\n", s.st_mode, (long)s.st_size, (long)s.st_nlink);
    T(lstat("/proc/self", &s));
    printf("%o\n", s.st_mode);
    T(lstat("/proc/self/exe", &s));
    printf("%o\n", s.st_mode);
    T(lstat("/proc/self/fd", &s));
    printf("%o\n", s.st_mode);
    char p[64];
    snprintf(p, sizeof p, "/proc/self/fd/%d", fd[0]);
    T(lstat(p, &s));
    printf("%o %ld\n", s.st_mode, (long)s.st_size);
    snprintf(p, sizeof p, "/proc/self/fd/%d", fd[1]);
    T(lstat(p, &s));
    printf("%o\n", s.st_mode);
    return 0;
}
