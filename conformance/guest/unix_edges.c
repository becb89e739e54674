// subject: unix sockets: what listen, connect and bind refuse, seqpacket ends of messages, shutdown, ECONNRESET, names in the file system
#include "t.h"
static struct sockaddr_un un(const char *name) {
    struct sockaddr_un a = {AF_UNIX};
    strcpy(a.sun_path, name);
    return a;
}
static int sock(int type) { return MUST(socket(AF_UNIX, type, 0)); }
static int b(int s, const char *name) { struct sockaddr_un a = un(name); return bind(s, (void *)&a, sizeof a); }
static int c(int s, const char *name) { struct sockaddr_un a = un(name); return connect(s, (void *)&a, sizeof a); }
int main(void) {
    signal(SIGPIPE, SIG_IGN);
    put("file", "x");
    mkdir("d", 0755);
    symlink("sock", "link");
    int l = sock(SOCK_STREAM);
    T(listen(l, 1));
    T(b(l, "file"));
    T(b(l, "d"));
    T(b(l, "none/sock"));
    T(b(l, "file/sock"));
    T(b(l, "link"));
    T(b(l, "sock"));
    T(b(l, "sock2"));
    st("sock");
    T(c(sock(SOCK_STREAM), "sock"));
    T(listen(l, 1));
    T(c(sock(SOCK_DGRAM), "sock"));
    T(c(sock(SOCK_SEQPACKET), "sock"));
    T(c(sock(SOCK_STREAM), "file"));
    T(c(sock(SOCK_STREAM), "d"));
    T(c(sock(SOCK_STREAM), "none"));
    T(c(sock(SOCK_STREAM), "link"));
    T(c(l, "sock"));
    chmod("sock", 0444);
    T(c(sock(SOCK_STREAM), "sock"));
    chmod("sock", 0755);
    rename("sock", "moved");
    int s = sock(SOCK_STREAM);
    T(c(s, "moved"));
    T(c(s, "moved"));
    T(b(s, "late"));
    T(open("moved", O_RDONLY));
    T(open("moved", O_PATH) >= 0 ? 0 : -1);
    T(truncate("moved", 0));
    unlink("moved");
    T(c(sock(SOCK_STREAM), "moved"));
    T(b(sock(SOCK_STREAM), "moved"));
    T(c(sock(SOCK_STREAM), "moved"));
    char buf[64];
    int p[2];
    // A sequence of packets keeps its boundaries; what does not fit is lost.
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p);
    write(p[0], "hello", 5);
    write(p[0], "", 0);
    write(p[0], "world", 5);
    T(read(p[1], buf, 2));
    T(read(p[1], buf, 64));
    T(recv(p[1], buf, 2, MSG_TRUNC));
    close(p[0]);
    T(read(p[1], buf, 64));
    T(write(p[1], "x", 1));
    socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
    T(write(p[0], "", 0));
    T(recv(p[1], buf, 64, MSG_DONTWAIT));
    T(recv(p[1], buf, 64, MSG_DONTWAIT));
    close(p[1]);
    T(write(p[0], "x", 1));
    T(recv(p[0], buf, 64, MSG_DONTWAIT));
    // Closing with something unread.
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    write(p[0], "unread", 6);
    close(p[1]);
    T(read(p[0], buf, 64));
    T(read(p[0], buf, 64));
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(shutdown(p[0], SHUT_WR));
    T(write(p[0], "x", 1));
    T(read(p[1], buf, 1));
    T(write(p[1], "y", 1));
    T(read(p[0], buf, 1));
    T(shutdown(p[0], 9));
    T(shutdown(l, SHUT_RD));
    T(accept(l, NULL, NULL) >= 0 ? 0 : -1);
    T(shutdown(sock(SOCK_STREAM), SHUT_RDWR));
    // Out of band data.
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    T(send(p[0], "abc", 3, MSG_OOB));
    T(recv(p[1], buf, 64, MSG_OOB));
    T(recv(p[1], buf, 64, 0));
    // A connection nobody accepted.
    int q = sock(SOCK_STREAM);
    MUST(b(q, "q"));
    MUST(listen(q, 5));
    int w = sock(SOCK_STREAM);
    MUST(c(w, "q"));
    T(write(w, "data", 4));
    close(q);
    T(read(w, buf, 4));
    T(write(w, "x", 1));
    // Datagrams: a peer is the only one that may send.
    int r = sock(SOCK_DGRAM), t = sock(SOCK_DGRAM), o = sock(SOCK_DGRAM);
    MUST(b(r, "r"));
    MUST(b(t, "t"));
    T(c(r, "t"));
    T(c(o, "r"));
    struct sockaddr_un a = un("r");
    T(sendto(o, "x", 1, 0, (void *)&a, sizeof a));
    T(sendto(t, "x", 1, 0, (void *)&a, sizeof a));
    T(connect(r, (void *)&(struct sockaddr_un){AF_UNSPEC}, sizeof a));
    T(sendto(o, "x", 1, 0, (void *)&a, sizeof a));
    T(sendto(o, "x", 1, 0, (void *)&a, 2));
    T(sendto(o, "x", 1, 0, (void *)&a, 1));
    T(sendto(o, "x", 1, 0, (void *)&a, 200));
    T(sendto(sock(SOCK_DGRAM), "x", 1, 0, NULL, 0));
    T(sendto(sock(SOCK_STREAM), "x", 1, 0, NULL, 0));
    T(sendto(w, "x", 1, 0, (void *)&a, sizeof a));
    return 0;
}
