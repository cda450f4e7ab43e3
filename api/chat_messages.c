/* chat_messages.c - the `messages` of a chat: roles, texts, and media of any kind by their URLs (media_url.h).
 *
 * Counts are checked before anything is allocated, and a medium's size before it is decoded. */
#include <stdlib.h>
#include <string.h>

#include "chat_messages.h"
#include "fault.h"
#include "json.h"

#define MAX_MESSAGES 4096
#define MAX_PARTS 16384
#define PARAM_SIZE 128 /* cut to what sn_error holds */
#define MAX_CLIP_FPS 1000
#define MAX_CLIP_FRAMES 65536
#define MAX_CLIP_SECONDS 86400

const char chat_messages_schema[] =
	"{\"type\":\"array\",\"minItems\":1,\"maxItems\":" FIELD_STR(MAX_MESSAGES) ",\"items\":{\"$ref\":\"#/components/schemas/Message\"}}";

int chat_check_keys(const json_t *object, const char *const *known, const char *param, sn_error *err)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)object, key, value) {
		size_t i = 0;
		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i] && !json_is_null(value))
			return fault_set(err, SN_ERR_INVALID, param, "%s has a field that is not supported", param);
	}
	return SN_OK;
}

/* Takes a place among the media of that kind. */
static int add_medium(chat_messages *b, sn_part *out, const char *kind, media_bytes *d, const char *param, sn_error *err)
{
	uint32_t same = 1, most = options_media_limit(b->limits->options, kind);
	for (size_t i = 0; i < b->n_media; i++)
		same += strcmp(b->kinds[i], kind) == 0;
	if (same > most || b->n_media == SN_MAX_MEDIA) {
		media_bytes_fini(d);
		return fault_set(err, SN_ERR_INVALID, param, "more than %u media of kind %s in one request (--limit-mm-per-prompt)", most, kind);
	}
	snprintf(b->kinds[b->n_media], SN_KIND_SIZE, "%s", kind);
	b->media[b->n_media] = *d;
	d = &b->media[b->n_media];
	*out = (sn_part){.kind = SN_PART_MEDIA, .kind_name = b->kinds[b->n_media++], .data = d->data, .size = d->size, .mime = d->mime[0] ? d->mime : NULL};
	return SN_OK;
}

static int read_url(const chat_messages *b, media_bytes *d, const json_t *url, const char *param, sn_error *err)
{
	return media_url_read(b->limits->reader, d, json_string_value(url), json_string_length(url), b->limits->media_bytes, param, err);
}

/* ---- how much of a clip is looked at ---- */

/* A number above min, or from min on; where there is none *out stays as it is. */
static int clip_number(const json_t *v, const char *place, const char *name, double min, bool open_min, double max, double *out, sn_error *err)
{
	char param[PARAM_SIZE];
	const json_t *number = json_object_get(v, name);
	if (!number || json_is_null(number))
		return SN_OK;
	snprintf(param, sizeof param, "%.100s.%s", place, name);
	if (!json_is_number(number))
		return body_wants(err, param, "a number");
	const double d = json_number_value(number);
	if (!(open_min ? d > min : d >= min) || d > max)
		return fault_set(err, SN_ERR_INVALID, param, "%s must be %s %g and at most %g", name, open_min ? "above" : "at least", min, max);
	*out = d;
	return SN_OK;
}

static int clip_options(sn_part *out, const json_t *v, const char *place, sn_error *err)
{
	char param[PARAM_SIZE];
	int64_t n = 0;
	const json_t *frames = json_object_get(v, "max_frames");
	int rc = clip_number(v, place, "fps", 0, true, MAX_CLIP_FPS, &out->fps, err);
	if (rc == SN_OK)
		rc = clip_number(v, place, "start", 0, false, MAX_CLIP_SECONDS, &out->start, err);
	if (rc == SN_OK)
		rc = clip_number(v, place, "end", out->start, true, MAX_CLIP_SECONDS, &out->end, err);
	snprintf(param, sizeof param, "%.100s.max_frames", place);
	if (rc == SN_OK && frames && !json_is_null(frames))
		rc = field_integer(frames, param, 1, MAX_CLIP_FRAMES, &n, err);
	out->max_frames = (uint32_t)n;
	return rc;
}

/* ---- parts that hold media ---- */

