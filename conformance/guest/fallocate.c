// subject: fallocate, SEEK_HOLE and SEEK_DATA, lseek errnos
#include "t.h"
int main(void) {
    int fd = MUST(open("f", O_RDWR | O_CREAT, 0644));
    struct stat s;
    int r = fallocate(fd, 0, 0, 8192);
    if (r < 0) {
        printf("fallocate: %s\n", en(errno));
    } else {
        fstat(fd, &s);
        printf("size %ld\n", (long)s.st_size);
        T(fallocate(fd, FALLOC_FL_KEEP_SIZE, 8192, 8192));
        fstat(fd, &s);
        printf("size %ld\n", (long)s.st_size);
        T(fallocate(fd, 0, -1, 10));
        T(fallocate(fd, 0, 0, 0));
        T(fallocate(fd, 0, 10, -1));
        int ro = MUST(open("f", O_RDONLY));
        T(fallocate(ro, 0, 0, 10));
    }
    T(posix_fallocate(fd, 0, 16384));
    fstat(fd, &s);
    printf("size %ld\n", (long)s.st_size);
    T(fallocate(99, 0, 0, 10));
    int p[2];
    pipe(p);
    T(fallocate(p[1], 0, 0, 10));
    int d = MUST(open(".", O_RDONLY));
    T(fallocate(d, 0, 0, 10));
    int h = MUST(open("holes", O_RDWR | O_CREAT, 0644));
    T(ftruncate(h, 1 << 20));
    T(pwrite(h, "data", 4, 512 << 10));
    IS(lseek(h, 0, SEEK_HOLE) == 0);
    IS(lseek(h, 0, SEEK_DATA) <= 512 << 10);
    IS(lseek(h, 512 << 10, SEEK_DATA) == 512 << 10);
    IS(lseek(h, 512 << 10, SEEK_HOLE) > 512 << 10);
    T(lseek(h, 2 << 20, SEEK_DATA));
    T(lseek(h, 2 << 20, SEEK_HOLE));
    T(lseek(h, -1, SEEK_SET));
    T(lseek(h, -1, SEEK_END));
    T(lseek(h, 1, SEEK_END));
    T(lseek(h, 0, 99));
    T(lseek(p[0], 0, SEEK_SET));
    T(lseek(99, 0, SEEK_SET));
    T(lseek(h, INT64_MAX, SEEK_CUR));
    T(posix_fadvise(h, 0, 0, POSIX_FADV_DONTNEED));
    T(posix_fadvise(p[0], 0, 0, POSIX_FADV_DONTNEED));
    T(readahead(h, 0, 4096));
    T(fsync(h));
    T(fdatasync(h));
    T(fsync(p[0]));
    T(fsync(d));
    T(syncfs(h));
    T(sync_file_range(h, 0, 0, SYNC_FILE_RANGE_WRITE));
    return 0;
}
