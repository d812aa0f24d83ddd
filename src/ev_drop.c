// SPDX-License-Identifier: MIT
#include "event.h"
#include "field.h"

static void drop_fields(const struct event *e, struct visitor *v)
{
	event_fields(e, v);
	event_common_fields(&e->drop.c, v);
}

static void drop_head(const struct event *e, struct strbuf *out, bool utc)
{
	event_common_head(e, &e->drop.c, out, utc);
}

const struct event_ops event_ops_drop = { .fields = drop_fields, .head = drop_head };
