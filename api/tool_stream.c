#include "tool_stream.h"

#include <sodium.h>
#include <string.h>

#define MAX_HEADER 1024 /* bytes from a call's beginning to its arguments */

/* ---- matching what is held ---- */

typedef enum match { MATCH_NO, MATCH_MORE, MATCH_YES } match;

typedef struct cursor {
	const char *p;
	size_t at, n;
	bool quoted; /* inside a string of JSON */
} cursor;

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
static bool is_mark(char c) { return c && strchr("{}[],:;\"", c); }

static bool is_name(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-';
}

static void skip_blanks(cursor *c)
{
	while (c->at < c->n && is_blank(c->p[c->at]))
		c->at++;
}

/* Between tokens of JSON white space may be more or less than the piece has. */
static match match_piece(cursor *c, const char *piece)
{
	for (const char *p = piece; *p; p++) {
		bool loose = !c->quoted && (p == piece || is_blank(*p) || is_blank(p[-1]) || is_mark(*p) || is_mark(p[-1]));
		if (loose)
			skip_blanks(c);
		if (is_blank(*p) && !c->quoted)
			continue;
		if (c->at == c->n)
			return MATCH_MORE;
		if (c->p[c->at] != *p)
			return MATCH_NO;
		c->at++;
		if (*p == '"')
			c->quoted = !c->quoted;
	}
	return MATCH_YES;
}

/* A piece that may be left out. */
static match match_maybe(cursor *c, const char *piece)
{
	cursor try = *c;
	match m = *piece ? match_piece(&try, piece) : MATCH_NO;
	if (m == MATCH_YES)
		*c = try;
	return m;
}

static match match_name(cursor *c, const tools *known, const tool **out)
{
	size_t begin = c->at;
	while (c->at < c->n && is_name(c->p[c->at]))
		c->at++;
	size_t n = c->at - begin;
	bool over = c->at < c->n, some = false;
	for (size_t i = 0; i < known->n; i++) {
		const char *name = known->list[i].name;
		if (known->named && strcmp(name, known->named) != 0)
			continue;
		some = some || strncmp(name, c->p + begin, n) == 0;
		if (over && strlen(name) == n && memcmp(name, c->p + begin, n) == 0) {
			*out = &known->list[i];
			return MATCH_YES;
		}
	}
	return over || !some ? MATCH_NO : MATCH_MORE;
}

/* What may stand between a name and the piece behind it. */
static match match_id(cursor *c, const char *mark)
{
	match m = mark ? match_maybe(c, mark) : MATCH_NO;
	if (m != MATCH_YES)
		return m == MATCH_MORE && c->at < c->n ? MATCH_MORE : MATCH_YES;
	for (int i = 0; i < TOOL_ID_SIZE - 1; i++, c->at++) {
		if (c->at == c->n)
			return MATCH_MORE;
		if (!is_name(c->p[c->at]))
			return MATCH_NO;
	}
	return MATCH_YES;
}

/* open NAME arguments, and the brace that begins them. */
static match match_call(cursor *c, const tool_stream *s, const tool **out)
{
	const sn_tool_format *f = s->format;
	match m = match_piece(c, f->open);
	if (m == MATCH_YES)
		m = match_name(c, s->tools, out);
	if (m == MATCH_YES)
		m = match_id(c, f->id);
	if (m == MATCH_YES)
		m = match_piece(c, f->arguments);
	if (m != MATCH_YES)
		return m;
	skip_blanks(c);
	if (c->at == c->n)
		return MATCH_MORE;
	return c->p[c->at++] == '{' ? MATCH_YES : MATCH_NO;
}

static match match_first(cursor *c, const tool_stream *s, const tool **out)
{
	const sn_tool_format *f = s->format;
	if (!*f->begin && (s->said || s->n_calls))
		return MATCH_NO;
	if (*f->may_begin && match_maybe(c, f->may_begin) == MATCH_MORE)
		return MATCH_MORE;
	match m = match_piece(c, f->begin);
	if (m == MATCH_YES)
		m = match_piece(c, f->head);
	return m == MATCH_YES ? match_call(c, s, out) : m;
}

static match match_next(cursor *c, const tool_stream *s, const tool **out)
{
	match m = match_piece(c, s->format->between);
	return m == MATCH_YES ? match_call(c, s, out) : m;
}

/* ---- telling ---- */

static void tell_call(tool_stream *s)
{
	out_buf *o = &s->calls;
	if (!s->n_calls || (!s->fresh && !s->arguments.size))
		return;
	out_text(o, o->size ? ",{" : "{");
	if (!s->gather)
		out_fmt(o, "\"index\":%u%s", s->n_calls - 1, s->fresh ? "," : "");
	if (s->fresh)
		out_fmt(o, "\"id\":\"%s\",\"type\":\"function\"", s->id);
	out_text(o, ",\"function\":{");
	if (s->fresh)
		out_fmt(o, "\"name\":\"%s\",", s->tool->name);
	out_text(o, "\"arguments\":");
	out_json(o, s->arguments.data, s->arguments.size);
	out_text(o, "}}");
	s->fresh = false;
	s->arguments.size = 0;
}