/* {"type":"K_url","K_url":{"url":...}}, for any kind K: whether the model takes it is the engine's to say. */
static int add_url(chat_messages *b, sn_part *out, const char *kind, const json_t *v, const char *param, sn_error *err)
{
	static const char *const of_all[] = {"url", "detail", NULL};
	static const char *const of_clips[] = {"url", "fps", "max_frames", "start", "end", NULL};
	const bool clip = strcmp(kind, "video") == 0;
	sn_part how = {.fps = 0};
	const json_t *url = json_is_string(v) ? v : json_object_get(v, "url");
	const json_t *detail = json_is_object(v) ? json_object_get(v, "detail") : NULL;
	media_bytes d;
	int rc = json_is_object(v) ? chat_check_keys(v, clip ? of_clips : of_all, param, err) : SN_OK;
	if (rc != SN_OK)
		return rc;
	if (!json_is_string(url))
		return body_wants(err, param, "an object with a url, or a URL");
	if (clip && (rc = clip_options(&how, v, param, err)) != SN_OK)
		return rc;
	if (detail && !json_is_null(detail)) {
		const char *s = body_plain_string(detail);
		if (!s || (strcmp(s, "auto") != 0 && strcmp(s, "low") != 0 && strcmp(s, "high") != 0))
			return fault_set(err, SN_ERR_INVALID, param, "detail must be auto, low or high");
	}
	if ((rc = read_url(b, &d, url, param, err)) != SN_OK || (rc = add_medium(b, out, kind, &d, param, err)) != SN_OK)
		return rc;
	out->fps = how.fps;
	out->start = how.start;
	out->end = how.end;
	out->max_frames = how.max_frames;
	return SN_OK;
}

/* OpenAI's {"type":"file","file":{"file_data":"data:...","filename":...}}: what it is, its bytes tell. */
static int add_file(chat_messages *b, sn_part *out, const json_t *v, const char *param, sn_error *err)
{
	static const char *const known[] = {"file_data", "filename", NULL};
	const json_t *data = json_object_get(v, "file_data"), *name = json_object_get(v, "filename");
	media_bytes d;
	if (!json_is_object(v))
		return body_wants(err, param, "an object with file_data");
	int rc = chat_check_keys(v, known, param, err);
	if (rc != SN_OK)
		return rc;
	if (!json_is_string(data))
		return body_wants(err, param, "an object with file_data, a data: URL");
	if (name && !json_is_null(name) && !json_is_string(name))
		return fault_set(err, SN_ERR_INVALID, param, "filename must be a string");
	if ((rc = read_url(b, &d, data, param, err)) != SN_OK)
		return rc;
	const char *kind = sn_engine_kind_of(b->limits->engine, d.data, d.size, d.mime[0] ? d.mime : NULL);
	if (!kind) {
		media_bytes_fini(&d);
		return fault_set(err, SN_ERR_MEDIA_TYPE, param, "no codec here knows what this file is");
	}
	return add_medium(b, out, kind, &d, param, err);
}

/* OpenAI's {"type":"input_audio","input_audio":{"data":base64,"format":"wav"}}: the format must agree with the bytes. */
static int add_sound(chat_messages *b, sn_part *out, const json_t *v, const char *param, sn_error *err)
{
	static const char *const known[] = {"data", "format", NULL};
	const json_t *data = json_object_get(v, "data");
	const char *format = body_plain_string(json_object_get(v, "format"));
	media_bytes d;
	int rc = json_is_object(v) ? chat_check_keys(v, known, param, err) : SN_OK;
	if (rc != SN_OK)
		return rc;
	if (!json_is_string(data) || !format)
		return body_wants(err, param, "an object with data, in base64, and format, such as wav");
	rc = media_base64_read(&d, "audio", format, json_string_value(data), json_string_length(data), b->limits->media_bytes, param, err);
	return rc == SN_OK ? add_medium(b, out, "audio", &d, param, err) : rc;
}

