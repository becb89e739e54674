// subject: POSIX record locks and open file description locks
#include "t.h"
static struct flock L(int type, off_t start, off_t len) {
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    return l;
}
static int set(int fd, int cmd, int type, off_t s, off_t n) {
    struct flock l = L(type, s, n);
    return fcntl(fd, cmd, &l);
}
int main(void) {
    int fd = MUST(open("f", O_RDWR | O_CREAT, 0644));
    T(set(fd, F_SETLK, F_WRLCK, 0, 10));
    T(set(fd, F_SETLK, F_RDLCK, 5, 10));
    pid_t parent = getpid();
    CHILD("child", {
        int g = open("f", O_RDWR);
        T(set(g, F_SETLK, F_WRLCK, 0, 1));
        T(set(g, F_SETLK, F_RDLCK, 0, 1));
        T(set(g, F_SETLK, F_RDLCK, 5, 1));
        T(set(g, F_SETLK, F_WRLCK, 20, 5));
        struct flock l = L(F_WRLCK, 0, 0);
        T(fcntl(g, F_GETLK, &l));
        printf("type %d start %ld len %ld owner is the parent: %d\n", l.l_type, (long)l.l_start, (long)l.l_len, l.l_pid == parent);
        l = L(F_WRLCK, 30, 1);
        T(fcntl(g, F_GETLK, &l));
        printf("type %d\n", l.l_type);
    });
    int other = open("f", O_RDWR);
    close(other);
    CHILD("after a close of another descriptor", {
        int g = open("f", O_RDWR);
        T(set(g, F_SETLK, F_WRLCK, 0, 0));
    });
    T(set(fd, F_SETLK, F_WRLCK, 0, 0));
    pid_t c = fork();
    if (c == 0) {
        int g = open("f", O_RDWR);
        T(set(g, F_SETLKW, F_WRLCK, 0, 0));
        printf("child got it\n");
        _exit(0);
    }
    msleep(100);
    printf("parent lets go\n");
    T(set(fd, F_SETLK, F_UNLCK, 0, 0));
    reap("waiter", c);
    int o1 = open("f", O_RDWR), o2 = open("f", O_RDWR);
    T(set(o1, F_OFD_SETLK, F_WRLCK, 0, 0));
    T(set(o2, F_OFD_SETLK, F_WRLCK, 0, 0));
    struct flock l = L(F_WRLCK, 0, 0);
    T(fcntl(o2, F_OFD_GETLK, &l));
    printf("type %d pid %d\n", l.l_type, l.l_pid);
    int dupd = dup(o1);
    close(o1);
    T(set(o2, F_OFD_SETLK, F_WRLCK, 0, 0));
    close(dupd);
    T(set(o2, F_OFD_SETLK, F_WRLCK, 0, 0));
    int ro = open("f", O_RDONLY);
    T(set(ro, F_SETLK, F_WRLCK, 0, 0));
    T(set(99, F_SETLK, F_WRLCK, 0, 0));
    T(set(fd, F_SETLK, 77, 0, 0));
    T(fcntl(fd, F_SETLK, (void *)8));
    T(lockf(fd, F_TEST, 10));
    return 0;
}
