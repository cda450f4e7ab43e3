#include "text/sentences.h"

#include "text/unicode.h"

enum { MAX_ABBREVIATION = 8 };

void sentences_init(sentences *s, size_t max)
{
	*s = (sentences){.max = max};
	buf_init(&s->text, 0);
}

void sentences_fini(sentences *s)
{
	buf_fini(&s->text);
}

/* ---- coming in ---- */

static bool put(sentences *s, uint32_t cp, const char *p, size_t n)
{
	if (unicode_is_space(cp) || cp < 0x20 || cp == 0x7F) {
		s->newlines += cp == '\n';
		s->gap = true;
		s->paragraph |= s->newlines > 1 || cp == 0x2029;
		return true;
	}
	bool ok = true;
	if (s->gap && s->text.n > s->at)
		ok = buf_append(&s->text, s->paragraph ? "\n" : " ", 1);
	s->gap = s->paragraph = false;
	s->newlines = 0;
	return ok && buf_append(&s->text, p, n);
}

/* What the tail holds: characters as they become whole. */
static bool take_tail(sentences *s)
{
	while (s->n_tail) {
		uint32_t cp;
		int n = utf8_decode(s->tail, s->n_tail, &cp);
		if (n == 0)
			return true;
		if (!(n > 0 ? put(s, cp, s->tail, (size_t)n) : put(s, 0xFFFD, "\xEF\xBF\xBD", 3)))
			return false;
		size_t used = (size_t)(n > 0 ? n : -n);
		s->n_tail -= used;
		memmove(s->tail, s->tail + used, s->n_tail);
	}
	return true;
}

bool sentences_push(sentences *s, const char *p, size_t n)
{
	if (s->at > 4096) { /* what was handed out goes */
		memmove(s->text.p, s->text.p + s->at, s->text.n - s->at);
		s->text.n -= s->at;
		s->at = 0;
	}
	for (size_t i = 0; i < n; i++) {
		s->tail[s->n_tail++] = p[i];
		if (!take_tail(s))
			return false;
	}
	return true;
}

void sentences_finish(sentences *s)
{
	if (s->n_tail) /* the text ends inside a character */
		put(s, 0xFFFD, "\xEF\xBF\xBD", 3);
	s->n_tail = 0;
	s->finished = true;
}

/* ---- where it ends ---- */

static uint32_t char_at(const sentences *s, size_t i, size_t *n)
{
	uint32_t cp = 0;
	int got = utf8_decode(s->text.p + i, s->text.n - i, &cp);
	*n = got > 0 ? (size_t)got : 1;
	return cp;
}

static bool is_one_of(uint32_t cp, const uint32_t *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == cp)
			return true;
	return false;
}

#define ONE_OF(cp, ...) is_one_of(cp, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static bool ends_alone(uint32_t cp) /* needs no blank behind it */
{
	return ONE_OF(cp, 0x3002, 0xFF01, 0xFF1F, 0xFF61);
}

static bool is_end(uint32_t cp)
{
	return ONE_OF(cp, '.', '!', '?', 0x2026, 0x061F, 0x06D4, 0x0964) || ends_alone(cp);
}

static bool is_closer(uint32_t cp)
{
	return ONE_OF(cp, '"', '\'', ')', ']', '}', '*', '_', 0x2019, 0x201D, 0x201C, 0xBB, 0xAB, 0x300D, 0x300F, 0xFF09, 0x3011);
}

static bool ends_clause(uint32_t cp, bool *alone)
{
	*alone = ONE_OF(cp, 0x3001, 0xFF0C, 0xFF1B, 0xFF1A);
	return *alone || ONE_OF(cp, ',', ';', ':', ')', '-', 0x2013, 0x2014, 0x060C, 0x2026);
}

static bool is_listed(str word, const char *const *list, size_t n)
{
	char lower[MAX_ABBREVIATION + 1];
	if (word.n > MAX_ABBREVIATION)
		return false;
	for (size_t i = 0; i < word.n; i++)
		lower[i] = word.p[i] >= 'A' && word.p[i] <= 'Z' ? (char)(word.p[i] + 32) : word.p[i];
	for (size_t i = 0; i < n; i++)
		if (str_eq((str){lower, word.n}, str_of(list[i])))
			return true;
	return false;
}

/* "e.g", "U.S", "z.B": points between single letters or two. */
static bool is_pointed(str word)
{
	size_t run = 0, points = 0;
	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] == '.') {
			points++;
			run = 0;
		} else if (++run > 2 || !(((unsigned)word.p[i] | 32) - 'a' < 26)) {
			return false;
		}
	}
	return points > 0;
}

static bool all_digits(str word)
{
	for (size_t i = 0; i < word.n; i++)
		if (word.p[i] < '0' || word.p[i] > '9')
			return false;
	return word.n > 0;
}

