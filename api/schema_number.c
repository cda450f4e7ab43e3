/* schema_number.c - numbers: whole or not, within bounds, as choices of digits. */
#include <math.h>
#include <string.h>

#include "schema_inside.h"

#define NUMBER_RANGE_LIMIT 1000000000000000 /* 10^15 */

#define MAX_INTEGER 9999999999999999 /* 16 digits */

/* What a number may be; both ends whole. */
typedef struct number_range {
	bool has_min, has_max, open_min, open_max;
	int64_t min, max;
} number_range;

static void digits(out_buf *out, size_t n)
{
	if (n)
		out_fmt(out, " [0-9]{%zu}", n);
}

/* lo and hi: n digits each, lo <= hi. */
static void same_length(out_buf *out, const char *lo, const char *hi, size_t n)
{
	size_t same = 0;
	while (same < n && lo[same] == hi[same])
		same++;
	if (same)
		out_fmt(out, " \"%.*s\"", (int)same, lo);
	lo += same, hi += same, n -= same;
	if (n == 0)
		return;
	bool from_zero = strspn(lo, "0") >= n, to_nine = strspn(hi, "9") >= n;
	if (from_zero && to_nine) {
		digits(out, n);
		return;
	}
	char ends[24] = {0};
	char first = *lo, last = *hi;
	out_text(out, " (");
	if (strspn(lo + 1, "0") < n - 1) { /* the lowest digit only with some of what may follow */
		memset(ends, '9', n - 1);
		out_fmt(out, " \"%c\"", first++);
		same_length(out, lo + 1, ends, n - 1);
		out_text(out, " |");
	}
	bool all_of_last = strspn(hi + 1, "9") >= n - 1;
	if (first <= last - !all_of_last) {
		out_fmt(out, " [%c-%c]", first, last - !all_of_last);
		digits(out, n - 1);
		out_text(out, all_of_last ? "" : " |");
	}
	if (!all_of_last) {
		memset(ends, '0', n - 1);
		out_fmt(out, " \"%c\"", last);
		same_length(out, ends, hi + 1, n - 1);
	}
	out_text(out, " )");
}

/* Digits behind the point that a double tells apart behind n before it: 15 in all, so that none is rounded across a border. */
static unsigned fraction(unsigned n)
{
	return n < 15 ? 15 - n : 1;
}

static unsigned length(int64_t n)
{
	return n < 10 ? 1 : 1 + length(n / 10);
}

/* Whole numbers lo..hi, 0 <= lo <= hi, as a choice without parentheses; with what may stand behind the point. */
static void whole(out_buf *out, int64_t lo, int64_t hi, bool fractions)
{
	char a[24], b[24];
	snprintf(b, sizeof b, "%lld", (long long)hi);
	for (bool more = true, first = true; more; first = false) {
		int n = snprintf(a, sizeof a, "%lld", (long long)lo);
		char top[24];
		memset(top, '9', (size_t)n);
		top[n] = 0;
		more = strlen(b) > (size_t)n;
		out_text(out, first ? "" : " |");
		same_length(out, a, more ? top : b, (size_t)n);
		if (fractions)
			out_fmt(out, " ( \".\" [0-9]{1,%u} )?", fraction((unsigned)n));
		lo = 1;
		for (int i = 0; i < n; i++)
			lo *= 10;
	}
}

/* False: no such number. */
static bool grammar_integers(out_buf *out, const number_range *r)
{
	int64_t lo = r->has_min ? r->min + r->open_min : -MAX_INTEGER, hi = r->has_max ? r->max - r->open_max : MAX_INTEGER;
	if (lo > hi)
		return false;
	out_text(out, " (");
	if (lo < 0) {
		out_text(out, " \"-\" (");
		whole(out, hi < 0 ? -hi : 1, -lo, false);
		out_text(out, hi >= 0 ? " ) |" : " )");
	}
	if (hi >= 0)
		whole(out, lo > 0 ? lo : 0, hi, false);
	out_text(out, " )");
	return true;
}

