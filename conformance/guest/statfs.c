// subject: statfs and statvfs
#include "t.h"
int main(void) {
    struct statfs s;
    struct statvfs v;
    T(statfs(".", &s));
    IS(s.f_bsize > 0 && s.f_blocks > 0 && s.f_bfree <= s.f_blocks && s.f_bavail <= s.f_blocks);
    printf("namelen %ld\n", s.f_namelen);
    T(statfs("/proc", &s));
    printf("proc %lx\n", s.f_type);
    T(statfs("/proc/self/status", &s));
    printf("proc %lx\n", s.f_type);
    T(statfs("/dev/shm", &s));
    printf("shm %lx\n", s.f_type);
    T(statfs("none", &s));
    T(statfs("", &s));
    T(statfs(".", (void *)8));
    T(statfs((void *)8, &s));
    int fd = MUST(open(".", O_RDONLY));
    T(fstatfs(fd, &s));
    T(fstatfs(99, &s));
    T(statvfs(".", &v));
    IS(v.f_frsize > 0);
    int p[2];
    pipe(p);
    T(fstatfs(p[0], &s));
    printf("pipe %lx\n", s.f_type);
    return 0;
}
