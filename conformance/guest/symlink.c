// subject: symbolic links: loops, lengths, readlink truncation, links in the middle of paths
#include "t.h"
static void rl(const char *p, size_t n) {
    char b[5000];
    memset(b, '#', sizeof b);
    ssize_t r = readlink(p, b, n);
    if (r < 0) printf("readlink %s %zu: %s\n", p, n, en(errno));
    else printf("readlink %s %zu: %zd %.*s%c\n", p, n, r, r > 40 ? 40 : (int)r, b, b[r]);
}
int main(void) {
    T(symlink("target", "l"));
    T(symlink("target", "l"));
    T(symlink("", "empty"));
    T(symlink("x", ""));
    T(symlink("x", "no/where"));
    T(symlink("x", "slash/"));
    rl("l", 100);
    rl("l", 3);
    rl("l", 0);
    rl("none", 10);
    put("f", "x");
    rl("f", 10);
    rl("f/x", 10);
    st("l");
    show("l");
    put("target", "T");
    show("l");
    symlink("loop", "loop");
    T(open("loop", O_RDONLY));
    struct stat s;
    T(stat("loop", &s));
    T(lstat("loop", &s));
    symlink("a", "b");
    symlink("b", "a");
    T(access("a", F_OK));
    T(open("a/x", O_RDONLY));
    T(mkdir("a", 0755));
    char name[16], to[16];
    symlink("f", "c0");
    for (int i = 1; i < 45; i++) {
        sprintf(name, "c%d", i);
        sprintf(to, "c%d", i - 1);
        symlink(to, name);
    }
    T(access("c39", F_OK));
    T(access("c40", F_OK));
    T(access("c41", F_OK));
    mkdir("d", 0755);
    put("d/in", "I");
    symlink("d", "ld");
    show("ld/in");
    symlink("../d/in", "d/up");
    show("ld/up");
    lstat("ld/", &s);
    printf("ld/ is %s\n", kind(s.st_mode));
    lstat("ld/.", &s);
    printf("ld/. is %s\n", kind(s.st_mode));
    T(unlink("ld/"));
    T(rmdir("ld"));
    T(rmdir("ld/"));
    T(mkdir("ld", 0700));
    T(unlink("ld"));
    char longt[4200];
    memset(longt, 'x', sizeof longt);
    longt[4095] = 0;
    OK(symlink(longt, "long"));
    longt[4095] = 'x';
    longt[4096] = 0;
    T(symlink(longt, "longer"));
    T(chmod("l", 0600));
    st("l");
    st("target");
    T(fchmodat(AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW));
    T(truncate("l", 0));
    st("target");
    symlink("d/", "ts");
    show("ts/in");
    symlink("f/", "tsf");
    T(open("tsf", O_RDONLY));
    return 0;
}