/* "image" of "image_url"; false if the type is of another form. */
static bool kind_of_type(char kind[SN_KIND_SIZE], const char *type)
{
	static const char ending[] = "_url";
	size_t n = strlen(type), e = sizeof ending - 1;
	if (n <= e || n - e >= SN_KIND_SIZE || strcmp(type + n - e, ending) != 0 ||
	    strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789-_") != n)
		return false;
	memcpy(kind, type, n - e);
	kind[n - e] = 0;
	return true;
}

/* "messages[m].content[p]" and what follows, as OpenAI names the place of a mistake. */
static void part_place(char param[PARAM_SIZE], size_t m, size_t p, const char *rest)
{
	snprintf(param, PARAM_SIZE, "messages[%zu].content[%zu]%.60s", m, p, rest);
}

static int add_text(sn_part *out, const json_t *part, size_t m, size_t p, sn_error *err)
{
	static const char *const known[] = {"type", "text", NULL};
	char param[PARAM_SIZE];
	const json_t *text = json_object_get(part, "text");
	part_place(param, m, p, "");
	int rc = chat_check_keys(part, known, param, err);
	if (rc != SN_OK)
		return rc;
	part_place(param, m, p, ".text");
	if (!json_is_string(text))
		return body_wants(err, param, "a string");
	*out = (sn_part){.kind = SN_PART_TEXT, .data = json_string_value(text), .size = json_string_length(text)};
	return SN_OK;
}

/* How a part of some type holds a medium. */
typedef enum media_form { FORM_NONE, FORM_URL, FORM_FILE, FORM_SOUND } media_form;

static media_form media_form_of(char kind[SN_KIND_SIZE], const char *type)
{
	if (!type)
		return FORM_NONE;
	if (strcmp(type, "file") == 0)
		return FORM_FILE;
	if (strcmp(type, "input_audio") == 0)
		return FORM_SOUND;
	return kind_of_type(kind, type) ? FORM_URL : FORM_NONE;
}

static int add_media(chat_messages *b, sn_part *out, media_form form, const char *kind, const json_t *v, const char *param, sn_error *err)
{
	if (form == FORM_FILE)
		return add_file(b, out, v, param, err);
	return form == FORM_SOUND ? add_sound(b, out, v, param, err) : add_url(b, out, kind, v, param, err);
}

static int add_part(chat_messages *b, const json_t *part, bool media_allowed, size_t m, size_t p, sn_error *err)
{
	char param[PARAM_SIZE], place[40], kind[SN_KIND_SIZE];
	sn_part *out = &b->parts[b->n_parts];
	const char *type = body_plain_string(json_object_get(part, "type"));
	int rc;
	part_place(param, m, p, "");
	if (!json_is_object(part))
		return body_wants(err, param, "an object");
	media_form form = media_form_of(kind, type);
	if (type && strcmp(type, "text") == 0) {
		rc = add_text(out, part, m, p, err);
	} else if (form != FORM_NONE) {
		const char *const known[] = {"type", type, NULL};
		if ((rc = chat_check_keys(part, known, param, err)) != SN_OK)
			return rc;
		snprintf(place, sizeof place, ".%.35s", type);
		part_place(param, m, p, place);
		if (b->limits->text_only)
			return fault_set(err, SN_ERR_UNSUPPORTED, param, "media are not tokens: only text is taken here");
		if (!media_allowed)
			return fault_set(err, SN_ERR_INVALID, param, "media belong into messages of the user");
		rc = add_media(b, out, form, kind, json_object_get(part, type), param, err);
	} else {
		part_place(param, m, p, ".type");
		return fault_set(err, type ? SN_ERR_UNSUPPORTED : SN_ERR_INVALID, param,
		                 "parts are of type text, file, input_audio, or KIND_url (image_url) with a kind that the model takes");
	}
	if (rc != SN_OK)
		return rc;
	b->n_parts++;
	return SN_OK;
}

/* OpenAI's developer is what templates know as system. */
static const char *role_of(const json_t *v)
{
	static const char *const roles[][2] = {{"system", "system"}, {"developer", "system"}, {"user", "user"}, {"assistant", "assistant"}, {"tool", "tool"}};
	const char *s = body_plain_string(v);
	for (size_t i = 0; s && i < sizeof roles / sizeof *roles; i++)
		if (strcmp(s, roles[i][0]) == 0)
			return roles[i][1];
	return NULL;
}

static int add_content(chat_messages *b, sn_message *out, const json_t *content, size_t index, sn_error *err)
{
	char param[PARAM_SIZE];
	int rc = SN_OK;
	snprintf(param, sizeof param, "messages[%zu].content", index);
	if (json_is_string(content)) {
		b->parts[b->n_parts++] = (sn_part){.kind = SN_PART_TEXT, .data = json_string_value(content), .size = json_string_length(content)};
		out->is_string = true;
	} else if (json_is_array(content) && json_array_size(content) > 0) {
		bool from_user = strcmp(out->role, "user") == 0;
		for (size_t i = 0; i < json_array_size(content) && rc == SN_OK; i++)
			rc = add_part(b, json_array_get(content, i), from_user, index, i, err);
	} else if ((!content || json_is_null(content)) && out->n_calls) {
		out->no_content = true;
	} else {
		return body_wants(err, param, "a string or a non-empty list of parts");
	}
	out->n_parts = (size_t)(b->parts + b->n_parts - out->parts);
	return rc;
}

/* What the assistant thought, as DeepSeek's, vLLM's and our own answers call it. */
static int add_thinking(sn_message *out, const json_t *message, size_t index, sn_error *err)
{
	static const char *const names[] = {"reasoning_content", "reasoning"};
	char param[PARAM_SIZE];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const json_t *v = json_object_get(message, names[i]);
		snprintf(param, sizeof param, "messages[%zu].%s", index, names[i]);
		if (!v || json_is_null(v))
			continue;
		if (!json_is_string(v))
			return body_wants(err, param, "a string");
		out->thinking = json_string_value(v);
		out->thinking_size = json_string_length(v);
	}
	return SN_OK;
}

