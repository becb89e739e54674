// subject: which call changes which times of the file and of its directories
#include "t.h"
static struct stat before[8];
static const char *watched[] = {"d", "d/f", "e", "d/sub", "."};
#define N 5
static void look(struct stat *s) { for (int i = 0; i < N; i++) if (lstat(watched[i], s + i) < 0) memset(s + i, 0, sizeof *s); }
static int later(struct timespec a, struct timespec b) { return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec; }
#define DO(what)                                                                                        \
    do {                                                                                                \
        msleep(15);                                                                                     \
        look(before);                                                                                   \
        msleep(15);                                                                                     \
        errno = 0;                                                                                      \
        long r_ = (long)(what);                                                                         \
        struct stat after[8];                                                                           \
        look(after);                                                                                    \
        printf("%s = %s:", #what, r_ < 0 ? en(errno) : "ok");                                           \
        for (int i = 0; i < N; i++) {                                                                   \
            int m = later(before[i].st_mtim, after[i].st_mtim), c = later(before[i].st_ctim, after[i].st_ctim); \
            if (before[i].st_ino && after[i].st_ino && (m || c)) printf(" %s:%s%s", watched[i], m ? "m" : "", c ? "c" : ""); \
        }                                                                                               \
        printf("\n");                                                                                   \
    } while (0)
int main(void) {
    mkdir("d", 0755);
    mkdir("e", 0755);
    mkdir("d/sub", 0755);
    put("d/f", "text");
    int fd = open("d/f", O_RDWR);
    char b[8];
    DO(open("d/f", O_RDONLY) > 0);
    DO(pread(fd, b, 4, 0));
    DO(pwrite(fd, "x", 1, 0));
    DO(pwrite(fd, "", 0, 0));
    DO(ftruncate(fd, 4));
    DO(ftruncate(fd, 10));
    DO(truncate("d/f", 10));
    DO(truncate("d/f", 3));
    DO(open("d/f", O_WRONLY | O_TRUNC) > 0);
    DO(open("d/f", O_WRONLY | O_TRUNC) > 0);
    DO(fallocate(fd, 0, 0, 100));
    DO(chmod("d/f", 0600));
    DO(chmod("d/f", 0600));
    DO(fchmod(fd, 0644));
    DO(chown("d/f", -1, getgid()));
    DO(chown("d/f", -1, -1));
    DO(link("d/f", "e/hard"));
    DO(unlink("e/hard"));
    DO(rename("d/f", "d/g"));
    DO(rename("d/g", "d/f"));
    DO(rename("d/f", "e/f"));
    DO(rename("e/f", "d/f"));
    DO(rename("d/f", "d/f"));
    DO(rename("d/sub", "e/sub"));
    DO(rename("e/sub", "d/sub"));
    DO(mkdir("d/new", 0755));
    DO(rmdir("d/new"));
    DO(symlink("x", "d/link"));
    DO(readlink("d/link", b, 8));
    DO(unlink("d/link"));
    DO(mkfifo("d/fifo", 0600));
    DO(unlink("d/fifo"));
    DO(close(creat("d/created", 0600)));
    DO(close(creat("d/created", 0600)));
    DO(unlink("d/created"));
    DO(setxattr("d/f", "user.a", "b", 1, 0));
    DO(removexattr("d/f", "user.a"));
    DO(utimensat(AT_FDCWD, "d/f", NULL, 0));
    struct timespec t[2] = {{1, 0}, {2, 0}}, omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}}, one[2] = {{5, 0}, {0, UTIME_OMIT}};
    DO(utimensat(AT_FDCWD, "d/f", t, 0));
    DO(utimensat(AT_FDCWD, "d/f", omit, 0));
    DO(utimensat(AT_FDCWD, "d/f", one, 0));
    DO(fsync(fd));
    DO(open("d", O_RDONLY | O_DIRECTORY) > 0);
    DO(closedir(opendir("d")));
    char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ftruncate(fd, 100);
    DO((m[0] = 'x', msync(m, 4096, MS_SYNC)));
    int c = open("e/copy", O_CREAT | O_RDWR, 0600);
    DO(copy_file_range(fd, &(off_t){0}, c, NULL, 10, 0));
    DO(chdir("d"));
    struct stat s;
    T(stat("f", &s));
    printf("%d %d\n", s.st_atim.tv_sec == 5, s.st_blksize > 0);
    T(fstat(c, &s));
    IS(s.st_mtim.tv_sec == s.st_ctim.tv_sec);
    return 0;
}
