// SPDX-License-Identifier: MIT
/* links: tests/fuzz/fuzz.c tests/fuzz/check.c src/symbols.c src/util.c */
/* Arbitrary bytes as /proc/kallsyms: whatever was loaded is found again, and by its address. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "symbols.h"
#include "util.h"

#define RANGES 8
#define MAX_ASKED 32

static size_t size_of_file;

static void ask(const struct symbols *s, uint64_t addr)
{
	const char *name, *module;
	uint64_t offset, start;

	if (!symbols_lookup(s, addr, &name, &module, &offset))
		return;
	if (offset > addr || strlen(module) > size_of_file)
		fuzz_fail("a symbol that does not cover its address", name, strlen(name));
	start = symbols_find(s, name);
	if (!start)
		fuzz_fail("a symbol that is not found by its name", name, strlen(name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = fuzz_file(data, size);
	struct code_range ranges[RANGES];
	uint64_t stack[] = { 0, 0, 0 };
	struct symbols *s;

	size_of_file = size;
	if (symbols_load(&s, path))
		return 0;
	if (!symbols_count(s) || symbols_bytes(s) < symbols_count(s))
		fuzz_fail("nothing was loaded", (const char *)data, size);
	/* Addresses near those of the file, and anywhere. */
	for (size_t i = 0, lines = 0; i + 18 < size && lines < MAX_ASKED; i++) {
		if (data[i] == '\n' || !i) {
			char digits[18] = "";
			uint64_t addr;

			memcpy(digits, data + i, sizeof(digits) - 1);
			addr = strtoull(digits, NULL, 16);
			ask(s, addr);
			ask(s, addr + 1);
			ask(s, addr - 1);
			stack[0] = addr, stack[1] = addr + 1, stack[2] = addr + 2;
			symbols_skip_wrappers(s, addr + 1, stack, 3);
			/* Twice in a run, 10 s later. */
			symbols_reload_if_unknown(s, addr, lines++ < MAX_ASKED / 2 ? 1 : 11 * NSEC_PER_SEC);
		}
	}
	ask(s, UINT64_MAX);
	ask(s, 1);
	for (unsigned int n = symbols_wrappers(s, ranges, RANGES); n-- > 0;)
		if (ranges[n].start >= ranges[n].end)
			fuzz_fail("an empty range", (const char *)data, size);
	symbols_follow_modules(s);
	symbols_free(s);
	return 0;
}
