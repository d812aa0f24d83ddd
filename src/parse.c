// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <mntent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "parse.h"
#include "util.h"

#define PID_LIMIT 4194304 /* PID_MAX_LIMIT, include/linux/threads.h */
#define REASON_PREFIX "SKB_DROP_REASON_"

/* ---- numbers and time ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads the digits at *p and moves it behind them. */
static int scan_number(const char **p, uint64_t *out)
{
	const char *s = *p;
	uint64_t v = 0;

	if (!is_digit(*s))
		return -EINVAL;
	for (; is_digit(*s); s++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -EINVAL;
	*p = s;
	*out = v;
	return 0;
}

int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v;

	if (scan_number(&text, &v) || *text || v < min || v > max)
		return -EINVAL;
	*out = v;
	return 0;
}

int parse_percent(const char *text, uint32_t *out)
{
	uint64_t whole, hundredths = 0;
	const char *fraction;

	if (scan_number(&text, &whole) || whole > 100)
		return -EINVAL;
	if (*text == '.') {
		fraction = ++text;
		if (scan_number(&text, &hundredths) || text - fraction > 2)
			return -EINVAL;
		if (text - fraction == 1)
			hundredths *= 10;
	}
	whole = whole * 100 + hundredths;
	if (*text || !whole || whole > 10000)
		return -EINVAL;
	*out = (uint32_t)whole;
	return 0;
}

static const struct {
	const char *suffix;
	uint64_t ns;
} duration_units[] = {
	{.suffix = "", .ns = NSEC_PER_SEC},
	{.suffix = "us", .ns = 1000},
	{.suffix = "ms", .ns = NSEC_PER_MSEC},
	{.suffix = "s", .ns = NSEC_PER_SEC},
	{.suffix = "m", .ns = 60 * NSEC_PER_SEC},
	{.suffix = "h", .ns = 3600 * NSEC_PER_SEC},
};

#define DURATION_MAX_NS (PARSE_MAX_HOURS * 3600 * NSEC_PER_SEC)

int parse_duration(const char *text, uint64_t *out_ns)
{
	const char *fraction = NULL, *suffix = text;
	uint64_t whole, ns, step = 0;
	size_t i;

	if (scan_number(&suffix, &whole))
		return -EINVAL;
	if (*suffix == '.') {
		fraction = ++suffix;
		if (!is_digit(*suffix))
			return -EINVAL;
		while (is_digit(*suffix))
			suffix++;
	}
	for (i = 0; i < ARRAY_SIZE(duration_units) && !step; i++)
		if (!strcmp(suffix, duration_units[i].suffix))
			step = duration_units[i].ns;
	if (!step || __builtin_mul_overflow(whole, step, &ns))
		return -EINVAL;
	if (ns > DURATION_MAX_NS)
		return -EINVAL;
	for (; fraction && is_digit(*fraction); fraction++) {
		step /= 10;
		ns += (uint64_t)(*fraction - '0') * step;
	}
	if (!ns || ns > DURATION_MAX_NS)
		return -EINVAL;
	*out_ns = ns;
	return 0;
}

/* ---- ports and addresses ---- */

int parse_ports(const char *text, struct port_rule *out)
{
	uint64_t low, high;

	if (scan_number(&text, &low))
		return -EINVAL;
	high = low;
	if (*text == '-') {
		text++;
		if (scan_number(&text, &high))
			return -EINVAL;
	}
	if (*text || low < 1 || high > UINT16_MAX || low > high)
		return -EINVAL;
	out->low = (__u16)low;
	out->high = (__u16)high;
	return 0;
}

/* Both in network byte order, as the BPF side compares them: whole words under a mask. */
static void set_addr_rule(struct addr_rule *r, const uint8_t *addr, unsigned int bytes, unsigned int prefix)
{
	uint8_t a[16] = {0}, m[16] = {0};
	unsigned int i;

	for (i = 0; i < bytes; i++) {
		if (prefix >= 8 * (i + 1))
			m[i] = 0xff;
		else if (prefix > 8 * i)
			m[i] = (uint8_t)(0xff00 >> (prefix - 8 * i));
		a[i] = addr[i] & m[i];
	}
	memcpy(r->addr, a, sizeof(r->addr));
	memcpy(r->mask, m, sizeof(r->mask));
	r->ip_version = bytes == 4 ? 4 : 6;
}

