/* avx2.h - the vector of the AVX2 files: 8 floats. Included by *_avx2.c only; avx512.h has the same names.
 *
 * The .inc files are written on these names once for every ISA. `_n` touches only the first n <= VW elements of memory; lanes
 * past n read as zero. */
#ifndef KN_AVX2_H
#define KN_AVX2_H

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cpu.h"

#define KN(name) kn_##name##_avx2
#define INLINE static inline __attribute__((always_inline))
/* Before loops over sums that must live in registers. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef __m256 vec;
typedef __m256i ivec;

enum {
	VW = 8,
	TILE_M = 3, TILE_N = 4, /* 12 sums + 3 rows + 1 weight in 16 registers */
	Q8_TILE_M = 4,
	Q8_OFFSET = 0,          /* what i_q8_weights adds to each weight */
	SCORE_ROWS = 4,         /* query rows of a score tile */
	VALUE_VECS = 2,         /* vectors of head_dim of a value tile */
};

INLINE __m256i first(size_t n)
{
	static const int32_t ones_then_zeros[2 * VW] = { -1, -1, -1, -1, -1, -1, -1, -1 };
	return _mm256_loadu_si256((const void *)(ones_then_zeros + VW - n));
}

INLINE vec v_zero(void) { return _mm256_setzero_ps(); }
INLINE vec v_set1(float x) { return _mm256_set1_ps(x); }
INLINE vec v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE vec v_load_n(const float *p, size_t n) { return n == VW ? v_load(p) : _mm256_maskload_ps(p, first(n)); }
INLINE void v_store(float *p, vec x) { _mm256_storeu_ps(p, x); }
INLINE void v_store_n(float *p, vec x, size_t n)
{
	if (n == VW) v_store(p, x);
	else _mm256_maskstore_ps(p, first(n), x); /* tens of cycles on AMD */
}
INLINE vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
INLINE vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
INLINE vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
INLINE vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vec v_fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
/* If either is NaN the result is b. */
INLINE vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
INLINE vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
INLINE vec v_abs(vec x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
INLINE vec v_copysign(vec x, vec sign) { return _mm256_or_ps(v_abs(x), _mm256_and_ps(sign, _mm256_set1_ps(-0.0f))); }
INLINE vec v_trunc(vec x) { return _mm256_round_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
/* a >= b ? x : 0 */
INLINE vec v_if_ge(vec a, vec b, vec x) { return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ), x); }
/* Lanes whose bit is set keep x, the others get other. */
INLINE vec v_keep(vec x, unsigned bits, vec other)
{
	const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
	__m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), lane), lane);
	return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(set));
}
INLINE vec v_swap_pairs(vec x) { return _mm256_permute_ps(x, 0xb1); }
/* p[0] p[0] p[1] p[1] ..., n <= VW / 2 values */
INLINE vec v_load_twice_n(const float *p, size_t n)
{
	return _mm256_permutevar8x32_ps(v_load_n(p, n), _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
}

/* Sums of the lanes of four vectors: (0 + 1) + (2 + 3) in each half, then the halves. */
INLINE __m128 v_sum4(vec a, vec b, vec c, vec d)
{
	vec s = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
	return _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}
INLINE float v_sum(vec a) { return _mm_cvtss_f32(v_sum4(a, a, a, a)); }
INLINE float v_largest(vec a)
{
	__m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
	x = _mm_max_ps(x, _mm_movehl_ps(x, x));
	return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

/* p * 2^n for whole n of [-150, 128], in two steps with gradual underflow: 2^n itself may have no float */
INLINE vec v_scale2(vec p, vec n)
{
	__m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1), rest = _mm256_sub_epi32(i, half);
	const __m256i one = _mm256_set1_epi32(127);
	vec a = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, one), 23));
	vec b = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, one), 23));
	return v_mul(v_mul(p, a), b);
}
INLINE vec v_round(vec x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

/* Weights and stored values to f32. */
INLINE vec v_of_halves(__m128i h, kn_type type)
{
	if (type == KN_F16) return _mm256_cvtph_ps(h);
	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
/* 8 bytes: as halves the exponent is 8 too small; NaN is all ones. */
INLINE vec v_of_f8(__m128i bytes)
{
	const __m128i rest = _mm_set1_epi16(0x3f80);
	__m128i h = _mm_and_si128(_mm_slli_epi16(_mm_cvtepi8_epi16(bytes), 7), _mm_set1_epi16((int16_t)0xbf80));
	__m128i nan = _mm_and_si128(_mm_cmpeq_epi16(_mm_and_si128(h, rest), rest), _mm_set1_epi16(0x7e00));
	return v_mul(_mm256_cvtph_ps(_mm_or_si128(h, nan)), v_set1(256));
}
/* 1/256 of 8 such values, none of them NaN. */
INLINE vec v_part_of_f8(const uint8_t *p)
{
	__m128i h = _mm_slli_epi16(_mm_cvtepi8_epi16(_mm_loadl_epi64((const void *)p)), 7);
	return _mm256_cvtph_ps(_mm_and_si128(h, _mm_set1_epi16((int16_t)0xbf80)));
}
INLINE vec v_load_as(const void *p, kn_type type, size_t i)
{
	if (type == KN_F32) return v_load((const float *)p + i);
	if (type == KN_F8_E4M3) return v_of_f8(_mm_loadl_epi64((const void *)((const uint8_t *)p + i)));
	return v_of_halves(_mm_loadu_si128((const void *)((const uint16_t *)p + i)), type);
}
INLINE vec v_load_as_n(const void *p, kn_type type, size_t i, size_t n)
{
	if (n == VW) return v_load_as(p, type, i);
	if (type == KN_F32) return v_load_n((const float *)p + i, n);
	if (type == KN_F8_E4M3) {
		uint8_t b[VW] = { 0 };
		for (size_t j = 0; j < n; j++) b[j] = ((const uint8_t *)p)[i + j];
		return v_of_f8(_mm_loadl_epi64((const void *)b));
	}
	uint16_t h[VW] = { 0 };
	for (size_t j = 0; j < n; j++) h[j] = ((const uint16_t *)p)[i + j];
	return v_of_halves(_mm_loadu_si128((const void *)h), type);
}
INLINE void v_store_as_n(uint16_t *p, kn_type type, vec x, size_t n)
{
	__m128i h;
	if (type == KN_F16) {
		h = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
	} else {
		__m256i b = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(b, 16), _mm256_set1_epi32(1));
		__m256i rounded = _mm256_add_epi32(b, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
		__m256i quiet = _mm256_or_si256(b, _mm256_set1_epi32(0x400000));
		rounded = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
		rounded = _mm256_srli_epi32(rounded, 16);
		h = _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
	}
	if (n == VW) {
		_mm_storeu_si128((void *)p, h);
	} else {
		uint16_t bits[VW];
		_mm_storeu_si128((void *)bits, h);
		for (size_t j = 0; j < n; j++) p[j] = bits[j];
	}
}

/* Integers. */
INLINE ivec i_load(const void *p) { return _mm256_loadu_si256(p); }
INLINE void i_store(void *p, ivec x) { _mm256_storeu_si256(p, x); }
INLINE ivec i_set1(int32_t x) { return _mm256_set1_epi32(x); }
INLINE ivec i_abs_bits(vec x) { return _mm256_castps_si256(v_abs(x)); }
INLINE ivec i_max(ivec a, ivec b) { return _mm256_max_epi32(a, b); }
INLINE int32_t i_largest(ivec a)
{
	__m128i x = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
	x = _mm_max_epi32(x, _mm_shuffle_epi32(x, 0x4e));
	return _mm_cvtsi128_si32(_mm_max_epi32(x, _mm_shuffle_epi32(x, 0xb1)));
}
INLINE ivec i_bits(vec x) { return _mm256_castps_si256(x); }
INLINE ivec i_of_whole(vec x) { return _mm256_cvttps_epi32(x); }
/* Low bytes of the lanes; and bytes to lanes, with their signs. */
INLINE void i_store_bytes_n(uint8_t *p, ivec x, size_t n)
{
	const __m256i low = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1,
	                                     -1, -1, -1, -1, -1);
	__m256i b = _mm256_shuffle_epi8(x, low);
	__m128i all = _mm_unpacklo_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
	if (n == VW) {
		_mm_storel_epi64((void *)p, all);
	} else {
		uint8_t bytes[VW];
		_mm_storel_epi64((void *)bytes, all);
		for (size_t j = 0; j < n; j++) p[j] = bytes[j];
	}
}
INLINE ivec i_load_signed_n(const int8_t *p, size_t n)
{
	int8_t b[VW] = { 0 };
	if (n == VW) return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p));
	for (size_t j = 0; j < n; j++) b[j] = p[j];
	return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)b));
}
INLINE vec v_of_bits(ivec x) { return _mm256_castsi256_ps(x); }
INLINE vec v_of_ints(ivec x) { return _mm256_cvtepi32_ps(x); }
INLINE vec v_load_i8(const int8_t *p) { return v_of_ints(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p))); }
INLINE void v_store_i8(int8_t *p, vec x)
{
	__m256i i = _mm256_cvttps_epi32(x);
	__m128i h = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
	_mm_storel_epi64((void *)p, _mm_packs_epi16(h, h));
}

