/* SPDX-License-Identifier: MIT */
/*
 * The fields of an event, each stated once. An event's fields() walks through them and calls field_*() for
 * each: name, type, value, and where text shows it. A visitor makes a format of them: text and JSON are
 * here, others implement struct visitor_ops. No other code asks which format it is.
 *
 *	field_u64(v, FIELD("cwnd", SHOW_ALWAYS), r->cwnd);
 *		text	 cwnd=10
 *		JSON	,"cwnd":10
 *	if (field_list(v, FIELD("tc", SHOW_ALWAYS), true, 1)) {
 *		if (field_object(v, FIELD_ELEMENT, true)) {
 *			field_string(v, FIELD_PART("ifname", "", SHOW_ALWAYS), "eth0", 4);
 *			field_name(v, FIELD_PART("verdict", ":", SHOW_ALWAYS), "SHOT", TONE_BAD);
 *			field_name(v, FIELD_NOTE("by", SHOW_ALWAYS), "other", TONE_NONE);
 *			field_object_end(v);
 *		}
 *		field_list_end(v);
 *	}
 *		text	 tc=eth0:SHOT(other)
 *		JSON	,"tc":[{"ifname":"eth0","verdict":"SHOT","by":"other"}]
 *
 * Text is words "key=value", each after one space; a value holds no space, but for a sentence in quotes, which
 * ends the line (SHOW_LAST, field_sentence). What is unknown or does not apply:
 *	null word or part	-		(the word is there: a word's place on the line never moves)
 *	null note		nothing
 *	empty list		none
 *	empty string		""
 * JSON has every field always, null where there is no value. Text from outside (field_string,
 * field_location) is escaped: in text as \xNN (strbuf_escaped), in JSON every byte that is not printable
 * ASCII as \u00NN, NN being the byte: a UTF-8 name comes out as one code point per byte, and encoding it as
 * Latin-1 gives the bytes back.
 */
#ifndef REBPF_FIELD_H
#define REBPF_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

/* Where text shows a field. JSON and other machine formats have all of them. */
enum field_show {
	SHOW_ALWAYS = 1,
	SHOW_VERBOSE = 2, /* with -v; words after all that are always there, parts at their place */
	SHOW_NEVER = 4,
	SHOW_LAST = 8, /* after all other words: stated last, too */
};

/* How text joins a field to what stands before it. */
enum field_place {
	PLACE_WORD,    /* " key=value" */
	PLACE_PART,    /* a member of an object: its lead, then the value: "@nf_hook_slow+0xb5" */
	PLACE_NOTE,    /* "(value)" */
	PLACE_ELEMENT, /* of a list: "," between two of them */
};

/* Longest lead. A lead is copied with its padding, since a copy of constant length is a few instructions. */
#define FIELD_LEAD_MAX 32

/* Only the FIELD* macros below make one. Both formats' leads are put together at compile time. */
struct field {
	const char *name;	   /* JSON, metrics */
	const char *key;	   /* text */
	char json[FIELD_LEAD_MAX]; /* "name": */
	char text[FIELD_LEAD_MAX]; /* " key=", a part's lead, "(" or "," */
	uint8_t json_len, text_len;
	uint8_t strip; /* so many leading bytes of a field_name() are not shown in text */
	uint8_t place; /* enum field_place */
	uint8_t show;  /* enum field_show */
};

#define FIELD_ROW(n, k, j, t, sh, pl, st)							\
	__extension__({										\
		static const struct field field_row = {						\
			.name = n, .key = k, .json = j, .json_len = sizeof(j) - 1, .text = t,	\
			.text_len = sizeof(t) - 1, .strip = st, .place = pl, .show = sh,	\
		};										\
		_Static_assert(sizeof(j) <= FIELD_LEAD_MAX, "long name: " n);			\
		_Static_assert(sizeof(t) <= FIELD_LEAD_MAX, "long name: " k);			\
		&field_row;									\
	})
#define FIELD_AS(n, k, show) FIELD_ROW(n, k, "\"" n "\":", " " k "=", show, PLACE_WORD, 0)
#define FIELD(n, show) FIELD_AS(n, n, show)
#define FIELD_PART(n, lead, show) FIELD_ROW(n, n, "\"" n "\":", lead, show, PLACE_PART, 0)
/* A part of which text leaves out the prefix that all its values share. */
#define FIELD_PART_STRIP(n, lead, prefix, show) \
	FIELD_ROW(n, n, "\"" n "\":", lead, show, PLACE_PART, sizeof(prefix) - 1)
