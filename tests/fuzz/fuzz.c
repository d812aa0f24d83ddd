// SPDX-License-Identifier: MIT
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define STDERR_SINK 0

/* Of the sanitizers' runtime: their reports go to this descriptor (as a pointer), whatever becomes of stderr. */
void __sanitizer_set_report_fd(void *fd);

static int memory(int *fd, const char *name)
{
	if (*fd < 0)
		*fd = memfd_create(name, MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, 0) || lseek(*fd, 0, SEEK_SET))
		abort();
	return *fd;
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[32];

	if (pwrite(memory(&fd, "input"), data, size, 0) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

/* ---- what is printed ---- */

static struct {
	int fd;
	char *text;
} sinks[FUZZ_SINKS] = { { -1, NULL }, { -1, NULL }, { -1, NULL } };

int fuzz_sink(unsigned int which)
{
	return memory(&sinks[which].fd, "output");
}

const char *fuzz_sunk(unsigned int which, size_t *len)
{
	off_t size = lseek(sinks[which].fd, 0, SEEK_END);
	char *text = size < 0 ? NULL : realloc(sinks[which].text, (size_t)size + 1);

	if (!text || pread(sinks[which].fd, text, (size_t)size, 0) != size)
		abort();
	sinks[which].text = text;
	text[size] = '\0';
	*len = (size_t)size;
	return text;
}

static int real_stderr = -1;

void fuzz_stderr_begin(void)
{
	if (real_stderr < 0) {
		real_stderr = dup(STDERR_FILENO);
#ifndef FUZZER /* libFuzzer does that by itself: -close_fd_mask=2 */
		__sanitizer_set_report_fd((void *)(intptr_t)real_stderr);
#endif
	}
	if (real_stderr < 0 || dup2(fuzz_sink(STDERR_SINK), STDERR_FILENO) < 0)
		abort();
}

void fuzz_stderr_end(void)
{
	const char *text;
	size_t len;

	if (dup2(real_stderr, STDERR_FILENO) < 0)
		abort();
	text = fuzz_sunk(STDERR_SINK, &len);
	check_text(text, len, false);
}

void fuzz_fail(const char *what, const char *bytes, size_t len)
{
	/* Not to stderr: that is a sink, or libFuzzer has closed it. */
	printf("fuzz: %s: \"", what);
	for (size_t i = 0; i < len && i < 2000; i++)
		printf(bytes[i] >= ' ' && bytes[i] < 0x7f ? "%c" : "\\x%02x", (unsigned char)bytes[i]);
	printf("\"\n");
	fflush(stdout);
	abort();
}

#ifndef FUZZER

static int run_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "rbe");
	size_t size;
	uint8_t *exact;

	if (!f) {
		perror(path);
		return 1;
	}
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	/* A block of exactly this size, so that reading beyond it is noticed. */
	exact = malloc(size ? size : 1);
	if (!exact)
		abort();
	memcpy(exact, data, size);
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

/* Every file of the given directories, and the given files. */
static int run_all(int argc, char **argv)
{
	int err = 0, count = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *d;
		char path[PATH_MAX];

		if (!dir) {
			err |= run_file(argv[i]);
			count++;
			continue;
		}
		while ((d = readdir(dir))) {
			if (d->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], d->d_name);
			err |= run_file(path);
			count++;
		}
		closedir(dir);
	}
	printf("%d inputs\n", count);
	return err || !count;
}

/* In a child: when that dies, what it had to say may be in the sink of stderr (libubsan's reports, with gcc). */
int main(int argc, char **argv)
{
	int out = fuzz_sink(STDERR_SINK), status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		exit(run_all(argc, argv));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (out >= 0 && status) {
		size_t len;
		const char *text = fuzz_sunk(STDERR_SINK, &len);

		fwrite(text, 1, len, stderr);
	}
	return status != 0;
}

#endif
