// subject: a tracer of its own: TRACEME, syscall stops, registers, memory, SEIZE
#include "t.h"
#include <sys/ptrace.h>
#include <sys/user.h>
static volatile int value = 5;
int main(void) {
    int st1;
    pid_t c = fork();
    if (c == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        _exit(value);
    }
    waitpid(c, &st1, 0);
    ended("child", st1);
    errno = 0;
    long w = ptrace(PTRACE_PEEKDATA, c, &value, 0);
    printf("peek %ld %s\n", w & 0xffffffff, en(errno));
    T(ptrace(PTRACE_POKEDATA, c, &value, 17));
    struct user_regs_struct r;
    T(ptrace(PTRACE_GETREGS, c, 0, &r));
    IS(r.rip != 0 && r.rsp != 0);
    T(ptrace(PTRACE_SETOPTIONS, c, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
    T(ptrace(PTRACE_SYSCALL, c, 0, 0));
    waitpid(c, &st1, 0);
    printf("stop %x\n", WSTOPSIG(st1));
    ptrace(PTRACE_CONT, c, 0, 0);
    waitpid(c, &st1, 0);
    ended("child", st1);
    c = fork();
    if (c == 0) for (;;) pause();
    T(ptrace(PTRACE_SEIZE, c, 0, 0));
    T(ptrace(PTRACE_INTERRUPT, c, 0, 0));
    waitpid(c, &st1, 0);
    IS(WIFSTOPPED(st1));
    T(ptrace(PTRACE_DETACH, c, 0, 0));
    T(kill(c, SIGKILL));
    reap("child", c);
    T(ptrace(PTRACE_ATTACH, 0x3fffffff, 0, 0));
    T(ptrace(PTRACE_ATTACH, getpid(), 0, 0));
    char mem[4] = {1, 2, 3, 4}, out[4];
    struct iovec l = {out, 4}, rm = {mem, 4};
    T(process_vm_readv(getpid(), &l, 1, &rm, 1, 0));
    IS(!memcmp(mem, out, 4));
    return 0;
}
