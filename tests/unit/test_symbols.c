// SPDX-License-Identifier: MIT
/* links: src/symbols.c src/util.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbols.h"
#include "util.h"

#define SECOND NSEC_PER_SEC

/* A file of its own for each test, with this text. */
struct file {
	char path[64];
};

static void file_write(struct file *f, const char *text)
{
	FILE *out = fopen(f->path, "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static int setup(void **state)
{
	struct file *f = calloc(1, sizeof(*f));
	int fd;

	if (!f)
		return -1;
	strcpy(f->path, "/tmp/rebpf-test-XXXXXX");
	fd = mkstemp(f->path);
	*state = f;
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	struct file *f = *state;

	unlink(f->path);
	free(f);
	return 0;
}

static struct symbols *load(struct file *f, const char *text)
{
	struct symbols *s = NULL;

	file_write(f, text);
	assert_int_equal(symbols_load(&s, f->path), 0);
	assert_non_null(s);
	return s;
}

/* "name+0xoffset" or "name+0xoffset[module]", "-" if nothing is known. */
static const char *at(const struct symbols *s, uint64_t addr)
{
	static char text[256];
	const char *name = NULL, *module = NULL;
	uint64_t offset = 0;

	if (!symbols_lookup(s, addr, &name, &module, &offset))
		return "-";
	snprintf(text, sizeof(text), "%s+0x%llx%s%s%s", name, (unsigned long long)offset, *module ? "[" : "",
		 module, *module ? "]" : "");
	return text;
}

static void test_lookup(void **state)
{
	struct symbols *s = load(*state, "ffffffff81000000 T _stext\n"
					 "ffffffff81000100 T tcp_v4_rcv\n"
					 "ffffffff81000200 t ip_local_deliver\n"
					 "ffffffff81000280 W weak_one\n"
					 "ffffffff81000300 T _etext\n"
					 "ffffffff82000000 D some_data\n"
					 "ffffffffc0001000 t veth_xmit\t[veth]\n"
					 "ffffffffc0001100 t veth_poll\t[veth]\n"
					 "ffffffffc0002000 t nf_drop\t[nf_tables]\n");

	assert_int_equal(symbols_count(s), 8);
	assert_string_equal(at(s, 0xffffffff81000134), "tcp_v4_rcv+0x34");
	assert_string_equal(at(s, 0xffffffff81000281), "weak_one+0x1");
	assert_string_equal(at(s, 0xffffffffc0001010), "veth_xmit+0x10[veth]");
	assert_string_equal(at(s, 0xffffffffc0001180), "veth_poll+0x80[veth]");
	assert_string_equal(at(s, 0xffffffffc0002004), "nf_drop+0x4[nf_tables]");
	/* A return address behind a call that ends its function belongs to that function. */
	assert_string_equal(at(s, 0xffffffff81000200), "tcp_v4_rcv+0x100");
	assert_string_equal(at(s, 0xffffffff81000201), "ip_local_deliver+0x1");
	symbols_free(s);
}

static void test_lookup_nowhere(void **state)
{
	struct symbols *s = load(*state, "ffffffff81000000 T first\n"
					 "ffffffff81000300 T _etext\n"
					 "ffffffffc0001000 t last\t[veth]\n");

	assert_string_equal(at(s, 0), "-");
	assert_string_equal(at(s, 0xffffffff80ffffff), "-");
	assert_string_equal(at(s, 0xffffffff81000000), "-");
	assert_string_equal(at(s, 0xffffffff81000301), "-"); /* data follows the code */
	assert_string_equal(at(s, 0xffffffffc0040000), "last+0x3f000[veth]");
	assert_string_equal(at(s, 0xffffffffc0100000), "-"); /* a hole */
	assert_string_equal(at(s, UINT64_MAX), "-");
	symbols_free(s);
	assert_string_equal(at(NULL, 0xffffffff81000000), "-");
	assert_int_equal(symbols_find(NULL, "first"), 0);
	assert_int_equal(symbols_skip_wrappers(NULL, 5, NULL, 0), 5);
	symbols_free(NULL);
}

/* The first in the file, as the kernel's own %pS, however often and wherever it is asked. */
static void test_aliases(void **state)
{
	struct symbols *s = load(*state, "ffffffffc0002000 t late_a\t[b]\n"
					 "ffffffffc0002000 t late_b\t[b]\n"
					 "ffffffff81000000 T zebra\n"
					 "ffffffff81000000 T apple\n"
					 "ffffffff81000000 W middle\n"
					 "ffffffff81000100 T next\n");

	assert_string_equal(at(s, 0xffffffff81000010), "zebra+0x10");
	assert_string_equal(at(s, 0xffffffffc0002010), "late_a+0x10[b]");
	assert_int_equal(symbols_find(s, "apple"), 0xffffffff81000000);
	assert_int_equal(symbols_find(s, "middle"), 0xffffffff81000000);
	symbols_free(s);
}

static void test_only_code(void **state)
{
	struct symbols *s = load(*state, "0000000000000000 A fixed_percpu_data\n"
					 "0000000000001000 A cpu_debug_store\n"
					 "ffffffff81000000 T real\n"
					 "ffffffff81000040 t __pfx_other\n"
					 "ffffffff81000050 t other\n"
					 "ffffffff81000060 t $x.12\n"
					 "ffffffff81000064 t .L42\n"
					 "ffffffff81000068 t __cfi_more\n"
					 "ffffffff81000070 D data\n"
					 "ffffffff81000080 r rodata\n"
					 "ffffffff81000090 B bss\n");

	assert_int_equal(symbols_count(s), 2);
	assert_string_equal(at(s, 0x1010), "-");
	assert_string_equal(at(s, 0xffffffff81000091), "other+0x41");
	symbols_free(s);
}

static void test_find_prefers_kernel(void **state)
{
	struct symbols *s = load(*state, "ffffffff81000000 T init\t[a]\n"
					 "ffffffff82000000 T init\n"
					 "ffffffffc0001000 t only_here\t[a]\n"
					 "ffffffffc0002000 t only_here\t[b]\n");

	assert_int_equal(symbols_find(s, "init"), 0xffffffff82000000);
	assert_int_equal(symbols_find(s, "only_here"), 0xffffffffc0001000);
	assert_int_equal(symbols_find(s, "ini"), 0);
	assert_int_equal(symbols_find(s, "init2"), 0);
	symbols_free(s);
}

static void test_errors(void **state)
{
	struct symbols *const untouched = (struct symbols *)state;
	struct symbols *s = untouched;
	struct file *f = *state;

	file_write(f, "0000000000000000 T _stext\n0000000000000000 t a\n0000000000000000 t b\t[c]\n");
	assert_int_equal(symbols_load(&s, f->path), -EPERM);
	file_write(f, "");
	assert_int_equal(symbols_load(&s, f->path), -ENODATA);
	file_write(f, "ffffffff81000000 D data\n");
	assert_int_equal(symbols_load(&s, f->path), -ENODATA);
	assert_int_equal(symbols_load(&s, "/nonexistent/kallsyms"), -ENOENT);
	assert_int_equal(symbols_load(&s, "/"), -EISDIR);
	assert_ptr_equal(s, untouched);
}

static void test_malformed(void **state)
{
	char *text = malloc(300000);
	struct symbols *s;

	assert_non_null(text);
	strcpy(text, "\n \nffff\nffffffff81000000\nffffffff81000000 T\nffffffff81000000 T \nnonsense T x\n"
		     "ffffffff81000000Tx\nffffffff81000010 T good\t[unclosed\n");
	/* A line that no buffer holds, then a good one without its line break. */
	memset(text + strlen(text), 'x', 200000);
	strcpy(strchr(text, '[') + 200000, "\nffffffff81000020 T last");
	s = load(*state, text);
	assert_string_equal(at(s, 0xffffffff81000018), "good+0x8");
	assert_string_equal(at(s, 0xffffffff81000028), "last+0x8");
	symbols_free(s);
	free(text);
}

/* Long enough that lines straddle the reader's buffer, with modules out of order. */
static void test_large(void **state)
{
	struct file *f = *state;
	const unsigned int count = 200000;
	struct symbols *s = NULL;
	FILE *out = fopen(f->path, "w");
	char expect[64];

	assert_non_null(out);
	for (unsigned int i = 0; i < count / 2; i++)
		fprintf(out, "%016llx t function_with_a_name_%u\n", 0xffffffff81000000ULL + i * 64, i);
	for (unsigned int i = 0; i < count / 2; i++)
		fprintf(out, "%016llx t module_function_%u\t[module_%u]\n",
			0xffffffffc0000000ULL + i * 7919 % (count / 2) * 64, i, i / 100);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(symbols_load(&s, f->path), 0);
	assert_int_equal(symbols_count(s), count);
	assert_true(symbols_bytes(s) < 12u << 20);
	for (unsigned int i = 0; i < count / 2; i += 997) {
		snprintf(expect, sizeof(expect), "function_with_a_name_%u+0x21", i);
		assert_string_equal(at(s, 0xffffffff81000021ULL + i * 64), expect);
		snprintf(expect, sizeof(expect), "module_function_%u+0x1[module_%u]", i, i / 100);
		assert_string_equal(at(s, 0xffffffffc0000001ULL + i * 7919 % (count / 2) * 64), expect);
	}
	symbols_free(s);
}

static void test_reload(void **state)
{
	static const char before[] = "ffffffff81000000 T a\nffffffff81000100 T _etext\n";
	struct file *f = *state;
	struct symbols *s = load(f, before);
	const uint64_t known = 0xffffffff81000010, later = 0xffffffffc0000010;

	assert_int_equal(symbols_reload_if_unknown(NULL, later, 0), 0);
	assert_int_equal(symbols_reload_if_unknown(s, known, 0), 0);
	file_write(f, "ffffffff81000000 T a\nffffffff81000100 T _etext\nffffffffc0000000 t new_one\t[new]\n");
	assert_string_equal(at(s, later), "-");
	assert_int_equal(symbols_reload_if_unknown(s, later, 5), 1);
	assert_string_equal(at(s, later), "new_one+0x10[new]");
	assert_string_equal(at(s, known), "a+0x10");
	/* Not again for every address that nobody knows. */
	assert_int_equal(symbols_reload_if_unknown(s, 0x10, 9 * SECOND), 0);
	assert_int_equal(symbols_reload_if_unknown(s, 0x10, 11 * SECOND), 1);
	assert_int_equal(symbols_reload_if_unknown(s, 0x10, 12 * SECOND), 0);
	/* A failure keeps what is known. */
	file_write(f, "0000000000000000 T a\n");
	assert_int_equal(symbols_reload_if_unknown(s, 0x10, 30 * SECOND), -EPERM);
	assert_int_equal(symbols_reload_if_unknown(s, 0x10, 31 * SECOND), 0);
	assert_string_equal(at(s, later), "new_one+0x10[new]");
	symbols_free(s);
}

static void test_skip_wrappers(void **state)
{
	struct symbols *s = load(*state, "ffffffff81000000 T kfree_skb_list_reason\n"
					 "ffffffff81000100 t kfree_skb_reason.part.0\n"
					 "ffffffff81000200 t tcp_drop_reason.isra.0.constprop.0\n"
					 "ffffffff81000300 T __dev_queue_xmit\n"
					 "ffffffff81000400 T kfree_skb_elsewhere\n"
					 "ffffffff81000500 T tcp_dro\n"
					 "ffffffff81000600 T end\n");
	const uint64_t list = 0xffffffff81000010, part = 0xffffffff81000110, drop = 0xffffffff81000210;
	const uint64_t xmit = 0xffffffff81000310, similar = 0xffffffff81000410, shorter = 0xffffffff81000510;
	const uint64_t plain[] = { 0x1, list, xmit, similar };
	const uint64_t several[] = { list, part, drop, xmit, similar };
	const uint64_t only[] = { list, part, 0, 0 };
	const uint64_t stranger[] = { list, 0x42 };

	assert_int_equal(symbols_skip_wrappers(s, list, plain, 4), xmit);
	assert_int_equal(symbols_skip_wrappers(s, list, several, 5), xmit);
	assert_int_equal(symbols_skip_wrappers(s, part, several, 5), xmit);
	/* Not a helper: stays, and so do names that only resemble one. */
	assert_int_equal(symbols_skip_wrappers(s, xmit, several, 5), xmit);
	assert_int_equal(symbols_skip_wrappers(s, similar, several, 5), similar);
	assert_int_equal(symbols_skip_wrappers(s, shorter, several, 5), shorter);
	/* The stack does not tell: cut short, empty, or of something else. */
	assert_int_equal(symbols_skip_wrappers(s, list, only, 4), list);
	assert_int_equal(symbols_skip_wrappers(s, list, several, 3), list);
	assert_int_equal(symbols_skip_wrappers(s, list, several, 0), list);
	assert_int_equal(symbols_skip_wrappers(s, list, NULL, 0), list);
	assert_int_equal(symbols_skip_wrappers(s, drop, plain, 4), drop);
	/* A function without a name is none of those in the table. */
	assert_int_equal(symbols_skip_wrappers(s, list, stranger, 2), 0x42);
	assert_int_equal(symbols_skip_wrappers(s, 0x42, stranger, 2), 0x42);
	assert_int_equal(symbols_skip_wrappers(s, 0, several, 5), 0);
	symbols_free(s);
}

/* The running kernel's, if it shows them to us. */
static void test_proc_kallsyms(void **state)
{
	struct symbols *s = NULL;
	int err = symbols_load(&s, NULL);
	uint64_t addr;

	(void)state;
	if (err) {
		print_message("/proc/kallsyms: %s\n", strerror(-err));
		skip();
	}
	addr = symbols_find(s, "tcp_v4_rcv");
	assert_true(addr);
	assert_string_equal(at(s, addr + 4), "tcp_v4_rcv+0x4");
	symbols_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lookup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lookup_nowhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_aliases, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_code, setup, teardown),
		cmocka_unit_test_setup_teardown(test_find_prefers_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_skip_wrappers, setup, teardown),
		cmocka_unit_test(test_proc_kallsyms),
	};

	return cmocka_run_group_tests_name("symbols", tests, NULL, NULL);
}
