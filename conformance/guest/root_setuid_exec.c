// subject: set-user-id and set-group-id programs, with and without no_new_privs
// root
#include "t.h"
static void ids(const char *w) {
    uid_t r, e, s;
    gid_t a, b, c;
    getresuid(&r, &e, &s);
    getresgid(&a, &b, &c);
    printf("%s: uid %d %d %d gid %d %d %d secure %lu dumpable %d\n", w, r, e, s, a, b, c, getauxval(AT_SECURE), prctl(PR_GET_DUMPABLE) == 1);
}
static void copy(const char *to, int uid, int gid, int mode) {
    int i = open(self, O_RDONLY), o = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    char b[65536];
    ssize_t n;
    while ((n = read(i, b, sizeof b)) > 0) write(o, b, n);
    close(i);
    close(o);
    chown(to, uid, gid);
    chmod(to, mode);
}
int main(int argc, char **argv) {
    if (argc > 1) {
        ids(argv[1]);
        if (!strcmp(argv[1], "to-root")) {
            T(setuid(0));
            ids(argv[1]);
        }
        return 0;
    }
    copy("suid", 1000, 1000, 04755);
    copy("sgid", 1000, 2000, 02755);
    copy("both", 1000, 2000, 06755);
    copy("rootsuid", 0, 0, 04755);
    copy("sgidnoexec", 1000, 2000, 02745);
    CHILD("suid", { execl("suid", "x", "suid", NULL); _exit(9); });
    CHILD("sgid", { execl("sgid", "x", "sgid", NULL); _exit(9); });
    CHILD("both", { execl("both", "x", "both", NULL); _exit(9); });
    CHILD("sgid without x", { execl("sgidnoexec", "x", "sgid without x", NULL); _exit(9); });
    CHILD("user to root", { setgroups(0, NULL); setgid(1234); setuid(1234); execl("rootsuid", "x", "to-root", NULL); _exit(9); });
    CHILD("user to user", { setgroups(0, NULL); setgid(1234); setuid(1234); execl("both", "x", "user to user", NULL); _exit(9); });
    CHILD("no_new_privs", { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); setgid(1234); setuid(1234); execl("rootsuid", "x", "no_new_privs", NULL); _exit(9); });
    CHILD("not executable by us", { chmod("suid", 04700); setgid(1234); setuid(1234); execl("suid", "x", "never", NULL); printf("%s\n", en(errno)); });
    CHILD("script with a set-id bit", {
        char line[300];
        snprintf(line, sizeof line, "#!%s script\n", self);
        put("script", line);
        chown("script", 1000, 1000);
        chmod("script", 06755);
        execl("script", "x", NULL);
        _exit(9);
    });
    CHILD("saved ids after exec", { setresuid(0, 1000, 0); execl(self, "x", "saved", NULL); _exit(9); });
    CHILD("root through exec", { setresuid(1000, 1000, 1000); execl(self, "x", "plain user", NULL); _exit(9); });
    return 0;
}
