#include "engine/step.h"

#include <stdlib.h>

#include "engine/embed.h"
#include "engine/utterance.h"

step_batch *step_open(size_t rows, size_t seqs)
{
	step_batch *a = calloc(1, sizeof *a);
	if (!a)
		return NULL;
	a->taken = calloc(seqs, sizeof *a->taken);
	a->outs = calloc(seqs, 2 * sizeof *a->outs);
	a->ids = calloc(rows, sizeof *a->ids);
	a->media = calloc(rows, sizeof *a->media);
	a->cross_media = calloc(rows, sizeof *a->cross_media);
	a->codes = calloc(rows, sizeof *a->codes);
	a->with = calloc(rows, sizeof *a->with);
	a->positions = calloc(rows, sizeof *a->positions);
	a->beyond = calloc(rows, sizeof *a->beyond);
	a->key_begin = calloc(rows, sizeof *a->key_begin);
	a->key_end = calloc(rows, sizeof *a->key_end);
	a->out_rows = calloc(seqs, 2 * sizeof *a->out_rows);
	a->seqs = calloc(seqs, sizeof *a->seqs);
	a->cross_seqs = calloc(seqs, sizeof *a->cross_seqs);
	a->taps = calloc(seqs, sizeof *a->taps);
	a->pools = calloc(seqs, sizeof *a->pools);
	if (!a->taken || !a->outs || !a->ids || !a->media || !a->cross_media || !a->codes || !a->with || !a->positions || !a->beyond || !a->key_begin || !a->key_end || !a->out_rows ||
	    !a->seqs || !a->cross_seqs || !a->taps || !a->pools)
		step_close(&a);
	return a;
}

void step_close(step_batch **ap)
{
	step_batch *a = *ap;
	if (!a)
		return;
	free(a->taken);
	free(a->outs);
	free(a->ids);
	free(a->media);
	free(a->cross_media);
	free(a->codes);
	free(a->with);
	free(a->positions);
	free(a->beyond);
	free(a->key_begin);
	free(a->key_end);
	free(a->out_rows);
	free(a->seqs);
	free(a->cross_seqs);
	free(a->taps);
	free(a->pools);
	free(a);
	*ap = NULL;
}

size_t step_bytes(size_t rows, size_t seqs)
{
	const step_batch *a = NULL;
	return rows * (sizeof *a->ids + 2 * sizeof *a->media + sizeof *a->codes + 4 * sizeof(uint32_t) + sizeof *a->beyond) +
	       seqs * (sizeof *a->taken + 2 * (sizeof *a->outs + sizeof *a->out_rows + sizeof *a->seqs) + sizeof *a->taps + sizeof *a->pools);
}

void step_clear(step_batch *a)
{
	a->n_taken = 0;
	a->b = (batch){.ids = a->ids, .media = a->media, .positions = a->positions, .key_begin = a->key_begin, .key_end = a->key_end,
	               .out_rows = a->out_rows, .seqs = a->seqs, .cross_media = a->cross_media, .cross_seqs = a->cross_seqs, .taps = a->taps,
	               .pools = a->pools};
}

static const void *media_row(const sequence *s, const seq_row *row)
{
	const media_entry *m = row->media >= 0 ? s->req->media[row->media] : NULL;
	return m ? m->rows + m->bytes / m->n_rows * row->media_row : NULL;
}

/* The predicted codes of the row's frame; NULL: it has none. */
static const int32_t *codes_of(const sequence *s, uint32_t at)
{
	const sn_request *r = s->req;
	if (at < r->n_prompt || !r->voice || !r->voice->who->about->n_predicted)
		return NULL;
	return utterance_code(r->voice, at - r->n_prompt) + 1;
}

/* Rows of an encoder-decoder's medium, up to row `end`. Returns the first row that is none of those. */
static uint32_t add_cross(step_batch *a, const sequence *s, uint32_t end)
{
	uint32_t n_cross = s->req->model->m->h.n_cross, at = s->n_computed;
	end = end < n_cross ? end : n_cross;
	if (at >= end)
		return at;
	a->cross_seqs[a->b.n_cross_seqs++] = (batch_seq){a->b.n_cross_rows, end - at, at, &s->kv};
	for (; at < end; at++)
		a->cross_media[a->b.n_cross_rows++] = media_row(s, &s->rows[at]);
	return at;
}

/* Who speaks can say few of the vocabulary's tokens: while a batch is of such alone, the head's other rows are left out. */
static void want_head(batch *b, const sn_request *r)
{
	const speaker *who = r->voice ? r->voice->who : NULL;
	if (!who || b->n_out == 0) {
		b->head_first = who ? who->head_first : 0;
		b->head_n = who ? who->head_n : 0;
	}
}

static void want_logits(step_batch *a, const sn_request *r, uint32_t row, uint32_t at_active, bool probe)
{
	want_head(&a->b, r);
	a->outs[a->b.n_out] = (step_out){at_active, probe};
	a->out_rows[a->b.n_out++] = row;
}

static void add_pool(step_batch *a, pooled *p, uint32_t at, uint32_t end)
{
	uint32_t first, n;
	if (pooled_take(p, at, end, &first, &n))
		a->pools[a->b.n_pools++] = (batch_pool){a->b.n_rows + first - at, n, p->sum};
}

/* What was asked of the first choice's rows beside the tokens. */
static void add_questions(step_batch *a, const sequence *s, uint32_t at_active, uint32_t at, uint32_t end)
{
	const sn_request *r = s->req;
	uint32_t first = a->b.n_rows, n_cross = r->model->m->h.n_cross;
	if (s->choice != 0)
		return;
	if (r->pooled)
		add_pool(a, r->pooled, at, end);
	if (r->probe.wanted && r->probe.row >= at && r->probe.row < end)
		want_logits(a, r, first + r->probe.row - at, at_active, true);
	if (r->tap.weights)
		a->taps[a->b.n_taps++] = (batch_tap){a->b.n_seqs, r->tap.n_heads, r->tap.heads, r->tap.weights + (size_t)(at - n_cross) * n_cross,
		                                     r->tap.max_rows};
}

void step_add(step_batch *a, sequence *s, uint32_t at_active, uint32_t n)
{
	batch *b = &a->b;
	uint32_t end = s->n_computed + n, at = add_cross(a, s, end), base = s->req->model->m->h.n_cross;
	a->taken[a->n_taken++] = (plan_seq){at_active, n};
	if (at == end)
		return;
	add_questions(a, s, at_active, at, end);
	a->seqs[b->n_seqs++] = (batch_seq){b->n_rows, end - at, at - base, &s->kv};
	for (; at < end; at++) {
		uint32_t r = b->n_rows++;
		const seq_row *row = &s->rows[at];
		a->ids[r] = row->id;
		a->media[r] = media_row(s, row);
		a->with[r] = row->with;
		a->codes[r] = codes_of(s, at);
		if (row->with)
			b->with = a->with;
		if (a->codes[r])
			b->codes = a->codes;
		a->positions[r] = row->position;
		a->beyond[r][0] = row->height;
		a->beyond[r][1] = row->width;
		if (row->height || row->width)
			b->beyond = a->beyond;
		a->key_begin[r] = 0;
		a->key_end[r] = (row->span_end > at ? row->span_end : at + 1) - base;
	}
	if (end == s->n_known && !s->req->pooled)
		want_logits(a, s->req, b->n_rows - 1, at_active, false);
}
