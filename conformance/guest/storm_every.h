// Every row of the table that is notified has a case here, called by the name of the call: `CASE(name)` returns -1 when the
// call failed. A thousand signals a second come in while it is repeated. What must be the same as natively: whether it ever
// says EINTR (no call here may wait, so Linux never does), and how it fails where it fails. `NO_CASE` says why there is none.
// `WAIT(name)` is a form of a call that waits, and which Linux interrupts.
#include "t.h"
#include "table.h"
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/openat2.h>
#include <sys/fsuid.h>
#include <sys/timex.h>

static volatile sig_atomic_t fired;
static void handler(int s) { (void)s; fired++; }
// SIGURG, which does nothing by default: a program that has just been started has no handler yet.
static void storm(void) {
    struct sigaction a = {.sa_handler = handler};
    MUST(sigaction(SIGURG, &a, NULL));
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG};
    timer_t t;
    MUST(timer_create(CLOCK_MONOTONIC, &e, &t));
    struct itimerspec i = {{0, 1000000}, {0, 1000000}};
    MUST(timer_settime(t, 0, &i, NULL));
}
static int status_of(pid_t c) {
    int s;
    if (c < 0) return -1;
    while (waitpid(c, &s, 0) < 0)
        if (errno != EINTR) return -1;
    if (WIFEXITED(s) && WEXITSTATUS(s) == 0) return 0;
    errno = WIFEXITED(s) ? WEXITSTATUS(s) : EOWNERDEAD;
    return -1;
}

static int file, dir, pfd, inot, child, un_pair[2], lis, lis_fd[2], udp, conn;
static char buf[65536];
static struct stat sb;
static struct statfs sf;
static struct sockaddr_un lis_name = {AF_UNIX, "lis"};
static struct sockaddr_in udp_name;
static char *words[] = {"self", "quiet", NULL}, *none[] = {NULL};
static const char *missing = "/nonexistent/program";

#define CASE(name) static long case_##name(void)
#define NO_CASE(name, why) static long (*const case_##name)(void) = NULL
#define CALL(name, ...) CASE(name) { return syscall(SYS_##name, ##__VA_ARGS__); }
// Two calls of which the second undoes the first.
#define UNDO(name, first, second) CASE(name) { if ((long)(first) == -1) return -1; return (long)(second); }
#define FD(call) ({ int f_ = (int)(call); f_ < 0 ? -1 : close(f_); })

