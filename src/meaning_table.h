/* SPDX-License-Identifier: MIT */
/*
 * The rows behind meaning.h. A change of class or fate here changes verdicts: `lost` is a claim that the bytes
 * got no further (a wrong one makes a wrong cause), `delivered` and `copy` hide a drop from the search for it.
 * In doubt a row says unclear.
 */
#ifndef REBPF_MEANING_TABLE_H
#define REBPF_MEANING_TABLE_H

#include "meaning.h"

/* One row each; texts are ASCII, one line, at most MEANING_TEXT_MAX characters. */
#define MEANING_TEXT_MAX 110
#define MEANING_ROW(_name, _class, _fate, _meaning, _check)                                          \
	{                                                                                            \
		.reason = (_name), .class = DROP_CLASS_##_class, .fate = DROP_FATE_##_fate,          \
		.meaning = (_meaning), .check = (_check),                                            \
	}

struct meaning_table {
	const struct drop_meaning *rows;
	size_t count;
};

/* Drop reasons of all kernels up to 7.3, without their prefix, and rebpf's own (synthetic) ones. */
extern const struct meaning_table meaning_reasons;
/* Functions, for drops whose reason is "" or NOT_SPECIFIED; names without a compiler's suffix. */
extern const struct meaning_table meaning_places;
/*
 * Functions that mean something else where the kernel has no reasons at all (before 5.17): what later kernels
 * name is among their frees then. Looked at before meaning_places if the reason is "".
 */
extern const struct meaning_table meaning_places_no_reasons;

#endif
