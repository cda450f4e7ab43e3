#include "chat_parse.h"

#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "json.h"

#define MAX_LOGIT_BIAS 1024
#define MAX_STOP_BYTES 256
#define MAX_NAME_BYTES 63 /* of an unknown field that is named back */

typedef enum field_kind {
	FIELD_REAL,       /* float in sn_sampling */
	FIELD_INT,        /* int32_t in sn_sampling */
	FIELD_UINT,       /* uint32_t in sn_sampling */
	FIELD_BOOL,       /* bool in sn_sampling */
	FIELD_CUSTOM,     /* parse() */
	FIELD_TEXT,       /* a string without effect here */
	FIELD_FLAG,       /* a bool without effect here */
	FIELD_TEXT_MAP,   /* an object of strings without effect here */
	FIELD_UNSUPPORTED /* refused, unless parse() says that the value asks for nothing */
} field_kind;

typedef struct field {
	const char *name;
	field_kind kind;
	size_t offset;
	double min, max;
	bool open_min; /* min itself is out of range */
	int (*parse)(chat_body *b, const json_t *v, sn_error *err);
} field;

static int parse_model(chat_body *b, const json_t *v, sn_error *err);
static int parse_seed(chat_body *b, const json_t *v, sn_error *err);
static int parse_max_tokens(chat_body *b, const json_t *v, sn_error *err);
static int parse_logit_bias(chat_body *b, const json_t *v, sn_error *err);
static int parse_stop(chat_body *b, const json_t *v, sn_error *err);
static int parse_stream(chat_body *b, const json_t *v, sn_error *err);
static int parse_stream_options(chat_body *b, const json_t *v, sn_error *err);
static int only_text_format(chat_body *b, const json_t *v, sn_error *err);
static int only_text_modality(chat_body *b, const json_t *v, sn_error *err);
static int only_empty_list(chat_body *b, const json_t *v, sn_error *err);
static int only_none(chat_body *b, const json_t *v, sn_error *err);

#define AT(member) offsetof(sn_sampling, member)
#define NOTHING 0, 0, 0, false, NULL

static const field fields[] = {
	{"messages", FIELD_CUSTOM, 0, 0, 0, false, chat_messages_parse},
	{"model", FIELD_CUSTOM, 0, 0, 0, false, parse_model},
	{"temperature", FIELD_REAL, AT(temperature), 0, 2, false, NULL},
	{"top_p", FIELD_REAL, AT(top_p), 0, 1, true, NULL},
	{"min_p", FIELD_REAL, AT(min_p), 0, 1, false, NULL},
	{"top_k", FIELD_INT, AT(top_k), -1, INT32_MAX, false, NULL},
	{"presence_penalty", FIELD_REAL, AT(presence_penalty), -2, 2, false, NULL},
	{"frequency_penalty", FIELD_REAL, AT(frequency_penalty), -2, 2, false, NULL},
	{"repetition_penalty", FIELD_REAL, AT(repetition_penalty), 0, 10, true, NULL},
	{"seed", FIELD_CUSTOM, 0, 0, 0, false, parse_seed},
	{"max_tokens", FIELD_CUSTOM, 0, 0, 0, false, parse_max_tokens},
	{"max_completion_tokens", FIELD_CUSTOM, 0, 0, 0, false, parse_max_tokens},
	{"min_tokens", FIELD_UINT, AT(min_tokens), 0, UINT32_MAX, false, NULL},
	{"ignore_eos", FIELD_BOOL, AT(ignore_eos), 0, 0, false, NULL},
	{"logprobs", FIELD_BOOL, AT(logprobs), 0, 0, false, NULL},
	{"top_logprobs", FIELD_UINT, AT(top_logprobs), 0, SN_MAX_TOP_LOGPROBS, false, NULL},
	{"logit_bias", FIELD_CUSTOM, 0, 0, 0, false, parse_logit_bias},
	{"stop", FIELD_CUSTOM, 0, 0, 0, false, parse_stop},
	{"n", FIELD_UINT, AT(n), 1, SN_MAX_CHOICES, false, NULL},
	{"stream", FIELD_CUSTOM, 0, 0, 0, false, parse_stream},
	{"stream_options", FIELD_CUSTOM, 0, 0, 0, false, parse_stream_options},
	/* OpenAI's fields about the account, not about the answer */
	{"user", FIELD_TEXT, NOTHING},
	{"safety_identifier", FIELD_TEXT, NOTHING},
	{"prompt_cache_key", FIELD_TEXT, NOTHING},
	{"prompt_cache_retention", FIELD_TEXT, NOTHING},
	{"service_tier", FIELD_TEXT, NOTHING},
	{"store", FIELD_FLAG, NOTHING},
	{"parallel_tool_calls", FIELD_FLAG, NOTHING},
	{"metadata", FIELD_TEXT_MAP, NOTHING},
	/* not done here, said by name */
	{"response_format", FIELD_UNSUPPORTED, 0, 0, 0, false, only_text_format},
	{"modalities", FIELD_UNSUPPORTED, 0, 0, 0, false, only_text_modality},
	{"tools", FIELD_UNSUPPORTED, 0, 0, 0, false, only_empty_list},
	{"tool_choice", FIELD_UNSUPPORTED, 0, 0, 0, false, only_none},
	{"functions", FIELD_UNSUPPORTED, 0, 0, 0, false, only_empty_list},
	{"function_call", FIELD_UNSUPPORTED, 0, 0, 0, false, only_none},
	{"audio", FIELD_UNSUPPORTED, NOTHING},
	{"prediction", FIELD_UNSUPPORTED, NOTHING},
	{"reasoning_effort", FIELD_UNSUPPORTED, NOTHING},
	{"verbosity", FIELD_UNSUPPORTED, NOTHING},
	{"web_search_options", FIELD_UNSUPPORTED, NOTHING},
};

