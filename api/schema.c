#include "schema.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "json.h"
#include "schema_inside.h"
#include "schema_merge.h"

#define MAX_DEPTH 48      /* of schemas inside each other */
#define MAX_ENUM 1000
#define MAX_ONE_OF 64
#define MAX_TEXT 1000000  /* bytes of the grammar */
#define MAX_WORK 20000000 /* comparisons of names and values */

static const char prelude[] =
    "any ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n"
    "object ::= \"{\" (ws member (\",\" ws member)* ws)? \"}\"\n"
    "member ::= string \":\" sp any\n"
    "array ::= \"[\" (ws any (\",\" ws any)* ws)? \"]\"\n"
    "string ::= \"\\\"\" char* \"\\\"\"\n"
    "char ::= [^\"\\\\\\x00-\\x1F] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" ([0-9abcefABCEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2}))\n"
    "integer ::= \"-\"? (\"0\" | [1-9] [0-9]{0,15})\n"
    "number ::= integer (\".\" [0-9]{1,15})? ([eE] [+-]? [0-9]{1,2})?\n"
    "ws ::= (\" \" | \"\\n\" [ \\t]{0,32})?\n"
    "sp ::= \" \"?\n"
    "plain ::= [^\"\\\\\\x00-\\x1F]\n";

int schema_no_memory(writer *w)
{
	return fault_set(w->err, SN_ERR_NOMEM, w->param, "no memory for a schema");
}

int schema_spend(writer *w, size_t a, size_t b)
{
	w->work += a * b; /* each is below the values of a body */
	return w->work <= MAX_WORK ? SN_OK : unsupported(w, "the schema is too large to be kept");
}

/* ---- literals ---- */

void grammar_literal(out_buf *out, const char *bytes, size_t size)
{
	out_text(out, " \"");
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (c == '"' || c == '\\')
			out_fmt(out, "\\%c", c);
		else if (c < 0x20)
			out_fmt(out, "\\x%02X", c);
		else
			out_bytes(out, bytes + i, 1);
	}
	out_text(out, "\"");
}

static int write_value(writer *w, out_buf *rule, const json_t *v)
{
	char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	if (!text)
		return schema_no_memory(w);
	grammar_literal(rule, text, strlen(text));
	json_text_free(text);
	return SN_OK;
}

/* ---- schemas of schemas ---- */

static json_t *without(const json_t *s, const char *keyword)
{
	json_t *out = json_copy((json_t *)s);
	json_object_del(out, keyword);
	return out;
}

/* The same, where nothing that stands beside a $ref may be lost. */
static int follow_alone(writer *w, const json_t **s)
{
	const json_t *at = *s;
	*s = schema_follow_refs(w, at);
	if (!*s)
		return unsupported(w, "the schema's $ref leads nowhere inside it");
	int rc = SN_OK;
	for (; at != *s && rc == SN_OK; at = schema_resolve(w->root, json_string_value(json_object_get(at, "$ref"))))
		rc = schema_check_alone(w, at, "$ref", "$ref");
	return rc;
}

/* What joining two costs. */
static int spend_merge(writer *w, const json_t *a, const json_t *b)
{
	static const char *const lists[] = {"enum", "required", "type"};
	int rc = schema_spend(w, json_object_size(json_object_get(a, "properties")) + json_object_size(json_object_get(b, "properties")) + 1, 16);
	for (size_t i = 0; i < sizeof lists / sizeof *lists && rc == SN_OK; i++)
		rc = schema_spend(w, json_array_size(json_object_get(a, lists[i])) + 1, json_array_size(json_object_get(b, lists[i])) + 1);
	return rc;
}

static int merge_all(writer *w, const json_t *s, const json_t **out)
{
	const json_t *list = json_object_get(s, "allOf");
	json_t *all = without(s, "allOf");
	if (!json_is_array(list) || json_array_size(list) == 0 || !all) {
		json_decref(all);
		return invalid(w, "the schema's allOf must be a list of schemas");
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *why;
		const json_t *one = json_array_get(list, i);
		int rc = follow_alone(w, &one);
		if (rc == SN_OK && !json_is_object(one) && !json_is_boolean(one))
			rc = invalid(w, "the schema's allOf has something that is no schema");
		if (rc == SN_OK)
			rc = spend_merge(w, all, one);
		if (rc != SN_OK) {
			json_decref(all);
			return rc;
		}
		json_t *both = json_object_get(one, "allOf") && json_object_get(all, "allOf") ? NULL : schema_merge(all, one, &why);
		if (!both) {
			rc = unsupported(w, "the schema's allOf joins schemas that cannot be joined here");
			json_decref(all);
			return rc;
		}
		json_decref(all);
		all = both;
	}
	*out = all;
	return json_array_append_new(w->merged, all) == 0 ? SN_OK : schema_no_memory(w);
}

