/* jinja_repr.c - values as text: Python's str() and repr(), and json.dumps(). Text keeps its provenance; numbers and
 * constants count as the template's; the brackets, quotes and commas around values as nobody's, hence untrusted. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "text/jinja_ctx.h"
#include "text/unicode.h"

/* The shortest digits that read back as f, laid out as Python does. */
static void put_float(text_builder *b, double f)
{
	char digits[40], out[64];
	int precision = 1;
	if (isnan(f) || isinf(f)) {
		put_str(b, isnan(f) ? STR("nan") : f < 0 ? STR("-inf") : STR("inf"), true);
		return;
	}
	do
		snprintf(digits, sizeof digits, "%.*e", precision - 1, f);
	while (strtod(digits, NULL) != f && ++precision <= 17);
	int exponent = atoi(strchr(digits, 'e') + 1);
	if (exponent < -4 || exponent >= 16) {
		snprintf(out, sizeof out, "%.*s%c%c%02d", (int)(strchr(digits, 'e') - digits), digits, 'e', exponent < 0 ? '-' : '+',
		         abs(exponent));
	} else {
		int decimals = precision - 1 - exponent;
		snprintf(out, sizeof out, "%.*f", decimals > 0 ? decimals : 0, f);
		if (decimals <= 0)
			strcat(out, ".0");
	}
	put_str(b, str_of(out), true);
}

static void put_int(text_builder *b, int64_t i)
{
	char out[24];
	snprintf(out, sizeof out, "%lld", (long long)i);
	put_str(b, str_of(out), true);
}

static void put_mark(text_builder *b, const char *s)
{
	put_str(b, str_of(s), false);
}

/* ---- repr ---- */

static void put_escape(text_builder *b, uint32_t cp, bool trusted)
{
	char out[12];
	snprintf(out, sizeof out, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)cp);
	put_str(b, str_of(out), trusted);
}

static void put_repr_string(text_builder *b, text t)
{
	if (t.markup)
		put_mark(b, "Markup(");
	bool single = t.n && memchr(t.p, '\'', t.n), both = single && memchr(t.p, '"', t.n);
	char quote[2] = {single && !both ? '"' : '\'', 0};
	put_mark(b, quote);
	for (size_t i = 0, n; i < t.n; i += n) {
		uint32_t cp = 0xFFFD;
		bool trusted = text_trusted(t, i);
		n = utf8_step(t.p + i, t.n - i);
		utf8_decode(t.p + i, t.n - i, &cp);
		const char *at = cp && cp < 0x80 ? strchr("\nn\rr\tt", (int)cp) : NULL;
		if (at && cp < 0x20) {
			put_str(b, (str){(const char[]){'\\', at[1]}, 2}, trusted);
			continue;
		}
		if (cp == '\\' || cp == (unsigned char)quote[0])
			put_str(b, STR("\\"), trusted);
		if (unicode_is_printable(cp))
			put_text(b, text_slice(t, i, i + n));
		else
			put_escape(b, cp, trusted);
	}
	put_mark(b, quote);
	if (t.markup)
		put_mark(b, ")");
}

static bool put_items(jinja_ctx *c, text_builder *b, const value *v)
{
	bool dict = v->kind == VALUE_DICT;
	put_mark(b, dict ? "{" : v->kind == VALUE_LIST ? "[" : "(");
	for (size_t i = 0; i < v->t->n; i++) {
		if (i)
			put_mark(b, ", ");
		if (dict && put_repr(c, b, v->t->at[i].key))
			put_mark(b, ": ");
		if (!put_repr(c, b, v->t->at[i].val))
			return false;
	}
	put_mark(b, dict ? "}" : v->kind == VALUE_LIST ? "]" : v->t->n == 1 ? ",)" : ")");
	return true;
}

static bool put_range(text_builder *b, const value_table *t)
{
	put_mark(b, "range(");
	put_int(b, t->start);
	put_mark(b, ", ");
	put_int(b, t->stop);
	if (t->step != 1) {
		put_mark(b, ", ");
		put_int(b, t->step);
	}
	put_mark(b, ")");
	return true;
}

