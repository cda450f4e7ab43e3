#include "transcription_parse.h"

#include <string.h>

#include "fault.h"
#include "json.h"

#define MAX_FILE_BYTES (25u << 20) /* as OpenAI has it */

static int parse_language(const field *f, void *into, const json_t *v, sn_error *err)
{
	const char *s = body_plain_string(v);
	size_t n = s ? strlen(s) : 0;
	if (n < 2 || n > 8 || strspn(s, "abcdefghijklmnopqrstuvwxyz-") != n)
		return body_wants(err, f->name, "a code of ISO 639-1, such as en");
	((transcription_body *)into)->language = s;
	return SN_OK;
}

static int parse_prompt(const field *f, void *into, const json_t *v, sn_error *err)
{
	transcription_body *b = into;
	b->prompt = json_string_value(v);
	b->prompt_size = json_string_length(v);
	return b->prompt ? SN_OK : body_wants(err, f->name, "a string");
}

static int parse_format(const field *f, void *into, const json_t *v, sn_error *err)
{
	static const char *const names[] = {"json", "text", "verbose_json", "srt", "vtt"}; /* as transcript_form */
	const char *s = body_plain_string(v);
	for (size_t i = 0; s && i < sizeof names / sizeof *names; i++)
		if (strcmp(s, names[i]) == 0) {
			((transcription_body *)into)->form = (transcript_form)i;
			return SN_OK;
		}
	return body_wants(err, f->name, "json, text, verbose_json, srt or vtt");
}

static int parse_granularities(const field *f, void *into, const json_t *v, sn_error *err)
{
	transcription_body *b = into;
	for (size_t i = 0; i < json_array_size(v); i++) {
		const char *s = body_plain_string(json_array_get(v, i));
		bool word = s && strcmp(s, "word") == 0;
		if (!word && (!s || strcmp(s, "segment") != 0))
			return body_wants(err, f->name, "made of word and segment");
		*(word ? &b->words : &b->segments) = true;
	}
	return json_is_array(v) ? SN_OK : body_wants(err, f->name, "a list");
}

static int parse_seed(const field *f, void *into, const json_t *v, sn_error *err)
{
	transcription_body *b = into;
	b->has_seed = true;
	return field_seed(v, f->name, &b->seed, err);
}

#define AT(member) offsetof(transcription_body, member)

