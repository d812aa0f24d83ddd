// SPDX-License-Identifier: MIT
/* The text and JSON visitors (field.h). */
#include "field.h"

#include <string.h>

#include "util.h"

/* ---- what both share ---- */

/*
 * "symbol+0xoff" and the module after @gap; the address where there is no symbol. The strings have passed no
 * check: @quote escapes them.
 */
static void put_location(struct strbuf *b, const struct field_location *l, const char *gap,
			 void (*quote)(struct strbuf *b, const char *s, size_t max))
{
	if (!l->symbol[0]) {
		strbuf_hex(b, l->address);
		return;
	}
	quote(b, l->symbol, l->max);
	strbuf_char(b, '+');
	strbuf_hex(b, l->offset);
	if (l->module[0]) {
		strbuf_str(b, gap);
		strbuf_char(b, '[');
		quote(b, l->module, l->max);
		strbuf_char(b, ']');
	}
}

static void put_lead(struct strbuf *b, const char lead[FIELD_LEAD_MAX], size_t len)
{
	char *p = strbuf_room(b, FIELD_LEAD_MAX);

	if (!p)
		return;
	memcpy(p, lead, FIELD_LEAD_MAX);
	strbuf_end(b, p + len);
}

/* ---- text ---- */

static struct visitor_text *as_text(struct visitor *v)
{
	return (struct visitor_text *)v;
}

static struct strbuf *text_lead(struct visitor *v, const struct field *f)
{
	struct visitor_text *t = as_text(v);

	if (f->place == PLACE_ELEMENT && t->first)
		t->first = false;
	else
		put_lead(t->out, f->text, f->text_len);
	return t->out;
}

static void text_tail(struct strbuf *b, const struct field *f)
{
	if (f->place == PLACE_NOTE)
		strbuf_char(b, ')');
}

static void text_null(struct visitor *v, const struct field *f)
{
	if (f->place != PLACE_NOTE)
		strbuf_char(text_lead(v, f), '-');
}

static void text_u64(struct visitor *v, const struct field *f, uint64_t value)
{
	struct strbuf *b = text_lead(v, f);

	strbuf_u64(b, value);
	text_tail(b, f);
}

static void text_s64(struct visitor *v, const struct field *f, int64_t value)
{
	struct strbuf *b = text_lead(v, f);

	strbuf_s64(b, value);
	text_tail(b, f);
}

static void text_hex(struct visitor *v, const struct field *f, uint64_t value)
{
	struct strbuf *b = text_lead(v, f);

	strbuf_hex(b, value);
	text_tail(b, f);
}

static void text_us(struct visitor *v, const struct field *f, uint64_t us)
{
	struct strbuf *b = text_lead(v, f);

	strbuf_u64(b, us / 1000);
	strbuf_char(b, '.');
	strbuf_pad0(b, us % 1000, 3);
	strbuf_add(b, "ms", 2);
	text_tail(b, f);
}

static void text_share(struct visitor *v, const struct field *f, uint64_t value, uint64_t whole)
{
	struct strbuf *b = text_lead(v, f);

	strbuf_u64(b, value);
	strbuf_char(b, '/');
	strbuf_u64(b, whole);
	text_tail(b, f);
}

static void text_boolean(struct visitor *v, const struct field *f, bool value)
{
	struct strbuf *b = text_lead(v, f);

	strbuf_str(b, value ? "yes" : "no");
	text_tail(b, f);
}

static void text_name(struct visitor *v, const struct field *f, const char *word, enum field_tone tone)
{
	/* Select graphic rendition (ECMA-48): magenta and bold red, which both a dark and a light terminal shows; not yellow. */
	static const char *const on[] = {
		[TONE_NONE] = "",
		[TONE_NOTICE] = "\033[35m",
		[TONE_BAD] = "\033[1;31m",
	};
	struct strbuf *b = text_lead(v, f);
	bool color = as_text(v)->color && tone != TONE_NONE;

	if (color)
		strbuf_str(b, on[tone]);
	strbuf_str(b, word + f->strip);
	if (color)
		strbuf_str(b, "\033[0m");
	text_tail(b, f);
}

static void text_quote(struct strbuf *b, const char *s, size_t max)
{
	strbuf_escaped(b, s, max, true);
}

static void text_string(struct visitor *v, const struct field *f, const char *s, size_t max)
{
	struct strbuf *b = text_lead(v, f);

	if (max && s[0])
		text_quote(b, s, max);
	else
		strbuf_add(b, "\"\"", 2);
	text_tail(b, f);
}

static void text_sentence(struct visitor *v, const struct field *f, const char *s)
{
	struct strbuf *b = text_lead(v, f);
	size_t len;

	strbuf_char(b, '"');
	for (;; s += len + 1) {
		len = strcspn(s, "\"");
		strbuf_escaped(b, s, len, false);
		if (!s[len])
			break;
		strbuf_char(b, '\''); /* the quotes around it are the only ones */
	}
	strbuf_char(b, '"');
	text_tail(b, f);
}

