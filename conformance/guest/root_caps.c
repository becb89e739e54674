// subject: capabilities: capget and capset rules, what changes of ids do to them, keepcaps, securebits, ambient, bounding set
// root
#include "t.h"
#include <linux/capability.h>
#include <linux/securebits.h>
static struct __user_cap_data_struct d[2];
static void show_caps(const char *when) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    syscall(SYS_capget, &h, d);
    printf("%s: e %08x p %08x i %08x uid %d %d\n", when, d[0].effective, d[0].permitted, d[0].inheritable, getuid(), geteuid());
}
static int set(uint32_t e, uint32_t p, uint32_t i) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct s[2] = {{e, p, i}, {0, 0, 0}};
    return syscall(SYS_capset, &h, s);
}
#define BIT(c) (1u << (c))
int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) {
        show_caps("after exec");
        for (int c = 0; c < 41; c++) if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, c, 0, 0) == 1) printf("ambient %d\n", c);
        return 0;
    }
    show_caps("start");
    struct __user_cap_header_struct h = {0, 0};
    T(syscall(SYS_capget, &h, NULL));
    printf("%x\n", h.version);
    h.version = _LINUX_CAPABILITY_VERSION_1;
    T(syscall(SYS_capget, &h, d));
    h.version = _LINUX_CAPABILITY_VERSION_3;
    h.pid = 0x3fffffff;
    T(syscall(SYS_capget, &h, d));
    h.pid = -1;
    T(syscall(SYS_capget, &h, d));
    h.pid = getppid();
    T(syscall(SYS_capset, &h, d));
    h.pid = 0;
    CHILD("drop", {
        T(set(0, d[0].permitted, 0));
        show_caps("no effective");
        T(chown(".", 1, 1));
        T(set(d[0].permitted, d[0].permitted, 0));
        T(set(BIT(CAP_SETUID), BIT(CAP_SETUID) | BIT(CAP_CHOWN), 0));
        show_caps("two permitted");
        T(set(BIT(CAP_KILL), BIT(CAP_SETUID), 0));
        T(set(BIT(CAP_SETUID), BIT(CAP_SETUID) | BIT(CAP_KILL), 0));
        T(set(0, BIT(CAP_SETUID), BIT(CAP_KILL)));
        T(set(0, BIT(CAP_SETUID), BIT(CAP_SETUID)));
        show_caps("inheritable");
        execl(self, self, "x", NULL);
    });
    CHILD("setuid", { setuid(1000); show_caps("setuid"); T(set(BIT(CAP_KILL), BIT(CAP_KILL), 0)); execl(self, self, "x", NULL); });
    CHILD("seteuid", { seteuid(1000); show_caps("seteuid"); seteuid(0); show_caps("back"); });
    CHILD("keepcaps", {
        T(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
        T(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
        setuid(1000);
        show_caps("kept");
        T(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
        T(set(BIT(CAP_KILL), BIT(CAP_KILL), BIT(CAP_KILL)));
        T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
        T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
        T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
        T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 99, 0, 0));
        T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 1, 0));
        execl(self, self, "x", NULL);
    });
    CHILD("ambient lowered", {
        set(d[0].permitted, d[0].permitted, BIT(CAP_KILL) | BIT(CAP_CHOWN));
        T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
        T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
        T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_CHOWN, 0, 0));
        T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
        T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
    });
    CHILD("bounding", {
        T(prctl(PR_CAPBSET_READ, CAP_KILL, 0, 0, 0));
        T(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0));
        T(prctl(PR_CAPBSET_READ, 99, 0, 0, 0));
        T(prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0));
        T(prctl(PR_CAPBSET_READ, CAP_KILL, 0, 0, 0));
        show_caps("dropped from the bound");
        execl(self, self, "x", NULL);
    });
    CHILD("securebits", {
        T(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
        T(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT, 0, 0, 0));
        T(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
        execl(self, self, "x", NULL);
    });
    CHILD("no fixup", {
        T(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED, 0, 0, 0));
        setuid(1000);
        show_caps("no fixup");
        T(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
        T(prctl(PR_SET_SECUREBITS, 1 << 20, 0, 0, 0));
        T(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
    });
    CHILD("keepcaps locked", {
        T(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS_LOCKED, 0, 0, 0));
        T(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
    });
    CHILD("no ambient", {
        set(d[0].permitted, d[0].permitted, BIT(CAP_KILL));
        T(prctl(PR_SET_SECUREBITS, SECBIT_NO_CAP_AMBIENT_RAISE, 0, 0, 0));
        T(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
    });
    CHILD("no_new_privs", {
        T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0 ? 0 : -1);
        T(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        T(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
        T(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
        T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
        set(0, BIT(CAP_KILL), 0);
        execl(self, self, "x", NULL);
    });
    return 0;
}
