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
		out_json(o, c->text.data, c->text.size);
		out_text(o, ",\"refusal\":null}");
	}
	logprobs(o, a, choice);
	out_fmt(o, ",\"finish_reason\":\"%s\"}", answer_finish_name(c->finish));
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
	(void)a;
	out_fmt(o, "{\"index\":%u,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"%s\"}", choice, answer_finish_name(ev->finish));
}

const answer_form chat_form = {
	.id_prefix = "chatcmpl-", .object = "chat.completion", .chunk = "chat.completion.chunk",
	.choice = whole, .logprobs = gather, .open = open_choice, .text = text, .sound = sound, .close = close_choice,
};
