// subject: calls that only use the caller's own things: getrandom, membarrier, getcpu, rseq, aio, signalfd, sigaltstack, arch_prctl, keys of memory
#include "t.h"
#include <linux/aio_abi.h>
#include <linux/membarrier.h>
#include <asm/prctl.h>
#include <sys/random.h>
int main(void) {
    char b[512];
    T(getrandom(b, 16, 0));
    T(getrandom(b, 16, GRND_NONBLOCK | GRND_RANDOM));
    T(getrandom(b, 16, 0x80));
    T(getrandom(b, 16, GRND_INSECURE | GRND_RANDOM));
    IS(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) > 0);
    T(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
    T(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    T(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
    T(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    T(syscall(SYS_membarrier, 9999, 0, 0));
    unsigned cpu = 99999, node;
    T(syscall(SYS_getcpu, &cpu, &node, NULL));
    IS(cpu < 4096);
    aio_context_t ctx = 0;
    T(syscall(SYS_io_setup, 4, &ctx));
    T(syscall(SYS_io_setup, 4, &ctx));
    put("f", "hello");
    int fd = open("f", O_RDWR), p[2];
    struct iocb cb = {.aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_buf = (uint64_t)b, .aio_nbytes = 5, .aio_data = 7}, *list[] = {&cb};
    struct io_event e[4];
    T(syscall(SYS_io_submit, ctx, 1, list));
    T(syscall(SYS_io_getevents, ctx, 1, 4, e, NULL));
    printf("%llu %lld %.5s\n", (unsigned long long)e[0].data, (long long)e[0].res, b);
    cb.aio_fildes = 99;
    T(syscall(SYS_io_submit, ctx, 1, list));
    T(syscall(SYS_io_destroy, ctx));
    T(syscall(SYS_io_destroy, ctx));
    unsigned long base = 0;
    T(syscall(SYS_arch_prctl, ARCH_GET_FS, &base));
    IS(base != 0);
    T(syscall(SYS_arch_prctl, 0x9999, &base));
    stack_t s = {.ss_sp = b, .ss_size = 100}, old;
    T(sigaltstack(&s, NULL));
    s.ss_size = 1 << 16;
    s.ss_sp = malloc(1 << 16);
    T(sigaltstack(&s, &old));
    printf("%d\n", old.ss_flags);
    s.ss_flags = 0x100;
    T(sigaltstack(&s, NULL));
    s.ss_flags = SS_DISABLE;
    T(sigaltstack(&s, &old));
    printf("%zu\n", old.ss_size);
    sigset_t m;
    sigfillset(&m);
    T(signalfd(1, &m, 0));
    T(signalfd(-1, &m, 0x1));
    T(syscall(SYS_signalfd4, -1, &m, 4, 0));
    T(syscall(SYS_rt_sigprocmask, 9, &m, NULL, 8));
    T(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &m, NULL, 4));
    T(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8));
    T(syscall(SYS_rt_sigaction, SIGKILL, &m, NULL, 8));
    T(syscall(SYS_rt_sigaction, SIGKILL, NULL, NULL, 8));
    T(syscall(SYS_rt_sigtimedwait, &m, NULL, &(struct timespec){0, -1}, 8));
    T(mlock(b, 100));
    T(munlock(b, 100));
    T(mlockall(0));
    T(mlockall(MCL_ONFAULT));
    pipe(p);
    T(tee(p[0], p[1], 10, 0));
    T(splice(fd, NULL, fd, NULL, 10, 0));
    T(splice(p[0], NULL, p[1], NULL, 10, SPLICE_F_NONBLOCK));
    T(vmsplice(p[0], &(struct iovec){b, 1}, 1, 0x100));
    T(readahead(fd, 0, 10));
    T(readahead(p[0], 0, 10));
    T(posix_fadvise(fd, 0, 10, 99) ? -1 : 0);
    T(sync_file_range(fd, 0, 10, 99));
    T(sync_file_range(fd, 0, 0, 2));
    T(syncfs(99));
    T(fsync(p[0]));
    T(fdatasync(fd));
    T(fsync(99));
    T(sched_yield());
    T(getpagesize());
    T(syscall(SYS_time, NULL) > 0);
    T(syscall(SYS_restart_syscall));
    return 0;
}
