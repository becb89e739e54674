// subject: argument limits that must work: many strings, long strings, a big environment, a small stack limit
#include "t.h"
int main(int argc, char **argv) {
    if (argc > 1) {
        size_t n = 0;
        for (int i = 0; i < argc; i++) n += strlen(argv[i]) + 1;
        size_t e = 0;
        int k = 0;
        for (char **p = argv + argc + 1; *p; p++, k++) e += strlen(*p) + 1;
        printf("argc %d bytes %zu env %d bytes %zu\n", argc, n, k, e);
        return 0;
    }
    char *s = malloc(200000);
    memset(s, 's', 200000);
    s[131071] = 0;
    CHILD("one long", { char *av[] = {"x", s, NULL}; execv(self, av); printf("%s\n", en(errno)); });
    s[0] = 'a';
    s[1] = 0;
    char **many = calloc(60001, sizeof *many);
    for (int i = 0; i < 60000; i++) many[i] = s;
    CHILD("60000 short", { execv(self, many); printf("%s\n", en(errno)); });
    char *ev[101];
    char *big = malloc(10001);
    memset(big, 'e', 10000);
    big[10000] = 0;
    for (int i = 0; i < 100; i++) ev[i] = big;
    ev[100] = NULL;
    CHILD("1 MB environment", { char *av[] = {"x", "y", NULL}; execve(self, av, ev); printf("%s\n", en(errno)); });
    CHILD("small stack", {
        struct rlimit r = {256 << 10, RLIM_INFINITY};
        setrlimit(RLIMIT_STACK, &r);
        char *av[] = {"x", "y", NULL};
        execve(self, av, NULL);
        printf("%s\n", en(errno));
    });
    CHILD("1 MB environment on a small stack", {
        struct rlimit r = {256 << 10, RLIM_INFINITY};
        setrlimit(RLIMIT_STACK, &r);
        char *av[] = {"x", "y", NULL};
        execve(self, av, ev);
        printf("%s\n", en(errno));
    });
    return 0;
}
