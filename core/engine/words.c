#include "engine/words.h"

#include <math.h>
#include <stdlib.h>

#include "text/detok.h"
#include "text/unicode.h"

/* ---- which tokens are a word ---- */

static bool does_without_blanks(const char *language)
{
	static const char *const codes[] = {"zh", "ja", "th", "lo", "my", "yue"};
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (strcmp(codes[i], language) == 0)
			return true;
	return false;
}

/* Appends what the tokens read like on their own. */
static bool decode(const vocab *v, const int32_t *tokens, uint32_t n, buf *out)
{
	detok d;
	detok_init(&d, v);
	d.drop_blank = false;
	for (uint32_t i = 0; i < n; i++)
		detok_push(&d, tokens[i], out);
	return detok_flush(&d, out) && !out->failed;
}

static bool is_replacement(const char *p, size_t n)
{
	return n >= 3 && memcmp(p, "\xEF\xBF\xBD", 3) == 0;
}

/* Characters before the first U+FFFD, SIZE_MAX if there is none. */
static size_t chars_before_replacement(str s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i += utf8_step(s.p + i, s.n - i), n++)
		if (is_replacement(s.p + i, s.n - i))
			return n;
	return SIZE_MAX;
}

/* Where the n'th character after `from` begins, at most s.n. */
static size_t skip_chars(str s, size_t from, size_t n)
{
	while (n-- && from < s.n)
		from += utf8_step(s.p + from, s.n - from);
	return from;
}

/* Tokens joined until they are whole characters, or as broken on their own as they are in the whole text. */
static bool split_at_characters(const vocab *v, const int32_t *tokens, uint32_t n, buf *text, timed_word *words, uint32_t *n_words)
{
	buf full;
	buf_init(&full, 0);
	bool ok = decode(v, tokens, n, &full);
	size_t reached = 0; /* bytes of full that the words so far stand for */
	uint32_t first = 0;
	*n_words = 0;
	for (uint32_t i = 0; i < n && ok; i++) {
		size_t at = text->n;
		ok = decode(v, tokens + first, i + 1 - first, text);
		if (!ok)
			break;
		str piece = {text->p + at, text->n - at};
		size_t broken = piece.n ? chars_before_replacement(piece) : SIZE_MAX;
		if (broken != SIZE_MAX) {
			size_t there = skip_chars((str){full.p, full.n}, reached, broken);
			if (there < full.n && !is_replacement(full.p + there, full.n - there)) {
				text->n = at; /* goes on with the next token */
				continue;
			}
		}
		words[(*n_words)++] = (timed_word){.first = first, .n_tokens = i + 1 - first, .at = at, .size = piece.n};
		reached = skip_chars((str){full.p, full.n}, reached, piece.n ? utf8_count(piece.p, piece.n) : 0);
		first = i + 1;
	}
	buf_fini(&full);
	return ok;
}

str blank_strip(str s)
{
	uint32_t cp;
	int n;
	while (s.n && (n = utf8_decode(s.p, s.n, &cp)) > 0 && unicode_is_py_space(cp)) {
		s.p += n;
		s.n -= (size_t)n;
	}
	while (s.n) {
		size_t last = utf8_back(s.p, s.n);
		if (utf8_decode(s.p + last, s.n - last, &cp) <= 0 || !unicode_is_py_space(cp))
			break;
		s.n = last;
	}
	return s;
}

/* Python's `s in set`: a run of it. */
static bool is_in(str s, const char *set)
{
	return s.n == 0 || memmem(set, strlen(set), s.p, s.n);
}

static void join(timed_word *a, const timed_word *b)
{
	a->n_tokens += b->n_tokens;
	a->size += b->size;
}

bool words_split(const vocab *v, const char *language, const int32_t *tokens, uint32_t n, buf *text, timed_word *words, uint32_t *n_words)
{
	static const char punctuation[] = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
	uint32_t n_subwords, made = 0;
	if (!split_at_characters(v, tokens, n, text, words, &n_subwords))
		return false;
	if (does_without_blanks(language)) {
		*n_words = n_subwords;
		return true;
	}
	for (uint32_t i = 0; i < n_subwords; i++) {
		str s = {text->p + words[i].at, words[i].size};
		bool blank = s.n && s.p[0] == ' ';
		if (made == 0 || blank || is_in(blank_strip(s), punctuation))
			words[made++] = words[i];
		else
			join(&words[made - 1], &words[i]);
	}
	*n_words = made;
	return true;
}

/* ---- when they are said ---- */

