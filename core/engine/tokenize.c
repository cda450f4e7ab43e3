/* Text to ids and back outside of any request: what /tokenize and /detokenize ask, by the same calls that build prompts. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/engine.h"

enum { MAX_TEXT_BYTES = 64 << 20 };

sn_status text_encode(const vocab *v, const char *text, size_t size, bool trusted, bool special, int32_t **ids, size_t *n, sn_error *err)
{
	marked_text marked;
	marked_init(&marked, MAX_TEXT_BYTES);
	*ids = NULL;
	*n = 0;
	sn_status st = SN_OK;
	if (size > MAX_TEXT_BYTES)
		st = error_set(err, SN_ERR_TOO_LARGE, "the text is longer than %d bytes", MAX_TEXT_BYTES);
	else if (!marked_append(&marked, text, size, trusted))
		st = error_set(err, SN_ERR_NOMEM, "no memory for the text");
	if (!st)
		st = vocab_encode(v, &marked, ids, n, err);
	marked_fini(&marked);
	size_t before = special && vocab_adds_bos(v) && vocab_bos(v) >= 0, behind = special && vocab_last(v) >= 0;
	if (st || before + behind == 0)
		return st;
	int32_t *with = malloc((*n + before + behind) * sizeof *with);
	if (with) {
		if (before)
			with[0] = vocab_bos(v);
		if (*n)
			memcpy(with + before, *ids, *n * sizeof *with);
		if (behind)
			with[before + *n] = vocab_last(v);
		*n += before + behind;
	}
	free(*ids);
	*ids = with;
	return with ? SN_OK : error_set(err, SN_ERR_NOMEM, "no memory for the tokens");
}

static sn_status encode_messages(const served_model *m, const sn_tokenize_input *in, sn_tokens *out, sn_error *err)
{
	for (size_t i = 0; i < in->n_messages; i++)
		for (size_t p = 0; p < in->messages[i].n_parts; p++)
			if (in->messages[i].parts[p].kind != SN_PART_TEXT)
				return error_param(err, SN_ERR_UNSUPPORTED, "messages", "media are not tokens: only text can be tokenized");
	if (!m->m->chat)
		return error_set(err, SN_ERR_UNSUPPORTED, "model %s has no chat template", m->name);
	marked_text prompt;
	marked_init(&prompt, MAX_TEXT_BYTES);
	const chat_options options = {.vars = in->vars, .n_vars = in->n_vars, .tools = in->tools, .add_generation_prompt = !in->no_generation_prompt};
	sn_status st = chat_render(m->m->chat, m->m->vocab, in->messages, in->n_messages, &options, &prompt, err);
	if (!st)
		st = vocab_encode(m->m->vocab, &prompt, &out->ids, &out->n, err);
	marked_fini(&prompt);
	return st;
}

sn_status sn_tokenize(sn_engine *e, const sn_tokenize_input *in, sn_tokens *out, sn_error *err)
{
	*out = (sn_tokens){0};
	served_model *m = engine_find_model(e, in->model);
	if (!m)
		return error_param(err, SN_ERR_NOT_FOUND, "model", "the model does not exist");
	if (in->messages && in->n_messages == 0)
		return error_param(err, SN_ERR_INVALID, "messages", "messages must not be empty");
	out->max_model_len = m->max_len;
	return in->messages ? encode_messages(m, in, out, err)
	                    : text_encode(m->m->vocab, in->text, in->size, in->parse_special, in->add_special, &out->ids, &out->n, err);
}

sn_status sn_detokenize(sn_engine *e, const char *name, const int32_t *ids, size_t n, char **text, size_t *size, sn_error *err)
{
	*text = NULL;
	*size = 0;
	served_model *m = engine_find_model(e, name);
	if (!m)
		return error_param(err, SN_ERR_NOT_FOUND, "model", "the model does not exist");
	const vocab *v = m->m->vocab;
	detok d;
	buf out;
	detok_init(&d, v);
	buf_init(&out, 0);
	buf_append(&out, "", 0); /* no ids: an empty text, not none */
	for (size_t i = 0; i < n; i++) {
		if (ids[i] < 0 || (size_t)ids[i] >= vocab_size(v)) {
			buf_fini(&out);
			return error_param(err, SN_ERR_INVALID, "tokens", "a token is outside the vocabulary of %zu", vocab_size(v));
		}
		if (vocab_is_control(v, ids[i])) { /* an answer would not show it */
			str s = vocab_token(v, ids[i]);
			detok_flush(&d, &out);
			buf_append(&out, s.p, s.n);
		} else {
			detok_push(&d, ids[i], &out);
		}
	}
	detok_flush(&d, &out);
	if (out.failed) {
		buf_fini(&out);
		return error_set(err, SN_ERR_NOMEM, "no memory for the text");
	}
	*text = out.p;
	*size = out.n;
	return SN_OK;
}

bool sn_engine_chat_skills(const sn_engine *e, const char *name, sn_chat_skills *out)
{
	const served_model *m = engine_find_model((sn_engine *)e, name);
	*out = (sn_chat_skills){0};
	if (!m || !m->m->chat)
		return false;
	const chat_caps caps = chat_template_caps(m->m->chat);
	*out = (sn_chat_skills){.tools = chat_template_tools(m->m->chat), .many_calls = chat_template_many_calls(m->m->chat), 
	                        .thinks = caps.thinks, .thinking_switch = caps.thinking_switch, .effort_switch = caps.effort_switch};
	for (size_t i = 0; i < CHAT_MARKS && !out->thinks; i++)
		if (vocab_find(m->m->vocab, str_of(chat_marks[i])) >= 0)
			out->thinks = chat_marks[i];
	return true;
}
