#include "generation.h"

#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "json.h"

#define MAX_STOP_BYTES 256

/* ---- fields that a number or a name is not enough for ----------------------------------------------------------- */

static int parse_seed(const field *f, void *into, const json_t *v, sn_error *err)
{
	generation *g = into;
	g->sampling.has_seed = true;
	return field_seed(v, f->name, &g->sampling.seed, err);
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

static int parse_logit_bias(const field *f, void *into, const json_t *v, sn_error *err)
{
	generation *g = into;
	const char *key;
	json_t *value;
	size_t n = json_object_size(v), i = 0;
	if (!json_is_object(v))
		return body_wants(err, f->name, "an object of token ids and numbers");
	if (n > SN_MAX_LOGIT_BIAS)
		return fault_set(err, SN_ERR_INVALID, f->name, "logit_bias has more than %d entries", SN_MAX_LOGIT_BIAS);
	if (n == 0)
		return SN_OK;
	if (!(g->bias = calloc(n, sizeof *g->bias)))
		return fault_set(err, SN_ERR_NOMEM, f->name, "no memory");
	json_object_foreach((json_t *)v, key, value) {
		double bias = json_number_value(value);
		if (!token_id_parse(key, &g->bias[i].token))
			return body_wants(err, f->name, "keyed by token ids");
		if (!json_is_number(value) || bias < -100 || bias > 100)
			return body_wants(err, f->name, "made of numbers from -100 to 100");
		g->bias[i++].bias = (float)bias;
	}
	g->sampling.logit_bias = g->bias;
	g->sampling.n_logit_bias = n;
	return SN_OK;
}

static int parse_stop(const field *f, void *into, const json_t *v, sn_error *err)
{
	sn_sampling *s = &((generation *)into)->sampling;
	size_t n = json_is_string(v) ? 1 : json_array_size(v);
	if (!json_is_string(v) && !json_is_array(v))
		return body_wants(err, f->name, "a string or a list of strings");
	if (n > SN_MAX_STOP)
		return fault_set(err, SN_ERR_INVALID, f->name, "stop has more than %d strings", SN_MAX_STOP);
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_is_string(v) ? v : json_array_get(v, i);
		size_t size = json_string_length(one);
		if (!json_is_string(one) || size == 0 || size > MAX_STOP_BYTES)
			return fault_set(err, SN_ERR_INVALID, f->name, "stop strings are 1 to %d bytes long", MAX_STOP_BYTES);
		s->stop[i] = json_string_value(one);
		s->stop_size[i] = size;
	}
	s->n_stop = n;
	return SN_OK;
}

static int parse_stop_token_ids(const field *f, void *into, const json_t *v, sn_error *err)
{
	sn_sampling *s = &((generation *)into)->sampling;
	size_t n = json_array_size(v);
	if (!json_is_array(v))
		return body_wants(err, f->name, "a list of token ids");
	if (n > SN_MAX_STOP_TOKENS)
		return fault_set(err, SN_ERR_INVALID, f->name, "stop_token_ids has more than %d tokens", SN_MAX_STOP_TOKENS);
	for (size_t i = 0; i < n; i++) {
		int64_t id;
		if (field_integer(json_array_get(v, i), f->name, 0, INT32_MAX, &id, err) != SN_OK)
			return body_wants(err, f->name, "made of token ids");
		s->stop_token_ids[i] = (int32_t)id;
	}
	s->n_stop_token_ids = n;
	return SN_OK;
}

static int parse_stream_options(const field *f, void *into, const json_t *v, sn_error *err)
{
	generation *g = into;
	const char *key;
	json_t *value;
	if (!json_is_object(v))
		return body_wants(err, f->name, "an object");
	g->has_stream_options = true;
	json_object_foreach((json_t *)v, key, value) {
		bool usage = strcmp(key, "include_usage") == 0;
		if (!usage && strcmp(key, "include_obfuscation") != 0)
			return fault_set(err, SN_ERR_INVALID, f->name, "stream_options has an unknown field");
		if (!json_is_boolean(value))
			return body_wants(err, usage ? "stream_options.include_usage" : "stream_options.include_obfuscation", "true or false");
		if (usage)
			g->include_usage = json_is_true(value);
	}
	return SN_OK;
}

static int parse_response_format(const field *f, void *into, const json_t *v, sn_error *err)
{
	(void)f;
	return structured_response_format(&((generation *)into)->form, v, err);
}

static int parse_structured_outputs(const field *f, void *into, const json_t *v, sn_error *err)
{
	(void)f;
	return structured_outputs(&((generation *)into)->form, v, err);
}

static int parse_grammar(const field *f, void *into, const json_t *v, sn_error *err)
{
	return structured_grammar(&((generation *)into)->form, f->name, v, err);
}

static int parse_json_schema(const field *f, void *into, const json_t *v, sn_error *err)
{
	return structured_schema(&((generation *)into)->form, f->name, v, err);
}

