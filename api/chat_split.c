#include "chat_split.h"

#include <stdlib.h>

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static void move_all(out_buf *to, out_buf *from)
{
	out_bytes(to, from->data, from->size);
	from->size = 0;
}

/* White space at both ends of thoughts is nothing. */
static void think(chat_split *s)
{
	for (size_t i = 0; i < s->raw_thoughts.size; i++) {
		const char *c = &s->raw_thoughts.data[i];
		if (!is_blank(*c)) {
			move_all(&s->thoughts, &s->tail);
			out_bytes(&s->thoughts, c, 1);
			s->reasoning.thought = true;
		} else if (s->reasoning.thought) {
			out_bytes(&s->tail, c, 1);
		}
	}
	s->raw_thoughts.size = 0;
}

static void say(chat_split *s, const char *text, size_t size)
{
	if (s->calls)
		tool_stream_feed(&s->stream, text, size);
	else
		out_bytes(&s->content, text, size);
}

/* White space between thoughts and content is nothing, nor is that before thoughts. */
static void say_behind_thoughts(chat_split *s)
{
	size_t i = 0;
	while (!s->begun && i < s->raw.size && is_blank(s->raw.data[i]))
		i++;
	if (!s->begun)
		out_bytes(&s->lead, s->raw.data, i);
	if (s->reasoning.ended || s->reasoning.inside)
		s->lead.size = 0;
	if (i < s->raw.size) {
		say(s, s->lead.data, s->lead.size);
		s->lead.size = 0;
		s->begun = true;
		say(s, s->raw.data + i, s->raw.size - i);
	}
	s->raw.size = 0;
}

void chat_split_feed(chat_split *s, const char *text, size_t size)
{
	if (!s->thinks) {
		say(s, text, size);
		return;
	}
	s->reasoning.thoughts = &s->raw_thoughts;
	reasoning_feed(&s->reasoning, &s->raw, text, size);
	think(s);
	say_behind_thoughts(s);
}

void chat_split_end(chat_split *s)
{
	if (s->thinks) {
		reasoning_end(&s->reasoning, &s->raw);
		think(s);
		say_behind_thoughts(s);
		say(s, s->lead.data, s->lead.size);
		s->lead.size = 0;
	}
	if (s->calls)
		tool_stream_end(&s->stream);
}

bool chat_split_has(const chat_split *s)
{
	return s->content.size || s->thoughts.size || s->stream.content.size || s->stream.calls.size;
}

bool chat_split_called(const chat_split *s)
{
	return s->calls && tool_stream_called(&s->stream);
}

bool chat_split_failed(const chat_split *s)
{
	return s->raw.failed || s->raw_thoughts.failed || s->lead.failed || s->tail.failed || s->content.failed || s->thoughts.failed ||
	       tool_stream_failed(&s->stream);
}

chat_split *chat_split_open(const reasoning *thinking, const sn_tool_format *format, const tools *known, bool gather)
{
	chat_split *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->thinks = thinking != NULL;
	s->calls = known != NULL;
	if (thinking)
		s->reasoning = *thinking;
	s->reasoning.at_start = true;
	if (known)
		tool_stream_init(&s->stream, format, known, gather);
	return s;
}

void chat_split_close(chat_split **s)
{
	if (!*s)
		return;
	tool_stream_fini(&(*s)->stream);
	out_fini(&(*s)->raw);
	out_fini(&(*s)->raw_thoughts);
	out_fini(&(*s)->lead);
	out_fini(&(*s)->tail);
	out_fini(&(*s)->content);
	out_fini(&(*s)->thoughts);
	free(*s);
	*s = NULL;
}
