/* quant.c - quantised weights: what the blocks of each type hold, and from that the reference of their loads and products.
 *
 * A weight is scale * code - min (blocks of 256), code * d + m (Q4_1, Q5_1) or code * d. The layouts are GGUF's; the formulas and
 * their order are those of ggml's dequantize_row_*. Products keep to the order that kernels.h gives, so that all variants agree. */
#include "cpu.h"
#include "scalar.h"

/* One block, taken apart. */
typedef struct parts {
	int n, group;         /* values; values that share a scale and a min */
	int code[KN_K_BLOCK];
	int scale[16], min[16]; /* by group; blocks of 256 only */
	float d, m;           /* m: Q4_1, Q5_1: added; blocks of 256: of the mins, taken away */
} parts;

static uint16_t u16_at(const uint8_t *p) { uint16_t x; memcpy(&x, p, sizeof x); return x; }

/* qs: low nibbles, then high ones; qh: their fifth bits, or NULL. */
static void take_32(parts *p, const uint8_t *qs, const uint8_t *qh, int offset)
{
	p->n = p->group = KN_Q8_BLOCK;
	for (int j = 0; j < 16; j++) {
		int low_bit = qh ? qh[j / 8] >> j % 8 & 1 : 0, high_bit = qh ? qh[2 + j / 8] >> j % 8 & 1 : 0;
		p->code[j] = ((qs[j] & 15) | low_bit << 4) - offset;
		p->code[j + 16] = (qs[j] >> 4 | high_bit << 4) - offset;
	}
}

/* Q4_K and Q5_K: 8 groups of 32, 6-bit scales and mins in 12 bytes; chunks of 64 values: low nibbles, then high ones. */
static void take_k(parts *p, const uint8_t *block, const uint8_t *qh, const uint8_t *qs)
{
	const uint8_t *s = block + 4;
	p->n = KN_K_BLOCK, p->group = 32;
	p->m = f32_of_f16(u16_at(block + 2));
	for (int g = 0; g < 8; g++) {
		p->scale[g] = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
		p->min[g] = g < 4 ? s[g + 4] & 63 : s[g + 4] >> 4 | s[g] >> 6 << 4;
	}
	for (int i = 0; i < KN_K_BLOCK; i++) {
		int g = i / 32, l = i % 32, byte = qs[g / 2 * 32 + l];
		p->code[i] = (g % 2 ? byte >> 4 : byte & 15) | (qh ? (qh[l] >> g & 1) << 4 : 0);
	}
}

/* 16 groups of 16, signed scales; per half of 128: 64 bytes of low nibbles, 32 bytes of four high pairs of bits. */
static void take_q6_k(parts *p, const uint8_t *block)
{
	p->n = KN_K_BLOCK, p->group = 16;
	for (int g = 0; g < 16; g++) p->scale[g] = (int8_t)block[192 + g], p->min[g] = 0;
	for (int i = 0; i < KN_K_BLOCK; i++) {
		int quarter = i % 128 / 32, l = i % 32, byte = block[i / 128 * 64 + quarter % 2 * 32 + l];
		int high = block[128 + i / 128 * 32 + l] >> 2 * quarter & 3;
		p->code[i] = ((quarter < 2 ? byte & 15 : byte >> 4) | high << 4) - 32;
	}
}

static void take(parts *p, const uint8_t *block, kn_type type)
{
	p->d = f32_of_f16(u16_at(type == KN_Q6_K ? block + 208 : block));
	p->m = type == KN_Q4_1 || type == KN_Q5_1 ? f32_of_f16(u16_at(block + 2)) : 0;
	switch (type) {
	case KN_Q4_0: take_32(p, block + 2, NULL, 8); break;
	case KN_Q4_1: take_32(p, block + 4, NULL, 0); break;
	case KN_Q5_0: take_32(p, block + 6, block + 2, 16); break;
	case KN_Q5_1: take_32(p, block + 8, block + 4, 0); break;
	case KN_Q4_K: take_k(p, block, NULL, block + 16); break;
	case KN_Q5_K: take_k(p, block, block + 16, block + 48); break;
	case KN_Q6_K: take_q6_k(p, block); break;
	default: /* KN_Q8_0 */
		p->n = p->group = KN_Q8_BLOCK;
		for (int i = 0; i < KN_Q8_BLOCK; i++) p->code[i] = (int8_t)block[2 + i];
	}
}

