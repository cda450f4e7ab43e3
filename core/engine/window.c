/* One window of a recording, as a request of an encoder-decoder model: the rows that its encoder makes of the window fill the
 * KV group that cross-attention reads, and the prompt stands behind them.
 *
 *   [ the window's rows: n_cross ][ prompt ][ what it says ]
 *
 * So a window waits for its encoder, is computed in chunks, is preempted and recomputed like any sequence with media. */
#include <stdlib.h>

#include "base/error.h"
#include "engine/prompt.h"

/* Whoever made the model gave it one window: there is no choice. */
static sn_status check_window(const sn_request *r, const struct placed *p, sn_error *err)
{
	uint32_t n_cross = r->model->m->h.n_cross;
	if (p->plan.n_rows != n_cross || p->plan.n_holes != 1 || p->plan.text_size)
		return plugin_broke(p->enc->p, err, "it planned %u rows in %u places with text for a model that takes one window of %u rows", p->plan.n_rows,
		                    p->plan.n_holes, n_cross);
	return SN_OK;
}

static sn_status add_piece(sn_request *r, struct row_list *l, const prompt_piece *p, sn_error *err)
{
	if (p->ids) {
		sn_status st = rows_check_ids(r, p->ids, p->n_ids, err);
		return st ? st : rows_add_ids(l, p->ids, p->n_ids, err);
	}
	marked_text text;
	marked_init(&text, MAX_PROMPT_BYTES);
	sn_status st = SN_OK;
	if (!marked_append(&text, p->text, p->size, p->trusted))
		st = error_set(err, SN_ERR_NOMEM, "no memory for the prompt");
	if (!st)
		st = rows_add_text(r, l, &text, err);
	marked_fini(&text);
	return st;
}

static sn_status ask_probe(sn_request *r, const window_ask *w, sn_error *err)
{
	const model *m = r->model->m;
	if (!w->probes)
		return SN_OK;
	if (w->probe_token < 0 || (uint32_t)w->probe_token >= m->h.n_vocab || w->probe_row >= r->n_prompt - m->h.n_cross)
		return error_set(err, SN_ERR_INVALID, "a probe of token %d at row %u of the prompt: one of them does not exist", w->probe_token, w->probe_row);
	r->probe.wanted = true;
	r->probe.token = w->probe_token;
	r->probe.row = m->h.n_cross + w->probe_row;
	return SN_OK;
}

static sn_status ask_taps(sn_request *r, const window_ask *w, sn_error *err)
{
	const hparams *h = &r->model->m->h;
	uint32_t max_rows = r->seqs[0].max_rows - h->n_cross;
	size_t n;
	if (!w->n_taps)
		return SN_OK;
	uint32_t (*heads)[2] = arena_array(r->mem, w->n_taps, sizeof *heads);
	for (uint32_t i = 0; i < w->n_taps && heads; i++) {
		if (w->taps[i][0] >= h->n_layers || w->taps[i][1] >= h->n_head)
			return error_set(err, SN_ERR_INVALID, "there is no head %u of layer %u", w->taps[i][1], w->taps[i][0]);
		heads[i][0] = w->taps[i][0];
		heads[i][1] = w->taps[i][1];
	}
	if (heads && !__builtin_mul_overflow((size_t)w->n_taps * max_rows, (size_t)h->n_cross, &n))
		r->tap.weights = calloc(n, sizeof *r->tap.weights); /* pages that are never written are never there */
	if (!r->tap.weights)
		return error_set(err, SN_ERR_NOMEM, "no memory for the weights of %u heads", w->n_taps);
	r->tap.heads = (const uint32_t(*)[2])heads;
	r->tap.n_heads = w->n_taps;
	r->tap.max_rows = max_rows;
	return SN_OK;
}

static sn_status keep_rules(sn_request *r, const window_ask *w, sn_error *err)
{
	token_rules *rules = w->rules ? arena_alloc(r->mem, sizeof *rules) : NULL;
	if (!w->rules)
		return SN_OK;
	if (!rules)
		return error_set(err, SN_ERR_NOMEM, "no memory for a window's rules");
	*rules = *w->rules;
	r->rules = rules;
	return SN_OK;
}

float window_probe(const sn_request *r)
{
	return r->probe.p;
}

const float *window_taps(const sn_request *r, size_t *head_stride, uint32_t *n_tokens)
{
	uint32_t n_cross = r->model->m->h.n_cross;
	*head_stride = (size_t)r->tap.max_rows * n_cross;
	*n_tokens = r->tap.weights ? r->seqs[0].n_computed - n_cross : 0;
	return r->tap.weights;
}

sn_status prompt_of_window(sn_request *r, const window_ask *w, sn_error *err)
{
	uint32_t n_cross = r->model->m->h.n_cross;
	struct row_list l = {.max = n_cross + r->model->max_len, .n_cross = n_cross, .blame = r->blame = "file"};
	struct placed placed = {0};
	sn_status st = SN_OK;
	if (!n_cross)
		st = error_set(err, SN_ERR_UNSUPPORTED, "model %s takes no windows: media are part of its conversations", r->model->name);
	if (!st)
		st = medium_place(r, w->enc, w->media, n_cross, &placed, err);
	if (!st)
		st = check_window(r, &placed, err);
	if (!st)
		st = rows_add_hole(r, &l, w->enc->row_token, 0, 0, n_cross, NULL, false, err);
	l.blame = r->blame = "prompt";
	for (size_t i = 0; i < w->n_pieces && !st; i++)
		st = add_piece(r, &l, &w->pieces[i], err);
	if (!st)
		st = sequences_make(r, l.rows, l.n, err);
	if (!st)
		st = ask_probe(r, w, err);
	if (!st)
		st = ask_taps(r, w, err);
	if (!st)
		st = keep_rules(r, w, err);
	free(l.rows);
	return st;
}
