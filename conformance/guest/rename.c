// subject: rename(2) and renameat2(2) with every flag
#include "t.h"
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#define RENAME_WHITEOUT 4
#endif
#define R2(a, b, f) renameat2(AT_FDCWD, a, AT_FDCWD, b, f)
int main(void) {
    put("a", "A");
    put("b", "B");
    T(rename("a", "c"));
    st("a");
    show("c");
    T(rename("c", "b"));
    show("b");
    T(rename("none", "x"));
    T(rename("b", "b"));
    link("b", "hard");
    T(rename("b", "hard"));
    st("b");
    st("hard");
    unlink("hard");
    mkdir("d", 0755);
    mkdir("e", 0755);
    put("e/in", "in");
    T(rename("d", "e"));
    T(rename("e", "d"));
    st("d/in");
    st("e");
    T(rename("b", "d"));
    T(rename("d", "b"));
    T(rename("d", "d/sub"));
    T(rename("d", "d/in/x"));
    T(rename("b", "none/x"));
    T(rename("b", "b/x"));
    T(rename("d/.", "q"));
    T(rename("d/..", "q"));
    T(rename("d", "."));
    T(rename("d/", "moved/"));
    st("moved/in");
    T(rename("b/", "q"));
    T(rename("b", "q/"));
    T(rename("", "q"));
    T(rename("b", ""));
    put("x", "X");
    put("y", "Y");
    T(R2("x", "y", RENAME_NOREPLACE));
    T(R2("x", "z", RENAME_NOREPLACE));
    show("z");
    T(R2("z", "y", RENAME_EXCHANGE));
    show("z");
    show("y");
    T(R2("z", "moved", RENAME_EXCHANGE));
    st("z");
    show("moved");
    st("z/in");
    T(R2("z", "nothing", RENAME_EXCHANGE));
    T(R2("y", "n", RENAME_EXCHANGE | RENAME_NOREPLACE));
    T(R2("y", "n", 0x100));
    T(R2("z", "z/in", RENAME_EXCHANGE));
    symlink("y", "l");
    T(rename("l", "l2"));
    st("l2");
    show("l2");
    int d = MUST(open("z", O_RDONLY));
    T(renameat(d, "in", AT_FDCWD, "pulled"));
    show("pulled");
    T(renameat(99, "in", AT_FDCWD, "p"));
    int f = MUST(open("y", O_RDONLY));
    T(renameat(f, "in", AT_FDCWD, "p"));
    char c;
    T(rename("y", "while-open"));
    T(read(f, &c, 1));
    put("victim", "V");
    int v = MUST(open("victim", O_RDONLY));
    T(rename("while-open", "victim"));
    T(read(v, &c, 1));
    printf("%c\n", c);
    show("victim");
    mkdir("deep", 0755);
    mkdir("deep/er", 0755);
    struct stat s;
    stat("deep", &s);
    printf("links %ld\n", (long)s.st_nlink);
    T(rename("deep/er", "er"));
    stat("deep", &s);
    printf("links %ld\n", (long)s.st_nlink);
    return 0;
}
