// subject: sticky directories, and who may remove, rename, link, chmod, chown, truncate and time another's files
// root
#include "t.h"
static void as(uid_t uid, gid_t gid) {
    pid_t c = fork();
    if (c == 0) {
        setgroups(0, NULL);
        setgid(gid);
        setuid(uid);
        printf("== uid %d\n", uid);
        T(unlink("s/a"));
        T(rename("s/b", "s/bb"));
        T(rename("s/c", "o/c"));
        T(rename("o/x", "s/d"));
        T(rename("o/y", "s/free"));
        T(rmdir("s/dir"));
        T(link("s/e", "o/linked"));
        T(chmod("s/e", 0777));
        T(chown("s/e", uid, -1));
        T(chown("s/e", -1, gid));
        T(truncate("s/e", 0));
        struct timespec t[2] = {{1, 0}, {2, 0}}, now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}}, half[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
        T(utimensat(AT_FDCWD, "s/e", t, 0));
        T(utimensat(AT_FDCWD, "s/e", now, 0));
        T(utimensat(AT_FDCWD, "s/e", half, 0));
        T(utimensat(AT_FDCWD, "s/e", NULL, 0));
        T(setxattr("s/e", "user.a", "b", 1, 0));
        T(removexattr("s/e", "user.a"));
        T(open("s/e", O_RDONLY | O_NOATIME) >= 0 ? 0 : -1);
        T(setxattr("s", "user.a", "b", 1, 0));
        T(symlink("x", "s/link"));
        T(unlink("s/link"));
        _exit(0);
    }
    reap("done", c);
}
static void file(const char *name, uid_t u, mode_t m) { put(name, "text"); chmod(name, m); chown(name, u, 2000); }
int main(void) {
    chmod(".", 0755);
    for (int world = 0; world < 2; world++)
        for (uid_t uid = 1000; uid < 1003; uid++) {
            mkdir("s", 0);
            chmod("s", 01777);
            chown("s", 1001, 2000);
            mkdir("o", 0);
            chmod("o", 0777);
            char name[8];
            for (char n = 'a'; n <= 'e'; n++) { snprintf(name, 8, "s/%c", n); file(name, 1000, world ? 0666 : 0644); }
            mkdir("s/dir", 0755);
            chown("s/dir", 1000, 2000);
            file("o/x", uid, 0644);
            file("o/y", uid, 0644);
            as(uid, 3000);
            const char *all[] = {"s/a", "s/b", "s/bb", "s/c", "o/c", "s/d", "s/free", "s/dir", "o/linked"};
            for (size_t i = 0; i < sizeof all / sizeof *all; i++) { printf("%s %s, ", all[i], access(all[i], F_OK) ? "no" : "yes"); remove(all[i]); }
            printf("\n");
            unlink("s/e"), unlink("s/b"), unlink("s/a"), unlink("s/c"), unlink("s/d"), unlink("o/x"), unlink("o/y"), rmdir("s"), rmdir("o");
        }
    return 0;
}
