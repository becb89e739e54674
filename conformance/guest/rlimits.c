// subject: resource limits
#include "t.h"
int main(int argc, char **argv) {
    if (argc > 1) return argv[1][0];
    struct rlimit r, o;
    T(getrlimit(RLIMIT_NOFILE, &r));
    IS(r.rlim_cur <= r.rlim_max && r.rlim_cur >= 20);
    o = r;
    r.rlim_cur = 16;
    T(setrlimit(RLIMIT_NOFILE, &r));
    int n = 0, f;
    while ((f = open("/dev/null", O_RDONLY)) >= 0) n++;
    printf("opened %d %s\n", n, en(errno));
    T(socket(AF_UNIX, SOCK_STREAM, 0));
    T(pipe((int[2]){0, 0}));
    T(dup(0));
    T(dup2(0, 16));
    T(dup2(0, 15));
    T(epoll_create1(0));
    T(open(".", O_RDONLY));
    T(open("/proc/self/stat", O_RDONLY));
    T(open("new", O_CREAT | O_WRONLY, 0644));
    st("new");
    T(fcntl(0, F_DUPFD, 16));
    closefrom(3);
    struct stat s;
    T(stat("/", &s));
    r.rlim_cur = 3;
    T(setrlimit(RLIMIT_NOFILE, &r));
    T(open("/dev/null", O_RDONLY));
    T(stat("/", &s));
    T(mkdir("d", 0755));
    T(access("/etc/passwd", R_OK));
    CHILD("child with three descriptors", { T(open(".", O_RDONLY)); });
    CHILD("exec with three descriptors", {
        char *av[] = {"x", "A", NULL};
        execv(self, av);
        printf("%s\n", en(errno));
        _exit(1);
    });
    r.rlim_cur = 0;
    T(setrlimit(RLIMIT_NOFILE, &r));
    T(open("/dev/null", O_RDONLY));
    T(stat("/", &s));
    r = o;
    T(setrlimit(RLIMIT_NOFILE, &r));
    r.rlim_cur = r.rlim_max + 1;
    if (o.rlim_max != RLIM_INFINITY) T(setrlimit(RLIMIT_NOFILE, &r));
    r = o;
    r.rlim_max = o.rlim_cur;
    T(setrlimit(RLIMIT_NOFILE, &r));
    r.rlim_max = o.rlim_cur + 1;
    T(setrlimit(RLIMIT_NOFILE, &r));
    T(getrlimit(99, &r));
    T(getrlimit(RLIMIT_CORE, (void *)8));
    struct rlimit64 p;
    T(prlimit64(0, RLIMIT_STACK, NULL, &p));
    IS(p.rlim_cur > 0);
    T(prlimit64(getpid(), RLIMIT_CORE, &(struct rlimit64){0, 0}, NULL));
    T(prlimit64(0x3fffffff, RLIMIT_CORE, NULL, &p));
    pid_t c = fork();
    if (c == 0) for (;;) pause();
    T(prlimit64(c, RLIMIT_CORE, NULL, &p));
    IS(p.rlim_max == 0);
    T(prlimit64(c, RLIMIT_NOFILE, &(struct rlimit64){12, 12}, NULL));
    kill(c, SIGKILL);
    waitpid(c, NULL, 0);
    CHILD("cpu time", {
        struct rlimit cpu = {1, 1};
        setrlimit(RLIMIT_CPU, &cpu);
        for (;;) {}
    });
    CHILD("address space", {
        struct rlimit as = {64 << 20, 64 << 20};
        setrlimit(RLIMIT_AS, &as);
        T(mmap(0, 256 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        T(mmap(0, 1ul << 46, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    });
    return 0;
}
