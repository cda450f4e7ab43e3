#include "text/detok.h"

#include <string.h>

#include "text/unicode.h"

#define REPLACEMENT "\xEF\xBF\xBD"

void detok_init(detok *d, const vocab *v)
{
	*d = (detok){.v = v, .drop_blank = vocab_strips_blank(v)};
}

/* Emits what is decided of p[0..n); returns how many bytes were used up. The rest is the start of a character. */
static size_t emit(const char *p, size_t n, buf *out)
{
	size_t i = 0, good = 0; /* [good, i): well formed, not yet appended */
	while (i < n) {
		uint32_t cp;
		int len = utf8_decode(p + i, n - i, &cp);
		if (len == 0)
			break;
		if (len > 0) {
			i += (size_t)len;
			continue;
		}
		buf_append(out, p + good, i - good);
		buf_append(out, REPLACEMENT, 3);
		good = i += (size_t)-len;
	}
	buf_append(out, p + good, i - good);
	return i;
}

static bool is_shown(const detok *d, int32_t id)
{
	bool shown = !vocab_is_control(d->v, id);
	for (size_t i = 0; i < d->n_shown && !shown; i++)
		shown = d->shown[i] == id;
	return shown;
}

bool detok_push(detok *d, int32_t id, buf *out)
{
	if (!is_shown(d, id))
		return !out->failed;
	str s = vocab_token(d->v, id);
	if (d->drop_blank && s.n) {
		d->drop_blank = false;
		if (*s.p == ' ')
			s.p++, s.n--;
	}
	/* One byte at a time while a tail is open: it closes, or turns out wrong, within three. */
	while (d->n_tail && s.n) {
		char c[4];
		memcpy(c, d->tail, d->n_tail);
		c[d->n_tail++] = *s.p++;
		s.n--;
		size_t used = emit(c, d->n_tail, out);
		d->n_tail -= used;
		memcpy(d->tail, c + used, d->n_tail);
	}
	size_t used = emit(s.p, s.n, out);
	if (used < s.n) {
		d->n_tail = s.n - used;
		memcpy(d->tail, s.p + used, d->n_tail);
	}
	return !out->failed;
}

bool detok_flush(detok *d, buf *out)
{
	if (d->n_tail)
		buf_append(out, REPLACEMENT, 3);
	d->n_tail = 0;
	return !out->failed;
}