UNDO(open, 0, FD(syscall(SYS_open, "f", O_RDWR | O_CREAT, 0644)))
UNDO(openat, 0, FD(syscall(SYS_openat, dir, "f", O_RDONLY)))
UNDO(openat2, 0, FD(syscall(SYS_openat2, dir, "f", (&(struct open_how){.flags = O_RDONLY}), sizeof(struct open_how))))
UNDO(creat, FD(syscall(SYS_creat, "new", 0644)), unlink("new"))
CALL(stat, "f", &sb)
CALL(fstat, file, &sb)
CALL(lstat, "l", &sb)
CALL(newfstatat, dir, "f", &sb, 0)
CASE(statx) { struct statx x; return syscall(SYS_statx, dir, "f", 0, STATX_ALL, &x); }
CALL(access, "f", R_OK)
CALL(faccessat, dir, "f", R_OK)
CALL(faccessat2, dir, "f", R_OK, AT_EACCESS)
CALL(ustat, sb.st_dev + 77, buf)
CALL(statfs, ".", &sf)
CALL(fstatfs, file, &sf)
CALL(readlink, "l", buf, 100)
CALL(readlinkat, dir, "l", buf, 100)
CALL(truncate, "f", 10)
CALL(chdir, ".")
CALL(fchdir, dir)
CALL(chroot, "/")
CALL(getcwd, buf, 4096)
CASE(getdents) { lseek(dir, 0, SEEK_SET); return syscall(SYS_getdents, dir, buf, 4096); }
CASE(getdents64) { lseek(dir, 0, SEEK_SET); return syscall(SYS_getdents64, dir, buf, 4096); }
UNDO(rename, syscall(SYS_rename, "f", "g"), syscall(SYS_rename, "g", "f"))
UNDO(renameat, syscall(SYS_renameat, dir, "f", dir, "g"), syscall(SYS_renameat, dir, "g", dir, "f"))
CALL(renameat2, dir, "f", dir, "h", 2)
UNDO(mkdir, syscall(SYS_mkdir, "nd", 0755), rmdir("nd"))
UNDO(mkdirat, syscall(SYS_mkdirat, dir, "nd", 0755), rmdir("nd"))
UNDO(rmdir, mkdir("nd", 0755), syscall(SYS_rmdir, "nd"))
UNDO(link, syscall(SYS_link, "f", "k"), unlink("k"))
UNDO(linkat, syscall(SYS_linkat, dir, "f", dir, "k", 0), unlink("k"))
UNDO(unlink, symlink("x", "k"), syscall(SYS_unlink, "k"))
UNDO(unlinkat, symlink("x", "k"), syscall(SYS_unlinkat, dir, "k", 0))
UNDO(symlink, syscall(SYS_symlink, "x", "k"), unlink("k"))
UNDO(symlinkat, syscall(SYS_symlinkat, "x", dir, "k"), unlink("k"))
UNDO(mknod, syscall(SYS_mknod, "k", S_IFIFO | 0600, 0), unlink("k"))
UNDO(mknodat, syscall(SYS_mknodat, dir, "k", S_IFSOCK | 0600, 0), unlink("k"))
CALL(chmod, "f", 0644)
CALL(fchmod, file, 0644)
CALL(fchmodat, dir, "f", 0644)
CALL(fchmodat2, dir, "f", 0644, 0)
CALL(chown, "f", -1, -1)
CALL(fchown, file, -1, getgid())
CALL(lchown, "l", -1, -1)
CALL(fchownat, dir, "f", -1, -1, 0)
CALL(umask, 022)
CALL(utime, "f", NULL)
CALL(utimes, "f", NULL)
CALL(futimesat, dir, "f", NULL)
CALL(utimensat, dir, "f", NULL, 0)
CALL(setxattr, "f", "user.a", "v", 1, 0)
CALL(lsetxattr, "f", "user.a", "v", 1, 0)
CALL(fsetxattr, file, "user.a", "v", 1, 0)
CALL(getxattr, "h", "user.a", buf, 100)
CALL(lgetxattr, "h", "user.a", buf, 100)
CALL(fgetxattr, file, "user.b", buf, 100)
CALL(listxattr, "f", buf, 1000)
CALL(llistxattr, "f", buf, 1000)
CALL(flistxattr, file, buf, 1000)
UNDO(removexattr, setxattr("f", "user.c", "v", 1, 0), syscall(SYS_removexattr, "f", "user.c"))
UNDO(lremovexattr, setxattr("f", "user.c", "v", 1, 0), syscall(SYS_lremovexattr, "f", "user.c"))
UNDO(fremovexattr, setxattr("f", "user.c", "v", 1, 0), syscall(SYS_fremovexattr, file, "user.c"))
CALL(fsync, file)
CALL(fdatasync, file)
// sync and syncfs wait for everything that anybody on the machine has written.
NO_CASE(sync, "natively it takes as long as the whole machine's unwritten pages take");
NO_CASE(syncfs, "natively it takes as long as the whole file system's unwritten pages take");
CALL(mount, "none", "d", "tmpfs", 0x80000000, NULL)
CALL(umount2, "d", 0x100)
CALL(pivot_root, "nothing", "nothing")
CALL(name_to_handle_at, dir, "f", buf, buf + 1000, 0x80000)
CALL(inotify_add_watch, inot, ".", IN_CREATE)
CALL(ioctl, file, 0xdeadbeef, 0)
CALL(fcntl, pfd, F_GETOWN)

