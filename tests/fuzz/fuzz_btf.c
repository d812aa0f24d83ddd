// SPDX-License-Identifier: MIT
/* links: tests/fuzz/fuzz.c tests/fuzz/check.c src/features.c src/btfindex.c src/corebtf.c src/reasons.c src/plan.c src/log.c src/util.c -lbpf */
/*
 * Arbitrary bytes as the kernel's BTF: a plan is made from whatever it says, and every reason has a name. libbpf reads it,
 * so it begins as raw BTF does (of other files libelf would have to make something), and its header's lengths are sane.
 */
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>

#include "feature.h"
#include "fuzz.h"
#include "log.h"
#include "plan.h"
#include "probes.h"
#include "reasons.h"

/* What features.c asks of others, but never where a file is given. */
const void *probes_object(bool cast, size_t *size)
{
	(void)cast;
	*size = 0;
	return NULL;
}

static int add(void *ctx, uint32_t number, const char *name)
{
	return reasons_add(ctx, number, name);
}

static void ask(const struct reasons *r)
{
	char text[REBPF_REASON_LEN];
	const char *name, *again;
	uint32_t number, found;

	for (size_t i = 0; i < reasons_count(r); i++) {
		reasons_at(r, i, &number, &name);
		again = reasons_name(r, number);
		if (again != name || !reasons_number(r, name, &found))
			fuzz_fail("a reason that is not found again", name, strlen(name));
		reasons_text(r, number ^ 0x20000, text);
	}
	reasons_text(r, 0, text);
	reasons_text(r, UINT32_MAX, text);
}

static void make_plan(const struct features *features)
{
	struct strbuf text = {};
	struct plan plan;

	if (!plan_make(&plan, features, NULL))
		plan_print(&plan, features, &text);
	check_text(text.data, text.len, false);
	strbuf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct btf_header h = { .magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(h) };
	struct reasons *r = reasons_new();
	struct features features;
	uint8_t *file;

	if (!r || size < 3)
		return reasons_free(r), 0;
	/* Two bytes say where the strings begin; the last byte of the strings is a NUL, or libbpf refuses them all. */
	h.type_len = (uint32_t)((data[0] | data[1] << 8) % (size - 2)) & ~3u;
	h.str_off = h.type_len;
	h.str_len = (uint32_t)(size - 2 - h.type_len);
	file = malloc(sizeof(h) + size - 2);
	if (!file)
		abort();
	memcpy(file, &h, sizeof(h));
	memcpy(file + sizeof(h), data + 2, size - 2);
	file[sizeof(h) + size - 3] = '\0';
	if (h.str_len > 1)
		file[sizeof(h) + h.str_off] = '\0';

	log_set_level(LOG_TRACE);
	fuzz_stderr_begin();
	if (!features_probe(&features, fuzz_file(file, sizeof(h) + size - 2), add, r)) {
		ask(r);
		make_plan(&features);
	}
	fuzz_stderr_end();
	free(file);
	reasons_free(r);
	return 0;
}
