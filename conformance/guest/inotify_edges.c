// subject: inotify: masks and their errnos, one-shot, moves and cookies, removed directories, masks added to, short buffers
#include "t.h"
static int fd;
static int names[32];
static const char *which(int wd) {
    static char b[16];
    for (int i = 0; i < 32; i++)
        if (names[i] == wd) { snprintf(b, sizeof b, "w%d", i); return b; }
    return wd == -1 ? "none" : "?";
}
static void events(const char *when) {
    char buf[8192] __attribute__((aligned(8)));
    uint32_t cookie = 0;
    printf("%s:\n", when);
    // What comes together is told together.
    msleep(50);
    struct pollfd p = {fd, POLLIN, 0};
    while (poll(&p, 1, 100) > 0) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n <= 0) break;
        for (char *at = buf; at < buf + n;) {
            struct inotify_event *e = (void *)at;
            printf("  %s %x %s%s\n", which(e->wd), e->mask, e->len ? e->name : "-", !e->cookie ? "" : e->cookie == cookie ? " same cookie" : " cookie");
            if (e->cookie) cookie = e->cookie;
            at += sizeof *e + e->len;
        }
    }
}
static int add(int i, const char *path, uint32_t mask) {
    int wd = inotify_add_watch(fd, path, mask);
    if (wd >= 0) names[i] = wd;
    else printf("add %s %x: %s\n", path, mask, en(errno));
    return wd;
}
int main(void) {
    memset(names, 0x55, sizeof names);
    fd = MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    T(inotify_init1(0x1));
    mkdir("a", 0755);
    mkdir("b", 0755);
    put("a/f", "x");
    symlink("a", "la");
    T(inotify_add_watch(fd, "a", 0));
    T(inotify_add_watch(fd, "none", IN_CREATE));
    T(inotify_add_watch(fd, "a/f", IN_CREATE | IN_ONLYDIR));
    T(inotify_add_watch(fd, "a", IN_CREATE | IN_MASK_ADD | 0x10000000));
    T(inotify_add_watch(99, "a", IN_CREATE));
    T(inotify_add_watch(1, "a", IN_CREATE));
    T(inotify_rm_watch(fd, 77));
    T(read(fd, (char[8]){0}, 8));
    add(0, "a", IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB | IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF);
    IS(inotify_add_watch(fd, "la", IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB | IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF) == names[0]);
    add(1, "b", IN_ALL_EVENTS & ~IN_ACCESS & ~IN_OPEN & ~IN_CLOSE_NOWRITE);
    close(creat("a/new", 0644));
    events("create");
    put("a/new", "text");
    events("write");
    rename("a/new", "a/newer");
    events("rename within");
    rename("a/newer", "b/newest");
    events("rename across");
    chmod("b/newest", 0600);
    events("chmod");
    link("b/newest", "a/hard");
    events("link");
    unlink("b/newest");
    events("unlink");
    mkdir("a/sub", 0755);
    rmdir("a/sub");
    events("mkdir and rmdir");
    symlink("x", "a/link");
    mkfifo("a/fifo", 0600);
    events("symlink and mkfifo");
    truncate("a/f", 0);
    events("truncate");
    utimensat(AT_FDCWD, "a/f", NULL, 0);
    events("utimensat");
    rename("a/link", "a/f");
    events("rename over");
    chmod("a", 0700);
    events("chmod of the directory");
    T(rmdir("b"));
    events("removal of the directory");
    put("e", "x");
    add(3, "e", IN_ONESHOT | IN_MODIFY);
    put("e", "1");
    events("one shot");
    add(4, "e", IN_MODIFY);
    add(4, "e", IN_ATTRIB | IN_MASK_ADD);
    int w = open("e", O_WRONLY | O_TRUNC);
    write(w, "2", 1);
    fchmod(w, 0640);
    ftruncate(w, 0);
    close(w);
    events("mask added to");
    T(inotify_rm_watch(fd, names[4]));
    events("removed watch");
    T(inotify_rm_watch(fd, names[4]));
    unlink("a/hard");
    unlink("a/f");
    unlink("a/fifo");
    rmdir("a");
    events("last");
    int pending;
    T(ioctl(fd, FIONREAD, &pending));
    printf("%d\n", pending);
    return 0;
}