static bool put_view(jinja_ctx *c, text_builder *b, const value *v)
{
	value list = *v;
	list.kind = VALUE_LIST;
	put_mark(b, "dict_");
	put_mark(b, v->t->view);
	put_mark(b, "(");
	bool ok = put_items(c, b, &list);
	put_mark(b, ")");
	return ok;
}

bool put_repr(jinja_ctx *c, text_builder *b, const value *v)
{
	if (!ctx_charge(c, 1) || b->failed)
		return false;
	switch (v->kind) {
	case VALUE_UNDEFINED:
		put_mark(b, "Undefined");
		return true;
	case VALUE_STRING:
		put_repr_string(b, v->s);
		return true;
	case VALUE_LIST:
	case VALUE_TUPLE:
	case VALUE_DICT:
		return put_items(c, b, v);
	case VALUE_RANGE:
		return put_range(b, v->t);
	case VALUE_VIEW:
		return put_view(c, b, v);
	default:
		return put_value(c, b, v);
	}
}

/* ---- str ---- */

bool put_value(jinja_ctx *c, text_builder *b, const value *v)
{
	if (!v)
		return false;
	switch (v->kind) {
	case VALUE_UNDEFINED:
		return true;
	case VALUE_NONE:
		put_str(b, STR("None"), true);
		return true;
	case VALUE_BOOL:
		put_str(b, v->b ? STR("True") : STR("False"), true);
		return true;
	case VALUE_INT:
		put_int(b, v->i);
		return true;
	case VALUE_FLOAT:
		put_float(b, v->f);
		return true;
	case VALUE_STRING:
		put_text(b, v->s);
		return true;
	case VALUE_LIST:
	case VALUE_TUPLE:
	case VALUE_DICT:
	case VALUE_RANGE:
	case VALUE_VIEW:
		return put_repr(c, b, v);
	case VALUE_LOOP:
		put_mark(b, "<LoopContext ");
		put_int(b, (int64_t)v->loop->i + 1);
		put_mark(b, "/");
		put_int(b, (int64_t)v->loop->items->n);
		put_mark(b, ">");
		return true;
	default: /* Python prints an address */
		return ctx_fail(c, "a %s cannot be printed", value_type_name(v));
	}
}

bool ctx_str(jinja_ctx *c, const value *v, text *out)
{
	if (v->kind == VALUE_STRING) {
		*out = v->s;
		return true;
	}
	text_builder b = ctx_builder(c);
	const value *s = put_value(c, &b, v) ? ctx_text(c, &b) : NULL;
	if (s)
		*out = s->s;
	return s != NULL;
}

/* ---- JSON ---- */

typedef struct json {
	jinja_ctx *c;
	text_builder *b;
	const json_style *style;
} json;

/* \u escapes of one character, a surrogate pair where it takes two. */
static void put_json_escape(text_builder *b, uint32_t cp, bool trusted)
{
	char out[16];
	if (cp < 0x10000)
		snprintf(out, sizeof out, "\\u%04x", (unsigned)cp);
	else
		snprintf(out, sizeof out, "\\u%04x\\u%04x", (unsigned)(0xD800 + ((cp - 0x10000) >> 10)), (unsigned)(0xDC00 + (cp & 0x3FF)));
	put_str(b, str_of(out), trusted);
}

static void put_json_string(text_builder *b, text t, bool ascii)
{
	static const char special[] = "\"\\\n\r\t\b\f", letter[] = "\"\\nrtbf";
	put_mark(b, "\"");
	for (size_t i = 0, from = 0; i <= t.n; i++) {
		unsigned char ch = i < t.n ? (unsigned char)t.p[i] : 0;
		const char *at = ch ? strchr(special, ch) : NULL;
		if (i < t.n && !at && ch >= 0x20 && (ch < 0x7F || !ascii || ch == 0x7F))
			continue;
		put_text(b, text_slice(t, from, i));
		from = i + 1;
		if (i == t.n)
			break;
		uint32_t cp = 0xFFFD;
		if (at) {
			put_str(b, (str){(const char[]){'\\', letter[at - special]}, 2}, text_trusted(t, i));
			continue;
		}
		utf8_decode(t.p + i, t.n - i, &cp);
		put_json_escape(b, cp, text_trusted(t, i));
		i += utf8_step(t.p + i, t.n - i) - 1;
		from = i + 1;
	}
	put_mark(b, "\"");
}

