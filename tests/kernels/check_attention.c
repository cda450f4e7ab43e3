/* check_attention.c - paged and dense attention against the definition. See proof.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proof.h"

/* One row and head by the definition; keys as pointers to rows. Returns the bound per channel in *bound.
 *
 * A score is off by (head_dim + 4) roundings of its terms' sizes, and a soft-capped one by 8 of the cap; a weight by the
 * exponential of twice that (the maximum is a score too), by the argument's rounding (the span of scores), by 2 ulp of each e^x, and
 * by the rescales of later tiles; the sums over n keys add n. */
static void true_attention(double *out, double *bound, const float *q, const void *const *k, const void *const *v, kn_type type,
                           size_t n, size_t head_dim, double scale, double softcap)
{
	static double score[8192];
	double top = -HUGE_VAL, least = HUGE_VAL, off = 0, total = 0;
	for (size_t j = 0; j < n; j++) {
		double dot = 0, size = 0;
		for (size_t i = 0; i < head_dim; i++) {
			double term = (double)q[i] * stored_value(type, k[j], i);
			dot += term;
			size += fabs(term);
		}
		score[j] = dot * scale;
		off = fmax(off, ((double)head_dim + 4) * u * size * scale + (softcap > 0 ? 8 * u * softcap : 0));
		if (softcap > 0) score[j] = softcap * tanh(score[j] / softcap);
		top = fmax(top, score[j]);
		least = fmin(least, score[j]);
	}
	for (size_t j = 0; j < n; j++) total += score[j] = exp(score[j] - top);
	double tiles = (double)(n / KN_KEY_TILE + 2);
	double relative = 2 * (2 * off + ((top - least) * 2 + 6 * tiles + (double)n + 8) * u);
	for (size_t i = 0; i < head_dim; i++) {
		double s = 0, size = 0;
		for (size_t j = 0; j < n; j++) {
			double term = score[j] / total * stored_value(type, v[j], i);
			s += term;
			size += fabs(term);
		}
		out[i] = s;
		bound[i] = size * relative + 1e-38;
	}
}

static const size_t head_dims[] = { 1, 3, 8, 17, 24, 40, 64, 72, 80, 96, 128, 256, 512 };

/* What codes and scales mean, in double. */
static double coded_value(kn_type type, const uint8_t *codes, const uint16_t *scales, size_t stride, size_t i)
{
	double code = type == KN_Q8_0 ? (double)(int8_t)codes[i] : value_in(KN_F8_E4M3, codes, i).product;
	return code * value_of_f16(scales[i / KN_KV_BLOCK * stride]);
}

static kn_attn_paged_fn *paged_of(kn_type type)
{
	switch (type) {
	case KN_F16: return t->attn_paged_f16;
	case KN_BF16: return t->attn_paged_bf16;
	case KN_Q8_0: return t->attn_paged_q8_0;
	case KN_F8_E4M3: return t->attn_paged_f8_e4m3;
	default: return t->attn_paged_f32;
	}
}

/* A random stored head in place; what it means, in y. */
static void random_head(kn_type type, void *at, uint16_t *scales, size_t stride, float *y, size_t head_dim)
{
	if (!kn_kv_scales(type, head_dim)) {
		random_weights(type, at, head_dim);
		for (size_t i = 0; i < head_dim; i++) y[i] = (float)stored_value(type, at, i);
		return;
	}
	uint8_t *codes = at;
	for (size_t i = 0; i < head_dim; i++) {
		do codes[i] = (uint8_t)random_bits();
		while (type == KN_F8_E4M3 ? (codes[i] & 0x7f) == 0x7f : codes[i] == 0x80);
		uint16_t *d = scales + i / KN_KV_BLOCK * stride;
		if (i % KN_KV_BLOCK == 0) *d = (uint16_t)((type == KN_Q8_0 ? 0x2000 : 0x1800) + random_below(0x400));
		y[i] = (float)coded_value(type, codes, scales, stride, i);
	}
}

