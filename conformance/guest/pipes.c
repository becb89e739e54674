// subject: pipes: capacity, atomicity, EPIPE and SIGPIPE, O_NONBLOCK, flags, FIONREAD, packet mode
#include "t.h"
static volatile int pipes;
static void h(int s) { pipes += s == SIGPIPE; }
int main(void) {
    int p[2];
    T(pipe(p));
    printf("%d %d\n", p[0], p[1]);
    T(pipe2(p, 0x40000000));
    T(pipe((int *)8));
    T(pipe2(p, O_NONBLOCK | O_CLOEXEC));
    printf("%x %x\n", fcntl(p[0], F_GETFL) & O_NONBLOCK, fcntl(p[1], F_GETFD));
    char b[65536];
    memset(b, 'x', sizeof b);
    T(read(p[0], b, 1));
    long total = 0;
    ssize_t n;
    while ((n = write(p[1], b, 4096)) > 0) total += n;
    printf("capacity %ld errno %s\n", total, en(errno));
    IS(total == fcntl(p[1], F_GETPIPE_SZ));
    int avail;
    T(ioctl(p[0], FIONREAD, &avail));
    printf("%d\n", avail);
    T(fcntl(p[1], F_SETPIPE_SZ, 4096));
    while (read(p[0], b, sizeof b) > 0) {}
    T(fcntl(p[1], F_SETPIPE_SZ, 4096));
    T(write(p[1], b, 5000));
    T(read(p[1], b, 1));
    T(write(p[0], b, 1));
    close(p[1]);
    T(read(p[0], b, 65536));
    T(read(p[0], b, 1));
    pipe(p);
    close(p[0]);
    signal(SIGPIPE, h);
    T(write(p[1], b, 1));
    printf("signals %d\n", pipes);
    signal(SIGPIPE, SIG_DFL);
    CHILD("default", { write(p[1], b, 1); });
    int d[2];
    T(pipe2(d, O_DIRECT));
    T(write(d[1], "one", 3));
    T(write(d[1], "two", 3));
    T(read(d[0], b, 100));
    T(read(d[0], b, 100));
    pipe(p);
    pid_t c = fork();
    if (c == 0) {
        close(p[0]);
        for (int i = 0; i < 1000; i++) write(p[1], b, 1000);
        _exit(0);
    }
    close(p[1]);
    total = 0;
    while ((n = read(p[0], b, sizeof b)) > 0) total += n;
    printf("total %ld\n", total);
    reap("writer", c);
    // Sixteen processes, each an echo.
    int first[2], in[2], out[2];
    pipe(first);
    in[0] = first[0];
    for (int i = 0; i < 16; i++) {
        pipe(out);
        c = fork();
        if (c == 0) {
            close(first[1]);
            close(out[0]);
            while ((n = read(in[0], b, 64)) > 0) {
                b[0]++;
                write(out[1], b, n);
            }
            _exit(0);
        }
        close(in[0]);
        close(out[1]);
        in[0] = out[0];
    }
    write(first[1], "A", 1);
    close(first[1]);
    n = read(in[0], b, 64);
    printf("%zd %c\n", n, b[0]);
    n = 0;
    while (wait(NULL) > 0) n++;
    printf("children %zd\n", n);
    return 0;
}
