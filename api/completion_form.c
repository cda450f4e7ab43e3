#include <math.h>
#include <string.h>

#include "forms.h"

/* The legacy shape of log probabilities: lists side by side, one item a token. */
enum { TOKENS, TOKEN_LOGPROBS, TOP_LOGPROBS, TEXT_OFFSET };

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xC0) == 0x80;
}

static uint64_t chars_begun(const sn_top_logprob *t)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i < t->size; i++)
		n += !is_continuation(t->bytes[i]);
	return n;
}

/* Whole characters? Tokens come from a vocabulary, so that it is enough to look where they begin and end. */
static bool is_whole(const sn_top_logprob *t)
{
	uint32_t last = t->size;
	if (t->size && is_continuation(t->bytes[0]))
		return false;
	while (last && is_continuation(t->bytes[last - 1]))
		last--;
	unsigned char lead = last ? (unsigned char)t->bytes[last - 1] : 0;
	uint32_t want = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
	return t->size - last == want;
}

/* A token that is part of a character has no text: it is told by its bytes, as OpenAI does. */
static void token_text(out_buf *o, const sn_top_logprob *t)
{
	if (is_whole(t)) {
		out_json(o, t->bytes, t->size);
		return;
	}
	out_text(o, "\"bytes:");
	for (uint32_t i = 0; i < t->size; i++)
		out_fmt(o, "\\\\x%02x", (unsigned char)t->bytes[i]);
	out_text(o, "\"");
}

static void number(out_buf *o, float logprob)
{
	out_fmt(o, "%.9g", isfinite(logprob) ? (double)logprob : -9999.0); /* JSON has no infinity */
}

static bool same_text(const sn_top_logprob *a, const sn_top_logprob *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* The likeliest tokens and the one that was taken, as an object: of two that are spelled alike the likelier one. */
static void top_object(out_buf *o, const sn_token_logprob *t)
{
	out_text(o, "{");
	for (uint32_t i = 0, n = 0; i <= t->n_top; i++) {
		const sn_top_logprob *one = i < t->n_top ? &t->top[i] : &t->self;
		bool seen = false;
		for (uint32_t k = 0; k < i && !seen; k++)
			seen = same_text(&t->top[k], one);
		if (seen)
			continue;
		out_text(o, n++ ? "," : "");
		token_text(o, one);
		out_text(o, ":");
		number(o, one->logprob);
	}
	out_text(o, "}");
}

static void gather(answer_choice *c, const sn_token_logprob *tokens, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < ANSWER_LISTS; k++)
			out_text(&c->lists[k], c->lists[k].size ? "," : "");
		token_text(&c->lists[TOKENS], &tokens[i].self);
		number(&c->lists[TOKEN_LOGPROBS], tokens[i].self.logprob);
		top_object(&c->lists[TOP_LOGPROBS], &tokens[i]);
		out_fmt(&c->lists[TEXT_OFFSET], "%llu", (unsigned long long)c->n_chars);
		c->n_chars += chars_begun(&tokens[i].self);
	}
}

static void end_of(out_buf *o, const answer *a, uint32_t choice, const char *finish)
{
	static const char *const names[ANSWER_LISTS] = {"tokens", "token_logprobs", "top_logprobs", "text_offset"};
	out_text(o, a->logprobs ? ",\"logprobs\":{" : ",\"logprobs\":null");
	for (size_t k = 0; a->logprobs && k < ANSWER_LISTS; k++) {
		out_fmt(o, k ? ",\"%s\":" : "\"%s\":", names[k]);
		answer_list(o, &a->choices[choice].lists[k]);
	}
	out_text(o, a->logprobs ? "},\"finish_reason\":" : ",\"finish_reason\":");
	out_json_or_null(o, finish);
	out_text(o, "}");
}

static void whole(out_buf *o, const answer *a, uint32_t choice)
{
	const answer_choice *c = &a->choices[choice];
	const out_buf *echo = &a->echo[choice / a->n];
	out_buf text = {0};
	out_bytes(&text, echo->data, echo->size);
	out_bytes(&text, c->text.data, c->text.size);
	out_fmt(o, "{\"index\":%u,\"text\":", choice);
	out_json(o, text.data, text.size);
	end_of(o, a, choice, answer_finish_name(c->finish));
	o->failed |= text.failed;
	out_fini(&text);
}

static void piece(out_buf *o, const answer *a, uint32_t choice, const char *data, size_t size)
{
	out_fmt(o, "{\"index\":%u,\"text\":", choice);
	out_json(o, data, size);
	end_of(o, a, choice, NULL);
}

static void open_choice(out_buf *o, const answer *a, uint32_t choice)
{
	const out_buf *echo = &a->echo[choice / a->n];
	if (echo->size)
		piece(o, a, choice, echo->data, echo->size);
}

static void text(out_buf *o, const answer *a, uint32_t choice, const sn_event *ev)
{
	piece(o, a, choice, ev->text, ev->size);
}

static void close_choice(out_buf *o, const answer *a, uint32_t choice, const sn_event *ev)
{
	(void)a;
	out_fmt(o, "{\"index\":%u,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"%s\"}", choice, answer_finish_name(ev->finish));
}

const answer_form completion_form = {
	.id_prefix = "cmpl-", .object = "text_completion", .chunk = "text_completion",
	.choice = whole, .logprobs = gather, .open = open_choice, .text = text, .close = close_choice,
};
