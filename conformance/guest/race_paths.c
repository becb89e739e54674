// subject: a thread that changes path strings while they are used: only the two names ever meant may be met
// timeout 60
#include "t.h"
static char path[16];
static volatile int stop;
static void *flip(void *p) {
    (void)p;
    for (unsigned i = 0; !stop; i++) memcpy(path, i & 1 ? "good" : "none", 4);
    return NULL;
}
static int flip_vm(void *p) { flip(p); return 0; }
int main(void) {
    put("good", "x");
    mkdir("secret", 0755);
    strcpy(path, "good");
    for (int round = 0; round < 2; round++) {
        pthread_t t;
        pid_t c = 0;
        static char stack[65536];
        stop = 0;
        if (round == 0) pthread_create(&t, NULL, flip, NULL);
        else c = clone(flip_vm, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
        int odd = 0, opened = 0, missing = 0;
        for (int i = 0; i < 3000; i++) {
            int f = open(path, O_RDONLY);
            if (f >= 0) {
                struct stat s;
                if (fstat(f, &s) < 0 || s.st_size != 1) odd++;
                opened++;
                close(f);
            } else if (errno == ENOENT) missing++;
            else odd++;
            if (mkdir(path, 0755) == 0) rmdir("none");
            else if (errno != EEXIST) odd++;
        }
        stop = 1;
        if (round == 0) pthread_join(t, NULL);
        else waitpid(c, NULL, 0);
        printf("odd results %d, total %d\n", odd, opened + missing);
        rmdir("none");
    }
    DIR *d = opendir(".");
    struct dirent *e;
    while ((e = readdir(d)))
        if (e->d_name[0] != '.' && strcmp(e->d_name, "good") && strcmp(e->d_name, "secret")) printf("unexpected name %s\n", e->d_name);
    return 0;
}
