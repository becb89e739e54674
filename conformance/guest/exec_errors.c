// subject: exec errnos: missing, directories, permissions, formats, limits
#include "t.h"
static void ex(const char *path) {
    char *av[] = {"x", NULL}, *ev[] = {NULL};
    execve(path, av, ev);
    printf("%s: %s\n", path, en(errno));
}
static void file(const char *name, const void *data, size_t n, int mode) {
    int f = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    write(f, data, n);
    close(f);
    chmod(name, mode);
}
int main(void) {
    ex("none");
    ex("");
    ex(".");
    mkdir("d", 0755);
    ex("d");
    ex("d/x");
    file("noexec", "\177ELF", 4, 0644);
    ex("noexec");
    ex("noexec/x");
    file("empty", "", 0, 0755);
    ex("empty");
    file("text", "just text\n", 10, 0755);
    ex("text");
    file("short", "\177ELF", 4, 0755);
    ex("short");
    file("bang", "#!", 2, 0755);
    ex("bang");
    file("bang2", "#!\n", 3, 0755);
    ex("bang2");
    file("bang3", "#!   \n", 6, 0755);
    ex("bang3");
    file("nointerp", "#!/no/such/interpreter\n", 23, 0755);
    ex("nointerp");
    file("dirinterp", "#!/tmp\n", 7, 0755);
    ex("dirinterp");
    symlink("loop", "loop");
    ex("loop");
    mkfifo("fifo", 0755);
    ex("fifo");
    ex("/dev/null");
    T(execve((char *)8, NULL, NULL));
    execve(self, (char **)8, NULL);
    printf("bad argv: %s\n", en(errno));
    char *bad[] = {(char *)8, NULL};
    execve(self, bad, NULL);
    printf("bad argv[0]: %s\n", en(errno));
    // A single string over 128 KiB is too long, one below is not.
    char *big = malloc(300000);
    memset(big, 'a', 300000);
    big[131072] = 0;
    char *av[] = {"true", big, NULL};
    execve("/nonexistent", av, NULL);
    printf("missing with a big string: %s\n", en(errno));
    execve(self, av, NULL);
    printf("string of 128 KiB: %s\n", en(errno));
    struct rlimit r = {8 << 20, RLIM_INFINITY};
    getrlimit(RLIMIT_STACK, &r);
    r.rlim_cur = 8 << 20;
    setrlimit(RLIMIT_STACK, &r);
    big[100000] = 0;
    char **many = calloc(200, sizeof *many);
    for (int i = 0; i < 30; i++) many[i] = big;
    execve(self, many, NULL);
    printf("3 MB of arguments: %s\n", en(errno));
    int self_fd = open(self, O_RDONLY);
    int sz = lseek(self_fd, 0, SEEK_END);
    char *img = malloc(sz);
    pread(self_fd, img, sz, 0);
    img[4] = 1;
    file("class32", img, 4096, 0755);
    CHILD("class byte 32 with a cut image", ex("class32"));
    img[4] = 2;
    img[18] = 183;
    file("arm", img, 4096, 0755);
    CHILD("arm", ex("arm"));
    img[18] = 62;
    img[16] = 1;
    file("object", img, 4096, 0755);
    CHILD("object", ex("object"));
    // Being written to.
    int w = open("busy", O_WRONLY | O_CREAT, 0755);
    img[16] = 2;
    pread(self_fd, img, sz, 0);
    write(w, img, sz);
    CHILD("busy", ex("busy"));
    close(w);
    int p = open(self, O_PATH);
    char *a2[] = {"x", NULL};
    T(syscall(SYS_execveat, p, "", a2, NULL, 0));
    T(syscall(SYS_execveat, 99, "x", a2, NULL, 0));
    T(syscall(SYS_execveat, p, "x", a2, NULL, 0));
    T(syscall(SYS_execveat, AT_FDCWD, "loop", a2, NULL, AT_SYMLINK_NOFOLLOW));
    T(syscall(SYS_execveat, AT_FDCWD, "x", a2, NULL, 1));
    int sh = open("nointerp", O_RDONLY);
    T(syscall(SYS_execveat, sh, "", a2, NULL, AT_EMPTY_PATH));
    printf("still here\n");
    return 0;
}
