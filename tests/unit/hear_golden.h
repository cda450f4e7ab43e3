/* hear_golden.h - reads the goldens of tests/golden/hear that are runs of little-endian 32-bit words. */
#ifndef SN_TESTS_HEAR_GOLDEN_H
#define SN_TESTS_HEAR_GOLDEN_H

#include "unit.h"

struct golden {
	uint8_t *p;
	size_t at, n; /* words */
};

static inline struct golden golden_open(const char *name)
{
	char path[4096];
	struct golden g = {0};
	snprintf(path, sizeof path, "%s/%s", HEAR_DIR, name);
	FILE *f = fopen(path, "rb");
	if (!f)
		fail_msg("%s is missing", name);
	fseek(f, 0, SEEK_END);
	g.n = (size_t)ftell(f) / 4;
	rewind(f);
	g.p = malloc(g.n * 4 + 1);
	assert_int_equal(fread(g.p, 4, g.n, f), g.n);
	fclose(f);
	return g;
}

static inline bool golden_left(const struct golden *g)
{
	return g->at < g->n;
}

static inline int32_t golden_next(struct golden *g)
{
	assert_true(golden_left(g));
	const uint8_t *p = g->p + 4 * g->at++;
	return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

static inline float golden_float(struct golden *g)
{
	int32_t bits = golden_next(g);
	float f;
	memcpy(&f, &bits, sizeof f);
	return f;
}

/* A length and so many bytes, padded to whole words. */
static inline char *golden_text(struct golden *g, size_t *size)
{
	size_t n = (size_t)golden_next(g), words = (n + 3) / 4;
	assert_true(words <= g->n - g->at);
	char *s = malloc(n + 1);
	memcpy(s, g->p + 4 * g->at, n);
	s[n] = 0;
	g->at += words;
	*size = n;
	return s;
}

static inline void golden_close(struct golden *g)
{
	free(g->p);
}

#endif
