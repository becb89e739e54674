// subject: prctl options of every family: names, timer slack, dumpable, death signals, memory, features and unknown ones
#include "t.h"
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#define P(...) T(prctl(__VA_ARGS__))
int main(void) {
    char name[32] = "";
    P(PR_SET_NAME, "a name longer than fifteen");
    P(PR_GET_NAME, name);
    puts(name);
    P(PR_SET_NAME, "");
    P(PR_GET_NAME, name);
    printf("[%s]\n", name);
    P(PR_SET_NAME, 0x10);
    P(PR_GET_TIMERSLACK);
    P(PR_SET_TIMERSLACK, 1000);
    P(PR_GET_TIMERSLACK);
    P(PR_SET_TIMERSLACK, 0);
    P(PR_GET_TIMERSLACK);
    P(PR_GET_DUMPABLE);
    P(PR_SET_DUMPABLE, 0);
    P(PR_GET_DUMPABLE);
    T(open("/proc/self/mem", O_RDONLY) >= 0 ? 0 : -1);
    P(PR_SET_DUMPABLE, 2);
    P(PR_SET_DUMPABLE, 1);
    P(PR_GET_DUMPABLE);
    int v = -1;
    P(PR_SET_PDEATHSIG, SIGUSR1);
    P(PR_GET_PDEATHSIG, &v);
    printf("%d\n", v);
    P(PR_SET_PDEATHSIG, 99);
    P(PR_SET_PDEATHSIG, 0);
    P(PR_GET_PDEATHSIG, 0x10);
    P(PR_SET_CHILD_SUBREAPER, 1);
    P(PR_GET_CHILD_SUBREAPER, &v);
    printf("%d\n", v);
    CHILD("not inherited", { prctl(PR_GET_CHILD_SUBREAPER, &v); printf("%d\n", v); });
    P(PR_SET_CHILD_SUBREAPER, 0);
    P(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0);
    P(PR_GET_SECUREBITS);
    P(PR_SET_SECUREBITS, 1);
    P(PR_GET_KEEPCAPS);
    P(PR_SET_KEEPCAPS, 2);
    P(PR_CAPBSET_DROP, 0);
    P(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0);
    P(PR_CAP_AMBIENT, 99, 0, 0, 0);
    P(PR_GET_TIMING);
    P(PR_SET_TIMING, 0);
    P(PR_SET_TIMING, 1);
    P(PR_GET_TSC, &v);
    printf("%d\n", v);
    P(PR_SET_TSC, 9);
    P(PR_SET_FPEMU, 0);
    P(PR_GET_ENDIAN, &v);
    P(PR_SET_UNALIGN, 0);
    P(PR_MCE_KILL, 0, 0, 0, 0);
    P(PR_MCE_KILL_GET, 0, 0, 0, 0);
    P(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    P(PR_GET_THP_DISABLE, 0, 0, 0, 0);
    P(PR_SET_THP_DISABLE, 0, 0, 0, 0);
    P(PR_SET_MM, 99, 0, 0, 0);
    char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    P(PR_SET_VMA, 0, m, 4096, 0x10);
    P(PR_SET_VMA, 1, m, 4096, "x");
    P(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
    P(PR_GET_SPECULATION_CTRL, 99, 0, 0, 0);
    P(99999, 0, 0, 0, 0);
    P(0, 0, 0, 0, 0);
    P(-1, 0, 0, 0, 0);
    return 0;
}