static void check_paged_shape(kn_type type, size_t head_dim, size_t block_tokens, size_t n_rows, size_t n_group, int kind)
{
	enum { MAX_KEY = 200, MAX_PAGE = 16 };
	kn_attn_paged_fn *fn = paged_of(type);
	size_t unit = kn_kv_bytes(type), width = head_dim * unit, token_bytes = 2 * width + 4 * random_below(2) * unit;
	size_t n_scales = kn_kv_scales(type, head_dim), scales_at = block_tokens * token_bytes; /* K's, then V's */
	size_t page_bytes = scales_at + 64 + 4 * n_scales * block_tokens, n_key = 1 + random_below(MAX_KEY), ld = n_group * head_dim + random_below(3);
	char shape[128];
	snprintf(shape, sizeof shape, "head_dim %zu, blocks of %zu, %zu rows x %zu heads, kind %d, %zu keys", head_dim, block_tokens,
	         n_rows, n_group, kind, n_key);
	uint32_t begin[64], end[64], pages[MAX_PAGE], moved[MAX_PAGE];
	size_t n_page = (n_key + block_tokens - 1) / block_tokens;
	for (size_t i = 0; i < n_rows; i++) {
		begin[i] = 0;
		end[i] = (uint32_t)n_key;
		if (kind >= 1 && n_key + i >= n_rows) end[i] = (uint32_t)(n_key + i - n_rows + 1); /* causal */
		if (kind >= 1 && n_key + i < n_rows) end[i] = 1;
		if (kind == 2) begin[i] = end[i] > 21 ? end[i] - 21 : 0; /* window */
		if (kind == 3) begin[i] = random_below(end[i]);
	}
	for (size_t i = 0; i < n_page; i++) {
		pages[i] = (uint32_t)(n_page - 1 - i);
		moved[i] = (uint32_t)((i * 7 + 3) % MAX_PAGE);
	}
	/* What no row may see is NaN, here in the slots past n_key and in pages that are not in the table. */
	uint8_t *arena = buffer(0, n_page * page_bytes), *other = buffer(1, MAX_PAGE * page_bytes);
	memset(arena, 0xff, n_page * page_bytes);
	memset(other, 0xff, MAX_PAGE * page_bytes);
	const void *k[MAX_KEY], *v[MAX_KEY];
	float *meant = buffer(6, 2 * MAX_KEY * head_dim * sizeof *meant);
	for (size_t j = 0; j < n_key; j++) {
		size_t slot = j % block_tokens, offset = slot * token_bytes;
		uint8_t *page = arena + pages[j / block_tokens] * page_bytes, *to = other + moved[j / block_tokens] * page_bytes;
		uint16_t *scales = (uint16_t *)(void *)(page + scales_at) + slot, *scales_to = (uint16_t *)(void *)(to + scales_at) + slot;
		k[j] = meant + 2 * j * head_dim;
		v[j] = meant + (2 * j + 1) * head_dim;
		random_head(type, page + offset, scales, block_tokens, meant + 2 * j * head_dim, head_dim);
		random_head(type, page + offset + width, scales + n_scales * block_tokens, block_tokens, meant + (2 * j + 1) * head_dim, head_dim);
		memcpy(to + offset, page + offset, 2 * width);
		for (size_t c = 0; c < 2 * n_scales; c++) scales_to[c * block_tokens] = scales[c * block_tokens];
	}
	float *q = random_buffer(2, (n_rows - 1) * ld + n_group * head_dim);
	for (size_t i = 0; i < (n_rows - 1) * ld + n_group * head_dim; i++) q[i] *= 4;
	output o = new_output(3, n_rows, n_group * head_dim, ld);
	kn_attn_paged_args a = {
		.out = o.y, .q = q, .ld_out = ld, .ld_q = ld, .n_rows = n_rows, .n_group = n_group, .head_dim = head_dim,
		.arena = arena, .page_bytes = page_bytes, .pages = pages, .block_tokens = block_tokens, .token_bytes = token_bytes,
		.k_offset = 0, .v_offset = width, .k_scales = scales_at, .v_scales = scales_at + 2 * n_scales * block_tokens,
		.key_begin = begin, .key_end = end,
		.scale = 1 / sqrtf((float)head_dim), .softcap = kind == 3 ? 2.0f : 0,
	};
	fn(&a);
	check_canaries(o, shape);
	double worst = 0;
	for (size_t r = 0; r < n_rows; r++) {
		for (size_t g = 0; g < n_group; g++) {
			double truth[512], bound[512];
			true_attention(truth, bound, q + r * ld + g * head_dim, k + begin[r], v + begin[r], KN_F32, end[r] - begin[r], head_dim,
			               (double)a.scale, (double)a.softcap);
			for (size_t i = 0; i < head_dim; i++) {
				double excess = fabs((double)o.y[r * ld + g * head_dim + i] - truth[i]) / bound[i];
				if (!(excess <= worst)) worst = excess;
			}
		}
	}
	CHECK(worst <= 1, "%s: error is %g of the bound", shape, worst);

	output again = new_output(4, n_rows, n_group * head_dim, ld);
	kn_attn_paged_args b = a;
	b.out = again.y;
	b.arena = other;
	b.pages = moved;
	fn(&b);
	size_t differ = 0;
	for (size_t r = 0; r < n_rows; r++) differ += !same(o.y + r * ld, again.y + r * ld, n_group * head_dim);
	CHECK(differ == 0, "%s: other pages change %zu rows", shape, differ);
	for (size_t r = 0; r < n_rows; r++) {
		b.out = again.y + r * ld;
		b.q = q + r * ld;
		b.n_rows = 1;
		b.key_begin = begin + r;
		b.key_end = end + r;
		fn(&b);
		CHECK(same(o.y + r * ld, again.y + r * ld, n_group * head_dim), "%s: row %zu alone differs", shape, r);
		size_t g = random_below((unsigned)n_group);
		float *one = buffer(5, head_dim * sizeof *one);
		kn_attn_paged_args c = b;
		c.out = one;
		c.q = b.q + g * head_dim;
		c.n_group = 1;
		fn(&c);
		CHECK(same(o.y + r * ld + g * head_dim, one, head_dim), "%s: head %zu of row %zu alone differs", shape, g, r);
	}
	q[0] = NAN;
	fn(&a);
	CHECK(count_nan(o.y, head_dim) == head_dim, "%s: a NaN was lost", shape);
}

