/* From a conversation to the rows of a sequence: decode the media, render the template, put each medium's plan where the
 * template left its marker, tokenize what is between the holes. A completion's prompt is its rows as it stands. Runs on the
 * API thread that submits. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "engine/engine.h"

enum { MAX_PROMPT_BYTES = 64 << 20 };

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

/* One medium as it will stand in the prompt. */
struct placed {
	encoder *enc;
	char *text;      /* framing, trusted */
	sn_hole *holes;
	sn_media_plan plan;
};

enum { MAX_FRAMING = 1 << 20, MAX_HOLES = 1 << 16 }; /* of one medium: a plugin's word is not enough to allocate by */

static sn_status lay_out(sn_request *r, const sn_media *media, struct placed *p, sn_error *err)
{
	encoder *enc = p->enc;
	struct sn_call call = {r->id};
	sn_fault fault = {.size = sizeof fault};
	p->plan = (sn_media_plan){.size = sizeof p->plan};
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

static sn_status place_media(sn_request *r, const sn_part *part, struct placed *p, sn_error *err)
{
	sn_engine *e = r->engine;
	encoder *enc = p->enc = served_encoder(r->model, part->kind_name);
	sn_media media;
	if (!enc)
		return error_param(err, SN_ERR_UNSUPPORTED, "messages", "model %s does not take %s input", r->model->name, part->kind_name);
	if (r->n_media == MAX_MEDIA)
		return error_param(err, SN_ERR_INVALID, "messages", "more than %d media in one request", MAX_MEDIA);
	sn_status st = media_gate_decode(&e->gate, part, enc->media_rate, r->id, &media, err);
	if (st)
		return st;
	st = lay_out(r, &media, p, err);
	uint32_t i = r->n_media;
	if (!st && p->plan.n_rows > r->model->max_len)
		st = error_param(err, SN_ERR_CONTEXT_LENGTH, "messages", "a medium needs %u rows, the context has %u", p->plan.n_rows, r->model->max_len);
	if (!st) {
		r->media_keys[i] = entry_key(e, enc, &media, &p->plan, &r->salt);
		r->media[i] = media_cache_get(&e->cache, &r->media_keys[i]);
		if (!r->media[i])
			st = media_cache_begin(&e->cache, &r->media_keys[i], enc, r->model->m->kv.groups[0].type, &media, &p->plan, r->id, &e->ops,
			                       &r->media[i], err);
		r->n_media += !st;
	}
	media_gate_release(&e->gate, &media);
	return st;
}

static sn_status place_all_media(sn_request *r, const sn_chat *chat, struct placed *placed, sn_error *err)
{
	sn_status st = SN_OK;
	for (size_t m = 0; m < chat->n_messages && !st; m++)
		for (size_t p = 0; p < chat->messages[m].n_parts && !st; p++)
			if (chat->messages[m].parts[p].kind == SN_PART_MEDIA)
				st = place_media(r, &chat->messages[m].parts[p], &placed[r->n_media < MAX_MEDIA ? r->n_media : 0], err);
	return st;
}

/* ---- rows ---- */

struct row_list {
	seq_row *rows;
	const char *blame;
	uint32_t n, cap, max;
};

static sn_status push_row(struct row_list *l, seq_row row, sn_error *err)
{
	if (l->n == l->max)
		return error_param(err, SN_ERR_CONTEXT_LENGTH, l->blame, "the prompt is longer than the context of %u tokens", l->max);
	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 256;
		seq_row *rows = realloc(l->rows, (cap < l->max ? cap : l->max) * sizeof *rows);
		if (!rows)
			return error_set(err, SN_ERR_NOMEM, "no memory for the prompt");
		l->rows = rows;
		l->cap = cap < l->max ? cap : l->max;
	}
	row.position = l->n;
	l->rows[l->n++] = row;
	return SN_OK;
}

static sn_status push_ids(struct row_list *l, const int32_t *ids, size_t n, sn_error *err)
{
	sn_status st = SN_OK;
	for (size_t i = 0; i < n && !st; i++)
		st = push_row(l, (seq_row){.id = ids[i], .media = -1}, err);
	return st;
}

