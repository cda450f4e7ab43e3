/* bind.c - a file's tensors as weights of products and as vectors: each is there, has the expected shape, and is of a type that is
 * computed with, or is refused by name. */
#include "model/ops.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/scaled.h"

static sn_status find_any(const file_tensor **out, const model_file *f, const char *name, sn_error *err)
{
	const file_tensor *t = file_tensor_find(f, name);
	if (!t)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s is missing", f->name, name);
	kn_table ref;
	kn_select(&ref, KN_ISA_REF);
	if (!kn_linear_of(&ref, (kn_type)t->type))
#define NAME(name, type, number, form, bytes) ", " #type
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: tensor %s: storage type %s is not supported (F32, F16, BF16, Q8_0" KN_BLOCK_TYPES(NAME)
		                 " are)", f->name, name, storage_type_find(t->type)->name);
	*out = t;
	return SN_OK;
}

/* One that is whole without scales beside it. */
static sn_status find(const file_tensor **out, const model_file *f, const char *name, sn_error *err)
{
	sn_status st = find_any(out, f, name, err);
	if (!st && (*out)->type == KN_F8_E4M3)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: tensor %s: storage type F8_E4M3 is only supported for the weights of products", f->name, name);
	return st;
}

static void to_floats(const kn_table *k, float *y, const void *x, kn_type type, size_t n)
{
	kn_load_fn *load = kn_load_of(k, type);
	if (load)
		load(y, x, n);
	else
		memcpy(y, x, n * sizeof *y);
}

sn_status vector_bind(const float **out, const model_file *f, arena *mem, const char *name, size_t n, sn_error *err)
{
	const file_tensor *t;
	sn_status st = find(&t, f, name, err);
	if (st)
		return st;
	uint64_t have = t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
	if (have != n)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: %llu values, expected %zu", f->name, name, (unsigned long long)have, n);
	float *v = arena_array(mem, n, sizeof *v);
	if (!v)
		return error_set(err, SN_ERR_NOMEM, "%s: tensor %s: no memory for it", f->name, name);
	kn_table ref; /* conversion is exact: any variant gives the same */
	kn_select(&ref, KN_ISA_REF);
	to_floats(&ref, v, t->data, (kn_type)t->type, n);
	*out = v;
	return SN_OK;
}

/* Of "X.weight", "X.scale": one number for all, one for each output, or one for each block, whose size the file says. */
static sn_status scale_bind(weight *w, const model_file *f, arena *mem, const char *name, sn_error *err)
{
	char beside[256];
	const file_tensor *t;
	int n = snprintf(beside, sizeof beside, "%.*s.scale", (int)(strlen(name) - strlen(".weight")), name);
	if (strlen(name) <= strlen(".weight") || n < 0 || (size_t)n >= sizeof beside)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: its name leaves no room for scales", f->name, name);
	sn_status st = find(&t, f, beside, err);
	if (st)
		return st;
	uint32_t rows = 0, cols = 0;
	weight_scales *s = &w->scales;
	*s = (weight_scales){.rows = 1, .cols = w->n_in, .across = 1};
	if (t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3] == 1) {
		s->rows = w->n_out;
	} else if (file_u32(f, FILE_SCALE_ROWS, &rows) && file_u32(f, FILE_SCALE_COLS, &cols) && rows && cols) {
		*s = (weight_scales){.rows = rows, .cols = cols, .across = (w->n_in + cols - 1) / cols};
		if (t->ne[0] != s->across)
			return error_set(err, SN_ERR_INVALID, "%s: tensor %s: %llu blocks of inputs, expected %zu", f->name, beside, (unsigned long long)t->ne[0], s->across);
	}
	return vector_bind(&s->v, f, mem, beside, (w->n_out + s->rows - 1) / s->rows * s->across, err);
}

sn_status weight_bind(weight *w, const model_file *f, arena *mem, const char *name, const char *bias, size_t n_out, size_t n_in,
                      sn_error *err)
{
	const file_tensor *t;
	sn_status st = find_any(&t, f, name, err);
	if (st)
		return st;
	/* ne[] is fastest first: the outermost dimension counts the outputs, all others together the inputs. */
	uint64_t outs = t->ne[t->n_dims - 1], ins = 1;
	for (uint32_t d = 0; d + 1 < t->n_dims; d++)
		ins *= t->ne[d];
	if (outs != n_out || ins != n_in)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: shape [%llu, %llu], expected [%zu, %zu]", f->name, name,
		                 (unsigned long long)outs, (unsigned long long)ins, n_out, n_in);
	size_t stride = kn_row_bytes((kn_type)t->type, n_in);
	if (stride == 0 || t->ne[0] % storage_type_find(t->type)->block)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: rows of %zu values are not whole %s blocks", f->name, name, n_in,
		                 storage_type_find(t->type)->name);
	*w = (weight){.data = t->data, .type = (kn_type)t->type, .stride = stride, .n_out = n_out, .n_in = n_in};
	st = w->type == KN_F8_E4M3 ? scale_bind(w, f, mem, name, err) : SN_OK;
	return bias && !st ? vector_bind(&w->bias, f, mem, bias, n_out, err) : st;
}

