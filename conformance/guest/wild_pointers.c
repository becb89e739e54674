// subject: a wild pointer in each pointer argument of every call of the table, the other arguments good
// timeout 120
#include "t.h"
#include "table.h"
#include <linux/openat2.h>
#include <sys/fsuid.h>

// Each pointer argument of a row is given each of these. The caller may die of one (a stack that is gone), which is told.
enum { NIL, LOW, HOLE, EDGE, KERNEL, NONCANONICAL, READ_ONLY, NO_ACCESS, ODD, KINDS };
static char *page, *ro, *no_access;
static long pointer(int kind) {
    switch (kind) {
    case NIL: return 0;
    case LOW: return 0x10;
    case HOLE: return (long)page + 4096;
    case EDGE: return (long)page + 4095;
    case KERNEL: return (long)0xffff888000000000;
    case NONCANONICAL: return (long)0x0000800000000000;
    case READ_ONLY: return (long)ro;
    case NO_ACCESS: return (long)no_access;
    default: return (long)page + 1;
    }
}

struct row {
    int nr;
    const char *name;
    const char *disposition;
    int n;
    enum kind kind[6];
    const char *arg[6];
};
static const struct row rows[] = {
#define ROW(nr, name, d, n, a, b, c, e, f, g, A, B, C, E, F, G) {nr, #name, #d, n, {a, b, c, e, f, g}, {A, B, C, E, F, G}},
    ROWS(ROW)
};

// Rows of which nothing can be compared, each with its reason.
static const struct { int nr; const char *why; } left_out[] = {
    {SYS_rt_sigreturn, "no arguments: takes a frame from the stack"},
    {SYS_vfork, "no arguments"},
    {SYS_clone, "a child on a wild stack dies by itself; see clone_raw"},
    {SYS_brk, "the address is a wish"},
    {SYS_shmdt, "absent"},
    {SYS_rseq, "the C library has registered its own"},
    {SYS_set_robust_list, "the address is looked at when a thread ends"},
    {SYS_map_shadow_stack, "depends on the processor"},
    {SYS_arch_prctl, "sets the thread's own registers"},
    {SYS_modify_ldt, "depends on how the kernel was built"},
    {SYS_adjtimex, "structure of zeros: the answer is the state of the host's clock"},
    {SYS_clock_adjtime, "structure of zeros: the answer is the state of the host's clock"},
    {SYS_name_to_handle_at, "a container's file systems give out no handles"},
    {SYS_set_mempolicy, "depends on how the kernel was built"},
    {SYS_mbind, "depends on how the kernel was built"},
    {SYS_get_mempolicy, "depends on how the kernel was built"},
    {SYS_migrate_pages, "depends on how the kernel was built"},
    {SYS_move_pages, "depends on how the kernel was built"},
    {SYS_set_mempolicy_home_node, "depends on how the kernel was built"},
    {SYS_io_getevents, "needs a context that its io_setup gave"},
    {SYS_io_submit, "needs a context that its io_setup gave"},
    {SYS_io_cancel, "needs a context that its io_setup gave"},
    {SYS_io_pgetevents, "needs a context that its io_setup gave"},
    {SYS_getgroups, "a container's user is in its own group, too"},
    {SYS_seccomp, "a kernel without filters of programs' own"},
};
static int is_left_out(int nr) {
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (left_out[i].nr == nr) return 1;
    return 0;
}

static int file, dir, sock, lis, tcp, epfd, timer, inot, pid_fd, pipes[2], sigfd, udp;
static struct sockaddr_in udp_name, lis_name;
static int sock_peer;
static char scratch[65536];

// Descriptors that a call needs to get as far as its pointers.
static long descriptor(int nr) {
    switch (nr) {
    case SYS_getdents: case SYS_getdents64: case SYS_fchdir: return dir;
    case SYS_accept: case SYS_accept4: return lis;
    case SYS_connect: case SYS_bind: case SYS_getsockname: return tcp;
    case SYS_getpeername: case SYS_setsockopt: case SYS_getsockopt: return sock;
    case SYS_sendto: case SYS_recvfrom: case SYS_sendmsg: case SYS_recvmsg: case SYS_sendmmsg: case SYS_recvmmsg: return udp;
    case SYS_epoll_ctl: case SYS_epoll_wait: case SYS_epoll_pwait: case SYS_epoll_pwait2: return epfd;
    case SYS_timerfd_settime: case SYS_timerfd_gettime: return timer;
    case SYS_inotify_add_watch: return inot;
    case SYS_pidfd_send_signal: case SYS_process_madvise: return pid_fd;
    case SYS_vmsplice: return pipes[1];
    case SYS_signalfd: case SYS_signalfd4: return -1;
    default: return file;
    }
}

