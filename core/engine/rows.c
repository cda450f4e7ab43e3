/* Rows of a prompt before there is a sequence: a list that grows up to the context, and media that are planned, and on their
 * way to be encoded, when they get their place in it. */
#include "engine/prompt.h"

#include <stdlib.h>

#include "base/error.h"

/* ---- media ---- */

static hash256 entry_key(const sn_engine *e, const encoder *enc, const sn_media *media, const sn_media_plan *plan, const hash256 *salt)
{
	hasher h;
	hash_begin(&h, &e->key);
	hash_u64(&h, enc->id);
	hash_add(&h, media->hash, sizeof media->hash);
	hash_add(&h, plan->options_hash, sizeof plan->options_hash);
	hash_u64(&h, plan->n_rows);
	hash_add(&h, salt, sizeof *salt);
	return hash_end(&h);
}

enum { MAX_POSITION = 1 << 20 }; /* from where the hole begins */
enum { MAX_FRAMING = 1 << 20, MAX_HOLES = 1 << 16 }; /* of one medium: a plugin's word is not enough to allocate by */

static sn_status lay_out(sn_request *r, const sn_media *media, struct placed *p, sn_error *err)
{
	encoder *enc = p->enc;
	struct sn_call call = {r->id};
	sn_fault fault = {.size = sizeof fault};
	p->plan = (sn_media_plan){.size = sizeof p->plan};
	p->positions = NULL;
	sn_rc rc = enc->p->plan->plan(enc->instance, &call, media, &p->plan, &fault);
	if (rc != SN_RC_OK)
		return fault_to_error(enc->p, rc, &fault, err);
	if (p->plan.text_size > MAX_FRAMING || p->plan.n_holes > MAX_HOLES || p->plan.n_rows == 0 || p->plan.n_units == 0)
		return plugin_broke(enc->p, err, "it planned no rows or no work, or more framing than fits");
	p->text = arena_alloc(r->mem, (size_t)p->plan.text_size + 1);
	p->holes = arena_array(r->mem, p->plan.n_holes, sizeof *p->holes);
	if (!p->text || !p->holes)
		return error_set(err, SN_ERR_NOMEM, "no memory for a medium's place in the prompt");
	rc = enc->p->plan->layout(enc->instance, &call, media, &p->plan, p->text, p->holes, &fault);
	if (rc != SN_RC_OK)
		return fault_to_error(enc->p, rc, &fault, err);
	uint64_t rows = 0;
	uint32_t at = 0;
	for (uint32_t i = 0; i < p->plan.n_holes; i++) {
		if (p->holes[i].text_offset < at || p->holes[i].text_offset > p->plan.text_size)
			return plugin_broke(enc->p, err, "a hole lies outside its framing text");
		at = p->holes[i].text_offset;
		rows += p->holes[i].n_rows;
	}
	return rows == p->plan.n_rows ? SN_OK : plugin_broke(enc->p, err, "the holes do not add up to its rows");
}

/* Models with one axis are served with encoders that have none of this. */
static sn_status lay_positions(sn_request *r, const sn_media *media, struct placed *p, sn_error *err)
{
	const sn_ext_plan *plan = p->enc->p->plan;
	struct sn_call call = {r->id};
	sn_fault fault = {.size = sizeof fault};
	if (!plan_has_positions(plan))
		return SN_OK;
	p->positions = arena_array(r->mem, p->plan.n_rows, sizeof *p->positions);
	if (!p->positions)
		return error_set(err, SN_ERR_NOMEM, "no memory for a medium's place in the prompt");
	sn_rc rc = plan->positions(p->enc->instance, &call, media, &p->plan, p->positions, &fault);
	if (rc != SN_RC_OK)
		return fault_to_error(p->enc->p, rc, &fault, err);
	for (uint32_t i = 0; i < p->plan.n_rows; i++)
		if (p->positions[i].time > MAX_POSITION || p->positions[i].height > MAX_POSITION || p->positions[i].width > MAX_POSITION)
			return plugin_broke(p->enc->p, err, "a row stands too far behind the medium's first");
	return SN_OK;
}

