// subject: flock(2) between processes, over dup and fork, upgrades
#include "t.h"
int main(void) {
    int a = MUST(open("f", O_RDWR | O_CREAT, 0644));
    int b = MUST(open("f", O_RDONLY));
    T(flock(a, LOCK_SH));
    T(flock(b, LOCK_SH | LOCK_NB));
    T(flock(b, LOCK_EX | LOCK_NB));
    T(flock(a, LOCK_UN));
    T(flock(b, LOCK_EX | LOCK_NB));
    T(flock(a, LOCK_SH | LOCK_NB));
    int d = dup(b);
    close(b);
    T(flock(a, LOCK_SH | LOCK_NB));
    CHILD("child unlocks what it inherited", { T(flock(d, LOCK_UN)); });
    T(flock(a, LOCK_EX | LOCK_NB));
    pid_t c = fork();
    if (c == 0) {
        int g = open("f", O_RDONLY);
        T(flock(g, LOCK_EX));
        _exit(0);
    }
    msleep(80);
    printf("let go\n");
    T(flock(a, LOCK_UN));
    reap("waiter", c);
    T(flock(a, 77));
    T(flock(99, LOCK_SH));
    mkdir("d", 0755);
    int d1 = open("d", O_RDONLY), d2 = open("d", O_RDONLY);
    T(flock(d1, LOCK_EX | LOCK_NB));
    T(flock(d2, LOCK_EX | LOCK_NB));
    int p[2];
    pipe(p);
    OK(flock(p[0], LOCK_SH | LOCK_NB));
    return 0;
}
