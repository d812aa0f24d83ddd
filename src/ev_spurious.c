// SPDX-License-Identifier: MIT
#include "event.h"
#include "field.h"

static void spurious_fields(const struct event *e, struct visitor *v)
{
	event_fields(e, v);
	event_common_fields(&e->spurious.c, v);
}

static void spurious_head(const struct event *e, struct strbuf *out, bool utc)
{
	event_common_head(e, &e->spurious.c, out, utc);
}

const struct event_ops event_ops_spurious = { .fields = spurious_fields, .head = spurious_head };
