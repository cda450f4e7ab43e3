/* avx512.h - the vector of the AVX-512 files: 16 floats. Included by *_avx512.c only; avx2.h has the same names.
 *
 * The .inc files are written on these names once for every ISA. `_n` touches only the first n <= VW elements of memory; lanes
 * past n read as zero. */
#ifndef KN_AVX512_H
#define KN_AVX512_H

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cpu.h"

#define KN(name) kn_##name##_avx512
#define INLINE static inline __attribute__((always_inline))
/* Before loops over sums that must live in registers. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef __m512 vec;
typedef __m512i ivec;

enum {
	VW = 16,
	TILE_M = 6, TILE_N = 4, /* 24 sums + 4 weights + 1 row in 32 registers */
	Q8_TILE_M = 8,
	Q8_OFFSET = 128,        /* what v_q8_weights adds to each weight */
	SCORE_ROWS = 8,         /* query rows of a score tile */
	VALUE_VECS = 4,         /* vectors of head_dim of a value tile */
};

INLINE __mmask16 first(size_t n) { return (__mmask16)_cvtu32_mask16((1u << n) - 1); }

INLINE vec v_zero(void) { return _mm512_setzero_ps(); }
INLINE vec v_set1(float x) { return _mm512_set1_ps(x); }
INLINE vec v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE vec v_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
INLINE void v_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
INLINE void v_store_n(float *p, vec x, size_t n) { _mm512_mask_storeu_ps(p, first(n), x); }
INLINE vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
INLINE vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vec v_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
/* If either is NaN the result is b. */
INLINE vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
INLINE vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
INLINE vec v_abs(vec x) { return _mm512_abs_ps(x); }
INLINE vec v_copysign(vec x, vec sign)
{
	return _mm512_or_ps(_mm512_abs_ps(x), _mm512_and_ps(sign, _mm512_set1_ps(-0.0f)));
}
INLINE vec v_trunc(vec x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
/* a >= b ? x : 0 */
INLINE vec v_if_ge(vec a, vec b, vec x) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_GE_OQ), x); }
/* Lanes whose bit is set keep x, the others get other. */
INLINE vec v_keep(vec x, unsigned bits, vec other) { return _mm512_mask_mov_ps(other, (__mmask16)bits, x); }
INLINE vec v_swap_pairs(vec x) { return _mm512_permute_ps(x, 0xb1); }
/* p[0] p[0] p[1] p[1] ..., n <= VW / 2 values */
INLINE vec v_load_twice_n(const float *p, size_t n)
{
	const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
	return _mm512_permutexvar_ps(twice, v_load_n(p, n));
}

/* Sums of the lanes of four vectors: halves, then quarters, then (0 + 1) + (2 + 3). */
INLINE __m128 v_sum4(vec a, vec b, vec c, vec d)
{
	vec ab = v_add(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
	vec cd = v_add(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
	vec s = v_add(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd)); /* a quarter per sum */
	s = v_add(s, _mm512_permute_ps(s, 0xb1));
	s = v_add(s, _mm512_permute_ps(s, 0x4e));
	return _mm512_castps512_ps128(_mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), s));
}
INLINE float v_sum(vec a) { return _mm_cvtss_f32(v_sum4(a, a, a, a)); }
INLINE float v_largest(vec a) { return _mm512_reduce_max_ps(a); }

