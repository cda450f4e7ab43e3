#include <math.h>

#include "forms.h"

static void token_members(out_buf *o, const sn_top_logprob *t)
{
	out_text(o, "\"token\":");
	out_json(o, t->bytes, t->size);
	/* JSON has no infinity; OpenAI writes -9999 for a token that cannot be. */
	out_fmt(o, ",\"logprob\":%.9g,\"bytes\":[", isfinite(t->logprob) ? (double)t->logprob : -9999.0);
	for (uint32_t i = 0; i < t->size; i++)
		out_fmt(o, i ? ",%u" : "%u", (unsigned char)t->bytes[i]);
	out_text(o, "]");
}

static void gather(answer_choice *c, const sn_token_logprob *tokens, size_t n)
{
	out_buf *o = &c->lists[0];
	for (size_t i = 0; i < n; i++) {
		out_text(o, o->size ? ",{" : "{");
		token_members(o, &tokens[i].self);
		out_text(o, ",\"top_logprobs\":[");
		for (uint32_t j = 0; j < tokens[i].n_top; j++) {
			out_text(o, j ? ",{" : "{");
			token_members(o, &tokens[i].top[j]);
			out_text(o, "}");
		}
		out_text(o, "]}");
	}
}

static void logprobs(out_buf *o, const answer *a, uint32_t choice)
{
	if (!a->logprobs) {
		out_text(o, ",\"logprobs\":null");
		return;
	}
	out_text(o, ",\"logprobs\":{\"content\":");
	answer_list(o, &a->choices[choice].lists[0]);
	out_text(o, ",\"refusal\":null}");
}

/* A call ends an answer as a stop does. */
static const char *finish_name(const answer_choice *c, sn_finish finish)
{
	return finish == SN_FINISH_STOP && c->split && chat_split_called(c->split) ? "tool_calls" : answer_finish_name(finish);
}

static void put_calls(out_buf *o, const out_buf *calls)
{
	out_text(o, ",\"tool_calls\":[");
	out_bytes(o, calls->data, calls->size);
	out_text(o, "]");
}

/* content is null where there are calls alone. */
static void whole_message(out_buf *o, const answer_choice *c)
{
	const chat_split *s = c->split;
	const out_buf *content = !s ? &c->text : s->calls ? &s->stream.content : &s->content;
	if (s && s->stream.n_calls && !content->size)
		out_text(o, "null");
	else
		out_json(o, content->data, content->size);
	out_text(o, ",\"refusal\":null");
	if (s && s->thoughts.size) {
		out_text(o, ",\"reasoning_content\":");
		out_json(o, s->thoughts.data, s->thoughts.size);
	}
	if (s && s->stream.n_calls)
		put_calls(o, &s->stream.calls);
	out_text(o, "}");
}

static void delta_member(out_buf *o, const char *name, out_buf *text, bool *some)
{
	if (!text->size)
		return;
	out_fmt(o, "%s\"%s\":", *some ? "," : "", name);
	out_json(o, text->data, text->size);
	text->size = 0;
	*some = true;
}

static void split_delta(out_buf *o, chat_split *s)
{
	bool some = false;
	delta_member(o, "reasoning_content", &s->thoughts, &some);
	delta_member(o, "content", s->calls ? &s->stream.content : &s->content, &some);
	if (s->stream.calls.size) {
		out_text(o, some ? ",\"tool_calls\":[" : "\"tool_calls\":[");
		out_bytes(o, s->stream.calls.data, s->stream.calls.size);
		out_text(o, "]");
		s->stream.calls.size = 0;
	}
	out_text(o, "}");
}

static void whole(out_buf *o, const answer *a, uint32_t choice)
{
	const answer_choice *c = &a->choices[choice];
	out_fmt(o, "{\"index\":%u,\"message\":{\"role\":\"assistant\",\"content\":", choice);
	if (a->voice.narrator) {
		/* OpenAI keeps the sound for a while; here nothing is kept. */
		out_fmt(o, "null,\"refusal\":null,\"audio\":{\"id\":\"%s\",\"expires_at\":%lld,\"data\":\"", a->voice.id, (long long)a->created);
		out_base64(o, a->voice.sound.data, a->voice.sound.size);
		out_text(o, "\",\"transcript\":");
		out_json(o, c->text.data, c->text.size);
		out_text(o, "}}");
	} else {
		whole_message(o, c);
	}
	logprobs(o, a, choice);
	out_fmt(o, ",\"finish_reason\":\"%s\"}", finish_name(c, c->finish));
}

static void open_choice(out_buf *o, const answer *a, uint32_t choice)
{
	out_fmt(o, "{\"index\":%u,\"delta\":{\"role\":\"assistant\",\"content\":", choice);
	if (a->voice.narrator)
		out_fmt(o, "null,\"audio\":{\"id\":\"%s\",\"transcript\":\"\"}", a->voice.id);
	else
		out_text(o, "\"\"");
	out_text(o, "},\"logprobs\":null,\"finish_reason\":null}");
}

static void text(out_buf *o, const answer *a, uint32_t choice, const sn_event *ev)
{
	out_fmt(o, "{\"index\":%u,\"delta\":{", choice);
	if (a->voice.narrator) {
		out_fmt(o, "\"audio\":{\"id\":\"%s\",\"transcript\":", a->voice.id);
		out_json(o, a->voice.words.data, a->voice.words.size);
		out_text(o, "}}");
	} else if (a->choices[choice].split) {
		split_delta(o, a->choices[choice].split);
	} else {
		out_text(o, "\"content\":");
		out_json(o, ev->text, ev->size);
		out_text(o, "}");
	}
	logprobs(o, a, choice);
	out_text(o, ",\"finish_reason\":null}");
}

static void sound(out_buf *o, const answer *a, const char *bytes, size_t size)
{
	out_text(o, "{\"index\":0,\"delta\":{\"audio\":{");
	if (size) {
		out_fmt(o, "\"id\":\"%s\",\"data\":\"", a->voice.id);
		out_base64(o, bytes, size);
		out_text(o, "\"");
	} else {
		out_fmt(o, "\"expires_at\":%lld", (long long)a->created);
	}
	out_text(o, "}},\"logprobs\":null,\"finish_reason\":null}");
}

static void close_choice(out_buf *o, const answer *a, uint32_t choice, const sn_event *ev)
{
	out_fmt(o, "{\"index\":%u,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"%s\"}", choice, finish_name(&a->choices[choice], ev->finish));
}

const answer_form chat_form = {
	.id_prefix = "chatcmpl-", .object = "chat.completion", .chunk = "chat.completion.chunk",
	.choice = whole, .logprobs = gather, .open = open_choice, .text = text, .sound = sound, .close = close_choice,
};
