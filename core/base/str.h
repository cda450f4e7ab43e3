/* str.h - a borrowed run of bytes; not NUL-terminated. */
#ifndef SN_BASE_STR_H
#define SN_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct str {
	const char *p;
	size_t n;
} str;

#define STR(literal) ((str){(literal), sizeof(literal) - 1})

static inline str str_of(const char *s)
{
	return (str){s, s ? strlen(s) : 0};
}

static inline bool str_eq(str a, str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_ends(str s, str end)
{
	return s.n >= end.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}

#endif
