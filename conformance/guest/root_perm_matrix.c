// subject: every mode against owner, group, supplementary group and others: files, directories, access and open
// root
#include "t.h"
static char rwx(const char *path, const char *inside) {
    int bits = 0, fd;
    if ((fd = open(path, O_RDONLY)) >= 0) bits |= 4, close(fd);
    if (!inside && (fd = open(path, O_WRONLY)) >= 0) bits |= 2, close(fd);
    if (inside) {
        char new[128];
        snprintf(new, sizeof new, "%s/new%d", path, getpid());
        if ((fd = open(new, O_CREAT | O_EXCL | O_WRONLY, 0600)) >= 0) { bits |= 2; close(fd); unlink(new); }
        struct stat s;
        if (stat(inside, &s) == 0) bits |= 1;
    } else if (access(path, X_OK) == 0) bits |= 1;
    int a = (access(path, R_OK) == 0) * 4 + (access(path, W_OK) == 0) * 2 + (access(path, X_OK) == 0);
    return inside || a == bits ? '0' + bits : '?';
}
int main(void) {
    static const struct { const char *name; uid_t u; gid_t g; int n; gid_t more[2]; } who[] = {
        {"owner", 1000, 500, 0, {0}}, {"group", 1001, 1000, 0, {0}}, {"supplementary", 1002, 500, 2, {77, 1000}}, {"other", 1003, 500, 0, {0}},
        {"owner in group", 1000, 1000, 0, {0}}};
    chmod(".", 0755);
    for (size_t w = 0; w < sizeof who / sizeof *who; w++) {
        printf("%s:", who[w].name);
        fflush(stdout);
        for (int mode = 0; mode < 0777; mode += 7) {
            unlink("f");
            put("f", "x");
            chmod("f", mode);
            chown("f", 1000, 1000);
            mkdir("d", 0755);
            put("d/in", "x");
            chmod("d", mode);
            chown("d", 1000, 1000);
            pid_t c = fork();
            if (c == 0) {
                setgroups(who[w].n, who[w].more);
                setgid(who[w].g);
                setuid(who[w].u);
                char line[16];
                snprintf(line, sizeof line, " %c%c", rwx("f", NULL), rwx("d", "d/in"));
                write(1, line, strlen(line));
                _exit(0);
            }
            waitpid(c, NULL, 0);
        }
        printf("\n");
    }
    // Only the file system id counts for files, only the real one for access.
    unlink("f");
    put("f", "x");
    chmod("f", 0600);
    CHILD("fsuid", {
        setfsuid(1000);
        T(open("f", O_RDONLY));
        T(access("f", R_OK));
        printf("%d\n", setfsuid(-1));
    });
    CHILD("euid", {
        seteuid(1000);
        T(open("f", O_RDONLY));
        T(access("f", R_OK));
        T(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
    });
    CHILD("ruid", {
        setresuid(1000, 0, 0);
        T(open("f", O_RDONLY) >= 0 ? 0 : -1);
        T(access("f", R_OK));
        T(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
    });
    return 0;
}