static void check_paged(kn_type type)
{
	for (size_t d = 0; d < sizeof head_dims / sizeof *head_dims; d++) {
		for (int kind = 0; kind < 4; kind++) {
			check_paged_shape(type, head_dims[d], 16, 1, 1 + random_below(9), kind);
			check_paged_shape(type, head_dims[d], 64, 1 + random_below(9), 1 + random_below(4), kind);
			check_paged_shape(type, head_dims[d], 32, 1 + random_below(head_dims[d] < 128 ? 60 : 12), 1 + random_below(3), kind);
		}
	}
}

static void check_attn_paged_f32(void) { check_paged(KN_F32); }
static void check_attn_paged_f16(void) { check_paged(KN_F16); }
static void check_attn_paged_bf16(void) { check_paged(KN_BF16); }
static void check_attn_paged_q8_0(void) { check_paged(KN_Q8_0); }
static void check_attn_paged_f8_e4m3(void) { check_paged(KN_F8_E4M3); }

/* ---- stored heads ---- */

static void check_store_kv(kn_type type, kn_store_kv_fn *fn, kn_store_kv_fn *ref_fn, kn_load_kv_fn *load)
{
	double most = type == KN_Q8_0 ? 127 : 448;
	for (size_t round = 0; round < 1500; round++) {
		size_t n = 1 + round % 140, stride = 1 + random_below(3), blocks = kn_kv_scales(type, n), last = (blocks - 1) * stride + 1;
		float *x = random_buffer(0, n), *y = buffer(5, n * sizeof *y);
		uint8_t *codes = buffer(1, n), *other = buffer(2, n);
		uint16_t *scales = buffer(3, last * 2), *others = buffer(4, last * 2);
		float size = ldexpf(1, (int)random_below(50) - 38);
		for (size_t i = 0; i < n; i++) x[i] *= random_below(8) ? size : random_below(2) ? 0 : size * 0x1p-12f;
		if (round % 10 == 1) memset(x, 0, n * sizeof *x);
		if (round % 10 == 2) x[random_below((unsigned)n)] = NAN;
		if (round % 10 == 3) x[random_below((unsigned)n)] = -INFINITY;
		if (round % 10 == 4) x[random_below((unsigned)n)] = 65504.0f * 449;
		if (round % 10 == 5) for (size_t i = 0; i < n; i++) x[i] = (float)((int)i % 255 - 127) + (i % KN_KV_BLOCK ? 0.5f : 127.0f); /* ties */
		if (round % 10 == 6) for (size_t i = 0; i < n; i++) x[i] = i % KN_KV_BLOCK ? (float)random_below(512) * 0x1p-10f : 448; /* subnormal ties */
		memset(codes - 8, 0x5a, 8);
		memset(scales, 0x5a, last * 2), memset(others, 0x5a, last * 2);
		fn(codes, scales, stride, x, n);
		ref_fn(other, others, stride, x, n);
		CHECK(memcmp(codes, other, n) == 0 && memcmp(scales, others, last * 2) == 0, "n %zu: differs from the reference", n);
		for (int i = 1; i <= 8; i++) CHECK(codes[-i] == 0x5a, "n %zu: overwrites before", n);
		load(y, codes, scales, stride, n);
		for (size_t b = 0; b < n; b += KN_KV_BLOCK) {
			size_t end = n - b < KN_KV_BLOCK ? n : b + KN_KV_BLOCK;
			double largest = 0, d = value_of_f16(scales[b / KN_KV_BLOCK * stride]);
			bool finite = true;
			for (size_t i = b; i < end; i++) finite = finite && isfinite(x[i]), largest = fmax(largest, fabs((double)x[i]));
			if (!finite || largest > 65504 * most) {
				CHECK(!isfinite(d) && count_nan(y + b, end - b) == end - b, "a block with no size has d %g", d);
				continue;
			}
			CHECK(d >= largest / most * (1 - 2 * u) && d <= fmax(largest / most * 0x1.008p0, largest / most + 0x1p-24), "d %g for %g", d, largest / most);
			for (size_t i = b; i < end; i++) {
				double off = fabs((double)y[i] - (double)x[i]), half = type == KN_Q8_0 ? d / 2 : fmax(fabs((double)x[i]) / 16, d * 0x1p-10);
				double code = type == KN_Q8_0 ? fabs((double)(int8_t)codes[i]) : fabs(value_in(type, codes, i).product);
				CHECK(code <= most && off <= half * (1 + 64 * u) + 512 * u * d, "%g became %g (d %g)", (double)x[i], (double)y[i], d);
			}
		}
	}
}

