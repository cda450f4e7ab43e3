#include "speech_parse.h"

#include <string.h>
#include <strings.h>

#include "fault.h"
#include "json.h"

#define MAX_INPUT 4096 /* characters, as OpenAI has it */
#define MAX_INSTRUCTIONS 4096

static int parse_words(const char **text, size_t *size, unsigned max, const char *param, const json_t *v, sn_error *err)
{
	size_t n = 0;
	if (!json_is_string(v))
		return body_wants(err, param, "a string");
	*text = json_string_value(v);
	*size = json_string_length(v);
	for (size_t i = 0; i < *size; i++)
		n += ((*text)[i] & 0xC0) != 0x80; /* jansson has checked that it is UTF-8 */
	return n > max ? fault_set(err, SN_ERR_INVALID, param, "%s has more than %u characters", param, max) : SN_OK;
}

static int parse_input(const field *f, void *into, const json_t *v, sn_error *err)
{
	speech_body *b = into;
	int rc = parse_words(&b->input, &b->input_size, MAX_INPUT, f->name, v, err);
	return rc == SN_OK && b->input_size == 0 ? fault_set(err, SN_ERR_INVALID, f->name, "input is empty") : rc;
}

/* None, and none that says anything, are the same. */
static int parse_instructions(const field *f, void *into, const json_t *v, sn_error *err)
{
	speech_body *b = into;
	int rc = parse_words(&b->instructions, &b->instructions_size, MAX_INSTRUCTIONS, f->name, v, err);
	if (rc == SN_OK && b->instructions_size == 0)
		b->instructions = NULL;
	return rc;
}

static int parse_language(const field *f, void *into, const json_t *v, sn_error *err)
{
	const char *name = body_plain_string(v);
	if (!name || !*name)
		return body_wants(err, f->name, "a language that GET /v1/audio/voices lists, by its name or code, or Auto");
	((speech_body *)into)->language = strcasecmp(name, "Auto") == 0 ? NULL : name;
	return SN_OK;
}

/* As a part of a chat has it: a URL (media_url.h), or an object like input_audio. It is read later: reading may cost something. */
static int parse_ref_audio(const field *f, void *into, const json_t *v, sn_error *err)
{
	speech_reference *r = &((speech_body *)into)->reference;
	const json_t *data = json_object_get(v, "data");
	if (json_is_string(v) && json_string_length(v)) {
		*r = (speech_reference){.url = json_string_value(v), .size = json_string_length(v)};
		return SN_OK;
	}
	r->format = body_plain_string(json_object_get(v, "format"));
	if (!json_is_string(data) || !r->format || json_object_size(v) != 2)
		return body_wants(err, f->name, "a URL, or an object with data, in base64, and format, such as wav");
	r->data = json_string_value(data);
	r->size = json_string_length(data);
	return SN_OK;
}

static int parse_ref_text(const field *f, void *into, const json_t *v, sn_error *err)
{
	if (!json_is_string(v))
		return body_wants(err, f->name, "a string");
	((speech_body *)into)->ref_text = json_string_length(v) ? json_string_value(v) : NULL;
	return SN_OK;
}

