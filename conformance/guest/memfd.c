// subject: memfds: names, flags, every seal, executing one, opening it again
#include "t.h"
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#define EXEC_SEAL 0x20
int main(int argc, char **argv) {
    if (argc > 1) {
        char b[64] = "";
        readlink("/proc/self/exe", b, 63);
        printf("run from %s\n", b);
        return 5;
    }
    char name[300];
    memset(name, 'n', sizeof name);
    name[249] = 0;
    OK(memfd_create(name, 0));
    name[249] = 'n';
    name[250] = 0;
    OK(memfd_create(name, 0));
    T(memfd_create("x", 0x100));
    T(memfd_create("x", 0x18));
    OK(memfd_create("", 0));
    OK(memfd_create("a/b", 0));
    int f = MUST(memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC));
    T(fcntl(f, F_GET_SEALS));
    T(ftruncate(f, 8192));
    T(fcntl(f, F_ADD_SEALS, 0x1000));
    char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    T(fcntl(f, F_ADD_SEALS, F_SEAL_WRITE));
    munmap(m, 8192);
    T(fcntl(f, F_ADD_SEALS, F_SEAL_GROW));
    T(ftruncate(f, 16384));
    T(pwrite(f, "x", 1, 8192));
    T(fallocate(f, 0, 0, 16384));
    T(ftruncate(f, 4096));
    T(fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK));
    T(ftruncate(f, 0));
    T(fcntl(f, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    T(pwrite(f, "x", 1, 0));
    T((long)mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0));
    IS(mmap(0, 4096, PROT_READ, MAP_SHARED, f, 0) != MAP_FAILED);
    IS(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0) != MAP_FAILED);
    T(fcntl(f, F_ADD_SEALS, F_SEAL_SEAL));
    T(fcntl(f, F_ADD_SEALS, F_SEAL_WRITE));
    T(fcntl(f, F_GET_SEALS));
    int plain = MUST(memfd_create("plain", 0));
    T(fcntl(plain, F_GET_SEALS));
    T(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE));
    struct stat s;
    T(fstat(plain, &s));
    printf("%o %ld %d %d\n", s.st_mode, (long)s.st_nlink, s.st_uid == getuid(), (int)s.st_size);
    T(fchmod(plain, 0600));
    fstat(plain, &s);
    printf("%o\n", s.st_mode);
    write(plain, "hello", 5);
    char path[64], b[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", plain);
    readlink(path, b, 63);
    puts(b);
    int again = open(path, O_RDWR);
    IS(again >= 0);
    T(read(again, b, 5));
    T(pwrite(again, "J", 1, 0));
    T(pread(plain, b, 5, 0));
    printf("%.5s\n", b);
    T(open(path, O_RDONLY | O_DIRECTORY));
    T(truncate(path, 2));
    fstat(plain, &s);
    printf("%ld\n", (long)s.st_size);
    int prog = MUST(memfd_create("prog", MFD_CLOEXEC)), from = MUST(open(self, O_RDONLY));
    while (sendfile(prog, from, NULL, 1 << 20) > 0) {}
    CHILD("fexecve", { char *av[] = {"prog", "x", NULL}, *e[] = {NULL}; fexecve(prog, av, e); printf("%s\n", en(errno)); _exit(9); });
    fchmod(prog, 0600);
    CHILD("not executable", { char *av[] = {"prog", "x", NULL}, *e[] = {NULL}; fexecve(prog, av, e); printf("%s\n", en(errno)); _exit(9); });
    int noexec = syscall(SYS_memfd_create, "noexec", 8 | MFD_ALLOW_SEALING);
    IS(noexec >= 0);
    if (noexec >= 0) {
        T(fcntl(noexec, F_GET_SEALS));
        fstat(noexec, &s);
        printf("%o\n", s.st_mode);
        T(fchmod(noexec, 0700));
    }
    T(flock(plain, LOCK_EX | LOCK_NB));
    T(fallocate(plain, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    T(fsync(plain));
    T(linkat(AT_FDCWD, path, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
    return 0;
}
