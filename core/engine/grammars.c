#include "engine/grammars.h"

#include <stdlib.h>
#include <string.h>

struct compiled {
	compiled *next;
	grammar *g;
	token_mask *mask;
	grammar_ask ask; /* text and lead.after are copies, in `words`, and so are the marks */
	char *words;
	int32_t marks[SN_MAX_SHOWN];
	size_t bytes, kept; /* program and text; idle: states and pieces */
	uint32_t refs;
};

void grammars_init(grammars *s)
{
	*s = (grammars){0};
	pthread_mutex_init(&s->lock, NULL);
	atomic_init(&s->limit, TOKEN_MASK_MEMORY);
}

static void compiled_close(compiled *c)
{
	token_mask_close(&c->mask);
	grammar_close(&c->g);
	free(c->words);
	free(c);
}

void grammars_fini(grammars *s)
{
	while (s->all) {
		compiled *c = s->all;
		s->all = c->next;
		compiled_close(c);
	}
	pthread_mutex_destroy(&s->lock);
}

token_mask *compiled_mask(compiled *c)
{
	return c->mask;
}

static bool begins(token_mask *m, sn_error *err)
{
	mask_place start = {0};
	size_t patience = SIZE_MAX;
	bool again;
	token_mask_catch_up(m, &start, 0);
	return token_mask_fill(m, &start, NULL, 0, &patience, &again, err) == SN_OK;
}

static sn_status compile(const grammar_ask *ask, compiled **out, sn_error *err)
{
	compiled *c = calloc(1, sizeof *c);
	sn_status st = c && (c->words = malloc(ask->text.n + ask->lead.after.n + 1)) ? SN_OK : error_set(err, SN_ERR_NOMEM, "no memory for a grammar");
	if (st == SN_OK && ask->trie->n_ends == 0)
		st = error_set(err, SN_ERR_UNSUPPORTED, "the model's vocabulary has no token that ends an answer");
	if (st == SN_OK)
		st = grammar_open_behind(&c->g, ask->text, &ask->lead, err);
	if (st == SN_OK)
		st = token_mask_open(&c->mask, c->g, ask->trie, TOKEN_MASK_MEMORY, err);
	if (st == SN_OK && ask->marks.n) {
		memcpy(c->marks, ask->marks.tokens, ask->marks.n * sizeof *c->marks);
		token_mask_show(c->mask, (mark_set){c->marks, ask->marks.n, ask->marks.strict});
	}
	sn_error why = {0};
	if (st == SN_OK && !begins(c->mask, &why))
		st = error_set(err, why.status, "%s", why.text);
	*out = NULL;
	if (st != SN_OK) {
		if (c)
			compiled_close(c);
		return st;
	}
	memcpy(c->words, ask->text.p, ask->text.n);
	if (ask->lead.after.n)
		memcpy(c->words + ask->text.n, ask->lead.after.p, ask->lead.after.n);
	c->ask = *ask;
	c->ask.text.p = c->words;
	c->ask.marks.tokens = c->marks;
	c->ask.lead.after.p = c->words + ask->text.n;
	c->bytes = sizeof *c + ask->text.n + ask->lead.after.n + grammar_bytes(c->g);
	*out = c;
	return SN_OK;
}

static bool same(const grammar_ask *a, const grammar_ask *b)
{
	return a->trie == b->trie && a->lead.may_end == b->lead.may_end && str_eq(a->text, b->text) && str_eq(a->lead.after, b->lead.after) &&
	       a->marks.n == b->marks.n && a->marks.strict == b->marks.strict &&
	       (!a->marks.n || memcmp(a->marks.tokens, b->marks.tokens, a->marks.n * sizeof *a->marks.tokens) == 0) &&
	       memcmp(&a->salt, &b->salt, sizeof a->salt) == 0;
}

/* ---- the list; under the lock ---- */