/* Tokenizing costs memory by the byte: what cannot fit whatever its tokens are is not tokenized. */
static sn_status check_fits(const sn_request *r, const struct row_list *l, size_t bytes, sn_error *err)
{
	if (bytes / r->model->longest_token > l->max - l->n)
		return error_param(err, SN_ERR_CONTEXT_LENGTH, l->blame, "the prompt is longer than the context of %u tokens", l->max);
	return SN_OK;
}

static sn_status push_text(sn_request *r, struct row_list *l, const marked_text *prompt, sn_error *err)
{
	int32_t *ids = NULL;
	size_t n = 0;
	sn_status st = check_fits(r, l, prompt->bytes.n, err);
	if (!st)
		st = vocab_encode(r->model->m->vocab, prompt, &ids, &n, err);
	if (!st)
		st = push_ids(l, ids, n, err);
	free(ids);
	return st;
}

static sn_status push_hole(sn_request *r, struct row_list *l, int32_t id, uint32_t media, uint32_t first, uint32_t n, bool both_ways, sn_error *err)
{
	uint32_t end = both_ways ? l->n + n : 0;
	sn_status st = SN_OK;
	for (uint32_t i = 0; i < n && !st; i++)
		st = push_row(l, (seq_row){.id = id, .media = (int32_t)media, .media_row = first + i, .span_end = end}, err);
	r->n_media_rows += n;
	return st;
}

/* Appends bytes [begin, end) of src with their trust. */
static bool copy_marked(marked_text *dst, const marked_text *src, size_t begin, size_t end)
{
	size_t at = begin;
	for (size_t i = 0; i < src->n_trusted && at < end; i++) {
		size_t b = src->trusted[i].begin > at ? src->trusted[i].begin : at, e = src->trusted[i].end < end ? src->trusted[i].end : end;
		if (b >= e)
			continue;
		if (!marked_append(dst, src->bytes.p + at, b - at, false) || !marked_append(dst, src->bytes.p + b, e - b, true))
			return false;
		at = e;
	}
	return marked_append(dst, src->bytes.p + at, end - at, false);
}

static sn_status flush_text(sn_request *r, struct row_list *l, marked_text *pending, sn_error *err)
{
	if (pending->bytes.failed)
		return error_set(err, SN_ERR_NOMEM, "no memory for the prompt");
	sn_status st = push_text(r, l, pending, err);
	marked_fini(pending);
	marked_init(pending, MAX_PROMPT_BYTES);
	return st;
}

/* Framing text and holes of medium i; text runs on into what precedes and follows. */
static sn_status push_medium(sn_request *r, struct row_list *l, const struct placed *p, uint32_t i, marked_text *pending, sn_error *err)
{
	uint32_t at = 0, row = 0;
	sn_status st = SN_OK;
	for (uint32_t h = 0; h < p->plan.n_holes && !st; h++) {
		marked_append(pending, p->text + at, p->holes[h].text_offset - at, true);
		st = flush_text(r, l, pending, err);
		if (!st)
			st = push_hole(r, l, p->enc->row_token, i, row, p->holes[h].n_rows, p->plan.both_ways, err);
		row += p->holes[h].n_rows;
		at = p->holes[h].text_offset;
	}
	marked_append(pending, p->text + at, p->plan.text_size - at, true);
	return st;
}

static sn_status build_rows(sn_request *r, const marked_text *prompt, const struct placed *placed, struct row_list *l, sn_error *err)
{
	marked_text pending;
	marked_init(&pending, MAX_PROMPT_BYTES);
	size_t at = 0;
	sn_status st = SN_OK;
	for (uint32_t i = 0; i < r->n_media && !st; i++) {
		str marker = placed[i].enc->marker;
		size_t found = marked_find(prompt, at, marker);
		if (found == SIZE_MAX) {
			st = error_param(err, SN_ERR_UNSUPPORTED, "messages", "the chat template of %s has no place for a medium here", r->model->name);
			break;
		}
		if (!copy_marked(&pending, prompt, at, found))
			st = error_set(err, SN_ERR_NOMEM, "no memory for the prompt");
		else
			st = push_medium(r, l, &placed[i], i, &pending, err);
		at = found + marker.n;
	}
	if (!st && !copy_marked(&pending, prompt, at, prompt->bytes.n))
		st = error_set(err, SN_ERR_NOMEM, "no memory for the prompt");
	if (!st)
		st = flush_text(r, l, &pending, err);
	marked_fini(&pending);
	return st;
}

