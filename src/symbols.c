// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbols.h"
#include "util.h"

#define KALLSYMS "/proc/kallsyms"
#define READ_BYTES 65536 /* also bounds a line: KSYM_NAME_LEN is 512 */
#define RELOAD_NS (10 * NSEC_PER_SEC)
/* No function is so long: an address farther behind the last symbol is in a hole between mappings. */
#define MAX_FUNCTION_BYTES (256 * 1024)

/* 16 bytes a symbol; the names are offsets into one block of strings. */
struct symbol {
	uint64_t addr;
	uint32_t name;
	uint32_t module; /* offset 0 holds "" */
};

struct symbols {
	char *path;
	struct symbol *list; /* by address, then as in the file */
	size_t count, cap;
	char *strings;
	size_t strings_len, strings_cap;
	uint32_t last_module; /* modules come in runs: the same string serves the whole run */
	size_t hidden;        /* code symbols whose address read as zero */
	bool reloaded;
	uint64_t reloaded_ns;
	uint64_t modules; /* fingerprint of /proc/modules when loaded */
};

/* ---- loading ---- */

/* @data with room for @need items; grows by half, so as to waste little. NULL: no memory, @data is untouched. */
static void *grow(void *data, size_t *cap, size_t need, size_t item, size_t first)
{
	size_t n = *cap ? *cap : first;
	void *p;

	if (need <= *cap)
		return data;
	while (n < need)
		n += n / 2;
	p = realloc(data, n * item);
	if (p)
		*cap = n;
	return p;
}

/* Adds a string; negative errno, or 0 and its offset. */
static int add_string(struct symbols *s, const char *text, size_t len, uint32_t *offset)
{
	size_t need = s->strings_len + len + 1;
	char *p;

	if (need > UINT32_MAX)
		return -E2BIG;
	p = grow(s->strings, &s->strings_cap, need, 1, 1 << 20);
	if (!p)
		return -ENOMEM;
	s->strings = p;
	memcpy(s->strings + s->strings_len, text, len);
	s->strings[need - 1] = '\0';
	*offset = (uint32_t)s->strings_len;
	s->strings_len = need;
	return 0;
}

static bool has_prefix(const char *text, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len >= n && !memcmp(text, prefix, n);
}

/*
 * Not functions: the padding before a function, half of all symbols where there is some (__pfx_ of objtool,
 * __cfi_ of clang), mapping symbols of arm ($x, $d) and local labels of riscv (.L12).
 */
static bool is_noise(const char *name, size_t len)
{
	if (name[0] == '$' || has_prefix(name, len, ".L"))
		return true;
	return name[0] == '_' && (has_prefix(name, len, "__pfx_") || has_prefix(name, len, "__cfi_"));
}

/* The module of a line, "\t[name]" at @p, as an offset into the strings. */
static int add_module(struct symbols *s, const char *p, const char *end, uint32_t *offset)
{
	const char *last = s->strings + s->last_module;
	const char *close;
	size_t len;
	int err;

	*offset = 0;
	while (p < end && (*p == '\t' || *p == ' '))
		p++;
	if (p >= end || *p != '[')
		return 0;
	p++;
	close = memchr(p, ']', (size_t)(end - p));
	if (!close)
		return 0;
	len = (size_t)(close - p);
	if (strlen(last) != len || memcmp(last, p, len)) {
		err = add_string(s, p, len, &s->last_module);
		if (err)
			return err;
	}
	*offset = s->last_module;
	return 0;
}

/*
 * 1 + the value of a hexadecimal digit, 0: not one. A table, not comparisons: no processor foretells the next digit of an
 * address, and there are two million of them.
 */
