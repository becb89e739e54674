/* Says what it was given, for tests/exec.rs. */
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;
static int zero[5000];
static int data = 42;

int main(int argc, char **argv) {
	for (int i = 0; i < argc; i++)
		printf("arg %s\n", argv[i]);
	for (char **e = environ; *e; e++)
		printf("env %s\n", *e);
	printf("execfn %s\n", (char *)getauxval(AT_EXECFN));
	printf("platform %s\n", (char *)getauxval(AT_PLATFORM));
	printf("uid %lu secure %lu\n", getauxval(AT_UID), getauxval(AT_SECURE));
	Elf64_Phdr *ph = (void *)getauxval(AT_PHDR);
	int loads = 0;
	for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
		loads += ph[i].p_type == PT_LOAD;
	printf("phdr %s\n", loads > 0 ? "ok" : "bad");
	printf("vdso %s\n", getauxval(AT_SYSINFO_EHDR) ? "ok" : "none");
	int sum = data;
	for (unsigned i = 0; i < sizeof zero / sizeof *zero; i++)
		sum += zero[i];
	printf("data %d\n", sum);
	char *heap = sbrk(1 << 20);
	memset(heap, 1, 1 << 20);
	printf("brk %s\n", heap != (void *)-1 ? "ok" : "bad");
	char comm[16];
	prctl(PR_GET_NAME, comm);
	printf("comm %s\n", comm);
	char line[4096];
	FILE *f = fopen("/proc/self/cmdline", "r");
	size_t n = f ? fread(line, 1, sizeof line, f) : 0;
	printf("cmdline %zu %s\n", n, argc > 0 && !strcmp(line, argv[0]) ? "ok" : "bad");
	if (f)
		fclose(f);
	uint64_t aux[128];
	f = fopen("/proc/self/auxv", "r");
	n = f ? fread(aux, 16, 64, f) : 0;
	int same = 0;
	for (size_t i = 0; i < n; i++)
		if (aux[2 * i] == AT_ENTRY)
			same = aux[2 * i + 1] == getauxval(AT_ENTRY);
	printf("auxv %s\n", same ? "ok" : "bad");
	/* The stub's writable pages must be gone, the resident page must be there. */
	printf("left %d %d\n", msync((void *)0x10000, 4096, MS_ASYNC), msync((void *)0x11000, 4096, MS_ASYNC));
	/* Descriptors of the program, its interpreter and the stub must be closed. */
	int fds = 0;
	struct stat st;
	for (int fd = 3; fd < 64; fd++)
		fds += fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	printf("fds %d\n", fds);
	return argc;
}
