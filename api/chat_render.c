#include "chat_render.h"

#include <math.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

#define FINGERPRINT "sensorium-" SN_VERSION

void chat_render_init(chat_render *r, const char *model)
{
	unsigned char raw[12];
	randombytes_buf(raw, sizeof raw);
	*r = (chat_render){.id = "chatcmpl-", .created = time(NULL), .model = model};
	sodium_bin2hex(r->id + strlen(r->id), sizeof r->id - strlen(r->id), raw, sizeof raw);
}

static void head(out_buf *o, const chat_render *r, const char *object)
{
	out_fmt(o, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":", r->id, object, (long long)r->created);
	out_json_text(o, r->model);
	out_text(o, ",\"system_fingerprint\":\"" FINGERPRINT "\"");
}

static void usage_object(out_buf *o, const sn_usage *u)
{
	out_fmt(o, "{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%llu,\"prompt_tokens_details\":{\"cached_tokens\":%u}}",
	        u->prompt_tokens, u->completion_tokens, (unsigned long long)u->prompt_tokens + u->completion_tokens, u->cached_tokens);
}

static const char *finish_name(sn_finish f)
{
	return f == SN_FINISH_LENGTH ? "length" : "stop";
}

static void logprob_fields(out_buf *o, const sn_top_logprob *t)
{
	out_text(o, "{\"token\":");
	out_json(o, t->bytes, t->size);
	/* JSON has no infinity; OpenAI writes -9999 for a token that cannot be. */
	out_fmt(o, ",\"logprob\":%.9g,\"bytes\":[", isfinite(t->logprob) ? (double)t->logprob : -9999.0);
	for (uint32_t i = 0; i < t->size; i++)
		out_fmt(o, i ? ",%u" : "%u", (unsigned char)t->bytes[i]);
	out_text(o, "]");
}

void chat_render_logprobs(out_buf *o, const sn_token_logprob *tokens, size_t n, bool first)
{
	for (size_t i = 0; i < n; i++) {
		out_text(o, first && i == 0 ? "" : ",");
		logprob_fields(o, &tokens[i].self);
		out_text(o, ",\"top_logprobs\":[");
		for (uint32_t j = 0; j < tokens[i].n_top; j++) {
			out_text(o, j ? "," : "");
			logprob_fields(o, &tokens[i].top[j]);
			out_text(o, "}");
		}
		out_text(o, "]}");
	}
}

static void whole_choice(out_buf *o, const chat_render *r, const chat_choice *c, uint32_t index)
{
	out_fmt(o, "%s{\"index\":%u,\"message\":{\"role\":\"assistant\",\"content\":", index ? "," : "", index);
	out_json(o, c->text.data, c->text.size);
	out_text(o, ",\"refusal\":null},\"logprobs\":");
	if (r->logprobs) {
		out_text(o, "{\"content\":[");
		out_bytes(o, c->logprobs.data, c->logprobs.size);
		out_text(o, "],\"refusal\":null}");
	} else {
		out_text(o, "null");
	}
	out_fmt(o, ",\"finish_reason\":\"%s\"}", finish_name(c->finish));
	o->failed |= c->text.failed || c->logprobs.failed;
}

void chat_render_whole(out_buf *o, const chat_render *r, const chat_choice *choices, uint32_t n, const sn_usage *usage)
{
	head(o, r, "chat.completion");
	out_text(o, ",\"choices\":[");
	for (uint32_t i = 0; i < n; i++)
		whole_choice(o, r, &choices[i], i);
	out_text(o, "],\"usage\":");
	usage_object(o, usage);
	out_text(o, "}");
}

static void chunk_end(out_buf *o, const chat_render *r)
{
	out_text(o, r->usage_in_stream ? ",\"usage\":null}" : "}");
}

void chat_render_role(out_buf *o, const chat_render *r, uint32_t choice)
{
	head(o, r, "chat.completion.chunk");
	out_fmt(o, ",\"choices\":[{\"index\":%u,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]", choice);
	chunk_end(o, r);
}

void chat_render_text(out_buf *o, const chat_render *r, const sn_event *ev)
{
	head(o, r, "chat.completion.chunk");
	out_fmt(o, ",\"choices\":[{\"index\":%u,\"delta\":{\"content\":", ev->choice);
	out_json(o, ev->text, ev->size);
	out_text(o, "},\"logprobs\":");
	if (r->logprobs) {
		out_text(o, "{\"content\":[");
		chat_render_logprobs(o, ev->logprobs, ev->n_logprobs, true);
		out_text(o, "],\"refusal\":null}");
	} else {
		out_text(o, "null");
	}
	out_text(o, ",\"finish_reason\":null}]");
	chunk_end(o, r);
}

void chat_render_finish(out_buf *o, const chat_render *r, const sn_event *ev)
{
	head(o, r, "chat.completion.chunk");
	out_fmt(o, ",\"choices\":[{\"index\":%u,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"%s\"}]", ev->choice, finish_name(ev->finish));
	chunk_end(o, r);
}

void chat_render_usage(out_buf *o, const chat_render *r, const sn_usage *usage)
{
	head(o, r, "chat.completion.chunk");
	out_text(o, ",\"choices\":[],\"usage\":");
	usage_object(o, usage);
	out_text(o, "}");
}
