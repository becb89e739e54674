// subject: many files and directories: create, list, read back, remove
// timeout 60
#include "t.h"
int main(void) {
    char p[64], b[64];
    int bad = 0;
    for (int d = 0; d < 20; d++) {
        snprintf(p, sizeof p, "d%d", d);
        bad += mkdir(p, 0755) < 0;
        for (int i = 0; i < 50; i++) {
            snprintf(p, sizeof p, "d%d/f%d", d, i);
            FILE *f = fopen(p, "w");
            if (!f) {
                bad++;
                continue;
            }
            fprintf(f, "%d %d\n", d, i);
            fclose(f);
        }
    }
    for (int d = 0; d < 20; d++)
        for (int i = 0; i < 50; i++) {
            snprintf(p, sizeof p, "d%d/f%d", d, i);
            FILE *f = fopen(p, "r");
            int x, y;
            if (!f || fscanf(f, "%d %d", &x, &y) != 2 || x != d || y != i) bad++;
            if (f) fclose(f);
        }
    for (int d = 0; d < 20; d++)
        for (int i = 0; i < 50; i += 2) {
            snprintf(p, sizeof p, "d%d/f%d", d, i);
            snprintf(b, sizeof b, "d%d/g%d", (d + 1) % 20, i);
            bad += rename(p, b) < 0;
        }
    int n = 0;
    for (int d = 0; d < 20; d++) {
        snprintf(p, sizeof p, "d%d", d);
        DIR *dir = opendir(p);
        struct dirent *e;
        while (dir && (e = readdir(dir)))
            if (e->d_name[0] != '.') {
                n++;
                bad += unlinkat(dirfd(dir), e->d_name, 0) < 0;
            }
        closedir(dir);
        bad += rmdir(p) < 0;
    }
    printf("files %d bad %d\n", n, bad);
    // Four processes append to one file.
    int f = open("log", O_CREAT | O_APPEND | O_WRONLY, 0644);
    for (int c = 0; c < 4; c++)
        if (fork() == 0) {
            for (int i = 0; i < 500; i++) {
                int k = snprintf(b, sizeof b, "%d %04d line\n", c, i);
                write(f, b, k);
            }
            _exit(0);
        }
    while (wait(NULL) > 0) {}
    FILE *l = fopen("log", "r");
    n = 0;
    int good = 0;
    while (fgets(b, sizeof b, l)) {
        n++;
        good += strlen(b) == 12;
    }
    printf("lines %d whole %d\n", n, good);
    return 0;
}
