// subject: device, inode and mount numbers agree between stat, statx, getdents, mountinfo, fdinfo and maps
#include "t.h"
int main(void) {
    put("f", "hello");
    mkdir("d", 0755);
    symlink("f", "l");
    link("f", "h");
    struct stat a, b, c;
    int fd = open("f", O_RDWR), dir = open(".", O_RDONLY);
    stat("f", &a);
    fstat(fd, &b);
    IS(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    stat("h", &b);
    IS(a.st_ino == b.st_ino && a.st_nlink == 2);
    stat("l", &b);
    IS(a.st_ino == b.st_ino);
    lstat("l", &b);
    IS(a.st_ino != b.st_ino && a.st_dev == b.st_dev);
    stat("d", &c);
    IS(c.st_dev == a.st_dev);
    stat("d/..", &b);
    fstat(dir, &c);
    IS(b.st_ino == c.st_ino);
    DIR *e = opendir(".");
    for (struct dirent *n; (n = readdir(e));) {
        struct stat s;
        lstat(n->d_name, &s);
        if (strcmp(n->d_name, "..") && s.st_ino != n->d_ino) printf("%s: differs\n", n->d_name);
    }
    struct statx x;
    statx(AT_FDCWD, "f", 0, STATX_ALL | 0x1000 /* MNT_ID */, &x);
    IS(x.stx_ino == a.st_ino);
    IS(makedev(x.stx_dev_major, x.stx_dev_minor) == a.st_dev);
    // The mount of the working directory.
    char line[4096];
    int found = 0;
    FILE *m = fopen("/proc/self/mountinfo", "r");
    while (m && fgets(line, sizeof line, m)) {
        int id, parent;
        unsigned major_, minor_;
        if (sscanf(line, "%d %d %u:%u", &id, &parent, &major_, &minor_) == 4 && id == (int)x.stx_mnt_id)
            found = 1, printf("mountinfo: %s\n", makedev(major_, minor_) == a.st_dev ? "agrees" : "differs");
    }
    IS(found);
    char path[64], text[1024] = "";
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    int i = open(path, O_RDONLY);
    read(i, text, sizeof text - 1);
    int mnt = 0;
    unsigned long ino = 0;
    if (strstr(text, "mnt_id:")) sscanf(strstr(text, "mnt_id:"), "mnt_id: %d", &mnt);
    if (strstr(text, "ino:")) sscanf(strstr(text, "ino:"), "ino: %lu", &ino);
    IS(mnt == (int)x.stx_mnt_id);
    IS(ino == a.st_ino);
    put("mapped", "x");
    int mapped = open("mapped", O_RDONLY);
    mmap(0, 4096, PROT_READ, MAP_SHARED, mapped, 0);
    fstat(mapped, &b);
    FILE *maps = fopen("/proc/self/maps", "r");
    char own[PATH_MAX];
    getcwd(own, sizeof own);
    strcat(own, "/mapped");
    found = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned maj, min;
        unsigned long n;
        char name[PATH_MAX] = "";
        if (sscanf(line, "%*s %*s %*s %x:%x %lu %s", &maj, &min, &n, name) == 4 && !strcmp(name, own))
            found = 1, printf("maps: %s %s\n", n == b.st_ino ? "inode agrees" : "inode differs", makedev(maj, min) == a.st_dev ? "device agrees" : "device differs");
    }
    IS(found);
    // A new file never has the number of one that is still open.
    unlink("h");
    unlink("f");
    put("new", "x");
    stat("new", &b);
    IS(b.st_ino != a.st_ino);
    fstat(fd, &b);
    IS(b.st_ino == a.st_ino && b.st_nlink == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t k = readlink(path, text, sizeof text - 1);
    text[k < 0 ? 0 : k] = 0;
    IS(strstr(text, "/f (deleted)") != NULL);
    stat(path, &b);
    IS(b.st_ino == a.st_ino);
    struct statfs s1, s2;
    statfs(".", &s1);
    fstatfs(fd, &s2);
    IS(s1.f_type == s2.f_type && !memcmp(&s1.f_fsid, &s2.f_fsid, sizeof s1.f_fsid));
    stat("/proc/self/stat", &b);
    stat("/dev/null", &c);
    IS(b.st_dev != a.st_dev && c.st_dev != b.st_dev);
    IS(S_ISCHR(c.st_mode) && c.st_rdev == makedev(1, 3));
    return 0;
}