/* Sum of 16 bytes. */
INLINE int32_t i_sum16(const int8_t *p)
{
	__m128i x = _mm_xor_si128(_mm_loadu_si128((const void *)p), _mm_set1_epi8(-128));
	x = _mm_sad_epu8(x, _mm_setzero_si128());
	return _mm_cvtsi128_si32(x) + _mm_extract_epi16(x, 4) - 16 * 128;
}
INLINE ivec i_zero(void) { return _mm256_setzero_si256(); }
INLINE ivec i_bytes(int8_t x) { return _mm256_set1_epi8(x); }
INLINE ivec i_halves(int16_t x) { return _mm256_set1_epi16(x); }
INLINE ivec i_and(ivec a, ivec b) { return _mm256_and_si256(a, b); }
INLINE ivec i_or(ivec a, ivec b) { return _mm256_or_si256(a, b); }
INLINE ivec i_add(ivec a, ivec b) { return _mm256_add_epi32(a, b); }
INLINE ivec i_mul(ivec a, ivec b) { return _mm256_mullo_epi32(a, b); }
INLINE ivec i_left(ivec x, unsigned n) { return _mm256_slli_epi32(x, (int)n); }
INLINE ivec i_right(ivec x, unsigned n) { return _mm256_srli_epi32(x, (int)n); }
INLINE ivec i_right_signed(ivec x, unsigned n) { return _mm256_srai_epi32(x, (int)n); }
/* The 16 bytes at p in every quarter (here: half). */
INLINE ivec i_quarters(const void *p) { return _mm256_broadcastsi128_si256(_mm_loadu_si128(p)); }
/* Bytes of each quarter by its own indices. */
INLINE ivec i_pick(ivec x, ivec indices) { return _mm256_shuffle_epi8(x, indices); }
/* Bytes of x, and one more bit where a byte of a has one of the bits. */
INLINE ivec i_with(ivec x, int8_t bit, ivec a, ivec bits)
{
	__m256i none = _mm256_cmpeq_epi8(_mm256_and_si256(a, bits), _mm256_setzero_si256());
	return _mm256_or_si256(x, _mm256_andnot_si256(none, i_bytes(bit)));
}
/* Bytes times c modulo 256; c has a half for each two of them. */
INLINE ivec i_times(ivec x, ivec c)
{
	const __m256i low = _mm256_set1_epi16(255);
	return _mm256_or_si256(_mm256_and_si256(_mm256_mullo_epi16(x, c), low), _mm256_mullo_epi16(_mm256_andnot_si256(low, x), c));
}
/* 3 x / 256 of each byte. */
INLINE ivec i_digit(ivec x)
{
	__m256i one = _mm256_cmpeq_epi8(_mm256_max_epu8(x, _mm256_set1_epi8(86)), x);
	__m256i two = _mm256_cmpeq_epi8(_mm256_max_epu8(x, _mm256_set1_epi8((char)171)), x);
	return _mm256_sub_epi8(_mm256_setzero_si256(), _mm256_add_epi8(one, two));
}

