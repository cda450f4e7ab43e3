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

static const int iq4_values[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
static const int fp4_values[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 }; /* E2M1, twice */

static float half_at(const uint8_t *p) { uint16_t x; memcpy(&x, p, sizeof x); return f32_of_f16(x); }
/* Half of 2^(e - 127). */
static float half_of_e8m0(uint8_t e) { return f32_of_bits(e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23); }

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

/* Nibbles that stand for 16 given values. */
static void take_values(parts *p, const uint8_t *qs, const int values[16])
{
	take_32(p, qs, NULL, 0);
	for (int i = 0; i < KN_Q8_BLOCK; i++) p->code[i] = values[p->code[i]];
}

/* A block of 256 with neither scales nor mins in its groups. */
static void take_plain(parts *p, int group)
{
	p->n = KN_K_BLOCK, p->group = group;
	for (int g = 0; g < 16; g++) p->scale[g] = 1, p->min[g] = 0;
}

/* Pairs of bits: per half of 128 values, 32 bytes with four values each. */
static void take_pairs(parts *p, const uint8_t *qs, int offset, int group)
{
	take_plain(p, group);
	for (int i = 0; i < KN_K_BLOCK; i++) p->code[i] = (qs[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) - offset;
}

/* 16 groups of 16: a byte has the scale below and the min above. */
static void take_q2_k(parts *p, const uint8_t *block)
{
	take_pairs(p, block + 16, 0, 16);
	p->m = half_at(block + 82);
	for (int g = 0; g < 16; g++) p->scale[g] = block[g] & 15, p->min[g] = block[g] >> 4;
}

/* 16 groups of 16, third bits in 32 bytes, a plane for each 32 values; scales of 6 bits: 8 bytes of nibbles, 4 of the high pairs. */
static void take_q3_k(parts *p, const uint8_t *block)
{
	const uint8_t *s = block + 96;
	take_pairs(p, block + 32, 4, 16);
	for (int g = 0; g < 16; g++) p->scale[g] = ((g < 8 ? s[g] & 15 : s[g - 8] >> 4) | (s[8 + g % 4] >> g / 4 * 2 & 3) << 4) - 32;
	for (int i = 0; i < KN_K_BLOCK; i++) p->code[i] += (block[i % 32] >> i / 32 & 1) << 2;
}

/* 8 groups of 32; scales of 6 bits: pairs of bits in the block's second half-word, then nibbles. */
static void take_iq4_xs(parts *p, const uint8_t *block)
{
	p->n = KN_K_BLOCK, p->group = 32;
	for (int g = 0; g < 8; g++) {
		p->scale[g] = ((block[4 + g / 2] >> g % 2 * 4 & 15) | (block[2 + g / 4] >> g % 4 * 2 & 3) << 4) - 32;
		p->min[g] = 0;
		for (int i = 0; i < 16; i++) {
			p->code[g * 32 + i] = iq4_values[block[8 + g * 16 + i] & 15];
			p->code[g * 32 + 16 + i] = iq4_values[block[8 + g * 16 + i] >> 4];
		}
	}
}

/* Digits of base 3, as a fraction of 256: the product with 3 has the next digit above its 8 bits and the rest in them. 32 bytes have
 * five digits each, and so have 16 more; 4 have four. */
static void take_tq1_0(parts *p, const uint8_t *block)
{
	take_plain(p, 32);
	for (int i = 0; i < KN_K_BLOCK; i++) {
		int digit = i < 160 ? i / 32 : i < 240 ? (i - 160) / 16 : (i - 240) / 4;
		uint8_t rest = i < 160 ? block[i % 32] : i < 240 ? block[32 + i % 16] : block[48 + i % 4];
		while (digit-- > 0) rest = (uint8_t)(rest * 3);
		p->code[i] = (rest * 3 >> 8) - 1;
	}
}

/* Q4_K and Q5_K: 8 groups of 32, 6-bit scales and mins in 12 bytes; chunks of 64 values: low nibbles, then high ones. */
static void take_k(parts *p, const uint8_t *block, const uint8_t *qh, const uint8_t *qs)
{
	const uint8_t *s = block + 4;
	p->n = KN_K_BLOCK, p->group = 32;
	p->m = half_at(block + 2);
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
	p->d = half_at(block);
	p->m = type == KN_Q4_1 || type == KN_Q5_1 ? half_at(block + 2) : 0;
	switch (type) {
	case KN_Q4_0: take_32(p, block + 2, NULL, 8); break;
	case KN_Q4_1: take_32(p, block + 4, NULL, 0); break;
	case KN_Q5_0: take_32(p, block + 6, block + 2, 16); break;
	case KN_Q5_1: take_32(p, block + 8, block + 4, 0); break;
	case KN_Q4_K: take_k(p, block, NULL, block + 16); break;
	case KN_Q5_K: take_k(p, block, block + 16, block + 48); break;
	case KN_Q2_K: take_q2_k(p, block), p->d = half_at(block + 80); break;
	case KN_Q3_K: take_q3_k(p, block), p->d = half_at(block + 108); break;
	case KN_Q6_K: take_q6_k(p, block), p->d = half_at(block + 208); break;
	case KN_IQ4_NL: take_values(p, block + 2, iq4_values); break;
	case KN_IQ4_XS: take_iq4_xs(p, block); break;
	case KN_TQ1_0: take_tq1_0(p, block), p->d = half_at(block + 52); break;
	case KN_TQ2_0: take_pairs(p, block, 1, 32), p->d = half_at(block + 64); break;
	case KN_MXFP4: take_values(p, block + 1, fp4_values), p->d = half_of_e8m0(block[0]); break;
	default: /* KN_Q8_0 */
		p->n = p->group = KN_Q8_BLOCK;
		for (int i = 0; i < KN_Q8_BLOCK; i++) p->code[i] = (int8_t)block[2 + i];
	}
}

static int is_large(kn_type type) { return kn_activation(type) == KN_Q8_K; }

static void load(float *y, const uint8_t *x, size_t n, kn_type type)
{
	parts p;
	size_t bytes = kn_row_bytes(type, is_large(type) ? KN_K_BLOCK : KN_Q8_BLOCK);
	for (size_t i = 0; i < n; i += (size_t)p.n, x += bytes) {
		take(&p, x, type);
		for (size_t j = 0; j < (size_t)p.n && i + j < n; j++) {
			size_t g = j / (size_t)p.group;
			float code = (float)p.code[j];
			switch (type) {
			case KN_Q4_1: case KN_Q5_1: y[i + j] = code * p.d + p.m; break;
			case KN_Q2_K: case KN_Q4_K: case KN_Q5_K: y[i + j] = p.d * (float)p.scale[g] * code - p.m * (float)p.min[g]; break;
			default: y[i + j] = is_large(type) ? p.d * (float)p.scale[g] * code : code * p.d;
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
	if (type == KN_Q2_K || type == KN_Q4_K || type == KN_Q5_K) sum -= (float)mins * (x->d * p->m);
	return sum;
}

static void linear(float *y, size_t ldy, const void *x, size_t ldx, const uint8_t *w, size_t w_stride, const float *bias, size_t m,
                   size_t n, size_t k, kn_type type)
{
	int large = is_large(type);
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

#define DEFINE(name, type, number, form, bytes) \
	void kn_linear_##name##_ref(float *y, size_t ldy, const void *x, size_t ldx, const void *w, size_t w_stride, \
	                            const float *bias, size_t m, size_t n, size_t k) \
	{ \
		linear(y, ldy, x, ldx, w, w_stride, bias, m, n, k, KN_##type); \
	} \
	void kn_load_##name##_ref(float *y, const void *x, size_t n) { load(y, x, n, KN_##type); }
DEFINE(q8_0, Q8_0, , , )
KN_BLOCK_TYPES(DEFINE)