/* Numbers lo..hi, 0 <= lo <= hi, without an exponent, as a choice; false if there is none. */
static bool decimals(out_buf *out, int64_t lo, bool open_lo, int64_t hi, bool open_hi)
{
	const char *bar = "";
	if (lo == hi) {
		if (open_lo || open_hi)
			return false;
		out_fmt(out, " \"%lld\"", (long long)lo);
		return true;
	}
	if (open_lo)
		out_fmt(out, " \"%lld.\" [0-9]{0,%u} [1-9]", (long long)lo, fraction(length(lo)) - 1);
	else
		out_fmt(out, " \"%lld\" ( \".\" [0-9]{1,%u} )?", (long long)lo, fraction(length(lo)));
	bar = " |";
	if (lo + 1 <= hi - 1) {
		out_fmt(out, "%s", bar);
		whole(out, lo + 1, hi - 1, true);
	}
	if (!open_hi)
		out_fmt(out, "%s \"%lld\"", bar, (long long)hi);
	return true;
}

static bool grammar_numbers(out_buf *out, const number_range *r)
{
	int64_t lo = r->has_min ? r->min : -MAX_INTEGER, hi = r->has_max ? r->max : MAX_INTEGER;
	if (lo > hi || (lo == hi && (r->open_min || r->open_max)))
		return false;
	out_text(out, " (");
	bool below = lo < 0, above = hi > 0 || (hi == 0 && !r->open_max);
	if (below) {
		out_text(out, " \"-\" (");
		decimals(out, hi < 0 ? -hi : 0, hi < 0 ? r->open_max : true, -lo, r->open_min);
		out_text(out, above ? " ) |" : " )");
	}
	if (above)
		decimals(out, lo > 0 ? lo : 0, lo >= 0 && r->open_min, hi, r->open_max);
	out_text(out, " )");
	return true;
}

static int read_bound(writer *w, const json_t *s, const char *name, bool whole_only, bool up, bool *has, int64_t *out, bool *open)
{
	const json_t *v = json_object_get(s, name);
	if (!v)
		return SN_OK;
	if (!json_is_number(v))
		return invalid(w, "the schema's %s must be a number", name);
	double d = json_number_value(v);
	if (!(fabs(d) <= NUMBER_RANGE_LIMIT))
		return unsupported(w, "the schema's %s is beyond 10^15", name);
	bool exclusive = strncmp(name, "exclusive", 9) == 0;
	if (d != floor(d)) { /* the next whole number inside is itself allowed */
		if (!whole_only)
			return unsupported(w, "the schema's %s is not whole, for numbers that need not be", name);
		d = up ? ceil(d) : floor(d);
		exclusive = false;
	}
	int64_t at = (int64_t)d;
	if (!*has || (up ? at > *out : at < *out))
		*out = at, *open = exclusive;
	else if (at == *out)
		*open = *open || exclusive;
	*has = true;
	return SN_OK;
}

int schema_write_number(writer *w, const json_t *s, bool whole, out_buf *rule)
{
	number_range r = {0};
	int rc = read_bound(w, s, "minimum", whole, true, &r.has_min, &r.min, &r.open_min);
	if (rc == SN_OK)
		rc = read_bound(w, s, "exclusiveMinimum", whole, true, &r.has_min, &r.min, &r.open_min);
	if (rc == SN_OK)
		rc = read_bound(w, s, "maximum", whole, false, &r.has_max, &r.max, &r.open_max);
	if (rc == SN_OK)
		rc = read_bound(w, s, "exclusiveMaximum", whole, false, &r.has_max, &r.max, &r.open_max);
	if (rc != SN_OK)
		return rc;
	if (!r.has_min && !r.has_max)
		out_text(rule, whole ? " integer" : " number");
	else if (!(whole ? grammar_integers(rule, &r) : grammar_numbers(rule, &r)))
		return unsupported(w, "the schema's minimum and maximum leave no number");
	return SN_OK;
}
