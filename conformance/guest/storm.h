// A timer that fires a thousand times a second into handlers without SA_RESTART: no call that Linux never interrupts
// may say EINTR.
#ifndef STORM_H
#define STORM_H
#include "t.h"
static volatile sig_atomic_t fired;
static void storm_handler(int s) { (void)s; fired++; }
static void storm(int on) {
    struct sigaction a = {.sa_handler = storm_handler};
    sigaction(SIGALRM, &a, NULL);
    struct itimerval t = {{0, on ? 1000 : 0}, {0, on ? 1000 : 0}};
    setitimer(ITIMER_REAL, &t, NULL);
}
// Repeats a call until a number of signals came in, and says how often it failed, and how often with EINTR.
#define STORM(n, call)                                                                           \
    do {                                                                                         \
        fired = 0;                                                                               \
        long calls_ = 0, bad_ = 0, eintr_ = 0;                                                   \
        int last_ = 0;                                                                           \
        while (fired < (n) || calls_ < 20) {                                                     \
            errno = 0;                                                                           \
            calls_++;                                                                            \
            if ((long)(call) == -1) {                                                            \
                bad_++;                                                                          \
                last_ = errno;                                                                   \
                if (errno == EINTR) eintr_++;                                                    \
            }                                                                                    \
        }                                                                                        \
        printf("%s: EINTR %ld, %s\n", #call, eintr_, !bad_ ? "always works" : bad_ == calls_ ? en(last_) : "works and fails"); \
    } while (0)
#endif
