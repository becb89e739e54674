// A static musl binary: what musl does differently (its own syscall sites, its threads, its vfork) in one program.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static int sum;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static volatile int got;
static void *add(void *p) {
    pthread_mutex_lock(&m);
    sum += (int)(long)p;
    pthread_mutex_unlock(&m);
    return 0;
}
static void h(int s) { got = s; }
int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "fail")) return 3;
    if (argc == 2 && !strcmp(argv[1], "child")) return 7;
    pthread_t t[8];
    for (long i = 0; i < 8; i++) pthread_create(&t[i], 0, add, (void *)(i + 1));
    for (int i = 0; i < 8; i++) pthread_join(t[i], 0);
    pid_t c;
    char *av[] = {argv[0], "child", 0};
    int status = 0;
    if (posix_spawn(&c, argv[0], 0, 0, av, 0) == 0) waitpid(c, &status, 0);
    FILE *f = fopen("/tmp/musl", "w+");
    int ok = f && fprintf(f, "x") == 1 && fflush(f) == 0;
    struct stat s;
    ok = ok && stat("/tmp/musl", &s) == 0 && s.st_size == 1 && unlink("/tmp/musl") == 0;
    signal(SIGUSR1, h);
    raise(SIGUSR1);
    printf("musl: %d arguments, 8 threads sum %d, child %d, file %s, signal %s\n", argc - 1, sum, WEXITSTATUS(status),
           ok ? "ok" : "bad", got == SIGUSR1 ? "ok" : "bad");
    return 0;
}
