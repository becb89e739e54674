// subject: prctl
#include "t.h"
#include <linux/seccomp.h>
int main(void) {
    char n[17] = "";
    T(prctl(PR_SET_NAME, "a-very-long-thread-name"));
    T(prctl(PR_GET_NAME, n));
    puts(n);
    show("/proc/self/comm");
    T(prctl(PR_GET_DUMPABLE));
    T(prctl(PR_SET_DUMPABLE, 0));
    T(prctl(PR_GET_DUMPABLE));
    struct stat s;
    T(stat(".", &s));
    T(prctl(PR_SET_DUMPABLE, 1));
    T(prctl(PR_SET_DUMPABLE, 2));
    T(prctl(PR_SET_PDEATHSIG, 99));
    T(prctl(PR_GET_KEEPCAPS));
    T(prctl(PR_SET_KEEPCAPS, 1));
    T(prctl(PR_GET_KEEPCAPS));
    T(prctl(PR_SET_KEEPCAPS, 2));
    T(prctl(PR_GET_SECUREBITS));
    T(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    T(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    T(prctl(PR_SET_TIMERSLACK, 60000));
    T(prctl(PR_GET_TIMERSLACK));
    T(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    T(prctl(9999));
    int v = 5;
    T(prctl(PR_GET_TID_ADDRESS, &v) >= 0 ? 0 : 0);
    T(prctl(PR_GET_UNALIGN, &v));
    T(prctl(PR_SET_NAME, (char *)8));
    unsigned long fs = 0;
    T(syscall(SYS_arch_prctl, 0x1003, &fs));
    IS(fs != 0);
    T(syscall(SYS_arch_prctl, 0x9999, &fs));
    return 0;
}
