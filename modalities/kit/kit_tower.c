/* kit_tower.c - units of work, a job's tensors, and the pre-norm transformer layer. */
#include <math.h>
#include <stdio.h>

#include "kit_tower.h"

enum { MIN_UNIT_ROWS = 16 };

/* ---- sizes ---- */

uint32_t kit_parts(uint32_t n, uint32_t each)
{
	return (n + each - 1) / each;
}

uint32_t kit_unit_rows(double unit_flop, double flop_per_row, uint32_t n)
{
	double rows = floor(unit_flop / flop_per_row);
	uint32_t most = rows < MIN_UNIT_ROWS ? MIN_UNIT_ROWS : rows < n ? (uint32_t)rows : n;
	uint32_t even = kit_parts(n, kit_parts(n, most));
	uint32_t each = kit_parts(even, MIN_UNIT_ROWS) * MIN_UNIT_ROWS;
	return each < n ? each : n;
}

size_t kit_aligned(size_t n)
{
	return (n + KIT_ALIGN - 1) / KIT_ALIGN * KIT_ALIGN;
}

bool kit_add_bytes(uint64_t *total, uint64_t count, uint64_t size)
{
	uint64_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes) || bytes > UINT64_MAX - KIT_ALIGN)
		return false;
	return !__builtin_add_overflow(*total, (bytes + KIT_ALIGN - 1) / KIT_ALIGN * KIT_ALIGN, total);
}

bool kit_tensor_bytes(const kit_tensor_size *list, size_t n, uint64_t *bytes)
{
	*bytes = 0;
	for (size_t i = 0; i < n; i++)
		if (!kit_add_bytes(bytes, list[i].rows * list[i].cols, sizeof(float)))
			return false;
	return true;
}

sn_rc kit_alloc_tensors(const sn_host_ops *ops, sn_ops_ctx *ctx, const kit_tensor_size *list, size_t n, sn_fault *fault)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].rows)
			KIT_TRY(ops->alloc(ctx, list[i].rows, list[i].cols, list[i].at, fault));
	return SN_RC_OK;
}

/* ---- the layer ---- */

void kit_bind_attention(kit_binder *b, const char *prefix, uint32_t index, uint32_t embd, bool key_bias, kit_layer *l)
{
	char name[64];
	const struct {
		const char *part;
		const sn_weight **to;
		bool bias;
	} squares[] = {{"attn_q", &l->q, true}, {"attn_k", &l->k, key_bias}, {"attn_v", &l->v, true}, {"attn_out", &l->out, true}};
	for (size_t i = 0; i < sizeof squares / sizeof *squares; i++) {
		snprintf(name, sizeof name, "%s.blk.%u.%s", prefix, index, squares[i].part);
		*squares[i].to = kit_bind_linear(b, name, squares[i].bias, embd, embd);
	}
	snprintf(name, sizeof name, "%s.blk.%u.ln1", prefix, index);
	l->ln1 = kit_bind_norm(b, name, embd);
	snprintf(name, sizeof name, "%s.blk.%u.ln2", prefix, index);
	l->ln2 = kit_bind_norm(b, name, embd);
}

sn_rc kit_linear(const kit_run *r, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, int32_t act)
{
	return r->ops->linear(r->ctx, y, x, w, act, r->fault);
}

sn_rc kit_layer_norm(const kit_run *r, const sn_tensor *y, const sn_tensor *x, const kit_norm *n)
{
	return r->ops->layer_norm(r->ctx, y, x, &n->w, &n->b, r->eps, r->fault);
}

sn_rc kit_qkv(const kit_run *r, const kit_layer *l, const kit_stream *s, uint32_t first, uint32_t n)
{
	sn_tensor x = r->ops->rows(&s->x, first, n), a = r->ops->rows(&s->a, 0, n);
	sn_tensor q = r->ops->rows(&s->q, first, n), k = r->ops->rows(&s->k, first, n), v = r->ops->rows(&s->v, first, n);
	KIT_TRY(kit_layer_norm(r, &a, &x, &l->ln1));
	KIT_TRY(kit_linear(r, &q, &a, l->q, SN_ACT_NONE));
	KIT_TRY(kit_linear(r, &k, &a, l->k, SN_ACT_NONE));
	return kit_linear(r, &v, &a, l->v, SN_ACT_NONE);
}

sn_rc kit_mix(const kit_run *r, const kit_layer *l, const kit_stream *s, uint32_t first, uint32_t n)
{
	sn_tensor x = r->ops->rows(&s->x, first, n);
	sn_tensor a = r->ops->rows(&s->a, 0, n), b = r->ops->rows(&s->b, 0, n), up = r->ops->rows(&s->up, 0, n);
	KIT_TRY(kit_linear(r, &b, &a, l->out, SN_ACT_NONE));
	KIT_TRY(r->ops->add(r->ctx, &x, &x, &b, r->fault));
	KIT_TRY(kit_layer_norm(r, &a, &x, &l->ln2));
	KIT_TRY(kit_linear(r, &up, &a, l->up, r->act));
	KIT_TRY(kit_linear(r, &b, &up, l->down, SN_ACT_NONE));
	return r->ops->add(r->ctx, &x, &x, &b, r->fault);
}

void kit_end_nothing(void *instance, void *state)
{
	(void)instance;
	(void)state;
}
