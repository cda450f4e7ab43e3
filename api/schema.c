#include "schema.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "json.h"
#include "schema_inside.h"
#include "schema_merge.h"

#define MAX_DEPTH 48       /* of schemas inside each other */
#define MAX_REF_STEPS 32   /* from one $ref to the next */
#define MAX_RULES 4000
#define MAX_ENUM 1000
#define MAX_ONE_OF 64
#define MAX_LENGTH 100000
#define MAX_TEXT 1000000 /* bytes of the grammar */
#define MAX_WORK 20000000 /* comparisons of names and values */

enum { OBJECT = 1, ARRAY = 2, STRING = 4, NUMBER = 8, INTEGER = 16, BOOLEAN = 32, NUL = 64, ALL = 127 & ~INTEGER };

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

typedef struct made { const json_t *schema; unsigned rule; } made;

typedef struct writer {
	const json_t *root;
	const char *param;
	out_buf *out;     /* rules that are whole */
	made *rules;      /* [n_rules] */
	unsigned first;   /* number of its first rule */
	unsigned n_rules, cap_rules, depth;
	json_t *merged;   /* keeps what was joined */
	size_t work;      /* that it has cost so far */
	sn_error *err;
} writer;

#define unsupported(w, ...) fault_set((w)->err, SN_ERR_UNSUPPORTED, (w)->param, __VA_ARGS__)
#define invalid(w, ...) fault_set((w)->err, SN_ERR_INVALID, (w)->param, __VA_ARGS__)

static int no_memory(writer *w)
{
	return fault_set(w->err, SN_ERR_NOMEM, w->param, "no memory for a schema");
}

/* A product of two sizes that a client chose. */
static int spend(writer *w, size_t a, size_t b)
{
	w->work += a * b; /* each is below the values of a body */
	return w->work <= MAX_WORK ? SN_OK : unsupported(w, "the schema is too large to be kept");
}

/* "s3", the rule of a schema: written when it is first asked for. */
static int rule_for(writer *w, const json_t *schema, unsigned *out);

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
		return no_memory(w);
	grammar_literal(rule, text, strlen(text));
	json_text_free(text);
	return SN_OK;
}

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

/* ---- keywords ---- */

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
static int check_keywords(writer *w, const json_t *s, unsigned *kinds)
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
static int check_alone(writer *w, const json_t *s, const char *keyword, const char *beside)
{
	const char *key;
	json_t *v;
	json_object_foreach((json_t *)s, key, v)
		if (!schema_is_annotation(key) && strcmp(key, keyword) != 0 && strcmp(key, beside) != 0)
			return unsupported(w, "the schema's %s beside %s is not supported", key, keyword);
	return SN_OK;
}

static int read_types(writer *w, const json_t *type, unsigned *kinds)
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

static int read_count(writer *w, const json_t *s, const char *name, uint32_t standard, uint32_t *out)
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

/* ---- numbers ---- */

static int read_bound(writer *w, const json_t *s, const char *name, bool whole_only, bool up, bool *has, int64_t *out, bool *open)
{
	const json_t *v = json_object_get(s, name);
	if (!v)
		return SN_OK;
	if (!json_is_number(v))
		return invalid(w, "the schema's %s must be a number", name);
	double d = json_number_value(v);
	if (!(fabs(d) <= NUMBER_RANGE_LIMIT))
		return unsupported(w, "the schema's %s is beyond 10^15", name);
	bool exclusive = strncmp(name, "exclusive", 9) == 0;
	if (d != floor(d)) { /* the next whole number inside is itself allowed */
		if (!whole_only)
			return unsupported(w, "the schema's %s is not whole, for numbers that need not be", name);
		d = up ? ceil(d) : floor(d);
		exclusive = false;
	}
	int64_t at = (int64_t)d;
	if (!*has || (up ? at > *out : at < *out))
		*out = at, *open = exclusive;
	else if (at == *out)
		*open = *open || exclusive;
	*has = true;
	return SN_OK;
}

static int write_number(writer *w, const json_t *s, bool whole, out_buf *rule)
{
	number_range r = {0};
	int rc = read_bound(w, s, "minimum", whole, true, &r.has_min, &r.min, &r.open_min);
	if (rc == SN_OK)
		rc = read_bound(w, s, "exclusiveMinimum", whole, true, &r.has_min, &r.min, &r.open_min);
	if (rc == SN_OK)
		rc = read_bound(w, s, "maximum", whole, false, &r.has_max, &r.max, &r.open_max);
	if (rc == SN_OK)
		rc = read_bound(w, s, "exclusiveMaximum", whole, false, &r.has_max, &r.max, &r.open_max);
	if (rc != SN_OK)
		return rc;
	if (!r.has_min && !r.has_max)
		out_text(rule, whole ? " integer" : " number");
	else if (!(whole ? grammar_integers(rule, &r) : grammar_numbers(rule, &r)))
		return unsupported(w, "the schema's minimum and maximum leave no number");
	return SN_OK;
}