static int parse_regex(const field *f, void *into, const json_t *v, sn_error *err)
{
	return structured_regex(&((generation *)into)->form, f->name, v, err);
}

static int parse_choice(const field *f, void *into, const json_t *v, sn_error *err)
{
	return structured_choice(&((generation *)into)->form, f->name, v, err);
}

/* ---- the table ---------------------------------------------------------------------------------------------------- */

#define SAMPLING(member) offsetof(generation, sampling.member)
#define STOP_STRING "{\"type\":\"string\",\"minLength\":1,\"maxLength\":" FIELD_STR(MAX_STOP_BYTES) "}"

static const field fields[] = {
	{.name = "model", .kind = FIELD_NAME, .offset = offsetof(generation, model), .doc = "A name that GET /v1/models lists; the first of them if none is given."},
	{.name = "temperature", .kind = FIELD_REAL, .offset = SAMPLING(temperature), .max = 2, .standard = "1", .doc = "0 takes the likeliest token each time."},
	{.name = "top_p", .kind = FIELD_REAL, .offset = SAMPLING(top_p), .max = 1, .open_min = true, .standard = "1",
	 .doc = "Of the likeliest tokens, as many as have this probability together."},
	{.name = "min_p", .kind = FIELD_REAL, .offset = SAMPLING(min_p), .max = 1, .standard = "0",
	 .doc = "Tokens with less than this share of the likeliest one's probability are left out."},
	{.name = "top_k", .kind = FIELD_INT, .offset = SAMPLING(top_k), .min = -1, .max = INT32_MAX, .standard = "-1",
	 .doc = "How many of the likeliest tokens are drawn from; 0 and -1: all."},
	{.name = "presence_penalty", .kind = FIELD_REAL, .offset = SAMPLING(presence_penalty), .min = -2, .max = 2, .standard = "0",
	 .doc = "Taken off the logit of each token that has come already."},
	{.name = "frequency_penalty", .kind = FIELD_REAL, .offset = SAMPLING(frequency_penalty), .min = -2, .max = 2, .standard = "0",
	 .doc = "Taken off a token's logit for each time that it has come."},
	{.name = "repetition_penalty", .kind = FIELD_REAL, .offset = SAMPLING(repetition_penalty), .max = 10, .open_min = true, .standard = "1",
	 .doc = "Divides the logits of tokens of the prompt and the answer; 1 is none."},
	{.name = "seed", .kind = FIELD_CUSTOM, .parse = parse_seed,
	 .schema = FIELD_SEED_SCHEMA, .doc = FIELD_SEED_DOC},
	{.name = "min_tokens", .kind = FIELD_UINT, .offset = SAMPLING(min_tokens), .max = UINT32_MAX, .standard = "0",
	 .doc = "End tokens and stop_token_ids cannot come before; at most max_tokens."},
	{.name = "ignore_eos", .kind = FIELD_BOOL, .offset = SAMPLING(ignore_eos), .standard = "false", .doc = "End tokens do not end the answer."},
	{.name = "logit_bias", .kind = FIELD_CUSTOM, .parse = parse_logit_bias,
	 .schema = "{\"type\":\"object\",\"maxProperties\":" FIELD_STR(SN_MAX_LOGIT_BIAS) ",\"propertyNames\":{\"pattern\":\"^[0-9]{1,10}$\"},"
	           "\"additionalProperties\":{\"type\":\"number\",\"minimum\":-100,\"maximum\":100}}",
	 .doc = "Added to the logits of these tokens of the vocabulary."},
	{.name = "stop", .kind = FIELD_CUSTOM, .parse = parse_stop,
	 .schema = "{\"anyOf\":[" STOP_STRING ",{\"type\":\"array\",\"maxItems\":" FIELD_STR(SN_MAX_STOP) ",\"items\":" STOP_STRING "}]}",
	 .doc = "A choice ends before the first of these strings; they are measured in bytes of UTF-8."},
	{.name = "stop_token_ids", .kind = FIELD_CUSTOM, .parse = parse_stop_token_ids,
	 .schema = "{\"type\":\"array\",\"maxItems\":" FIELD_STR(SN_MAX_STOP_TOKENS) ",\"items\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":2147483647}}",
	 .doc = "Tokens of the vocabulary that end a choice as its end token does."},
	{.name = "n", .kind = FIELD_UINT, .offset = SAMPLING(n), .min = 1, .max = SN_MAX_CHOICES, .standard = "1", .doc = "Choices; they share the prompt's pages."},
	{.name = "stream", .kind = FIELD_BOOL, .offset = offsetof(generation, stream), .standard = "false", .doc = "Answer with server-sent events."},
	{.name = "stream_options", .kind = FIELD_CUSTOM, .parse = parse_stream_options,
	 .schema = "{\"type\":\"object\",\"properties\":{\"include_usage\":{\"type\":\"boolean\",\"default\":false},"
	           "\"include_obfuscation\":{\"type\":\"boolean\"}},\"additionalProperties\":false}",
	 .doc = "Only with stream. include_usage: one more event with the usage. include_obfuscation is without effect."},
	{.name = "cache_salt", .kind = FIELD_NAME, .offset = offsetof(generation, cache_salt),
	 .doc = "Prompt and media caches are shared only with requests of the same key that give the same salt."},
	{.name = "response_format", .kind = FIELD_CUSTOM, .late = true, .parse = parse_response_format,
	 .schema = "{\"type\":\"object\",\"properties\":{\"type\":{\"enum\":[\"text\",\"json_object\",\"json_schema\"]},"
	           "\"json_schema\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"description\":{\"type\":\"string\"},"
	           "\"schema\":{\"type\":\"object\"},\"strict\":{\"type\":[\"boolean\",\"null\"]}},\"required\":[\"name\",\"schema\"],\"additionalProperties\":false}},"
	           "\"required\":[\"type\"],\"additionalProperties\":false}",
	 .doc = "json_object: the answer is a JSON object. json_schema: it is JSON that the schema takes, strict or not; keywords that cannot be "
	        "kept are refused. An answer that max_tokens or stop cuts off is not whole: finish_reason tells."},
	{.name = "structured_outputs", .kind = FIELD_CUSTOM, .late = true, .parse = parse_structured_outputs,
	 .schema = "{\"type\":\"object\",\"properties\":{\"json\":{},\"grammar\":{\"type\":\"string\"},\"regex\":{\"type\":\"string\"},\"choice\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
	           "\"json_object\":{\"type\":\"boolean\"}},\"additionalProperties\":false}",
	 .doc = "As in vLLM, one of these."},
	{.name = "grammar", .kind = FIELD_CUSTOM, .late = true, .parse = parse_grammar, .schema = "{\"type\":\"string\",\"minLength\":1}",
	 .doc = "The answer fits this grammar, GBNF as in llama.cpp."},
	{.name = "guided_grammar", .kind = FIELD_CUSTOM, .late = true, .parse = parse_grammar, .schema = "{\"type\":\"string\",\"minLength\":1}", .doc = "The same."},
	{.name = "json_schema", .kind = FIELD_CUSTOM, .late = true, .parse = parse_json_schema, .schema = "{\"type\":[\"object\",\"string\",\"boolean\"]}", .doc = "The answer is JSON that this schema takes."},
	{.name = "guided_json", .kind = FIELD_CUSTOM, .late = true, .parse = parse_json_schema, .schema = "{\"type\":[\"object\",\"string\",\"boolean\"]}", .doc = "The same."},
	{.name = "guided_choice", .kind = FIELD_CUSTOM, .late = true, .parse = parse_choice,
	 .schema = "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\",\"minLength\":1}}", .doc = "The answer is one of these."},
	{.name = "guided_regex", .kind = FIELD_CUSTOM, .late = true, .parse = parse_regex, .schema = "{\"type\":\"string\",\"minLength\":1}",
	 .doc = "The whole answer fits this regular expression (of ECMA-262 what needs no looking around or back)."},
	/* about the account, not about the answer */
	{.name = "user", .kind = FIELD_TEXT, .doc = "Without effect."},
	/* of vLLM, not done here */
	{.name = "include_stop_str_in_output", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "skip_special_tokens", .kind = FIELD_ONLY, .schema = "true"},
	{.name = "spaces_between_special_tokens", .kind = FIELD_ONLY, .schema = "true"},
	{.name = "use_beam_search", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "prompt_logprobs", .kind = FIELD_ONLY},
	{.name = "truncate_prompt_tokens", .kind = FIELD_ONLY},
	{.name = "bad_words", .kind = FIELD_ONLY, .schema = "[]"},
	{.name = "allowed_token_ids", .kind = FIELD_ONLY},
	{.name = "return_tokens_as_token_ids", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "return_token_ids", .kind = FIELD_ONLY, .schema = "false"},
	{.name = "priority", .kind = FIELD_ONLY, .schema = "0"},
};

const field_table generation_fields = FIELD_TABLE(fields);

void generation_init(generation *g)
{
	*g = (generation){0};
	sn_sampling_init(&g->sampling);
}

void generation_fini(generation *g)
{
	free(g->bias);
	structured_fini(&g->form);
	*g = (generation){0};
}

int generation_check(generation *g, sn_error *err)
{
	sn_sampling *s = &g->sampling;
	if (g->form.by) {
		s->grammar = g->form.grammar.data;
		s->grammar_size = g->form.grammar.size;
		s->grammar_name = g->form.by;
	}
	if (g->has_stream_options && !g->stream)
		return fault_set(err, SN_ERR_INVALID, "stream_options", "stream_options needs stream to be true");
	if (s->max_tokens && s->min_tokens > s->max_tokens)
		return fault_set(err, SN_ERR_INVALID, "min_tokens", "min_tokens is above max_tokens");
	return SN_OK;
}
