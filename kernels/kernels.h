/* kernels.h - arithmetic on pointers, sizes and strides; the one public header of this room.
 *
 * Every family's signature is declared once, here, and shared by the plain C reference, the ISA variants, the checker
 * (tests/kernels) and the callers. kn_select() fills a kn_table with the most specific row that this machine has.
 *
 * The bit-for-bit rule: what a row of the output becomes depends on that row's inputs and on the table's variant, never
 * on how many rows are computed in the call, on which rows, or on how the caller splits n among threads. So each output
 * element has ONE order of accumulation along k (fixed number of accumulators, fixed join tree) in the one-row and the
 * tiled path of a variant alike, and attention walks key tiles that sit at absolute multiples of KN_KEY_TILE.
 * Variants may differ from each other within the documented error.
 *
 * NaN in, NaN out: in linear, norms, activations and attention a NaN reaches every output that depends on it.
 * Threads: every function is re-entrant and touches only its arguments. No allocation, no errors: callers check sizes.
 * Stack: up to 128 KiB (attention).
 * Pointers need no alignment beyond their element type's. ld* are distances between rows in elements (floats).
 */
#ifndef KN_KERNELS_H
#define KN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum { KN_KEY_TILE = 16, KN_Q8_BLOCK = 32, KN_K_BLOCK = 256, KN_KV_BLOCK = 32 };

/* Weights in blocks, beside Q8_0: X(name, type, GGUF's number, form in which activations meet it, bytes of a block). Whatever has a
 * member, a row or a check for each of them is made from this list; what a block holds is in cpu/quant.c and cpu/blocks.inc. */
#define KN_BLOCK_TYPES(X) \
	X(q4_0, Q4_0, 2, Q8_0, 18) \
	X(q4_1, Q4_1, 3, Q8_0, 20) \
	X(q5_0, Q5_0, 6, Q8_0, 22) \
	X(q5_1, Q5_1, 7, Q8_0, 24) \
	X(q2_k, Q2_K, 10, Q8_K, 84) \
	X(q3_k, Q3_K, 11, Q8_K, 110) \
	X(q4_k, Q4_K, 12, Q8_K, 144) \
	X(q5_k, Q5_K, 13, Q8_K, 176) \
	X(q6_k, Q6_K, 14, Q8_K, 210) \
	X(iq4_nl, IQ4_NL, 20, Q8_0, 18) \
	X(iq4_xs, IQ4_XS, 23, Q8_K, 136) \
	X(tq1_0, TQ1_0, 34, Q8_K, 54) \
	X(tq2_0, TQ2_0, 35, Q8_K, 66) \
	X(mxfp4, MXFP4, 39, Q8_0, 17)

/* Storage types; the numbers are GGUF's. KN_Q8_K is a form of activations only. */
typedef enum kn_type {
#define KN_NUMBER(name, type, number, form, bytes) KN_##type = number,
	KN_BLOCK_TYPES(KN_NUMBER)
#undef KN_NUMBER
	KN_F32 = 0, KN_F16 = 1, KN_Q8_0 = 8, KN_Q8_K = 15, KN_BF16 = 30,
	KN_F8_E4M3 = 256 /* GGUF has none: sign, 4 bits of exponent, 3 of fraction; no infinities, 0x7f and 0xff are NaN */
} kn_type;

/* Q8_0 block: 32 values v[i] = d * q[i]. Also the form of activations for weights in blocks of 32. 34 bytes, no padding. */
typedef struct kn_q8_0 { uint16_t d; /* f16 */ int8_t q[KN_Q8_BLOCK]; } kn_q8_0;
/* Activations for weights in blocks of 256: v[i] = d * q[i]; sum[g]: of the 16 q's from 16 g on. 292 bytes, no padding. */
typedef struct kn_q8_k { float d; int8_t q[KN_K_BLOCK]; int16_t sum[KN_K_BLOCK / 16]; } kn_q8_k;

