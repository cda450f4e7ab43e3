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

static void check_paged_shape(kn_type type, size_t head_dim, size_t block_tokens, size_t n_rows, size_t n_group, int kind)
{
	enum { MAX_KEY = 200, MAX_PAGE = 16 };
	kn_attn_paged_fn *fn = type == KN_F32 ? t->attn_paged_f32 : t->attn_paged_f16;
	size_t unit = type == KN_F32 ? 4 : 2, width = head_dim * unit, token_bytes = 2 * width + 4 * random_below(2) * unit;
	size_t page_bytes = block_tokens * token_bytes + 64, n_key = 1 + random_below(MAX_KEY), ld = n_group * head_dim + random_below(3);
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
	for (size_t j = 0; j < n_key; j++) {
		size_t offset = j % block_tokens * token_bytes;
		uint8_t *at = arena + pages[j / block_tokens] * page_bytes + offset;
		random_weights(type, at, head_dim);
		random_weights(type, at + width, head_dim);
		k[j] = at;
		v[j] = at + width;
		memcpy(other + moved[j / block_tokens] * page_bytes + offset, at, 2 * width);
	}
	float *q = random_buffer(2, (n_rows - 1) * ld + n_group * head_dim);
	for (size_t i = 0; i < (n_rows - 1) * ld + n_group * head_dim; i++) q[i] *= 4;
	output o = new_output(3, n_rows, n_group * head_dim, ld);
	kn_attn_paged_args a = {
		.out = o.y, .q = q, .ld_out = ld, .ld_q = ld, .n_rows = n_rows, .n_group = n_group, .head_dim = head_dim,
		.arena = arena, .page_bytes = page_bytes, .pages = pages, .block_tokens = block_tokens, .token_bytes = token_bytes,
		.k_offset = 0, .v_offset = width, .key_begin = begin, .key_end = end,
		.scale = 1 / sqrtf((float)head_dim), .softcap = kind == 3 ? 2.0f : 0,
	};
	fn(&a);
	check_canaries(o, shape);
	double worst = 0;
	for (size_t r = 0; r < n_rows; r++) {
		for (size_t g = 0; g < n_group; g++) {
			double truth[512], bound[512];
			true_attention(truth, bound, q + r * ld + g * head_dim, k + begin[r], v + begin[r], type, end[r] - begin[r], head_dim,
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
	{ "attn_dense", check_attn_dense },
	{ NULL, NULL },
};