static void text_address(struct visitor *v, const struct field *f, const uint8_t addr[16], int ip_version)
{
	struct strbuf *b = text_lead(v, f);

	strbuf_addr(b, addr, ip_version);
	text_tail(b, f);
}

static void text_time(struct visitor *v, const struct field *f, uint64_t wall_ns)
{
	struct strbuf *b = text_lead(v, f);

	strbuf_rfc3339(b, wall_ns);
	text_tail(b, f);
}

void text_put_location(struct strbuf *b, const struct field_location *l)
{
	put_location(b, l, "", text_quote);
}

static void text_location(struct visitor *v, const struct field *f, const struct field_location *l)
{
	struct strbuf *b = text_lead(v, f);

	text_put_location(b, l);
	text_tail(b, f);
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
	text_lead(v, f);
	text_enter(as_text(v));
}

static void text_list(struct visitor *v, const struct field *f, unsigned int count)
{
	struct strbuf *b = text_lead(v, f);

	if (!count)
		strbuf_add(b, "none", 4);
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

static struct strbuf *json_key(struct visitor *v, const struct field *f)
{
	struct visitor_json *j = as_json(v);

	if (!j->first)
		strbuf_char(j->out, ',');
	put_lead(j->out, f->json, f->json_len);
	j->first = false;
	return j->out;
}

/*
 * The inside of a string, from bytes of any kind. Valid JSON whatever they are, since only ASCII comes out
 * (how the others look: field.h).
 */
static void json_quote(struct strbuf *b, const char *s, size_t max)
{
	static const char digits[] = "0123456789abcdef";
	char esc[6] = { '\\', 'u', '0', '0' };
	size_t i, from = 0;

	for (i = 0; i < max && s[i]; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
			continue;
		strbuf_add(b, s + from, i - from);
		from = i + 1;
		if (c == '"' || c == '\\') {
			strbuf_char(b, '\\');
			strbuf_char(b, (char)c);
		} else {
			esc[4] = digits[c >> 4];
			esc[5] = digits[c & 15];
			strbuf_add(b, esc, sizeof(esc));
		}
	}
	strbuf_add(b, s + from, i - from);
}

static void json_null(struct visitor *v, const struct field *f)
{
	strbuf_add(json_key(v, f), "null", 4);
}

static void json_u64(struct visitor *v, const struct field *f, uint64_t value)
{
	strbuf_u64(json_key(v, f), value);
}

static void json_s64(struct visitor *v, const struct field *f, int64_t value)
{
	strbuf_s64(json_key(v, f), value);
}

static void json_hex(struct visitor *v, const struct field *f, uint64_t value)
{
	struct strbuf *b = json_key(v, f);

	strbuf_char(b, '"');
	strbuf_hex(b, value);
	strbuf_char(b, '"');
}

static void json_share(struct visitor *v, const struct field *f, uint64_t value, uint64_t whole)
{
	(void)whole;
	json_u64(v, f, value);
}

static void json_boolean(struct visitor *v, const struct field *f, bool value)
{
	strbuf_str(json_key(v, f), value ? "true" : "false");
}

static void json_name(struct visitor *v, const struct field *f, const char *word, enum field_tone tone)
{
	struct strbuf *b = json_key(v, f);

	(void)tone;
	strbuf_char(b, '"');
	strbuf_str(b, word);
	strbuf_char(b, '"');
}

static void json_string(struct visitor *v, const struct field *f, const char *s, size_t max)
{
	struct strbuf *b = json_key(v, f);

	strbuf_char(b, '"');
	json_quote(b, s, max);
	strbuf_char(b, '"');
}

static void json_sentence(struct visitor *v, const struct field *f, const char *s)
{
	json_string(v, f, s, strlen(s));
}

static void json_address(struct visitor *v, const struct field *f, const uint8_t addr[16], int ip_version)
{
	struct strbuf *b = json_key(v, f);

	strbuf_char(b, '"');
	strbuf_addr(b, addr, ip_version);
	strbuf_char(b, '"');
}

static void json_time(struct visitor *v, const struct field *f, uint64_t wall_ns)
{
	struct strbuf *b = json_key(v, f);

	strbuf_char(b, '"');
	strbuf_rfc3339(b, wall_ns);
	strbuf_char(b, '"');
}

static void json_location(struct visitor *v, const struct field *f, const struct field_location *l)
{
	struct strbuf *b = json_key(v, f);

	strbuf_char(b, '"');
	put_location(b, l, " ", json_quote);
	strbuf_char(b, '"');
}

static void json_object(struct visitor *v, const struct field *f)
{
	strbuf_char(json_key(v, f), '{');
	as_json(v)->first = true;
}

static void json_object_end(struct visitor *v)
{
	strbuf_char(as_json(v)->out, '}');
	as_json(v)->first = false;
}

static void json_list(struct visitor *v, const struct field *f, unsigned int count)
{
	(void)count;
	strbuf_char(json_key(v, f), '[');
	as_json(v)->first = true;
}

static void json_list_end(struct visitor *v)
{
	strbuf_char(as_json(v)->out, ']');
	as_json(v)->first = false;
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