int parse_addr(const char *text, struct addr_rule *out)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	struct in6_addr v6;
	struct in_addr v4;
	uint64_t prefix;
	char addr[INET6_ADDRSTRLEN];
	bool is_v4;

	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, len);
	addr[len] = '\0';
	is_v4 = inet_pton(AF_INET, addr, &v4) == 1;
	if (!is_v4 && inet_pton(AF_INET6, addr, &v6) != 1)
		return -EINVAL;
	prefix = is_v4 ? 32 : 128;
	if (slash && parse_number(slash + 1, 0, prefix, &prefix))
		return -EINVAL;
	if (is_v4)
		set_addr_rule(out, (const uint8_t *)&v4, 4, (unsigned int)prefix);
	else if (IN6_IS_ADDR_V4MAPPED(&v6) && prefix >= 96)
		set_addr_rule(out, v6.s6_addr + 12, 4, (unsigned int)prefix - 96);
	else
		set_addr_rule(out, v6.s6_addr, 16, (unsigned int)prefix);
	return 0;
}

/* The address before the last colon; v6 in brackets, without which its own colons could not be told. */
static int parse_listen_host(const char *host, size_t len, struct listen_address *out)
{
	bool brackets = len > 1 && host[0] == '[' && host[len - 1] == ']';
	char addr[INET6_ADDRSTRLEN];

	if (brackets) {
		host++;
		len -= 2;
	}
	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, host, len);
	addr[len] = '\0';
	out->ip_version = brackets ? 6 : 4;
	return inet_pton(brackets ? AF_INET6 : AF_INET, addr, out->addr) == 1 ? 0 : -EINVAL;
}

int parse_listen(const char *text, struct listen_address *out)
{
	struct listen_address a = { .addr = { 127, 0, 0, 1 }, .ip_version = 4 };
	const char *colon = strrchr(text, ':');
	uint64_t port;

	if (parse_number(colon ? colon + 1 : text, 1, UINT16_MAX, &port))
		return -EINVAL;
	if (colon && colon != text && parse_listen_host(text, (size_t)(colon - text), &a))
		return -EINVAL;
	a.port = (uint16_t)port;
	*out = a;
	return 0;
}

/* ---- names ---- */

int parse_text(const char *text, char *out, size_t size)
{
	size_t len = strlen(text);

	if (!len || len >= size)
		return -EINVAL;
	memset(out, 0, size);
	memcpy(out, text, len);
	return 0;
}

int parse_ifname(const char *text, char out[REBPF_IFNAME_LEN])
{
	if (!strcmp(text, ".") || !strcmp(text, "..") || strpbrk(text, "/: \t\n\v\f\r"))
		return -EINVAL;
	return parse_text(text, out, REBPF_IFNAME_LEN);
}

int parse_reason(const char *text, char out[REBPF_REASON_LEN])
{
	char upper[REBPF_REASON_LEN + sizeof(REASON_PREFIX)];
	const char *name = upper;
	size_t i;

	if (strlen(text) >= sizeof(upper))
		return -EINVAL;
	for (i = 0; text[i]; i++) {
		upper[i] = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 'a' + 'A') : text[i];
		if (!is_digit(upper[i]) && upper[i] != '_' && (upper[i] < 'A' || upper[i] > 'Z'))
			return -EINVAL;
	}
	upper[i] = '\0';
	if (!strncmp(upper, REASON_PREFIX, strlen(REASON_PREFIX)))
		name += strlen(REASON_PREFIX);
	return parse_text(name, out, REBPF_REASON_LEN);
}

/* ---- network namespaces ---- */

