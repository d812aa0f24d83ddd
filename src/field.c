// SPDX-License-Identifier: MIT
/* The text and JSON visitors (field.h). Each field is one look at the room that is left, and then written in one go. */
#include "field.h"

#include <string.h>

#include "util.h"

/* ---- text ---- */

static struct visitor_text *as_text(struct visitor *v)
{
	return (struct visitor_text *)v;
}

/* The lead, and room for a value of @max bytes and its tail. NULL: no memory. */
static inline char *text_begin(struct visitor *v, const struct field *f, size_t max)
{
	struct visitor_text *t = as_text(v);
	char *p = strbuf_room(t->out, FIELD_LEAD_MAX + max + 1);

	if (!p)
		return NULL;
	if (f->place == PLACE_ELEMENT && t->first) {
		t->first = false;
		return p;
	}
	memcpy(p, f->text, FIELD_LEAD_MAX);
	return p + f->text_len;
}

static inline void text_end(struct visitor *v, const struct field *f, char *p)
{
	if (f->place == PLACE_NOTE)
		*p++ = ')';
	strbuf_end(as_text(v)->out, p);
}

static void text_null(struct visitor *v, const struct field *f)
{
	char *p = f->place == PLACE_NOTE ? NULL : text_begin(v, f, 1);

	if (!p)
		return;
	*p++ = '-';
	text_end(v, f, p);
}

static void text_u64(struct visitor *v, const struct field *f, uint64_t value)
{
	char *p = text_begin(v, f, PUT_U64_MAX);

	if (p)
		text_end(v, f, put_u64(p, value));
}

static void text_s64(struct visitor *v, const struct field *f, int64_t value)
{
	char *p = text_begin(v, f, PUT_U64_MAX);

	if (p)
		text_end(v, f, put_s64(p, value));
}

static void text_hex(struct visitor *v, const struct field *f, uint64_t value)
{
	char *p = text_begin(v, f, PUT_HEX_MAX);

	if (p)
		text_end(v, f, put_hex(p, value));
}

static void text_us(struct visitor *v, const struct field *f, uint64_t us)
{
	char *p = text_begin(v, f, PUT_U64_MAX + 3);

	if (!p)
		return;
	p = put_u64(p, us / 1000);
	*p++ = '.';
	p = put_pad0(p, us % 1000, 3);
	text_end(v, f, put_bytes(p, "ms", 2));
}

static void text_share(struct visitor *v, const struct field *f, uint64_t value, uint64_t whole)
{
	char *p = text_begin(v, f, 2 * PUT_U64_MAX + 1);

	if (!p)
		return;
	p = put_u64(p, value);
	*p++ = '/';
	text_end(v, f, put_u64(p, whole));
}

static void text_boolean(struct visitor *v, const struct field *f, bool value)
{
	char *p = text_begin(v, f, 3);

	if (p)
		text_end(v, f, value ? put_bytes(p, "yes", 3) : put_bytes(p, "no", 2));
}

/* Select graphic rendition (ECMA-48): magenta and bold red, which both a dark and a light terminal shows; not yellow. */
static const char *const tone_on[] = {
	[TONE_NONE] = "",
	[TONE_NOTICE] = "\033[35m",
	[TONE_BAD] = "\033[1;31m",
};
#define TONE_OFF "\033[0m"
#define TONE_MAX 16 /* of both */

static void text_name(struct visitor *v, const struct field *f, const char *word, enum field_tone tone)
{
	bool color = as_text(v)->color && tone != TONE_NONE;
	size_t len = strlen(word) - f->strip;
	char *p = text_begin(v, f, len + TONE_MAX);

	if (!p)
		return;
	if (color)
		p = put_str(p, tone_on[tone]);
	p = put_bytes(p, word + f->strip, len);
	if (color)
		p = put_str(p, TONE_OFF);
	text_end(v, f, p);
}

static void text_string(struct visitor *v, const struct field *f, const char *s, size_t max)
{
	size_t len = strnlen(s, max);
	char *p = text_begin(v, f, 2 + PUT_ESCAPED_MAX(len));

	if (p)
		text_end(v, f, len ? put_escaped(p, s, len, true) : put_bytes(p, "\"\"", 2));
}

static void text_sentence(struct visitor *v, const struct field *f, const char *s)
{
	size_t len = strlen(s), part;
	char *p = text_begin(v, f, 2 + PUT_ESCAPED_MAX(len));

	if (!p)
		return;
	*p++ = '"';
	for (;; s += part + 1) {
		part = strcspn(s, "\"");
		p = put_escaped(p, s, part, false);
		if (!s[part])
			break;
		*p++ = '\''; /* the quotes around it are the only ones */
	}
	*p++ = '"';
	text_end(v, f, p);
}

static void text_address(struct visitor *v, const struct field *f, const uint8_t addr[16], int ip_version)
{
	char *p = text_begin(v, f, PUT_ADDR_MAX);

	if (p)
		text_end(v, f, put_addr(p, addr, ip_version));
}

