/* golden_files.h - what transformers gave, from files NAME.SUFFIX under GOLDEN_DIR, and how far off something is. */
#ifndef SN_TESTS_GOLDEN_FILES_H
#define SN_TESTS_GOLDEN_FILES_H

#include "unit.h"

#include <math.h>

/* malloc'ed, a NUL behind its *n bytes; n may be NULL. */
static inline void *read_golden(const char *name, const char *suffix, size_t *n)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s.%s", GOLDEN_DIR, name, suffix);
	FILE *f = fopen(path, "rb");
	if (!f)
		fail_msg("%s is missing", path);
	fseek(f, 0, SEEK_END);
	size_t size = (size_t)ftell(f);
	rewind(f);
	char *p = malloc(size + 1);
	assert_int_equal(fread(p, 1, size, f), size);
	p[size] = 0;
	fclose(f);
	if (n)
		*n = size;
	return p;
}

/* max |a - b| / max |b|, the worst of n rows. */
static inline double worst_of(const float *a, const float *b, size_t n_rows, size_t n)
{
	double worst = 0;
	for (size_t r = 0; r < n_rows; r++) {
		double d = 0, top = 0;
		for (size_t i = 0; i < n; i++) {
			d = fmax(d, fabs((double)a[r * n + i] - (double)b[r * n + i]));
			top = fmax(top, fabs((double)b[r * n + i]));
		}
		worst = d / top > worst || isnan(d) ? d / top : worst;
	}
	return worst;
}

#endif