/* Bytes of k values of a type stored in a row; 0 if the type is unknown or k is not a multiple of its block. */
size_t kn_row_bytes(kn_type type, size_t k);
/* The form in which x meets weights of a type: KN_F32, KN_Q8_0 or KN_Q8_K. */
kn_type kn_activation(kn_type weights);

/* y[m,n] = sum_k x[m,k] * w[n,k] (+ bias[n]).
 * x: rows [m] in the form kn_activation(type), ldx floats or blocks apart, made by quantize_q8_0 or quantize_q8_k where that is
 * not f32. w: [n] rows of kn_row_bytes(type, k) bytes, w_stride bytes apart. bias: [n] f32 or NULL. y: [m, ldy] f32.
 * Any m, n, k >= 1 (k a multiple of the type's block); tails are handled. Accumulation in f32.
 *
 * F32, F16, BF16, F8_E4M3: |y - true| <= (k + 2) u S, u = 2^-24, S = |bias| + sum |x w|: any order of k products and sums.
 * Quantised: a weight is scale * code - min with whole codes; dots of codes are exact integers, so that roundings are counted
 * per block, and all variants agree bit for bit. S = |bias| + sum |x| (|scale * code| + |min|). Blocks are added in order:
 *   Q4_0, Q5_0, Q8_0, IQ4_NL, MXFP4     (k/32 + 4) u S    sum += dot * (dx * d)
 *   Q4_1, Q5_1                          (k/16 + 4) u S    the same, then sum += (dx * sum q) * m
 *   Q3_K, Q6_K, IQ4_XS, TQ1_0, TQ2_0    (k/256 + 5) u S   sum += isum * (dx * d), isum = sum of scale * dot over the block's groups
 *   Q2_K, Q4_K, Q5_K                    (k/128 + 5) u S   the same, then sum -= msum * (dx * dmin), msum = sum of min * sum q
 * A scale that is NaN or infinite makes NaN of what meets its block (an infinite one: or an infinity). MXFP4's scale is always a
 * number: its byte 255, which the OCP format calls NaN, is 2^127 here as it is in llama.cpp. */
typedef void kn_linear_fn(float *y, size_t ldy, const void *x, size_t ldx, const void *w, size_t w_stride,
                          const float *bias, size_t m, size_t n, size_t k);

/* Each of m rows of k floats -> k/32 kn_q8_0 or k/256 kn_q8_k, rows ldy blocks apart; d = max|x|/127, q = x * (1/d) rounded
 * half away from zero, so never -128. A NaN or infinity in a block, or (Q8_0) a value past 127 * 65504, makes d NaN or infinite
 * and q zero: products with the block are NaN.
 * Equal in all variants, bit for bit; so are the linear families of quantised weights, rope and the storage conversions. */
typedef void kn_quantize_fn(void *y, size_t ldy, const float *x, size_t ldx, size_t m, size_t k);

/* y = x * rsqrt(mean(x^2) + eps) * w, per row of k. y may be x. */
typedef void kn_rms_norm_fn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, float eps, size_t m, size_t k);
/* y = (x - mean) * rsqrt(var + eps) * w + b, per row of k; w and b: [k]. y may be x. */
typedef void kn_layer_norm_fn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, const float *b, float eps,
                              size_t m, size_t k);

/* Rotary embedding in place. x: [m, ldx] holding n_head heads of head_dim; the first n_rot (even) channels of each rotate.
 * cos_sin: [m][n_rot] = cos of the n_rot/2 angles, then their sines. neox: pairs (i, i + n_rot/2), else (2i, 2i + 1). */
typedef void kn_rope_fn(float *x, size_t ldx, const float *cos_sin, size_t m, size_t n_head, size_t head_dim, size_t n_rot,
                        int neox);