sn_status medium_place(sn_request *r, encoder *enc, const sn_media *media, uint32_t max_rows, struct placed *p, sn_error *err)
{
	sn_engine *e = r->engine;
	uint32_t i = r->n_media;
	p->enc = enc;
	sn_status st = lay_out(r, media, p, err);
	if (!st && p->plan.n_rows > max_rows)
		st = error_param(err, SN_ERR_CONTEXT_LENGTH, r->blame, "a medium needs %u rows, the context has %u", p->plan.n_rows, max_rows);
	if (!st)
		st = lay_positions(r, media, p, err);
	if (st)
		return st;
	r->media_keys[i] = entry_key(e, enc, media, &p->plan, &r->salt);
	r->media[i] = media_cache_get(&e->cache, &r->media_keys[i]);
	enum kv_type type = media_type(r->model->m->kv.groups[0].type);
	if (!r->media[i] && p->group)
		st = media_cache_enqueue(&e->cache, &r->media_keys[i], enc, type, media, &p->plan, r->id, &r->media[i], err);
	else if (!r->media[i])
		st = media_cache_begin(&e->cache, &r->media_keys[i], enc, type, media, &p->plan, r->id, &e->ops, &r->media[i], err);
	r->n_media += !st;
	return st;
}

/* ---- rows ---- */

static sn_status push_row(struct row_list *l, seq_row row, sn_error *err)
{
	if (l->n == l->max)
		return error_param(err, SN_ERR_CONTEXT_LENGTH, l->blame, "the prompt is longer than the context of %u tokens", l->max - l->n_cross);
	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 256;
		seq_row *rows = realloc(l->rows, (cap < l->max ? cap : l->max) * sizeof *rows);
		if (!rows)
			return error_set(err, SN_ERR_NOMEM, "no memory for the prompt");
		l->rows = rows;
		l->cap = cap < l->max ? cap : l->max;
	}
	uint32_t last = seq_row_last(&row);
	l->next = l->n + 1 == l->n_cross ? 0 : l->next > last ? l->next : last + 1;
	l->rows[l->n++] = row;
	return SN_OK;
}

sn_status rows_add_ids(struct row_list *l, const int32_t *ids, size_t n, sn_error *err)
{
	sn_status st = SN_OK;
	for (size_t i = 0; i < n && !st; i++)
		st = push_row(l, (seq_row){.id = ids[i], .media = -1, .position = l->next}, err);
	return st;
}

sn_status rows_check_fits(const sn_request *r, const struct row_list *l, size_t bytes, sn_error *err)
{
	if (bytes / r->model->longest_token > l->max - l->n)
		return error_param(err, SN_ERR_CONTEXT_LENGTH, l->blame, "the prompt is longer than the context of %u tokens", l->max - l->n_cross);
	return SN_OK;
}

sn_status rows_add_text(sn_request *r, struct row_list *l, const marked_text *prompt, sn_error *err)
{
	int32_t *ids = NULL;
	size_t n = 0;
	sn_status st = rows_check_fits(r, l, prompt->bytes.n, err);
	if (!st)
		st = vocab_encode(r->model->m->vocab, prompt, &ids, &n, err);
	if (!st)
		st = rows_add_ids(l, ids, n, err);
	free(ids);
	return st;
}

sn_status rows_add_hole(sn_request *r, struct row_list *l, int32_t id, uint32_t media, uint32_t first, uint32_t n, const sn_position *positions,
                        bool both_ways, sn_error *err)
{
	uint32_t end = both_ways ? l->n + n : 0, base = l->next;
	sn_status st = SN_OK;
	for (uint32_t i = 0; i < n && !st; i++) {
		seq_row row = {.id = id, .media = (int32_t)media, .media_row = first + i, .span_end = end, .position = l->next};
		if (positions) {
			row.position = base + positions[i].time;
			row.height = (int32_t)positions[i].height - (int32_t)positions[i].time;
			row.width = (int32_t)positions[i].width - (int32_t)positions[i].time;
		}
		st = push_row(l, row, err);
	}
	r->n_media_rows += n;
	return st;
}

sn_status rows_check_ids(const sn_request *r, const int32_t *ids, size_t n, sn_error *err)
{
	size_t n_vocab = vocab_size(r->model->m->vocab);
	for (size_t i = 0; i < n; i++)
		if (ids[i] < 0 || (size_t)ids[i] >= n_vocab)
			return error_param(err, SN_ERR_INVALID, r->blame, "the prompt names a token outside the vocabulary of %zu", n_vocab);
	return SN_OK;
}
