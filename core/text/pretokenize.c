#include "text/pretokenize.h"

#include <string.h>

#include "text/unicode.h"

enum { GPT2, SMOLLM, LLAMA3, QWEN2, TEKKEN, GPT4O };

/* llama.cpp's names for these patterns. */
static const pretokenizer table[] = {
	{"gpt-2", GPT2, false, false},        {"phi-2", GPT2, false, false},        {"mpt", GPT2, false, false},
	{"olmo", GPT2, false, false},         {"jais", GPT2, false, false},         {"trillion", GPT2, false, false},
	{"granite-docling", GPT2, false, false}, {"exaone4", GPT2, false, false},   {"gigachat", GPT2, false, false},
	{"a.x-4.0", GPT2, false, false},      {"mellum", GPT2, false, false},       {"modern-bert", GPT2, false, false},
	{"smollm", SMOLLM, false, false},     {"starcoder", SMOLLM, false, false},  {"refact", SMOLLM, false, false},
	{"command-r", SMOLLM, false, false},  {"codeshell", SMOLLM, false, false},  {"exaone", SMOLLM, false, false},
	{"minerva-7b", SMOLLM, false, false}, {"mellum2", SMOLLM, false, false},
	{"llama-bpe", LLAMA3, true, true},    {"llama3", LLAMA3, true, true},       {"llama-v3", LLAMA3, true, true},
	{"falcon3", LLAMA3, true, true},      {"falcon-h1", LLAMA3, true, true},    {"pixtral", LLAMA3, true, true},
	{"midm-2.0", LLAMA3, true, true},     {"lfm2", LLAMA3, true, true},
	{"dbrx", LLAMA3, false, false},       {"smaug-bpe", LLAMA3, false, false},  {"glm4", LLAMA3, false, false},
	{"chatglm-bpe", LLAMA3, false, false},
	{"qwen2", QWEN2, false, false},       {"deepseek-r1-qwen", QWEN2, false, false}, {"kormo", QWEN2, false, false},
	{"f2llmv2", QWEN2, false, false},     {"megrez", QWEN2, false, false},      {"stablelm2", QWEN2, false, false},
	{"tekken", TEKKEN, true, true},       {"gpt-4o", GPT4O, false, false},      {"llama4", GPT4O, false, false},
	{"kanana2", GPT4O, false, false},     {"talkie", GPT4O, false, false},
	{"hunyuan", QWEN2, false, false},     {"solar-open", QWEN2, false, false},  {"grok-2", QWEN2, false, false},
};

