// subject: O_APPEND writes, pwrite on O_APPEND, F_SETFL
#include "t.h"
int main(void) {
    put("f", "12345");
    int fd = MUST(open("f", O_RDWR | O_APPEND));
    T(lseek(fd, 0, SEEK_SET));
    T(write(fd, "ab", 2));
    T(lseek(fd, 0, SEEK_CUR));
    T(pwrite(fd, "cd", 2, 0));
    show("f");
    int f2 = MUST(open("f", O_RDWR));
    T(write(f2, "XY", 2));
    T(fcntl(f2, F_SETFL, O_APPEND));
    T(write(f2, "end", 3));
    show("f");
    T(fcntl(f2, F_SETFL, 0));
    T(pwrite(f2, "0", 1, 0));
    show("f");
    int d = dup(f2);
    T(lseek(f2, 3, SEEK_SET));
    T(lseek(d, 0, SEEK_CUR));
    IS((fcntl(d, F_GETFL) & O_APPEND) == 0);
    struct iovec v[2] = {{"one", 3}, {"two", 3}};
    T(writev(fd, v, 2));
    show("f");
    return 0;
}
