// subject: inotify: a watched directory that is moved, a watched symbolic link
#include "t.h"
static int fd;
static void events(const char *when) {
    char buf[4096] __attribute__((aligned(8)));
    printf("%s:\n", when);
    struct pollfd p = {fd, POLLIN, 0};
    while (poll(&p, 1, 100) > 0) {
        ssize_t n = read(fd, buf, sizeof buf);
        for (char *at = buf; n > 0 && at < buf + n; at += sizeof(struct inotify_event) + ((struct inotify_event *)at)->len)
            printf("  %d %x\n", ((struct inotify_event *)at)->wd, ((struct inotify_event *)at)->mask);
    }
}
int main(void) {
    fd = MUST(inotify_init1(IN_NONBLOCK));
    mkdir("d", 0755);
    put("f", "x");
    symlink("f", "l");
    T(inotify_add_watch(fd, "d", IN_MOVE_SELF | IN_ATTRIB));
    T(inotify_add_watch(fd, "l", IN_ATTRIB | IN_DELETE_SELF | IN_DONT_FOLLOW));
    T(inotify_add_watch(fd, "f", IN_MOVE_SELF));
    rename("d", "e");
    events("moved directory");
    rename("f", "g");
    events("moved file");
    unlink("l");
    events("removed link");
    return 0;
}
