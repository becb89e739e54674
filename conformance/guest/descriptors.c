// subject: dup, dup2, dup3, fcntl, close_range, closing everything and going on
#include "t.h"
int main(int argc, char **argv) {
    if (argc > 1) return argv[1][0];
    put("f", "0123456789");
    int f = MUST(open("f", O_RDONLY));
    printf("%d\n", f);
    T(dup(f));
    T(dup2(f, 20));
    T(dup2(f, f));
    T(dup2(99, 5));
    T(dup2(f, -1));
    T(dup2(f, 1 << 30));
    T(dup3(f, 21, O_CLOEXEC));
    T(fcntl(21, F_GETFD));
    T(dup3(f, f, 0));
    T(dup3(f, 22, 0x8000));
    T(fcntl(f, F_DUPFD, 10));
    T(fcntl(f, F_DUPFD_CLOEXEC, 10));
    T(fcntl(11, F_GETFD));
    T(fcntl(f, F_DUPFD, -1));
    T(fcntl(f, F_SETFD, FD_CLOEXEC));
    T(fcntl(f, F_GETFD));
    T(fcntl(99, F_GETFD));
    T(fcntl(f, 9999));
    T(close(f));
    T(close(f));
    T(open("f", O_RDONLY));
    T(lseek(20, 5, SEEK_SET));
    T(lseek(21, 0, SEEK_CUR));
    T(syscall(SYS_close_range, 4, 30, 0));
    T(fcntl(20, F_GETFD));
    T(syscall(SYS_close_range, 30, 4, 0));
    dup2(3, 25);
    T(syscall(SYS_close_range, 20, 30, 4));
    T(fcntl(25, F_GETFD));
    T(ioctl(25, FIOCLEX));
    T(ioctl(25, FIONCLEX));
    T(fcntl(25, F_GETFD));
    T(fcntl(25, F_SETFL, O_APPEND | O_NONBLOCK));
    printf("%o\n", fcntl(25, F_GETFL) & ~O_LARGEFILE);
    int p[2];
    pipe(p);
    T(fcntl(p[0], F_SETOWN, getpid()));
    IS(fcntl(p[0], F_GETOWN) == getpid());
    T(fcntl(p[0], F_SETSIG, SIGUSR1));
    T(fcntl(p[0], F_GETSIG));
    int out = dup(1);
    CHILD("child closes everything and still works", {
        for (int i = 0; i < 256; i++) close(i);
        struct stat s;
        int bad = 0;
        if (stat("f", &s) < 0 || s.st_size != 10) bad |= 1;
        if (open("f", O_RDONLY) != 0) bad |= 2;
        if (open("g", O_CREAT | O_WRONLY, 0644) != 1) bad |= 4;
        if (mkdir("made", 0755) < 0) bad |= 8;
        if (fork() == 0) _exit(0);
        if (wait(NULL) < 0) bad |= 16;
        _exit(bad);
    });
    st("made");
    CHILD("child with nothing open runs a program", {
        for (int i = 0; i < 256; i++) close(i);
        execl(self, "x", "A", NULL);
        _exit(9);
    });
    CHILD("all numbers above 2 closed by close_range", {
        syscall(SYS_close_range, 3, ~0u, 0);
        int n = open("f", O_RDONLY);
        _exit(n);
    });
    T(write(out, "", 0));
    T(syscall(SYS_kcmp, getpid(), getpid(), 0, 1, out) >= 0 ? 0 : 0);
    return 0;
}
