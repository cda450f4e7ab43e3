/* attention.c - reference of attention: for one query row and head, the softmax is online over key tiles:
 *
 *   tile of 16 keys -> scores -> running max; what was summed before is rescaled -> sum of p and of p * v
 *
 * Tiles sit at absolute multiples of KN_KEY_TILE, so the result depends neither on the pages nor on the other rows. */
#include <math.h>
#include <string.h>

#include "cpu.h"
#include "scalar.h"

/* Element i of key or value row p. */
static float element(const uint8_t *p, kn_type type, size_t i)
{
	return type == KN_F32 ? ((const float *)p)[i] : f32_of_f16(((const uint16_t *)p)[i]);
}

typedef struct state { float max, sum; } state;

/* k, v: the tile's first key and value, stride bytes apart; keys lo <= t < hi of the tile are seen. out holds sum of p * v. */
static void attend_tile(state *s, float *out, const float *q, const uint8_t *k, const uint8_t *v, size_t k_stride,
                        size_t v_stride, size_t lo, size_t hi, size_t head_dim, float scale, float softcap, kn_type type)
{
	float score[KN_KEY_TILE], max = s->max;
	for (size_t t = lo; t < hi; t++) {
		float dot = 0;
		for (size_t i = 0; i < head_dim; i++) dot += q[i] * element(k + t * k_stride, type, i);
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
		for (size_t i = 0; i < head_dim; i++) out[i] += p * element(v + t * v_stride, type, i);
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
				const uint8_t *at = a->arena + a->pages[tile / a->block_tokens] * a->page_bytes +
				                    tile % a->block_tokens * a->token_bytes;
				attend_tile(&s, out, q, at + a->k_offset, at + a->v_offset, a->token_bytes, a->token_bytes,
				            begin > tile ? begin - tile : 0, end - tile < KN_KEY_TILE ? end - tile : KN_KEY_TILE,
				            a->head_dim, a->scale, a->softcap, type);
			}
			for (size_t i = 0; i < a->head_dim; i++) out[i] /= s.sum;
		}
	}
}

void kn_attn_paged_f32_ref(const kn_attn_paged_args *args) { attn_paged(args, KN_F32); }
void kn_attn_paged_f16_ref(const kn_attn_paged_args *args) { attn_paged(args, KN_F16); }

void kn_attn_dense_ref(float *out, size_t ldo, const float *q, size_t ldq, const float *k, size_t ldk, const float *v, size_t ldv,
                       size_t m, size_t n, size_t head_dim, float scale)
{
	for (size_t r = 0; r < m; r++, out += ldo, q += ldq) {
		state s = { -INFINITY, 0 };
		memset(out, 0, head_dim * sizeof *out);
		for (size_t tile = 0; tile < n; tile += KN_KEY_TILE) {
			attend_tile(&s, out, q, (const uint8_t *)(k + tile * ldk), (const uint8_t *)(v + tile * ldv), ldk * sizeof *k,
			            ldv * sizeof *v, 0, n - tile < KN_KEY_TILE ? n - tile : KN_KEY_TILE, head_dim, scale, 0, KN_F32);
		}
		for (size_t i = 0; i < head_dim; i++) out[i] /= s.sum;
	}
}
