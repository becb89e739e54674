// subject: O_TMPFILE and linkat of an unnamed file
#include "t.h"
int main(void) {
    int fd = open(".", O_TMPFILE | O_RDWR, 0640);
    if (fd < 0) {
        printf("open: %s\n", en(errno));
        return 0;
    }
    struct stat s;
    T(write(fd, "unnamed", 7));
    fstat(fd, &s);
    printf("mode %o links %ld size %ld\n", s.st_mode, (long)s.st_nlink, (long)s.st_size);
    char proc[64];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    T(linkat(AT_FDCWD, proc, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    show("named");
    st("named");
    fstat(fd, &s);
    printf("links %ld\n", (long)s.st_nlink);
    int ex = MUST(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600));
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", ex);
    T(linkat(AT_FDCWD, proc, AT_FDCWD, "never", AT_SYMLINK_FOLLOW));
    T(open(".", O_TMPFILE | O_RDONLY, 0600));
    T(open("named", O_TMPFILE | O_RDWR, 0600));
    T(open("none", O_TMPFILE | O_RDWR, 0600));
    return 0;
}