CALL(execve, missing, words, none)
CALL(execveat, dir, "none", words, none, 0)
static long do_exec(int at) {
    pid_t c = fork();
    if (c == 0) {
        storm();
        if (at) syscall(SYS_execveat, AT_FDCWD, self, words, none, 0);
        else syscall(SYS_execve, self, words, none);
        _exit(errno);
    }
    return status_of(c);
}
CASE(clone) { pid_t c = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); if (c == 0) _exit(0); return status_of(c); }
CASE(fork) { pid_t c = syscall(SYS_fork); if (c == 0) _exit(0); return status_of(c); }
CASE(vfork) { pid_t c = vfork(); if (c == 0) _exit(0); return status_of(c); }
CASE(exit) { pid_t c = fork(); if (c == 0) { storm(); msleep(3); syscall(SYS_exit, 0); } return status_of(c); }
CASE(exit_group) { pid_t c = fork(); if (c == 0) { storm(); msleep(3); syscall(SYS_exit_group, 0); } return status_of(c); }
CALL(getpid)
CALL(gettid)
CALL(getppid)
CALL(getpgrp)
CALL(getpgid, 0)
CALL(setpgid, child, child)
CALL(getsid, 0)
CALL(kill, getpid(), 0)
CALL(tkill, gettid(), 0)
CALL(tgkill, getpid(), gettid(), 0)
CASE(rt_sigqueueinfo) { siginfo_t i = {.si_code = SI_QUEUE}; return syscall(SYS_rt_sigqueueinfo, getpid(), SIGWINCH, &i); }
CASE(rt_tgsigqueueinfo) { siginfo_t i = {.si_code = SI_QUEUE}; return syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGWINCH, &i); }
UNDO(pidfd_open, 0, FD(syscall(SYS_pidfd_open, getpid(), 0)))
CALL(pidfd_send_signal, pfd, 0, NULL, 0)
UNDO(pidfd_getfd, 0, FD(syscall(SYS_pidfd_getfd, pfd, file, 0)))
CASE(rt_sigaction) { struct sigaction a = {.sa_handler = SIG_IGN}; return sigaction(SIGUSR2, &a, NULL); }
CALL(uname, buf)
CALL(sysinfo, buf)
CALL(sethostname, NULL, -1)
CALL(setdomainname, NULL, -1)
CALL(personality, 0xffffffff)
CALL(adjtimex, memset(buf, 0, sizeof(struct timex)))
CALL(clock_adjtime, 0, memset(buf, 0, sizeof(struct timex)))
CALL(ptrace, 3, child, 0, 0)
CASE(process_vm_readv) { struct iovec a = {buf, 8}, b = {buf + 8, 8}; return syscall(SYS_process_vm_readv, getpid(), &a, 1, &b, 1, 0); }
CASE(process_vm_writev) { struct iovec a = {buf, 8}, b = {buf + 8, 8}; return syscall(SYS_process_vm_writev, getpid(), &a, 1, &b, 1, 0); }
CALL(get_robust_list, getpid(), buf, buf + 8)
CALL(migrate_pages, getpid(), 0, NULL, NULL)
CALL(move_pages, getpid(), 0, NULL, NULL, NULL, 0)
CALL(seccomp, 99, 0, NULL)
CALL(setns, file, 0)
CALL(unshare, 0x40)
CALL(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0)

CALL(getuid)
CALL(getgid)
CALL(geteuid)
CALL(getegid)
CALL(setuid, getuid())
CALL(setgid, getgid())
CALL(setreuid, -1, -1)
CALL(setregid, -1, -1)
CALL(getgroups, 0, NULL)
CALL(setgroups, 0, NULL)
CALL(setresuid, -1, -1, -1)
CALL(getresuid, buf, buf + 4, buf + 8)
CALL(setresgid, -1, -1, -1)
CALL(getresgid, buf, buf + 4, buf + 8)
CASE(setfsuid) { syscall(SYS_setfsuid, getuid()); return 0; }
CASE(setfsgid) { syscall(SYS_setfsgid, getgid()); return 0; }
CASE(capget) { struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0}; return syscall(SYS_capget, &h, buf); }
CASE(capset) { struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0}; if (syscall(SYS_capget, &h, buf) < 0) return -1; return syscall(SYS_capset, &h, buf); }

