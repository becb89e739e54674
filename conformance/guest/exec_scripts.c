// subject: scripts: argument splitting, nesting, interpreters that are scripts, depth, long lines
#include "t.h"
static void file(const char *name, const char *data) {
    int f = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    write(f, data, strlen(data));
    close(f);
}
static void run(const char *path) {
    pid_t c = fork();
    if (c == 0) {
        char *av[] = {"name", "one", "two", NULL};
        execve(path, av, NULL);
        printf("%s: %s\n", path, en(errno));
        _exit(1);
    }
    int st1;
    waitpid(c, &st1, 0);
    ended(path, st1);
}
int main(int argc, char **argv) {
    if (argc > 1) {
        printf(" argc %d:", argc);
        for (int i = 1; i < argc; i++) {
            char *b = strrchr(argv[i], '/');
            printf(" [%s]", b && b - argv[i] > 5 ? b : argv[i]);
        }
        printf("\n");
        return argc;
    }
    char line[1024], cwd[512], *names[] = {"s0", "s1", "s2", "s3", "s4", "s5", "s6"};
    getcwd(cwd, sizeof cwd);
    snprintf(line, sizeof line, "#!%s\nbody", self);
    file("plain", line);
    run("plain");
    run("./plain");
    snprintf(line, sizeof line, "#!%s an argument  with spaces  \n", self);
    file("arg", line);
    run("arg");
    snprintf(line, sizeof line, "#! \t %s\t-x\n", self);
    file("blanks", line);
    run("blanks");
    snprintf(line, sizeof line, "#!%s", self);
    file("noeol", line);
    run("noeol");
    snprintf(line, sizeof line, "#!%s\n", self);
    file(names[0], line);
    for (int i = 1; i < 7; i++) {
        snprintf(line, sizeof line, "#!%s/%s -%d\n", cwd, names[i - 1], i);
        file(names[i], line);
    }
    for (int i = 0; i < 7; i++) run(names[i]);
    file("rel", "#!plain\n");
    run("rel");
    char lng[400];
    memset(lng, 'x', sizeof lng);
    // By a name of the same length everywhere: where the line is cut depends on it.
    T(symlink(self, "by"));
    snprintf(line, sizeof line, "#!./by ");
    size_t l = strlen(line);
    memset(line + l, 'y', 400);
    strcpy(line + l + 400, "\n");
    file("longarg", line);
    run("longarg");
    snprintf(line, sizeof line, "#!/%0300d\n", 0);
    file("longname", line);
    run("longname");
    file("crlf", "#!/bin/sh\r\necho hi\n");
    run("crlf");
    chmod("plain", 0644);
    run("plain");
    snprintf(line, sizeof line, "#!%s/plain\n", cwd);
    file("viaplain", line);
    run("viaplain");
    chmod("plain", 0111);
    run("plain");
    return 0;
}
