#include "text/stopper.h"

#include <string.h>

void stopper_init(stopper *s, const char *const *stop, const size_t *size, size_t n)
{
	*s = (stopper){0};
	buf_init(&s->held, 0);
	for (size_t i = 0; i < n && s->n < SN_MAX_STOP; i++)
		if (size[i]) {
			s->index[s->n] = i;
			s->stop[s->n++] = (str){stop[i], size[i]};
		}
}

void stopper_fini(stopper *s)
{
	buf_fini(&s->held);
}

typedef enum match { MATCH_NONE, MATCH_OPEN, MATCH_FULL } match;

/* Does a stop string start at p, or may one: p[0..n) being the start of it? */
static match match_at(stopper *s, const char *p, size_t n)
{
	match best = MATCH_NONE;
	for (size_t i = 0; i < s->n; i++) {
		str stop = s->stop[i];
		if (memcmp(stop.p, p, stop.n < n ? stop.n : n))
			continue;
		if (stop.n <= n) {
			s->which = s->index[i];
			return MATCH_FULL;
		}
		best = MATCH_OPEN;
	}
	return best;
}

/* Emits held text up to the first place where a stop string starts or, unless the text is over, may start. */
static bool settle(stopper *s, bool over, buf *out)
{
	size_t i = 0;
	match m = MATCH_NONE;
	while (i < s->held.n) {
		m = match_at(s, s->held.p + i, s->held.n - i);
		if (m == MATCH_FULL || (m == MATCH_OPEN && !over))
			break;
		i++;
	}
	bool ok = buf_append(out, s->held.p, i);
	s->hit = i < s->held.n && m == MATCH_FULL;
	s->held.n -= i;
	if (s->held.n)
		memmove(s->held.p, s->held.p + i, s->held.n);
	return ok;
}

bool stopper_push(stopper *s, const char *p, size_t n, buf *out)
{
	if (s->hit)
		return !out->failed;
	if (s->n == 0)
		return buf_append(out, p, n);
	return buf_append(&s->held, p, n) && settle(s, false, out);
}

bool stopper_flush(stopper *s, buf *out)
{
	return s->hit ? !out->failed : settle(s, true, out);
}