/* p * 2^n for whole n, with gradual underflow */
INLINE vec v_scale2(vec p, vec n) { return _mm512_scalef_ps(p, n); }
INLINE vec v_round(vec x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

/* Weights and stored values to f32. */
/* 16 bytes: as halves the exponent is 8 too small; NaN is all ones. */
INLINE vec v_of_f8(__m128i bytes)
{
	const __m256i rest = _mm256_set1_epi16(0x3f80), quiet = _mm256_set1_epi16(0x7e00);
	__m256i h = _mm256_and_si256(_mm256_slli_epi16(_mm256_cvtepi8_epi16(bytes), 7), _mm256_set1_epi16((int16_t)0xbf80));
	h = _mm256_or_si256(h, _mm256_maskz_mov_epi16(_mm256_cmpeq_epi16_mask(_mm256_and_si256(h, rest), rest), quiet));
	return v_mul(_mm512_cvtph_ps(h), v_set1(256));
}
/* 1/256 of 16 such values, none of them NaN. */
INLINE vec v_part_of_f8(const uint8_t *p)
{
	__m256i h = _mm256_slli_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)p)), 7);
	return _mm512_cvtph_ps(_mm256_and_si256(h, _mm256_set1_epi16((int16_t)0xbf80)));
}
INLINE vec v_load_as(const void *p, kn_type type, size_t i)
{
	if (type == KN_F32) return v_load((const float *)p + i);
	if (type == KN_F8_E4M3) return v_of_f8(_mm_loadu_si128((const void *)((const uint8_t *)p + i)));
	__m256i h = _mm256_loadu_si256((const void *)((const uint16_t *)p + i));
	if (type == KN_F16) return _mm512_cvtph_ps(h);
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
INLINE vec v_load_as_n(const void *p, kn_type type, size_t i, size_t n)
{
	if (type == KN_F32) return v_load_n((const float *)p + i, n);
	if (type == KN_F8_E4M3) return v_of_f8(_mm_maskz_loadu_epi8(first(n), (const uint8_t *)p + i));
	__m256i h = _mm256_maskz_loadu_epi16(first(n), (const uint16_t *)p + i);
	if (type == KN_F16) return _mm512_cvtph_ps(h);
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
INLINE void v_store_as_n(uint16_t *p, kn_type type, vec x, size_t n)
{
	__m256i h;
	if (type == KN_F16) {
		h = _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
	} else {
		__m512i b = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(b, 16), _mm512_set1_epi32(1));
		__m512i rounded = _mm512_add_epi32(b, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
		__m512i quiet = _mm512_or_si512(b, _mm512_set1_epi32(0x400000));
		rounded = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet);
		h = _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
	}
	_mm256_mask_storeu_epi16(p, first(n), h);
}

/* Integers. */
INLINE ivec i_load(const void *p) { return _mm512_loadu_si512(p); }
INLINE void i_store(void *p, ivec x) { _mm512_storeu_si512(p, x); }
INLINE ivec i_set1(int32_t x) { return _mm512_set1_epi32(x); }
INLINE ivec i_abs_bits(vec x) { return _mm512_castps_si512(_mm512_abs_ps(x)); }
INLINE ivec i_max(ivec a, ivec b) { return _mm512_max_epi32(a, b); }
INLINE int32_t i_largest(ivec a) { return _mm512_reduce_max_epi32(a); }
INLINE ivec i_bits(vec x) { return _mm512_castps_si512(x); }
INLINE ivec i_of_whole(vec x) { return _mm512_cvttps_epi32(x); }
/* Low bytes of the lanes; and bytes to lanes, with their signs. */
INLINE void i_store_bytes_n(uint8_t *p, ivec x, size_t n) { _mm_mask_storeu_epi8(p, first(n), _mm512_cvtepi32_epi8(x)); }
INLINE ivec i_load_signed_n(const int8_t *p, size_t n) { return _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(first(n), p)); }
INLINE vec v_of_bits(ivec x) { return _mm512_castsi512_ps(x); }
INLINE vec v_of_ints(ivec x) { return _mm512_cvtepi32_ps(x); }
INLINE vec v_load_i8(const int8_t *p) { return v_of_ints(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p))); }
INLINE void v_store_i8(int8_t *p, vec x) { _mm_storeu_si128((void *)p, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(x))); }

