/* parse.c - a grammar's text -> its tree. Linear in the text, and as deep as its parentheses, which are counted. */
#include <string.h>

#include "grammar/grow.h"
#include "grammar/tree.h"
#include "text/unicode.h"

#define MAX_CHAR 0x10FFFF
#define MAX_NAME 128

typedef struct parser {
	tree *t;
	const char *p, *end;
	uint32_t line;
	sn_error *err;
} parser;

static bool wrong(parser *s, const char *what)
{
	error_set(s->err, SN_ERR_INVALID, "grammar, line %u: %s", s->line, what);
	return false;
}

static bool over(parser *s, const char *what)
{
	error_set(s->err, SN_ERR_UNSUPPORTED, "grammar, line %u: %s", s->line, what);
	return false;
}

static bool no_memory(parser *s)
{
	error_set(s->err, SN_ERR_NOMEM, "no memory for a grammar");
	return false;
}

/* ---- what the tree is made of ---- */

static bool node_new(parser *s, node_kind kind, uint32_t a, uint32_t b, uint32_t *out)
{
	tree *t = s->t;
	if (t->n_nodes >= GRAMMAR_MAX_NODES)
		return over(s, "the grammar is too large");
	if (!grow(&t->nodes, &t->cap_nodes, t->n_nodes + 1, sizeof *t->nodes))
		return no_memory(s);
	*out = (uint32_t)t->n_nodes;
	t->nodes[t->n_nodes++] = (node){.kind = (uint8_t)kind, .a = a, .b = b, .child = NO_NODE, .sibling = NO_NODE, .line = s->line};
	return true;
}

static bool rule_of(parser *s, str name, uint32_t *out)
{
	tree *t = s->t;
	uint64_t h = 0xCBF29CE484222325u;
	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (unsigned char)name.p[i]) * 0x100000001B3u;
	size_t at = (size_t)(h ^ h >> 32) % RULE_SLOTS;
	for (; t->slots[at]; at = (at + 1) % RULE_SLOTS)
		if (str_eq(t->rules[t->slots[at] - 1].name, name)) {
			*out = t->slots[at] - 1;
			return true;
		}
	if (t->n_rules >= GRAMMAR_MAX_RULES)
		return over(s, "the grammar has too many rules");
	if (!grow(&t->rules, &t->cap_rules, t->n_rules + 1, sizeof *t->rules))
		return no_memory(s);
	*out = (uint32_t)t->n_rules;
	t->rules[t->n_rules++] = (rule){.name = name, .body = NO_NODE, .line = s->line};
	t->slots[at] = (uint32_t)t->n_rules;
	return true;
}

/* ---- small pieces ---- */

/* Blanks and comments; newlines only where a rule cannot end. */
static void skip(parser *s, bool newlines)
{
	while (s->p < s->end) {
		if (*s->p == '#')
			while (s->p < s->end && *s->p != '\n')
				s->p++;
		else if (*s->p == ' ' || *s->p == '\t' || *s->p == '\r')
			s->p++;
		else if (*s->p == '\n' && newlines)
			s->p++, s->line++;
		else
			return;
	}
}

