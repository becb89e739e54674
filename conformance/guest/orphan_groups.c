// subject: orphaned process groups: SIGHUP and SIGCONT for stopped members, reads from a terminal that is not theirs
#include "t.h"
static int out[2];
static void say(const char *text) { write(out[1], text, strlen(text)); }
static void hup(int s) { say(s == SIGHUP ? "HUP " : s == SIGCONT ? "CONT " : "? "); }
int main(void) {
    pipe(out);
    // A parent in the same session but another group dies while its child is stopped.
    pid_t parent = fork();
    if (parent == 0) {
        setpgid(0, 0);
        pid_t child = fork();
        if (child == 0) {
            setpgid(0, 0);
            struct sigaction a = {.sa_handler = hup};
            sigaction(SIGHUP, &a, NULL);
            sigaction(SIGCONT, &a, NULL);
            raise(SIGSTOP);
            say("went on ");
            _exit(0);
        }
        int s;
        waitpid(child, &s, WUNTRACED);
        if (WIFSTOPPED(s)) say("stopped ");
        _exit(0);
    }
    reap("parent", parent);
    close(out[1]);
    char b[256];
    ssize_t n = 0, r;
    while ((r = read(out[0], b + n, sizeof b - 1 - n)) > 0) n += r;
    b[n] = 0;
    IS(strstr(b, "HUP") && strstr(b, "CONT") && strstr(b, "went on"));
    // In an orphaned group SIGTSTP of the terminal's kind does not stop; SIGSTOP does.
    CHILD("tstp", { setsid(); raise(SIGTSTP); _exit(3); });
    pid_t c = fork();
    if (c == 0) { setsid(); raise(SIGSTOP); _exit(4); }
    int s;
    waitpid(c, &s, WUNTRACED);
    ended("stop", s);
    kill(c, SIGCONT);
    reap("stop", c);
    // A background read of an orphaned group gives EIO.
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    grantpt(master);
    unlockpt(master);
    c = fork();
    if (c == 0) {
        setsid();
        int tty = open(ptsname(master), O_RDWR);
        pid_t g = fork();
        if (g == 0) {
            setpgid(0, 0);
            pid_t o = fork();
            if (o == 0) {
                msleep(100);
                errno = 0;
                ssize_t k = read(tty, b, 1);
                printf("orphan reads: %zd %s\n", k, en(errno));
                k = write(tty, "x", 1);
                printf("orphan writes: %zd\n", k);
                _exit(0);
            }
            _exit(0);
        }
        waitpid(g, NULL, 0);
        msleep(300);
        _exit(0);
    }
    reap("session", c);
    return 0;
}
