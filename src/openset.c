// SPDX-License-Identifier: MIT
#include "openset.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096 /* a power of two */

struct open_list {
	struct open *oldest, *newest;
};

struct openset {
	struct open *bucket[BUCKETS];
	struct open *pool, *free;
	unsigned int pool_used, pool_size; /* memory is touched only as it is needed */
	struct open_list open, finished;
};

struct openset *openset_new(unsigned int max)
{
	struct openset *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->pool = calloc(max, sizeof(*s->pool));
	s->pool_size = max;
	if (!s->pool) {
		free(s);
		return NULL;
	}
	return s;
}

void openset_free(struct openset *s)
{
	if (!s)
		return;
	free(s->pool);
	free(s);
}

static struct open **bucket_of(struct openset *s, uint64_t sk)
{
	return &s->bucket[(sk * 0x9e3779b97f4a7c15ULL >> 32) & (BUCKETS - 1)];
}

static void list_add(struct open_list *l, struct open *o)
{
	o->newer = NULL;
	o->older = l->newest;
	*(l->newest ? &l->newest->newer : &l->oldest) = o;
	l->newest = o;
}

static void list_remove(struct open_list *l, struct open *o)
{
	*(o->newer ? &o->newer->older : &l->newest) = o->older;
	*(o->older ? &o->older->newer : &l->oldest) = o->newer;
}

static void release(struct openset *s, struct open *o)
{
	o->next = s->free;
	s->free = o;
}

struct open *openset_find(struct openset *s, uint64_t sk)
{
	struct open *o = *bucket_of(s, sk);

	while (o && o->a.sk != sk)
		o = o->next;
	return o;
}

struct open *openset_begin(struct openset *s, uint64_t sk, uint64_t skb, uint64_t ts_ns)
{
	struct open *o;

	if (!s->free && s->pool_used < s->pool_size)
		release(s, &s->pool[s->pool_used++]);
	o = s->free;
	if (!o)
		return NULL;
	s->free = o->next;
	memset(&o->a, 0, offsetof(struct attempt, hop));
	o->a.sk = sk;
	o->a.skb = skb;
	o->a.begin_ns = ts_ns;
	o->next = *bucket_of(s, sk);
	*bucket_of(s, sk) = o;
	list_add(&s->open, o);
	return o;
}

/* Out of the open ones: it belongs to nobody then. */
static void take(struct openset *s, struct open *o)
{
	struct open **p = bucket_of(s, o->a.sk);

	while (*p != o)
		p = &(*p)->next;
	*p = o->next;
	list_remove(&s->open, o);
}

void openset_finish(struct openset *s, struct open *o)
{
	take(s, o);
	list_add(&s->finished, o);
}

void openset_drop(struct openset *s, struct open *o)
{
	take(s, o);
	release(s, o);
}

void openset_drop_finished(struct openset *s, struct open *o)
{
	list_remove(&s->finished, o);
	release(s, o);
}

struct open *openset_oldest(const struct openset *s)
{
	return s->open.oldest;
}

struct open *openset_oldest_finished(const struct openset *s)
{
	return s->finished.oldest;
}
