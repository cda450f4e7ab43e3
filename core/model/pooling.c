#include "model/pooling.h"

#include <math.h>
#include <stdio.h>

#include "base/error.h"

enum { NONE, MEAN, FIRST, LAST }; /* GGUF's numbers */

sn_status pooling_read(pooling *out, const model_file *f, const char *arch, sn_pooling asked, sn_error *err)
{
	static const pooling_kind kinds[] = {[MEAN] = POOLING_MEAN, [FIRST] = POOLING_FIRST, [LAST] = POOLING_LAST};
	static const pooling_kind by_asked[] = {[SN_POOLING_LAST] = POOLING_LAST, [SN_POOLING_MEAN] = POOLING_MEAN, [SN_POOLING_CLS] = POOLING_FIRST};
	char key[96];
	uint32_t type = NONE;
	*out = (pooling){.kind = POOLING_LAST};
	snprintf(key, sizeof key, "%s.pooling_type", arch);
	if (file_key_find(f, key) && (!file_u32(f, key, &type) || type > LAST))
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: key %s: %g is not supported (0 none, 1 mean, 2 cls and 3 last are)", f->name, key,
		                 file_number(file_key_find(f, key), 0));
	out->declared = type != NONE;
	out->chosen = out->declared || asked != SN_POOLING_AUTO;
	if (out->declared)
		out->kind = kinds[type];
	if (asked != SN_POOLING_AUTO)
		out->kind = by_asked[asked];
	snprintf(key, sizeof key, "%s.pooling_plain", arch);
	file_bool(f, key, &out->plain);
	snprintf(key, sizeof key, "%s.pooling_sizes", arch);
	return file_key_find(f, key) ? file_i32s(f, key, f->mem, &out->sizes, &out->n_sizes, err) : SN_OK;
}

void pooling_rows(pooling_kind kind, uint32_t n, uint32_t *begin, uint32_t *end)
{
	*begin = kind == POOLING_LAST ? n - 1 : 0;
	*end = kind == POOLING_FIRST ? 1 : n;
}

bool pooling_fits(const pooling *p, uint32_t n, uint32_t size)
{
	if (size == n || size == 0 || size > n)
		return size == n;
	for (size_t i = 0; i < p->n_sizes; i++)
		if (p->sizes[i] == (int32_t)size)
			return true;
	return p->chosen && p->n_sizes == 0;
}

void pooling_finish(const pooling *p, float *v, size_t size)
{
	double sum = 0;
	for (size_t i = 0; i < size; i++)
		sum += (double)v[i] * v[i];
	const double scale = p->plain || sum == 0 ? 1 : 1 / sqrt(sum);
	for (size_t i = 0; i < size; i++)
		v[i] = (float)(v[i] * scale);
}