/* anyOf, oneOf: what stands beside holds for each. */
static int write_choice(writer *w, const json_t *s, const char *keyword, out_buf *rule)
{
	const json_t *list = json_object_get(s, keyword);
	size_t n = json_array_size(list);
	if (!json_is_array(list) || n == 0)
		return invalid(w, "the schema's %s must be a list of schemas", keyword);
	if (strcmp(keyword, "oneOf") == 0) {
		if (n > MAX_ONE_OF)
			return unsupported(w, "the schema's oneOf has more than %d schemas", MAX_ONE_OF);
		for (size_t i = 0; i < n; i++)
			for (size_t k = i + 1; k < n; k++)
				if (!schema_disjoint(json_array_get(list, i), json_array_get(list, k), schema_follow_refs, w, 4))
					return unsupported(w, "the schema's oneOf has schemas that may both fit: anyOf is supported");
	}
	json_t *beside = without(s, keyword);
	const char *key;
	json_t *v;
	bool alone = true;
	json_object_foreach(beside, key, v)
		alone = alone && schema_is_annotation(key);
	int rc = beside ? SN_OK : schema_no_memory(w);
	for (size_t i = 0; i < n && rc == SN_OK; i++) {
		const json_t *one = json_array_get(list, i);
		unsigned r;
		if (!alone) {
			json_t *both = json_pack("{s:[O,O]}", "allOf", one, beside);
			if (!both || json_array_append_new(w->merged, both) != 0)
				rc = schema_no_memory(w);
			one = both;
		}
		if (rc == SN_OK)
			rc = schema_rule_for(w, one, &r);
		if (rc == SN_OK)
			out_fmt(rule, "%s s%u", i ? " |" : "", r);
	}
	json_decref(beside);
	return rc;
}

static bool is_kind(const json_t *v, unsigned kinds)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT: return kinds & OBJECT;
	case JSON_ARRAY: return kinds & ARRAY;
	case JSON_STRING: return kinds & STRING;
	case JSON_INTEGER: return kinds & (NUMBER | INTEGER);
	case JSON_REAL: return kinds & NUMBER || (kinds & INTEGER && json_real_value(v) == floor(json_real_value(v)));
	case JSON_TRUE:
	case JSON_FALSE: return kinds & BOOLEAN;
	default: return kinds & NUL;
	}
}

static int write_listed(writer *w, const json_t *s, out_buf *rule)
{
	const json_t *one = json_object_get(s, "const"), *list = json_object_get(s, "enum"), *type = json_object_get(s, "type");
	unsigned kinds = ALL, n = 0;
	int rc = type ? schema_read_types(w, type, &kinds) : SN_OK;
	if (rc == SN_OK)
		rc = schema_check_alone(w, s, one ? "const" : "enum", "type");
	if (rc == SN_OK && list && (!json_is_array(list) || json_array_size(list) > MAX_ENUM))
		rc = invalid(w, "the schema's enum must be a list of at most %d values", MAX_ENUM);
	for (size_t i = 0; rc == SN_OK && i < (one ? 1 : json_array_size(list)); i++) {
		const json_t *v = one ? one : json_array_get(list, i);
		if (!is_kind(v, kinds))
			continue;
		out_text(rule, n++ ? " |" : "");
		rc = write_value(w, rule, v);
	}
	return rc == SN_OK && n == 0 ? unsupported(w, "the schema's %s leaves no value", one ? "const" : "enum") : rc;
}

static int write_kinds(writer *w, const json_t *s, unsigned spoken_of, unsigned me, out_buf *rule)
{
	const json_t *type = json_object_get(s, "type");
	unsigned kinds = spoken_of ? spoken_of : ALL;
	const char *bar = "";
	int rc = type ? schema_read_types(w, type, &kinds) : SN_OK;
	for (unsigned kind = 1; rc == SN_OK && kind < 128; kind *= 2) {
		if (!(kinds & kind))
			continue;
		out_text(rule, bar);
		bar = " |";
		switch (kind) {
		case OBJECT: rc = schema_write_object(w, s, me, rule); break;
		case ARRAY: rc = schema_write_array(w, s, me, rule); break;
		case STRING: rc = schema_write_string(w, s, rule); break;
		case BOOLEAN: out_text(rule, " \"true\" | \"false\""); break;
		case NUL: out_text(rule, " \"null\""); break;
		default: rc = schema_write_number(w, s, kind == INTEGER, rule);
		}
	}
	return rc;
}

