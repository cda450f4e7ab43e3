/* schema_pattern.c - a regular expression -> a grammar: over a string's JSON, anywhere in it; or over a text, the whole of it.
 *
 * Of ECMA-262: alternatives, groups, classes, . \d \w \s and their opposites, escaped characters, ? * + {m} {m,} {m,n}, and ^ and $ at the
 * ends of an alternative outside of groups. What looks around or back is refused. A character that JSON escapes is escaped. */
#include <stdlib.h>
#include <string.h>

#include "schema_inside.h"

#define MAX_RANGES 128
#define MAX_GROUPS 24
#define MAX_PATTERN 4096

typedef struct range { uint32_t lo, hi; } range;

typedef struct chars {
	range at[MAX_RANGES];
	unsigned n;
} chars;

typedef struct pattern {
	const char *p, *end;
	out_buf *out;
	bool text;       /* not JSON: nothing is escaped; and all of it */
	const char *why; /* refused */
} pattern;

static bool refuse(pattern *s, const char *why)
{
	s->why = s->why ? s->why : why;
	return false;
}

static bool add(pattern *s, chars *c, uint32_t lo, uint32_t hi)
{
	if (c->n == MAX_RANGES)
		return refuse(s, "a class of the pattern is too large");
	c->at[c->n++] = (range){lo, hi};
	return true;
}

