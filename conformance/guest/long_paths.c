// subject: NAME_MAX, PATH_MAX and trees deeper than PATH_MAX
#include "t.h"
int main(void) {
    char n[300];
    memset(n, 'n', sizeof n);
    n[255] = 0;
    T(mkdir(n, 0755));
    struct stat s;
    T(stat(n, &s));
    n[255] = 'n';
    n[256] = 0;
    T(mkdir(n, 0755));
    T(stat(n, &s));
    T(open(n, O_RDONLY));
    T(symlink("x", n));
    T(rename("x", n));
    char p[6000];
    memset(p, 0, sizeof p);
    for (int i = 0; i < 2047; i++) strcat(p, "./");
    printf("length %zu\n", strlen(p));
    T(stat(p, &s));
    strcat(p, ".");
    printf("length %zu\n", strlen(p));
    T(stat(p, &s));
    strcat(p, "/");
    printf("length %zu\n", strlen(p));
    T(stat(p, &s));
    T(open(p, O_RDONLY));
    T(chdir(p));
    T(mkdir(p, 0755));
    T(access(p, 0));
    T(truncate(p, 0));
    char comp[200];
    memset(comp, 'd', 199);
    comp[199] = 0;
    int depth = 0;
    for (; depth < 40; depth++)
        if (mkdir(comp, 0755) < 0 || chdir(comp) < 0) break;
    printf("depth %d\n", depth);
    char cwd[10000];
    IS(getcwd(cwd, sizeof cwd) != NULL);
    errno = 0;
    char *raw = (char *)syscall(SYS_getcwd, cwd, 4096);
    printf("raw getcwd %s\n", raw == (char *)-1 ? en(errno) : "ok");
    put("leaf", "deep");
    show("leaf");
    int dfd = MUST(open(".", O_RDONLY));
    T(openat(dfd, "leaf", O_RDONLY));
    unlink("leaf");
    for (int i = depth; i > 0; i--)
        if (chdir("..") < 0 || rmdir(comp) < 0) {
            printf("back at %d: %s\n", i, en(errno));
            break;
        }
    st("dd");
    return 0;
}