static void set_limit(grammars *s)
{
	size_t each = GRAMMARS_BYTES / (s->n > s->n_idle ? s->n - s->n_idle : 1);
	atomic_store(&s->limit, each < TOKEN_MASK_MEMORY ? each : TOKEN_MASK_MEMORY);
}

/* Found, it moves to the front and is taken. */
static compiled *find(grammars *s, const grammar_ask *ask)
{
	for (compiled **at = &s->all; *at; at = &(*at)->next)
		if (same(&(*at)->ask, ask)) {
			compiled *c = *at;
			*at = c->next;
			c->next = s->all;
			s->all = c;
			if (c->refs++ == 0) {
				s->n_idle--;
				s->idle_bytes -= c->kept;
			}
			set_limit(s);
			return c;
		}
	return NULL;
}

/* Takes those out that nobody is under, the least used first, until there is room; *out: them. */
static void make_room(grammars *s, size_t bytes, compiled **out)
{
	while (s->n_idle && (s->n_idle > GRAMMARS_IDLE || s->idle_bytes > GRAMMARS_BYTES || s->bytes + bytes > GRAMMARS_BYTES)) {
		compiled **last = NULL;
		for (compiled **at = &s->all; *at; at = &(*at)->next)
			if ((*at)->refs == 0)
				last = at;
		compiled *c = *last;
		*last = c->next;
		s->n--;
		s->n_idle--;
		s->bytes -= c->bytes;
		s->idle_bytes -= c->kept;
		c->next = *out;
		*out = c;
	}
	set_limit(s);
}

static void close_all(compiled *c)
{
	while (c) {
		compiled *next = c->next;
		compiled_close(c);
		c = next;
	}
}

sn_status grammars_take(grammars *s, const grammar_ask *ask, compiled **out, sn_error *err)
{
	compiled *mine, *gone = NULL;
	pthread_mutex_lock(&s->lock);
	*out = find(s, ask);
	pthread_mutex_unlock(&s->lock);
	if (*out)
		return SN_OK;
	sn_status st = compile(ask, &mine, err);
	if (st != SN_OK)
		return st;
	pthread_mutex_lock(&s->lock);
	*out = find(s, ask); /* somebody was faster */
	if (*out) {
		gone = mine;
	} else {
		make_room(s, mine->bytes, &gone);
		if (s->bytes + mine->bytes > GRAMMARS_BYTES) {
			st = error_set(err, SN_ERR_QUEUE_FULL, "the grammars of running requests take all their memory, try again later");
			mine->next = gone;
			gone = mine;
		} else {
			mine->refs = 1;
			mine->next = s->all;
			s->all = *out = mine;
			s->n++;
			s->bytes += mine->bytes;
			set_limit(s);
		}
	}
	pthread_mutex_unlock(&s->lock);
	close_all(gone);
	return st;
}

void grammars_give(grammars *s, compiled **c)
{
	compiled *gone = NULL;
	if (!*c)
		return;
	pthread_mutex_lock(&s->lock);
	if (--(*c)->refs == 0) { /* the engine thread has let go of its mask */
		if (token_mask_bytes((*c)->mask) > TOKEN_MASK_MEMORY)
			token_mask_forget((*c)->mask);
		(*c)->kept = token_mask_bytes((*c)->mask);
		s->idle_bytes += (*c)->kept;
		s->n_idle++;
	}
	make_room(s, 0, &gone);
	pthread_mutex_unlock(&s->lock);
	close_all(gone);
	*c = NULL;
}

size_t grammars_count(grammars *s)
{
	pthread_mutex_lock(&s->lock);
	size_t n = s->n;
	pthread_mutex_unlock(&s->lock);
	return n;
}

size_t grammars_bytes(grammars *s)
{
	pthread_mutex_lock(&s->lock);
	size_t n = s->bytes + s->idle_bytes;
	pthread_mutex_unlock(&s->lock);
	return n;
}