// A good value for an argument.
static long good(const struct row *r, int i) {
    static const struct { int nr, arg; long value; } special[] = {
        {SYS_rt_sigaction, 0, SIGUSR1}, {SYS_rt_sigaction, 3, 8}, {SYS_rt_sigprocmask, 3, 8}, {SYS_rt_sigpending, 1, 8},
        {SYS_rt_sigtimedwait, 3, 8}, {SYS_rt_sigsuspend, 1, 8}, {SYS_ppoll, 4, 8}, {SYS_epoll_pwait, 5, 8}, {SYS_epoll_pwait2, 5, 8},
        {SYS_signalfd, 2, 8}, {SYS_signalfd4, 2, 8}, {SYS_ioctl, 1, FIONREAD}, {SYS_fcntl, 1, F_GETLK}, {SYS_poll, 1, 1}, {SYS_ppoll, 1, 1},
        {SYS_select, 0, 1}, {SYS_pselect6, 0, 1}, {SYS_mmap, 1, 4096}, {SYS_mmap, 3, MAP_PRIVATE | MAP_ANONYMOUS}, {SYS_mmap, 4, -1},
        {SYS_mremap, 1, 4096}, {SYS_mremap, 2, 4096}, {SYS_epoll_wait, 2, 1}, {SYS_epoll_pwait, 2, 1}, {SYS_epoll_pwait2, 2, 1},
        {SYS_epoll_ctl, 1, EPOLL_CTL_ADD}, {SYS_futex, 1, FUTEX_WAKE}, {SYS_openat2, 3, sizeof(struct open_how)},
        {SYS_setsockopt, 1, SOL_SOCKET}, {SYS_setsockopt, 2, SO_KEEPALIVE}, {SYS_setsockopt, 4, 4}, {SYS_getsockopt, 1, SOL_SOCKET},
        {SYS_getsockopt, 2, SO_PEERCRED}, {SYS_connect, 2, 16}, {SYS_bind, 2, 16}, {SYS_sendto, 5, 16}, {SYS_getgroups, 0, 64},
        {SYS_setgroups, 0, 1}, {SYS_sendmmsg, 2, 1}, {SYS_recvmmsg, 2, 1}, {SYS_rt_sigqueueinfo, 1, SIGWINCH}, {SYS_rt_tgsigqueueinfo, 2, SIGWINCH},
        {SYS_pidfd_send_signal, 1, SIGWINCH}, {SYS_prctl, 0, PR_GET_NAME}, {SYS_process_vm_readv, 2, 1}, {SYS_process_vm_readv, 4, 1},
        {SYS_process_vm_writev, 2, 1}, {SYS_process_vm_writev, 4, 1}, {SYS_readv, 2, 1}, {SYS_writev, 2, 1}, {SYS_preadv, 2, 1},
        {SYS_pwritev, 2, 1}, {SYS_preadv2, 2, 1}, {SYS_pwritev2, 2, 1}, {SYS_vmsplice, 2, 1}, {SYS_sched_getattr, 2, 48},
        {SYS_statx, 3, STATX_BASIC_STATS}, {SYS_getcwd, 1, 4096}, {SYS_getdents, 2, 4096}, {SYS_getdents64, 2, 4096}, {SYS_mincore, 1, 4096}, {SYS_fgetxattr, 3, 64}, {SYS_getxattr, 3, 64}, {SYS_lgetxattr, 3, 64}, {SYS_listxattr, 2, 64}, {SYS_llistxattr, 2, 64}, {SYS_flistxattr, 2, 64}, {SYS_signalfd, 0, -1}, {SYS_get_robust_list, 1, 0}, {SYS_ptrace, 0, 2 /* PEEKDATA */},
        {SYS_futex_waitv, 1, 1}, {SYS_futex_requeue, 2, 1}, {SYS_sethostname, 1, 4}, {SYS_setdomainname, 1, 4}, {SYS_io_setup, 0, 1},
        {SYS_mount, 3, 0}, {SYS_setpriority, 0, 0}, {SYS_process_madvise, 2, 1}, {SYS_process_madvise, 3, 20 /* COLD */},
        {SYS_inotify_add_watch, 2, IN_CREATE}, {SYS_mknod, 1, S_IFREG | 0600}, {SYS_mknodat, 2, S_IFREG | 0600}, {SYS_recvfrom, 3, MSG_DONTWAIT},
        {SYS_recvmsg, 2, MSG_DONTWAIT}, {SYS_recvmmsg, 3, MSG_DONTWAIT}, {SYS_unlinkat, 2, 0}, {SYS_sched_setaffinity, 1, 8},
        {SYS_sched_getaffinity, 1, 64}, {SYS_linkat, 4, 0}, {SYS_setitimer, 0, ITIMER_VIRTUAL}, {SYS_getitimer, 0, ITIMER_VIRTUAL},
        {SYS_timer_settime, 0, -1}, {SYS_cachestat, 3, 0}, {SYS_readlink, 2, 64}, {SYS_readlinkat, 3, 64}, {SYS_waitid, 0, P_ALL},
        {SYS_waitid, 3, WEXITED | WNOHANG}, {SYS_wait4, 0, -1}, {SYS_wait4, 2, WNOHANG}, {SYS_splice, 4, 1}, {SYS_fadvise64, 3, 0},
    };
    for (size_t k = 0; k < sizeof special / sizeof *special; k++)
        if (special[k].nr == r->nr && special[k].arg == i) return special[k].value;
    static struct sockaddr_in loop = {AF_INET};
    static struct iovec vec;
    static struct msghdr message;
    static struct mmsghdr messages;
    static socklen_t length;
    static struct open_how how;
    static struct pollfd pfd;
    static int header[2] = {0x20080522, 0};
    static char *vector[2] = {"x", NULL};
    switch (r->kind[i]) {
    case K_Fd: return i == 0 ? descriptor(r->nr) : r->nr == SYS_epoll_ctl ? pipes[0] : r->nr == SYS_splice || r->nr == SYS_tee ? pipes[1] : file;
    case K_DirFd: return AT_FDCWD;
    case K_Mode: return 0644;
    case K_Uid: return getuid();
    case K_Gid: return getgid();
    case K_Pid: return r->nr == SYS_ptrace ? 1 : r->nr == SYS_rt_sigqueueinfo || r->nr == SYS_rt_tgsigqueueinfo || r->nr == SYS_process_vm_readv || r->nr == SYS_process_vm_writev ? getpid() : 0;
    case K_Tid: return getpid();
    case K_Size: return 8;
    case K_PathPtr: return (long)(r->nr == SYS_readlink || r->nr == SYS_readlinkat ? "l" : r->nr == SYS_chdir ? "." : i == 0 || r->kind[0] == K_DirFd && i == 1 ? "f" : "target");
    case K_StrPtr: return (long)"user.name";
    case K_ArgvPtr: return (long)vector;
    case K_IovPtr: vec.iov_base = scratch; vec.iov_len = 1; return (long)&vec;
    case K_MsghdrPtr: vec.iov_base = scratch; vec.iov_len = 1; message.msg_iov = &vec; message.msg_iovlen = 1;
        if (r->nr == SYS_sendmsg) { message.msg_name = &udp_name; message.msg_namelen = 16; }
        return (long)&message;
    case K_SocklenPtr: length = 12; return (long)&length;
    case K_SockaddrPtr: loop = udp_name; if (r->nr == SYS_bind) loop.sin_port = 0; return (long)&loop;
    case K_PollfdPtr: pfd.fd = -1; return (long)&pfd;
    default: break;
    }
    if (r->nr == SYS_openat2 && i == 2) return (long)&how;
    if ((r->nr == SYS_capget || r->nr == SYS_capset) && i == 0) { header[0] = 0x20080522; return (long)header; }
    if ((r->nr == SYS_sendmmsg || r->nr == SYS_recvmmsg) && i == 1) {
        vec.iov_base = scratch; vec.iov_len = 1; messages.msg_hdr.msg_iov = &vec; messages.msg_hdr.msg_iovlen = 1;
        if (r->nr == SYS_sendmmsg) { messages.msg_hdr.msg_name = &udp_name; messages.msg_hdr.msg_namelen = 16; }
        return (long)&messages;
    }
    if ((r->nr == SYS_process_vm_readv || r->nr == SYS_process_vm_writev) && i == 3) { vec.iov_base = scratch; vec.iov_len = 1; return (long)&vec; }
    // Memory of zeros: no time, no flags, no signals.
    if (r->kind[i] > K_first_pointer) { memset(scratch, 0, sizeof scratch); return (long)scratch; }
    return 0;
}

