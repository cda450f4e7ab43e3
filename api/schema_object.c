/* schema_object.c - objects: members in the order of `properties`, and behind them those that it does not name. */
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "json.h"
#include "schema_inside.h"

static void write_key(out_buf *rule, const char *key)
{
	out_buf quoted = {0};
	out_json_text(&quoted, key);
	if (quoted.failed)
		rule->failed = true;
	else
		grammar_literal(rule, quoted.data, quoted.size);
	out_fini(&quoted);
	out_text(rule, " \":\" sp");
}

/* Rules for a string that is none of the keys from `first` to `last` (sorted), all of which have the same `at` bytes behind them. */
typedef struct key_list { const char **at; size_t n; } key_list;

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t char_size(unsigned char c)
{
	return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/* me-k<id>: the rest of such a string, and its closing quote. Numbers count up from *next. */
static int write_other_key(writer *w, unsigned me, const key_list *keys, size_t first, size_t last, size_t at, unsigned *next)
{
	unsigned id = (*next)++;
	out_buf rule = {0}, not = {0};
	bool is_key = keys->at[first][at] == 0;
	int rc = id < SCHEMA_MAX_RULES ? SN_OK : unsupported(w, "the schema's additionalProperties beside so many properties is not supported");
	out_fmt(&rule, "s%u-k%u ::=", me, id);
	for (size_t i = first + is_key; rc == SN_OK && i < last;) {
		const char *c = keys->at[i] + at;
		size_t n = char_size((unsigned char)*c), end = i;
		while (end < last && strncmp(keys->at[end] + at, c, n) == 0)
			end++;
		if (*c != '"' && *c != '\\' && (unsigned char)*c >= 0x20) {
			grammar_literal(&rule, c, n);
			out_fmt(&rule, " s%u-k%u |", me, *next);
			if (strchr("]^-", *c))
				out_text(&not, "\\");
			out_bytes(&not, c, n);
			rc = write_other_key(w, me, keys, i, end, at + n, next);
		}
		i = end;
	}
	out_text(&rule, " [^\"\\\\\\x00-\\x1F");
	out_bytes(&rule, not.data, not.size);
	out_text(&rule, is_key ? "] plain* \"\\\"\"\n" : "] plain* \"\\\"\" | \"\\\"\"\n");
	if (rule.failed || not.failed)
		w->out->failed = true;
	else
		out_bytes(w->out, rule.data, rule.size);
	out_fini(&rule);
	out_fini(&not);
	return rc;
}

/* A member that `properties` does not name, as text of the grammar. */
static int write_additional(writer *w, const json_t *s, const json_t *properties, unsigned me, out_buf *member)
{
	const json_t *additional = json_object_get(s, "additionalProperties");
	key_list keys = {calloc(json_object_size(properties) + 1, sizeof *keys.at), 0};
	const char *key;
	json_t *v;
	unsigned next = 0, value;
	if (!keys.at)
		return schema_no_memory(w);
	json_object_foreach((json_t *)properties, key, v)
		keys.at[keys.n++] = key;
	qsort(keys.at, keys.n, sizeof *keys.at, by_text);
	int rc = SN_OK;
	if (keys.n) {
		out_fmt(member, " \"\\\"\" s%u-k0 \":\" sp", me);
		rc = write_other_key(w, me, &keys, 0, keys.n, 0, &next);
	} else {
		out_text(member, " string \":\" sp");
	}
	free(keys.at);
	if (rc == SN_OK && json_is_object(additional)) {
		rc = schema_rule_for(w, additional, &value);
		out_fmt(member, " s%u", value);
	} else {
		out_text(member, " any");
	}
	return rc;
}

static bool requires(const json_t *required, const char *key)
{
	for (size_t i = 0; i < json_array_size(required); i++)
		if (json_is_string(json_array_get(required, i)) && strcmp(json_string_value(json_array_get(required, i)), key) == 0)
			return true;
	return false;
}

/* What `properties` names, and behind it what is required beside that; NULL: no memory. */
static json_t *all_properties(const json_t *s)
{
	const json_t *given = json_object_get(s, "properties"), *required = json_object_get(s, "required"),
	             *additional = json_object_get(s, "additionalProperties");
	json_t *out = given ? json_copy((json_t *)given) : json_object();
	for (size_t i = 0; out && i < json_array_size(required); i++) {
		const char *key = body_plain_string(json_array_get(required, i));
		if (key && !json_object_get(out, key))
			json_object_set_new(out, key, additional ? json_incref((json_t *)additional) : json_true());
	}
	return out;
}

/* f<i>, r<i>: from property i on, when none, when some was written. The last of them close the object. */
static int write_members(writer *w, const json_t *s, const json_t *properties, bool open, unsigned me)
{
	const json_t *required = json_object_get(s, "required");
	const char *key;
	json_t *v;
	unsigned i = 0, value;
	bool first = true; /* maybe none was written yet */
	out_buf rules = {0}, more = {0};
	int rc = open ? write_additional(w, s, properties, me, &more) : SN_OK;
	json_object_foreach((json_t *)properties, key, v) {
		if (rc != SN_OK)
			break;
		bool must = requires(required, key);
		if (json_is_false(v)) {
			if (must)
				rc = unsupported(w, "the schema requires a property that nothing fits");
			if (first)
				out_fmt(&rules, "s%u-f%u ::= s%u-f%u\n", me, i, me, i + 1);
			out_fmt(&rules, "s%u-r%u ::= s%u-r%u\n", me, i, me, i + 1);
			i++;
			continue;
		}
		rc = schema_rule_for(w, v, &value);
		if (first) {
			out_fmt(&rules, "s%u-f%u ::= ws", me, i);
			write_key(&rules, key);
			out_fmt(&rules, " s%u s%u-r%u", value, me, i + 1);
			out_fmt(&rules, must ? "\n" : " | s%u-f%u\n", me, i + 1);
		}
		out_fmt(&rules, "s%u-r%u ::= \",\" ws", me, i);
		write_key(&rules, key);
		out_fmt(&rules, " s%u s%u-r%u", value, me, i + 1);
		out_fmt(&rules, must ? "\n" : " | s%u-r%u\n", me, i + 1);
		first = first && !must;
		i++;
	}
	if (more.failed)
		rules.failed = true;
	if (first && open)
		out_fmt(&rules, "s%u-f%u ::= (ws%.*s (\",\" ws%.*s)* ws)? \"}\"\n", me, i, (int)more.size, more.data, (int)more.size, more.data);
	else if (first)
		out_fmt(&rules, "s%u-f%u ::= \"}\"\n", me, i);
	out_fmt(&rules, "s%u-r%u ::=", me, i);
	if (open)
		out_fmt(&rules, " (\",\" ws%.*s)*", (int)more.size, more.data);
	out_text(&rules, " ws \"}\"\n");
	if (rules.failed)
		w->out->failed = true;
	else
		out_bytes(w->out, rules.data, rules.size);
	out_fini(&rules);
	out_fini(&more);
	return rc;
}

int schema_write_object(writer *w, const json_t *s, unsigned me, out_buf *rule)
{
	const json_t *given = json_object_get(s, "properties"), *required = json_object_get(s, "required"),
	             *additional = json_object_get(s, "additionalProperties");
	if (given && !json_is_object(given))
		return invalid(w, "the schema's properties must be an object");
	if (required && !json_is_array(required))
		return invalid(w, "the schema's required must be a list");
	if (additional && !json_is_boolean(additional) && !json_is_object(additional))
		return invalid(w, "the schema's additionalProperties must be a schema");
	for (size_t i = 0; i < json_array_size(required); i++)
		if (!body_plain_string(json_array_get(required, i)))
			return invalid(w, "the schema's required must be a list of names");
	if (!given && !additional && json_array_size(required) == 0) {
		out_text(rule, " object");
		return SN_OK;
	}
	json_t *all = all_properties(s);
	int rc = schema_spend(w, json_object_size(all) + 1, json_array_size(required) + 1);
	if (rc != SN_OK) {
		json_decref(all);
		return rc;
	}
	if (!all || json_array_append_new(w->merged, all) != 0)
		return schema_no_memory(w);
	bool open = additional ? !json_is_false(additional) : !given;
	out_fmt(rule, " \"{\" s%u-f0", me);
	return write_members(w, s, all, open, me);
}