CALL(getpriority, PRIO_PROCESS, child)
CALL(setpriority, PRIO_PROCESS, child, 19)
CALL(sched_setparam, child, memset(buf, 0, 4))
CALL(sched_getparam, child, buf)
CALL(sched_setscheduler, child, 0, memset(buf, 0, 4))
CALL(sched_getscheduler, child)
CALL(sched_rr_get_interval, child, buf)
CASE(sched_setaffinity) { cpu_set_t c; if (sched_getaffinity(child, sizeof c, &c) < 0) return -1; return syscall(SYS_sched_setaffinity, child, sizeof c, &c); }
CALL(sched_getaffinity, child, 1024, buf)
CASE(sched_setattr) { struct { unsigned size, policy; unsigned long flags; int nice; unsigned prio; unsigned long x[3]; } a = {48, 0, 0, 19, 0, {0}}; return syscall(SYS_sched_setattr, child, &a, 0); }
CALL(sched_getattr, child, buf, 48, 0)
CALL(ioprio_set, 1, child, 0)
CALL(ioprio_get, 1, child)
CALL(prlimit64, child, RLIMIT_NOFILE, NULL, buf)

UNDO(socket, 0, FD(syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0)))
CALL(setsockopt, un_pair[0], SOL_SOCKET, SO_PASSCRED, (&(int){0}), 4)
CALL(getsockopt, un_pair[0], SOL_SOCKET, SO_PEERCRED, buf, (&(socklen_t){12}))
CASE(bind) {
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {0}};
    long r = syscall(SYS_bind, s, &a, sizeof a);
    int e = errno;
    close(s);
    errno = e;
    return r;
}
CALL(listen, lis, 100)
CASE(connect) {
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), r = syscall(SYS_connect, s, &lis_name, sizeof lis_name), e = errno;
    if (r == 0) close(accept4(lis, NULL, NULL, SOCK_NONBLOCK));
    close(s);
    errno = e;
    return r;
}
static long accepted(int four) {
    struct sockaddr_un from;
    socklen_t n = sizeof from;
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(s, (void *)&lis_name, sizeof lis_name) < 0) return -1;
    int a = four ? syscall(SYS_accept4, lis, &from, &n, SOCK_CLOEXEC) : syscall(SYS_accept, lis, &from, &n), e = errno;
    close(s);
    if (a >= 0) close(a);
    errno = e;
    return a;
}
CASE(accept) { return accepted(0); }
CASE(accept4) { return accepted(1); }
CASE(getsockname) { socklen_t n = sizeof udp_name; return syscall(SYS_getsockname, udp, buf, &n); }
CASE(getpeername) { socklen_t n = sizeof udp_name; return syscall(SYS_getpeername, conn, buf, &n); }
#define DRAIN() recv(udp, buf, sizeof buf, MSG_DONTWAIT)
CASE(sendto) { long r = syscall(SYS_sendto, udp, "x", 1, 0, &udp_name, sizeof udp_name); if (r == 1) DRAIN(); return r; }
static struct iovec vec = {buf, 1};
CASE(sendmsg) {
    struct msghdr m = {.msg_name = &udp_name, .msg_namelen = sizeof udp_name, .msg_iov = &vec, .msg_iovlen = 1};
    long r = syscall(SYS_sendmsg, udp, &m, 0);
    if (r == 1) DRAIN();
    return r;
}
CASE(sendmmsg) {
    struct mmsghdr m = {{.msg_name = &udp_name, .msg_namelen = sizeof udp_name, .msg_iov = &vec, .msg_iovlen = 1}, 0};
    long r = syscall(SYS_sendmmsg, udp, &m, 1, 0);
    if (r == 1) DRAIN();
    return r;
}
CASE(recvfrom) {
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    if (sendto(udp, "x", 1, 0, (void *)&udp_name, sizeof udp_name) != 1) return -1;
    return syscall(SYS_recvfrom, udp, buf, 10, 0, &a, &n);
}
CASE(recvmsg) {
    struct sockaddr_in a;
    struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &vec, .msg_iovlen = 1};
    if (sendto(udp, "x", 1, 0, (void *)&udp_name, sizeof udp_name) != 1) return -1;
    return syscall(SYS_recvmsg, udp, &m, 0);
}
CASE(recvmmsg) {
    struct sockaddr_in a;
    struct mmsghdr m = {{.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &vec, .msg_iovlen = 1}, 0};
    if (sendto(udp, "x", 1, 0, (void *)&udp_name, sizeof udp_name) != 1) return -1;
    return syscall(SYS_recvmmsg, udp, &m, 1, 0, NULL);
}