static void scene(void) {
    put("f", "x");
    symlink("f", "l");
    file = MUST(open("f", O_RDWR));
    dir = MUST(open(".", O_RDONLY | O_DIRECTORY));
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    sock = pair[0];
    // Something waits, so that the pointers are looked at.
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {0}};
    socklen_t n = sizeof a;
    lis = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(bind(lis, (void *)&a, sizeof a));
    MUST(listen(lis, 100));
    getsockname(lis, (void *)&a, &n);
    lis_name = a;
    tcp = MUST(socket(AF_INET, SOCK_STREAM, 0));
    udp = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    a.sin_port = 0;
    MUST(bind(udp, (void *)&a, sizeof a));
    getsockname(udp, (void *)&udp_name, &n);
    epfd = MUST(epoll_create1(0));
    timer = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
    inot = MUST(inotify_init1(IN_NONBLOCK));
    pid_fd = MUST(syscall(SYS_pidfd_open, getpid(), 0));
    pipe(pipes);
    write(pipes[1], "x", 1);
    struct epoll_event e = {EPOLLIN};
    epoll_ctl(epfd, EPOLL_CTL_ADD, sock, &e);
    sock_peer = pair[1];
    setxattr("f", "user.name", "value", 5, 0);
}

// Every waiting call finds something.
static void feed(void) {
    connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&lis_name, sizeof lis_name);
    sendto(udp, "0123456789", 10, 0, (void *)&udp_name, sizeof udp_name);
    lseek(dir, 0, SEEK_SET);
    char *more = "x";
    write(sock_peer, more, 1);
}
static void alarmed(int s) { (void)s; }

