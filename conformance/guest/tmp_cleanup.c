// subject: many processes create, rename and delete the same names at once
// timeout 60
#include "t.h"
int main(void) {
    for (int c = 0; c < 4; c++)
        if (fork() == 0) {
            char a[32], b[32];
            for (int i = 0; i < 300; i++) {
                snprintf(a, sizeof a, "n%d", (i * 7 + c) % 13);
                snprintf(b, sizeof b, "n%d", (i * 5 + c) % 13);
                switch (i % 5) {
                case 0: { int f = open(a, O_CREAT | O_WRONLY, 0644); if (f >= 0) close(f); else if (errno != EISDIR) _exit(1); break; }
                case 1: if (rename(a, b) < 0 && errno != ENOENT && errno != EISDIR && errno != ENOTDIR && errno != ENOTEMPTY) _exit(2); break;
                case 2: if (unlink(b) < 0 && errno != ENOENT && errno != EISDIR) _exit(3); break;
                case 3: if (mkdir(b, 0755) < 0 && errno != EEXIST) _exit(4); break;
                case 4: if (rmdir(a) < 0 && errno != ENOENT && errno != ENOTDIR && errno != ENOTEMPTY) _exit(5); break;
                }
            }
            _exit(0);
        }
    int st1, bad = 0;
    while (wait(&st1) > 0) bad += st1 != 0;
    printf("bad %d\n", bad);
    // O_EXCL makes exactly one winner of each name.
    int p[2];
    pipe(p);
    for (int c = 0; c < 8; c++)
        if (fork() == 0) {
            for (int i = 0; i < 50; i++) {
                char a[32];
                snprintf(a, sizeof a, "lock%d", i);
                if (open(a, O_CREAT | O_EXCL | O_WRONLY, 0644) >= 0) write(p[1], "w", 1);
            }
            _exit(0);
        }
    while (wait(NULL) > 0) {}
    close(p[1]);
    int n = 0;
    char x;
    while (read(p[0], &x, 1) == 1) n++;
    printf("winners %d\n", n);
    return 0;
}
