// subject: chown by root; what clears set-id bits; groups of new files in set-gid directories
// root
#include "t.h"
static void own(const char *p) {
    struct stat s;
    if (lstat(p, &s) < 0) printf("%s: %s\n", p, en(errno));
    else printf("%s %d:%d %04o\n", p, s.st_uid, s.st_gid, s.st_mode & 07777);
}
int main(void) {
    put("f", "x");
    own("f");
    chmod("f", 06755);
    T(chown("f", 1000, 2000));
    own("f");
    chmod("f", 06755);
    T(chown("f", -1, -1));
    own("f");
    chmod("f", 02644);
    T(chown("f", -1, 5));
    own("f");
    chmod("f", 06777);
    int w = open("f", O_WRONLY);
    T(write(w, "y", 1));
    own("f");
    mkdir("d", 0755);
    chmod("d", 06755);
    T(chown("d", 7, 8));
    own("d");
    chmod("d", 02777);
    put("d/in", "");
    mkdir("d/sub", 0755);
    symlink("x", "d/l");
    own("d/in");
    own("d/sub");
    own("d/l");
    T(lchown("d/l", 9, 10));
    own("d/l");
    CHILD("as 1000:1000", {
        setgroups(0, NULL);
        setgid(1000);
        setuid(1000);
        put("d/user", "");
        own("d/user");
        T(chmod("d/user", 02755));
        own("d/user");
        T(chown("d/user", 1000, 8));
        T(chown("d/user", 1000, 1000));
        own("d/user");
        T(open("d/exec", O_CREAT | O_WRONLY, 02755));
        own("d/exec");
        T(chown("f", 1000, 1000));
    });
    CHILD("with group 8", {
        gid_t g[2] = {8, 77};
        setgroups(2, g);
        setgid(1000);
        setuid(1000);
        T(chmod("d/user", 02755));
        own("d/user");
        T(chown("d/user", -1, 77));
        own("d/user");
        T(chown("d/user", -1, 78));
        int n = getgroups(0, NULL);
        printf("groups %d\n", n);
    });
    T(chown("f", 0xfffffffe, 0xfffffffe));
    own("f");
    T(fchownat(AT_FDCWD, "f", 65536, 70000, 0));
    own("f");
    struct statx x;
    statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x);
    printf("%u %u\n", x.stx_uid, x.stx_gid);
    return 0;
}
