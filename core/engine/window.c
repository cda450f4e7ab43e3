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

sn_status prompt_of_window(sn_request *r, encoder *enc, const sn_media *media, const prompt_piece *pieces, size_t n, sn_error *err)
{
	uint32_t n_cross = r->model->m->h.n_cross;
	struct row_list l = {.max = n_cross + r->model->max_len, .n_cross = n_cross, .blame = r->blame = "file"};
	struct placed placed;
	sn_status st = SN_OK;
	if (!n_cross)
		st = error_set(err, SN_ERR_UNSUPPORTED, "model %s takes no windows: media are part of its conversations", r->model->name);
	if (!st)
		st = medium_place(r, enc, media, n_cross, &placed, err);
	if (!st)
		st = check_window(r, &placed, err);
	if (!st)
		st = rows_add_hole(r, &l, enc->row_token, 0, 0, n_cross, false, err);
	l.blame = r->blame = "prompt";
	for (size_t i = 0; i < n && !st; i++)
		st = add_piece(r, &l, &pieces[i], err);
	if (!st)
		st = sequences_make(r, l.rows, l.n, err);
	free(l.rows);
	return st;
}
