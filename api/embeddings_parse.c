#include "embeddings_parse.h"

#include <stdlib.h>
#include <string.h>

#include "completion_parse.h"
#include "fault.h"
#include "json.h"

#define MAX_INPUTS 2048
_Static_assert(MAX_INPUTS == SN_MAX_EMBEDDING_INPUTS, "the schema tells it as a number");

static int add_input(embeddings_body *b, const json_t *v, const char *param, sn_error *err)
{
	sn_embedding_input *in = &b->inputs[b->n_inputs];
	int32_t *ids = NULL;
	if (json_is_string(v)) {
		*in = (sn_embedding_input){.text = json_string_value(v), .size = json_string_length(v)};
		b->n_inputs++;
		return in->size ? SN_OK : body_wants(err, param, "made of texts that are not empty");
	}
	if (!json_is_array(v) || json_array_size(v) == 0)
		return body_wants(err, param, "a string, a non-empty list of token ids, or a list of such");
	int rc = token_ids_parse(v, param, &ids, &in->n_ids, err);
	in->ids = ids;
	b->n_inputs += rc == SN_OK;
	return rc;
}

/* A list of integers is one input; a list of anything else is a list of inputs, all of one kind. */
static int parse_input(const field *f, void *into, const json_t *v, sn_error *err)
{
	embeddings_body *b = into;
	const json_t *first = json_array_get(v, 0);
	bool one = !json_is_array(v) || json_is_integer(first);
	size_t n = one ? 1 : json_array_size(v);
	if (n == 0)
		return body_wants(err, f->name, "a string, a non-empty list of token ids, or a list of such");
	if (n > MAX_INPUTS)
		return fault_set(err, SN_ERR_INVALID, f->name, "more than %d inputs", MAX_INPUTS);
	b->inputs = calloc(n, sizeof *b->inputs);
	if (!b->inputs)
		return fault_set(err, SN_ERR_NOMEM, f->name, "no memory for the inputs");
	if (one)
		return add_input(b, v, f->name, err);
	for (size_t i = 0; i < n; i++) {
		const json_t *each = json_array_get(v, i);
		int rc = json_typeof(each) == json_typeof(first) ? add_input(b, each, f->name, err) : body_wants(err, f->name, "all strings or all lists of token ids");
		if (rc != SN_OK)
			return rc;
	}
	return SN_OK;
}

static int parse_format(const field *f, void *into, const json_t *v, sn_error *err)
{
	embeddings_body *b = into;
	const char *name = body_plain_string(v);
	b->base64 = name && strcmp(name, "base64") == 0;
	return b->base64 || (name && strcmp(name, "float") == 0) ? SN_OK : body_wants(err, f->name, "float or base64");
}

#define AT(member) offsetof(embeddings_body, member)
#define INPUT_IDS TOKEN_IDS_SCHEMA("\"minItems\":1,")
#define INPUT_TEXT "{\"type\":\"string\",\"minLength\":1}"
#define INPUT_LIST(items) "{\"type\":\"array\",\"minItems\":1,\"maxItems\":" FIELD_STR(MAX_INPUTS) ",\"items\":" items "}"

static const field fields[] = {
	{.name = "model", .kind = FIELD_NAME, .offset = AT(model), .doc = "A name that GET /v1/models lists; the first of them if none is given."},
	{.name = "input", .kind = FIELD_CUSTOM, .required = true, .parse = parse_input,
	 .schema = "{\"anyOf\":[" INPUT_TEXT "," INPUT_IDS "," INPUT_LIST(INPUT_TEXT) "," INPUT_LIST(INPUT_IDS) "]}",
	 .doc = "One text or list of token ids, or a list of such. Special tokens spelled out in a text are those tokens. None may be longer than the model's "
	        "context; at most 4194304 values in all embeddings of a request together."},
	{.name = "encoding_format", .kind = FIELD_CUSTOM, .parse = parse_format, .schema = "{\"enum\":[\"float\",\"base64\"]}", .standard = "\"float\"",
	 .doc = "base64: of the values as 32-bit floats, the least significant byte first."},
	{.name = "dimensions", .kind = FIELD_UINT, .offset = AT(dimensions), .min = 1, .max = UINT32_MAX,
	 .doc = "The first so many values, brought to length 1 again, of models made for that. All if not given."},
	{.name = "add_special_tokens", .kind = FIELD_BOOL, .offset = AT(add_special_tokens), .standard = "true",
	 .doc = "Put before and behind a text what its vocabulary says: a beginning-of-sequence token, the end token of models that embed."},
	{.name = "cache_salt", .kind = FIELD_NAME, .offset = AT(cache_salt),
	 .doc = "Prompt caches are shared only with requests of the same key that give the same salt."},
	{.name = "user", .kind = FIELD_TEXT, .doc = "Without effect."},
	{.name = "truncate_prompt_tokens", .kind = FIELD_ONLY},
	{.name = "priority", .kind = FIELD_ONLY, .schema = "0"},
};

const field_table embeddings_fields = FIELD_TABLE(fields);

int embeddings_body_parse(embeddings_body *b, const char *data, size_t size, sn_error *err)
{
	const field_table *const table = &embeddings_fields;
	void *const into = b;
	*b = (embeddings_body){.add_special_tokens = true};
	int rc = body_parse(&b->root, data, size, err);
	return rc == SN_OK ? fields_parse(b->root, &table, &into, 1, err) : rc;
}

void embeddings_body_fini(embeddings_body *b)
{
	for (size_t i = 0; i < b->n_inputs; i++)
		free((void *)(uintptr_t)b->inputs[i].ids);
	free(b->inputs);
	json_decref(b->root);
	*b = (embeddings_body){0};
}
