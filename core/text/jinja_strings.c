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

/* Sigma at a word's end has a small letter of its own: after a letter with case and before none, what is in between
 * not counting (Unicode's Final_Sigma). */
static bool is_final_sigma(text t, size_t i)
{
	uint32_t cp;
	size_t at = i;
	bool before = false;
	while (at && !before) {
		at = utf8_back(t.p, at);
		if (utf8_decode(t.p + at, t.n - at, &cp) <= 0 || !unicode_is_case_ignorable(cp)) {
			before = unicode_is_cased(cp);
			break;
		}
	}
	if (!before)
		return false;
	for (at = i + utf8_step(t.p + i, t.n - i); at < t.n; at += utf8_step(t.p + at, t.n - at))
		if (utf8_decode(t.p + at, t.n - at, &cp) <= 0 || !unicode_is_case_ignorable(cp))
			return !unicode_is_cased(cp);
	return true;
}

static size_t put_mapped(text_builder *b, text t, size_t i, unsigned to)
{
	uint32_t cp, mapped[3];
	size_t n = utf8_step(t.p + i, t.n - i);
	if (utf8_decode(t.p + i, t.n - i, &cp) <= 0) {
		put_text(b, text_slice(t, i, i + n));
		return n;
	}
	size_t count = unicode_map((unicode_case)to, cp, mapped);
	if (cp == 0x3A3 && to == UNICODE_LOWER && is_final_sigma(t, i))
		mapped[0] = 0x3C2;
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
	return ctx_text_like(c, &b, t);
}

const value *string_capitalize(jinja_ctx *c, text t)
{
	text_builder b = ctx_builder(c);
	for (size_t i = 0; i < t.n;)
		i += put_mapped(&b, t, i, i ? UNICODE_LOWER : UNICODE_TITLE);
	return ctx_text_like(c, &b, t);
}

const value *string_title(jinja_ctx *c, text t)
{
	text_builder b = ctx_builder(c);
	bool inside = false;
	for (size_t i = 0; i < t.n;) {
		uint32_t cp = 0;
		utf8_decode(t.p + i, t.n - i, &cp);
		i += put_mapped(&b, t, i, inside ? UNICODE_LOWER : UNICODE_TITLE);
		inside = unicode_is_cased(cp);
	}
	return ctx_text_like(c, &b, t);
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
	return ctx_text_like(c, &b, t);
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
			return push_text(c, list, text_slice(t, begin, t.n)) ? list : NULL;
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

static const value *reversed(jinja_ctx *c, const value *pieces)
{
	value *list = value_list(c->a);
	for (size_t i = pieces->t->n; list && i--;)
		if (!value_push(c->a, list, pieces->t->at[i].val))
			return NULL;
	return list;
}

static bool space_before(text t, size_t end, size_t *at)
{
	*at = utf8_back(t.p, end);
	return in_set(NULL, t.p + *at, end - *at);
}

static const value *rsplit_space(jinja_ctx *c, text t, int64_t max)
{
	value *pieces = value_list(c->a);
	size_t end = t.n, at;
	while (pieces) {
		while (end && space_before(t, end, &at))
			end = at;
		if (end == 0)
			break;
		size_t last = end;
		if (max-- == 0) {
			if (!push_text(c, pieces, text_slice(t, 0, last)))
				return NULL;
			break;
		}
		while (end && !space_before(t, end, &at))
			end = at;
		if (!push_text(c, pieces, text_slice(t, end, last)))
			return NULL;
	}
	return pieces ? reversed(c, pieces) : NULL;
}

/* From the right, at most max cuts: the pieces come out last first. */
static const value *rsplit_on(jinja_ctx *c, text t, text sep, int64_t max)
{
	value *pieces = value_list(c->a);
	size_t end = t.n;
	if (!ctx_charge(c, t.n / 64 * (sep.n / 64 + 1)))
		return NULL;
	for (size_t at; pieces && max != 0 && (at = rfind(t, end, sep)) != SIZE_MAX; end = at, max--)
		if (!push_text(c, pieces, text_slice(t, at + sep.n, end)))
			return NULL;
	return pieces && push_text(c, pieces, text_slice(t, 0, end)) ? reversed(c, pieces) : NULL;
}

const value *string_split(jinja_ctx *c, text t, const value *sep, int64_t max, bool from_right)
{
	if (!ctx_charge(c, t.n / 64))
		return NULL;
	if (!sep || sep->kind == VALUE_NONE)
		return from_right && max >= 0 ? rsplit_space(c, t, max) : split_space(c, t, max);
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

const value *string_pad(jinja_ctx *c, text t, int64_t left, int64_t right, text fill)
{
	text_builder b = ctx_builder(c);
	int64_t n[] = {left, right};
	for (int side = 0; side < 2; side++) {
		for (int64_t i = 0; i < n[side]; i++) {
			if (b.failed || (i % 64 == 0 && !ctx_charge(c, 1)))
				return NULL;
			put_text(&b, fill);
		}
		if (side == 0)
			put_text(&b, t);
	}
	return ctx_text_like(c, &b, t);
}

const value *string_center(jinja_ctx *c, text t, int64_t width, text fill)
{
	int64_t n = width - (int64_t)utf8_count(t.p, t.n), left = n > 0 ? n / 2 + (n & width & 1) : 0;
	return string_pad(c, t, left, n - left, fill);
}

const value *string_has_case(jinja_ctx *c, text t, bool lower)
{
	bool found = false;
	if (!ctx_charge(c, t.n / 16))
		return NULL;
	for (size_t i = 0, n; i < t.n; i += n) {
		uint32_t cp = 0;
		n = utf8_step(t.p + i, t.n - i);
		utf8_decode(t.p + i, t.n - i, &cp);
		if (unicode_is_title(cp) || (lower ? unicode_is_upper(cp) : unicode_is_lower(cp)))
			return value_bool(false);
		found = found || (lower ? unicode_is_lower(cp) : unicode_is_upper(cp));
	}
	return value_bool(found);
}