void words_time(timed_word *words, uint32_t n_words, const uint32_t *begins, double step)
{
	for (uint32_t i = 0; i < n_words; i++) {
		words[i].start = begins[words[i].first] * step;
		words[i].end = begins[words[i].first + words[i].n_tokens] * step;
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Of the words that last, at most 0.7 s; 0 if none does. */
static double median_duration(const timed_word *w, uint32_t n, double *scratch)
{
	uint32_t m = 0;
	for (uint32_t i = 0; i < n; i++)
		if (w[i].end != w[i].start)
			scratch[m++] = w[i].end - w[i].start;
	if (m == 0)
		return 0;
	qsort(scratch, m, sizeof *scratch, by_value);
	return fmin(0.7, m % 2 ? scratch[m / 2] : (scratch[m / 2 - 1] + scratch[m / 2]) / 2);
}

static str text_of(const timed_word *w, const char *text)
{
	return (str){text + w->at, w->size};
}

static void cut_at_sentence_ends(timed_word *w, uint32_t n, const char *text, double max)
{
	static const char marks[] = ".。!！?？";
	for (uint32_t i = 1; i < n; i++) {
		if (w[i].end - w[i].start <= max)
			continue;
		if (is_in(text_of(&w[i], text), marks))
			w[i].end = w[i].start + max;
		else if (is_in(text_of(&w[i - 1], text), marks))
			w[i].start = w[i].end - max;
	}
}

static void merge_punctuation(timed_word *w, uint32_t n, const char *text)
{
	static const char before[] = "\"'“¿([{-", after[] = "\"'.。,，!！?？:：”)]}、";
	for (uint32_t i = n, follows = n; i-- > 0;) { /* goes to the word that follows */
		str s = text_of(&w[i], text);
		if (follows < n && s.n && s.p[0] == ' ' && is_in(blank_strip(s), before)) {
			w[follows].first = w[i].first;
			w[follows].at = w[i].at;
			join(&w[follows], &w[i]);
			w[i].n_tokens = 0;
			w[i].size = 0;
		} else {
			follows = i;
		}
	}
	for (uint32_t i = 0, j = 1; j < n; j++) { /* goes to the word before */
		str s = text_of(&w[i], text);
		if (!(s.n && s.p[s.n - 1] == ' ') && is_in(text_of(&w[j], text), after)) {
			if (w[j].size && !w[i].size) {
				w[i].first = w[j].first;
				w[i].at = w[j].at;
			}
			join(&w[i], &w[j]);
			w[j].n_tokens = 0;
			w[j].size = 0;
		} else {
			i = j;
		}
	}
}

static double hundredths(double t)
{
	return rint(t * 100) / 100;
}

/* The first words after a pause are not longer than twice the usual, and a segment begins and ends with its words unless those
 * stray far from its stamps. */
static void settle_segment(worded_segment *s, timed_word *w, double median, double last_end)
{
	timed_word *last = &w[s->n_words - 1];
	double max = median * 2;
	bool two = s->n_words > 1;
	if (w[0].end - last_end > median * 4 && (w[0].end - w[0].start > max || (two && w[1].end - w[0].start > max * 2))) {
		if (two && w[1].end - w[1].start > max)
			w[0].end = w[1].start = fmax(w[1].end / 2, w[1].end - max);
		w[0].start = fmax(0, w[0].end - max);
	}
	if (s->start < w[0].end && s->start - 0.5 > w[0].start)
		w[0].start = fmax(0, fmin(w[0].end - median, s->start));
	else
		s->start = w[0].start;
	if (s->end > last->start && s->end + 0.5 < last->end)
		last->end = fmax(last->start + median, s->end);
	else
		s->end = last->end;
}

bool words_settle(timed_word *words, uint32_t *n_words, const char *text, worded_segment *segments, uint32_t n_segments, double offset,
                  double *last_end)
{
	double *scratch = malloc((*n_words + 1) * sizeof *scratch);
	if (!scratch)
		return false;
	double median = median_duration(words, *n_words, scratch);
	free(scratch);
	if (median > 0)
		cut_at_sentence_ends(words, *n_words, text, median * 2);
	merge_punctuation(words, *n_words, text);
	uint32_t at = 0, made = 0;
	for (uint32_t i = 0; i < n_segments; i++) {
		worded_segment *s = &segments[i];
		s->first_word = made;
		for (uint32_t taken = 0; at < *n_words && taken < s->n_tokens; at++) {
			timed_word w = words[at];
			taken += w.n_tokens;
			if (!w.size)
				continue;
			w.start = hundredths(offset + w.start);
			w.end = hundredths(offset + w.end);
			words[made++] = w;
		}
		s->n_words = made - s->first_word;
		if (s->n_words) {
			settle_segment(s, words + s->first_word, median, *last_end);
			*last_end = s->end;
		}
	}
	if (made)
		*last_end = words[made - 1].end;
	else if (n_segments)
		*last_end = segments[n_segments - 1].end;
	*n_words = made;
	return true;
}