static void check_store_kv_q8_0(void) { check_store_kv(KN_Q8_0, t->store_kv_q8_0, ref.store_kv_q8_0, ref.load_kv_q8_0); }
static void check_store_kv_f8_e4m3(void) { check_store_kv(KN_F8_E4M3, t->store_kv_f8_e4m3, ref.store_kv_f8_e4m3, ref.load_kv_f8_e4m3); }

static void check_load_kv(kn_type type, kn_load_kv_fn *fn)
{
	for (size_t n = 1; n < 140; n++) {
		size_t stride = 1 + random_below(3), blocks = kn_kv_scales(type, n);
		uint8_t *codes = buffer(0, n);
		uint16_t *scales = buffer(1, ((blocks - 1) * stride + 1) * 2);
		float *meant = buffer(2, n * sizeof *meant);
		output o = new_output(3, 1, n, n);
		random_head(type, codes, scales, stride, meant, n);
		fn(o.y, codes, scales, stride, n);
		check_canaries(o, "kv");
		for (size_t i = 0; i < n; i++) CHECK((double)o.y[i] == coded_value(type, codes, scales, stride, i), "n %zu: value %zu", n, i);
	}
}

static void check_load_kv_q8_0(void) { check_load_kv(KN_Q8_0, t->load_kv_q8_0); }
static void check_load_kv_f8_e4m3(void) { check_load_kv(KN_F8_E4M3, t->load_kv_f8_e4m3); }