static void text_time(struct visitor *v, const struct field *f, uint64_t wall_ns)
{
	char *p = text_begin(v, f, PUT_RFC3339_MAX);

	if (p)
		text_end(v, f, put_rfc3339(p, wall_ns));
}

/* What a location takes beside its two names. */
#define LOCATION_MAX (PUT_HEX_MAX + sizeof("+ []"))

static char *put_text_location(char *p, const struct field_location *l, size_t symbol_len, size_t module_len)
{
	if (!symbol_len)
		return put_hex(p, l->address);
	p = put_escaped(p, l->symbol, symbol_len, true);
	*p++ = '+';
	p = put_hex(p, l->offset);
	if (!module_len)
		return p;
	*p++ = '[';
	p = put_escaped(p, l->module, module_len, true);
	*p++ = ']';
	return p;
}

void text_put_location(struct strbuf *b, const struct field_location *l)
{
	size_t symbol_len = strnlen(l->symbol, l->max), module_len = strnlen(l->module, l->max);
	char *p = strbuf_room(b, LOCATION_MAX + PUT_ESCAPED_MAX(symbol_len + module_len));

	if (p)
		strbuf_end(b, put_text_location(p, l, symbol_len, module_len));
}

static void text_location(struct visitor *v, const struct field *f, const struct field_location *l)
{
	size_t symbol_len = strnlen(l->symbol, l->max), module_len = strnlen(l->module, l->max);
	char *p = text_begin(v, f, LOCATION_MAX + PUT_ESCAPED_MAX(symbol_len + module_len));

	if (p)
		text_end(v, f, put_text_location(p, l, symbol_len, module_len));
}

/* Within an object or list all wanted parts show, whatever level the walk is at. */
static void text_enter(struct visitor_text *t)
{
	if (!t->depth++) {
		t->words = t->v.shows;
		t->v.shows = t->parts;
	}
}

static void text_leave(struct visitor *v)
{
	struct visitor_text *t = as_text(v);

	if (!--t->depth)
		t->v.shows = t->words;
}

static void text_object(struct visitor *v, const struct field *f)
{
	char *p = text_begin(v, f, 0);

	if (p)
		strbuf_end(as_text(v)->out, p);
	text_enter(as_text(v));
}

static void text_list(struct visitor *v, const struct field *f, unsigned int count)
{
	char *p = text_begin(v, f, 4);

	if (p)
		strbuf_end(as_text(v)->out, count ? p : put_bytes(p, "none", 4));
	as_text(v)->first = true;
	text_enter(as_text(v));
}

static const struct visitor_ops text_ops = {
	.null = text_null,
	.u64 = text_u64,
	.s64 = text_s64,
	.hex = text_hex,
	.us = text_us,
	.share = text_share,
	.boolean = text_boolean,
	.name = text_name,
	.string = text_string,
	.sentence = text_sentence,
	.address = text_address,
	.time = text_time,
	.location = text_location,
	.object = text_object,
	.object_end = text_leave,
	.list = text_list,
	.list_end = text_leave,
};

void visitor_text_init(struct visitor_text *t, struct strbuf *out, bool verbose, bool color)
{
	*t = (struct visitor_text){
		.v = { .ops = &text_ops, .shows = verbose ? SHOW_ALWAYS : SHOW_ALWAYS | SHOW_LAST },
		.out = out,
		.parts = verbose ? SHOW_ALWAYS | SHOW_VERBOSE : SHOW_ALWAYS,
		.color = color,
	};
}

void visitor_text_more(struct visitor_text *t)
{
	t->v.shows = SHOW_VERBOSE | SHOW_LAST;
}

/* ---- JSON ---- */

static struct visitor_json *as_json(struct visitor *v)
{
	return (struct visitor_json *)v;
}

/* The key, and room for a value of @max bytes. NULL: no memory. */
static inline char *json_begin(struct visitor *v, const struct field *f, size_t max)
{
	struct visitor_json *j = as_json(v);
	char *p = strbuf_room(j->out, 1 + FIELD_LEAD_MAX + max);

	if (!p)
		return NULL;
	*p = ',';
	p += !j->first;
	j->first = false;
	memcpy(p, f->json, FIELD_LEAD_MAX);
	return p + f->json_len;
}

static inline void json_end(struct visitor *v, char *p)
{
	strbuf_end(as_json(v)->out, p);
}

/* The end of a string that began with a quote. */
static inline void json_end_quoted(struct visitor *v, char *p)
{
	*p++ = '"';
	json_end(v, p);
}

/* The beginning of a string of @max bytes. */
static inline char *json_begin_quoted(struct visitor *v, const struct field *f, size_t max)
{
	char *p = json_begin(v, f, max + 2);

	if (!p)
		return NULL;
	*p++ = '"';
	return p;
}

static void json_null(struct visitor *v, const struct field *f)
{
	char *p = json_begin(v, f, 4);

	if (p)
		json_end(v, put_bytes(p, "null", 4));
}

