#include "text/jinja_strings.h"

#include "text/unicode.h"

/* ---- strip ---- */

static bool in_set(const text *chars, const char *p, size_t n)
{
	uint32_t cp;
	if (!chars)
		return utf8_decode(p, n, &cp) > 0 && unicode_is_py_space(cp);
	for (size_t i = 0, len; i < chars->n; i += len) {
		len = utf8_step(chars->p + i, chars->n - i);
		if (len == n && !memcmp(chars->p + i, p, n))
			return true;
	}
	return false;
}

text text_strip(text t, const text *chars, strip_side side)
{
	size_t begin = 0, end = t.n;
	while (side & STRIP_LEFT && begin < end) {
		size_t n = utf8_step(t.p + begin, end - begin);
		if (!in_set(chars, t.p + begin, n))
			break;
		begin += n;
	}
	while (side & STRIP_RIGHT && end > begin) {
		size_t at = begin + utf8_back(t.p + begin, end - begin);
		if (!in_set(chars, t.p + at, end - at))
			break;
		end = at;
	}
	return text_slice(t, begin, end);
}

const value *string_strip(jinja_ctx *c, text t, const value *chars, strip_side side)
{
	if (chars && chars->kind != VALUE_NONE && chars->kind != VALUE_STRING)
		return ctx_fail(c, "strip needs a string");
	bool given = chars && chars->kind == VALUE_STRING;
	size_t work = given ? chars->s.n : 1;
	/* each character of the text may be held against each of the set */
	if (work > 16 && !ctx_charge(c, t.n / 64 * (work / 16) + 1))
		return NULL;
	return value_text(c->a, text_strip(t, given ? &chars->s : NULL, side));
}

/* ---- case ---- */

static size_t put_mapped(text_builder *b, text t, size_t i, unsigned to)
{
	uint32_t cp, mapped[3];
	size_t n = utf8_step(t.p + i, t.n - i);
	if (utf8_decode(t.p + i, t.n - i, &cp) <= 0) {
		put_text(b, text_slice(t, i, i + n));
		return n;
	}
	size_t count = unicode_map((unicode_case)to, cp, mapped);
	for (size_t k = 0; k < count; k++) {
		char utf8[4];
		put_str(b, (str){utf8, utf8_encode(mapped[k], utf8)}, text_trusted(t, i));
	}
	return n;
}

void put_case(text_builder *b, text t, unsigned to)
{
	for (size_t i = 0; i < t.n;)
		i += put_mapped(b, t, i, to);
}

const value *string_case(jinja_ctx *c, text t, unsigned to)
{
	text_builder b = ctx_builder(c);
	put_case(&b, t, to);
	return ctx_text(c, &b);
}

const value *string_capitalize(jinja_ctx *c, text t)
{
	text_builder b = ctx_builder(c);
	size_t first = t.n ? put_mapped(&b, t, 0, UNICODE_TITLE) : 0;
	put_case(&b, text_slice(t, first, t.n), UNICODE_LOWER);
	return ctx_text(c, &b);
}

const value *string_title(jinja_ctx *c, text t)
{
	text_builder b = ctx_builder(c);
	bool inside = false;
	for (size_t i = 0; i < t.n;) {
		uint32_t cp = 0;
		utf8_decode(t.p + i, t.n - i, &cp);
		i += put_mapped(&b, t, i, inside ? UNICODE_LOWER : UNICODE_TITLE);
		inside = unicode_is_lower(cp) || unicode_is_upper(cp);
	}
	return ctx_text(c, &b);
}

/* ---- replace, split, join ---- */

/* Position of `what` in t at or after `from`; t.n if there is none. */
static size_t find(text t, size_t from, text what)
{
	const char *hit = memmem(t.p + from, t.n - from, what.p, what.n);
	return hit ? (size_t)(hit - t.p) : t.n;
}

const value *string_replace(jinja_ctx *c, text t, text old, text with, int64_t count)
{
	text_builder b = ctx_builder(c);
	size_t i = 0;
	bool ended = false; /* an empty `old` also matches at the end */
	for (; count != 0 && !b.failed; count--) {
		size_t at = old.n ? find(t, i, old) : i;
		if (old.n ? at == t.n : ended)
			break;
		put_text(&b, text_slice(t, i, at));
		put_text(&b, with);
		i = at + old.n;
		if (old.n)
			continue;
		ended = i == t.n;
		size_t step = ended ? 0 : utf8_step(t.p + i, t.n - i);
		put_text(&b, text_slice(t, i, i + step));
		i += step;
	}
	put_text(&b, text_slice(t, i, t.n));
	return ctx_text(c, &b);
}

