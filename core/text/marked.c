#include "text/marked.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void marked_init(marked_text *m, size_t limit)
{
	*m = (marked_text){0};
	buf_init(&m->bytes, limit);
}

void marked_fini(marked_text *m)
{
	buf_fini(&m->bytes);
	free(m->trusted);
	*m = (marked_text){0};
}

static bool room_for_range(marked_text *m)
{
	if (m->n_trusted < m->cap_trusted)
		return true;
	size_t cap = m->cap_trusted ? 2 * m->cap_trusted : 16;
	marked_range *grown = reallocarray(m->trusted, cap, sizeof *grown);
	if (!grown)
		return false;
	m->trusted = grown;
	m->cap_trusted = cap;
	return true;
}

bool marked_append(marked_text *m, const char *p, size_t n, bool trusted)
{
	if (n == 0)
		return !m->bytes.failed;
	if (trusted && !room_for_range(m)) {
		m->bytes.failed = true;
		return false;
	}
	size_t begin = m->bytes.n;
	if (!buf_append(&m->bytes, p, n))
		return false;
	if (!trusted)
		return true;
	if (m->n_trusted && m->trusted[m->n_trusted - 1].end == begin)
		m->trusted[m->n_trusted - 1].end += n;
	else
		m->trusted[m->n_trusted++] = (marked_range){begin, begin + n};
	return true;
}

/* Index of the first range that ends after `at`. */
static size_t range_after(const marked_text *m, size_t at)
{
	size_t lo = 0, hi = m->n_trusted;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (m->trusted[mid].end > at)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

bool marked_is_trusted(const marked_text *m, size_t begin, size_t end)
{
	if (begin >= end)
		return false;
	size_t i = range_after(m, begin);
	return i < m->n_trusted && m->trusted[i].begin <= begin && end <= m->trusted[i].end;
}

size_t marked_find(const marked_text *m, size_t from, str marker)
{
	if (marker.n == 0)
		return SIZE_MAX;
	for (size_t i = range_after(m, from); i < m->n_trusted; i++) {
		size_t begin = m->trusted[i].begin < from ? from : m->trusted[i].begin;
		const char *hit = memmem(m->bytes.p + begin, m->trusted[i].end - begin, marker.p, marker.n);
		if (hit)
			return (size_t)(hit - m->bytes.p);
	}
	return SIZE_MAX;
}