static bool at(const parser *s, char c)
{
	return s->p < s->end && *s->p == c;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool parse_name(parser *s, str *out)
{
	const char *from = s->p;
	while (s->p < s->end && is_name_char(*s->p))
		s->p++;
	*out = (str){from, (size_t)(s->p - from)};
	if (out->n == 0)
		return wrong(s, "a name was expected");
	return out->n <= MAX_NAME ? true : over(s, "a name is too long");
}

static bool parse_hex(parser *s, int digits, uint32_t *cp)
{
	*cp = 0;
	for (int i = 0; i < digits; i++, s->p++) {
		char c = s->p < s->end ? *s->p : 0;
		int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (v < 0)
			return wrong(s, "an escape lacks hexadecimal digits");
		*cp = *cp << 4 | (uint32_t)v;
	}
	if (*cp > MAX_CHAR || (*cp >= 0xD800 && *cp <= 0xDFFF))
		return wrong(s, "an escape is not a character");
	return true;
}

/* One character of a literal or a class, escaped or not. */
static bool parse_char(parser *s, uint32_t *cp)
{
	if (s->p == s->end || *s->p == '\n')
		return wrong(s, "a literal or a class does not end");
	if (*s->p != '\\') {
		int n = utf8_decode(s->p, (size_t)(s->end - s->p), cp);
		if (n <= 0)
			return wrong(s, "not UTF-8");
		s->p += n;
		return true;
	}
	char c = ++s->p < s->end ? *s->p : 0;
	s->p += c != 0;
	switch (c) {
	case 'n': *cp = '\n'; return true;
	case 't': *cp = '\t'; return true;
	case 'r': *cp = '\r'; return true;
	case 'x': return parse_hex(s, 2, cp);
	case 'u': return parse_hex(s, 4, cp);
	case 'U': return parse_hex(s, 8, cp);
	case '\\': case '"': case '[': case ']': case '-': case '^': *cp = (unsigned char)c; return true;
	default: return wrong(s, "an unknown escape");
	}
}

/* ---- literals and classes ---- */

static bool parse_literal(parser *s, uint32_t *out)
{
	tree *t = s->t;
	size_t from = t->n_bytes;
	s->p++;
	while (!at(s, '"')) {
		uint32_t cp;
		if (!parse_char(s, &cp))
			return false;
		if (!grow(&t->bytes, &t->cap_bytes, t->n_bytes + 4, 1))
			return no_memory(s);
		t->n_bytes += utf8_encode(cp, t->bytes + t->n_bytes);
	}
	s->p++;
	return node_new(s, NODE_BYTES, (uint32_t)from, (uint32_t)(t->n_bytes - from), out);
}

static bool add_range(parser *s, uint32_t lo, uint32_t hi)
{
	tree *t = s->t;
	if (!grow(&t->ranges, &t->cap_ranges, t->n_ranges + 1, sizeof *t->ranges))
		return no_memory(s);
	t->ranges[t->n_ranges++] = (char_range){lo, hi};
	return true;
}

static int by_lo(const void *a, const void *b)
{
	const char_range *x = a, *y = b;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* Sorts and joins ranges[from, n_ranges), turns them round if they are what must not come, and takes the surrogates out. */
static bool settle_ranges(parser *s, size_t from, bool negated)
{
	tree *t = s->t;
	size_t n = from;
	if (!add_range(s, 0xD800, 0xDFFF))
		return false;
	if (!negated)
		t->n_ranges--; /* cut out by tree_emit, which has no bytes for them */
	qsort(t->ranges + from, t->n_ranges - from, sizeof *t->ranges, by_lo);
	for (size_t i = from; i < t->n_ranges; i++) {
		char_range r = t->ranges[i];
		if (n > from && r.lo <= t->ranges[n - 1].hi + 1)
			t->ranges[n - 1].hi = r.hi > t->ranges[n - 1].hi ? r.hi : t->ranges[n - 1].hi;
		else
			t->ranges[n++] = r;
	}
	t->n_ranges = n;
	if (!negated)
		return true;
	uint32_t next = 0;
	size_t kept = from;
	for (size_t i = from; i < n; i++) { /* never more gaps than ranges so far, so in place */
		char_range r = t->ranges[i];
		if (r.lo > next)
			t->ranges[kept++] = (char_range){next, r.lo - 1};
		next = r.hi + 1;
	}
	t->n_ranges = kept;
	return next > MAX_CHAR || add_range(s, next, MAX_CHAR);
}

static bool parse_class(parser *s, uint32_t *out)
{
	tree *t = s->t;
	size_t from = t->n_ranges;
	s->p++;
	bool negated = at(s, '^');
	s->p += negated;
	while (!at(s, ']')) {
		uint32_t lo, hi;
		if (!parse_char(s, &lo))
			return false;
		hi = lo;
		if (at(s, '-') && s->p + 1 < s->end && s->p[1] != ']') {
			s->p++;
			if (!parse_char(s, &hi))
				return false;
		}
		if (lo > hi)
			return wrong(s, "a range of characters runs backwards");
		if (!add_range(s, lo, hi))
			return false;
	}
	s->p++;
	if (!settle_ranges(s, from, negated))
		return false;
	if (t->n_ranges == from)
		return wrong(s, "a class without characters");
	return node_new(s, NODE_CLASS, (uint32_t)from, (uint32_t)(t->n_ranges - from), out);
}

static bool parse_any(parser *s, uint32_t *out)
{
	size_t from = s->t->n_ranges;
	s->p++;
	return settle_ranges(s, from, true) && node_new(s, NODE_CLASS, (uint32_t)from, (uint32_t)(s->t->n_ranges - from), out);
}

/* ---- repetition ---- */

static bool parse_number(parser *s, uint32_t *out)
{
	if (s->p == s->end || *s->p < '0' || *s->p > '9')
		return wrong(s, "a count was expected");
	for (*out = 0; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
		*out = *out * 10 + (uint32_t)(*s->p - '0');
		if (*out > GRAMMAR_MAX_COUNT)
			return over(s, "a count is above 100000");
	}
	return true;
}

static bool parse_counts(parser *s, uint32_t *min, uint32_t *max)
{
	s->p++;
	skip(s, false);
	if (!parse_number(s, min))
		return false;
	skip(s, false);
	*max = *min;
	if (at(s, ',')) {
		s->p++;
		skip(s, false);
		*max = GRAMMAR_INF;
		if (!at(s, '}') && !parse_number(s, max))
			return false;
		skip(s, false);
	}
	if (!at(s, '}'))
		return wrong(s, "} was expected");
	s->p++;
	return *min <= *max ? true : wrong(s, "a count runs backwards");
}

static bool parse_repeats(parser *s, uint32_t *item)
{
	for (bool once = false; s->p < s->end; once = true) {
		uint32_t min = 0, max = GRAMMAR_INF, outer;
		char c = *s->p;
		if (c == '{') {
			if (!parse_counts(s, &min, &max))
				return false;
		} else if (c == '?' || c == '*' || c == '+') {
			min = c == '+';
			max = c == '?' ? 1 : GRAMMAR_INF;
			s->p++;
		} else {
			return true;
		}
		if (once)
			return wrong(s, "a repetition of a repetition needs parentheses");
		if (!node_new(s, NODE_REPEAT, min, max, &outer))
			return false;
		s->t->nodes[outer].child = *item;
		*item = outer;
	}
	return true;
}

/* ---- sequences and choices ---- */

static bool parse_choice(parser *s, unsigned depth, uint32_t *out);

static bool parse_item(parser *s, unsigned depth, uint32_t *out)
{
	str name;
	uint32_t r;
	switch (*s->p) {
	case '"': return parse_literal(s, out);
	case '[': return parse_class(s, out);
	case '.': return parse_any(s, out);
	case '(':
		if (depth >= GRAMMAR_MAX_DEPTH)
			return over(s, "parentheses are nested too deep");
		s->p++;
		if (!parse_choice(s, depth + 1, out))
			return false;
		if (!at(s, ')'))
			return wrong(s, ") was expected");
		s->p++;
		return true;
	default:
		if (!is_name_char(*s->p))
			return wrong(s, "a character that has no meaning here");
		return parse_name(s, &name) && rule_of(s, name, &r) && node_new(s, NODE_RULE, r, 0, out);
	}
}

static bool parse_sequence(parser *s, unsigned depth, uint32_t *out)
{
	if (!node_new(s, NODE_SEQUENCE, 0, 0, out))
		return false;
	uint32_t last = NO_NODE;
	for (;;) {
		skip(s, depth > 0);
		if (s->p == s->end || *s->p == '|' || *s->p == ')' || *s->p == '\n')
			return true;
		uint32_t item;
		if (!parse_item(s, depth, &item) || !parse_repeats(s, &item))
			return false;
		*(last == NO_NODE ? &s->t->nodes[*out].child : &s->t->nodes[last].sibling) = item;
		last = item;
	}
}

static bool parse_choice(parser *s, unsigned depth, uint32_t *out)
{
	if (!node_new(s, NODE_CHOICE, 0, 0, out))
		return false;
	uint32_t last = NO_NODE;
	for (;;) {
		uint32_t one;
		if (!parse_sequence(s, depth, &one))
			return false;
		*(last == NO_NODE ? &s->t->nodes[*out].child : &s->t->nodes[last].sibling) = one;
		last = one;
		/* Outside parentheses a rule goes on in the next line only if that begins with the bar. */
		const parser before = *s;
		skip(s, true);
		if (!at(s, '|')) {
			if (depth == 0)
				s->p = before.p, s->line = before.line;
			return true;
		}
		s->p++;
		skip(s, true);
	}
}

static bool parse_rule(parser *s)
{
	str name;
	uint32_t r, body;
	if (!parse_name(s, &name) || !rule_of(s, name, &r))
		return false;
	skip(s, true);
	if (s->end - s->p < 3 || memcmp(s->p, "::=", 3) != 0)
		return wrong(s, "::= was expected");
	s->p += 3;
	skip(s, true);
	if (s->t->rules[r].body != NO_NODE)
		return wrong(s, "a rule is defined twice");
	if (!parse_choice(s, 0, &body))
		return false;
	s->t->rules[r].body = body;
	if (s->p < s->end && *s->p != '\n')
		return wrong(s, "a character that has no meaning here");
	return true;
}

sn_status tree_parse(tree *t, str text, sn_error *err)
{
	parser s = {.t = t, .p = text.p, .end = text.p + text.n, .line = 1, .err = err};
	if (text.n > GRAMMAR_MAX_TEXT)
		return error_set(err, SN_ERR_UNSUPPORTED, "the grammar is longer than %u bytes", GRAMMAR_MAX_TEXT);
	if (!(t->slots = calloc(RULE_SLOTS, sizeof *t->slots)))
		return error_set(err, SN_ERR_NOMEM, "no memory for a grammar");
	sn_error mine = {0};
	s.err = &mine;
	bool ok = true;
	for (skip(&s, true); ok && s.p < s.end; skip(&s, true))
		ok = parse_rule(&s);
	if (ok && !rule_of(&s, STR("root"), &t->root))
		ok = false;
	if (ok)
		return SN_OK;
	if (err)
		*err = mine;
	return mine.status;
}

void tree_fini(tree *t)
{
	free(t->nodes);
	free(t->rules);
	free(t->ranges);
	free(t->bytes);
	free(t->slots);
	*t = (tree){0};
}
