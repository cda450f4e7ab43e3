/* schema_keyword.c - which keywords there are, and what their simplest values mean. */
#include <math.h>
#include <string.h>

#include "fields.h"
#include "json.h"
#include "schema_inside.h"
#include "schema_merge.h"

#define MAX_LENGTH 100000

static const struct keyword { const char *name; unsigned kinds; } keywords[] = {
	{"properties", OBJECT}, {"required", OBJECT}, {"additionalProperties", OBJECT},
	{"items", ARRAY}, {"prefixItems", ARRAY}, {"minItems", ARRAY}, {"maxItems", ARRAY}, {"uniqueItems", ARRAY},
	{"minLength", STRING}, {"maxLength", STRING}, {"pattern", STRING}, {"format", STRING},
	{"minimum", NUMBER}, {"maximum", NUMBER}, {"exclusiveMinimum", NUMBER}, {"exclusiveMaximum", NUMBER},
	{"type", 0}, {"enum", 0}, {"const", 0}, {"anyOf", 0}, {"oneOf", 0}, {"allOf", 0}, {"$ref", 0},
};

/* 0: about no kind; the kinds that a keyword is about. */
static bool keyword_find(const char *name, unsigned *kinds)
{
	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
		if (strcmp(keywords[i].name, name) == 0) {
			*kinds = keywords[i].kinds;
			return true;
		}
	return false;
}

static int refuse_keyword(writer *w, const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ$";
	bool nameable = strlen(name) <= 40 && strspn(name, plain) == strlen(name);
	return unsupported(w, nameable ? "the schema's %s is not supported here" : "the schema has an unknown keyword%.0s", name);
}

/* Every keyword is known; *kinds: what those that are there speak of. */
int schema_check_keywords(writer *w, const json_t *s, unsigned *kinds)
{
	const char *key;
	json_t *v;
	*kinds = 0;
	json_object_foreach((json_t *)s, key, v) {
		unsigned about = 0;
		if (!keyword_find(key, &about) && !schema_is_annotation(key))
			return refuse_keyword(w, key);
		if (strcmp(key, "uniqueItems") == 0 && !json_is_false(v))
			return refuse_keyword(w, key);
		if (strcmp(key, "$id") == 0 && s != w->root)
			return refuse_keyword(w, key);
		*kinds |= about;
	}
	return SN_OK;
}

/* Nothing but these two and what says nothing about values. */
int schema_check_alone(writer *w, const json_t *s, const char *keyword, const char *beside)
{
	const char *key;
	json_t *v;
	json_object_foreach((json_t *)s, key, v)
		if (!schema_is_annotation(key) && strcmp(key, keyword) != 0 && strcmp(key, beside) != 0)
			return unsupported(w, "the schema's %s beside %s is not supported", key, keyword);
	return SN_OK;
}

int schema_read_types(writer *w, const json_t *type, unsigned *kinds)
{
	static const struct { const char *name; unsigned kind; } names[] = {
		{"object", OBJECT}, {"array", ARRAY}, {"string", STRING}, {"number", NUMBER}, {"integer", INTEGER}, {"boolean", BOOLEAN}, {"null", NUL}};
	size_t n = json_is_array(type) ? json_array_size(type) : 1;
	*kinds = 0;
	for (size_t i = 0; i < n; i++) {
		const char *name = body_plain_string(json_is_array(type) ? json_array_get(type, i) : type);
		unsigned kind = 0;
		for (size_t k = 0; name && k < sizeof names / sizeof *names; k++)
			if (strcmp(name, names[k].name) == 0)
				kind = names[k].kind;
		if (!kind)
			return invalid(w, "the schema's type is none of JSON's");
		*kinds |= kind;
	}
	if (*kinds & NUMBER)
		*kinds &= ~(unsigned)INTEGER;
	return *kinds ? SN_OK : unsupported(w, "the schema has no type left: nothing fits it");
}

int schema_read_count(writer *w, const json_t *s, const char *name, uint32_t standard, uint32_t *out)
{
	const json_t *v = json_object_get(s, name);
	*out = standard;
	if (!v)
		return SN_OK;
	double d = json_number_value(v);
	if (!json_is_number(v) || d < 0 || d != floor(d))
		return invalid(w, "the schema's %s must be a whole number, 0 or more", name);
	if (d > MAX_LENGTH)
		return unsupported(w, "the schema's %s is above %d", name, MAX_LENGTH);
	*out = (uint32_t)d;
	return SN_OK;
}
