// subject: inotify on a directory and a file
#include "t.h"
static void drain(int i) {
    char b[4096] __attribute__((aligned(8)));
    ssize_t n;
    struct pollfd p = {i, POLLIN, 0};
    while (poll(&p, 1, 50) > 0 && (n = read(i, b, sizeof b)) > 0)
        for (char *q = b; q < b + n; q += sizeof(struct inotify_event) + ((struct inotify_event *)q)->len) {
            struct inotify_event *e = (void *)q;
            printf("  wd %d mask %x cookie %d %s\n", e->wd, e->mask, e->cookie != 0, e->len ? e->name : "-");
        }
}
int main(void) {
    mkdir("d", 0755);
    put("d/old", "x");
    int i = MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    T(inotify_add_watch(i, "d", IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_ATTRIB));
    T(inotify_add_watch(i, "none", IN_CREATE));
    T(inotify_add_watch(i, "d/old", IN_ONLYDIR | IN_CREATE));
    T(inotify_add_watch(i, "d", 0));
    T(inotify_add_watch(99, "d", IN_CREATE));
    char b[16];
    T(read(i, b, 16));
    put("d/new", "y");
    drain(i);
    mkdir("d/sub", 0755);
    drain(i);
    rename("d/new", "d/newer");
    drain(i);
    rename("d/newer", "out");
    drain(i);
    rename("out", "d/in");
    drain(i);
    chmod("d/in", 0600);
    drain(i);
    unlink("d/in");
    drain(i);
    rmdir("d/sub");
    drain(i);
    T(inotify_add_watch(i, "d/old", IN_MODIFY | IN_OPEN));
    put("d/old", "z");
    drain(i);
    T(inotify_rm_watch(i, 2));
    drain(i);
    T(inotify_rm_watch(i, 99));
    unlink("d/old");
    drain(i);
    rmdir("d");
    drain(i);
    return 0;
}
