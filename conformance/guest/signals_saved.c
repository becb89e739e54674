// subject: a handler that was saved and set again interrupts as before; queries show the program's own handler and mask
#include "t.h"
#include <signal.h>
#include <sys/time.h>
static volatile int n;
static void h(int s) { (void)s; n++; }
static void g(int s) { (void)s; }
static const char *blocked_read(void) {
    int p[2];
    pipe(p);
    struct itimerval it = {.it_value = {.tv_usec = 30000}};
    setitimer(ITIMER_REAL, &it, NULL);
    char c;
    ssize_t r = read(p[0], &c, 1);
    close(p[0]);
    close(p[1]);
    return r < 0 && errno == EINTR ? "EINTR" : "other";
}
int main(void) {
    struct sigaction a = {.sa_handler = h}, b = {.sa_handler = g}, old, now;
    sigaddset(&a.sa_mask, SIGUSR2);
    T(sigaction(SIGALRM, &a, NULL));
    const char *r = blocked_read();
    printf("first: %s, handled %d\n", r, n);
    T(sigaction(SIGALRM, &b, &old));
    IS(old.sa_handler == h);
    IS(sigismember(&old.sa_mask, SIGUSR2) == 1);
    T(sigaction(SIGALRM, &old, NULL));
    T(sigaction(SIGALRM, NULL, &now));
    IS(now.sa_handler == h);
    r = blocked_read();
    printf("restored: %s, handled %d\n", r, n);
    pid_t c = fork();
    if (!c) {
        r = blocked_read();
        printf("child: %s, handled %d\n", r, n);
        fflush(stdout);
        _exit(0);
    }
    waitpid(c, NULL, 0);
    return 0;
}