static int parse_task_type(const field *f, void *into, const json_t *v, sn_error *err)
{
	const char *s = body_plain_string(v);
	if (!s || (strcmp(s, "CustomVoice") != 0 && strcmp(s, "VoiceDesign") != 0 && strcmp(s, "Base") != 0))
		return body_wants(err, f->name, "CustomVoice, VoiceDesign or Base");
	((speech_body *)into)->task_type = s;
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
	{.name = "instructions", .kind = FIELD_CUSTOM, .parse = parse_instructions,
	 .schema = "{\"type\":\"string\",\"maxLength\":" FIELD_STR(MAX_INSTRUCTIONS) "}",
	 .doc = "How it is to be said, in words; of models that follow instructions (GET /v1/audio/voices)."},
	/* of vLLM-Omni */
	{.name = "language", .kind = FIELD_CUSTOM, .parse = parse_language, .standard = "\"Auto\"", .schema = "{\"type\":\"string\",\"minLength\":1}",
	 .doc = "The name or code of one that GET /v1/audio/voices lists for the model, in any case. Auto: the model, or the voice, has it."},
	{.name = "ref_audio", .kind = FIELD_CUSTOM, .parse = parse_ref_audio,
	 .schema = "{\"anyOf\":[{\"type\":\"string\",\"minLength\":1},{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"data\",\"format\"],"
	           "\"properties\":{\"data\":{\"type\":\"string\",\"contentEncoding\":\"base64\"},\"format\":{\"type\":\"string\"}}}]}",
	 .doc = "A recording in whose voice it is to be said, of models that can (GET /v1/audio/voices): a data: URL, another one where the server allows "
	        "it, or base64 with its format. Then voice is left out, or default."},
	{.name = "ref_text", .kind = FIELD_CUSTOM, .parse = parse_ref_text, .schema = "{\"type\":\"string\"}",
	 .doc = "What is said in ref_audio. Only with x_vector_only_mode, and then without effect: the voice alone is taken from a recording."},
	{.name = "x_vector_only_mode", .kind = FIELD_BOOL, .offset = AT(voice_only), .standard = "false",
	 .doc = "Only with ref_audio, of which the voice alone is taken either way; where ref_text is given it has to be true."},
	{.name = "task_type", .kind = FIELD_CUSTOM, .parse = parse_task_type, .schema = "{\"type\":\"string\",\"enum\":[\"CustomVoice\",\"VoiceDesign\",\"Base\"]}",
	 .doc = "Has to agree with the rest: Base with ref_audio, CustomVoice without; VoiceDesign with instructions, and with neither ref_audio nor a voice "
	        "but default."},
	/* not done here */
	{.name = "stream", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "max_new_tokens", .kind = FIELD_ONLY},
	{.name = "initial_codec_chunk_frames", .kind = FIELD_ONLY},
	{.name = "non_streaming_mode", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "top_p", .kind = FIELD_ONLY, .schema = "1"},
	{.name = "top_k", .kind = FIELD_ONLY, .schema = "0"},
};

const field_table speech_fields = FIELD_TABLE(fields);

/* Which model it is decides what is done; a client that tells, too, has to mean that. */
static int check_task_type(const speech_body *b, bool like, sn_error *err)
{
	const char *s = b->task_type;
	if (!s)
		return SN_OK;
	if ((strcmp(s, "Base") == 0) != like)
		return fault_set(err, SN_ERR_INVALID, "task_type", like ? "task_type with ref_audio must be Base" : "task_type Base needs ref_audio");
	if (strcmp(s, "VoiceDesign") != 0)
		return SN_OK;
	if (!b->instructions)
		return fault_set(err, SN_ERR_INVALID, "task_type", "task_type VoiceDesign needs instructions");
	if (b->voice && strcmp(b->voice, "default") != 0)
		return fault_set(err, SN_ERR_INVALID, "task_type", "task_type VoiceDesign is without a voice: the instructions describe one");
	return SN_OK;
}

static int check_together(speech_body *b, sn_error *err)
{
	bool like = b->reference.url || b->reference.data;
	if (b->ref_text && !like)
		return fault_set(err, SN_ERR_INVALID, "ref_text", "ref_text needs ref_audio");
	if (b->voice_only && !like)
		return fault_set(err, SN_ERR_INVALID, "x_vector_only_mode", "x_vector_only_mode needs ref_audio");
	if (b->ref_text && !b->voice_only)
		return fault_set(err, SN_ERR_UNSUPPORTED, "ref_text", "a recording is not continued from its words here: without ref_text, or with "
		                 "x_vector_only_mode, its voice alone is taken");
	int rc = check_task_type(b, like, err);
	if (rc != SN_OK)
		return rc;
	if (like && b->voice && strcmp(b->voice, "default") == 0) /* the SDK has to send one */
		b->voice = NULL;
	return SN_OK;
}

int speech_body_parse(speech_body *b, const char *data, size_t size, sn_error *err)
{
	const field_table *const tables[] = {&speech_fields};
	void *const into[] = {b};
	*b = (speech_body){.format = sound_format_find("mp3"), .speed = 1, .temperature = -1};
	int rc = body_parse(&b->root, data, size, err);
	if (rc == SN_OK)
		rc = fields_parse(b->root, tables, into, 1, err);
	if (rc == SN_OK)
		rc = check_together(b, err);
	if (rc != SN_OK)
		speech_body_fini(b);
	return rc;
}

void speech_body_fini(speech_body *b)
{
	json_decref(b->root);
	*b = (speech_body){.root = NULL};
}