/* Looked at before it is opened: opening a device or a fifo has effects. */
static int netns_of_path(const char *path, uint32_t *out)
{
	struct statfs fs;
	struct stat st;
	int fd, type, err;

	if (statfs(path, &fs))
		return -errno;
	if (fs.f_type != NSFS_MAGIC)
		return -EINVAL;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	type = ioctl(fd, NS_GET_NSTYPE);
	err = type < 0 || fstat(fd, &st) ? -errno : 0;
	close(fd);
	if (err)
		return err;
	if (type != CLONE_NEWNET)
		return -EINVAL;
	*out = (uint32_t)st.st_ino;
	return 0;
}

static int netns_of_number(uint64_t number, uint32_t *out)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%llu/ns/net", (unsigned long long)number);
	if (!stat(path, &st)) {
		*out = (uint32_t)st.st_ino;
		return 0;
	}
	if (errno != ENOENT)
		return -errno;
	/*
	 * The kernel numbers namespaces from 0xeffffff8 up (PROC_DYNAMIC_FIRST, just below it the initial
	 * ones), so a number that could be a process id is that of a process that has ended: as an inode
	 * number it would never match anything.
	 */
	if (number <= PID_LIMIT)
		return -ESRCH;
	*out = (uint32_t)number;
	return 0;
}

int parse_netns(const char *text, uint32_t *out)
{
	static const char *const dirs[] = {"/run/netns", "/var/run/netns"};
	char path[PATH_MAX];
	uint64_t number;
	int err = -EINVAL;
	size_t i;

	if (!parse_number(text, 1, UINT32_MAX, &number))
		return netns_of_number(number, out);
	if (!*text || text[strspn(text, "0123456789")] == '\0')
		return -EINVAL;
	if (strchr(text, '/'))
		return netns_of_path(text, out);
	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", dirs[i], text) >= sizeof(path))
			return -ENAMETOOLONG;
		err = netns_of_path(path, out);
		if (err != -ENOENT)
			break;
	}
	return err;
}

/* ---- cgroups ---- */

int cgroup2_root(const char *mounts, char *out, size_t size)
{
	FILE *f = setmntent(mounts, "re");
	char line[2 * PATH_MAX];
	struct mntent entry, *e;
	int err = -ENODEV;

	if (!f)
		return -errno;
	while (err == -ENODEV && (e = getmntent_r(f, &entry, line, sizeof(line))) != NULL) {
		if (strcmp(e->mnt_type, "cgroup2"))
			continue;
		err = parse_text(e->mnt_dir, out, size);
	}
	endmntent(f);
	return err;
}

/*
 * The inode number is the id: kernel 40430452fd5d ("kernfs: use 64bit inos if ino_t is 64bit", 5.5), and
 * rebpf runs on nothing older or narrower.
 */
static int cgroup_of_path(const char *path, uint64_t *out)
{
	struct statfs fs;
	struct stat st;

	if (statfs(path, &fs) || stat(path, &st))
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return -EINVAL;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	*out = st.st_ino;
	return 0;
}

static int cgroup_by_path(const char *text, uint64_t *out)
{
	char root[PATH_MAX], path[2 * PATH_MAX];
	bool elsewhere = false;
	int err;

	if (!*text)
		return -EINVAL;
	if (text[0] == '/') {
		err = cgroup_of_path(text, out);
		if (err != -ENOENT && err != -EINVAL)
			return err;
		elsewhere = err == -EINVAL;
	}
	err = cgroup2_root("/proc/mounts", root, sizeof(root));
	if (err)
		return err;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", root, text) >= sizeof(path))
		return -ENAMETOOLONG;
	err = cgroup_of_path(path, out);
	/* "/tmp": not "no such file", it is just no cgroup. */
	return err == -ENOENT && elsewhere ? -EINVAL : err;
}

int parse_cgroup(const char *text, uint64_t *out)
{
	int err = cgroup_by_path(text, out);

	/* A recording has no paths: there a group is its number. */
	return err && !parse_number(text, 1, UINT64_MAX, out) ? 0 : err;
}