#define FIELD_NOTE(n, show) FIELD_ROW(n, n, "\"" n "\":", "(", show, PLACE_NOTE, 0)
#define FIELD_ELEMENT FIELD_ELEMENT_BY(",")
/* With something else than a comma between two elements, in text. */
#define FIELD_ELEMENT_BY(gap) FIELD_ROW("", "", "", gap, SHOW_ALWAYS, PLACE_ELEMENT, 0)

/* What text has only if @when, else @otherwise: SHOW_VERBOSE or SHOW_NEVER. */
#define FIELD_IF(when, n, otherwise) ((when) ? FIELD(n, SHOW_ALWAYS) : FIELD(n, otherwise))
#define FIELD_PART_IF(when, n, lead, otherwise) \
	((when) ? FIELD_PART(n, lead, SHOW_ALWAYS) : FIELD_PART(n, lead, otherwise))
#define FIELD_LAST_IF(when, n, k, otherwise) ((when) ? FIELD_AS(n, k, SHOW_LAST) : FIELD_AS(n, k, otherwise))

/* How a word of a closed list looks on a terminal with colour. */
enum field_tone { TONE_NONE, TONE_NOTICE, TONE_BAD };

/* A kernel address: symbol+0xoffset and its module. Strings may fill their @max bytes without a NUL. */
struct field_location {
	const char *symbol; /* "": not resolved, @address is shown */
	const char *module; /* "": the kernel itself */
	size_t max;
	uint64_t offset;
	uint64_t address;
};

struct visitor;

/*
 * All are required, but where a visitor serves one kind of event only. What the visitor does not show
 * (visitor.shows) never reaches them.
 */
struct visitor_ops {
	void (*null)(struct visitor *v, const struct field *f);
	void (*u64)(struct visitor *v, const struct field *f, uint64_t value);
	void (*s64)(struct visitor *v, const struct field *f, int64_t value);
	void (*hex)(struct visitor *v, const struct field *f, uint64_t value);
	void (*us)(struct visitor *v, const struct field *f, uint64_t us);
	void (*share)(struct visitor *v, const struct field *f, uint64_t value, uint64_t whole);
	void (*boolean)(struct visitor *v, const struct field *f, bool value);
	void (*name)(struct visitor *v, const struct field *f, const char *word, enum field_tone tone);
	void (*string)(struct visitor *v, const struct field *f, const char *s, size_t max);
	void (*sentence)(struct visitor *v, const struct field *f, const char *s);
	void (*address)(struct visitor *v, const struct field *f, const uint8_t addr[16], int ip_version);
	void (*time)(struct visitor *v, const struct field *f, uint64_t wall_ns);
	void (*location)(struct visitor *v, const struct field *f, const struct field_location *l);
	void (*object)(struct visitor *v, const struct field *f);
	void (*object_end)(struct visitor *v);
	void (*list)(struct visitor *v, const struct field *f, unsigned int count);
	void (*list_end)(struct visitor *v);
};

/* @shows: bits of enum field_show. A visitor embeds this as its first member. */
struct visitor {
	const struct visitor_ops *ops;
	unsigned int shows;
};

/* ---- stating a field ---- */

/* Asked before each call, so that a hidden field costs one comparison. */
static inline bool field_shown(const struct visitor *v, const struct field *f)
{
	return v->shows & f->show;
}

static inline void field_null(struct visitor *v, const struct field *f)
{
	if (field_shown(v, f))
		v->ops->null(v, f);
}

static inline void field_u64(struct visitor *v, const struct field *f, uint64_t value)
{
	if (field_shown(v, f))
		v->ops->u64(v, f, value);
}

/* Null unless @known. */
static inline void field_u64_if(struct visitor *v, const struct field *f, bool known, uint64_t value)
{
	if (!known)
		field_null(v, f);
	else
		field_u64(v, f, value);
}

static inline void field_s64_if(struct visitor *v, const struct field *f, bool known, int64_t value)
{
	if (!known)
		field_null(v, f);
	else if (field_shown(v, f))
		v->ops->s64(v, f, value);
}

/* An address or the like: 0x1f, in JSON as a string. 0 is null. */
static inline void field_hex(struct visitor *v, const struct field *f, uint64_t value)
{
	if (!value)
		field_null(v, f);
	else if (field_shown(v, f))
		v->ops->hex(v, f, value);
}

/* A time span in microseconds; JSON: the number; text: milliseconds with three decimals, "12.345ms". */
static inline void field_us_if(struct visitor *v, const struct field *f, bool known, uint64_t us)
{
	if (!known)
		field_null(v, f);
	else if (field_shown(v, f))
		v->ops->us(v, f, us);
}

/* So much of @whole. JSON: the number; text: "1448/2896". */
static inline void field_share(struct visitor *v, const struct field *f, uint64_t value, uint64_t whole)
{
	if (field_shown(v, f))
		v->ops->share(v, f, value, whole);
}

