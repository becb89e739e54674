// subject: every transition of user and group ids that root and an ordinary user may make
// root
#include "t.h"
#include <sys/fsuid.h>
static void ids(void) {
    uid_t r, e, s;
    gid_t a, b, c;
    getresuid(&r, &e, &s);
    getresgid(&a, &b, &c);
    printf("  uid %d %d %d fs %d gid %d %d %d fs %d groups %d\n", r, e, s, setfsuid(-1), a, b, c, setfsgid(-1), getgroups(0, NULL));
}
static void caps(void) {
    struct { uint32_t v; int pid; } h = {0x20080522, 0};
    struct { uint32_t e, p, i; } d[2];
    syscall(SYS_capget, &h, d);
    printf("  effective %s permitted %s\n", d[0].e ? "some" : "none", d[0].p ? "some" : "none");
}
int main(void) {
    // A container's root may start with group 0 in its list; the native leg does not.
    setgroups(0, NULL);
    ids();
    CHILD("setuid", { T(setuid(1000)); ids(); caps(); T(setuid(0)); T(setuid(1000)); });
    CHILD("seteuid", { T(seteuid(1000)); ids(); caps(); T(seteuid(0)); ids(); caps(); });
    CHILD("setreuid", { T(setreuid(1000, 2000)); ids(); T(setreuid(2000, 1000)); ids(); T(setuid(2000)); ids(); });
    CHILD("setreuid -1", { T(setreuid(-1, 2000)); ids(); T(setreuid(-1, 0)); ids(); T(setreuid(1000, -1)); ids(); });
    CHILD("setresuid", { T(setresuid(1, 2, 3)); ids(); caps(); T(setresuid(3, 1, 2)); ids(); T(setresuid(-1, 4, -1)); T(seteuid(2)); ids(); T(setuid(3)); ids(); });
    CHILD("setresuid keeps 0", { T(setresuid(1000, 1000, 0)); ids(); caps(); T(setuid(0)); ids(); caps(); T(seteuid(0)); });
    CHILD("setfsuid", { mkdir("open", 0777); chmod("open", 0777); T(setfsuid(1000)); ids(); put("open/as1000", ""); struct stat s; stat("open/as1000", &s); printf("  %d\n", s.st_uid); T(creat("refused", 0644)); T(setfsuid(0)); T(creat("allowed", 0644)); });
    CHILD("setgid", { T(setgid(100)); ids(); T(setgid(200)); T(setegid(300)); ids(); T(setregid(1, 2)); ids(); T(setresgid(4, 5, 6)); ids(); });
    CHILD("gid as user", { setresgid(4, 5, 6); setuid(1000); T(setgid(4)); ids(); T(setegid(6)); ids(); T(setgid(7)); T(setresgid(6, 4, 5)); ids(); T(setregid(5, -1)); ids(); });
    CHILD("setgroups", {
        gid_t g[3] = {30, 10, 20};
        T(setgroups(3, g));
        gid_t o[8];
        int n = getgroups(8, o);
        for (int i = 0; i < n; i++) printf("  %d", o[i]);
        printf("\n");
        T(getgroups(2, o));
        T(setgroups(70000, g));
        T(setuid(1));
        T(setgroups(1, g));
        ids();
    });
    CHILD("keepcaps", { T(prctl(PR_SET_KEEPCAPS, 1)); T(setuid(1000)); caps(); });
    CHILD("capset", {
        struct { uint32_t v; int pid; } h = {0x20080522, 0};
        struct { uint32_t e, p, i; } d[2];
        syscall(SYS_capget, &h, d);
        IS(d[0].e & (1 << 0));
        d[0].e &= ~(1 << 0);
        T(syscall(SYS_capset, &h, d));
        put("f", "");
        T(chown("f", 1000, 1000));
        d[0].e |= 1 << 0;
        T(syscall(SYS_capset, &h, d));
        T(chown("f", 1000, 1000));
        d[0].e = d[0].p = d[1].e = d[1].p = 0;
        T(syscall(SYS_capset, &h, d));
        T(chown("f", 0, 0));
        d[0].p = 1;
        T(syscall(SYS_capset, &h, d));
        T(open("/etc/shadow", O_RDONLY) >= 0 ? 0 : -1);
    });
    CHILD("bounding set", { T(prctl(PR_CAPBSET_READ, 0)); T(prctl(PR_CAPBSET_DROP, 0)); T(prctl(PR_CAPBSET_READ, 0)); });
    CHILD("setuid in a thread changes the process", {
        pthread_t t;
        pthread_create(&t, NULL, (void *(*)(void *))(void *)setuid, (void *)1000);
        pthread_join(t, NULL);
        ids();
    });
    CHILD("raw setuid in a thread changes the thread", {
        setresuid(0, 0, 0);
        syscall(SYS_setresuid, 0, 1000, 0);
        IS(geteuid() == 1000);
    });
    return 0;
}
