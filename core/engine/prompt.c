/* From a conversation to the rows of a sequence: decode the media, render the template, put each medium's plan where the
 * template left its marker, tokenize what is between the holes. A completion's prompt is its rows as it stands. Runs on the
 * API thread that submits. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "engine/prompt.h"

/* ---- media ---- */

static sn_status place_media(sn_request *r, const sn_part *part, struct placed *placed, sn_error *err)
{
	sn_engine *e = r->engine;
	encoder *enc = served_encoder(r->model, part->kind_name), *watcher = enc ? NULL : served_watcher(r->model, part->kind_name);
	sn_media media;
	if (!enc && !watcher)
		return error_param(err, SN_ERR_UNSUPPORTED, "messages", "model %s does not take %s input", r->model->name, part->kind_name);
	if (r->n_media == MAX_MEDIA)
		return error_param(err, SN_ERR_INVALID, "messages", "more than %d media in one request", MAX_MEDIA);
	if (watcher)
		return clip_place(r, watcher, part, placed, err);
	sn_status st = media_gate_decode(&e->gate, part, enc->media_rate, r->id, &media, err);
	if (st)
		return st;
	st = medium_place(r, enc, &media, r->model->max_len, &placed[r->n_media], err);
	media_gate_release(&e->gate, &media);
	return st;
}

static sn_status place_all_media(sn_request *r, const sn_chat *chat, struct placed *placed, sn_error *err)
{
	sn_status st = SN_OK;
	for (size_t m = 0; m < chat->n_messages && !st; m++)
		for (size_t p = 0; p < chat->messages[m].n_parts && !st; p++)
			if (chat->messages[m].parts[p].kind == SN_PART_MEDIA)
				st = place_media(r, &chat->messages[m].parts[p], placed, err);
	return st;
}

/* ---- text and holes ---- */

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
	sn_status st = rows_add_text(r, l, pending, err);
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
			st = rows_add_hole(r, l, p->enc->row_token, i, row, p->holes[h].n_rows,
			                   p->positions ? p->positions + row : NULL, p->plan.both_ways, err);
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
		if (placed[i].follows) {
			st = push_medium(r, l, &placed[i], i, &pending, err);
			continue;
		}
		str marker = placed[i].group ? placed[i].enc->watch_marker : placed[i].enc->marker;
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
static size_t markers_of(const served_model *s, chat_marker out[2 * MAX_ENCODERS])
{
	size_t n = 0;
	for (uint32_t i = 0, all = atomic_load_explicit(&s->n_encoders, memory_order_acquire); i < all; i++) {
		const encoder *enc = s->encoders[i];
		out[n++] = (chat_marker){enc->p->plan->kind_name, enc->marker, enc->in_template};
		if (enc->p->watch)
			out[n++] = (chat_marker){enc->p->watch->kind_name, enc->watch_marker, enc->watch_in_template};
	}
	return n;
}

sn_status prompt_of_chat(sn_request *r, const sn_chat *chat, sn_error *err)
{
	struct row_list l = {.max = r->model->max_len, .blame = r->blame};
	marked_text prompt;
	marked_init(&prompt, MAX_PROMPT_BYTES);
	chat_marker markers[2 * MAX_ENCODERS];
	const chat_options options = {.markers = markers, .n_markers = markers_of(r->model, markers),
	                              .vars = chat->vars, .n_vars = chat->n_vars, .tools = chat->tools, .add_generation_prompt = !chat->no_generation_prompt};
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

sn_status prompt_of_completion(sn_request *r, const sn_completion *c, sn_error *err)
{
	struct row_list l = {.max = r->model->max_len, .blame = r->blame = "prompt"};
	int32_t *ids = NULL;
	size_t n = c->n_ids;
	sn_status st = c->ids ? rows_check_ids(r, c->ids, n, err) : rows_check_fits(r, &l, c->size, err);
	if (!st && !c->ids)
		st = text_encode(r->model->m->vocab, c->text, c->size, true, c->add_special_tokens, &ids, &n, err);
	if (!st)
		st = rows_add_ids(&l, c->ids ? c->ids : ids, n, err);
	if (!st)
		st = sequences_make(r, l.rows, l.n, err);
	free(ids);
	free(l.rows);
	return st;
}
