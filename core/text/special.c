#include "text/special.h"

#include <stdlib.h>

#include "text/unicode.h"

static int compare(const void *a, const void *b)
{
	const special *x = a, *y = b;
	str s = x->spelling, t = y->spelling;
	int order = memcmp(s.p, t.p, s.n < t.n ? s.n : t.n);
	if (order)
		return order;
	return s.n != t.n ? (s.n < t.n ? -1 : 1) : (x->id > y->id) - (x->id < y->id);
}

void special_set_init(special_set *s, special *at, size_t n)
{
	*s = (special_set){.at = at, .n = n};
	if (n)
		qsort(at, n, sizeof *at, compare);
	for (size_t i = 0; i < n; i++)
		s->starts[(unsigned char)at[i].spelling.p[0]] = true;
}

void special_set_fini(special_set *s)
{
	free(s->at);
	*s = (special_set){0};
}

/* First index in [lo, hi) whose byte at `depth` is at least `byte`; all in the range share the bytes before, and those
 * that end at depth come first. */
static size_t bound(const special_set *s, size_t lo, size_t hi, size_t depth, unsigned byte)
{
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		str t = s->at[mid].spelling;
		if (t.n > depth && (unsigned char)t.p[depth] >= byte)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* The longest token that p[0..n) starts with; one that needs trust must end within the first n_trusted bytes. */
static const special *longest_prefix(const special_set *s, const char *p, size_t n, size_t n_trusted)
{
	size_t lo = 0, hi = s->n;
	const special *best = NULL;
	for (size_t depth = 0; depth < n && lo < hi; depth++) {
		unsigned byte = (unsigned char)p[depth];
		lo = bound(s, lo, hi, depth, byte);
		hi = bound(s, lo, hi, depth, byte + 1);
		const special *t = lo < hi ? &s->at[lo] : NULL;
		if (t && t->spelling.n == depth + 1 && (!t->needs_trust || depth < n_trusted))
			best = t;
	}
	return best;
}

const special *special_find(const special_set *s, str spelling)
{
	const special *t = longest_prefix(s, spelling.p, spelling.n, spelling.n);
	return t && t->spelling.n == spelling.n ? t : NULL;
}

const special *special_next(special_walk *w, size_t *begin)
{
	const char *p = w->text.p;
	size_t n = w->set->n ? w->text.n : 0;
	for (size_t i = w->at; i < n; i++) {
		if (!w->set->starts[(unsigned char)p[i]])
			continue;
		while (w->n_trusted && w->trusted->end <= i) {
			w->trusted++;
			w->n_trusted--;
		}
		size_t sure = w->n_trusted && w->trusted->begin <= i ? w->trusted->end - i : 0;
		const special *t = longest_prefix(w->set, p + i, w->text.n - i, sure);
		if (t) {
			*begin = i;
			w->at = i + t->spelling.n;
			for (uint32_t cp; t->rstrip && w->at < n;) {
				int len = utf8_decode(p + w->at, n - w->at, &cp);
				if (len <= 0 || !unicode_is_space(cp))
					break;
				w->at += (size_t)len;
			}
			return t;
		}
	}
	w->at = w->text.n;
	return NULL;
}
