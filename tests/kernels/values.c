/* values.c - what stored weights and activations mean, in double: written from the layouts, not from the kernels. */
#include <math.h>
#include <string.h>

#include "check.h"

double value_of_f16(uint16_t h)
{
	int exponent = h >> 10 & 31, mantissa = h & 0x3ff;
	double x = exponent == 31 ? (mantissa ? (double)NAN : (double)INFINITY)
	                          : exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
	return h & 0x8000 ? -x : x;
}

double value_of_bf16(uint16_t h)
{
	uint32_t bits = (uint32_t)h << 16;
	float x;
	memcpy(&x, &bits, 4);
	return (double)x;
}

static const int iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

static double half_at(const uint8_t *p) { return value_of_f16((uint16_t)(p[0] | p[1] << 8)); }
static int nibble(const uint8_t *p, size_t i) { return p[i % 16] >> (i < 16 ? 0 : 4) & 15; }
static int bit(const uint8_t *p, size_t i) { return p[i / 8] >> i % 8 & 1; }

/* 6 bits each: scale g and min g of Q4_K and Q5_K */
static void six_bits(const uint8_t *s, size_t g, int *scale, int *min)
{
	*scale = g < 4 ? s[g] & 63 : (s[g + 4] & 15) + (s[g - 4] & 192) / 4;
	*min = g < 4 ? s[g + 4] & 63 : (s[g + 4] >> 4) + (s[g] & 192) / 4;
}

/* 6 bits of one of Q3_K's 16 scales, less 32: four rows of four; the second pair of rows is in the first one's high nibbles. */
static int third_scale(const uint8_t *s, size_t g)
{
	int low = s[g % 8] >> (g < 8 ? 0 : 4) & 15, high = s[8 + g % 4] >> 2 * (g / 4) & 3;
	return low + 16 * high - 32;
}

/* Digit i of TQ1_0, -1 to 1: which byte has it, and how many come before it there. A byte b is ceil(256/243 of a number of five
 * digits); what stands before the wanted digit wraps away. */
static int ternary(const uint8_t *p, size_t i)
{
	static const unsigned powers[5] = { 1, 3, 9, 27, 81 };
	size_t byte = i < 160 ? i % 32 : i < 240 ? 32 + (i - 160) % 16 : 48 + (i - 240) % 4;
	size_t digit = i < 160 ? i / 32 : i < 240 ? (i - 160) / 16 : (i - 240) / 4;
	return (int)(p[byte] * powers[digit] % 256 * 3 / 256) - 1;
}

size_t block_size(kn_type type) { return kn_row_bytes(type, 1) ? 1 : kn_row_bytes(type, KN_Q8_BLOCK) ? KN_Q8_BLOCK : KN_K_BLOCK; }

stored value_in(kn_type type, const void *row, size_t i)
{
	size_t block = block_size(type), g, l;
	const uint8_t *p = (const uint8_t *)row + i / block * kn_row_bytes(type, block);
	int scale, min, code;
	float f;
	i %= block;
	switch (type) {
	case KN_F32: memcpy(&f, p, 4); return (stored){ (double)f, 0 };
	case KN_F16: return (stored){ half_at(p), 0 };
	case KN_BF16: return (stored){ value_of_bf16((uint16_t)(p[0] | p[1] << 8)), 0 };
	case KN_F8_E4M3:
		scale = *p >> 3 & 15, code = *p & 7;
		if (scale == 15 && code == 7) return (stored){ (double)NAN, 0 };
		return (stored){ (*p & 128 ? -1 : 1) * ldexp(scale ? 8 + code : code, (scale ? scale : 1) - 10), 0 };
	case KN_Q4_0: return (stored){ half_at(p) * (nibble(p + 2, i) - 8), 0 };
	case KN_Q4_1: return (stored){ half_at(p) * nibble(p + 4, i), half_at(p + 2) };
	case KN_Q5_0: return (stored){ half_at(p) * (nibble(p + 6, i) + 16 * bit(p + 2, i) - 16), 0 };
	case KN_Q5_1: return (stored){ half_at(p) * (nibble(p + 8, i) + 16 * bit(p + 4, i)), half_at(p + 2) };
	case KN_Q8_0: return (stored){ half_at(p) * (int8_t)p[2 + i], 0 };
	case KN_Q4_K: case KN_Q5_K:
		g = i / 32, l = i % 32;
		six_bits(p + 4, g, &scale, &min);
		code = p[(type == KN_Q4_K ? 16 : 48) + g / 2 * 32 + l] >> (g % 2 ? 4 : 0) & 15;
		if (type == KN_Q5_K) code += 16 * (p[16 + l] >> g & 1);
		return (stored){ half_at(p) * scale * code, -half_at(p + 2) * min };
	case KN_Q6_K:
		g = i % 128 / 32, l = i % 32;
		code = (p[i / 128 * 64 + g % 2 * 32 + l] >> (g < 2 ? 0 : 4) & 15) + 16 * (p[128 + i / 128 * 32 + l] >> 2 * g & 3) - 32;
		return (stored){ half_at(p + 208) * (int8_t)p[192 + i / 16] * code, 0 };
	case KN_Q2_K:
		code = p[16 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
		return (stored){ half_at(p + 80) * (p[i / 16] & 15) * code, -half_at(p + 82) * (p[i / 16] >> 4) };
	case KN_Q3_K:
		code = (p[32 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) - (p[i % 32] >> i / 32 & 1 ? 0 : 4);
		return (stored){ half_at(p + 108) * third_scale(p + 96, i / 16) * code, 0 };
	case KN_IQ4_NL: return (stored){ half_at(p) * iq4[nibble(p + 2, i)], 0 };
	case KN_IQ4_XS:
		g = i / 32;
		scale = (p[4 + g / 2] >> (g % 2 ? 4 : 0) & 15) + 16 * ((p[2] + 256 * p[3]) >> 2 * g & 3) - 32;
		return (stored){ half_at(p) * scale * iq4[nibble(p + 8 + 16 * g, i % 32)], 0 };
	case KN_TQ1_0: return (stored){ half_at(p + 52) * ternary(p, i), 0 };
	case KN_TQ2_0: return (stored){ half_at(p + 64) * ((p[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) - 1), 0 };
	case KN_MXFP4: /* E2M1: sign, two bits of exponent, one of fraction */
		code = nibble(p + 1, i);
		scale = code >> 1 & 3;
		return (stored){ ldexp(code & 8 ? -1 : 1, p[0] - 127) * ldexp((code & 1) + (scale ? 2 : 0), (scale ? scale : 1) - 2), 0 };
	case KN_Q8_K: memcpy(&f, p, 4); return (stored){ (double)f * (int8_t)p[4 + i], 0 };
	}
	return (stored){ (double)NAN, 0 };
}
