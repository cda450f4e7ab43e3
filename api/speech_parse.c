#include "speech_parse.h"

#include <string.h>

#include "fault.h"
#include "json.h"

#define MAX_INPUT 4096 /* characters, as OpenAI has it */

static int parse_input(const field *f, void *into, const json_t *v, sn_error *err)
{
	speech_body *b = into;
	size_t n = 0;
	if (!json_is_string(v))
		return body_wants(err, f->name, "a string");
	b->input = json_string_value(v);
	b->input_size = json_string_length(v);
	for (size_t i = 0; i < b->input_size; i++)
		n += (b->input[i] & 0xC0) != 0x80; /* jansson has checked that it is UTF-8 */
	if (n == 0)
		return fault_set(err, SN_ERR_INVALID, f->name, "input is empty");
	if (n > MAX_INPUT)
		return fault_set(err, SN_ERR_INVALID, f->name, "input has more than %d characters", MAX_INPUT);
	return SN_OK;
}

int voice_parse(const char **out, const char *param, const json_t *v, sn_error *err)
{
	if (json_is_object(v))
		return fault_set(err, SN_ERR_UNSUPPORTED, param, "%s takes the name of a voice that GET /v1/audio/voices lists: there are no custom voices here", param);
	const char *name = body_plain_string(v);
	if (!name || !*name)
		return body_wants(err, param, "the name of a voice that GET /v1/audio/voices lists");
	*out = name;
	return SN_OK;
}

static int parse_voice(const field *f, void *into, const json_t *v, sn_error *err)
{
	return voice_parse(&((speech_body *)into)->voice, f->name, v, err);
}

static int parse_format(const field *f, void *into, const json_t *v, sn_error *err)
{
	return sound_format_parse(&((speech_body *)into)->format, f->name, body_plain_string(v), "pcm", err);
}

static int parse_stream_format(const field *f, void *into, const json_t *v, sn_error *err)
{
	const char *s = body_plain_string(v);
	speech_body *b = into;
	b->events = s && strcmp(s, "sse") == 0;
	return b->events || (s && strcmp(s, "audio") == 0) ? SN_OK : body_wants(err, f->name, "audio or sse");
}

static int parse_seed(const field *f, void *into, const json_t *v, sn_error *err)
{
	speech_body *b = into;
	b->has_seed = true;
	return field_seed(v, f->name, &b->seed, err);
}

#define AT(member) offsetof(speech_body, member)

static const field fields[] = {
	{.name = "input", .kind = FIELD_CUSTOM, .required = true, .parse = parse_input,
	 .schema = "{\"type\":\"string\",\"minLength\":1,\"maxLength\":" FIELD_STR(MAX_INPUT) "}", .doc = "What is said."},
	{.name = "model", .kind = FIELD_NAME, .offset = AT(model), .doc = "A name that GET /v1/models lists, of a model that speaks; the first that does if none is given."},
	{.name = "voice", .kind = FIELD_CUSTOM, .parse = parse_voice, .standard = "\"default\"", .schema = "{\"type\":\"string\",\"minLength\":1}",
	 .doc = "One of GET /v1/audio/voices."},
	{.name = "response_format", .kind = FIELD_CUSTOM, .parse = parse_format, .standard = "\"mp3\"",
	 .schema = "{\"type\":\"string\",\"enum\":[\"mp3\",\"opus\",\"flac\",\"wav\",\"pcm\"]}",
	 .doc = "pcm: signed 16 bits, little-endian, one channel, no header. A WAV header says that its length is not known. opus comes as Ogg."},
	{.name = "speed", .kind = FIELD_REAL, .offset = AT(speed), .min = 0.25, .max = 4, .standard = "1", .doc = "At the same pitch."},
	{.name = "stream_format", .kind = FIELD_CUSTOM, .parse = parse_stream_format, .standard = "\"audio\"",
	 .schema = "{\"type\":\"string\",\"enum\":[\"audio\",\"sse\"]}", .doc = "Bytes, or events with bytes in base64; both come as the sound is made."},
	{.name = "temperature", .kind = FIELD_REAL, .offset = AT(temperature), .max = 2, .doc = "The model's own if not given."},
	{.name = "seed", .kind = FIELD_CUSTOM, .parse = parse_seed, .schema = FIELD_SEED_SCHEMA, .doc = FIELD_SEED_DOC},
	{.name = "cache_salt", .kind = FIELD_NAME, .offset = AT(cache_salt), .doc = "As in /v1/chat/completions."},
	/* no model here takes them yet */
	{.name = "instructions", .kind = FIELD_ONLY, .schema = "\"\""},
	{.name = "language", .kind = FIELD_ONLY, .schema = "\"Auto\""},
	/* of vLLM-Omni, not done here */
	{.name = "stream", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "task_type", .kind = FIELD_ONLY, .schema = "\"CustomVoice\""},
	{.name = "ref_audio", .kind = FIELD_ONLY},
	{.name = "ref_text", .kind = FIELD_ONLY},
	{.name = "x_vector_only_mode", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "max_new_tokens", .kind = FIELD_ONLY},
	{.name = "initial_codec_chunk_frames", .kind = FIELD_ONLY},
	{.name = "non_streaming_mode", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "top_p", .kind = FIELD_ONLY, .schema = "1"},
	{.name = "top_k", .kind = FIELD_ONLY, .schema = "0"},
};

const field_table speech_fields = FIELD_TABLE(fields);

int speech_body_parse(speech_body *b, const char *data, size_t size, sn_error *err)
{
	const field_table *const tables[] = {&speech_fields};
	void *const into[] = {b};
	*b = (speech_body){.format = sound_format_find("mp3"), .speed = 1, .temperature = -1};
	int rc = body_parse(&b->root, data, size, err);
	if (rc == SN_OK)
		rc = fields_parse(b->root, tables, into, 1, err);
	if (rc != SN_OK)
		speech_body_fini(b);
	return rc;
}

void speech_body_fini(speech_body *b)
{
	json_decref(b->root);
	*b = (speech_body){.root = NULL};
}
