#include "structured.h"

#include <string.h>

#include "fault.h"
#include "json.h"
#include "schema_inside.h"

#define MAX_GRAMMAR 65536 /* bytes that a client writes */
#define MAX_CHOICE 1000

/* The one field that says it; an empty grammar is there to be filled. */
static int claim(structured *s, const char *by, sn_error *err)
{
	if (s->by)
		return fault_set(err, SN_ERR_INVALID, by, "%s and %s both say what the answer must be", s->by, by);
	s->by = by;
	return SN_OK;
}

static int ready(structured *s, sn_error *err)
{
	return s->grammar.failed ? fault_set(err, SN_ERR_NOMEM, s->by, "no memory for a grammar") : SN_OK;
}

int structured_grammar(structured *s, const char *by, const json_t *v, sn_error *err)
{
	const char *text = body_plain_string(v);
	if (!text || !*text)
		return body_wants(err, by, "a grammar: a non-empty string without NUL");
	if (strlen(text) > MAX_GRAMMAR)
		return fault_set(err, SN_ERR_UNSUPPORTED, by, "%s is longer than %d bytes", by, MAX_GRAMMAR);
	int rc = claim(s, by, err);
	if (rc == SN_OK)
		out_text(&s->grammar, text);
	return rc == SN_OK ? ready(s, err) : rc;
}

/* vLLM takes a schema as JSON, or spelled out in a string. */
int structured_schema(structured *s, const char *by, const json_t *v, sn_error *err)
{
	json_t *read = NULL;
	int rc = json_is_string(v) ? body_parse(&read, json_string_value(v), json_string_length(v), err) : SN_OK;
	if (rc != SN_OK)
		return rc == SN_ERR_NOMEM ? rc : body_wants(err, by, "a JSON Schema");
	rc = claim(s, by, err);
	if (rc == SN_OK)
		rc = schema_grammar(read ? read : v, by, &s->grammar, err);
	json_decref(read);
	return rc == SN_OK ? ready(s, err) : rc;
}

int structured_regex(structured *s, const char *by, const json_t *v, sn_error *err)
{
	const char *text = json_string_value(v);
	if (!text || !*text)
		return body_wants(err, by, "a regular expression: a non-empty string");
	int rc = claim(s, by, err);
	if (rc != SN_OK)
		return rc;
	out_text(&s->grammar, "root ::=");
	const char *why = grammar_regex(&s->grammar, text, json_string_length(v));
	return why ? fault_set(err, SN_ERR_UNSUPPORTED, by, "%s: %s", by, why) : ready(s, err);
}

int structured_choice(structured *s, const char *by, const json_t *v, sn_error *err)
{
	size_t n = json_array_size(v);
	if (!json_is_array(v) || n == 0 || n > MAX_CHOICE)
		return fault_set(err, SN_ERR_INVALID, by, "%s must be a list of 1 to %d strings", by, MAX_CHOICE);
	int rc = claim(s, by, err);
	out_text(&s->grammar, "root ::=");
	for (size_t i = 0; i < n && rc == SN_OK; i++) {
		const json_t *one = json_array_get(v, i);
		if (!json_is_string(one) || json_string_length(one) == 0)
			return body_wants(err, by, "a list of non-empty strings");
		out_text(&s->grammar, i ? " |" : "");
		grammar_literal(&s->grammar, json_string_value(one), json_string_length(one));
	}
	return rc == SN_OK ? ready(s, err) : rc;
}

static int any_object(structured *s, const char *by, sn_error *err)
{
	int rc = claim(s, by, err);
	if (rc == SN_OK)
		schema_any_object(&s->grammar);
	return rc == SN_OK ? ready(s, err) : rc;
}

static int only_fields(const json_t *v, const char *by, const char *const *names, size_t n, sn_error *err)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)v, key, value) {
		bool known = false;
		for (size_t i = 0; i < n; i++)
			known = known || strcmp(key, names[i]) == 0;
		if (!known)
			return fault_set(err, SN_ERR_INVALID, by, "%s has an unknown field", by);
	}
	return SN_OK;
}

static int named_schema(structured *s, const json_t *v, sn_error *err)
{
	static const char by[] = "response_format.json_schema";
	static const char *const names[] = {"name", "description", "schema", "strict"};
	const json_t *schema = json_object_get(v, "schema"), *strict = json_object_get(v, "strict");
	if (!json_is_object(v))
		return body_wants(err, by, "an object with name and schema");
	int rc = only_fields(v, by, names, sizeof names / sizeof *names, err);
	if (rc != SN_OK)
		return rc;
	if (!body_plain_string(json_object_get(v, "name")))
		return body_wants(err, "response_format.json_schema.name", "a string");
	if (strict && !json_is_boolean(strict) && !json_is_null(strict))
		return body_wants(err, "response_format.json_schema.strict", "true or false");
	if (!json_is_object(schema))
		return body_wants(err, "response_format.json_schema.schema", "a JSON Schema: an object");
	return structured_schema(s, by, schema, err);
}

int structured_response_format(structured *s, const json_t *v, sn_error *err)
{
	static const char *const names[] = {"type", "json_schema"};
	const char *type = body_plain_string(json_object_get(v, "type"));
	if (!type)
		return body_wants(err, "response_format", "an object with a type");
	int rc = only_fields(v, "response_format", names, strcmp(type, "json_schema") == 0 ? 2 : 1, err);
	if (rc != SN_OK || strcmp(type, "text") == 0)
		return rc;
	if (strcmp(type, "json_object") == 0)
		return any_object(s, "response_format", err);
	if (strcmp(type, "json_schema") == 0)
		return named_schema(s, json_object_get(v, "json_schema"), err);
	return fault_set(err, SN_ERR_UNSUPPORTED, "response_format", "response_format.type must be text, json_object or json_schema");
}

int structured_outputs(structured *s, const json_t *v, sn_error *err)
{
	static const char by[] = "structured_outputs";
	static const char *const names[] = {"json", "grammar", "choice", "json_object", "regex", "structural_tag"};
	const json_t *object = json_object_get(v, "json_object");
	const char *key;
	json_t *value;
	if (!json_is_object(v))
		return body_wants(err, by, "an object");
	int rc = only_fields(v, by, names, sizeof names / sizeof *names, err);
	if (object && !json_is_boolean(object) && !json_is_null(object))
		return body_wants(err, "structured_outputs.json_object", "true or false");
	json_object_foreach((json_t *)v, key, value) {
		if (rc != SN_OK || json_is_null(value) || json_is_false(value))
			continue;
		if (strcmp(key, "json") == 0)
			rc = structured_schema(s, "structured_outputs.json", value, err);
		else if (strcmp(key, "grammar") == 0)
			rc = structured_grammar(s, "structured_outputs.grammar", value, err);
		else if (strcmp(key, "choice") == 0)
			rc = structured_choice(s, "structured_outputs.choice", value, err);
		else if (strcmp(key, "json_object") == 0)
			rc = any_object(s, "structured_outputs.json_object", err);
		else if (strcmp(key, "regex") == 0)
			rc = structured_regex(s, "structured_outputs.regex", value, err);
		else
			rc = fault_set(err, SN_ERR_UNSUPPORTED, by, "structured_outputs.structural_tag is not supported");
	}
	if (rc == SN_OK && !s->by)
		rc = fault_set(err, SN_ERR_INVALID, by, "structured_outputs names nothing");
	return rc;
}

void structured_fini(structured *s)
{
	out_fini(&s->grammar);
	*s = (structured){0};
}
