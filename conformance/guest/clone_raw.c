// subject: raw clone: CLONE_FILES, CLONE_FS, CLONE_VM, CLONE_VFORK, set and clear tid, bad flags, new namespaces
#include "t.h"
static char stack[65536] __attribute__((aligned(16)));
static int shared;
static int f_files(void *p) { (void)p; close(50); return 0; }
static int f_fs(void *p) { (void)p; umask(077); return chdir("d"); }
static int f_vm(void *p) { (void)p; shared = 99; return 3; }
static int f_none(void *p) { (void)p; return 0; }
int main(void) {
    mkdir("d", 0755);
    put("d/in", "in");
    dup2(1, 50);
    pid_t c = clone(f_files, stack + sizeof stack, SIGCHLD, NULL);
    reap("copy of files", c);
    T(fcntl(50, F_GETFD));
    c = clone(f_files, stack + sizeof stack, CLONE_FILES | SIGCHLD, NULL);
    reap("CLONE_FILES", c);
    T(fcntl(50, F_GETFD));
    c = clone(f_fs, stack + sizeof stack, SIGCHLD, NULL);
    reap("copy of fs", c);
    st("in");
    c = clone(f_fs, stack + sizeof stack, CLONE_FS | SIGCHLD, NULL);
    reap("CLONE_FS", c);
    st("in");
    printf("umask %o\n", umask(022));
    chdir("..");
    c = clone(f_vm, stack + sizeof stack, SIGCHLD, NULL);
    reap("copy of memory", c);
    printf("%d\n", shared);
    c = clone(f_vm, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    printf("%d\n", shared);
    reap("CLONE_VM | CLONE_VFORK", c);
    c = clone(f_none, stack + sizeof stack, 0, NULL);
    int st1;
    T(waitpid(c, &st1, 0));
    T(waitpid(c, &st1, __WCLONE) == c ? 0 : -1);
    pid_t ptid = 0, ctid = 0;
    c = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &ptid, &ctid, 0);
    if (c == 0) _exit(ctid == getpid() ? 0 : 1);
    IS(ptid == c && ctid == 0);
    reap("child tid", c);
    int pfd = -1;
    c = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &pfd, NULL, 0);
    if (c == 0) _exit(0);
    IS(c > 0 && pfd > 2);
    reap("pidfd", c);
    T(syscall(SYS_clone, CLONE_THREAD | SIGCHLD, NULL, NULL, NULL, 0));
    T(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, NULL, NULL, NULL, 0));
    T(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, 0));
    c = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0);
    if (c == 0) _exit(0);
    T(waitpid(c, &st1, 0));
    T(setns(1, 0));
    T(unshare(0));
    T(unshare(CLONE_FILES | CLONE_FS));
    T(unshare(0x1));
    return 0;
}
