// The program that is measured: natively, as a Carrack guest, and under every peer. It times itself. Static, so that
// nothing but the measured call differs.
//
//   bench calls|work|all [PART]   one line for each measurement: NAME TAB VALUE TAB UNIT
//   bench serve NAME              for each number of times on standard input, the nanoseconds that so many calls take
//   bench true                    nothing
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static int zero, sink, ev, ep, p1[2], p2[2], word, file, directory;
static char *dynamic_true, *static_true;

static void c_getpid(void) { syscall(SYS_getpid); }
static void c_read(void) { char c; read(zero, &c, 1); }
static void c_write(void) { write(sink, "x", 1); }
static void c_futex(void) { syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0); }
static void c_mmap(void) { char *m = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); m[0] = 1; munmap(m, 65536); }
static void c_epoll(void) { struct epoll_event e; epoll_wait(ep, &e, 1, 0); }
static void c_fstat(void) { struct stat s; fstat(file, &s); }
static void c_pread(void) { char b[4096]; pread(file, b, sizeof b, 0); }
static void c_stat(void) { struct stat s; stat("/etc/passwd", &s); }
static void c_stat_fail(void) { struct stat s; stat("/etc/no-such-file", &s); }
static void c_access(void) { access("/usr/bin/env", X_OK); }
static void c_open(void) { close(open("/etc/passwd", O_RDONLY)); }
static void c_readlink(void) { char b[256]; readlink("bench-link", b, sizeof b); }
static void c_create(void) { close(open("bench-new", O_CREAT | O_WRONLY, 0644)); unlink("bench-new"); }
static void c_rename(void) { rename("bench-a", "bench-b"); rename("bench-b", "bench-a"); }
static void c_mkdir(void) { mkdir("bench-dir", 0755); rmdir("bench-dir"); }
static void c_getuid(void) { syscall(SYS_getuid); }
static void c_chmod(void) { chmod("bench-file", 0644); }
static void c_kill(void) { kill(getppid(), 0); }
static void c_getdents(void) { char b[4096]; lseek(directory, 0, SEEK_SET); while (syscall(SYS_getdents64, directory, b, sizeof b) > 0) {} }
static void c_bind(void) {
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {0}};
    bind(s, (struct sockaddr *)&a, sizeof a);
    close(s);
}
static void c_getcwd(void) { char b[4096]; syscall(SYS_getcwd, b, sizeof b); }
static void c_ping(void) { char c = 0; write(p1[1], &c, 1); read(p2[0], &c, 1); }
static void c_fork(void) { pid_t p = fork(); if (!p) _exit(0); waitpid(p, NULL, 0); }
static void spawn(char *path) { pid_t p = vfork(); if (!p) { char *av[] = {path, "true", NULL}, *e[] = {NULL}; execve(path, av, e); _exit(127); } waitpid(p, NULL, 0); }
static void spawn_fork(char *path) { pid_t p = fork(); if (!p) { char *av[] = {path, "true", NULL}, *e[] = {NULL}; execve(path, av, e); _exit(127); } waitpid(p, NULL, 0); }
static void c_exec_static(void) { spawn_fork(static_true); }
static void c_exec_dynamic(void) { spawn_fork(dynamic_true); }
static void c_vfork_exec(void) { spawn(static_true); }

static const struct { const char *name; void (*call)(void); int at_least; } calls[] = {
    {"getpid", c_getpid, 1000}, {"read 1 B", c_read, 1000}, {"write 1 B", c_write, 1000}, {"futex wake", c_futex, 1000},
    {"mmap+touch+munmap", c_mmap, 200}, {"epoll_wait", c_epoll, 1000}, {"fstat", c_fstat, 1000}, {"pread 4096 B", c_pread, 1000},
    {"stat", c_stat, 200}, {"stat of nothing", c_stat_fail, 200}, {"access", c_access, 200}, {"open+close", c_open, 200},
    {"readlink", c_readlink, 200}, {"getcwd", c_getcwd, 200}, {"create+unlink", c_create, 100}, {"rename twice", c_rename, 100},
    {"mkdir+rmdir", c_mkdir, 100}, {"getuid", c_getuid, 1000}, {"chmod", c_chmod, 100}, {"getppid+kill 0", c_kill, 200}, {"getdents of 32 names", c_getdents, 100},
    {"socket+bind+close", c_bind, 100}, {"pipe ping-pong", c_ping, 100}, {"fork+exit+wait", c_fork, 30},
    {"fork+exec static", c_exec_static, 30}, {"vfork+exec static", c_vfork_exec, 30}, {"fork+exec dynamic", c_exec_dynamic, 30},
};

// The least of several batches: what the call costs when nothing else happens.
static double measure(void (*call)(void), int n) {
    double best = 1e18, start = now();
    for (int i = 0; i < n / 10 + 1; i++) call();
    double one = (now() - start) / (n / 10 + 1);
    int batch = 20e6 / (one + 1) > n ? (int)(20e6 / (one + 1)) : n;
    if (batch > 200000) batch = 200000;
    for (int k = 0; k < 5; k++) {
        start = now();
        for (int i = 0; i < batch; i++) call();
        double t = (now() - start) / batch;
        if (t < best) best = t;
        if (one * batch > 2e9) break;
    }
    return best;
}