/* Attention of n_rows query rows of ONE sequence over ONE kv head's paged K and V. Group of n_group query heads.
 *   q, out: row r at + r * ld, heads of the group head_dim apart
 *   key j (absolute) lives in block b = j / block_tokens at slot t = j % block_tokens:
 *     K: arena + pages[b] * page_bytes + k_offset + t * token_bytes ; V likewise with v_offset
 *   f32, f16, bf16: head_dim values. q8_0, f8_e4m3: head_dim bytes, what each means times an f16 scale (the product is exact in f32):
 *     of channel i: at arena + pages[b] * page_bytes + k_scales + (i / KN_KV_BLOCK * block_tokens + t) * 2
 *   row r sees keys key_begin[r] <= j < key_end[r] (never empty)
 *   p = softmax(scale * q.k), softcap > 0: scores become softcap * tanh(score / softcap)
 * A row never meets a key outside its range: what memory holds there, NaN included, does not matter.
 * head_dim <= 512. block_tokens is a multiple of KN_KEY_TILE. Tiles sit at absolute multiples of KN_KEY_TILE; softmax is online over tiles.
 * Every tile that is touched is there whole: its 16 rows and their scales are read, whatever they hold. */
typedef struct kn_attn_paged_args {
	float *out;
	const float *q;
	size_t ld_out, ld_q;
	size_t n_rows, n_group, head_dim;
	const uint8_t *arena;
	size_t page_bytes;
	const uint32_t *pages;
	size_t block_tokens, token_bytes, k_offset, v_offset;
	size_t k_scales, v_scales; /* a multiple of 2; unused by types that have none */
	const uint32_t *key_begin, *key_end;
	float scale, softcap;
} kn_attn_paged_args;
typedef void kn_attn_paged_fn(const kn_attn_paged_args *args);

/* Bytes of a channel of stored K or V; 0: K and V are not stored so. */
static inline size_t kn_kv_bytes(kn_type type)
{
	return type == KN_F32 ? 4 : type == KN_F16 || type == KN_BF16 ? 2 : type == KN_Q8_0 || type == KN_F8_E4M3 ? 1 : 0;
}
/* Scales that a head of a row has beside its bytes: one for each KN_KV_BLOCK channels, the last ones fewer, or none. */
static inline size_t kn_kv_scales(kn_type type, size_t head_dim)
{
	return kn_kv_bytes(type) == 1 ? (head_dim + KN_KV_BLOCK - 1) / KN_KV_BLOCK : 0;
}

/* A head of n channels to bytes and scales, scale s at scales + s * stride, and back. d = max|x| of the scale's channels / 127 (q8_0) or
 * / 448 (f8_e4m3), rounded up to an f16, so that no code is past the largest; codes are x * (1 / d): to the nearest whole number, halves
 * away from zero; to the nearest 8-bit float, ties to even. So no value is off by more than half a step of d (q8_0), or by 1/16 of
 * itself or 2^-10 d (f8_e4m3), beside roundings of f32. A NaN or an infinity, or d past 65504, makes d NaN or infinite and the codes
 * zero: what meets the scale's channels is NaN. Bit for bit the same in all variants.
 * Why a scale for 32 channels and not for the head or the token: a few channels of K are many times larger than the others in models
 * whose K has a bias (Qwen2); one scale for all 64 made the KL divergence 1.4 times (q8_0) and 3 to 30 times (f8_e4m3) as large. */
typedef void kn_store_kv_fn(void *codes, uint16_t *scales, size_t stride, const float *x, size_t n);
typedef void kn_load_kv_fn(float *y, const void *codes, const uint16_t *scales, size_t stride, size_t n);

/* Dense attention of m query rows over n keys of one head (encoders; every row sees every key).
 * q: [m, ldq], k: [n, ldk], v: [n, ldv], out: [m, ldo]; all f32, head_dim wide. Online softmax over key tiles of KN_KEY_TILE. */
typedef void kn_attn_dense_fn(float *out, size_t ldo, const float *q, size_t ldq, const float *k, size_t ldk, const float *v,
                              size_t ldv, size_t m, size_t n, size_t head_dim, float scale);

/* Elementwise over n values. y may be x (and a). */
typedef void kn_unary_fn(float *y, const float *x, size_t n);
typedef void kn_binary_fn(float *y, const float *a, const float *b, size_t n);