static int write_schema(writer *w, const json_t *s, unsigned me, out_buf *rule)
{
	unsigned spoken_of, target;
	int rc;
	if (json_is_true(s)) {
		out_text(rule, " any");
		return SN_OK;
	}
	if (json_is_false(s))
		return unsupported(w, "the schema has a place that nothing fits");
	if (!json_is_object(s))
		return invalid(w, "the schema must be made of objects, true and false");
	if ((rc = schema_check_keywords(w, s, &spoken_of)) != SN_OK)
		return rc;
	if (json_object_get(s, "$ref")) {
		const char *ref = body_plain_string(json_object_get(s, "$ref"));
		const json_t *to = ref ? schema_resolve(w->root, ref) : NULL;
		if (!to)
			return unsupported(w, "the schema's $ref leads nowhere inside it");
		rc = schema_check_alone(w, s, "$ref", "$ref");
		if (rc == SN_OK)
			rc = schema_rule_for(w, to, &target);
		if (rc == SN_OK)
			out_fmt(rule, " s%u", target);
		return rc;
	}
	if (json_object_get(s, "allOf")) {
		if (w->depth >= MAX_DEPTH) /* it may join itself, again and again */
			return unsupported(w, "the schema's allOf is nested too deep");
		rc = merge_all(w, s, &s);
		w->depth++;
		if (rc == SN_OK)
			rc = write_schema(w, s, me, rule);
		w->depth--;
		return rc;
	}
	if (json_object_get(s, "anyOf"))
		return write_choice(w, s, "anyOf", rule);
	if (json_object_get(s, "oneOf"))
		return write_choice(w, s, "oneOf", rule);
	if (json_object_get(s, "const") || json_object_get(s, "enum"))
		return write_listed(w, s, rule);
	return write_kinds(w, s, spoken_of, me, rule);
}

int schema_rule_for(writer *w, const json_t *schema, unsigned *out)
{
	*out = 0;
	for (unsigned i = 0; i < w->n_rules; i++)
		if (w->rules[i].schema == schema && json_is_object(schema)) {
			*out = w->rules[i].rule;
			return SN_OK;
		}
	if (w->first + w->n_rules >= SCHEMA_MAX_RULES || w->out->size > MAX_TEXT)
		return unsupported(w, "the schema has too many parts");
	if (w->depth >= MAX_DEPTH)
		return unsupported(w, "the schema is nested too deep");
	if (w->n_rules == w->cap_rules) {
		unsigned cap = w->cap_rules ? 2 * w->cap_rules : 64;
		made *more = reallocarray(w->rules, cap, sizeof *more);
		if (!more)
			return schema_no_memory(w);
		w->rules = more;
		w->cap_rules = cap;
	}
	unsigned me = *out = w->first + w->n_rules;
	w->rules[w->n_rules++] = (made){schema, me};
	out_buf rule = {0};
	w->depth++;
	int rc = write_schema(w, schema, me, &rule);
	w->depth--;
	if (rc == SN_OK && !rule.failed) {
		out_fmt(w->out, "s%u ::=", me);
		out_bytes(w->out, rule.data, rule.size);
		out_text(w->out, "\n");
	}
	w->out->failed = w->out->failed || rule.failed;
	out_fini(&rule);
	return rc;
}

void schema_prelude(out_buf *out)
{
	out_text(out, prelude);
}

int schema_rule(const json_t *schema, const char *param, unsigned *n_rules, out_buf *out, sn_error *err)
{
	writer w = {.root = schema, .param = param, .out = out, .first = *n_rules, .merged = json_array(), .err = err};
	unsigned first;
	sn_json_watch();
	int rc = w.merged ? schema_rule_for(&w, schema, &first) : schema_no_memory(&w);
	if (out->failed || sn_json_starved() || rc == SN_ERR_NOMEM) /* what was not there may have looked like another fault */
		rc = schema_no_memory(&w);
	*n_rules += w.n_rules;
	free(w.rules);
	json_decref(w.merged);
	return rc;
}

int schema_grammar(const json_t *schema, const char *param, out_buf *out, sn_error *err)
{
	unsigned n = 0;
	schema_prelude(out);
	out_text(out, "root ::= s0\n");
	return schema_rule(schema, param, &n, out, err);
}

void schema_any_object(out_buf *out)
{
	schema_prelude(out);
	out_text(out, "root ::= object\n");
}
