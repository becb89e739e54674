// subject: permission bits against an ordinary user; access, faccessat, faccessat2
#include "t.h"
int main(void) {
    put("f", "x");
    for (int m = 0; m < 8; m++) {
        chmod("f", m << 6);
        printf("mode %o:", m << 6);
        for (int a = 0; a < 8; a++) printf(" %d", access("f", a));
        int r = open("f", O_RDONLY), w = open("f", O_WRONLY);
        printf(" open %d %d\n", r >= 0, w >= 0);
        close(r);
        close(w);
    }
    chmod("f", 0077);
    T(access("f", R_OK));
    T(open("f", O_RDONLY));
    T(access("f", 8));
    T(access("none", F_OK));
    T(access("/etc/passwd", W_OK));
    T(access("/etc/passwd", R_OK));
    T(access("/", W_OK));
    T(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
    T(syscall(439, AT_FDCWD, "f", R_OK, 0x8000));
    symlink("none", "l");
    T(faccessat(AT_FDCWD, "l", F_OK, AT_SYMLINK_NOFOLLOW));
    T(access("l", F_OK));
    mkdir("d", 0755);
    put("d/in", "x");
    mkdir("d/sub", 0755);
    struct stat s;
    chmod("d", 0644);
    T(stat("d/in", &s));
    T(open("d/in", O_RDONLY));
    T(chdir("d"));
    DIR *dir = opendir("d");
    IS(dir != NULL);
    chmod("d", 0311);
    T(stat("d/in", &s));
    T(open("d", O_RDONLY));
    T(creat("d/new", 0644));
    T(unlink("d/new"));
    chmod("d", 0555);
    T(creat("d/new", 0644));
    T(unlink("d/in"));
    T(rename("d/in", "out"));
    T(rename("f", "d/f"));
    T(mkdir("d/x", 0755));
    T(rmdir("d/sub"));
    T(symlink("a", "d/l"));
    T(link("f", "d/hard"));
    chmod("d", 0);
    T(stat("d/.", &s));
    T(stat("d", &s));
    T(stat("d/../f", &s));
    T(access("d/in", F_OK));
    chmod("d", 0755);
    T(creat("/file-in-root", 0644));
    T(unlink("/etc/passwd"));
    T(rename("/etc/passwd", "/etc/passwd2"));
    T(mkdir("/etc/dir", 0755));
    T(open("/etc/shadow", O_RDONLY));
    T(open("/etc/passwd", O_WRONLY));
    T(truncate("/etc/passwd", 0));
    chmod("f", 0666);
    int p = MUST(open("f", O_PATH));
    chmod("f", 0);
    T(syscall(439, p, "", R_OK, AT_EMPTY_PATH));
    return 0;
}