/* ---- one value ----------------------------------------------------------------------------------------------- */

static int parse_integer(const json_t *v, const char *param, double min, double max, int64_t *out, sn_error *err)
{
	if (!json_is_integer(v))
		return body_wants(err, param, "an integer");
	*out = json_integer_value(v);
	if ((double)*out < min || (double)*out > max)
		return fault_set(err, SN_ERR_INVALID, param, "%s must be from %.0f to %.0f", param, min, max);
	return SN_OK;
}

static int parse_real(const json_t *v, const field *f, float *out, sn_error *err)
{
	if (!json_is_number(v))
		return body_wants(err, f->name, "a number");
	double d = json_number_value(v);
	*out = (float)d;
	bool low = f->open_min ? !((double)*out > f->min) : !(d >= f->min);
	if (low || d > f->max)
		return fault_set(err, SN_ERR_INVALID, f->name, "%s must be %s %g and at most %g", f->name, f->open_min ? "above" : "at least",
		                 f->min, f->max);
	return SN_OK;
}

static int parse_text_map(const json_t *v, const char *param, sn_error *err)
{
	const char *key;
	json_t *value;
	if (!json_is_object(v))
		return body_wants(err, param, "an object of strings");
	json_object_foreach((json_t *)v, key, value)
		if (!json_is_string(value))
			return body_wants(err, param, "an object of strings");
	return SN_OK;
}

static int parse_field(chat_body *b, const field *f, const json_t *v, sn_error *err)
{
	char *at = (char *)&b->chat.sampling + f->offset;
	int64_t n = 0;
	int rc = SN_OK;
	switch (f->kind) {
	case FIELD_REAL:
		return parse_real(v, f, (float *)at, err);
	case FIELD_INT:
		if ((rc = parse_integer(v, f->name, f->min, f->max, &n, err)) == SN_OK)
			*(int32_t *)at = (int32_t)n;
		return rc;
	case FIELD_UINT:
		if ((rc = parse_integer(v, f->name, f->min, f->max, &n, err)) == SN_OK)
			*(uint32_t *)at = (uint32_t)n;
		return rc;
	case FIELD_BOOL:
	case FIELD_FLAG:
		if (!json_is_boolean(v))
			return body_wants(err, f->name, "true or false");
		if (f->kind == FIELD_BOOL)
			*(bool *)at = json_is_true(v);
		return SN_OK;
	case FIELD_CUSTOM:
		return f->parse(b, v, err);
	case FIELD_TEXT:
		return json_is_string(v) ? SN_OK : body_wants(err, f->name, "a string");
	case FIELD_TEXT_MAP:
		return parse_text_map(v, f->name, err);
	case FIELD_UNSUPPORTED:
		break;
	}
	if (f->parse)
		return f->parse(b, v, err);
	return fault_set(err, SN_ERR_UNSUPPORTED, f->name, "%s is not supported", f->name);
}

static int parse_model(chat_body *b, const json_t *v, sn_error *err)
{
	b->chat.model = body_plain_string(v);
	return b->chat.model && *b->chat.model ? SN_OK : body_wants(err, "model", "a model's name");
}

