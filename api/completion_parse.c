#include "completion_parse.h"

#include <stdlib.h>

#include "fault.h"
#include "json.h"

int token_ids_parse(const json_t *v, const char *param, int32_t **out, size_t *n, sn_error *err)
{
	*n = 0;
	if (!json_is_array(v))
		return body_wants(err, param, "a list of token ids");
	if (!(*out = calloc(json_array_size(v) + 1, sizeof **out)))
		return fault_set(err, SN_ERR_NOMEM, param, "no memory for the tokens");
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *one = json_array_get(v, i);
		json_int_t id = json_integer_value(one);
		if (!json_is_integer(one) || id < 0 || id > INT32_MAX) {
			free(*out);
			*out = NULL;
			return body_wants(err, param, "made of token ids");
		}
		(*out)[(*n)++] = (int32_t)id;
	}
	return SN_OK;
}

static int add_prompt(completion_body *b, const json_t *v, const char *param, sn_error *err)
{
	prompt *p = &b->prompts[b->n_prompts];
	if (json_is_string(v)) {
		*p = (prompt){.text = json_string_value(v), .size = json_string_length(v)};
		b->n_prompts++;
		return SN_OK;
	}
	if (!json_is_array(v) || json_array_size(v) == 0)
		return body_wants(err, param, "a string, a non-empty list of token ids, or a list of such");
	int rc = token_ids_parse(v, param, &p->ids, &p->n_ids, err);
	b->n_prompts += rc == SN_OK;
	return rc;
}

/* A list of integers is one prompt; a list of anything else is a list of prompts, all of one kind. */
static int parse_prompt(const field *f, void *into, const json_t *v, sn_error *err)
{
	completion_body *b = into;
	const json_t *first = json_array_get(v, 0);
	if (!json_is_array(v) || json_is_integer(first))
		return add_prompt(b, v, f->name, err);
	if (json_array_size(v) == 0)
		return body_wants(err, f->name, "a string, a non-empty list of token ids, or a list of such");
	if (json_array_size(v) > MAX_PROMPTS)
		return fault_set(err, SN_ERR_INVALID, f->name, "more than %d prompts", MAX_PROMPTS);
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *one = json_array_get(v, i);
		if (json_typeof(one) != json_typeof(first))
			return body_wants(err, f->name, "all strings or all lists of token ids");
		int rc = add_prompt(b, one, f->name, err);
		if (rc != SN_OK)
			return rc;
	}
	return SN_OK;
}

#define AT(member) offsetof(completion_body, member)
#define PROMPT_IDS TOKEN_IDS_SCHEMA("\"minItems\":1,")

static const field fields[] = {
	{.name = "prompt", .kind = FIELD_CUSTOM, .required = true, .parse = parse_prompt,
	 .schema = "{\"anyOf\":[{\"type\":\"string\"}," PROMPT_IDS ",{\"type\":\"array\",\"minItems\":1,\"maxItems\":" FIELD_STR(MAX_PROMPTS)
	           ",\"items\":{\"type\":\"string\"}},{\"type\":\"array\",\"minItems\":1,\"maxItems\":" FIELD_STR(MAX_PROMPTS) ",\"items\":" PROMPT_IDS "}]}",
	 .doc = "One text or list of token ids, or a list of such. Special tokens spelled out in a text are those tokens. "
	        "Choice j of prompt i has the index i * n + j."},
	{.name = "max_tokens", .kind = FIELD_UINT, .offset = AT(generation.sampling.max_tokens), .min = 1, .max = UINT32_MAX, .standard = "16",
	 .doc = "Of each choice."},
	{.name = "logprobs", .kind = FIELD_INT, .offset = AT(logprobs), .max = SN_MAX_TOP_LOGPROBS,
	 .doc = "The log probability of each token, and this many likeliest tokens at each place. Not together with echo."},
	{.name = "echo", .kind = FIELD_BOOL, .offset = AT(echo), .standard = "false", .doc = "Begin each choice's text with its prompt."},
	{.name = "best_of", .kind = FIELD_UINT, .offset = AT(best_of), .min = 1, .max = SN_MAX_CHOICES, .doc = "Only as many as n."},
	{.name = "suffix", .kind = FIELD_ONLY, .schema = "\"\""},
	{.name = "add_special_tokens", .kind = FIELD_BOOL, .offset = AT(add_special_tokens), .standard = "true",
	 .doc = "Begin a prompt that is a text with the beginning-of-sequence token, where the vocabulary says that it adds one."},
};

const field_table completion_fields = FIELD_TABLE(fields);

static int check_together(completion_body *b, sn_error *err)
{
	sn_sampling *s = &b->generation.sampling;
	if (b->best_of && b->best_of != s->n)
		return fault_set(err, SN_ERR_UNSUPPORTED, "best_of", "best_of other than n is not supported");
	if (b->echo && b->logprobs >= 0)
		return fault_set(err, SN_ERR_UNSUPPORTED, "logprobs", "logprobs of a prompt are not supported: echo and logprobs exclude each other");
	s->logprobs = b->logprobs >= 0;
	s->top_logprobs = s->logprobs ? (uint32_t)b->logprobs : 0;
	return generation_check(&b->generation, err);
}

int completion_body_parse(completion_body *b, const char *data, size_t size, sn_error *err)
{
	const field_table *const tables[] = {&generation_fields, &completion_fields};
	void *const into[] = {&b->generation, b};
	*b = (completion_body){.logprobs = -1, .add_special_tokens = true};
	generation_init(&b->generation);
	b->generation.sampling.max_tokens = 16;
	int rc = body_parse(&b->root, data, size, err);
	if (rc == SN_OK)
		rc = fields_parse(b->root, tables, into, 2, err);
	if (rc == SN_OK)
		rc = check_together(b, err);
	if (rc != SN_OK)
		completion_body_fini(b);
	return rc;
}

void completion_body_fini(completion_body *b)
{
	for (size_t i = 0; i < b->n_prompts; i++)
		free(b->prompts[i].ids);
	generation_fini(&b->generation);
	json_decref(b->root);
	b->root = NULL;
	b->n_prompts = 0;
}
