// subject: a signal storm over every path call
// timeout 60
#include "storm.h"
static int do_open(const char *p, int fl) { int f = open(p, fl, 0644); if (f < 0) return -1; return close(f); }
static int do_create(void) { if (do_open("new", O_CREAT | O_EXCL | O_WRONLY) < 0) return -1; return unlink("new"); }
static int do_mkdir(void) { if (mkdir("nd", 0755) < 0) return -1; return rmdir("nd"); }
static int do_rename(void) { if (rename("f", "g") < 0) return -1; return rename("g", "f"); }
static int do_link(void) { if (link("f", "h") < 0) return -1; return unlink("h"); }
static int do_symlink(void) { if (symlink("f", "s") < 0) return -1; return unlink("s"); }
static int do_dir(int d) { char b[4096]; if (lseek(d, 0, SEEK_SET) < 0) return -1; return syscall(SYS_getdents64, d, b, sizeof b); }
static int do_chdir(void) { if (chdir("d") < 0) return -1; return chdir(".."); }
static int do_mkfifo(void) { if (mkfifo("fi", 0600) < 0) return -1; return unlink("fi"); }
static int do_proc(void) { char b[256]; int f = open("/proc/self/stat", O_RDONLY); if (f < 0) return -1; int r = read(f, b, 256); close(f); return r; }
int main(void) {
    put("f", "x");
    mkdir("d", 0755);
    symlink("f", "l");
    struct stat s;
    struct statx sx;
    struct statfs sf;
    char b[PATH_MAX];
    int d = open(".", O_RDONLY), fd = open("f", O_RDWR);
    struct timespec ts[2] = {{1, 0}, {2, 0}};
    storm(1);
    const int N = 60;
    STORM(N, stat("f", &s));
    STORM(N, stat("none", &s));
    STORM(N, lstat("l", &s));
    STORM(N, fstat(fd, &s));
    STORM(N, fstatat(d, "f", &s, 0));
    STORM(N, statx(AT_FDCWD, "f", 0, STATX_ALL, &sx));
    STORM(N, access("f", R_OK));
    STORM(N, faccessat(d, "f", R_OK, AT_EACCESS));
    STORM(N, readlink("l", b, sizeof b));
    STORM(N, syscall(SYS_getcwd, b, sizeof b));
    STORM(N, do_open("f", O_RDONLY));
    STORM(N, do_open("none", O_RDONLY));
    STORM(N, do_open("d", O_RDONLY | O_DIRECTORY));
    STORM(N, do_open("f", O_WRONLY | O_TRUNC));
    STORM(N, do_create());
    STORM(N, do_mkdir());
    STORM(N, do_rename());
    STORM(N, do_link());
    STORM(N, do_symlink());
    STORM(N, do_mkfifo());
    STORM(N, do_dir(d));
    STORM(N, do_chdir());
    STORM(N, fchdir(d));
    STORM(N, chmod("f", 0644));
    STORM(N, fchmod(fd, 0644));
    STORM(N, chown("f", -1, -1));
    STORM(N, umask(022));
    STORM(N, utimensat(AT_FDCWD, "f", ts, 0));
    STORM(N, truncate("f", 10));
    STORM(N, ftruncate(fd, 20));
    STORM(N, statfs(".", &sf));
    STORM(N, do_proc());
    STORM(N, open("/etc/shadow-none", O_RDONLY));
    STORM(N, write(fd, "x", 1));
    STORM(N, pread(fd, b, 1, 0));
    storm(0);
    return 0;
}
