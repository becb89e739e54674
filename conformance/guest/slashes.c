// subject: slashes, dots and empty paths in every place
#include "t.h"
int main(void) {
    mkdir("d", 0755);
    mkdir("d/e", 0755);
    put("d/f", "F");
    symlink("d", "ld");
    struct stat a, b;
    const char *good[] = {"d/f", "./d/f", "d//f", "d/./f", "d/e/../f", "././/d///e/..//./f", "ld/f", "ld/e/../f", "d/../d/f", "d/../ld/../d/f"};
    stat("d/f", &a);
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        int r = stat(good[i], &b);
        printf("%s: %s\n", good[i], r < 0 ? en(errno) : a.st_ino == b.st_ino ? "same" : "other");
    }
    T(stat("d/f/.", &b));
    T(stat("d/f/..", &b));
    T(stat("d/none/..", &b));
    T(stat("d/f/", &b));
    T(stat("", &b));
    T(stat("d/", &b));
    T(stat("d/.", &b));
    T(lstat("ld/", &b));
    printf("%s\n", kind(b.st_mode));
    stat("/", &a);
    stat("/..", &b);
    IS(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    stat("/../../..", &b);
    IS(a.st_ino == b.st_ino);
    stat("//", &b);
    IS(a.st_ino == b.st_ino);
    stat(".", &a);
    stat("d/..", &b);
    IS(a.st_ino == b.st_ino);
    T(access("d/e/../../d/f", R_OK));
    T(open("d/f/../f", O_RDONLY));
    T(creat("d/e/", 0644));
    T(creat("d/e/.", 0644));
    T(creat("d/e/..", 0644));
    T(unlink("d/f/"));
    T(mkdir("d/g//", 0755));
    st("d/g");
    T(rename("d/g//", "d/h//"));
    st("d/h");
    T(rmdir("d/h//"));
    T(access("\x01\xff\xfe", F_OK));
    put("na\nme \xc3\xa9\xff", "odd bytes");
    T(access("na\nme \xc3\xa9\xff", F_OK));
    T(access("*", F_OK));
    put("*?[", "glob");
    show("*?[");
    put("-f", "dash");
    show("./-f");
    return 0;
}