static bool put_json_value(const json *j, const value *v, int level);

static void put_line(const json *j, int level)
{
	if (!j->style->indent)
		return;
	put_mark(j->b, "\n");
	for (int i = 0; i < level && !j->b->failed; i++)
		put_text(j->b, *j->style->indent);
}

static int compare_keys(const void *a, const void *b)
{
	text ka = ((const value_entry *)a)->key->s, kb = ((const value_entry *)b)->key->s;
	int order = memcmp(ka.p, kb.p, ka.n < kb.n ? ka.n : kb.n);
	return order ? order : (ka.n > kb.n) - (ka.n < kb.n);
}

static const value_entry *json_entries(const json *j, const value *v)
{
	if (v->kind != VALUE_DICT || !j->style->sort_keys || v->t->n < 2)
		return v->t->at;
	value_entry *sorted = arena_array(j->c->a, v->t->n, sizeof *sorted);
	if (!sorted || !ctx_charge(j->c, v->t->n))
		return NULL;
	memcpy(sorted, v->t->at, v->t->n * sizeof *sorted);
	for (size_t i = 0; i < v->t->n; i++) {
		if (sorted[i].key->kind != VALUE_STRING) {
			ctx_fail(j->c, "tojson: only string keys can be sorted");
			return NULL;
		}
	}
	qsort(sorted, v->t->n, sizeof *sorted, compare_keys);
	return sorted;
}

static bool put_json_key(const json *j, const value *key)
{
	if (key->kind == VALUE_STRING) {
		put_json_string(j->b, key->s, j->style->ascii);
		return true;
	}
	if (key->kind > VALUE_FLOAT || key->kind == VALUE_UNDEFINED)
		return ctx_fail(j->c, "a %s cannot be a JSON key", value_type_name(key));
	put_mark(j->b, "\"");
	bool ok = put_json_value(j, key, 0);
	put_mark(j->b, "\"");
	return ok;
}

static bool put_json_items(const json *j, const value *v, int level)
{
	bool dict = v->kind == VALUE_DICT;
	const value_entry *at = json_entries(j, v);
	put_mark(j->b, dict ? "{" : "[");
	for (size_t i = 0; i < v->t->n; i++) {
		if (!at)
			return false;
		if (i)
			put_text(j->b, j->style->comma);
		put_line(j, level + 1);
		if (dict) {
			if (!put_json_key(j, at[i].key))
				return false;
			put_text(j->b, j->style->colon);
		}
		if (!put_json_value(j, at[i].val, level + 1))
			return false;
	}
	if (v->t->n)
		put_line(j, level);
	put_mark(j->b, dict ? "}" : "]");
	return true;
}

static bool put_json_value(const json *j, const value *v, int level)
{
	if (!ctx_charge(j->c, 1) || j->b->failed)
		return false;
	switch (v->kind) {
	case VALUE_NONE:
		put_str(j->b, STR("null"), true);
		return true;
	case VALUE_BOOL:
		put_str(j->b, v->b ? STR("true") : STR("false"), true);
		return true;
	case VALUE_FLOAT:
		if (isnan(v->f) || isinf(v->f)) {
			put_str(j->b, isnan(v->f) ? STR("NaN") : v->f < 0 ? STR("-Infinity") : STR("Infinity"), true);
			return true;
		}
		/* fall through */
	case VALUE_INT:
		return put_value(j->c, j->b, v);
	case VALUE_STRING:
		put_json_string(j->b, v->s, j->style->ascii);
		return true;
	case VALUE_LIST:
	case VALUE_TUPLE:
	case VALUE_DICT:
		return put_json_items(j, v, level);
	default:
		return ctx_fail(j->c, "a %s cannot be written as JSON", value_type_name(v));
	}
}

bool put_json(jinja_ctx *c, text_builder *b, const value *v, const json_style *style)
{
	json j = {c, b, style};
	return put_json_value(&j, v, 0);
}
