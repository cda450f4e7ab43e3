#include "text/normalize.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "text/unicode.h"

typedef struct points {
	int32_t *at, *sorted; /* sorted: room for one run of marks */
	size_t n, cap;
} points;

static int mark_class(int32_t cp)
{
	return cp < 0x300 ? 0 : utf8proc_get_property(cp)->combining_class;
}

static bool points_reserve(points *s, size_t n)
{
	if (n <= s->cap)
		return true;
	size_t cap = s->cap + s->cap / 2 < n ? n + 64 : s->cap + s->cap / 2;
	int32_t *at = reallocarray(s->at, cap, sizeof *at);
	if (at)
		s->at = at;
	int32_t *sorted = at ? reallocarray(s->sorted, cap, sizeof *sorted) : NULL;
	if (!sorted)
		return false;
	s->sorted = sorted;
	s->cap = cap;
	return true;
}

static bool decompose(points *s, uint32_t cp)
{
	enum { LONGEST = 18 };
	int last_class = 0;
	if (!points_reserve(s, s->n + LONGEST))
		return false;
	utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)cp, s->at + s->n, LONGEST, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &last_class);
	if (n < 0 || n > LONGEST) { /* an unassigned character: itself */
		s->at[s->n] = (int32_t)cp;
		n = 1;
	}
	s->n += (size_t)n;
	return true;
}

/* Each run of combining marks in stable order of class: counting, since utf8proc's own sort takes quadratic time. */
static void order_marks(points *s)
{
	size_t end;
	for (size_t i = 0; i < s->n; i = end + 1) {
		for (end = i; end < s->n && mark_class(s->at[end]); end++)
			;
		if (end - i < 2)
			continue;
		size_t start[257] = {0};
		for (size_t k = i; k < end; k++)
			start[mark_class(s->at[k]) + 1]++;
		for (int c = 0; c < 256; c++)
			start[c + 1] += start[c];
		for (size_t k = i; k < end; k++)
			s->sorted[start[mark_class(s->at[k])]++] = s->at[k];
		memcpy(s->at + i, s->sorted, (end - i) * sizeof *s->at);
	}
}

static void compose(points *s, buf *out)
{
	order_marks(s);
	utf8proc_ssize_t n = utf8proc_normalize_utf32(s->at, (utf8proc_ssize_t)s->n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
	for (utf8proc_ssize_t i = 0; i < n; i++) {
		char utf8[4];
		buf_append(out, utf8, utf8_encode((uint32_t)s->at[i], utf8));
	}
	s->n = 0;
}

/* Below U+0300 a character is composed already and never joins the one before it: everything is cut there. */
bool normalize_nfc(str text, buf *out)
{
	points s = {0};
	bool ok = true;
	size_t plain = 0, i = 0; /* [plain, i): as it is, not yet appended */
	while (i < text.n && ok) {
		size_t start = i;
		uint32_t first = 0, cp;
		int len = utf8_decode(text.p + i, text.n - i, &first);
		if (len > 0)
			i += (size_t)len;
		else
			i += utf8_step(text.p + i, text.n - i);
		bool pending = len > 0 && first >= 0x300; /* what has to be composed starts with `first` itself or with what follows it */
		if (len > 0 && (pending || (i < text.n && (unsigned char)text.p[i] >= 0xCC))) {
			s.n = 0;
			ok = decompose(&s, first);
			for (int l; ok && (l = utf8_decode(text.p + i, text.n - i, &cp)) > 0 && cp >= 0x300; i += (size_t)l)
				ok = decompose(&s, cp);
			buf_append(out, text.p + plain, start - plain);
			compose(&s, out);
			plain = i;
		}
	}
	buf_append(out, text.p + plain, i - plain);
	free(s.at);
	free(s.sorted);
	return ok && !out->failed;
}