sn_status weight_bind_page(weight *w, const model_file *f, const char *name, size_t page, size_t n_pages, size_t n_out, size_t n_in, sn_error *err)
{
	const file_tensor *t;
	sn_status st = find(&t, f, name, err);
	if (st)
		return st;
	if (t->n_dims > 3 || t->ne[0] != n_in || t->ne[1] != n_out || t->ne[2] != n_pages || page >= n_pages)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: shape [%llu, %llu, %llu], expected [%zu, %zu, %zu]", f->name, name,
		                 (unsigned long long)t->ne[2], (unsigned long long)t->ne[1], (unsigned long long)t->ne[0], n_pages, n_out, n_in);
	size_t stride = kn_row_bytes((kn_type)t->type, n_in);
	if (stride == 0)
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: rows of %zu values are not whole %s blocks", f->name, name, n_in,
		                 storage_type_find(t->type)->name);
	*w = (weight){.data = t->data + page * n_out * stride, .type = (kn_type)t->type, .stride = stride, .n_out = n_out, .n_in = n_in};
	return SN_OK;
}

sn_status conv1d_bind(weight *w, const model_file *f, arena *mem, const char *name, const char *bias, size_t n_out, size_t n_in,
                      size_t taps, sn_error *err)
{
	const file_tensor *t;
	size_t columns;
	sn_status st = find(&t, f, name, err);
	if (st)
		return st;
	if (t->n_dims > 3 || t->ne[0] != taps || t->ne[1] != n_in || t->ne[2] != n_out || taps == 0 || __builtin_mul_overflow(n_in, taps, &columns))
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: shape [%llu, %llu, %llu], expected [%zu, %zu, %zu]", f->name, name,
		                 (unsigned long long)t->ne[2], (unsigned long long)t->ne[1], (unsigned long long)t->ne[0], n_out, n_in, taps);
	if (kn_activation((kn_type)t->type) != KN_F32)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: tensor %s: a convolution stored as %s is not supported (F32, F16 and BF16 are)",
		                 f->name, name, storage_type_find(t->type)->name);
	*w = (weight){.data = t->data, .type = (kn_type)t->type, .stride = kn_row_bytes((kn_type)t->type, columns), .n_out = n_out,
	              .n_in = columns, .taps = taps};
	return bias ? vector_bind(&w->bias, f, mem, bias, n_out, err) : SN_OK;
}

sn_status conv_transpose1d_bind(weight *w, const model_file *f, arena *mem, const char *name, size_t n_in, size_t n_out, size_t taps,
                                sn_error *err)
{
	const file_tensor *t;
	size_t rows, values;
	sn_status st = find(&t, f, name, err);
	if (st)
		return st;
	if (t->n_dims > 3 || t->ne[0] != taps || t->ne[1] != n_out || t->ne[2] != n_in || !taps || __builtin_mul_overflow(n_out, taps, &rows) ||
	    __builtin_mul_overflow(rows, n_in, &values))
		return error_set(err, SN_ERR_INVALID, "%s: tensor %s: shape [%llu, %llu, %llu], expected [%zu, %zu, %zu]", f->name, name,
		                 (unsigned long long)t->ne[2], (unsigned long long)t->ne[1], (unsigned long long)t->ne[0], n_in, n_out, taps);
	size_t each = kn_row_bytes((kn_type)t->type, 1); /* 0: values in blocks */
	if (!each)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: tensor %s: a convolution stored as %s is not supported (F32, F16 and BF16 are)",
		                 f->name, name, storage_type_find(t->type)->name);
	uint8_t *to = arena_array(mem, values, each);
	if (!to)
		return error_set(err, SN_ERR_NOMEM, "%s: tensor %s: no memory for it", f->name, name);
	const uint8_t *from = t->data;
	for (size_t in = 0; in < n_in; in++)
		for (size_t out = 0; out < n_out; out++)
			for (size_t i = 0; i < taps; i++)
				memcpy(to + ((i * n_out + out) * n_in + in) * each, from + ((in * n_out + out) * taps + i) * each, each);
	*w = (weight){.data = to, .type = (kn_type)t->type, .stride = n_in * each, .n_out = rows, .n_in = n_in};
	return SN_OK;
}

void weight_row(const ops *o, const weight *w, size_t row, float *out)
{
	to_floats(&o->k, out, (const uint8_t *)w->data + row * w->stride, w->type, w->n_in);
	if (w->scales.v)
		scaled_row(out, w, row);
}