static int parse_seed(chat_body *b, const json_t *v, sn_error *err)
{
	if (!json_is_integer(v))
		return body_wants(err, "seed", "an integer");
	b->chat.sampling.seed = (uint64_t)json_integer_value(v);
	b->chat.sampling.has_seed = true;
	return SN_OK;
}

/* max_tokens and its newer name are one thing; both may come only if they agree. */
static int parse_max_tokens(chat_body *b, const json_t *v, sn_error *err)
{
	int64_t n;
	const char *name = json_object_get(b->root, "max_completion_tokens") == v ? "max_completion_tokens" : "max_tokens";
	int rc = parse_integer(v, name, 1, UINT32_MAX, &n, err);
	if (rc != SN_OK)
		return rc;
	if (b->chat.sampling.max_tokens && b->chat.sampling.max_tokens != (uint32_t)n)
		return fault_set(err, SN_ERR_INVALID, "max_tokens", "max_tokens and max_completion_tokens differ");
	b->chat.sampling.max_tokens = (uint32_t)n;
	return SN_OK;
}

static bool token_id_parse(const char *key, int32_t *out)
{
	size_t n = strlen(key);
	if (n == 0 || n > 10 || strspn(key, "0123456789") != n)
		return false;
	long long v = strtoll(key, NULL, 10);
	*out = (int32_t)v;
	return v <= INT32_MAX;
}

static int parse_logit_bias(chat_body *b, const json_t *v, sn_error *err)
{
	const char *key;
	json_t *value;
	size_t n = json_object_size(v), i = 0;
	if (!json_is_object(v))
		return body_wants(err, "logit_bias", "an object of token ids and numbers");
	if (n > MAX_LOGIT_BIAS)
		return fault_set(err, SN_ERR_INVALID, "logit_bias", "logit_bias has more than %d entries", MAX_LOGIT_BIAS);
	if (n == 0)
		return SN_OK;
	if (!(b->bias = calloc(n, sizeof *b->bias)))
		return fault_set(err, SN_ERR_NOMEM, "logit_bias", "no memory");
	json_object_foreach((json_t *)v, key, value) {
		double bias = json_number_value(value);
		if (!token_id_parse(key, &b->bias[i].token))
			return body_wants(err, "logit_bias", "keyed by token ids");
		if (!json_is_number(value) || bias < -100 || bias > 100)
			return body_wants(err, "logit_bias", "made of numbers from -100 to 100");
		b->bias[i++].bias = (float)bias;
	}
	b->chat.sampling.logit_bias = b->bias;
	b->chat.sampling.n_logit_bias = n;
	return SN_OK;
}

static int parse_stop(chat_body *b, const json_t *v, sn_error *err)
{
	sn_sampling *s = &b->chat.sampling;
	size_t n = json_is_string(v) ? 1 : json_array_size(v);
	if (!json_is_string(v) && !json_is_array(v))
		return body_wants(err, "stop", "a string or a list of strings");
	if (n > SN_MAX_STOP)
		return fault_set(err, SN_ERR_INVALID, "stop", "stop has more than %d strings", SN_MAX_STOP);
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_is_string(v) ? v : json_array_get(v, i);
		size_t size = json_string_length(one);
		if (!json_is_string(one) || size == 0 || size > MAX_STOP_BYTES)
			return fault_set(err, SN_ERR_INVALID, "stop", "stop strings are 1 to %d bytes long", MAX_STOP_BYTES);
		s->stop[i] = json_string_value(one);
		s->stop_size[i] = size;
	}
	s->n_stop = n;
	return SN_OK;
}

static int parse_stream(chat_body *b, const json_t *v, sn_error *err)
{
	b->stream = json_is_true(v);
	return json_is_boolean(v) ? SN_OK : body_wants(err, "stream", "true or false");
}

static int parse_stream_options(chat_body *b, const json_t *v, sn_error *err)
{
	const char *key;
	json_t *value;
	if (!json_is_object(v))
		return body_wants(err, "stream_options", "an object");
	json_object_foreach((json_t *)v, key, value) {
		bool usage = strcmp(key, "include_usage") == 0;
		if (!usage && strcmp(key, "include_obfuscation") != 0)
			return fault_set(err, SN_ERR_INVALID, "stream_options", "stream_options has an unknown field");
		if (!json_is_boolean(value))
			return body_wants(err, usage ? "stream_options.include_usage" : "stream_options.include_obfuscation", "true or false");
		if (usage)
			b->include_usage = json_is_true(value);
	}
	return SN_OK;
}

/* ---- fields that may only ask for nothing --------------------------------------------------------------------- */