static bool push_text(jinja_ctx *c, value *list, text t)
{
	return value_push(c->a, list, value_text(c->a, t));
}

static bool space_at(text t, size_t i, size_t *len)
{
	*len = utf8_step(t.p + i, t.n - i);
	return in_set(NULL, t.p + i, *len);
}

/* Runs of white space separate, and do not count at the ends. */
static const value *split_space(jinja_ctx *c, text t, int64_t max)
{
	value *list = value_list(c->a);
	size_t i = 0, len;
	while (list) {
		while (i < t.n && space_at(t, i, &len))
			i += len;
		if (i == t.n)
			break;
		size_t begin = i;
		if (max-- == 0)
			return push_text(c, list, text_strip(text_slice(t, begin, t.n), NULL, STRIP_RIGHT)) ? list : NULL;
		while (i < t.n && !space_at(t, i, &len))
			i += len;
		if (!push_text(c, list, text_slice(t, begin, i)))
			return NULL;
	}
	return list;
}

static const value *split_on(jinja_ctx *c, text t, text sep, int64_t max)
{
	value *list = value_list(c->a);
	size_t i = 0;
	for (size_t at; list && max != 0 && (at = find(t, i, sep)) < t.n; i = at + sep.n, max--)
		if (!push_text(c, list, text_slice(t, i, at)))
			return NULL;
	return list && push_text(c, list, text_slice(t, i, t.n)) ? list : NULL;
}

static size_t rfind(text t, size_t end, text what)
{
	for (size_t i = end; i >= what.n; i--)
		if (!memcmp(t.p + i - what.n, what.p, what.n))
			return i - what.n;
	return SIZE_MAX;
}

/* From the right, at most max cuts: the pieces come out last first. */
static const value *rsplit_on(jinja_ctx *c, text t, text sep, int64_t max)
{
	value *pieces = value_list(c->a), *list = value_list(c->a);
	size_t end = t.n;
	if (!ctx_charge(c, t.n / 64 * (sep.n / 64 + 1)))
		return NULL;
	for (size_t at; pieces && max != 0 && (at = rfind(t, end, sep)) != SIZE_MAX; end = at, max--)
		if (!push_text(c, pieces, text_slice(t, at + sep.n, end)))
			return NULL;
	if (!list || !pieces || !push_text(c, pieces, text_slice(t, 0, end)))
		return NULL;
	for (size_t i = pieces->t->n; i--;)
		if (!value_push(c->a, list, pieces->t->at[i].val))
			return NULL;
	return list;
}

const value *string_split(jinja_ctx *c, text t, const value *sep, int64_t max, bool from_right)
{
	if (!ctx_charge(c, t.n / 64))
		return NULL;
	if (!sep || sep->kind == VALUE_NONE)
		return from_right && max >= 0 ? ctx_fail(c, "rsplit with a count needs a separator") : split_space(c, t, max);
	if (sep->kind != VALUE_STRING || sep->s.n == 0)
		return ctx_fail(c, "split needs a separator that is not empty");
	return from_right ? rsplit_on(c, t, sep->s, max) : split_on(c, t, sep->s, max);
}

static bool is_line_end(uint32_t cp)
{
	return (cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 || cp == 0x2029;
}

const value *string_splitlines(jinja_ctx *c, text t, bool keep_ends)
{
	value *list = value_list(c->a);
	size_t begin = 0;
	for (size_t i = 0, n; list && i < t.n; i += n) {
		uint32_t cp = 0;
		n = utf8_step(t.p + i, t.n - i);
		if (utf8_decode(t.p + i, t.n - i, &cp) <= 0 || !is_line_end(cp))
			continue;
		if (cp == '\r' && i + 1 < t.n && t.p[i + 1] == '\n')
			n = 2;
		if (!push_text(c, list, text_slice(t, begin, keep_ends ? i + n : i)))
			return NULL;
		begin = i + n;
	}
	if (list && begin < t.n && !push_text(c, list, text_slice(t, begin, t.n)))
		return NULL;
	return list;
}

const value *string_join(jinja_ctx *c, text sep, const value_table *items)
{
	text_builder b = ctx_builder(c);
	for (size_t i = 0; i < items->n; i++) {
		if (i)
			put_text(&b, sep);
		if (!ctx_charge(c, 1) || !put_value(c, &b, items->at[i].val))
			return NULL;
	}
	return ctx_text(c, &b);
}
