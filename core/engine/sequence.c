/* The sequences of a request, one for each choice: made over one prompt, and started so that the prompt is computed and held once.
 *
 *   choice 0   [ prompt's whole blocks ][ rest of the prompt ][ what it says ]
 *   choice 1            shared          [ rest of the prompt ][ what it says ]     computed again: less than a block
 *
 * The first live sequence computes the shared blocks (or has them from the prefix cache); its siblings wait for that and fork. It
 * stops once at their end, so that a fork finds just these rows, also where a window lets go of older ones. A preempted
 * choice comes back the same way. None of this changes a byte: a row's KV does not depend on who computed it. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/embed.h"

/* ---- making ---- */

static hash256 kv_root(const sn_request *r)
{
	hasher h;
	hash_begin(&h, &r->engine->key);
	hash_u64(&h, r->model->id);
	hash_u64(&h, r->model->m->kv.groups[0].type);
	hash_add(&h, &r->salt, sizeof r->salt);
	return hash_end(&h);
}

/* The most rows, at most n, that are whole blocks in every group and do not cut a span. */
static uint32_t whole_blocks(const kv_layout *kv, const seq_row *rows, uint32_t n)
{
	for (uint32_t before = n + 1; before != n;) {
		before = n;
		n = kv_whole_rows(kv, n);
		while (n && rows[n - 1].span_end > n)
			n--;
	}
	return n;
}

/* How many rows a sequence may grow to: each of them alone fits the pool, and the oldest is never preempted, so that none
 * that runs can fail for memory. */
static sn_status bound_rows(sn_request *r, uint32_t n_rows, uint32_t *max_rows, sn_error *err)
{
	const kv_layout *kv = &r->model->m->kv;
	uint32_t n_cross = r->model->m->h.n_cross, max_len = r->model->max_len, want = r->sampling.max_tokens;
	uint32_t total = page_pool_total(r->engine->pages);
	n_rows -= n_cross;
	if (n_rows == 0)
		return error_param(err, SN_ERR_INVALID, r->blame, "the prompt is empty");
	if (r->pooled) { /* nothing follows */
		*max_rows = n_rows;
		if (kv_layout_pages(kv, n_rows) <= total)
			return SN_OK;
		return error_param(err, SN_ERR_CONTEXT_LENGTH, r->blame, "%u tokens do not fit the KV pool", n_rows);
	}
	if (n_rows >= max_len || want > max_len - n_rows)
		return error_param(err, SN_ERR_CONTEXT_LENGTH, want && n_rows < max_len ? "max_tokens" : r->blame,
		                   "%u prompt tokens and max_tokens %u exceed the context of %u tokens", n_rows, want, max_len);
	uint32_t n = n_rows + want;
	if (!want) {
		uint32_t most = kv_layout_rows(kv, total, n_cross + max_len);
		n = most > n_cross + n_rows ? most - n_cross : n_rows + 1;
	}
	if (kv_layout_pages(kv, n_cross + n) > total)
		return error_param(err, SN_ERR_CONTEXT_LENGTH, r->blame, "%u prompt tokens and max_tokens %u do not fit the KV pool", n_rows, want);
	*max_rows = n_cross + n;
	return SN_OK;
}

/* Rows of media may stand closer together, or further apart, than one by one. */
static uint32_t position_behind(const seq_row *rows, uint32_t n, uint32_t n_cross)
{
	uint32_t behind = 0;
	for (uint32_t i = n_cross; i < n; i++) {
		uint32_t end = seq_row_last(&rows[i]) + 1;
		behind = end > behind ? end : behind;
	}
	return behind;
}

static sn_status make_one(sequence *s, const hash256 *root, const seq_row *rows, uint32_t n_rows, uint32_t max_rows, sn_error *err)
{
	sn_engine *e = s->req->engine;
	s->rows = malloc((size_t)max_rows * sizeof *s->rows);
	if (!s->rows)
		return error_set(err, SN_ERR_NOMEM, "no memory for a sequence of %u rows", max_rows);
	memcpy(s->rows, rows, (size_t)n_rows * sizeof *s->rows);
	s->max_rows = max_rows;
	s->n_known = n_rows;
	s->next_position = position_behind(rows, n_rows, s->req->model->m->h.n_cross);
	return kv_seq_init(&s->kv, e->pages, &s->req->model->m->kv, max_rows, &e->key, root, err);
}

sn_status sequences_make(sn_request *r, const seq_row *rows, uint32_t n_rows, sn_error *err)
{
	hash256 root = kv_root(r);
	uint32_t max_rows = 0;
	sn_status st = bound_rows(r, n_rows, &max_rows, err);
	for (uint32_t i = 0; i < r->n_seqs && !st; i++)
		st = make_one(&r->seqs[i], &root, rows, n_rows, max_rows, err);
	if (st)
		return st;
	r->n_prompt = n_rows;
	r->max_tokens = max_rows - n_rows;
	r->n_shared = whole_blocks(&r->model->m->kv, rows, n_rows - 1); /* the last row is everyone's own: its logits are wanted */
	return SN_OK;
}

/* ---- starting ---- */

/* The sequence that computes the prompt if nobody has it: the oldest, which is preempted last. */
static sequence *first_live(sn_request *r)
{
	for (uint32_t i = 0; i < r->n_seqs; i++)
		if (!r->seqs[i].ended)
			return &r->seqs[i];
	return NULL;
}

static sequence *holder_of_prompt(sn_request *r)
{
	for (uint32_t i = 0; i < r->n_seqs; i++)
		if (!r->seqs[i].ended && r->seqs[i].n_computed >= r->n_shared)
			return &r->seqs[i];
	return NULL;
}

static void ask_prefix_cache(sequence *s)
{
	sn_request *r = s->req;
	sn_engine *e = r->engine;
	s->matched = true;
	if (e->config.no_prefix_caching || kv_layout_is_split(s->kv.layout))
		return;
	/* The last known row is always computed: its logits are wanted. */
	uint32_t most = r->pooled ? pooled_spare(r->pooled) : s->n_known - 1;
	if (most == 0)
		return;
	s->n_computed = s->n_given = kv_seq_match(&s->kv, s->rows, r->media_keys, most);
	metric_add(&e->metrics, M_PREFIX_QUERIES, s->n_known);
	metric_add(&e->metrics, M_PREFIX_HITS, s->n_computed);
	if (s->choice == 0 && !s->started)
		r->n_cached = s->n_computed < r->n_prompt ? s->n_computed : r->n_prompt;
}

uint32_t sequence_prepare(sequence *s)
{
	sn_request *r = s->req;
	bool first = s == first_live(r);
	if (s->n_computed == 0 && r->n_shared) {
		sequence *holder = holder_of_prompt(r);
		if (holder)
			s->n_computed = s->n_given = kv_seq_fork(&s->kv, &holder->kv, r->n_shared);
		else if (!first)
			return 0;
	}
	if (s->n_computed == 0 && !s->matched)
		ask_prefix_cache(s);
	return first && r->n_live > 1 && s->n_computed < r->n_shared ? r->n_shared : s->n_known;
}