static inline void field_bool(struct visitor *v, const struct field *f, bool value)
{
	if (field_shown(v, f))
		v->ops->boolean(v, f, value);
}

/* Null unless @known. */
static inline void field_bool_if(struct visitor *v, const struct field *f, bool known, bool value)
{
	if (!known)
		field_null(v, f);
	else
		field_bool(v, f, value);
}

/* A word of a closed list of ours, printed as it is; NULL is null. */
static inline void field_name(struct visitor *v, const struct field *f,
			      const char *word, enum field_tone tone)
{
	if (!word)
		field_null(v, f);
	else if (field_shown(v, f))
		v->ops->name(v, f, word, tone);
}

/* Text from outside: up to a NUL or @max bytes, escaped. */
static inline void field_string(struct visitor *v, const struct field *f, const char *s, size_t max)
{
	if (field_shown(v, f))
		v->ops->string(v, f, s, max);
}

/* The same, null unless @known. */
static inline void field_string_if(struct visitor *v, const struct field *f,
				   bool known, const char *s, size_t max)
{
	if (!known)
		field_null(v, f);
	else
		field_string(v, f, s, max);
}

/* Words of ours for people, in text between double quotes: only for what ends the line. */
static inline void field_sentence(struct visitor *v, const struct field *f, const char *s)
{
	if (field_shown(v, f))
		v->ops->sentence(v, f, s);
}

static inline void field_address(struct visitor *v, const struct field *f,
				 const uint8_t addr[16], int ip_version)
{
	if (field_shown(v, f))
		v->ops->address(v, f, addr, ip_version);
}

/* Null unless @known. */
static inline void field_address_if(struct visitor *v, const struct field *f, bool known, const uint8_t addr[16],
				    int ip_version)
{
	if (!known)
		field_null(v, f);
	else
		field_address(v, f, addr, ip_version);
}

/* CLOCK_REALTIME in ns, as RFC 3339 in UTC. */
static inline void field_time(struct visitor *v, const struct field *f, uint64_t wall_ns)
{
	if (field_shown(v, f))
		v->ops->time(v, f, wall_ns);
}

/*
 * JSON "symbol+0xoff" or "symbol+0xoff [module]", text without the space; "0xaddress" if not resolved, null if
 * there is no address either.
 */
static inline void field_location(struct visitor *v, const struct field *f, const struct field_location *l)
{
	if (!l->symbol[0] && !l->address)
		field_null(v, f);
	else if (field_shown(v, f))
		v->ops->location(v, f, l);
}

/*
 * Begins an object (a word or an element). True: state its members, then field_object_end(). False: it is
 * null (unless @known) or not shown, and so are they; no end.
 */
static inline bool field_object(struct visitor *v, const struct field *f, bool known)
{
	if (!field_shown(v, f))
		return false;
	if (!known) {
		v->ops->null(v, f);
		return false;
	}
	v->ops->object(v, f);
	return true;
}

static inline void field_object_end(struct visitor *v)
{
	v->ops->object_end(v);
}

/* Begins a list of @count elements, all stated as FIELD_ELEMENT; else like field_object(). */
static inline bool field_list(struct visitor *v, const struct field *f, bool known, unsigned int count)
{
	if (!field_shown(v, f))
		return false;
	if (!known) {
		v->ops->null(v, f);
		return false;
	}
	v->ops->list(v, f, count);
	return true;
}

static inline void field_list_end(struct visitor *v)
{
	v->ops->list_end(v);
}

/* ---- the visitors of this file ---- */

/*
 * Text. A line takes one walk through the fields, with -v two: first the words that are always there, then the
 * others, so that it is the line without -v and then more words. SHOW_LAST comes with the last walk.
 */
struct visitor_text {
	struct visitor v;
	struct strbuf *out;
	unsigned int parts; /* enum field_show bits of parts and notes within a shown object */
	unsigned int words; /* v.shows outside objects, while in one */
	unsigned int depth;
	bool first; /* of a list */
	bool color;
};

/* Appends to @out. @verbose: also what is SHOW_VERBOSE; its words need visitor_text_more() and another walk. */
void visitor_text_init(struct visitor_text *t, struct strbuf *out, bool verbose, bool color);
void visitor_text_more(struct visitor_text *t);

/* "symbol+0xoffset[module]" as in a line of text. */
void text_put_location(struct strbuf *b, const struct field_location *l);

/* JSON. The caller brackets the fields with json_begin() and json_end(): one object, no line break. */
struct visitor_json {
	struct visitor v;
	struct strbuf *out;
	bool first; /* no comma before the next member */
};

void visitor_json_init(struct visitor_json *j, struct strbuf *out);
void visitor_json_begin(struct visitor_json *j);
void visitor_json_end(struct visitor_json *j);

#endif
