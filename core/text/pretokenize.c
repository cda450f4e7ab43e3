#include "text/pretokenize.h"

#include <string.h>

#include "text/unicode.h"

struct pretokenizer {
	const char *name;
	bool isolate_numbers;
};

static const pretokenizer table[] = {
	{"gpt-2", false},    {"phi-2", false},     {"mpt", false},       {"olmo", false},   {"jais", false},
	{"smollm", true},    {"starcoder", true},  {"refact", true},     {"command-r", true}, {"codeshell", true},
	{"exaone", true},
};

const pretokenizer *pretokenizer_find(const char *name)
{
	for (size_t i = 0; name && i < sizeof table / sizeof *table; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

typedef enum class { LETTER, NUMBER, SYMBOL, SPACE, END } class;

/* The class of the character at p[i] and its length. An isolated number ends the text for those before it. */
static class class_at(const pretokenizer *t, const char *p, size_t n, size_t i, size_t *len)
{
	uint32_t cp;
	*len = 0;
	if (i >= n)
		return END;
	int got = utf8_decode(p + i, n - i, &cp);
	*len = got > 0 ? (size_t)got : 1;
	if (got <= 0)
		return SYMBOL;
	if (unicode_is_letter(cp))
		return LETTER;
	if (unicode_is_number(cp))
		return t->isolate_numbers ? END : NUMBER;
	return unicode_is_space(cp) ? SPACE : SYMBOL;
}

static size_t run_end(const pretokenizer *t, const char *p, size_t n, size_t i, class c)
{
	size_t len;
	while (class_at(t, p, n, i, &len) == c)
		i += len;
	return i;
}

static size_t contraction(const char *p, size_t n)
{
	if (n < 2 || p[0] != '\'')
		return 0;
	if (strchr("stmd", p[1]) && p[1])
		return 2;
	if (n >= 3 && (!memcmp(p + 1, "re", 2) || !memcmp(p + 1, "ve", 2) || !memcmp(p + 1, "ll", 2)))
		return 3;
	return 0;
}

/* \s+(?!\S)|\s+ : all of the white space at the end of the text, else all but the last character, if more than one. */
static size_t white_space(const pretokenizer *t, const char *p, size_t n)
{
	size_t len, last = 0, i = 0;
	class c;
	while ((c = class_at(t, p, n, i, &len)) == SPACE) {
		last = i;
		i += len;
	}
	return c == END || last == 0 ? i : last;
}

size_t pretokenizer_next(const pretokenizer *t, const char *p, size_t n)
{
	size_t len, blank = p[0] == ' ';
	size_t apostrophe = contraction(p, n);
	if (apostrophe)
		return apostrophe;
	class c = class_at(t, p, n, blank, &len);
	if (c == LETTER || c == NUMBER || c == SYMBOL)
		return run_end(t, p, n, blank, c);
	if (!blank && c == END)
		return len; /* an isolated number */
	return white_space(t, p, n);
}