static int by_lo(const void *a, const void *b)
{
	const range *x = a, *y = b;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static bool invert(pattern *s, chars *c)
{
	chars in = *c;
	uint32_t next = 0;
	qsort(in.at, in.n, sizeof *in.at, by_lo);
	c->n = 0;
	for (unsigned i = 0; i < in.n; i++) {
		if (in.at[i].lo > next && !add(s, c, next, in.at[i].lo - 1))
			return false;
		next = in.at[i].hi >= next ? in.at[i].hi + 1 : next;
	}
	return next > 0x10FFFF || add(s, c, next, 0x10FFFF);
}

/* ---- what is written ---- */

static void write_code(out_buf *out, uint32_t c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		out_fmt(out, "%c", (int)c);
	else
		out_fmt(out, "\\U%08X", c);
}

static void write_escaped(out_buf *out, const char *bar, uint32_t c)
{
	static const char codes[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
	const char *at = c ? memchr(codes, (int)c, sizeof codes - 1) : NULL;
	if (at)
		out_fmt(out, "%s \"\\\\%s%c\"", bar, letters[at - codes] == '"' || letters[at - codes] == '\\' ? "\\" : "", letters[at - codes]);
	else
		out_fmt(out, "%s \"\\\\u%04x\"", bar, c);
}

static bool has(const chars *c, uint32_t cp)
{
	for (unsigned i = 0; i < c->n; i++)
		if (cp >= c->at[i].lo && cp <= c->at[i].hi)
			return true;
	return false;
}

/* As they stand, and those that JSON escapes, escaped. */
static bool write_chars(pattern *s, const chars *c)
{
	static const range in_json[] = {{0x20, 0x21}, {0x23, 0x5B}, {0x5D, 0xD7FF}, {0xE000, 0x10FFFF}}, in_text[] = {{0x01, 0xD7FF}, {0xE000, 0x10FFFF}};
	const range *plain = s->text ? in_text : in_json;
	bool any = false;
	out_text(s->out, " (");
	for (unsigned i = 0; i < c->n; i++)
		for (unsigned k = 0; k < (s->text ? sizeof in_text / sizeof *in_text : sizeof in_json / sizeof *in_json); k++) {
			uint32_t lo = c->at[i].lo > plain[k].lo ? c->at[i].lo : plain[k].lo, hi = c->at[i].hi < plain[k].hi ? c->at[i].hi : plain[k].hi;
			if (lo > hi)
				continue;
			out_text(s->out, any ? "" : " [");
			any = true;
			write_code(s->out, lo);
			out_text(s->out, "-");
			write_code(s->out, hi);
		}
	bool escaped = has(c, '"') || has(c, '\\');
	for (uint32_t cp = 0; cp < 0x20; cp++)
		escaped = escaped || has(c, cp);
	escaped = escaped && !s->text;
	if (!any && !escaped)
		return refuse(s, "a class of the pattern has no characters");
	const char *bar = any ? "] |" : "";
	if (!escaped) {
		out_text(s->out, "] )");
		return true;
	}
	for (uint32_t cp = 0; cp < 0x20; cp++)
		if (has(c, cp)) {
			write_escaped(s->out, bar, cp);
			bar = " |";
		}
	for (const char *q = "\"\\"; *q; q++)
		if (has(c, (uint32_t)*q)) {
			write_escaped(s->out, bar, (uint32_t)*q);
			bar = " |";
		}
	out_text(s->out, " )");
	return true;
}

/* ---- what is read ---- */

static bool decode(pattern *s, uint32_t *cp)
{
	unsigned char c = (unsigned char)*s->p;
	unsigned n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4; /* jansson has looked: it is UTF-8 */
	if ((size_t)(s->end - s->p) < n)
		return refuse(s, "the pattern ends inside a character");
	*cp = n == 1 ? c : c & (0xFFu >> (n + 1));
	for (unsigned i = 1; i < n; i++)
		*cp = *cp << 6 | ((unsigned char)s->p[i] & 63);
	s->p += n;
	return true;
}

static bool hex(pattern *s, unsigned n, uint32_t *cp)
{
	*cp = 0;
	for (unsigned i = 0; i < n; i++, s->p++) {
		char c = s->p < s->end ? *s->p : 0;
		int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (v < 0)
			return refuse(s, "an escape of the pattern lacks hexadecimal digits");
		*cp = *cp << 4 | (uint32_t)v;
	}
	return *cp < 0xD800 || *cp > 0xDFFF ? true : refuse(s, "an escape of the pattern is no character");
}

static bool add_word(pattern *s, chars *c)
{
	return add(s, c, '0', '9') && add(s, c, 'A', 'Z') && add(s, c, '_', '_') && add(s, c, 'a', 'z');
}

/* wide: everything that some reader takes for a blank, so that what is not one is none to any. */
static bool add_space(pattern *s, chars *c, bool wide)
{
	static const range more[] = {{0x1C, 0x1F}, {0x85, 0x85}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
	                             {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
	bool ok = add(s, c, 9, 13) && add(s, c, ' ', ' ');
	for (unsigned i = 0; wide && ok && i < sizeof more / sizeof *more; i++)
		ok = add(s, c, more[i].lo, more[i].hi);
	return ok;
}

/* After a backslash: a class, or one character (*single). */
static bool parse_escape(pattern *s, chars *out, bool *single)
{
	chars c = {.n = 0};
	uint32_t cp = 0;
	bool ok = true, opposite = false;
	*single = false;
	char letter = s->p < s->end ? *s->p++ : 0;
	switch (letter) {
	case 'D': opposite = true; /* fall through */
	case 'd': ok = add(s, &c, '0', '9'); break;
	case 'W': opposite = true; /* fall through */
	case 'w': ok = add_word(s, &c); break;
	case 'S': opposite = true; /* fall through */
	case 's': ok = add_space(s, &c, opposite); break;
	default:
		*single = true;
		switch (letter) {
		case 't': cp = '\t'; break;
		case 'n': cp = '\n'; break;
		case 'r': cp = '\r'; break;
		case 'f': cp = '\f'; break;
		case 'v': cp = '\v'; break;
		case 'x': ok = hex(s, 2, &cp); break;
		case 'u': ok = hex(s, 4, &cp); break;
		default:
			if (!letter || !strchr("^$\\.*+?()[]{}|/-\"'&#@!%,:;<=>_~` ", letter))
				return refuse(s, "the pattern has an escape that is not supported");
			cp = (unsigned char)letter;
		}
		ok = ok && add(s, &c, cp, cp);
	}
	if (ok && opposite)
		ok = invert(s, &c);
	for (unsigned i = 0; ok && i < c.n; i++)
		ok = add(s, out, c.at[i].lo, c.at[i].hi);
	return ok;
}

static bool parse_class_item(pattern *s, chars *c, bool *single)
{
	uint32_t cp;
	*single = true;
	if (s->p == s->end)
		return refuse(s, "a class of the pattern does not end");
	if (*s->p == '\\') {
		s->p++;
		return parse_escape(s, c, single);
	}
	return decode(s, &cp) && add(s, c, cp, cp);
}

static bool parse_class(pattern *s)
{
	chars c = {.n = 0};
	bool negated = s->p < s->end && *s->p == '^', single;
	s->p += negated;
	while (s->p < s->end && *s->p != ']') {
		if (!parse_class_item(s, &c, &single))
			return false;
		if (s->p + 1 < s->end && *s->p == '-' && s->p[1] != ']') {
			uint32_t lo = c.at[c.n - 1].lo;
			bool was = single;
			s->p++;
			if (!parse_class_item(s, &c, &single))
				return false;
			if (!was || !single || c.at[c.n - 1].lo < lo)
				return refuse(s, "a range of the pattern's characters has no meaning");
			c.at[c.n - 2].hi = c.at[c.n - 1].hi;
			c.n--;
		}
	}
	if (s->p == s->end)
		return refuse(s, "a class of the pattern does not end");
	s->p++;
	return (!negated || invert(s, &c)) && write_chars(s, &c);
}

static bool parse_number(pattern *s, unsigned *out)
{
	const char *from = s->p;
	for (*out = 0; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
		if ((*out = *out * 10 + (unsigned)(*s->p - '0')) > 10000)
			return refuse(s, "a count of the pattern is above 10000");
	return s->p > from ? true : refuse(s, "a count of the pattern has no meaning");
}

static bool parse_repeat(pattern *s)
{
	unsigned min, max;
	if (s->p == s->end || !strchr("*+?{", *s->p))
		return true;
	if (*s->p == '{') {
		s->p++;
		if (!parse_number(s, &min))
			return false;
		bool range_of = s->p < s->end && *s->p == ',';
		s->p += range_of;
		bool bounded = s->p < s->end && *s->p != '}';
		max = min;
		if (bounded && (!range_of || !parse_number(s, &max)))
			return refuse(s, "a count of the pattern has no meaning");
		if (s->p == s->end || *s->p != '}' || max < min)
			return refuse(s, "a count of the pattern has no meaning");
		if (range_of && !bounded)
			out_fmt(s->out, "{%u,}", min);
		else
			out_fmt(s->out, "{%u,%u}", min, max);
	} else {
		out_fmt(s->out, "%c", *s->p);
	}
	s->p++;
	s->p += s->p < s->end && *s->p == '?'; /* as few as may be: the same strings */
	if (s->p < s->end && strchr("*+?{", *s->p))
		return refuse(s, "the pattern repeats a repetition");
	return true;
}

static bool parse_alternatives(pattern *s, unsigned depth);

static bool parse_atom(pattern *s, unsigned depth)
{
	chars c = {.n = 0};
	uint32_t cp;
	bool single;
	char first = *s->p;
	switch (first) {
	case '(':
		s->p++;
		if (s->p < s->end && *s->p == '?') {
			if (s->end - s->p < 2 || s->p[1] != ':')
				return refuse(s, "the pattern looks around or has a named group");
			s->p += 2;
		}
		if (depth >= MAX_GROUPS)
			return refuse(s, "the pattern's groups are nested too deep");
		out_text(s->out, " (");
		if (!parse_alternatives(s, depth + 1))
			return false;
		if (s->p == s->end)
			return refuse(s, "a group of the pattern does not end");
		s->p++;
		out_text(s->out, " )");
		return true;
	case '[':
		s->p++;
		return parse_class(s);
	case '.':
		s->p++;
		return add(s, &c, '\n', '\n') && add(s, &c, '\r', '\r') && add(s, &c, 0x2028, 0x2029) && invert(s, &c) && write_chars(s, &c);
	case '\\':
		s->p++;
		return parse_escape(s, &c, &single) && write_chars(s, &c);
	case '^': case '$':
		return refuse(s, "the pattern has ^ or $ inside");
	case '*': case '+': case '?': case '{': case '}': case ']':
		return refuse(s, "the pattern repeats nothing, or has an unescaped bracket");
	default:
		return decode(s, &cp) && add(s, &c, cp, cp) && write_chars(s, &c);
	}
}

#define ANY " char*"

/* One alternative, up to its bar or the group's end. Outside of groups, ^ and $ say that nothing stands before or behind. */
static bool parse_alternative(pattern *s, unsigned depth)
{
	bool begins = depth == 0 && s->p < s->end && *s->p == '^', ends = false, any = false;
	s->p += begins;
	if (depth == 0 && !begins && !s->text)
		out_text(s->out, ANY);
	while (s->p < s->end && *s->p != '|' && *s->p != ')') {
		ends = depth == 0 && *s->p == '$' && (s->p + 1 == s->end || s->p[1] == '|');
		s->p += ends;
		if (ends)
			break;
		if (!parse_atom(s, depth) || !parse_repeat(s))
			return false;
		any = true;
	}
	if (depth == 0 && !ends && !s->text)
		out_text(s->out, ANY);
	else if (!any)
		out_text(s->out, " \"\"");
	return true;
}

static bool parse_alternatives(pattern *s, unsigned depth)
{
	for (;;) {
		if (!parse_alternative(s, depth))
			return false;
		if (s->p == s->end || *s->p != '|')
			return depth || s->p == s->end ? true : refuse(s, "the pattern has a bracket too many");
		s->p++;
		out_text(s->out, " |");
	}
}

static const char *write(pattern *s)
{
	if (s->end - s->p > MAX_PATTERN)
		return "the pattern is too long";
	if (memchr(s->p, 0, (size_t)(s->end - s->p)))
		return "the pattern has a NUL";
	out_text(s->out, " (");
	parse_alternatives(s, 0);
	out_text(s->out, " )");
	return s->why;
}

const char *grammar_pattern(out_buf *out, const char *text, size_t size)
{
	pattern s = {.p = text, .end = text + size, .out = out};
	return write(&s);
}

const char *grammar_regex(out_buf *out, const char *text, size_t size)
{
	pattern s = {.p = text, .end = text + size, .out = out, .text = true};
	return write(&s);
}
