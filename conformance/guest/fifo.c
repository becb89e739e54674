// subject: FIFOs: blocking open, O_NONBLOCK, ENXIO, EPIPE, poll
#include "t.h"
int main(void) {
    signal(SIGPIPE, SIG_IGN);
    T(mkfifo("p", 0640));
    st("p");
    T(mkfifo("p", 0640));
    T(open("p", O_WRONLY | O_NONBLOCK));
    int r = MUST(open("p", O_RDONLY | O_NONBLOCK));
    char b[16];
    T(read(r, b, 16));
    int w = MUST(open("p", O_WRONLY | O_NONBLOCK));
    T(read(r, b, 16));
    T(write(w, "abc", 3));
    T(read(r, b, 16));
    struct pollfd f = {r, POLLIN, 0};
    T(poll(&f, 1, 0));
    close(w);
    T(poll(&f, 1, 0));
    printf("revents %x\n", f.revents);
    T(read(r, b, 16));
    w = MUST(open("p", O_WRONLY));
    close(r);
    T(write(w, "x", 1));
    close(w);
    pid_t c = fork();
    if (c == 0) {
        int cw = open("p", O_WRONLY);
        write(cw, "from child", 10);
        _exit(0);
    }
    r = MUST(open("p", O_RDONLY));
    ssize_t n = 0, k;
    while ((k = read(r, b + n, sizeof b - n)) > 0) n += k;
    printf("got %.*s\n", (int)n, b);
    close(r);
    reap("writer", c);
    int rw = MUST(open("p", O_RDWR));
    T(write(rw, "self", 4));
    T(read(rw, b, 16));
    close(rw);
    c = fork();
    if (c == 0) {
        alarm(1);
        open("p", O_RDONLY);
        _exit(0);
    }
    reap("reader that nobody joins", c);
    T(lseek(MUST(open("p", O_RDWR)), 0, SEEK_SET));
    link("p", "p2");
    c = fork();
    if (c == 0) {
        int cw = open("p2", O_WRONLY);
        write(cw, "two names", 9);
        _exit(0);
    }
    r = MUST(open("p", O_RDONLY));
    n = read(r, b, sizeof b);
    printf("got %.*s\n", n > 0 ? (int)n : 0, b);
    reap("writer", c);
    rename("p", "q");
    T(mknod("m", S_IFIFO | 0600, 0));
    st("m");
    T(mknod("r", S_IFREG | 0600, 0));
    st("r");
    T(mknod("z", 0600, 0));
    st("z");
    T(mknod("dd", S_IFDIR | 0600, 0));
    T(mknod("c", S_IFCHR | 0600, makedev(1, 3)));
    T(mknod("l", S_IFLNK | 0600, 0));
    T(mknod("s", S_IFSOCK | 0600, 0));
    st("s");
    T(open("s", O_RDONLY));
    return 0;
}