static const field fields[] = {
	{.name = "file", .kind = FIELD_FILE, .offset = AT(file), .required = true,
	 .doc = "The recording, at most 25 MiB; of a clip, its sound. What it is, its bytes tell, not its name or type."},
	{.name = "model", .kind = FIELD_NAME, .offset = AT(model), .doc = "A name that GET /v1/models lists; the first that transcribes, else that hears, if none is given."},
	{.name = "language", .kind = FIELD_CUSTOM, .parse = parse_language, .schema = "{\"type\":\"string\",\"pattern\":\"^[a-z-]{2,8}$\"}",
	 .doc = "What is spoken, as a code of ISO 639-1. Found out by the model if not given."},
	{.name = "prompt", .kind = FIELD_CUSTOM, .parse = parse_prompt, .schema = "{\"type\":\"string\"}",
	 .doc = "Words that came before the recording, or that are likely in it."},
	{.name = "response_format", .kind = FIELD_CUSTOM, .parse = parse_format, .standard = "\"json\"",
	 .schema = "{\"type\":\"string\",\"enum\":[\"json\",\"text\",\"verbose_json\",\"srt\",\"vtt\"]}",
	 .doc = "verbose_json, srt and vtt need a model that transcribes: others tell no times."},
	{.name = "temperature", .kind = FIELD_REAL, .offset = AT(temperature), .max = 1, .standard = "0",
	 .doc = "0: the likeliest words, and, with a model that transcribes, more heat where they look wrong."},
	{.name = "timestamp_granularities[]", .kind = FIELD_CUSTOM, .parse = parse_granularities, .standard = "[\"segment\"]",
	 .schema = "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":[\"word\",\"segment\"]}}", .doc = "Only with verbose_json."},
	{.name = "stream", .kind = FIELD_BOOL, .offset = AT(stream), .standard = "false", .doc = "Answer with server-sent events; with response_format json or text."},
	{.name = "seed", .kind = FIELD_CUSTOM, .parse = parse_seed,
	 .schema = FIELD_SEED_SCHEMA, .doc = FIELD_SEED_DOC},
	{.name = "cache_salt", .kind = FIELD_NAME, .offset = AT(cache_salt), .doc = "As in /v1/chat/completions."},
	{.name = "user", .kind = FIELD_TEXT, .doc = "Without effect."},
	{.name = "stream_include_usage", .kind = FIELD_BOOL, .offset = FIELD_NOWHERE, .doc = "Without effect: a stream's last event always has the usage."},
	{.name = "chunking_strategy", .kind = FIELD_ONLY, .schema = "\"auto\""},
	/* of OpenAI, not done here */
	{.name = "include[]", .kind = FIELD_ONLY},
	{.name = "keywords[]", .kind = FIELD_ONLY},
	{.name = "languages[]", .kind = FIELD_ONLY},
	{.name = "known_speaker_names[]", .kind = FIELD_ONLY},
	{.name = "known_speaker_references[]", .kind = FIELD_ONLY},
	/* of vLLM, not done here */
	{.name = "to_language", .kind = FIELD_ONLY, .schema = "\"en\""},
	{.name = "hotwords", .kind = FIELD_ONLY},
	{.name = "top_p", .kind = FIELD_ONLY, .schema = "1"},
	{.name = "top_k", .kind = FIELD_ONLY, .schema = "0"},
	{.name = "min_p", .kind = FIELD_ONLY, .schema = "0"},
	{.name = "frequency_penalty", .kind = FIELD_ONLY, .schema = "0"},
	{.name = "presence_penalty", .kind = FIELD_ONLY, .schema = "0"},
	{.name = "repetition_penalty", .kind = FIELD_ONLY, .schema = "1"},
	{.name = "length_penalty", .kind = FIELD_ONLY, .schema = "1"},
	{.name = "max_completion_tokens", .kind = FIELD_ONLY},
	{.name = "n", .kind = FIELD_ONLY, .schema = "1"},
	{.name = "use_beam_search", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "stream_continuous_usage_stats", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "vllm_xargs", .kind = FIELD_ONLY},
};

const field_table transcription_fields = FIELD_TABLE(fields);

static int check_together(transcription_body *b, sn_error *err)
{
	if (b->file.size == 0)
		return fault_set(err, SN_ERR_INVALID, "file", "the file is empty");
	if (b->file.size > MAX_FILE_BYTES)
		return fault_set(err, SN_ERR_TOO_LARGE, "file", "the file is larger than %u bytes", MAX_FILE_BYTES);
	if ((b->words || b->segments) && b->form != TRANSCRIPT_VERBOSE)
		return fault_set(err, SN_ERR_INVALID, "timestamp_granularities[]", "timestamp_granularities needs response_format to be verbose_json");
	if (b->stream && b->form != TRANSCRIPT_JSON && b->form != TRANSCRIPT_TEXT)
		return fault_set(err, SN_ERR_UNSUPPORTED, "stream", "stream goes with response_format json or text");
	b->segments |= !b->words;
	return SN_OK;
}

int transcription_body_parse(transcription_body *b, const char *content_type, const char *data, size_t size, sn_error *err)
{
	const field_table *const tables[] = {&transcription_fields};
	void *const into[] = {b};
	multipart form;
	*b = (transcription_body){.form = TRANSCRIPT_JSON};
	int rc = multipart_parse(&form, content_type, data, size, err);
	if (rc == SN_OK)
		rc = form_parse(&form, tables, into, 1, &b->root, err);
	if (rc == SN_OK)
		rc = check_together(b, err);
	if (rc != SN_OK)
		transcription_body_fini(b);
	return rc;
}

void transcription_body_fini(transcription_body *b)
{
	json_decref(b->root);
	*b = (transcription_body){.root = NULL};
}
