// subject: process_vm_readv and process_vm_writev: vectors, parts, limits, errnos, ptrace access
#include "t.h"
int main(void) {
    char *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *edge = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(edge, "hello from the child");
    int p[2];
    pipe(p);
    pid_t c = fork();
    if (c == 0) {
        munmap(edge + 4096, 4096);
        strcpy(edge, "changed in the child");
        shared[0] = 1;
        char x;
        close(p[1]);
        read(p[0], &x, 1);
        printf("child sees %s\n", edge);
        _exit(0);
    }
    while (!*(volatile char *)shared) msleep(1);
    char a[64] = "", b[64] = "";
    struct iovec l[2] = {{a, 8}, {b, 32}}, r[2] = {{edge, 4}, {edge + 8, 20}};
    T(process_vm_readv(c, l, 2, r, 2, 0));
    printf("%s|%s\n", a, b);
    struct iovec whole = {malloc(8192), 8192}, over = {edge, 8192};
    T(process_vm_readv(c, &whole, 1, &over, 1, 0));
    struct iovec hole = {edge + 4096, 10};
    T(process_vm_readv(c, &whole, 1, &hole, 1, 0));
    struct iovec two[2] = {{edge, 10}, {edge + 4096, 10}};
    T(process_vm_readv(c, &whole, 1, two, 2, 0));
    struct iovec three[3] = {{edge + 4096, 10}, {edge, 10}, {edge, 1}};
    T(process_vm_readv(c, &whole, 1, three, 3, 0));
    T(process_vm_readv(c, NULL, 0, r, 1, 0));
    T(process_vm_readv(c, l, 1, NULL, 0, 0));
    T(process_vm_readv(c, l, 1, r, 1, 1));
    T(process_vm_readv(c, l, 2000, r, 1, 0));
    T(process_vm_readv(c, l, 1, r, 2000, 0));
    T(process_vm_readv(0x3fffffff, l, 1, r, 1, 0));
    T(process_vm_readv(0, l, 1, r, 1, 0));
    T(process_vm_readv(-1, l, 1, r, 1, 0));
    struct iovec text = {"rewritten", 10}, to = {edge, 10};
    T(process_vm_writev(c, &text, 1, &to, 1, 0));
    struct iovec code = {(void *)main, 4};
    T(process_vm_writev(c, &text, 1, &code, 1, 0));
    struct iovec bad = {(void *)0x10, 4};
    T(process_vm_writev(c, &bad, 1, &to, 1, 0));
    T(process_vm_readv(c, &bad, 1, &to, 1, 0));
    struct iovec negative = {edge, -1};
    T(process_vm_readv(c, l, 1, &negative, 1, 0));
    T(process_vm_readv(getpid(), l, 1, r, 1, 0));
    close(p[1]);
    reap("child", c);
    T(process_vm_readv(c, l, 1, r, 1, 0));
    return 0;
}
