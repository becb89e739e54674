// subject: ids asked for so often that they may be known, and children that are somebody else
#include "t.h"
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
static pid_t me;
static void ask(void) {
    for (int i = 0; i < 100; i++)
        if (getpid() != syscall(SYS_getpid) || getuid() != syscall(SYS_getuid) || getegid() != syscall(SYS_getegid)) printf("differs\n");
}
static void *thread(void *arg) {
    ask();
    printf("thread: same pid %d\n", getpid() == me);
    return arg;
}
static int in_same_memory(void *arg) {
    (void)arg;
    printf("clone: other pid %d\n", getpid() != me && getpid() == syscall(SYS_getpid));
    fflush(stdout);
    ask();
    _exit(0);
}
int main(void) {
    me = syscall(SYS_getpid);
    ask();
    printf("pid %d\n", getpid() == me);
    fflush(stdout);
    for (int round = 0; round < 3; round++) {
        pid_t p = fork();
        if (!p) {
            printf("fork: other pid %d, parent %d\n", getpid() != me, getppid() == me);
            fflush(stdout);
            ask();
            _exit(0);
        }
        waitpid(p, 0, 0);
        ask();
        volatile int other = 0;
        p = vfork();
        if (!p) {
            other = getpid() != me && getpid() == syscall(SYS_getpid);
            _exit(0);
        }
        waitpid(p, 0, 0);
        printf("vfork: other pid %d, and we are %d\n", other, getpid() == me);
        fflush(stdout);
        ask();
    }
    pthread_t t;
    pthread_create(&t, 0, thread, 0);
    pthread_join(t, 0);
    fflush(stdout);
    static char stack[65536] __attribute__((aligned(16)));
    pid_t p = clone(in_same_memory, stack + sizeof stack, CLONE_VM | SIGCHLD, 0);
    ask();
    waitpid(p, 0, 0);
    printf("still %d\n", getpid() == me);
    ask();
    return 0;
}
