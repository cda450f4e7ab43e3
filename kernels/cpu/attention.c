/* attention.c - reference of attention: for one query row and head, the softmax is online over key tiles:
 *
 *   tile of 16 keys -> scores -> running max; what was summed before is rescaled -> sum of p and of p * v
 *
 * Tiles sit at absolute multiples of KN_KEY_TILE, so the result depends neither on the pages nor on the other rows. */
#include <math.h>
#include <string.h>

#include "cpu.h"
#include "scalar.h"

/* Keys or values of a tile: the first row, and the first scale of codes. */
typedef struct tile_at { const uint8_t *rows; size_t row_bytes; const uint16_t *scales; size_t scale_stride; } tile_at;

/* Element i of row t. */
static float element(const tile_at *at, kn_type type, size_t t, size_t i)
{
	const uint8_t *p = at->rows + t * at->row_bytes;
	switch (type) {
	case KN_F16: return f32_of_f16(((const uint16_t *)p)[i]);
	case KN_BF16: return f32_of_bf16(((const uint16_t *)p)[i]);
	case KN_Q8_0: return (float)(int8_t)p[i] * f32_of_f16(at->scales[i / KN_KV_BLOCK * at->scale_stride + t]);
	case KN_F8_E4M3: return f32_of_e4m3(p[i]) * f32_of_f16(at->scales[i / KN_KV_BLOCK * at->scale_stride + t]);
	default: return ((const float *)p)[i];
	}
}

typedef struct state { float max, sum; } state;

/* Keys lo <= t < hi of the tile are seen. out holds sum of p * v. */
static void attend_tile(state *s, float *out, const float *q, const tile_at *k, const tile_at *v, size_t lo, size_t hi, size_t head_dim,
                        float scale, float softcap, kn_type type)
{
	float score[KN_KEY_TILE], max = s->max;
	for (size_t t = lo; t < hi; t++) {
		float dot = 0;
		for (size_t i = 0; i < head_dim; i++) dot += q[i] * element(k, type, t, i);
		score[t] = dot * scale;
		if (softcap > 0) score[t] = softcap * tanhf(score[t] / softcap);
		if (score[t] > max) max = score[t];
	}
	float rescale = expf(s->max - max);
	s->max = max;
	s->sum *= rescale;
	for (size_t i = 0; i < head_dim; i++) out[i] *= rescale;
	for (size_t t = lo; t < hi; t++) {
		float p = expf(score[t] - max);
		s->sum += p;
		for (size_t i = 0; i < head_dim; i++) out[i] += p * element(v, type, t, i);
	}
}

static void attn_paged(const kn_attn_paged_args *a, kn_type type)
{
	for (size_t r = 0; r < a->n_rows; r++) {
		for (size_t g = 0; g < a->n_group; g++) {
			float *out = a->out + r * a->ld_out + g * a->head_dim;
			const float *q = a->q + r * a->ld_q + g * a->head_dim;
			size_t begin = a->key_begin[r], end = a->key_end[r];
			state s = { -INFINITY, 0 };
			memset(out, 0, a->head_dim * sizeof *out);
			for (size_t tile = begin / KN_KEY_TILE * KN_KEY_TILE; tile < end; tile += KN_KEY_TILE) {
				const uint8_t *page = a->arena + a->pages[tile / a->block_tokens] * a->page_bytes;
				size_t first = tile % a->block_tokens;
				const void *k_scales = page + a->k_scales + first * 2, *v_scales = page + a->v_scales + first * 2;
				tile_at k = { page + a->k_offset + first * a->token_bytes, a->token_bytes, k_scales, a->block_tokens };
				tile_at v = { page + a->v_offset + first * a->token_bytes, a->token_bytes, v_scales, a->block_tokens };
				attend_tile(&s, out, q, &k, &v, begin > tile ? begin - tile : 0, end - tile < KN_KEY_TILE ? end - tile : KN_KEY_TILE,
				            a->head_dim, a->scale, a->softcap, type);
			}
			for (size_t i = 0; i < a->head_dim; i++) out[i] /= s.sum;
		}
	}
}

void kn_attn_paged_f32_ref(const kn_attn_paged_args *args) { attn_paged(args, KN_F32); }
void kn_attn_paged_f16_ref(const kn_attn_paged_args *args) { attn_paged(args, KN_F16); }
void kn_attn_paged_bf16_ref(const kn_attn_paged_args *args) { attn_paged(args, KN_BF16); }
void kn_attn_paged_q8_0_ref(const kn_attn_paged_args *args) { attn_paged(args, KN_Q8_0); }
void kn_attn_paged_f8_e4m3_ref(const kn_attn_paged_args *args) { attn_paged(args, KN_F8_E4M3); }

void kn_attn_dense_ref(float *out, size_t ldo, const float *q, size_t ldq, const float *k, size_t ldk, const float *v, size_t ldv,
                       size_t m, size_t n, size_t head_dim, float scale)
{
	for (size_t r = 0; r < m; r++, out += ldo, q += ldq) {
		state s = { -INFINITY, 0 };
		memset(out, 0, head_dim * sizeof *out);
		for (size_t tile = 0; tile < n; tile += KN_KEY_TILE) {
			tile_at kt = { (const uint8_t *)(k + tile * ldk), ldk * sizeof *k, NULL, 0 }, vt = { (const uint8_t *)(v + tile * ldv), ldv * sizeof *v, NULL, 0 };
			attend_tile(&s, out, q, &kt, &vt, 0, n - tile < KN_KEY_TILE ? n - tile : KN_KEY_TILE, head_dim, scale, 0, KN_F32);
		}
		for (size_t i = 0; i < head_dim; i++) out[i] /= s.sum;
	}
}