static void check_attn_dense(void)
{
	for (size_t round = 0; round < 4 * sizeof head_dims / sizeof *head_dims; round++) {
		size_t head_dim = head_dims[round / 4], m = 1 + random_below(head_dim < 128 ? 64 : 20), n = 1 + random_below(150);
		size_t ldq = head_dim + random_below(3), ldk = head_dim + random_below(3), ldv = head_dim + random_below(3);
		size_t ldo = head_dim + random_below(3);
		char shape[96];
		snprintf(shape, sizeof shape, "m %zu n %zu head_dim %zu", m, n, head_dim);
		float *q = random_buffer(0, (m - 1) * ldq + head_dim), *k = random_buffer(1, (n - 1) * ldk + head_dim);
		float *v = random_buffer(2, (n - 1) * ldv + head_dim), scale = 4 / sqrtf((float)head_dim);
		const void *ks[150], *vs[150];
		for (size_t j = 0; j < n; j++) ks[j] = k + j * ldk, vs[j] = v + j * ldv;
		output o = new_output(3, m, head_dim, ldo);
		t->attn_dense(o.y, ldo, q, ldq, k, ldk, v, ldv, m, n, head_dim, scale);
		check_canaries(o, shape);
		double worst = 0;
		for (size_t r = 0; r < m; r++) {
			double truth[512], bound[512];
			true_attention(truth, bound, q + r * ldq, ks, vs, KN_F32, n, head_dim, (double)scale, 0);
			for (size_t i = 0; i < head_dim; i++) {
				double excess = fabs((double)o.y[r * ldo + i] - truth[i]) / bound[i];
				if (!(excess <= worst)) worst = excess;
			}
			float *one = buffer(4, head_dim * sizeof *one);
			t->attn_dense(one, head_dim, q + r * ldq, ldq, k, ldk, v, ldv, 1, n, head_dim, scale);
			CHECK(same(one, o.y + r * ldo, head_dim), "%s: row %zu alone differs", shape, r);
		}
		CHECK(worst <= 1, "%s: error is %g of the bound", shape, worst);
		k[random_below((unsigned)n) * ldk] = NAN;
		t->attn_dense(o.y, ldo, q, ldq, k, ldk, v, ldv, m, n, head_dim, scale);
		CHECK(count_nan(o.y, head_dim) == head_dim, "%s: a NaN was lost", shape);
	}
}

const family_check attention_checks[] = {
	{ "attn_paged_f32", check_attn_paged_f32 },
	{ "attn_paged_f16", check_attn_paged_f16 },
	{ "attn_paged_bf16", check_attn_paged_bf16 },
	{ "attn_paged_q8_0", check_attn_paged_q8_0 },
	{ "attn_paged_f8_e4m3", check_attn_paged_f8_e4m3 },
	{ "store_kv_q8_0", check_store_kv_q8_0 },
	{ "store_kv_f8_e4m3", check_store_kv_f8_e4m3 },
	{ "load_kv_q8_0", check_load_kv_q8_0 },
	{ "load_kv_f8_e4m3", check_load_kv_f8_e4m3 },
	{ "attn_dense", check_attn_dense },
	{ NULL, NULL },
};
