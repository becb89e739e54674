// subject: /proc/self/exe, fexecve, exec of a deleted file, exec by descriptor, exec from a thread
#include "t.h"
static char *base(char *p) { char *b = strrchr(p, '/'); return b ? b + 1 : p; }
static void *th(void *p) {
    (void)p;
    char *av[] = {"x", "thread", NULL};
    execv("/proc/self/exe", av);
    return NULL;
}
int main(int argc, char **argv) {
    char l[PATH_MAX], b[64];
    if (argc > 1) {
        ssize_t n = readlink("/proc/self/exe", l, sizeof l - 1);
        l[n > 0 ? n : 0] = 0;
        printf("%s: exe %s\n", argv[1], base(l));
        int f = open("/proc/self/exe", O_RDONLY);
        IS(f >= 0 && read(f, b, 4) == 4 && !memcmp(b, "\177ELF", 4));
        struct stat s1, s2;
        fstat(f, &s1);
        if (stat("/proc/self/exe", &s2) == 0) IS(s1.st_ino == s2.st_ino && S_ISREG(s1.st_mode));
        char name[16];
        prctl(PR_GET_NAME, name);
        puts(name);
        if (!strcmp(argv[1], "thread")) {
            IS(gettid() == getpid());
            DIR *d = opendir("/proc/self/task");
            int k = 0;
            while (d && readdir(d)) k++;
            printf("tasks %d\n", k - 2);
        }
        DIR *d = opendir("/proc/self/fd");
        struct dirent *e;
        int k = 0;
        while (d && (e = readdir(d))) k += e->d_name[0] != '.';
        printf("descriptors %d\n", k - 2);
        return 0;
    }
    CHILD("self", { execl("/proc/self/exe", "x", "again", NULL); _exit(1); });
    int f = open(self, O_RDONLY | O_CLOEXEC);
    CHILD("fexecve", { char *av[] = {"x", "fexecve", NULL}, *ev[] = {NULL}; fexecve(f, av, ev); printf("%s\n", en(errno)); _exit(1); });
    int p = open(self, O_PATH | O_CLOEXEC);
    CHILD("O_PATH", { char *av[] = {"x", "path", NULL}; syscall(SYS_execveat, p, "", av, NULL, AT_EMPTY_PATH); printf("%s\n", en(errno)); _exit(1); });
    int in = open("copy", O_WRONLY | O_CREAT, 0755);
    char buf[65536];
    ssize_t n;
    while ((n = read(f, buf, sizeof buf)) > 0) write(in, buf, n);
    close(in);
    CHILD("copy", { execl("copy", "x", "copy", NULL); _exit(1); });
    int c = open("copy", O_RDONLY | O_CLOEXEC);
    unlink("copy");
    CHILD("deleted", { char *av[] = {"x", "deleted", NULL}, *ev[] = {NULL}; fexecve(c, av, ev); printf("%s\n", en(errno)); _exit(1); });
    CHILD("thread", {
        pthread_t t;
        pthread_create(&t, NULL, th, NULL);
        for (;;) pause();
    });
    symlink(self, "link");
    CHILD("link", { execl("link", "x", "link", NULL); _exit(1); });
    pid_t v = vfork();
    if (v == 0) {
        execl(self, "x", "vfork", NULL);
        _exit(1);
    }
    reap("vfork", v);
    v = vfork();
    if (v == 0) {
        execl("/nonexistent", "x", NULL);
        _exit(errno == ENOENT ? 4 : 5);
    }
    reap("vfork that fails", v);
    // Many in a row.
    int good = 0;
    for (int i = 0; i < 50; i++) {
        pid_t q = fork();
        if (q == 0) {
            int null = open("/dev/null", O_WRONLY);
            dup2(null, 1);
            execl(self, "x", "many", NULL);
            _exit(1);
        }
        int st1;
        waitpid(q, &st1, 0);
        good += st1 == 0;
    }
    printf("good %d\n", good);
    return 0;
}