static const char *const *known_fields(const char *role)
{
	static const char *const of_all[] = {"role", "content", "name", NULL};
	static const char *const of_assistant[] = {"role", "content", "name", "tool_calls", "reasoning_content", "reasoning", NULL};
	static const char *const of_tool[] = {"role", "content", "name", "tool_call_id", NULL};
	return strcmp(role, "assistant") == 0 ? of_assistant : strcmp(role, "tool") == 0 ? of_tool : of_all;
}

static int add_message(chat_messages *b, const json_t *message, size_t index, sn_error *err)
{
	char where[PARAM_SIZE], param[PARAM_SIZE];
	snprintf(where, sizeof where, "messages[%zu]", index);
	if (!json_is_object(message))
		return body_wants(err, where, "an object");
	const json_t *name = json_object_get(message, "name"), *calls = json_object_get(message, "tool_calls");
	sn_message *out = &b->list[index];
	*out = (sn_message){.role = role_of(json_object_get(message, "role")), .parts = b->parts + b->n_parts};
	snprintf(param, sizeof param, "messages[%zu].role", index);
	if (!out->role)
		return body_wants(err, param, "system, developer, user, assistant or tool");
	int rc = chat_check_keys(message, known_fields(out->role), where, err);
	if (rc != SN_OK)
		return rc;
	snprintf(param, sizeof param, "messages[%zu].name", index);
	if (name && !json_is_null(name) && !json_is_string(name))
		return body_wants(err, param, "a string");
	if (strcmp(out->role, "tool") == 0)
		rc = chat_result_parse(b, out, message, index, err);
	else if (calls && !json_is_null(calls))
		rc = chat_calls_parse(b, out, calls, index, err);
	if (rc == SN_OK)
		rc = add_thinking(out, message, index, err);
	return rc == SN_OK ? add_content(b, out, json_object_get(message, "content"), index, err) : rc;
}

int chat_messages_parse(chat_messages *b, const json_t *v, sn_error *err)
{
	size_t n = json_array_size(v), n_parts = 0;
	if (!json_is_array(v) || n == 0)
		return body_wants(err, "messages", "a non-empty list");
	if (n > MAX_MESSAGES)
		return fault_set(err, SN_ERR_INVALID, "messages", "more than %d messages", MAX_MESSAGES);
	for (size_t i = 0; i < n; i++) {
		const json_t *content = json_object_get(json_array_get(v, i), "content");
		n_parts += json_is_array(content) ? json_array_size(content) : 1;
	}
	if (n_parts > MAX_PARTS)
		return fault_set(err, SN_ERR_INVALID, "messages", "more than %d parts in all messages", MAX_PARTS);
	b->list = calloc(n, sizeof *b->list);
	b->parts = calloc(n_parts + 1, sizeof *b->parts);
	b->media = calloc(SN_MAX_MEDIA, sizeof *b->media);
	b->kinds = calloc(SN_MAX_MEDIA, sizeof *b->kinds);
	if (!b->list || !b->parts || !b->media || !b->kinds)
		return fault_set(err, SN_ERR_NOMEM, "messages", "no memory");
	int rc = SN_OK;
	for (size_t i = 0; i < n && rc == SN_OK; i++)
		rc = add_message(b, json_array_get(v, i), i, err);
	b->n = n;
	return rc;
}

void chat_messages_fini(chat_messages *b)
{
	for (size_t i = 0; i < b->n_media; i++)
		media_bytes_fini(&b->media[i]);
	free(b->media);
	free(b->kinds);
	free(b->parts);
	free(b->list);
	values_fini(&b->values);
	json_decref(b->read);
	*b = (chat_messages){0};
}
