// subject: reading directories: completeness, types, telldir/seekdir/rewinddir, changes while reading
#include "t.h"
static int cmp(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }
static void list(const char *dir) {
    DIR *d = opendir(dir);
    if (!d) {
        printf("opendir %s: %s\n", dir, en(errno));
        return;
    }
    char *v[600];
    int n = 0;
    struct dirent *e;
    while ((e = readdir(d)) && n < 600) {
        char b[300];
        snprintf(b, sizeof b, "%s:%d", e->d_name, e->d_type);
        v[n++] = strdup(b);
    }
    closedir(d);
    qsort(v, n, sizeof *v, cmp);
    printf("%s: %d entries:", dir, n);
    for (int i = 0; i < n && i < 20; i++) printf(" %s", v[i]);
    printf("\n");
}
int main(void) {
    mkdir("d", 0755);
    list("d");
    put("d/f", "");
    mkdir("d/sub", 0755);
    symlink("f", "d/l");
    mkfifo("d/p", 0600);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = {AF_UNIX, "d/s"};
    bind(s, (void *)&a, sizeof a);
    list("d");
    mkdir("big", 0755);
    char name[64];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "big/file-with-a-longish-name-%03d", i);
        close(creat(name, 0644));
    }
    DIR *d = opendir("big");
    struct dirent *e;
    int n = 0, inos = 0;
    long pos[502];
    char *at[502];
    while ((pos[n] = telldir(d), e = readdir(d))) {
        at[n++] = strdup(e->d_name);
        struct stat st_;
        if (fstatat(dirfd(d), e->d_name, &st_, AT_SYMLINK_NOFOLLOW) == 0 && (st_.st_ino == e->d_ino || !strcmp(e->d_name, ".."))) inos++;
    }
    printf("read %d, inode numbers agree %d\n", n, inos);
    int good = 0;
    for (int i = 0; i < n; i += 7) {
        seekdir(d, pos[i]);
        e = readdir(d);
        if (e && !strcmp(e->d_name, at[i])) good++;
    }
    printf("seekdir good %d of %d\n", good, (n + 6) / 7);
    rewinddir(d);
    e = readdir(d);
    IS(e && !strcmp(e->d_name, at[0]));
    // Delete while reading: every name is seen once.
    rewinddir(d);
    int seen = 0;
    while ((e = readdir(d)))
        if (e->d_name[0] != '.') {
            seen++;
            unlinkat(dirfd(d), e->d_name, 0);
        }
    printf("deleted while reading: %d\n", seen);
    closedir(d);
    list("big");
    char buf[4096];
    int fd = MUST(open("big", O_RDONLY));
    T(syscall(SYS_getdents64, fd, buf, 10));
    T(syscall(SYS_getdents64, fd, buf, 30));
    T(syscall(SYS_getdents64, fd, (char *)8, 4096));
    T(lseek(fd, 0, SEEK_SET));
    IS(syscall(SYS_getdents64, fd, buf, sizeof buf) > 0);
    T(syscall(SYS_getdents64, fd, buf, sizeof buf));
    T(syscall(SYS_getdents64, 99, buf, sizeof buf));
    int f = MUST(open("d/f", O_RDONLY));
    T(syscall(SYS_getdents64, f, buf, sizeof buf));
    T(rmdir("big"));
    T(syscall(SYS_getdents64, fd, buf, sizeof buf));
    T(lseek(fd, 0, SEEK_SET));
    T(syscall(SYS_getdents64, fd, buf, sizeof buf));
    return 0;
}