static void begin_call(tool_stream *s, const tool *called)
{
	static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	tell_call(s);
	for (size_t i = 0; i < TOOL_ID_SIZE - 1; i++)
		s->id[i] = letters[randombytes_uniform(sizeof letters - 1)];
	s->tool = called;
	s->n_calls++;
	s->fresh = true;
	s->whole = s->in_string = s->escaped = false;
	s->depth = 1;
	s->place = TOOL_IN_ARGUMENTS;
	out_bytes(&s->arguments, "{", 1);
}

static void push_argument(tool_stream *s, char c)
{
	out_bytes(&s->arguments, &c, 1);
	if (s->in_string) {
		s->in_string = s->escaped || c != '"';
		s->escaped = !s->escaped && c == '\\';
		return;
	}
	s->in_string = c == '"';
	if (c == '{' || c == '[')
		s->depth++;
	if (c == '}' || c == ']')
		s->depth--;
	if (s->depth == 0) {
		s->whole = true;
		s->place = TOOL_AT_CLOSE;
	}
}

/* ---- what is held ---- */

/* Is there anything to be decided now? The rest of held is looked at again. */
static bool decide_content(tool_stream *s)
{
	const tool *called = NULL;
	size_t blanks = 0;
	while (blanks < s->held.size && is_blank(s->held.data[blanks]))
		blanks++;
	if (blanks == s->held.size)
		return false;
	cursor c = {.p = s->held.data + blanks, .n = s->held.size - blanks};
	match m = c.n > MAX_HEADER ? MATCH_NO : match_first(&c, s, &called);
	if (m == MATCH_MORE)
		return false;
	if (m == MATCH_YES) {
		out_drop(&s->held, blanks + c.at);
		begin_call(s, called);
		return true;
	}
	out_bytes(&s->content, s->held.data, blanks + 1);
	out_drop(&s->held, blanks + 1);
	s->said = true;
	return true;
}

static bool decide_close(tool_stream *s)
{
	cursor c = {.p = s->held.data, .n = s->held.size};
	match m = match_piece(&c, s->format->close);
	if (m == MATCH_MORE)
		return false;
	if (m == MATCH_YES)
		out_drop(&s->held, c.at);
	s->place = m == MATCH_YES ? TOOL_BEHIND : TOOL_IN_CONTENT;
	return true;
}

static bool decide_behind(tool_stream *s)
{
	const tool *called = NULL;
	cursor c = {.p = s->held.data, .n = s->held.size}, end = c;
	match m = c.n > MAX_HEADER ? MATCH_NO : match_next(&c, s, &called);
	if (m == MATCH_MORE)
		return false;
	if (m == MATCH_YES) {
		out_drop(&s->held, c.at);
		begin_call(s, called);
		return true;
	}
	m = match_piece(&end, s->format->end);
	if (m == MATCH_MORE)
		return false;
	if (m == MATCH_YES)
		out_drop(&s->held, end.at);
	s->place = TOOL_IN_CONTENT;
	return true;
}

/* Takes held as far as it can be decided. */
static void settle(tool_stream *s)
{
	bool on = s->held.size > 0;
	while (on && !s->held.failed) {
		switch (s->place) {
		case TOOL_IN_ARGUMENTS:
			push_argument(s, s->held.data[0]);
			out_drop(&s->held, 1);
			break;
		case TOOL_IN_CONTENT:
			on = decide_content(s);
			break;
		case TOOL_AT_CLOSE:
			on = decide_close(s);
			break;
		case TOOL_BEHIND:
			on = decide_behind(s);
			break;
		}
		on = on && s->held.size;
	}
}

void tool_stream_feed(tool_stream *s, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (s->place == TOOL_IN_ARGUMENTS && !s->held.size) {
			push_argument(s, text[i]);
			continue;
		}
		out_bytes(&s->held, text + i, 1);
		settle(s);
	}
	if (!s->gather)
		tell_call(s);
}

/* Is what is held a call that was cut off before its name was told? A mark that opens calls stands in no words. */
static bool is_cut_call(const tool_stream *s, size_t blanks)
{
	const char *mark = *s->format->begin ? s->format->begin : s->format->may_begin;
	cursor c = {.p = s->held.data + blanks, .n = s->held.size - blanks};
	return *mark && c.n && match_piece(&c, mark) == MATCH_YES;
}

/* What was held is content, but for what was cut off of a call or behind one, and for white space behind a call. */
void tool_stream_end(tool_stream *s)
{
	size_t blanks = 0;
	while (blanks < s->held.size && is_blank(s->held.data[blanks]))
		blanks++;
	if (s->place == TOOL_IN_CONTENT && !is_cut_call(s, blanks) && (blanks < s->held.size || !s->n_calls))
		out_bytes(&s->content, s->held.data, s->held.size);
	s->held.size = 0;
	tell_call(s);
}

bool tool_stream_called(const tool_stream *s)
{
	return s->n_calls && s->whole;
}

bool tool_stream_failed(const tool_stream *s)
{
	return s->held.failed || s->arguments.failed || s->content.failed || s->calls.failed;
}

void tool_stream_init(tool_stream *s, const sn_tool_format *format, const tools *known, bool gather)
{
	*s = (tool_stream){.format = format, .tools = known, .gather = gather};
}

void tool_stream_fini(tool_stream *s)
{
	out_fini(&s->held);
	out_fini(&s->arguments);
	out_fini(&s->content);
	out_fini(&s->calls);
}