/* ---- strings ---- */

#define DATE "([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])))"
#define TIME "(([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))"
#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define LABEL "[a-z0-9]([a-z0-9-]{0,29}[a-z0-9])?"
#define HOST "(" LABEL "(\\." LABEL "){0,2})"
#define PART "[A-Za-z0-9_+-]{1,20}"
#define CLOCK "T([0-9]{1,4}H([0-9]{1,4}M([0-9]{1,4}S)?)?|[0-9]{1,4}M([0-9]{1,4}S)?|[0-9]{1,4}S)"

static const struct { const char *name, *pattern; } formats[] = {
	{"date", "^" DATE "$"}, {"time", "^" TIME "$"}, {"date-time", "^" DATE "T" TIME "$"},
	{"duration", "^P(([0-9]{1,4}Y([0-9]{1,4}M([0-9]{1,4}D)?)?|[0-9]{1,4}M([0-9]{1,4}D)?|[0-9]{1,4}D)(" CLOCK ")?|" CLOCK "|[0-9]{1,4}W)$"},
	{"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}, {"ipv4", "^" OCTET "(\\." OCTET "){3}$"},
	{"ipv6", "^[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}$"}, {"hostname", "^" HOST "$"}, {"email", "^" PART "(\\." PART "){0,2}@" HOST "$"},
};

static int write_string(writer *w, const json_t *s, out_buf *rule)
{
	const json_t *pattern = json_object_get(s, "pattern"), *format = json_object_get(s, "format");
	uint32_t min, max;
	int rc = read_count(w, s, "minLength", 0, &min);
	if (rc == SN_OK)
		rc = read_count(w, s, "maxLength", UINT32_MAX, &max);
	if (rc != SN_OK)
		return rc;
	bool measured = min > 0 || max < UINT32_MAX;
	if (pattern && (measured || format))
		return unsupported(w, "the schema's pattern beside %s is not supported", format ? "format" : "minLength or maxLength");
	if (format && measured)
		return unsupported(w, "the schema's format beside minLength or maxLength is not supported");
	if (min > max)
		return unsupported(w, "the schema's minLength is above maxLength");
	const char *text = json_string_value(pattern);
	size_t size = json_string_length(pattern);
	if (pattern && !text)
		return invalid(w, "the schema's pattern must be a string");
	if (format) {
		const char *name = body_plain_string(format);
		for (size_t i = 0; name && !text && i < sizeof formats / sizeof *formats; i++)
			text = strcmp(name, formats[i].name) == 0 ? formats[i].pattern : NULL;
		if (!text)
			return unsupported(w, "the schema has a format that is not supported");
		size = strlen(text);
	}
	if (!text && !measured) {
		out_text(rule, " string");
		return SN_OK;
	}
	out_text(rule, " \"\\\"\"");
	if (text) {
		const char *why = grammar_pattern(rule, text, size);
		if (why)
			return unsupported(w, "the schema's pattern: %s", why);
	} else if (max == UINT32_MAX) {
		out_fmt(rule, " char{%u,}", min);
	} else {
		out_fmt(rule, " char{%u,%u}", min, max);
	}
	out_text(rule, " \"\\\"\"");
	return SN_OK;
}

/* ---- arrays ---- */

static int write_array(writer *w, const json_t *s, unsigned me, out_buf *rule)
{
	const json_t *items = json_object_get(s, "items"), *prefix = json_object_get(s, "prefixItems");
	uint32_t min, max, n = (uint32_t)json_array_size(prefix);
	unsigned more = 0, one;
	bool any = !items || json_is_true(items), none = json_is_false(items);
	int rc = read_count(w, s, "minItems", 0, &min);
	if (rc == SN_OK)
		rc = read_count(w, s, "maxItems", UINT32_MAX, &max);
	if (rc == SN_OK && json_is_array(items))
		rc = unsupported(w, "the schema's items as a list is not supported: prefixItems is");
	if (rc == SN_OK && prefix && !json_is_array(prefix))
		rc = invalid(w, "the schema's prefixItems must be a list");
	if (rc == SN_OK && (min > max || (none && min > n)))
		rc = unsupported(w, "the schema's minItems leaves no array");
	if (rc == SN_OK && !any && !none && max > n)
		rc = rule_for(w, items, &more);
	if (rc != SN_OK)
		return rc;
	max = none && max > n ? n : max;
	/* t<i>: what comes behind i items */
	out_buf tails = {0};
	for (uint32_t i = 0; i < n && i < max && rc == SN_OK; i++) {
		rc = rule_for(w, json_array_get(prefix, i), &one);
		out_fmt(&tails, "s%u-t%u ::=%s ws s%u s%u-t%u%s\n", me, i, i ? " \",\"" : "", one, me, i + 1, i >= min ? (i ? " | ws \"]\"" : " | \"]\"") : "");
	}
	uint32_t k = n < max ? n : max;
	char item[24];
	snprintf(item, sizeof item, any ? "any" : "s%u", more);
	out_fmt(&tails, "s%u-t%u ::=", me, k);
	if (k == max) {
		out_text(&tails, k ? " ws" : "");
	} else {
		uint32_t least = min > k ? min - k : 0, most = max == UINT32_MAX ? UINT32_MAX : max - k;
		if (k == 0) { /* the first has no comma */
			out_fmt(&tails, " (ws %s", item);
			least -= least > 0;
			most -= most < UINT32_MAX;
		}
		if (most == UINT32_MAX)
			out_fmt(&tails, " (\",\" ws %s){%u,}", item, least);
		else
			out_fmt(&tails, " (\",\" ws %s){%u,%u}", item, least, most);
		out_text(&tails, k == 0 ? (min ? " ws)" : " ws)?") : " ws");
	}
	out_text(&tails, " \"]\"\n");
	out_fmt(rule, " \"[\" s%u-t0", me);
	if (tails.failed)
		w->out->failed = true;
	else
		out_bytes(w->out, tails.data, tails.size);
	out_fini(&tails);
	return rc;
}

/* ---- objects ---- */

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
	int rc = id < MAX_RULES ? SN_OK : unsupported(w, "the schema's additionalProperties beside so many properties is not supported");
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
		return no_memory(w);
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
		rc = rule_for(w, additional, &value);
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
		rc = rule_for(w, v, &value);
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

static int write_object(writer *w, const json_t *s, unsigned me, out_buf *rule)
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
	int rc = spend(w, json_object_size(all) + 1, json_array_size(required) + 1);
	if (rc != SN_OK) {
		json_decref(all);
		return rc;
	}
	if (!all || json_array_append_new(w->merged, all) != 0)
		return no_memory(w);
	bool open = additional ? !json_is_false(additional) : !given;
	out_fmt(rule, " \"{\" s%u-f0", me);
	return write_members(w, s, all, open, me);
}

