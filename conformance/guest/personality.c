// subject: personality(2): what is kept, what exec inherits, address randomisation, a 32-bit machine name
#include "t.h"
#include <sys/personality.h>
int main(int argc, char **argv) {
    struct utsname u;
    if (argc > 1) {
        printf("%s: persona %x\n", argv[1], personality(0xffffffff));
        uname(&u);
        puts(u.machine);
        if (!strcmp(argv[1], "address")) printf("%p\n", (void *)&argc), printf("%p\n", sbrk(0));
        if (!strcmp(argv[1], "exec")) {
            char *m = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), line[256];
            FILE *f = fopen("/proc/self/maps", "r");
            while (fgets(line, sizeof line, f)) if (strtoul(line, NULL, 16) <= (unsigned long)m && strtoul(strchr(line, '-') + 1, NULL, 16) > (unsigned long)m) printf("%.4s\n", strchr(line, ' ') + 1);
        }
        return 0;
    }
    T(personality(0xffffffff));
    T(personality(ADDR_NO_RANDOMIZE));
    T(personality(0xffffffff));
    char out[2][256] = {"", ""};
    for (int i = 0; i < 2; i++) {
        int p[2];
        pipe(p);
        pid_t c = fork();
        if (c == 0) { dup2(p[1], 1); execl(self, self, "address", NULL); _exit(1); }
        close(p[1]);
        for (ssize_t n = 0, r; (r = read(p[0], out[i] + n, 255 - n)) > 0;) n += r;
        reap("child", c);
    }
    IS(!strcmp(out[0], out[1]));
    T(personality(PER_LINUX32));
    uname(&u);
    puts(u.machine);
    CHILD("linux32", { execl(self, self, "inherited", NULL); });
    T(personality(READ_IMPLIES_EXEC));
    CHILD("read implies exec", { execl(self, self, "exec", NULL); });
    T(personality(UNAME26));
    uname(&u);
    printf("%.3s\n", u.release);
    T(personality(0x12345678));
    T(personality(0xffffffff));
    T(personality(0));
    return 0;
}
