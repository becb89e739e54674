// subject: fork, vfork, wait statuses, WNOHANG, process groups in waitpid, many children
#include "t.h"
int main(void) {
    for (int i = 0; i < 256; i += 51) CHILD("exit", { _exit(i); });
    CHILD("exit beyond a byte", { _exit(0x1ff); });
    int sigs[] = {SIGHUP, SIGINT, SIGKILL, SIGUSR1, SIGPIPE, SIGTERM};
    for (int i = 0; i < 6; i++) CHILD("kill", { kill(getpid(), sigs[i]); pause(); });
    int st1;
    T(waitpid(-1, &st1, 0));
    int p[2];
    pipe(p);
    pid_t c = fork();
    if (c == 0) {
        char x;
        read(p[0], &x, 1);
        _exit(9);
    }
    T(waitpid(c, &st1, WNOHANG));
    write(p[1], "x", 1);
    reap("child", c);
    int v = 1;
    pid_t k = vfork();
    if (k == 0) {
        v = 2;
        _exit(3);
    }
    printf("after vfork %d\n", v);
    reap("vfork", k);
    // The parent's memory does not change by what a forked child does.
    v = 10;
    CHILD("writer", { v = 20; });
    printf("after fork %d\n", v);
    c = fork();
    if (c == 0) {
        setpgid(0, 0);
        _exit(1);
    }
    setpgid(c, c);
    IS(waitpid(-c, &st1, 0) == c);
    T(waitpid(-c, &st1, 0));
    int n = 0, sum = 0;
    for (int i = 0; i < 64; i++) {
        c = fork();
        if (c == 0) _exit(i);
        if (c > 0) n++;
    }
    while ((c = wait(&st1)) > 0) sum += WEXITSTATUS(st1);
    printf("children %d sum %d\n", n, sum);
    c = fork();
    if (c == 0) {
        pid_t g = fork();
        if (g == 0) {
            msleep(100);
            _exit(0);
        }
        _exit(0);
    }
    reap("parent of a grandchild", c);
    T(waitpid(-1, &st1, 0));
    struct rusage ru;
    c = fork();
    if (c == 0) {
        for (volatile long i = 0; i < 20000000; i++) {}
        _exit(0);
    }
    IS(wait4(c, &st1, 0, &ru) == c);
    IS(ru.ru_utime.tv_usec > 0 || ru.ru_utime.tv_sec > 0);
    IS(ru.ru_maxrss > 0);
    // File offsets are shared between parent and child.
    put("f", "0123456789");
    int f = open("f", O_RDONLY);
    CHILD("reader", { char b[4]; read(f, b, 4); });
    T(lseek(f, 0, SEEK_CUR));
    return 0;
}
