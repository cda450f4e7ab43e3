/* scalar.h - f16, bf16 and 8-bit floats as bits, one value at a time. Included by reference files only. */
#ifndef KN_SCALAR_H
#define KN_SCALAR_H

#include <stdint.h>
#include <string.h>

static inline uint32_t bits_of_f32(float x) { uint32_t b; memcpy(&b, &x, 4); return b; }
static inline float f32_of_bits(uint32_t b) { float x; memcpy(&x, &b, 4); return x; }

static inline float f32_of_bf16(uint16_t h) { return f32_of_bits((uint32_t)h << 16); }

static inline uint16_t bf16_of_f32(float x)
{
	uint32_t b = bits_of_f32(x);
	if ((b & 0x7fffffff) > 0x7f800000) return (uint16_t)(b >> 16 | 0x40); /* rounding a NaN could make it an infinity */
	return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

static inline float f32_of_f16(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3ff;
	if (exponent == 31) return f32_of_bits(sign | 0x7f800000 | mantissa << 13 | (mantissa ? 0x400000 : 0));
	if (exponent == 0) {
		float x = (float)mantissa * 0x1p-24f;
		return sign ? -x : x;
	}
	return f32_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

static inline float f32_of_e4m3(uint8_t b)
{
	uint32_t sign = (uint32_t)(b & 0x80) << 24, rest = b & 0x7f;
	if (rest == 0x7f) return f32_of_bits(sign | 0x7fc00000);
	if (rest < 8) return f32_of_bits(sign | bits_of_f32((float)rest * 0x1p-9f));
	return f32_of_bits(sign | ((rest << 20) + (120u << 23)));
}

static inline uint16_t f16_of_f32(float x)
{
	uint32_t b = bits_of_f32(x), sign = b >> 16 & 0x8000, a = b & 0x7fffffff;
	if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
	if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and up round to infinity */
	if (a < 0x38800000) { /* subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits */
		return (uint16_t)(sign | (bits_of_f32(f32_of_bits(a) + 0.5f) - 0x3f000000));
	}
	return (uint16_t)(sign | (((a + 0xfff + (a >> 13 & 1)) >> 13) - (112 << 10)));
}

#endif
