// subject: chdir, fchdir, getcwd, deleted and moved working directories
#include "t.h"
static char base[PATH_MAX];
static void where(void) {
    char b[PATH_MAX];
    if (!getcwd(b, sizeof b)) printf("getcwd: %s\n", en(errno));
    else printf("cwd %s\n", strncmp(b, base, strlen(base)) ? "elsewhere" : b + strlen(base));
    char l[PATH_MAX];
    ssize_t n = readlink("/proc/self/cwd", l, sizeof l - 1);
    l[n > 0 ? n : 0] = 0;
    printf("link %s\n", n < 0 ? en(errno) : strncmp(l, base, strlen(base)) ? "elsewhere" : l + strlen(base));
}
int main(void) {
    getcwd(base, sizeof base);
    mkdir("a", 0755);
    mkdir("a/b", 0755);
    put("f", "");
    T(chdir("a/b"));
    where();
    T(chdir(".."));
    where();
    T(chdir("../f"));
    T(chdir("none"));
    T(chdir(""));
    symlink("b", "lb");
    T(chdir("lb"));
    where();
    char small[4], one[1];
    IS(getcwd(small, 4) == NULL);
    printf("%s\n", en(errno));
    T(syscall(SYS_getcwd, one, 0));
    T(syscall(SYS_getcwd, (char *)8, 100));
    int d = MUST(open("../..", O_RDONLY));
    T(fchdir(d));
    where();
    int f = MUST(open("f", O_RDONLY));
    T(fchdir(f));
    T(fchdir(99));
    int b = MUST(open("a/b", O_PATH));
    T(fchdir(b));
    where();
    T(rename("../../a", "../../z"));
    where();
    T(rmdir("../b"));
    where();
    struct stat s;
    T(stat(".", &s));
    T(stat("..", &s));
    T(creat("x", 0644));
    T(open(".", O_RDONLY));
    T(chdir("."));
    T(chdir(".."));
    where();
    T(fchdir(d));
    CHILD("child", {
        T(chdir("z"));
        where();
    });
    where();
    T(chdir("/"));
    char r[PATH_MAX];
    printf("%s\n", getcwd(r, sizeof r));
    T(chdir("/proc/self/fd"));
    return 0;
}
