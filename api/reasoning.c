#include "reasoning.h"

#include <stdlib.h>
#include <string.h>

#define PROMPT_END 16 /* tokens that are looked at for an open thinking */

static const struct { const char *begin, *end; } marks[] = {{"<think>", "</think>"}, {"[THINK]", "[/THINK]"}};

#define N_MARKS (sizeof marks / sizeof *marks)

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static bool ends_with(const char *text, size_t size, const char *mark)
{
	size_t n = strlen(mark);
	return size >= n && memcmp(text + size - n, mark, n) == 0;
}

bool reasoning_is_open(const char *prompt, size_t size, reasoning *r)
{
	while (size && is_blank(prompt[size - 1]))
		size--;
	for (size_t i = 0; i < N_MARKS; i++) {
		if (ends_with(prompt, size, marks[i].begin)) {
			*r = (reasoning){.inside = true, .pair = i};
			return true;
		}
		if (ends_with(prompt, size, marks[i].end))
			*r = (reasoning){.closed = true, .pair = i};
	}
	return false;
}

int reasoning_begin(reasoning *r, sn_engine *engine, const sn_chat *chat, sn_error *err)
{
	const sn_part text = {.kind = SN_PART_TEXT, .data = "x", .size = 1};
	const sn_message message = {.role = "user", .parts = &text, .n_parts = 1, .is_string = true};
	const sn_tokenize_input in = {.model = chat->model, .messages = &message, .n_messages = 1, .vars = chat->vars, .n_vars = chat->n_vars,
	                              .no_generation_prompt = chat->no_generation_prompt};
	sn_tokens tokens = {0};
	char *end = NULL;
	size_t size = 0;
	int rc = sn_tokenize(engine, &in, &tokens, err);
	if (rc == SN_OK) {
		size_t n = tokens.n < PROMPT_END ? tokens.n : PROMPT_END;
		rc = sn_detokenize(engine, chat->model, tokens.ids + (tokens.n - n), n, &end, &size, err);
	}
	if (rc == SN_OK)
		reasoning_is_open(end, size, r);
	free(end);
	free(tokens.ids);
	return rc;
}

size_t reasoning_pair(const char *begin)
{
	for (size_t i = 0; i < N_MARKS; i++)
		if (strcmp(marks[i].begin, begin) == 0)
			return i;
	return 0;
}

const char *reasoning_begin_mark(const reasoning *r)
{
	return marks[r->pair].begin;
}

void reasoning_show(sn_sampling *s)
{
	for (size_t i = 0; i < N_MARKS && s->n_shown + 2 <= SN_MAX_SHOWN; i++) {
		s->shown[s->n_shown++] = marks[i].begin;
		s->shown[s->n_shown++] = marks[i].end;
	}
}

const char *reasoning_end_mark(const reasoning *r)
{
	return marks[r->pair].end;
}

/* Is what is held the beginning of a mark that is waited for (*whole: all of it)? */
static bool may_be_mark(const reasoning *r, size_t *pair, bool *whole)
{
	if (r->at_start && (r->ended || r->said))
		return false;
	for (size_t i = r->inside ? r->pair : 0; i < (r->inside ? r->pair + 1 : N_MARKS); i++) {
		const char *mark = r->inside ? marks[i].end : marks[i].begin;
		if (strncmp(mark, r->held, r->n_held) == 0) {
			*pair = i;
			*whole = strlen(mark) == r->n_held;
			return true;
		}
	}
	return false;
}

/* The first n bytes held, as what they are. */
static void put(reasoning *r, out_buf *out, size_t n)
{
	if (!r->inside) {
		out_bytes(out, r->held, n);
		r->said = r->said || (n && !is_blank(r->held[0]));
	} else if (r->thoughts) {
		out_bytes(r->thoughts, r->held, n);
	}
}

static void feed_byte(reasoning *r, out_buf *out, char c)
{
	size_t pair = 0;
	bool whole = false;
	r->held[r->n_held++] = c;
	/* Of what turns out not to be a mark the first byte goes; the rest may still begin one. */
	while (r->n_held && !may_be_mark(r, &pair, &whole)) {
		put(r, out, 1);
		memmove(r->held, r->held + 1, --r->n_held);
	}
	if (r->n_held && whole) {
		r->ended = r->inside;
		r->inside = !r->inside;
		r->pair = pair;
		r->n_held = 0;
	}
}

void reasoning_feed(reasoning *r, out_buf *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		feed_byte(r, out, text[i]);
}

void reasoning_end(reasoning *r, out_buf *out)
{
	put(r, out, r->n_held);
	r->n_held = 0;
}
