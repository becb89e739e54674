// subject: controlling terminals: who gets one by opening, giving up, taking, foreground groups and their signals, odd commands
#include "t.h"
static volatile int got[65];
static void h(int s) { got[s]++; }
static char *name;
static int m;
static const char *ctty(void) {
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY);
    if (fd < 0) return en(errno);
    close(fd);
    return "yes";
}
int main(void) {
    m = MUST(posix_openpt(O_RDWR | O_NOCTTY));
    unlockpt(m);
    name = strdup(ptsname(m));
    printf("at first: %s\n", ctty());
    pid_t pgrp = -5;
    T(ioctl(m, TIOCGPGRP, &pgrp));
    printf("nobody's group %d\n", pgrp);
    T(tcgetsid(m));
    CHILD("no leader", {
        int s = MUST(open(name, O_RDWR));
        printf("not by one that leads no session: %s\n", ctty());
        T(ioctl(s, TIOCSCTTY, 0));
        T(tcgetpgrp(s));
        T(tcsetpgrp(s, getpgrp()));
        T(ioctl(s, TIOCNOTTY));
    });
    CHILD("O_NOCTTY", {
        setsid();
        int s = MUST(open(name, O_RDWR | O_NOCTTY));
        printf("not with O_NOCTTY: %s\n", ctty());
        T(ioctl(s, TIOCSCTTY, 0));
        printf("asked for: %s\n", ctty());
        T(ioctl(s, TIOCSCTTY, 0));
    });
    CHILD("write only", {
        setsid();
        MUST(open(name, O_WRONLY));
        printf("not by writing only: %s\n", ctty());
        MUST(open(name, O_RDONLY));
        printf("by reading: %s\n", ctty());
    });
    CHILD("leader", {
        setsid();
        int s = MUST(open(name, O_RDWR));
        printf("by opening: %s\n", ctty());
        IS(s >= 0 && tcgetsid(s) == getpid() && tcgetpgrp(s) == getpid());
        pid_t g = -1;
        T(ioctl(m, TIOCGPGRP, &g));
        IS(g == getpid());
        IS(tcgetsid(m) == getpid());
        // Another session does not get it, nor asks about it.
        CHILD("second session", {
            setsid();
            int t = MUST(open(name, O_RDWR));
            printf("not what another session has: %s\n", ctty());
            T(ioctl(t, TIOCSCTTY, 0));
            T(ioctl(t, TIOCSCTTY, 1));
            T(tcgetpgrp(t));
            T(tcsetpgrp(t, getpgrp()));
        });
        CHILD("member", {
            printf("inherited: %s\n", ctty());
            // One that gives up loses it alone.
            int t = MUST(open("/dev/tty", O_RDWR));
            IS(tcgetsid(t) == getppid());
            T(ioctl(t, TIOCNOTTY));
            printf("given up: %s\n", ctty());
        });
        printf("still there: %s\n", ctty());
        // A background process and its signal.
        int q[2];
        pipe(q);
        pid_t b = fork();
        if (b == 0) {
            setpgid(0, 0);
            struct sigaction a = {.sa_handler = h};
            sigaction(SIGTTOU, &a, NULL);
            T(tcsetpgrp(s, getpgrp()));
            printf("SIGTTOU %d\n", got[SIGTTOU]);
            struct termios t;
            tcgetattr(s, &t);
            T(tcsetattr(s, TCSANOW, &t));
            printf("SIGTTOU %d\n", got[SIGTTOU]);
            struct sigaction c = {.sa_handler = h};
            sigaction(SIGTTIN, &c, NULL);
            char x;
            T(read(s, &x, 1));
            printf("SIGTTIN %d\n", got[SIGTTIN]);
            signal(SIGTTIN, SIG_IGN);
            T(read(s, &x, 1));
            signal(SIGTTOU, SIG_IGN);
            T(tcsetpgrp(s, getpgrp()));
            IS(tcgetpgrp(s) == getpgrp());
            T(tcsetpgrp(s, getppid()));
            _exit(0);
        }
        reap("background", b);
        T(tcsetpgrp(s, 0x3fffffff));
        T(tcsetpgrp(s, -3));
        T(ioctl(s, TIOCSPGRP, (void *)8));
        T(ioctl(s, TIOCGPGRP, (void *)8));
        // An orphan in the background.
        T(tcsetpgrp(q[0], getpgrp()));
        T(tcgetpgrp(q[0]));
        T(tcgetpgrp(99));
        // Odd commands.
        int d = 0;
        T(ioctl(s, TIOCGETD, &d));
        T(ioctl(s, TIOCSETD, &d));
        T(ioctl(s, TIOCCONS));
        T(ioctl(s, 0x5437));
        char serial[256];
        T(ioctl(s, TIOCGSERIAL, serial));
        T(ioctl(q[0], TIOCSTI, "x"));
        T(ioctl(q[0], TIOCSETD, &d));
        unsigned dev = 0;
        struct stat st;
        fstat(s, &st);
        T(ioctl(s, 0x80045432, &dev));
        IS(dev == (minor(st.st_rdev) | major(st.st_rdev) << 8));
        signal(SIGINT, h);
        T(ioctl(m, 0x40045436, SIGINT));
        printf("SIGINT %d\n", got[SIGINT]);
        T(ioctl(m, 0x40045436, SIGUSR1));
        T(ioctl(s, 0x40045436, SIGINT));
        // Giving up as the leader: the group is told.
        signal(SIGHUP, h);
        signal(SIGCONT, h);
        T(ioctl(s, TIOCNOTTY));
        printf("SIGHUP %d SIGCONT %d, %s\n", got[SIGHUP], got[SIGCONT], ctty());
        T(tcgetpgrp(s));
        T(ioctl(s, TIOCSCTTY, 0));
        printf("again: %s\n", ctty());
    });
    // The leader is gone, the terminal is free and hung up for those who had it.
    CHILD("next", {
        setsid();
        int s = open(name, O_RDWR);
        T(s >= 0);
        printf("free again: %s\n", ctty());
        signal(SIGHUP, h);
        signal(SIGCONT, SIG_IGN);
        close(m);
        msleep(20);
        _exit(0);
    });
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int keep = MUST(open(name, O_RDWR | O_NOCTTY));
    pid_t c = fork();
    if (c == 0) {
        close(m);
        close(keep);
        setsid();
        signal(SIGHUP, h);
        int s = MUST(open(name, O_RDWR));
        IS(tcgetsid(s) == getpid());
        kill(getppid(), SIGUSR1);
        while (!got[SIGHUP]) msleep(2);
        struct winsize w;
        T(ioctl(s, TIOCGWINSZ, &w));
        T(tcgetpgrp(s));
        T(tcsetpgrp(s, getpgrp()));
        char x;
        T(read(s, &x, 1));
        T(write(s, "x", 1));
        printf("hung up: %s\n", ctty());
        struct pollfd p = {s, POLLIN | POLLOUT, 0};
        T(poll(&p, 1, 0));
        printf("revents %x\n", p.revents);
        _exit(0);
    }
    int sig;
    struct timespec ts = {5, 0};
    sig = sigtimedwait(&set, NULL, &ts);
    IS(sig == SIGUSR1);
    close(m);
    reap("hung up", c);
    return 0;
}