static void load(float *y, const uint8_t *x, size_t n, kn_type type)
{
	parts p;
	size_t bytes = kn_row_bytes(type, kn_activation(type) == KN_Q8_K ? KN_K_BLOCK : KN_Q8_BLOCK);
	for (size_t i = 0; i < n; i += (size_t)p.n, x += bytes) {
		take(&p, x, type);
		for (size_t j = 0; j < (size_t)p.n && i + j < n; j++) {
			size_t g = j / (size_t)p.group;
			float code = (float)p.code[j];
			switch (type) {
			case KN_Q4_1: case KN_Q5_1: y[i + j] = code * p.d + p.m; break;
			case KN_Q4_K: case KN_Q5_K: y[i + j] = p.d * (float)p.scale[g] * code - p.m * (float)p.min[g]; break;
			case KN_Q6_K: y[i + j] = p.d * (float)p.scale[g] * code; break;
			default: y[i + j] = code * p.d;
			}
		}
	}
}

/* What a block of weights and a block of activations in the same place add to a sum. */
static float add_32(float sum, const parts *p, const kn_q8_0 *x, kn_type type)
{
	int dot = 0, total = 0;
	float dx = f32_of_f16(x->d);
	for (int i = 0; i < KN_Q8_BLOCK; i++) {
		dot += x->q[i] * p->code[i];
		total += x->q[i];
	}
	sum += (float)dot * (dx * p->d);
	if (type == KN_Q4_1 || type == KN_Q5_1) sum += dx * (float)total * p->m;
	return sum;
}

static float add_256(float sum, const parts *p, const kn_q8_k *x, kn_type type)
{
	int scaled = 0, mins = 0;
	for (int g = 0; g < KN_K_BLOCK / p->group; g++) {
		int dot = 0, total = 0;
		for (int i = g * p->group; i < (g + 1) * p->group; i++) dot += x->q[i] * p->code[i];
		for (int i = g * p->group / 16; i < (g + 1) * p->group / 16; i++) total += x->sum[i];
		scaled += p->scale[g] * dot;
		mins += p->min[g] * total;
	}
	sum += (float)scaled * (x->d * p->d);
	if (type == KN_Q4_K || type == KN_Q5_K) sum -= (float)mins * (x->d * p->m);
	return sum;
}

static void linear(float *y, size_t ldy, const void *x, size_t ldx, const uint8_t *w, size_t w_stride, const float *bias, size_t m,
                   size_t n, size_t k, kn_type type)
{
	int large = kn_activation(type) == KN_Q8_K;
	size_t block = large ? KN_K_BLOCK : KN_Q8_BLOCK, bytes = kn_row_bytes(type, block);
	for (size_t j = 0; j < n; j++) {
		for (size_t i = 0; i < m; i++) y[i * ldy + j] = 0;
		for (size_t b = 0; b < k / block; b++) {
			parts p;
			take(&p, w + j * w_stride + b * bytes, type);
			for (size_t i = 0; i < m; i++) {
				float *sum = y + i * ldy + j;
				*sum = large ? add_256(*sum, &p, (const kn_q8_k *)x + i * ldx + b, type)
				             : add_32(*sum, &p, (const kn_q8_0 *)x + i * ldx + b, type);
			}
		}
		if (bias)
			for (size_t i = 0; i < m; i++) y[i * ldy + j] += bias[j];
	}
}

#define LINEAR(name, type) \
	void kn_linear_##name##_ref(float *y, size_t ldy, const void *x, size_t ldx, const void *w, size_t w_stride, \
	                            const float *bias, size_t m, size_t n, size_t k) \
	{ \
		linear(y, ldy, x, ldx, w, w_stride, bias, m, n, k, type); \
	}
#define LOAD(name, type) \
	void kn_load_##name##_ref(float *y, const void *x, size_t n) { load(y, x, n, type); }
LINEAR(q4_0, KN_Q4_0) LOAD(q4_0, KN_Q4_0)
LINEAR(q4_1, KN_Q4_1) LOAD(q4_1, KN_Q4_1)
LINEAR(q5_0, KN_Q5_0) LOAD(q5_0, KN_Q5_0)
LINEAR(q5_1, KN_Q5_1) LOAD(q5_1, KN_Q5_1)
LINEAR(q8_0, KN_Q8_0) LOAD(q8_0, KN_Q8_0)
LINEAR(q4_k, KN_Q4_K) LOAD(q4_k, KN_Q4_K)
LINEAR(q5_k, KN_Q5_K) LOAD(q5_k, KN_Q5_K)
LINEAR(q6_k, KN_Q6_K) LOAD(q6_k, KN_Q6_K)