/* Does the point behind this word belong to the word? next: the first character of what follows. */
static bool is_abbreviation(str word, uint32_t next)
{
	static const char *const always[] = {"mr", "mrs", "ms", "dr", "prof", "st", "vs", "mt", "gen", "col", "sgt", "capt", "lt", "hon", "rev", "sen",
	                                     "rep", "gov", "messrs", "mme", "mlle", "hr", "fr", "bzw", "ca", "evtl", "ggf", "vgl", "sog", "approx",
	                                     "est", "dept", "jan", "feb", "apr", "jun", "jul", "aug", "sept", "okt", "nov", "dez"};
	static const char *const numbered[] = {"no", "nr", "fig", "vol", "p", "pp", "art", "sec", "ch", "eq", "tab", "abb", "str", "bd", "s", "kap"};
	if (is_pointed(word) || is_listed(word, always, sizeof always / sizeof *always))
		return true;
	if (word.n == 1 && word.p[0] >= 'A' && word.p[0] <= 'Z' && word.p[0] != 'I')
		return true; /* an initial */
	if (all_digits(word) && word.n <= 2)
		return true; /* an ordinal, or a list's number */
	return unicode_is_number(next) && is_listed(word, numbered, sizeof numbered / sizeof *numbered);
}

/* The word that ends before byte `end`. */
static str word_before(const sentences *s, size_t end)
{
	size_t begin = end;
	while (begin > s->at && !strchr(" \n\"'([{-/", s->text.p[begin - 1]))
		begin--;
	return (str){s->text.p + begin, end - begin};
}

enum verdict { GOES_ON, ENDS, NOT_KNOWN };

/* The mark at byte i: is it an end? *after: behind it, and what closes with it. */
static enum verdict judge(const sentences *s, size_t i, size_t *after)
{
	size_t n, j = i, n_marks = 0;
	bool alone = false, point = s->text.p[i] == '.';
	uint32_t cp = 0;
	for (; j < s->text.n && j - s->at <= s->max && is_end(cp = char_at(s, j, &n)); j += n, n_marks++)
		alone |= ends_alone(cp);
	while (j < s->text.n && j - s->at <= s->max && is_closer(char_at(s, j, &n)))
		j += n;
	*after = j;
	if (j - s->at > s->max)
		return GOES_ON; /* too long to be one */
	if (j == s->text.n)
		return s->finished ? ENDS : NOT_KNOWN;
	if (alone || s->text.p[j] == '\n')
		return ENDS;
	if (s->text.p[j] != ' ')
		return GOES_ON;
	uint32_t next = char_at(s, j + 1, &n); /* it is there: a blank comes in with what follows it */
	if (unicode_is_lower(next) || (point && n_marks == 1 && is_abbreviation(word_before(s, i), next)))
		return GOES_ON;
	return ENDS;
}

/* The last place at or before byte max that a longer sentence can be cut at. */
static size_t cut_long(const sentences *s)
{
	size_t end = s->at + s->max, clause = 0, blank = 0, n;
	for (size_t i = s->at; i < end; i += n) {
		bool alone, marks = ends_clause(char_at(s, i, &n), &alone);
		if (i + n <= end && marks && (alone || s->text.p[i + n] == ' ') && i + n - s->at >= s->max / 4)
			clause = i + n;
		if (i + n <= end && s->text.p[i + n] == ' ')
			blank = i + n;
	}
	if (clause || blank)
		return clause ? clause : blank;
	while (end > s->at + 1 && ((unsigned char)s->text.p[end] & 0xC0) == 0x80)
		end--;
	return end;
}

static bool find_end(const sentences *s, size_t *end)
{
	size_t n, after, i = s->at;
	for (; i < s->text.n && i - s->at <= s->max; i += n) {
		uint32_t cp = char_at(s, i, &n);
		*end = i;
		if (cp == '\n')
			return true;
		if (!is_end(cp))
			continue;
		enum verdict v = judge(s, i, &after);
		*end = after;
		if (v != GOES_ON)
			return v == ENDS;
		n = after - i;
	}
	*end = s->text.n;
	if (s->text.n - s->at > s->max)
		*end = cut_long(s);
	else
		return s->finished;
	return true;
}

static bool says_something(str s)
{
	for (size_t i = 0; i < s.n;) {
		uint32_t cp;
		int n = utf8_decode(s.p + i, s.n - i, &cp);
		if (n > 0 && (unicode_is_letter(cp) || unicode_is_number(cp)))
			return true;
		i += n > 0 ? (size_t)n : 1;
	}
	return false;
}

bool sentences_next(sentences *s, str *out)
{
	size_t end;
	while (s->at < s->text.n && find_end(s, &end)) {
		*out = (str){s->text.p + s->at, end - s->at};
		s->at = end;
		while (s->at < s->text.n && (s->text.p[s->at] == ' ' || s->text.p[s->at] == '\n'))
			s->at++;
		if (says_something(*out))
			return true;
	}
	return false;
}
