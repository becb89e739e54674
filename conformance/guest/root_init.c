// subject: the first process of the container: orphans, signals that it does not take, kill(-1)
// root
// guest-only
#include "t.h"
int main(void) {
    T(kill(1, SIGKILL));
    T(kill(1, SIGSTOP));
    T(kill(1, 0));
    struct stat s;
    T(stat("/proc/1", &s));
    pid_t c = fork();
    if (c == 0) {
        if (fork() == 0) {
            for (int i = 0; i < 500 && getppid() != 1; i++) msleep(2);
            _exit(getppid() == 1 ? 0 : 1);
        }
        _exit(0);
    }
    reap("middle", c);
    msleep(100);
    pid_t a = fork();
    if (a == 0) for (;;) pause();
    char host[64];
    IS(gethostname(host, sizeof host) == 0 && host[0]);
    // Nothing of the host is to be seen: every number in /proc answers to kill 0.
    DIR *d = opendir("/proc");
    struct dirent *e;
    int strangers = 0;
    while (d && (e = readdir(d)))
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && kill(atoi(e->d_name), 0) < 0) strangers++;
    printf("strangers %d\n", strangers);
    T(kill(a, SIGKILL));
    reap("a", a);
    return 0;
}
