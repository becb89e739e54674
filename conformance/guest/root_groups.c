// subject: permission by group: primary, supplementary, owner first, even when it says less
// root
#include "t.h"
int main(void) {
    put("f", "x");
    chown("f", 1000, 500);
    struct { const char *who; int uid, gid, sup; } c[] = {
        {"owner", 1000, 1, 1}, {"group", 1001, 500, 1}, {"supplementary", 1001, 1, 500}, {"other", 1001, 1, 1}, {"owner and group", 1000, 500, 500}};
    int modes[] = {0400, 0040, 0004, 0444, 0604, 0064};
    for (int m = 0; m < 6; m++) {
        chmod("f", modes[m]);
        for (int i = 0; i < 5; i++) {
            pid_t k = fork();
            if (k == 0) {
                gid_t g = c[i].sup;
                setgroups(1, &g);
                setresgid(c[i].gid, c[i].gid, c[i].gid);
                setresuid(c[i].uid, c[i].uid, c[i].uid);
                int r = open("f", O_RDONLY), w = open("f", O_WRONLY);
                printf("%04o %s: read %d write %d access %d%d\n", modes[m], c[i].who, r >= 0, w >= 0, access("f", R_OK) == 0, access("f", W_OK) == 0);
                _exit(0);
            }
            waitpid(k, NULL, 0);
        }
    }
    mkdir("d", 0755);
    put("d/f", "x");
    chown("d", 0, 500);
    chmod("d", 0750);
    CHILD("search by group", { setgid(500); setgroups(0, NULL); setuid(1001); T(access("d/f", F_OK)); });
    CHILD("search by other", { setgid(1); setgroups(0, NULL); setuid(1001); T(access("d/f", F_OK)); });
    CHILD("real id counts for access", {
        setgroups(0, NULL);
        setresgid(1, 1, 1);
        setresuid(1001, 1000, 1000);
        chmod("f", 0400);
        T(access("f", R_OK));
        T(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
        T(open("f", O_RDONLY));
    });
    return 0;
}
