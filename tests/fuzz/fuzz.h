/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets share. A target (fuzz_NAME.c) feeds arbitrary bytes to what reads bytes from outside, and checks
 * what comes of it. Built twice: with libFuzzer (-DFUZZER, tests/fuzz/run.sh), and as a program that runs the files it is
 * given, for the unit tier. "links:" in its second line names its sources, "flags:" what else its linking needs.
 *
 * Nothing may be read or written out of place (the sanitizers tell), nothing may last long, and what is printed is held
 * against its format: a failed check is an abort(), with its message.
 */
#ifndef REBPF_FUZZ_H
#define REBPF_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory that holds @data from here on, and is read from its beginning; its path. It is one file, used again. */
const char *fuzz_file(const uint8_t *data, size_t size);

/* What a sink or stderr is given: a file in memory, emptied. @which: several are kept apart. */
#define FUZZ_SINKS 3
int fuzz_sink(unsigned int which);
/* What was written there, NUL-terminated; lives until the next call for it. */
const char *fuzz_sunk(unsigned int which, size_t *len);

/* From here on stderr goes to a sink, which is emptied; fuzz_stderr_end() ends that and checks it: lines of text. */
void fuzz_stderr_begin(void);
void fuzz_stderr_end(void);

/* Aborts and says what was expected of which bytes. */
_Noreturn void fuzz_fail(const char *what, const char *bytes, size_t len);

/* ---- formats (check.c): aborts if @text is not of the format ---- */

/* Whole lines of printable ASCII. @color: SGR sequences of ECMA-48 may be among them. */
void check_text(const char *text, size_t len, bool color);
/* One JSON object (RFC 8259) a line, in ASCII. */
void check_json(const char *text, size_t len);
/* Prometheus' exposition format 0.0.4: comments, and samples with their labels. */
void check_metrics(const char *text, size_t len);

/* ---- taking an input apart ---- */

struct bytes {
	const uint8_t *at;
	size_t left;
};

/* 0 at the end. */
static inline uint8_t take_byte(struct bytes *b)
{
	return b->left ? b->left--, *b->at++ : 0;
}

/* Up to @max bytes; *n of them. */
static inline const uint8_t *take(struct bytes *b, size_t max, size_t *n)
{
	const uint8_t *at = b->at;

	*n = max < b->left ? max : b->left;
	b->at += *n;
	b->left -= *n;
	return at;
}

/* A block with its length before it (two bytes, little endian), or what is left of it. */
static inline const uint8_t *take_block(struct bytes *b, size_t *n)
{
	size_t len = take_byte(b);

	len |= (size_t)take_byte(b) << 8;
	return take(b, len, n);
}

#endif