/* Sum of 16 bytes. */
INLINE int32_t i_sum16(const int8_t *p)
{
	__m128i x = _mm_xor_si128(_mm_loadu_si128((const void *)p), _mm_set1_epi8(-128));
	x = _mm_sad_epu8(x, _mm_setzero_si128());
	return _mm_cvtsi128_si32(x) + _mm_extract_epi16(x, 4) - 16 * 128;
}
INLINE ivec i_zero(void) { return _mm512_setzero_si512(); }
INLINE ivec i_bytes(int8_t x) { return _mm512_set1_epi8(x); }
INLINE ivec i_halves(int16_t x) { return _mm512_set1_epi16(x); }
INLINE ivec i_and(ivec a, ivec b) { return _mm512_and_si512(a, b); }
INLINE ivec i_or(ivec a, ivec b) { return _mm512_or_si512(a, b); }
INLINE ivec i_add(ivec a, ivec b) { return _mm512_add_epi32(a, b); }
INLINE ivec i_mul(ivec a, ivec b) { return _mm512_mullo_epi32(a, b); }
INLINE ivec i_left(ivec x, unsigned n) { return _mm512_slli_epi32(x, n); }
INLINE ivec i_right(ivec x, unsigned n) { return _mm512_srli_epi32(x, n); }
INLINE ivec i_right_signed(ivec x, unsigned n) { return _mm512_srai_epi32(x, n); }
/* The 16 bytes at p in every quarter. */
INLINE ivec i_quarters(const void *p) { return _mm512_broadcast_i32x4(_mm_loadu_si128(p)); }
/* Bytes of each quarter by its own indices. */
INLINE ivec i_pick(ivec x, ivec indices) { return _mm512_shuffle_epi8(x, indices); }
/* Bytes of x, and one more bit where a byte of a has one of the bits. */
INLINE ivec i_with(ivec x, int8_t bit, ivec a, ivec bits)
{
	return _mm512_mask_add_epi8(x, _mm512_test_epi8_mask(a, bits), x, i_bytes(bit));
}
/* Bytes times c modulo 256; c has a half for each two of them. */
INLINE ivec i_times(ivec x, ivec c)
{
	const __m512i low = _mm512_set1_epi16(255);
	return _mm512_or_si512(_mm512_and_si512(_mm512_mullo_epi16(x, c), low), _mm512_mullo_epi16(_mm512_andnot_si512(low, x), c));
}
/* 3 x / 256 of each byte. */
INLINE ivec i_digit(ivec x)
{
	__m512i one = _mm512_maskz_set1_epi8(_mm512_cmpge_epu8_mask(x, i_bytes(86)), 1);
	return _mm512_mask_set1_epi8(one, _mm512_cmpge_epu8_mask(x, i_bytes((int8_t)171)), 2);
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
	__m512i x = _mm512_inserti32x4(_mm512_castsi128_si512(ROW(0)), ROW(1), 1);
	x = _mm512_inserti32x4(x, ROW(2), 2);
	return _mm512_inserti32x4(x, ROW(3), 3);
	#undef ROW
}

/* r[i] as i_rows(i) has it -> out[i] lane l = dword i of row l. */
INLINE void i_transpose(ivec out[4], const ivec r[4])
{
	__m512i a = _mm512_unpacklo_epi32(r[0], r[1]), b = _mm512_unpackhi_epi32(r[0], r[1]);
	__m512i c = _mm512_unpacklo_epi32(r[2], r[3]), d = _mm512_unpackhi_epi32(r[2], r[3]);
	out[0] = _mm512_unpacklo_epi64(a, c);
	out[1] = _mm512_unpackhi_epi64(a, c);
	out[2] = _mm512_unpacklo_epi64(b, d);
	out[3] = _mm512_unpackhi_epi64(b, d);
}

/* r[i] as i_rows(i) has it -> lane l = sum of the dwords of row l. */
INLINE ivec i_join(const ivec r[4])
{
	__m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(r[0], r[1]), _mm512_unpackhi_epi32(r[0], r[1]));
	__m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(r[2], r[3]), _mm512_unpackhi_epi32(r[2], r[3]));
	return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* The f16 in the low half of each dword. */
INLINE vec v_of_low_f16(ivec x) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x)); }

/* Sums of dots of 4 unsigned bytes w with 4 signed x, and of 2 signed halves. */
INLINE ivec i_dot(ivec sum, ivec w, ivec x) { return _mm512_dpbusd_epi32(sum, w, x); }
INLINE ivec i_dot2(ivec sum, ivec a, ivec b) { return _mm512_dpwssd_epi32(sum, a, b); }

/* Dot of 4 bytes per lane: the weights are made unsigned by an offset, which the caller takes back through the sum's start. */
INLINE ivec i_q8_weights(ivec w) { return _mm512_xor_si512(w, _mm512_set1_epi8(-128)); }
INLINE ivec i_q8_dot(ivec sum, ivec w, ivec x) { return _mm512_dpbusd_epi32(sum, w, x); }

#endif
