// subject: exec: arguments, environment, auxiliary vector, what survives, what is reset
#include "t.h"
extern char **environ;
static void h(int s) { (void)s; }
int main(int argc, char **argv) {
    if (argc == 0 || !strcmp(argv[0], "")) {
        printf("argc %d argv[0] '%s'\n", argc, argc ? argv[0] : "(none)");
        return 0;
    }
    if (!strcmp(argv[0], "look")) {
        printf("argc %d\n", argc);
        for (int i = 0; i < argc; i++)
            if (i != 1) printf("argv[%d] %s\n", i, argv[i]);
        for (char **e = environ; *e; e++) printf("env %s\n", *e);
        IS(getauxval(AT_PAGESZ) == 4096);
        IS(getauxval(AT_RANDOM) != 0);
        IS(getauxval(AT_SYSINFO_EHDR) != 0);
        IS(getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid() && getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid());
        printf("secure %lu\n", getauxval(AT_SECURE));
        printf("execfn %s\n", strrchr((char *)getauxval(AT_EXECFN), '/') ? strrchr((char *)getauxval(AT_EXECFN), '/') : (char *)getauxval(AT_EXECFN));
        IS(getauxval(AT_PHDR) != 0 && getauxval(AT_PHNUM) > 0 && getauxval(AT_PHENT) == 56);
        printf("clktck %lu\n", getauxval(AT_CLKTCK));
        printf("platform %s\n", (char *)getauxval(AT_PLATFORM));
        IS(getauxval(AT_MINSIGSTKSZ) >= 2048);
        IS(((uintptr_t)argv & 7) == 0);
        struct sigaction a;
        sigaction(SIGUSR1, NULL, &a);
        printf("caught signal reset %d\n", a.sa_handler == SIG_DFL);
        sigaction(SIGUSR2, NULL, &a);
        printf("ignored signal kept %d\n", a.sa_handler == SIG_IGN);
        sigset_t m;
        sigprocmask(SIG_BLOCK, NULL, &m);
        printf("mask kept %d\n", sigismember(&m, SIGHUP));
        sigpending(&m);
        printf("pending kept %d\n", sigismember(&m, SIGHUP));
        printf("open %d closed %d\n", fcntl(10, F_GETFD), fcntl(11, F_GETFD));
        printf("umask %o\n", umask(0));
        char name[16];
        prctl(PR_GET_NAME, name);
        puts(name);
        IS(atoi(argv[1]) == getpid());
        stack_t ss;
        sigaltstack(NULL, &ss);
        printf("altstack %d\n", ss.ss_flags);
        show("here");
        return 0;
    }
    mkdir("d", 0755);
    put("d/here", "cwd kept");
    pid_t c = fork();
    if (c == 0) {
        chdir("d");
        umask(027);
        signal(SIGUSR1, h);
        signal(SIGUSR2, SIG_IGN);
        sigset_t m;
        sigemptyset(&m);
        sigaddset(&m, SIGHUP);
        sigprocmask(SIG_BLOCK, &m, NULL);
        raise(SIGHUP);
        dup2(1, 10);
        dup3(1, 11, O_CLOEXEC);
        char *stack = malloc(65536);
        stack_t ss = {.ss_sp = stack, .ss_size = 65536};
        sigaltstack(&ss, NULL);
        char pid[16];
        sprintf(pid, "%d", getpid());
        char *av[] = {"look", pid, "", "two words", "\xff\xfe", NULL}, *ev[] = {"A=1", "EMPTY=", "noequals", NULL};
        execve(self, av, ev);
        printf("execve: %s\n", en(errno));
        _exit(1);
    }
    int st1;
    waitpid(c, &st1, 0);
    ended("child", st1);
    CHILD("empty name", { char *av[] = {"", NULL}; execve(self, av, NULL); _exit(1); });
    CHILD("no arguments", { execve(self, NULL, NULL); _exit(1); });
    return 0;
}
