// subject: extended attributes in the user namespace
#include "t.h"
static int cmp(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }
static void list(const char *p) {
    char b[1024];
    ssize_t n = listxattr(p, b, sizeof b);
    if (n < 0) {
        printf("listxattr: %s\n", en(errno));
        return;
    }
    char *v[32];
    int k = 0;
    for (char *q = b; q < b + n; q += strlen(q) + 1)
        if (!strncmp(q, "user.", 5)) v[k++] = q;
    qsort(v, k, sizeof *v, cmp);
    printf("list:");
    for (int i = 0; i < k; i++) printf(" %s", v[i]);
    printf("\n");
}
int main(void) {
    put("f", "x");
    char b[128];
    if (setxattr("f", "user.probe", "1", 1, 0) < 0 && errno == EOPNOTSUPP) {
        printf("no xattrs here\n");
        return 0;
    }
    removexattr("f", "user.probe");
    T(setxattr("f", "user.a", "value", 5, 0));
    T(getxattr("f", "user.a", b, sizeof b));
    printf("%.5s\n", b);
    T(getxattr("f", "user.a", NULL, 0));
    T(getxattr("f", "user.a", b, 2));
    T(getxattr("f", "user.none", b, 2));
    T(setxattr("f", "user.a", "v2", 2, XATTR_CREATE));
    T(setxattr("f", "user.b", "v2", 2, XATTR_REPLACE));
    T(setxattr("f", "user.a", "v2", 2, XATTR_REPLACE));
    T(setxattr("f", "user.empty", "", 0, 0));
    T(getxattr("f", "user.empty", b, sizeof b));
    list("f");
    char small[4];
    T(listxattr("f", small, sizeof small));
    T(setxattr("f", "bogus.a", "v", 1, 0));
    T(setxattr("f", "user.", "v", 1, 0));
    T(setxattr("f", "trusted.a", "v", 1, 0));
    T(setxattr("f", "user.a", "v", 1, 4));
    char longname[300] = "user.";
    memset(longname + 5, 'n', 250);
    longname[255] = 0;
    OK(setxattr("f", longname, "v", 1, 0));
    OK(removexattr("f", longname));
    longname[255] = 'n';
    longname[256] = 0;
    T(setxattr("f", longname, "v", 1, 0));
    T(removexattr("f", "user.a"));
    T(removexattr("f", "user.a"));
    symlink("f", "l");
    T(lsetxattr("l", "user.a", "v", 1, 0));
    T(setxattr("l", "user.through", "v", 1, 0));
    list("f");
    int fd = MUST(open("f", O_RDONLY));
    T(fsetxattr(fd, "user.fd", "v", 1, 0));
    T(fgetxattr(fd, "user.fd", b, sizeof b));
    T(fremovexattr(fd, "user.fd"));
    mkdir("d", 0755);
    T(setxattr("d", "user.dir", "v", 1, 0));
    T(getxattr("d", "user.dir", b, sizeof b));
    mkfifo("p", 0600);
    T(setxattr("p", "user.a", "v", 1, 0));
    chmod("f", 0444);
    T(setxattr("f", "user.ro", "v", 1, 0));
    chmod("f", 0200);
    T(getxattr("f", "user.through", b, sizeof b));
    T(setxattr("/etc/passwd", "user.a", "v", 1, 0));
    T(getxattr("f", (char *)8, b, 1));
    T(setxattr("none", "user.a", "v", 1, 0));
    return 0;
}
