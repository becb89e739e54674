// subject: another process that shares the memory changes the path and the arguments of exec
// timeout 60
#include "t.h"
static char path[PATH_MAX], arg[64];
static volatile int *stop;
static int flip(void *p) {
    size_t n = strlen(path);
    (void)p;
    for (unsigned i = 0; !*stop; i++) {
        path[n - 1] = i & 1 ? 'x' : self[n - 1];
        arg[0] = i & 1 ? 'A' : 'B';
    }
    return 0;
}
int main(int argc, char **argv) {
    if (argc > 1) return argv[1][0] == 'A' || argv[1][0] == 'B' ? 7 : 8;
    stop = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ran = 0, failed = 0, odd = 0;
    for (int i = 0; i < 200; i++) {
        strcpy(path, self);
        strcpy(arg, "A-argument");
        pid_t c = fork();
        if (c == 0) {
            static char stack[65536];
            *stop = 0;
            pid_t t = clone(flip, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
            char *av[] = {"x", arg, NULL}, *ev[] = {NULL};
            execve(path, av, ev);
            int e = errno;
            *stop = 1;
            waitpid(t, NULL, 0);
            _exit(e == ENOENT ? 9 : 10);
        }
        int st1;
        waitpid(c, &st1, 0);
        *stop = 1;
        if (WIFEXITED(st1) && WEXITSTATUS(st1) == 7) ran++;
        else if (WIFEXITED(st1) && WEXITSTATUS(st1) == 9) failed++;
        else {
            odd++;
            printf("status %x\n", st1);
        }
    }
    printf("odd %d total %d\n", odd, ran + failed + odd);
    return 0;
}