int main(void) {
    ro = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    no_access = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    short *results = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    // Far from where the kernel puts the next mapping, so that the hole stays one.
    page = mmap((void *)0x200000000, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    munmap(page + 4096, 4096);
    page[4095] = 'A';
    char top[64];
    int count = 0;
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        const struct row *r = &rows[k];
        // What the container does not have answers differently on purpose.
        if (!strcmp(r->disposition, "Absent") || !strcmp(r->disposition, "Refused") || is_left_out(r->nr)) continue;
        for (int i = 0; i < r->n; i++) {
            if (r->kind[i] <= K_first_pointer) continue;
            count++;
            for (int kind = 0; kind < KINDS; kind++) results[kind] = -1;
            snprintf(top, sizeof top, "w%zu-%d", k, i);
            // A directory and a process of its own: nothing that one call does is met by the next.
            MUST(mkdir(top, 0755));
            pid_t c = fork();
            if (c == 0) {
                MUST(chdir(top));
                struct rlimit none = {0, 0};
                setrlimit(RLIMIT_CORE, &none);
                scene();
                for (int kind = 0; kind < KINDS; kind++) {
                    // Waiting tells nothing more: it is what the call does with a good pointer.
                    signal(SIGALRM, alarmed);
                    siginterrupt(SIGALRM, 1);
                    struct itimerval limit = {{0, 50000}, {0, 250000}}, off = {0};
                    setitimer(ITIMER_REAL, &limit, NULL);
                    feed();
                    long v[6];
                    for (int j = 0; j < 6; j++) v[j] = j == i ? pointer(kind) : good(r, j);
                    memset(page, 0, 4095);
                    results[kind] = -2;
                    errno = 0;
                    long x = syscall(r->nr, v[0], v[1], v[2], v[3], v[4], v[5]);
                    results[kind] = x < 0 && x >= -1 ? errno : 0;
                    setitimer(ITIMER_REAL, &off, NULL);
                }
                syscall(SYS_exit_group, 0);
            }
            int s = 0;
            while (waitpid(c, &s, 0) < 0 && errno == EINTR) {}
            printf("%s %s:", r->name, r->arg[i]);
            for (int kind = 0; kind < KINDS; kind++)
                printf(" %s", results[kind] == -1 ? "-" : results[kind] == -2 ? "(dead)" : en(results[kind]));
            if (WIFSIGNALED(s)) printf(" signal %d", WTERMSIG(s));
            printf("\n");
        }
    }
    printf("%d pointers\n", count);
    return 0;
}