/* ---- references ---- */

/* One step of a JSON pointer, ~0, ~1 and %xx undone; false if it is malformed. */
static bool pointer_step(const char **at, char *out, size_t cap)
{
	size_t n = 0;
	for (; **at && **at != '/'; ++*at) {
		char c = **at;
		unsigned byte;
		if (c == '%' && sscanf(*at + 1, "%2x", &byte) == 1 && (*at)[1] && (*at)[2]) {
			c = (char)byte;
			*at += 2;
		}
		if (c == '~' && ((*at)[1] == '0' || (*at)[1] == '1'))
			c = *++*at == '0' ? '~' : '/';
		if (n + 1 >= cap || c == 0)
			return false;
		out[n++] = c;
	}
	out[n] = 0;
	return true;
}

static const json_t *resolve(const json_t *root, const char *ref)
{
	char name[256];
	const json_t *at = root;
	if (*ref++ != '#')
		return NULL;
	while (at && *ref) {
		if (*ref++ != '/' || !pointer_step(&ref, name, sizeof name))
			return NULL;
		char *end = name;
		if (json_is_array(at))
			at = *name >= '0' && *name <= '9' ? json_array_get(at, strtoul(name, &end, 10)) : NULL;
		else
			at = json_object_get(at, name);
		if (*end && end != name)
			return NULL;
	}
	return at;
}