/* VW rows stride bytes apart. Their addresses are hidden from the compiler, which would keep one for each row, in memory. */
typedef struct lanes { const uint8_t *quarter[VW / 4]; size_t stride, stride3; } lanes;
INLINE lanes i_rows_at(const uint8_t *p, size_t stride)
{
	lanes r = { .stride = stride, .stride3 = 3 * stride };
	__asm__("" : "+r"(r.stride), "+r"(r.stride3));
	UNROLL for (size_t q = 0; q < VW / 4; q++) {
		r.quarter[q] = p + 4 * q * stride;
		__asm__("" : "+r"(r.quarter[q]));
	}
	return r;
}
/* Quarter q = the 16 bytes at `at` of row 4 q + i. */
INLINE ivec i_rows(size_t i, const lanes *from, size_t at)
{
	#define ROW(q) _mm_loadu_si128((const void *)(from->quarter[q] + (i == 3 ? from->stride3 : i * from->stride) + at))
	return _mm256_inserti128_si256(_mm256_castsi128_si256(ROW(0)), ROW(1), 1);
	#undef ROW
}

/* r[i] as i_rows(i) has it -> out[i] lane l = dword i of row l. */
INLINE void i_transpose(ivec out[4], const ivec r[4])
{
	__m256i a = _mm256_unpacklo_epi32(r[0], r[1]), b = _mm256_unpackhi_epi32(r[0], r[1]);
	__m256i c = _mm256_unpacklo_epi32(r[2], r[3]), d = _mm256_unpackhi_epi32(r[2], r[3]);
	out[0] = _mm256_unpacklo_epi64(a, c);
	out[1] = _mm256_unpackhi_epi64(a, c);
	out[2] = _mm256_unpacklo_epi64(b, d);
	out[3] = _mm256_unpackhi_epi64(b, d);
}

/* r[i] as i_rows(i) has it -> lane l = sum of the dwords of row l. */
INLINE ivec i_join(const ivec r[4])
{
	return _mm256_hadd_epi32(_mm256_hadd_epi32(r[0], r[1]), _mm256_hadd_epi32(r[2], r[3]));
}

/* The f16 in the low half of each dword. */
INLINE vec v_of_low_f16(ivec x)
{
	__m256i low = _mm256_and_si256(x, _mm256_set1_epi32(0xffff));
	return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}

/* Sums of dots of 4 unsigned bytes w with 4 signed x, and of 2 signed halves. Pairs of bytes fit 16 bits while w <= 128. */
INLINE ivec i_dot(ivec sum, ivec w, ivec x)
{
	return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)));
}
INLINE ivec i_dot2(ivec sum, ivec a, ivec b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }

/* Dot of 4 bytes per lane: |w| is the unsigned side and x takes w's sign. Pairs fit 16 bits because quantised rows never hold
 * -128: 2 * 128 * 127 < 32768. */
INLINE ivec i_q8_weights(ivec w) { return w; }
INLINE ivec i_q8_dot(ivec sum, ivec w, ivec x)
{
	__m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
	return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#endif
