// subject: /proc outside of a process: what programs read from it
#include "t.h"
static char buf[1 << 18];
static void has(const char *p, const char *what) {
    int f = open(p, O_RDONLY);
    if (f < 0) {
        printf("%s: %s\n", p, en(errno));
        return;
    }
    ssize_t n = 0, k;
    while ((k = read(f, buf + n, sizeof buf - 1 - n)) > 0) n += k;
    buf[n] = 0;
    close(f);
    printf("%s has '%s': %s\n", p, what, strstr(buf, what) ? "yes" : "no");
}
int main(void) {
    has("/proc/meminfo", "MemTotal:");
    has("/proc/meminfo", "MemAvailable:");
    has("/proc/cpuinfo", "processor\t: 0");
    has("/proc/stat", "cpu0 ");
    has("/proc/stat", "btime ");
    has("/proc/uptime", ".");
    has("/proc/loadavg", "/");
    has("/proc/version", "Linux version");
    has("/proc/filesystems", "proc");
    has("/proc/mounts", "/proc");
    has("/proc/sys/kernel/hostname", "\n");
    has("/proc/sys/kernel/osrelease", ".");
    has("/proc/sys/kernel/ostype", "Linux");
    has("/proc/sys/kernel/pid_max", "\n");
    has("/proc/sys/kernel/random/uuid", "-");
    has("/proc/sys/kernel/random/boot_id", "-");
    has("/proc/sys/vm/overcommit_memory", "\n");
    has("/proc/sys/fs/pipe-max-size", "\n");
    has("/proc/sys/fs/file-max", "\n");
    has("/proc/sys/fs/nr_open", "\n");
    has("/proc/sys/kernel/ngroups_max", "65536");
    has("/proc/sys/kernel/cap_last_cap", "\n");
    has("/proc/cmdline", "\n");
    struct stat s;
    T(stat("/proc/1", &s));
    T(stat("/proc/self/ns/pid", &s));
    DIR *d = opendir("/proc");
    int me = 0;
    struct dirent *e;
    char pid[16];
    sprintf(pid, "%d", getpid());
    while (d && (e = readdir(d))) me += !strcmp(e->d_name, pid);
    printf("own directory listed %d\n", me);
    lstat("/proc/mounts", &s);
    printf("%s\n", kind(s.st_mode));
    stat("/proc/meminfo", &s);
    printf("%s %o size %ld uid %d\n", kind(s.st_mode), s.st_mode & 0777, (long)s.st_size, s.st_uid);
    T(open("/proc/meminfo", O_WRONLY));
    int f = open("/proc/meminfo", O_RDONLY);
    char a[8], b[8];
    T(read(f, a, 8));
    T(lseek(f, 0, SEEK_SET));
    T(read(f, b, 8));
    IS(!memcmp(a, b, 8));
    T(lseek(f, 3, SEEK_SET));
    T(pread(f, b, 5, 3));
    return 0;
}
