// SPDX-License-Identifier: MIT
#include "decode.h"

#include <errno.h>
#include <string.h>

#include "util.h"

static const struct {
	const char *name;
	size_t size;
} kinds[REC_KIND_COUNT] = {
#define X(NAME, payload, ring) [REC_##NAME] = { #NAME, sizeof(struct payload) },
	RECORD_KINDS(X)
#undef X
};

const char *record_kind_name(unsigned int kind)
{
	return kind < REC_KIND_COUNT && kinds[kind].name ? kinds[kind].name : "unknown";
}

#define TERMINATE(array) ((array)[sizeof(array) - 1] = '\0')

/* The texts of a record that may come from a file: each ends within its array. */
static void terminate_texts(union record *r)
{
	switch (r->h.kind) {
	case REC_RTX_ENTRY:
		TERMINATE(r->rec_rtx_entry.owner.comm);
		TERMINATE(r->rec_rtx_entry.task.comm);
		break;
	case REC_RTX_TC:
		TERMINATE(r->rec_rtx_tc.c.ifname);
		break;
	case REC_RTX_DROP:
		TERMINATE(r->rec_rtx_drop.c.ifname);
		break;
	case REC_HOST:
		TERMINATE(r->rec_host.release);
		TERMINATE(r->rec_host.version);
		break;
	case REC_SYMBOL:
		TERMINATE(r->rec_symbol.name);
		TERMINATE(r->rec_symbol.module);
		break;
	case REC_REASON:
		TERMINATE(r->rec_reason.name);
		break;
	case REC_OWNER:
		TERMINATE(r->rec_owner_found.owner.comm);
		break;
	case REC_DROP:
		TERMINATE(r->rec_drop.owner.comm);
		TERMINATE(r->rec_drop.task.comm);
		TERMINATE(r->rec_drop.ifname);
		break;
	case REC_SPURIOUS:
		TERMINATE(r->rec_spurious.owner.comm);
		break;
	case REC_CONNECT:
		TERMINATE(r->rec_connect.owner.comm);
		TERMINATE(r->rec_connect.task.comm);
		break;
	case REC_LINK:
		TERMINATE(r->rec_link.ifname);
		break;
	case REC_SOCKET:
		TERMINATE(r->rec_socket.owner.comm);
		break;
	}
}

int decode_record(union record *out, const void *data, size_t size)
{
	struct rec_header h;
	size_t known;

	if (size < sizeof(h))
		return -EBADMSG;
	memcpy(&h, data, sizeof(h));
	if (h.size != size || h.kind == REC_NONE || h.kind >= REC_KIND_COUNT)
		return -EBADMSG;
	known = kinds[h.kind].size;
	memcpy(out, data, size < known ? size : known);
	if (size < known)
		memset((char *)out + size, 0, known - size);
	terminate_texts(out);
	return 0;
}