/* y = x + beta sin(alpha x)^2 over n values, each with its alpha and beta. y may be x. |error| <= u (|y| + |beta| (|alpha x| + 8)) for
 * |alpha x| up to 2^20; beyond, y - x stays between 0 and beta. */
typedef void kn_snake_fn(float *y, const float *x, const float *alpha, const float *beta, size_t n);
/* y[t][c] = b[c] + sum over i of w[i][c] x[t + i * dilation][c] in the order of i. y: [m, ldy], x: [m + (taps - 1) * dilation, ldx],
 * w: [taps][n], b: [n]. y and x do not overlap. |error| <= (taps + 1) u (|b| + sum |w x|). */
typedef void kn_depthwise_fn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, const float *b, size_t m, size_t n,
                             size_t taps, size_t dilation);

/* Storage conversion of n values; for f16 and bf16 round to nearest even. Loads equal llama.cpp's dequantize_row_*, bit for bit
 * (but for which NaN a NaN is); of KN_BLOCK_TYPES whole blocks only. */
typedef void kn_load_fn(float *y, const void *x, size_t n);
typedef void kn_store_fn(void *y, const float *x, size_t n);

/* One variant per family. Names say what won: "avx512", "avx2", "ref". */
typedef struct kn_table {
	kn_linear_fn *linear_f32, *linear_f16, *linear_bf16, *linear_f8_e4m3, *linear_q8_0;
#define KN_MEMBERS(name, type, number, form, bytes) kn_linear_fn *linear_##name; kn_load_fn *load_##name;
	KN_BLOCK_TYPES(KN_MEMBERS)
#undef KN_MEMBERS
	kn_quantize_fn *quantize_q8_0, *quantize_q8_k;
	kn_rms_norm_fn *rms_norm;
	kn_layer_norm_fn *layer_norm;
	kn_rope_fn *rope;
	kn_attn_paged_fn *attn_paged_f32, *attn_paged_f16, *attn_paged_bf16, *attn_paged_q8_0, *attn_paged_f8_e4m3;
	kn_store_kv_fn *store_kv_q8_0, *store_kv_f8_e4m3;
	kn_load_kv_fn *load_kv_q8_0, *load_kv_f8_e4m3;
	kn_attn_dense_fn *attn_dense;
	kn_unary_fn *gelu_tanh, *gelu_erf, *gelu_quick, *silu;
	kn_binary_fn *silu_mul;      /* silu(a) * b */
	kn_binary_fn *gelu_tanh_mul; /* gelu_tanh(a) * b */
	kn_binary_fn *add;
	kn_snake_fn *snake;
	kn_depthwise_fn *depthwise;
	kn_load_fn *load_f16, *load_bf16, *load_f8_e4m3, *load_q8_0;
	kn_store_fn *store_f16, *store_bf16;
} kn_table;

typedef enum kn_isa { KN_ISA_REF = 1, KN_ISA_AVX2 = 2, KN_ISA_AVX512 = 3 } kn_isa;

/* What this machine and operating system can run. */
kn_isa kn_detect(void);
/* Fills every pointer of the table with the best row at or below the cap (and below what the machine has). */
void kn_select(kn_table *table, kn_isa cap);
const char *kn_isa_name(kn_isa isa);
/* The table's function for weights of a type; NULL if the type is not one that is computed with (or, for a load, is F32). */
kn_linear_fn *kn_linear_of(const kn_table *table, kn_type weights);
kn_load_fn *kn_load_of(const kn_table *table, kn_type type);
/* The quantiser that makes a form of activations; NULL for KN_F32. */
kn_quantize_fn *kn_quantize_of(const kn_table *table, kn_type activation);

/* One row of the dispatch data: family name (the kn_table member), variant's name and least ISA, for the checker and the log. */
typedef struct kn_row { const char *family; const char *variant; kn_isa needs; void (*fn)(void); size_t member; } kn_row;
const kn_row *kn_rows(size_t *n);

#endif
