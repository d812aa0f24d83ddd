// SPDX-License-Identifier: MIT
/*
 * The only other program of a guest that has nothing but the static rebpf: it is /init. It runs rebpf --version and
 * --check, then causes listen overflows on loopback while rebpf watches, and shows all of it on the console.
 *   init overflow      only the overflow, on a system that is up
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 6

static void die(const char *what)
{
	printf("init: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	reboot(RB_POWER_OFF);
	exit(1);
}

/* Nobody accepts: the queue of a backlog of 1 has room for two, the SYNs or ACKs of the others are dropped. */
static void overflow(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(8081)};
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 1))
		die("cannot listen");
	for (int i = 0; i < CLIENTS; i++) {
		int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

		if (client < 0 || (connect(client, (struct sockaddr *)&at, sizeof(at)) && errno != EINPROGRESS))
			die("cannot connect");
	}
	/* The kernel's clock of SYNs: one second, then two. */
	sleep(4);
}

static void set_up(void)
{
	struct ifreq lo = {.ifr_name = "lo"};
	int fd;

	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	if (mount("dev", "/dev", "devtmpfs", 0, NULL) && errno != EBUSY)
		die("/dev");
	fd = open("/dev/ttyS0", O_RDWR);
	if (fd >= 0) {
		dup2(fd, 0);
		dup2(fd, 1);
		dup2(fd, 2);
	}
	if (mount("proc", "/proc", "proc", 0, NULL) || mount("sys", "/sys", "sysfs", 0, NULL))
		die("/proc, /sys");
	if (mount("tracing", "/sys/kernel/tracing", "tracefs", 0, NULL))
		die("/sys/kernel/tracing");
	mount("cgroup", "/sys/fs/cgroup", "cgroup2", 0, NULL);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (ioctl(fd, SIOCGIFFLAGS, &lo))
		die("lo");
	lo.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &lo))
		die("lo");
	close(fd);
}

static pid_t start(char *const argv[], int err)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (err >= 0)
		dup2(err, 2);
	execv(argv[0], argv);
	_exit(127);
}

static void run(char *const argv[])
{
	int status;

	printf("== %s\n", argv[1]);
	fflush(stdout);
	if (waitpid(start(argv, -1), &status, 0) < 0)
		die("wait");
	printf("== status %d\n", WEXITSTATUS(status));
}

/* Copies what rebpf says until it is ready, or for a minute. */
static void wait_ready(int fd)
{
	char text[4096];
	size_t len = 0;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (len < sizeof(text) - 1 && poll(&p, 1, 60000) > 0) {
		ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
		text[len] = '\0';
		if (strstr(text, "rebpf: ready"))
			break;
	}
	text[len] = '\0';
	printf("%s", text);
	fflush(stdout);
}

static void watch(void)
{
	char *const argv[] = {"/rebpf", "-o", "json", "-e", "retransmit,drop,connect", NULL};
	int fds[2], status;
	pid_t pid;

	if (pipe(fds))
		die("pipe");
	printf("== watch\n");
	fflush(stdout);
	pid = start(argv, fds[1]);
	close(fds[1]);
	wait_ready(fds[0]);
	overflow();
	kill(pid, SIGINT);
	if (waitpid(pid, &status, 0) < 0)
		die("wait");
	printf("== status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int argc, char **argv)
{
	char *const version[] = {"/rebpf", "--version", NULL}, *const check[] = {"/rebpf", "--check", NULL};

	if (argc == 2 && !strcmp(argv[1], "overflow")) {
		overflow();
		return 0;
	}
	set_up();
	run(version);
	run(check);
	watch();
	printf("== end\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