static int only_text_format(chat_body *b, const json_t *v, sn_error *err)
{
	(void)b;
	const char *type = body_plain_string(json_object_get(v, "type"));
	if (!type)
		return body_wants(err, "response_format", "an object with a type");
	if (strcmp(type, "text") == 0 && json_object_size(v) == 1)
		return SN_OK;
	return fault_set(err, SN_ERR_UNSUPPORTED, "response_format", "only the response_format of type text is supported yet");
}

static int only_text_modality(chat_body *b, const json_t *v, sn_error *err)
{
	(void)b;
	const char *first = body_plain_string(json_array_get(v, 0));
	if (!json_is_array(v))
		return body_wants(err, "modalities", "a list");
	if (json_array_size(v) == 1 && first && strcmp(first, "text") == 0)
		return SN_OK;
	return fault_set(err, SN_ERR_UNSUPPORTED, "modalities", "only the modality text is supported as output yet");
}

static const char *field_name_of(const chat_body *b, const json_t *v)
{
	const char *key;
	json_t *value;
	json_object_foreach(b->root, key, value)
		if (value == v)
			return key;
	return "";
}

static int only_empty_list(chat_body *b, const json_t *v, sn_error *err)
{
	if (json_is_array(v) && json_array_size(v) == 0)
		return SN_OK;
	return fault_set(err, SN_ERR_UNSUPPORTED, field_name_of(b, v), "tools and functions are not supported yet");
}

static int only_none(chat_body *b, const json_t *v, sn_error *err)
{
	const char *s = body_plain_string(v);
	if (s && strcmp(s, "none") == 0)
		return SN_OK;
	return fault_set(err, SN_ERR_UNSUPPORTED, field_name_of(b, v), "tools and functions are not supported yet");
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

static int unknown_field(const char *key, sn_error *err)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	bool nameable = strlen(key) <= MAX_NAME_BYTES && strspn(key, plain) == strlen(key);
	return fault_set(err, SN_ERR_INVALID, nameable ? key : NULL, "the request has an unknown field");
}

static int check_together(const chat_body *b, sn_error *err)
{
	const sn_sampling *s = &b->chat.sampling;
	const json_t *top = json_object_get(b->root, "top_logprobs"), *streaming = json_object_get(b->root, "stream_options");
	if (!b->chat.n_messages)
		return fault_set(err, SN_ERR_INVALID, "messages", "messages is missing");
	if (top && !json_is_null(top) && !s->logprobs)
		return fault_set(err, SN_ERR_INVALID, "top_logprobs", "top_logprobs needs logprobs to be true");
	if (streaming && !json_is_null(streaming) && !b->stream)
		return fault_set(err, SN_ERR_INVALID, "stream_options", "stream_options needs stream to be true");
	if (s->max_tokens && s->min_tokens > s->max_tokens)
		return fault_set(err, SN_ERR_INVALID, "min_tokens", "min_tokens is above max_tokens");
	return SN_OK;
}

static const field *field_find(const char *key)
{
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (strcmp(fields[i].name, key) == 0)
			return &fields[i];
	return NULL;
}

int chat_body_parse(chat_body *b, const char *data, size_t size, const chat_limits *limits, sn_error *err)
{
	const char *key;
	json_t *value;
	*b = (chat_body){.limits = limits};
	sn_sampling_init(&b->chat.sampling);
	int rc = body_parse(&b->root, data, size, err);
	if (rc != SN_OK)
		return rc;
	json_object_foreach(b->root, key, value) {
		const field *f = field_find(key);
		if (!f)
			rc = unknown_field(key, err);
		else if (!json_is_null(value) && f->parse != chat_messages_parse) /* null asks for the default */
			rc = parse_field(b, f, value, err);
		if (rc != SN_OK)
			goto fail;
	}
	/* Last, since they may name URLs: nothing is fetched for a body that is wrong elsewhere. */
	value = json_object_get(b->root, "messages");
	if (value && !json_is_null(value) && (rc = chat_messages_parse(b, value, err)) != SN_OK)
		goto fail;
	rc = check_together(b, err);
	if (rc == SN_OK)
		return SN_OK;
fail:
	chat_body_fini(b);
	return rc;
}

void chat_body_fini(chat_body *b)
{
	for (size_t i = 0; i < b->n_media; i++)
		media_bytes_fini(&b->media[i]);
	free(b->media);
	free(b->kinds);
	free(b->bias);
	free(b->parts);
	free(b->messages);
	json_decref(b->root);
	*b = (chat_body){0};
}