static sn_status check_spans(const sn_request *r, const struct row_list *l, sn_error *err)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (l->rows[i].span_end && l->rows[i].span_end - i > r->engine->config.max_num_batched_tokens)
			return error_param(err, SN_ERR_INVALID, "messages", "a medium of %u rows that see each other does not fit a step of %u rows",
			                   l->rows[i].span_end - i, r->engine->config.max_num_batched_tokens);
	return SN_OK;
}

/* What stands for the media that the model takes. */
static size_t markers_of(const served_model *s, chat_marker out[MAX_ENCODERS])
{
	size_t n = 0;
	for (uint32_t i = 0, all = atomic_load_explicit(&s->n_encoders, memory_order_acquire); i < all; i++)
		out[n++] = (chat_marker){s->encoders[i]->p->plan->kind_name, s->encoders[i]->marker, s->encoders[i]->in_template};
	return n;
}

sn_status prompt_of_chat(sn_request *r, const sn_chat *chat, sn_error *err)
{
	struct row_list l = {.max = r->model->max_len, .blame = r->blame};
	marked_text prompt;
	marked_init(&prompt, MAX_PROMPT_BYTES);
	chat_marker markers[MAX_ENCODERS];
	const chat_options options = {.markers = markers, .n_markers = markers_of(r->model, markers),
	                              .vars = chat->vars, .n_vars = chat->n_vars, .add_generation_prompt = !chat->no_generation_prompt};
	struct placed *placed = arena_array(r->mem, MAX_MEDIA, sizeof *placed);
	sn_status st = SN_OK;
	if (!placed)
		st = error_set(err, SN_ERR_NOMEM, "no memory for the prompt");
	else if (!r->model->m->chat)
		st = error_set(err, SN_ERR_UNSUPPORTED, "model %s has no chat template", r->model->name);
	if (!st)
		st = chat_render(r->model->m->chat, r->model->m->vocab, chat->messages, chat->n_messages, &options, &prompt, err);
	if (!st)
		st = place_all_media(r, chat, placed, err);
	if (!st)
		st = build_rows(r, &prompt, placed, &l, err);
	if (!st)
		st = check_spans(r, &l, err);
	if (!st)
		st = sequences_make(r, l.rows, l.n, err);
	marked_fini(&prompt);
	free(l.rows);
	return st;
}

static sn_status check_ids(const sn_request *r, const int32_t *ids, size_t n, sn_error *err)
{
	size_t n_vocab = vocab_size(r->model->m->vocab);
	for (size_t i = 0; i < n; i++)
		if (ids[i] < 0 || (size_t)ids[i] >= n_vocab)
			return error_param(err, SN_ERR_INVALID, r->blame, "the prompt names a token outside the vocabulary of %zu", n_vocab);
	return SN_OK;
}

sn_status prompt_of_completion(sn_request *r, const sn_completion *c, sn_error *err)
{
	struct row_list l = {.max = r->model->max_len, .blame = r->blame = "prompt"};
	int32_t *ids = NULL;
	size_t n = c->n_ids;
	sn_status st = c->ids ? check_ids(r, c->ids, n, err) : check_fits(r, &l, c->size, err);
	if (!st && !c->ids)
		st = text_encode(r->model->m->vocab, c->text, c->size, true, c->add_special_tokens, &ids, &n, err);
	if (!st)
		st = push_ids(&l, c->ids ? c->ids : ids, n, err);
	if (!st)
		st = sequences_make(r, l.rows, l.n, err);
	free(ids);
	free(l.rows);
	return st;
}