const pretokenizer *pretokenizer_find(const char *name)
{
	for (size_t i = 0; name && i < sizeof table / sizeof *table; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

#define CONTRACTIONS "'s|'t|'re|'ve|'m|'ll|'d"
#define AFTER_DIGITS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define STARTS "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define ENDS "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define WORDS(behind) "[^\\r\\n\\p{L}\\p{N}]?" STARTS "*" ENDS "+" behind "|[^\\r\\n\\p{L}\\p{N}]?" STARTS "+" ENDS "*" behind
#define AFTER_CASED_DIGITS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct { const char *regex, *name; } known[] = {
	{WORDS("") "|\\p{N}" AFTER_CASED_DIGITS, "tekken"},
	{WORDS("(?i:" CONTRACTIONS ")?") "|\\p{N}{1,3}" AFTER_CASED_DIGITS, "gpt-4o"},
	{CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", "gpt-2"},
	{"(?i:" CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" AFTER_DIGITS, "llama-bpe"},
	{"(?i:" CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" AFTER_DIGITS, "qwen2"},
};

const char *pretokenizer_regex(const char *name)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (!strcmp(known[i].name, name))
			return known[i].regex;
	return NULL;
}

const char *pretokenizer_of_regex(const char *regex)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (!strcmp(known[i].regex, regex))
			return known[i].name;
	return NULL;
}

/* ---- what the matchers are made of ---- */

typedef enum class { LETTER, NUMBER, SYMBOL, SPACE, END } class;

/* The class of the character at p[i] and its length; END when i is n. */
static class class_at(const char *p, size_t n, size_t i, size_t *len)
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
		return NUMBER;
	return unicode_is_space(cp) ? SPACE : SYMBOL;
}

static size_t run_end(const char *p, size_t n, size_t i, class c)
{
	size_t len;
	while (class_at(p, n, i, &len) == c)
		i += len;
	return i;
}

static size_t newlines_end(const char *p, size_t n, size_t i)
{
	while (i < n && (p[i] == '\r' || p[i] == '\n'))
		i++;
	return i;
}

/* 's|'t|'re|'ve|'m|'ll|'d. any_case: also capitals, and U+017F, which folds to s. */
static size_t contraction(const char *p, size_t n, bool any_case)
{
	char a, b;
	if (n < 2 || p[0] != '\'')
		return 0;
	if (any_case && n >= 3 && !memcmp(p + 1, "\xC5\xBF", 2))
		return 3;
	a = any_case ? (char)(p[1] | 0x20) : p[1];
	if (a == 's' || a == 't' || a == 'm' || a == 'd')
		return 2;
	if (n < 3)
		return 0;
	b = any_case ? (char)(p[2] | 0x20) : p[2];
	return ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* \s+(?!\S)|\s+ : all of the white space at the end of the text, else all but the last character, if more than one.
 * number_ends: numbers were cut out in a stage before, so one ends the text as well. */
static size_t white_space(const char *p, size_t n, bool number_ends)
{
	size_t len, last = 0, i = 0;
	class c;
	while ((c = class_at(p, n, i, &len)) == SPACE) {
		last = i;
		i += len;
	}
	return c == END || (number_ends && c == NUMBER) || last == 0 ? i : last;
}

/* ---- the families ---- */

static size_t gpt2_next(const char *p, size_t n, bool isolate_numbers)
{
	size_t len, blank = p[0] == ' ', apostrophe = contraction(p, n, false);
	if (apostrophe)
		return apostrophe;
	class c = class_at(p, n, blank, &len);
	if (c == LETTER || c == SYMBOL || (c == NUMBER && !isolate_numbers))
		return run_end(p, n, blank, c);
	if (c == NUMBER && !blank)
		return len;
	return white_space(p, n, isolate_numbers);
}

/* \s*[\r\n]+ : the white space up to its last line end; 0 if it has none. */
static size_t line_ends(const char *p, size_t n)
{
	size_t len, after = 0;
	for (size_t i = 0; class_at(p, n, i, &len) == SPACE; i += len)
		if (p[i] == '\r' || p[i] == '\n')
			after = i + 1;
	return after;
}

static size_t digits_end(const char *p, size_t n, int max_digits)
{
	size_t len, end = 0;
	while (max_digits-- && class_at(p, n, end, &len) == NUMBER)
		end += len;
	return end;
}

static size_t llama3_next(const char *p, size_t n, int max_digits)
{
	size_t len, next_len, end = contraction(p, n, true);
	if (end)
		return end;
	class c = class_at(p, n, 0, &len);
	if (c == LETTER)
		return run_end(p, n, len, LETTER);
	if (c == NUMBER)
		return digits_end(p, n, max_digits);
	class next = class_at(p, n, len, &next_len);
	if (next == LETTER && p[0] != '\r' && p[0] != '\n')
		return run_end(p, n, len + next_len, LETTER);
	if (c == SYMBOL || (p[0] == ' ' && next == SYMBOL))
		return newlines_end(p, n, run_end(p, n, len, SYMBOL));
	end = line_ends(p, n);
	return end ? end : white_space(p, n, false);
}

/* Whether the character at i has the property, and its length. */
static bool is_at(bool (*has)(uint32_t), const char *p, size_t n, size_t i, size_t *len)
{
	uint32_t cp;
	int got = i < n ? utf8_decode(p + i, n - i, &cp) : 0;
	*len = got > 0 ? (size_t)got : 0;
	return got > 0 && has(cp);
}

/* U*L+ from i on: where it ends, or 0. *starts: where U* ends. What is in both classes is given back where nothing of L follows. */
static size_t small_word(const char *p, size_t n, size_t i, size_t *starts)
{
	size_t len, ignored, end = i, both = 0;
	for (; is_at(unicode_starts_word, p, n, end, &len); end += len)
		if (is_at(unicode_ends_word, p, n, end, &ignored))
			both = end + len;
	*starts = end;
	if (!is_at(unicode_ends_word, p, n, end, &len))
		return both;
	while (is_at(unicode_ends_word, p, n, end, &len))
		end += len;
	return end;
}

static size_t cased_word(const char *p, size_t n)
{
	size_t len, starts[2], end = 0;
	class c = class_at(p, n, 0, &len);
	bool prefix = (c == SYMBOL || c == SPACE) && p[0] != '\r' && p[0] != '\n';
	if (prefix)
		end = small_word(p, n, len, &starts[1]);
	if (!end)
		end = small_word(p, n, 0, &starts[0]);
	if (end)
		return end;
	if (prefix && starts[1] > len) /* capitals alone */
		return starts[1];
	return starts[0];
}

static size_t cased_next(const char *p, size_t n, int max_digits, bool contractions)
{
	size_t len, next_len, end = cased_word(p, n);
	if (end)
		return end + (contractions ? contraction(p + end, n - end, true) : 0);
	class c = class_at(p, n, 0, &len), next = class_at(p, n, len, &next_len);
	if (c == NUMBER)
		return digits_end(p, n, max_digits);
	if (c == SYMBOL || (p[0] == ' ' && next == SYMBOL)) {
		for (end = run_end(p, n, len, SYMBOL); end < n && (p[end] == '\r' || p[end] == '\n' || p[end] == '/');)
			end++;
		return end;
	}
	end = line_ends(p, n);
	return end ? end : white_space(p, n, false);
}

size_t pretokenizer_next(const pretokenizer *t, const char *p, size_t n)
{
	switch (t->family) {
	case SMOLLM: return gpt2_next(p, n, true);
	case LLAMA3: return llama3_next(p, n, 3);
	case QWEN2: return llama3_next(p, n, 1);
	case TEKKEN: return cased_next(p, n, 1, false);
	case GPT4O: return cased_next(p, n, 3, true);
	default: return gpt2_next(p, n, false);
	}
}