static int serve(const char *name) {
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (strcmp(calls[i].name, name)) continue;
        char line[64];
        while (fgets(line, sizeof line, stdin)) {
            long n = atol(line);
            double start = now();
            for (long k = 0; k < n; k++) calls[i].call();
            printf("%.0f\n", now() - start);
            fflush(stdout);
        }
        return 0;
    }
    fprintf(stderr, "no measurement is called %s\n", name);
    return 2;
}

static void work(const char *name, const char *script) {
    fflush(stdout);
    double start = now();
    pid_t p = fork();
    if (!p) {
        execl("/bin/sh", "sh", "-c", script, NULL);
        _exit(127);
    }
    int status = 0;
    waitpid(p, &status, 0);
    if (status) printf("%s\tfailed\tms\n", name);
    else printf("%s\t%.2f\tms\n", name, (now() - start) / 1e6);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "true")) return 0;
    static_true = argv[0];
    dynamic_true = access("/usr/bin/true", X_OK) == 0 ? "/usr/bin/true" : "/bin/true";
    char *dir = getenv("BENCH_DIR"), *root = getenv("BENCH_ROOT");
    if (!dir) dir = "/tmp";
    if (!root) root = "/";
    if (chdir(dir) < 0) { perror(dir); return 2; }
    zero = open("/dev/zero", O_RDONLY);
    sink = open("/dev/null", O_WRONLY);
    file = open("bench-file", O_CREAT | O_RDWR | O_TRUNC, 0644);
    char page[4096] = {1};
    write(file, page, sizeof page);
    unlink("bench-link");
    symlink("bench-file", "bench-link");
    close(open("bench-a", O_CREAT | O_WRONLY, 0644));
    mkdir("bench-names", 0755);
    for (int i = 0; i < 32; i++) {
        char name[64];
        snprintf(name, sizeof name, "bench-names/%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    directory = open("bench-names", O_RDONLY | O_DIRECTORY);
    ev = eventfd(0, 0);
    ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN};
    epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e);
    pipe(p1);
    pipe(p2);
    pid_t echo = fork();
    if (!echo) {
        char c;
        close(p1[1]);
        while (read(p1[0], &c, 1) == 1) write(p2[1], &c, 1);
        _exit(0);
    }
    close(p1[0]);
    const char *only = argc > 2 ? argv[2] : "";
    int result = argc > 2 && !strcmp(argv[1], "serve") ? serve(argv[2]) : 0;
    if (argc < 2 || !strcmp(argv[1], "calls") || !strcmp(argv[1], "all"))
        for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
            if (strstr(calls[i].name, only)) {
                printf("%s\t%.3f\tns\n", calls[i].name, measure(calls[i].call, calls[i].at_least));
                fflush(stdout);
            }
    close(p1[1]);
    waitpid(echo, NULL, 0);
    if (argc > 1 && (!strcmp(argv[1], "work") || !strcmp(argv[1], "all"))) {
        char s[2000];
        snprintf(s, sizeof s, "test $(find %s -xdev 2>/dev/null | wc -l) -gt 15000", root);
        work("find (first)", s);
        work("find", s);
        snprintf(s, sizeof s, "test $(find %s -xdev -type f -size +1k 2>/dev/null | wc -l) -gt 3000", root);
        work("find with stat", s);
        snprintf(s, sizeof s, "tar -C %s -cf - usr/bin usr/share usr/lib/x86_64-linux-gnu/perl-base etc/ssl 2>/dev/null | cat > /dev/null", root);
        work("tar out", s);
        snprintf(s, sizeof s, "rm -rf un && mkdir un && tar -C %s -cf - usr/share/perl5 usr/share/bash-completion usr/share/doc 2>/dev/null | tar -C un -xf - && rm -rf un", root);
        work("tar in and rm", s);
        work("sh 500 pipelines", "i=0; while [ $i -lt 500 ]; do echo $i | cat | cat > /dev/null; i=$((i+1)); done");
        system("rm -rf cc && mkdir cc && cd cc && for i in $(seq 0 99); do printf '#include <stdio.h>\\n#include <stdlib.h>\\n#include <string.h>\\nint f%d(int x) { char b[64]; snprintf(b, sizeof b, \"%%d\", x); return atoi(b) + %d; }\\n' $i $i > f$i.c; done; printf 'all: $(patsubst %%.c,%%.o,$(wildcard *.c))\\n%%.o: %%.c\\n\\tgcc -O1 -c -o $@ $<\\n' > Makefile");
        work("gcc 100 files -j2", "cd cc && make -s -j2");
        system("rm -rf cc");
    }
    for (int i = 0; i < 32; i++) {
        char name[64];
        snprintf(name, sizeof name, "bench-names/%d", i);
        unlink(name);
    }
    rmdir("bench-names");
    unlink("bench-file");
    unlink("bench-link");
    unlink("bench-a");
    return result;
}