/* What a schema's $ref leads to in the end; NULL: nowhere. */
static const json_t *follow(void *ctx, const json_t *s)
{
	const writer *w = ctx;
	for (int steps = 0; s && json_object_get(s, "$ref"); steps++) {
		const char *ref = body_plain_string(json_object_get(s, "$ref"));
		s = ref && steps < MAX_REF_STEPS ? resolve(w->root, ref) : NULL;
	}
	return s;
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
	*s = follow(w, at);
	if (!*s)
		return unsupported(w, "the schema's $ref leads nowhere inside it");
	int rc = SN_OK;
	for (; at != *s && rc == SN_OK; at = resolve(w->root, json_string_value(json_object_get(at, "$ref"))))
		rc = check_alone(w, at, "$ref", "$ref");
	return rc;
}

/* What joining two costs. */
static int spend_merge(writer *w, const json_t *a, const json_t *b)
{
	static const char *const lists[] = {"enum", "required", "type"};
	int rc = spend(w, json_object_size(json_object_get(a, "properties")) + json_object_size(json_object_get(b, "properties")) + 1, 16);
	for (size_t i = 0; i < sizeof lists / sizeof *lists && rc == SN_OK; i++)
		rc = spend(w, json_array_size(json_object_get(a, lists[i])) + 1, json_array_size(json_object_get(b, lists[i])) + 1);
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
	return json_array_append_new(w->merged, all) == 0 ? SN_OK : no_memory(w);
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
				if (!schema_disjoint(json_array_get(list, i), json_array_get(list, k), follow, w, 4))
					return unsupported(w, "the schema's oneOf has schemas that may both fit: anyOf is supported");
	}
	json_t *beside = without(s, keyword);
	const char *key;
	json_t *v;
	bool alone = true;
	json_object_foreach(beside, key, v)
		alone = alone && schema_is_annotation(key);
	int rc = beside ? SN_OK : no_memory(w);
	for (size_t i = 0; i < n && rc == SN_OK; i++) {
		const json_t *one = json_array_get(list, i);
		unsigned r;
		if (!alone) {
			json_t *both = json_pack("{s:[O,O]}", "allOf", one, beside);
			if (!both || json_array_append_new(w->merged, both) != 0)
				rc = no_memory(w);
			one = both;
		}
		if (rc == SN_OK)
			rc = rule_for(w, one, &r);
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
	int rc = type ? read_types(w, type, &kinds) : SN_OK;
	if (rc == SN_OK)
		rc = check_alone(w, s, one ? "const" : "enum", "type");
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
	int rc = type ? read_types(w, type, &kinds) : SN_OK;
	for (unsigned kind = 1; rc == SN_OK && kind < 128; kind *= 2) {
		if (!(kinds & kind))
			continue;
		out_text(rule, bar);
		bar = " |";
		switch (kind) {
		case OBJECT: rc = write_object(w, s, me, rule); break;
		case ARRAY: rc = write_array(w, s, me, rule); break;
		case STRING: rc = write_string(w, s, rule); break;
		case BOOLEAN: out_text(rule, " \"true\" | \"false\""); break;
		case NUL: out_text(rule, " \"null\""); break;
		default: rc = write_number(w, s, kind == INTEGER, rule);
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
	if ((rc = check_keywords(w, s, &spoken_of)) != SN_OK)
		return rc;
	if (json_object_get(s, "$ref")) {
		const char *ref = body_plain_string(json_object_get(s, "$ref"));
		const json_t *to = ref ? resolve(w->root, ref) : NULL;
		if (!to)
			return unsupported(w, "the schema's $ref leads nowhere inside it");
		rc = check_alone(w, s, "$ref", "$ref");
		if (rc == SN_OK)
			rc = rule_for(w, to, &target);
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

static int rule_for(writer *w, const json_t *schema, unsigned *out)
{
	*out = 0;
	for (unsigned i = 0; i < w->n_rules; i++)
		if (w->rules[i].schema == schema && json_is_object(schema)) {
			*out = w->rules[i].rule;
			return SN_OK;
		}
	if (w->first + w->n_rules >= MAX_RULES || w->out->size > MAX_TEXT)
		return unsupported(w, "the schema has too many parts");
	if (w->depth >= MAX_DEPTH)
		return unsupported(w, "the schema is nested too deep");
	if (w->n_rules == w->cap_rules) {
		unsigned cap = w->cap_rules ? 2 * w->cap_rules : 64;
		made *more = reallocarray(w->rules, cap, sizeof *more);
		if (!more)
			return no_memory(w);
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
	json_memory_watch();
	int rc = w.merged ? rule_for(&w, schema, &first) : no_memory(&w);
	if (out->failed || json_memory_failed() || rc == SN_ERR_NOMEM) /* what was not there may have looked like another fault */
		rc = no_memory(&w);
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
