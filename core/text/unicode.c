#include "text/unicode.h"

#include <utf8proc.h>

int utf8_decode(const char *s, size_t n, uint32_t *cp)
{
	const unsigned char *p = (const unsigned char *)s;
	if (n == 0)
		return 0;
	unsigned c = p[0];
	*cp = c;
	if (c < 0x80)
		return 1;
	if (c < 0xC2 || c > 0xF4)
		return -1;
	int len = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
	/* Only the second byte's range depends on the first: no overlong forms, surrogates, or more than U+10FFFF. */
	unsigned lo = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
	unsigned hi = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
	uint32_t v = c & (0x7Fu >> len);
	for (int i = 1; i < len; i++, lo = 0x80, hi = 0xBF) {
		if ((size_t)i >= n)
			return 0;
		if (p[i] < lo || p[i] > hi)
			return -i;
		v = v << 6 | (p[i] & 0x3Fu);
	}
	*cp = v;
	return len;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
	return (size_t)utf8proc_encode_char((utf8proc_int32_t)cp, (utf8proc_uint8_t *)out);
}

size_t utf8_step(const char *p, size_t n)
{
	uint32_t cp;
	int len = utf8_decode(p, n, &cp);
	return len > 0 ? (size_t)len : len < 0 ? (size_t)-len : n;
}

size_t utf8_back(const char *p, size_t n)
{
	for (size_t k = 2; k <= 4 && k <= n; k++) {
		uint32_t cp;
		if (((unsigned char)p[n - k] & 0xC0) != 0x80)
			return utf8_decode(p + n - k, k, &cp) == (int)k ? n - k : n - 1;
	}
	return n - 1;
}

size_t utf8_count(const char *p, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i += utf8_step(p + i, n - i))
		count++;
	return count;
}

bool unicode_is_letter(uint32_t cp)
{
	if (cp < 0x80)
		return (cp | 0x20) - 'a' < 26;
	utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
	return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool unicode_is_number(uint32_t cp)
{
	if (cp < 0x80)
		return cp - '0' < 10;
	utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
	return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

bool unicode_is_space(uint32_t cp)
{
	if (cp < 0x80)
		return cp == ' ' || cp - '\t' < 5;
	return cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 ||
	       cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

bool unicode_is_py_space(uint32_t cp)
{
	return unicode_is_space(cp) || cp - 0x1C < 4;
}

struct range {
	uint32_t first, last;
};
#include "text/unicode_ranges.inc"

static bool in_ranges(uint32_t cp, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n && cp >= r[i].first; i++)
		if (cp <= r[i].last)
			return true;
	return false;
}
#define IN_RANGES(cp, table) in_ranges((cp), (table), sizeof(table) / sizeof *(table))

static utf8proc_category_t category(uint32_t cp)
{
	return utf8proc_category((utf8proc_int32_t)cp);
}

/* A letter that has no case, or a mark. */
static bool has_no_case(utf8proc_category_t k)
{
	return k == UTF8PROC_CATEGORY_LM || k == UTF8PROC_CATEGORY_LO || k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC ||
	       k == UTF8PROC_CATEGORY_ME;
}

bool unicode_starts_word(uint32_t cp)
{
	utf8proc_category_t k = category(cp);
	return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LT || has_no_case(k);
}

bool unicode_ends_word(uint32_t cp)
{
	utf8proc_category_t k = category(cp);
	return k == UTF8PROC_CATEGORY_LL || has_no_case(k);
}

bool unicode_is_decimal(uint32_t cp)
{
	return category(cp) == UTF8PROC_CATEGORY_ND;
}

bool unicode_is_py_digit(uint32_t cp)
{
	return unicode_is_decimal(cp) || IN_RANGES(cp, other_digit);
}

bool unicode_is_lower(uint32_t cp)
{
	return category(cp) == UTF8PROC_CATEGORY_LL || IN_RANGES(cp, other_lower);
}

bool unicode_is_upper(uint32_t cp)
{
	return category(cp) == UTF8PROC_CATEGORY_LU || IN_RANGES(cp, other_upper);
}

bool unicode_is_title(uint32_t cp)
{
	return category(cp) == UTF8PROC_CATEGORY_LT;
}

bool unicode_is_cased(uint32_t cp)
{
	return unicode_is_lower(cp) || unicode_is_upper(cp) || unicode_is_title(cp);
}

bool unicode_is_case_ignorable(uint32_t cp)
{
	switch (category(cp)) {
	case UTF8PROC_CATEGORY_MN:
	case UTF8PROC_CATEGORY_ME:
	case UTF8PROC_CATEGORY_CF:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_SK:
		return true;
	default:
		return IN_RANGES(cp, other_ignorable);
	}
}

bool unicode_is_printable(uint32_t cp)
{
	utf8proc_category_t k = category(cp);
	if (cp < 0x7F)
		return cp >= 0x20;
	return !(k == UTF8PROC_CATEGORY_CN || (k >= UTF8PROC_CATEGORY_ZS && k <= UTF8PROC_CATEGORY_CO));
}

static const struct full_case {
	uint32_t cp;
	uint16_t to[3][3]; /* [unicode_case] */
} full_cases[] = {
#include "text/unicode_case.inc"
};

static const struct full_case *full_case_find(uint32_t cp)
{
	size_t lo = 0, hi = sizeof full_cases / sizeof *full_cases;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (full_cases[mid].cp == cp)
			return &full_cases[mid];
		if (full_cases[mid].cp < cp)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

size_t unicode_map(unicode_case to, uint32_t cp, uint32_t out[3])
{
	const struct full_case *full = cp < 0x80 ? NULL : full_case_find(cp);
	if (full) {
		size_t n = 0;
		while (n < 3 && full->to[to][n]) {
			out[n] = full->to[to][n];
			n++;
		}
		return n;
	}
	utf8proc_int32_t c = (utf8proc_int32_t)cp;
	out[0] = (uint32_t)(to == UNICODE_LOWER ? utf8proc_tolower(c) : to == UNICODE_UPPER ? utf8proc_toupper(c) : utf8proc_totitle(c));
	return 1;
}