// Forms that wait, with a handler that does not ask for a restart.
static long execve_works(void) { return do_exec(0); }
static long execveat_works(void) { return do_exec(1); }
static int full_listener, empty_listener, empty_dgram, full_stream, full_dgram;
static struct sockaddr_un full_name = {AF_UNIX, "full"}, dgram_name = {AF_UNIX, "dgram"};
#define WAIT(name) static long wait_##name(void)
WAIT(open_fifo) { return open("fifo", O_RDONLY); }
WAIT(accept) { struct sockaddr_un a; socklen_t n = sizeof a; return syscall(SYS_accept, empty_listener, &a, &n); }
WAIT(accept4) { struct sockaddr_un a; socklen_t n = sizeof a; return syscall(SYS_accept4, empty_listener, &a, &n, 0); }
WAIT(accept_null) { return syscall(SYS_accept, empty_listener, NULL, NULL); }
WAIT(connect) { int s = socket(AF_UNIX, SOCK_STREAM, 0), r = syscall(SYS_connect, s, &full_name, sizeof full_name), e = errno; close(s); errno = e; return r; }
WAIT(recvfrom) { struct sockaddr_un a; socklen_t n = sizeof a; return syscall(SYS_recvfrom, empty_dgram, buf, 10, 0, &a, &n); }
WAIT(recvmsg) { struct sockaddr_un a; struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &vec, .msg_iovlen = 1}; return syscall(SYS_recvmsg, empty_dgram, &m, 0); }
WAIT(recvmmsg) { struct mmsghdr m = {{.msg_iov = &vec, .msg_iovlen = 1}, 0}; return syscall(SYS_recvmmsg, empty_dgram, &m, 1, 0, NULL); }
WAIT(sendmsg) { struct msghdr m = {.msg_iov = &vec, .msg_iovlen = 1}; return syscall(SYS_sendmsg, full_stream, &m, 0); }
WAIT(sendto) { return syscall(SYS_sendto, full_dgram, "x", 1, 0, &dgram_name, sizeof dgram_name); }
WAIT(sendmmsg) { struct mmsghdr m = {{.msg_name = &dgram_name, .msg_namelen = sizeof dgram_name, .msg_iov = &vec, .msg_iovlen = 1}, 0}; return syscall(SYS_sendmmsg, full_dgram, &m, 1, 0); }
WAIT(lock) { struct flock l = {.l_type = F_WRLCK}; return fcntl(file, F_SETLKW, &l); }
WAIT(flock) { return flock(file, LOCK_EX); }
WAIT(pause) { return pause(); }
WAIT(nanosleep) { struct timespec t = {5, 0}; return nanosleep(&t, NULL); }
WAIT(poll) { return poll(NULL, 0, 5000); }
WAIT(epoll_wait) { static int e; struct epoll_event v; if (!e) e = epoll_create1(0); return epoll_wait(e, &v, 1, 5000); }
WAIT(sigtimedwait) { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1); struct timespec t = {5, 0}; return sigtimedwait(&s, NULL, &t); }
WAIT(waitpid) { return waitpid(child, NULL, 0); }
WAIT(read_pipe) { static int p[2]; if (!p[1]) pipe(p); return read(p[0], buf, 1); }
WAIT(futex) { static int w; return syscall(SYS_futex, &w, FUTEX_WAIT, 0, NULL, NULL, 0); }