static const uint8_t hex_digit[256] = {
	['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
	['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

/* "ffffffff81000000 T _stext" or "... t name\t[module]". Lines of another form are skipped. */
static int add_line(struct symbols *s, const char *p, const char *end)
{
	struct symbol sym = { 0 }, *list;
	const char *name;
	unsigned int digit;
	int err;

	for (; p < end && (digit = hex_digit[(unsigned char)*p]); p++)
		sym.addr = sym.addr << 4 | (digit - 1);
	if (end - p < 4 || p[0] != ' ' || p[2] != ' ')
		return 0;
	/* Code only. Other letters are data, and absolute values such as the offsets of per-CPU variables. */
	if (p[1] != 't' && p[1] != 'T' && p[1] != 'w' && p[1] != 'W')
		return 0;
	if (!sym.addr) {
		s->hidden++;
		return 0;
	}
	name = p + 3;
	for (p = name; p < end && *p != '\t' && *p != ' '; p++)
		;
	if (p == name || is_noise(name, (size_t)(p - name)))
		return 0;
	list = grow(s->list, &s->cap, s->count + 1, sizeof(*list), 65536);
	if (!list)
		return -ENOMEM;
	s->list = list;
	/* The name first: offsets of names then tell the order in the file. */
	err = add_string(s, name, (size_t)(p - name), &sym.name);
	if (!err)
		err = add_module(s, p, end, &sym.module);
	if (!err)
		s->list[s->count++] = sym;
	return err;
}

/* Adds the whole lines of @len bytes; returns how many bytes they were. */
static int add_lines(struct symbols *s, const char *data, size_t len, size_t *used)
{
	const char *p = data, *end = data + len, *eol;
	int err = 0;

	while (!err && (eol = memchr(p, '\n', (size_t)(end - p)))) {
		err = add_line(s, p, eol);
		p = eol + 1;
	}
	*used = (size_t)(p - data);
	return err;
}

/* The kernel hands out a page or less at a time, so a large buffer for the whole file would gain nothing. */
static int read_symbols(struct symbols *s, int fd)
{
	size_t have = 0, used;
	char *buf = malloc(READ_BYTES);
	ssize_t n = 0;
	int err = 0;

	if (!buf)
		return -ENOMEM;
	while (!err) {
		n = read(fd, buf + have, READ_BYTES - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
		err = add_lines(s, buf, have, &used);
		/* No line of kallsyms is so long; what is left of it will not parse either. */
		if (!used && have == READ_BYTES)
			used = have;
		have -= used;
		memmove(buf, buf + used, have);
	}
	if (n < 0)
		err = -errno;
	if (!err && have)
		err = add_line(s, buf, buf + have);
	free(buf);
	return err;
}

/* File order decides between names of one address: the kernel shows the first (kallsyms_lookup). */
static int compare(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return (x->name > y->name) - (x->name < y->name);
}

/* Sorts the list, of which the first @sorted are. */
static void sort_rest(struct symbols *s, size_t sorted)
{
	size_t rest = s->count - sorted, to = s->count;
	struct symbol *copy = malloc(rest * sizeof(*copy));

	if (!copy) {
		qsort(s->list, s->count, sizeof(*s->list), compare);
		return;
	}
	memcpy(copy, s->list + sorted, rest * sizeof(*copy));
	qsort(copy, rest, sizeof(*copy), compare);
	while (rest) {
		if (sorted && compare(&s->list[sorted - 1], &copy[rest - 1]) > 0)
			s->list[--to] = s->list[--sorted];
		else
			s->list[--to] = copy[--rest];
	}
	free(copy);
}

static void sort_and_trim(struct symbols *s)
{
	void *p;
	size_t i;

	/* The kernel's own symbols come sorted, those of modules and of BPF programs do not. */
	for (i = 1; i < s->count && s->list[i - 1].addr <= s->list[i].addr; i++)
		;
	if (i < s->count)
		sort_rest(s, i);
	p = realloc(s->list, s->count * sizeof(*s->list));
	if (p) {
		s->list = p;
		s->cap = s->count;
	}
	p = realloc(s->strings, s->strings_len);
	if (p) {
		s->strings = p;
		s->strings_cap = s->strings_len;
	}
}

static int load_file(struct symbols *s)
{
	uint32_t empty;
	int err, fd;

	err = add_string(s, "", 0, &empty);
	if (err)
		return err;
	fd = open(s->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = read_symbols(s, fd);
	close(fd);
	if (!err && !s->count)
		err = s->hidden ? -EPERM : -ENODATA;
	if (!err)
		sort_and_trim(s);
	return err;
}

static uint64_t fnv1a(uint64_t h, const char *text, size_t len)
{
	while (len--)
		h = (h ^ (unsigned char)*text++) * 0x100000001b3ULL;
	return h;
}

/* Which modules are loaded, and where: name and address of each line "name size users by state address". 0: none. */
static uint64_t modules_fingerprint(void)
{
	uint64_t h = 0xcbf29ce484222325ULL;
	char *text = NULL, *rest, *line, *address;

	if (read_file("/proc/modules", &text, NULL))
		return 0;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		address = strstr(line, " 0x");
		h = fnv1a(h, line, strcspn(line, " "));
		if (address)
			h = fnv1a(h, address, strlen(address));
	}
	free(text);
	return h;
}

static int load_new(struct symbols **out, const char *path)
{
	struct symbols *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	if (s)
		s->path = strdup(path ? path : KALLSYMS);
	/* Before the symbols: what is loaded in between makes for one load too many, not one too few. */
	if (s && s->path)
		s->modules = modules_fingerprint();
	if (s && s->path)
		err = load_file(s);
	if (err) {
		symbols_free(s);
		return err;
	}
	*out = s;
	return 0;
}

static struct {
	pthread_t thread;
	bool running;
	struct symbols *symbols;
	int err;
} early;

static void *load_early(void *unused)
{
	(void)unused;
	early.err = load_new(&early.symbols, NULL);
	return NULL;
}

void symbols_load_early(void)
{
	early.running = !pthread_create(&early.thread, NULL, load_early, NULL);
}

int symbols_load(struct symbols **out, const char *path)
{
	if (path || !early.running)
		return load_new(out, path);
	pthread_join(early.thread, NULL);
	early.running = false;
	if (!early.err)
		*out = early.symbols;
	return early.err;
}

void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	free(s->path);
	free(s->list);
	free(s->strings);
	free(s);
}

/* ---- asking ---- */

/* The symbol that covers the byte at @addr, NULL if none does. */
static const struct symbol *find_covering(const struct symbols *s, uint64_t addr)
{
	size_t low = 0, high = s->count, mid;
	const struct symbol *sym;
	const char *name;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (s->list[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return NULL;
	for (sym = &s->list[low - 1]; sym > s->list && sym[-1].addr == sym->addr; sym--)
		;
	if (addr - sym->addr >= MAX_FUNCTION_BYTES)
		return NULL;
	/* Ends of code, of nothing that could be called. */
	name = s->strings + sym->name;
	if (!strcmp(name, "_etext") || !strcmp(name, "_einittext"))
		return NULL;
	return sym;
}

bool symbols_lookup(const struct symbols *s, uint64_t addr, const char **name, const char **module,
		    uint64_t *offset)
{
	const struct symbol *sym = s && addr ? find_covering(s, addr - 1) : NULL;

	if (!sym)
		return false;
	*name = s->strings + sym->name;
	*module = s->strings + sym->module;
	*offset = addr - sym->addr;
	return true;
}

uint64_t symbols_find(const struct symbols *s, const char *name)
{
	uint64_t in_module = 0;

	for (size_t i = 0; s && i < s->count; i++) {
		if (strcmp(s->strings + s->list[i].name, name))
			continue;
		if (!s->list[i].module)
			return s->list[i].addr;
		if (!in_module)
			in_module = s->list[i].addr;
	}
	return in_module;
}

/* Loads again into *s. The caller's pointer stays good: what it points to is exchanged. */
static int reload(struct symbols *s)
{
	struct symbols *fresh, old;
	int err = symbols_load(&fresh, s->path);

	if (err)
		return err;
	fresh->reloaded = s->reloaded;
	fresh->reloaded_ns = s->reloaded_ns;
	old = *s;
	*s = *fresh;
	*fresh = old;
	symbols_free(fresh);
	return 1;
}

int symbols_reload_if_unknown(struct symbols *s, uint64_t addr, uint64_t now_ns)
{
	if (!s || (addr && find_covering(s, addr - 1)))
		return 0;
	if (s->reloaded && now_ns - s->reloaded_ns < RELOAD_NS)
		return 0;
	s->reloaded = true;
	s->reloaded_ns = now_ns;
	return reload(s);
}

int symbols_follow_modules(struct symbols *s)
{
	uint64_t now;
	int err;

	if (!s || strcmp(s->path, KALLSYMS))
		return 0;
	now = modules_fingerprint();
	if (now == s->modules)
		return 0;
	err = reload(s);
	s->modules = now;
	return err;
}

/*
 * Functions that free on behalf of their callers, 5.8 to 7.3. Not all are functions of every build: what the
 * compiler put into its caller does not show up as a location. Not here: whoever decides, e.g. nf_hook_slow
 * (netfilter's verdict) or __dev_queue_xmit (frees what a qdisc refused; the qdisc has returned by then).
 */
static const char *const wrappers[] = {
	/* net/core/skbuff.c */
	"kfree_skb",
	"kfree_skb_reason",   /* in the BTF of 6.1 */
	"sk_skb_reason_drop", /* by 6.12 */
	"__kfree_skb",
	"kfree_skb_list",
	"kfree_skb_list_reason", /* by 6.1: what a qdisc refuses at enqueue */
	"kfree_skb_partial",
	"skb_queue_purge",
	"skb_queue_purge_reason", /* by 6.12 */
	"skb_errqueue_purge",
	"skb_rbtree_purge",
	/* net/core/dev.c */
	"__dev_kfree_skb_any",
	"dev_kfree_skb_any",
	"dev_kfree_skb_any_reason", /* by 6.12 */
	"__dev_kfree_skb_irq",
	"dev_kfree_skb_irq_reason",
	/* net/core/rtnetlink.c, include/net/sch_generic.h, net/sched */
	"rtnl_kfree_skbs",
	"qdisc_drop",
	"__qdisc_drop",
	"qdisc_dequeue_drop",
	"tcf_kfree_skb_list",
	"__tcf_kfree_skb_list", /* by 7.1 */
	"drop_func",            /* of codel */
	"bpf_kfree_skb",        /* for a qdisc that is a BPF program, by 7.1 */
	/* net/ipv4/tcp_input.c, net/mptcp/protocol.c */
	"tcp_drop",
	"tcp_drop_reason", /* a function of its own by 6.16 */
	"mptcp_drop",
};

/* A compiler's clones of a function are the function: "tcp_drop.isra.0", ".part.0", ".constprop.0". */
static bool is_clone_of(const char *name, const char *function)
{
	size_t len = strlen(function);

	return !strncmp(name, function, len) && (!name[len] || name[len] == '.');
}

static bool is_wrapper(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrappers); i++) {
		/* Every symbol of the kernel is asked for: two letters tell nearly all of them apart without a call. */
		if (name[0] == wrappers[i][0] && name[1] == wrappers[i][1] && is_clone_of(name, wrappers[i]))
			return true;
	}
	return false;
}

static bool is_in_wrapper(const struct symbols *s, uint64_t addr)
{
	const struct symbol *sym = addr ? find_covering(s, addr - 1) : NULL;

	return sym && is_wrapper(s->strings + sym->name);
}

uint64_t symbols_skip_wrappers(const struct symbols *s, uint64_t location, const uint64_t *stack,
			       unsigned int depth)
{
	unsigned int i;

	if (!s || !is_in_wrapper(s, location))
		return location;
	for (i = 0; i < depth && stack[i] != location; i++)
		;
	for (i++; i < depth && stack[i]; i++) {
		if (!is_in_wrapper(s, stack[i]))
			return stack[i];
	}
	return location;
}

unsigned int symbols_wrappers(const struct symbols *s, struct code_range *out, unsigned int max)
{
	unsigned int n = 0;

	for (size_t i = 0; s && i < s->count && n < max; i++) {
		size_t next = i + 1;

		if (!is_wrapper(s->strings + s->list[i].name))
			continue;
		while (next < s->count && s->list[next].addr == s->list[i].addr)
			next++;
		if (next < s->count)
			out[n++] = (struct code_range){ s->list[i].addr, s->list[next].addr };
	}
	return n;
}

size_t symbols_count(const struct symbols *s)
{
	return s ? s->count : 0;
}

size_t symbols_bytes(const struct symbols *s)
{
	return s ? sizeof(*s) + s->cap * sizeof(*s->list) + s->strings_cap : 0;
}
