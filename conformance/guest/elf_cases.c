// subject: programs made from this one with bytes of their headers changed: which exec refuses, and which die how
#include "t.h"
static unsigned char *image;
static long size;
static void try(const char *what, const void *bytes, long n, int mode) {
    unlink("prog");
    int fd = MUST(open("prog", O_WRONLY | O_CREAT | O_TRUNC, mode));
    MUST(write(fd, bytes, n));
    close(fd);
    pid_t c = fork();
    if (c == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        execl("./prog", "prog", "quiet", NULL);
        printf("%s ", en(errno));
        _exit(100);
    }
    reap(what, c);
}
#define CHANGED(what, type, offset, value)                          \
    do {                                                            \
        memcpy(copy, image, size);                                  \
        *(type *)(copy + (offset)) = (value);                       \
        try(what, copy, size, 0755);                                \
    } while (0)
#define EH(field) offsetof(Elf64_Ehdr, field)
int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) return 42;
    struct stat s;
    int fd = open(self, O_RDONLY);
    fstat(fd, &s);
    size = s.st_size;
    image = malloc(size);
    read(fd, image, size);
    unsigned char *copy = malloc(size);
    Elf64_Ehdr *e = (void *)image;
    Elf64_Phdr *ph = (void *)(image + e->e_phoff);
    int load = 0, second = 0;
    for (int i = e->e_phnum - 1; i >= 0; i--) if (ph[i].p_type == PT_LOAD) second = load ? second : i, load = i;
    long l = e->e_phoff + load * sizeof *ph;
#define PH(field) (l + offsetof(Elf64_Phdr, field))
    try("whole", image, size, 0755);
    try("not executable", image, size, 0644);
    try("empty", image, 0, 0755);
    try("one byte", image, 1, 0755);
    try("magic alone", image, 4, 0755);
    try("header cut", image, 63, 0755);
    try("header alone", image, 64, 0755);
    try("segments cut", image, 64 + 56, 0755);
    CHANGED("magic", char, 0, 'x');
    CHANGED("class 32", char, EI_CLASS, ELFCLASS32);
    CHANGED("big endian", char, EI_DATA, ELFDATA2MSB);
    CHANGED("version", char, EI_VERSION, 9);
    CHANGED("osabi", char, EI_OSABI, 99);
    CHANGED("relocatable", short, EH(e_type), ET_REL);
    CHANGED("core", short, EH(e_type), ET_CORE);
    CHANGED("machine 386", short, EH(e_machine), EM_386);
    CHANGED("machine arm", short, EH(e_machine), EM_AARCH64);
    CHANGED("no segments", short, EH(e_phnum), 0);
    CHANGED("many segments", short, EH(e_phnum), 0xffff);
    CHANGED("segment size", short, EH(e_phentsize), 32);
    CHANGED("segments past the end", long, EH(e_phoff), size + 100);
    CHANGED("segments nowhere", long, EH(e_phoff), -1);
    CHANGED("header size", short, EH(e_ehsize), 1);
    CHANGED("flags", int, EH(e_flags), -1);
    CHANGED("entry zero", long, EH(e_entry), 0);
    CHANGED("entry in the kernel", long, EH(e_entry), 0xffffffff80000000);
    CHANGED("file size over memory size", long, PH(p_filesz), ph[load].p_memsz + 4096);
    CHANGED("memory size huge", long, PH(p_memsz), 1L << 62);
    CHANGED("address in the kernel", long, PH(p_vaddr), 0xffff800000000000);
    CHANGED("address unaligned", long, PH(p_vaddr), ph[load].p_vaddr + 1);
    CHANGED("offset past the end", long, PH(p_offset), (size + 8191) & ~4095);
    CHANGED("offset negative", long, PH(p_offset), -4096);
    CHANGED("not executable memory", int, e->e_phoff + second * sizeof *ph + offsetof(Elf64_Phdr, p_flags), PF_R);
    CHANGED("interpreter of no length", int, PH(p_type), PT_INTERP);
    try("script of nothing", "#!", 2, 0755);
    try("script of a blank", "#! \n", 4, 0755);
    try("script of a missing one", "#!/nonexistent/interpreter\n", 27, 0755);
    try("script of a directory", "#!/tmp\n", 7, 0755);
    try("script of itself", "#!./prog\n", 9, 0755);
    try("text", "echo hello\n", 11, 0755);
    try("zeros", calloc(1, 4096), 4096, 0755);
    try("all ones", memset(copy, 0xff, 4096), 4096, 0755);
    return 0;
}