static void repeat(const char *name, long (*call)(void), int signals, int waits) {
    fired = 0;
    long calls = 0, bad = 0, eintr = 0;
    int other = 0;
    // A call that takes long meets its signals by itself.
    while ((fired < signals || calls < 3) && fired < 3000) {
        errno = 0;
        calls++;
        if (call() != -1) continue;
        bad++;
        if (errno == EINTR) eintr++;
        else other = errno;
    }
    if (waits) printf("%s waits: %s\n", name, eintr == calls ? "always EINTR" : other ? en(other) : "not always EINTR");
    else printf("%s: %s%s\n", name, bad == eintr ? "always works" : bad == calls ? en(other) : "works and fails", eintr ? ", and EINTR" : "");
}

static void scene(void) {
    put("f", "x");
    put("h", "x");
    setxattr("h", "user.a", "v", 1, 0);
    mkdir("d", 0755);
    symlink("f", "l");
    mkfifo("fifo", 0600);
    file = MUST(open("f", O_RDWR));
    dir = MUST(open(".", O_RDONLY | O_DIRECTORY));
    inot = MUST(inotify_init1(0));
    pfd = MUST(syscall(SYS_pidfd_open, getpid(), 0));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, un_pair));
    child = MUST(fork());
    if (child == 0) {
        // Holds the locks that others wait for.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int own = open("f", O_RDWR);
        flock(own, LOCK_EX);
        struct flock l = {.l_type = F_WRLCK};
        fcntl(own, F_SETLK, &l);
        write(un_pair[1], "x", 1);
        for (;;) pause();
    }
    read(un_pair[0], buf, 1);
    lis = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(bind(lis, (void *)&lis_name, sizeof lis_name));
    MUST(listen(lis, 100));
    udp_name.sin_family = AF_INET;
    udp_name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    udp = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    MUST(bind(udp, (void *)&udp_name, sizeof udp_name));
    socklen_t n = sizeof udp_name;
    MUST(getsockname(udp, (void *)&udp_name, &n));
    conn = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    MUST(connect(conn, (void *)&udp_name, sizeof udp_name));
}
static void scene_of_waits(void) {
    full_listener = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(bind(full_listener, (void *)&full_name, sizeof full_name));
    MUST(listen(full_listener, 0));
    for (int i = 0; i < 3; i++) connect(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), (void *)&full_name, sizeof full_name);
    struct sockaddr_un name = {AF_UNIX, "empty"};
    empty_listener = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(bind(empty_listener, (void *)&name, sizeof name));
    MUST(listen(empty_listener, 1));
    strcpy(name.sun_path, "empty2");
    empty_dgram = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    MUST(bind(empty_dgram, (void *)&name, sizeof name));
    int s = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    MUST(bind(s, (void *)&dgram_name, sizeof dgram_name));
    full_dgram = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    while (sendto(full_dgram, "x", 1, MSG_DONTWAIT, (void *)&dgram_name, sizeof dgram_name) == 1) {}
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    full_stream = pair[0];
    while (send(full_stream, buf, sizeof buf, MSG_DONTWAIT) > 0) {}
    while (send(full_stream, buf, 1, MSG_DONTWAIT) > 0) {}
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) return 0;
    scene();
    storm();
    const int N = 25;
#define RUN(nr, name)                                  \
    if (case_##name) repeat(#name, case_##name, N, 0); \
    else printf("%s: no case\n", #name);
    NOTIFIED(RUN)
    repeat("execve that works", execve_works, 2 * N, 0);
    repeat("execveat that works", execveat_works, 2 * N, 0);
    scene_of_waits();
#define W(name) repeat(#name, wait_##name, N, 1);
    W(open_fifo) W(accept) W(accept4) W(accept_null) W(connect) W(recvfrom) W(recvmsg) W(recvmmsg) W(sendmsg) W(sendto)
    W(sendmmsg) W(lock) W(flock) W(pause) W(nanosleep) W(poll) W(epoll_wait) W(sigtimedwait) W(waitpid) W(read_pipe) W(futex)
    kill(child, SIGKILL);
    return 0;
}