static void json_u64(struct visitor *v, const struct field *f, uint64_t value)
{
	char *p = json_begin(v, f, PUT_U64_MAX);

	if (p)
		json_end(v, put_u64(p, value));
}

static void json_s64(struct visitor *v, const struct field *f, int64_t value)
{
	char *p = json_begin(v, f, PUT_U64_MAX);

	if (p)
		json_end(v, put_s64(p, value));
}

static void json_hex(struct visitor *v, const struct field *f, uint64_t value)
{
	char *p = json_begin_quoted(v, f, PUT_HEX_MAX);

	if (p)
		json_end_quoted(v, put_hex(p, value));
}

static void json_share(struct visitor *v, const struct field *f, uint64_t value, uint64_t whole)
{
	(void)whole;
	json_u64(v, f, value);
}

static void json_boolean(struct visitor *v, const struct field *f, bool value)
{
	char *p = json_begin(v, f, 5);

	if (p)
		json_end(v, value ? put_bytes(p, "true", 4) : put_bytes(p, "false", 5));
}

static void json_name(struct visitor *v, const struct field *f, const char *word, enum field_tone tone)
{
	size_t len = strlen(word);
	char *p = json_begin_quoted(v, f, len);

	(void)tone;
	if (p)
		json_end_quoted(v, put_bytes(p, word, len));
}

/* Valid JSON whatever the bytes are, since only ASCII comes out (how the others look: field.h). */
static void json_string(struct visitor *v, const struct field *f, const char *s, size_t max)
{
	size_t len = strnlen(s, max);
	char *p = json_begin_quoted(v, f, PUT_JSON_MAX(len));

	if (p)
		json_end_quoted(v, put_json(p, s, len));
}

static void json_sentence(struct visitor *v, const struct field *f, const char *s)
{
	json_string(v, f, s, SIZE_MAX);
}

static void json_address(struct visitor *v, const struct field *f, const uint8_t addr[16], int ip_version)
{
	char *p = json_begin_quoted(v, f, PUT_ADDR_MAX);

	if (p)
		json_end_quoted(v, put_addr(p, addr, ip_version));
}

static void json_time(struct visitor *v, const struct field *f, uint64_t wall_ns)
{
	char *p = json_begin_quoted(v, f, PUT_RFC3339_MAX);

	if (p)
		json_end_quoted(v, put_rfc3339(p, wall_ns));
}

static void json_location(struct visitor *v, const struct field *f, const struct field_location *l)
{
	size_t symbol_len = strnlen(l->symbol, l->max), module_len = strnlen(l->module, l->max);
	char *p = json_begin_quoted(v, f, LOCATION_MAX + PUT_JSON_MAX(symbol_len + module_len));

	if (!p)
		return;
	if (!symbol_len) {
		json_end_quoted(v, put_hex(p, l->address));
		return;
	}
	p = put_json(p, l->symbol, symbol_len);
	*p++ = '+';
	p = put_hex(p, l->offset);
	if (module_len) {
		p = put_bytes(p, " [", 2);
		p = put_json(p, l->module, module_len);
		*p++ = ']';
	}
	json_end_quoted(v, p);
}

static void json_open(struct visitor *v, const struct field *f, char bracket)
{
	char *p = json_begin(v, f, 1);

	if (p) {
		*p++ = bracket;
		json_end(v, p);
	}
	as_json(v)->first = true;
}

static void json_close(struct visitor *v, char bracket)
{
	strbuf_char(as_json(v)->out, bracket);
	as_json(v)->first = false;
}

static void json_object(struct visitor *v, const struct field *f)
{
	json_open(v, f, '{');
}

static void json_object_end(struct visitor *v)
{
	json_close(v, '}');
}

static void json_list(struct visitor *v, const struct field *f, unsigned int count)
{
	(void)count;
	json_open(v, f, '[');
}

static void json_list_end(struct visitor *v)
{
	json_close(v, ']');
}

static const struct visitor_ops json_ops = {
	.null = json_null,
	.u64 = json_u64,
	.s64 = json_s64,
	.hex = json_hex,
	.us = json_u64,
	.share = json_share,
	.boolean = json_boolean,
	.name = json_name,
	.string = json_string,
	.sentence = json_sentence,
	.address = json_address,
	.time = json_time,
	.location = json_location,
	.object = json_object,
	.object_end = json_object_end,
	.list = json_list,
	.list_end = json_list_end,
};

void visitor_json_init(struct visitor_json *j, struct strbuf *out)
{
	*j = (struct visitor_json){
		.v = { .ops = &json_ops, .shows = SHOW_ALWAYS | SHOW_VERBOSE | SHOW_NEVER | SHOW_LAST },
		.out = out,
	};
}

void visitor_json_begin(struct visitor_json *j)
{
	strbuf_char(j->out, '{');
	j->first = true;
}

void visitor_json_end(struct visitor_json *j)
{
	json_object_end(&j->v);
}
