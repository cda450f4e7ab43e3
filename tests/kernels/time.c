/* time.c - kn_check --time: each row over typical sizes, as the least time of several runs, beside the reference in the same
 * minute. A shared machine is noisy: read the ratios. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"

static double now(void)
{
	struct timespec s;
	clock_gettime(CLOCK_MONOTONIC, &s);
	return (double)s.tv_sec + 1e-9 * (double)s.tv_nsec;
}

/* One thing to time: run(table) once does `work` operations (or moves that many bytes). */
static struct {
	kn_type type;
	size_t m, n, k, group;
	float *x, *y, *z;
	void *w;
	void *q;
	uint32_t *pages, *begin, *end;
} s;

enum { FLOATS = 16 << 20 };

static void run_linear(const kn_table *t)
{
	kn_type x_type = kn_activation(s.type);
	const void *x = x_type == KN_F32 ? (const void *)s.x : s.q;
	kn_linear_of(t, s.type)(s.y, s.n, x, s.k / block_size(x_type), s.w, kn_row_bytes(s.type, s.k), NULL, s.m, s.n, s.k);
}

/* A page: K of 64 tokens, V, K's scales, V's. */
static void run_paged_at(const kn_table *t, size_t at)
{
	size_t width = s.k * kn_kv_bytes(s.type), scales = 64 * 2 * kn_kv_scales(s.type, s.k);
	kn_attn_paged_args a = {
		.out = s.y, .q = s.x, .ld_out = s.group * s.k, .ld_q = s.group * s.k, .n_rows = s.m, .n_group = s.group, .head_dim = s.k,
		.arena = (const uint8_t *)s.w + at, .page_bytes = 2 * (64 * width + scales), .pages = s.pages, .block_tokens = 64,
		.token_bytes = width, .k_offset = 0, .v_offset = 64 * width, .k_scales = 128 * width, .v_scales = 128 * width + scales,
		.key_begin = s.begin, .key_end = s.end, .scale = 0.125f,
	};
	switch (s.type) {
	case KN_F16: t->attn_paged_f16(&a); break;
	case KN_BF16: t->attn_paged_bf16(&a); break;
	case KN_Q8_0: t->attn_paged_q8_0(&a); break;
	case KN_F8_E4M3: t->attn_paged_f8_e4m3(&a); break;
	default: t->attn_paged_f32(&a); break;
	}
}

static void run_paged(const kn_table *t) { run_paged_at(t, 0); }

/* Decode with a long context: as many KV heads, one after the other, as no cache holds at two bytes a channel. */
enum { FAR_HEADS = 15 };
static void run_far(const kn_table *t)
{
	size_t bytes = s.n * 2 * (s.k * kn_kv_bytes(s.type) + 2 * kn_kv_scales(s.type, s.k));
	for (size_t h = 0; h < FAR_HEADS; h++) run_paged_at(t, h * bytes);
}

static void run_dense(const kn_table *t)
{
	t->attn_dense(s.y, s.k, s.x, s.k, s.x + s.n * s.k, s.k, s.x + 2 * s.n * s.k, s.k, s.m, s.n, s.k, 0.125f);
}

static void run_store_kv(const kn_table *t)
{
	kn_store_kv_fn *store = s.type == KN_Q8_0 ? t->store_kv_q8_0 : t->store_kv_f8_e4m3;
	for (size_t i = 0; i < s.m; i++) store((uint8_t *)s.w + i * s.k, (uint16_t *)s.y + i, s.m, s.x + i * s.k, s.k);
}

static void run_load_kv(const kn_table *t)
{
	kn_load_kv_fn *load = s.type == KN_Q8_0 ? t->load_kv_q8_0 : t->load_kv_f8_e4m3;
	for (size_t i = 0; i < s.m; i++) load(s.y + i * s.k, (uint8_t *)s.w + i * s.k, (uint16_t *)s.z + i, s.m, s.k);
}

static void run_quantize(const kn_table *t) { t->quantize_q8_0(s.q, s.k / KN_Q8_BLOCK, s.x, s.k, s.m, s.k); }
static void run_quantize_k(const kn_table *t) { t->quantize_q8_k(s.q, s.k / KN_K_BLOCK, s.x, s.k, s.m, s.k); }
static void run_rms_norm(const kn_table *t) { t->rms_norm(s.y, s.k, s.x, s.k, s.z, 1e-5f, s.m, s.k); }
static void run_layer_norm(const kn_table *t) { t->layer_norm(s.y, s.k, s.x, s.k, s.z, s.z, 1e-5f, s.m, s.k); }
static void run_rope(const kn_table *t) { t->rope(s.x, s.k, s.z, s.m, s.k / 64, 64, 64, 1); }
static void run_gelu_tanh(const kn_table *t) { t->gelu_tanh(s.y, s.x, s.n); }
static void run_gelu_erf(const kn_table *t) { t->gelu_erf(s.y, s.x, s.n); }
static void run_gelu_quick(const kn_table *t) { t->gelu_quick(s.y, s.x, s.n); }
static void run_silu(const kn_table *t) { t->silu(s.y, s.x, s.n); }
static void run_silu_mul(const kn_table *t) { t->silu_mul(s.y, s.x, s.z, s.n); }
static void run_gelu_tanh_mul(const kn_table *t) { t->gelu_tanh_mul(s.y, s.x, s.z, s.n); }
static void run_add(const kn_table *t) { t->add(s.y, s.x, s.z, s.n); }
static void run_snake(const kn_table *t) { t->snake(s.y, s.x, s.z, s.z + s.n, s.n); }
static void run_depthwise(const kn_table *t) { t->depthwise(s.y, s.k, s.x, s.k, s.z, s.z, s.m, s.k, 7, 3); }
static void run_load_f16(const kn_table *t) { t->load_f16(s.y, s.w, s.n); }
static void run_load_bf16(const kn_table *t) { t->load_bf16(s.y, s.w, s.n); }
static void run_load_q8_0(const kn_table *t) { t->load_q8_0(s.y, s.q, s.n); }
static void run_load_f8_e4m3(const kn_table *t) { t->load_f8_e4m3(s.y, s.w, s.n); }
static void run_store_f16(const kn_table *t) { t->store_f16(s.w, s.x, s.n); }
static void run_store_bf16(const kn_table *t) { t->store_bf16(s.w, s.x, s.n); }

/* flop or bytes per m * n * k (linear, dense), m * group * n * k (paged), m * k or n (the rest) */
static const struct timing {
	const char *family;
	void (*run)(const kn_table *);
	kn_type type;
	size_t m, n, k, group;
	double per_item;
	const char *rate;
} timings[] = {
	{ "linear_f32", run_linear, KN_F32, 1, 2048, 1024, 1, 2, "GFLOP/s" },
	{ "linear_f32", run_linear, KN_F32, 6, 768, 768, 1, 2, "GFLOP/s" },
	{ "linear_f32", run_linear, KN_F32, 64, 192, 192, 1, 2, "GFLOP/s" },
	{ "linear_f32", run_linear, KN_F32, 128, 768, 768, 1, 2, "GFLOP/s" },
	{ "linear_f32", run_linear, KN_F32, 128, 768, 3072, 1, 2, "GFLOP/s" },
	{ "linear_f16", run_linear, KN_F16, 1, 2048, 1024, 1, 2, "GFLOP/s" },
	{ "linear_f16", run_linear, KN_F16, 128, 768, 768, 1, 2, "GFLOP/s" },
	{ "linear_bf16", run_linear, KN_BF16, 1, 2048, 1024, 1, 2, "GFLOP/s" },
	{ "linear_bf16", run_linear, KN_BF16, 128, 768, 768, 1, 2, "GFLOP/s" },
	{ "linear_bf16", run_linear, KN_BF16, 1, 4096, 4096, 1, 2, "GFLOP/s" },
	{ "linear_bf16", run_linear, KN_BF16, 16, 4096, 4096, 1, 2, "GFLOP/s" },
	{ "linear_f8_e4m3", run_linear, KN_F8_E4M3, 1, 4096, 4096, 1, 2, "GFLOP/s" },
	{ "linear_f8_e4m3", run_linear, KN_F8_E4M3, 16, 4096, 4096, 1, 2, "GFLOP/s" },
	{ "linear_q8_0", run_linear, KN_Q8_0, 1, 2048, 1024, 1, 2, "GOP/s" },
	{ "linear_q8_0", run_linear, KN_Q8_0, 1, 256, 1024, 1, 2, "GOP/s" },
	{ "linear_q8_0", run_linear, KN_Q8_0, 4, 2048, 1024, 1, 2, "GOP/s" },
	{ "linear_q8_0", run_linear, KN_Q8_0, 128, 768, 768, 1, 2, "GOP/s" },
	{ "linear_q8_0", run_linear, KN_Q8_0, 128, 768, 3072, 1, 2, "GOP/s" },
	{ "linear_q8_0", run_linear, KN_Q8_0, 1, 32768, 1024, 1, 2, "GOP/s" },
	{ "linear_q4_0", run_linear, KN_Q4_0, 1, 32768, 1024, 1, 2, "GOP/s" },
	{ "linear_q4_0", run_linear, KN_Q4_0, 2, 32768, 1024, 1, 2, "GOP/s" },
	{ "linear_q4_0", run_linear, KN_Q4_0, 4, 32768, 1024, 1, 2, "GOP/s" },
	{ "linear_q4_0", run_linear, KN_Q4_0, 128, 768, 3072, 1, 2, "GOP/s" },
	{ "linear_q4_1", run_linear, KN_Q4_1, 1, 32768, 1024, 1, 2, "GOP/s" },
	{ "linear_q4_1", run_linear, KN_Q4_1, 128, 768, 3072, 1, 2, "GOP/s" },
	{ "linear_q5_0", run_linear, KN_Q5_0, 1, 32768, 1024, 1, 2, "GOP/s" },
	{ "linear_q5_0", run_linear, KN_Q5_0, 128, 768, 3072, 1, 2, "GOP/s" },
	{ "linear_q5_1", run_linear, KN_Q5_1, 1, 32768, 1024, 1, 2, "GOP/s" },
	{ "linear_q5_1", run_linear, KN_Q5_1, 128, 768, 3072, 1, 2, "GOP/s" },
	{ "linear_q4_k", run_linear, KN_Q4_K, 1, 2048, 1024, 1, 2, "GOP/s" },
	{ "linear_q4_k", run_linear, KN_Q4_K, 1, 32768, 1024, 1, 2, "GOP/s" },
	{ "linear_q4_k", run_linear, KN_Q4_K, 2, 32768, 1024, 1, 2, "GOP/s" },
	{ "linear_q4_k", run_linear, KN_Q4_K, 4, 32768, 1024, 1, 2, "GOP/s" },
	{ "linear_q4_k", run_linear, KN_Q4_K, 128, 768, 3072, 1, 2, "GOP/s" },
	{ "linear_q5_k", run_linear, KN_Q5_K, 1, 32768, 1024, 1, 2, "GOP/s" },
	{ "linear_q5_k", run_linear, KN_Q5_K, 128, 768, 3072, 1, 2, "GOP/s" },
	{ "linear_q6_k", run_linear, KN_Q6_K, 1, 32768, 1024, 1, 2, "GOP/s" },
	{ "linear_q6_k", run_linear, KN_Q6_K, 128, 768, 3072, 1, 2, "GOP/s" },
#define BLOCK_ROWS(name, type, number, form, bytes) \
	{ "linear_" #name, run_linear, KN_##type, 1, 4096, 4096, 1, 2, "GOP/s" }, \
	{ "linear_" #name, run_linear, KN_##type, 16, 4096, 4096, 1, 2, "GOP/s" },
	KN_BLOCK_TYPES(BLOCK_ROWS)
	{ "quantize_q8_k", run_quantize_k, KN_F32, 64, 0, 1024, 1, 4, "GB/s" },
	{ "quantize_q8_0", run_quantize, KN_F32, 64, 0, 1024, 1, 4, "GB/s" },
	{ "rms_norm", run_rms_norm, KN_F32, 64, 0, 1024, 1, 8, "GB/s" },
	{ "layer_norm", run_layer_norm, KN_F32, 64, 0, 1024, 1, 8, "GB/s" },
	{ "rope", run_rope, KN_F32, 64, 0, 1024, 1, 8, "GB/s" },
	{ "attn_paged_f32", run_paged, KN_F32, 1, 1024, 64, 7, 4, "GFLOP/s" },
	{ "attn_paged_f32", run_paged, KN_F32, 64, 1024, 64, 7, 4, "GFLOP/s" },
	{ "attn_paged_f16", run_paged, KN_F16, 1, 1024, 64, 1, 4, "GFLOP/s" },
	{ "attn_paged_f16", run_paged, KN_F16, 1, 1024, 64, 7, 4, "GFLOP/s" },
	{ "attn_paged_f16", run_paged, KN_F16, 64, 1024, 64, 7, 4, "GFLOP/s" },
	{ "attn_paged_f16", run_paged, KN_F16, 64, 1024, 128, 4, 4, "GFLOP/s" },
	{ "attn_paged_bf16", run_paged, KN_BF16, 1, 1024, 64, 7, 4, "GFLOP/s" },
	{ "attn_paged_bf16", run_paged, KN_BF16, 64, 1024, 64, 7, 4, "GFLOP/s" },
	{ "attn_paged_q8_0", run_paged, KN_Q8_0, 1, 1024, 64, 1, 4, "GFLOP/s" },
	{ "attn_paged_q8_0", run_paged, KN_Q8_0, 1, 1024, 64, 7, 4, "GFLOP/s" },
	{ "attn_paged_q8_0", run_paged, KN_Q8_0, 64, 1024, 64, 7, 4, "GFLOP/s" },
	{ "attn_paged_q8_0", run_paged, KN_Q8_0, 64, 1024, 128, 4, 4, "GFLOP/s" },
	{ "attn_paged_f8_e4m3", run_paged, KN_F8_E4M3, 1, 1024, 64, 1, 4, "GFLOP/s" },
	{ "attn_paged_f8_e4m3", run_paged, KN_F8_E4M3, 1, 1024, 64, 7, 4, "GFLOP/s" },
	{ "attn_paged_f8_e4m3", run_paged, KN_F8_E4M3, 64, 1024, 64, 7, 4, "GFLOP/s" },
	{ "attn_paged_f8_e4m3", run_paged, KN_F8_E4M3, 64, 1024, 128, 4, 4, "GFLOP/s" },
#define FAR(family, type, group, bytes) { family, run_far, type, 1, 16384, 64, group, FAR_HEADS * 2 * bytes / group, "GB/s" }
	FAR("attn_paged_f16", KN_F16, 1, 2.0),
	FAR("attn_paged_bf16", KN_BF16, 1, 2.0),
	FAR("attn_paged_q8_0", KN_Q8_0, 1, 1.0625),
	FAR("attn_paged_f8_e4m3", KN_F8_E4M3, 1, 1.0625),
	FAR("attn_paged_f16", KN_F16, 4, 2.0),
	FAR("attn_paged_q8_0", KN_Q8_0, 4, 1.0625),
	FAR("attn_paged_f8_e4m3", KN_F8_E4M3, 4, 1.0625),
	FAR("attn_paged_f16", KN_F16, 7, 2.0),
	FAR("attn_paged_bf16", KN_BF16, 7, 2.0),
	FAR("attn_paged_q8_0", KN_Q8_0, 7, 1.0625),
	FAR("attn_paged_f8_e4m3", KN_F8_E4M3, 7, 1.0625),
	{ "store_kv_q8_0", run_store_kv, KN_Q8_0, 64, 0, 128, 1, 5, "GB/s" },
	{ "store_kv_f8_e4m3", run_store_kv, KN_F8_E4M3, 64, 0, 128, 1, 5, "GB/s" },
	{ "load_kv_q8_0", run_load_kv, KN_Q8_0, 64, 0, 128, 1, 5, "GB/s" },
	{ "load_kv_f8_e4m3", run_load_kv, KN_F8_E4M3, 64, 0, 128, 1, 5, "GB/s" },
	{ "attn_dense", run_dense, KN_F32, 256, 1024, 64, 1, 4, "GFLOP/s" },
	{ "attn_dense", run_dense, KN_F32, 256, 1024, 72, 1, 4, "GFLOP/s" },
	{ "gelu_tanh", run_gelu_tanh, KN_F32, 0, 4096, 0, 1, 8, "GB/s" },
	{ "gelu_erf", run_gelu_erf, KN_F32, 0, 4096, 0, 1, 8, "GB/s" },
	{ "gelu_quick", run_gelu_quick, KN_F32, 0, 4096, 0, 1, 8, "GB/s" },
	{ "silu", run_silu, KN_F32, 0, 4096, 0, 1, 8, "GB/s" },
	{ "silu_mul", run_silu_mul, KN_F32, 0, 4096, 0, 1, 12, "GB/s" },
	{ "gelu_tanh_mul", run_gelu_tanh_mul, KN_F32, 0, 4096, 0, 1, 12, "GB/s" },
	{ "add", run_add, KN_F32, 0, 4096, 0, 1, 12, "GB/s" },
	{ "snake", run_snake, KN_F32, 0, 4096, 0, 1, 1, "Gsin/s" },
	{ "depthwise", run_depthwise, KN_F32, 512, 0, 128, 1, 14, "GFLOP/s" },
	{ "load_f16", run_load_f16, KN_F16, 0, 4096, 0, 1, 6, "GB/s" },
	{ "load_bf16", run_load_bf16, KN_BF16, 0, 4096, 0, 1, 6, "GB/s" },
	{ "load_f8_e4m3", run_load_f8_e4m3, KN_F8_E4M3, 0, 4096, 0, 1, 5, "GB/s" },
	{ "load_q8_0", run_load_q8_0, KN_Q8_0, 0, 4096, 0, 1, 5.0625, "GB/s" },
	{ "store_f16", run_store_f16, KN_F16, 0, 4096, 0, 1, 6, "GB/s" },
	{ "store_bf16", run_store_bf16, KN_BF16, 0, 4096, 0, 1, 6, "GB/s" },
};

/* Fresh random data, in every storage form that a timing may read. */
static void fill(const kn_table *ref, bool codes)
{
	for (size_t i = 0; i < FLOATS / 4; i++) s.x[i] = random_float();
	memcpy(s.z, s.x, FLOATS / 4 * sizeof *s.z);
	kn_type x_type = kn_activation(s.type);
	if (x_type != KN_F32) kn_quantize_of(ref, x_type)(s.q, 0, s.x, 0, 1, FLOATS / 4);
	/* codes may be any: a piece of random ones again and again */
	size_t piece = 1 << 16, bytes = kn_row_bytes(s.type, piece);
	random_weights(s.type, s.w, piece);
	if (codes) /* of K and V: any byte is one, and any two are a scale of some size */
		for (size_t i = 0; i < bytes; i++) ((uint8_t *)s.w)[i] = (uint8_t)(0x10 + random_below(0x20));
	for (size_t at = bytes; at + bytes <= FLOATS * sizeof(float); at += bytes) memcpy((uint8_t *)s.w + at, s.w, bytes);
}

static double seconds(void (*run)(const kn_table *), const kn_table *t)
{
	double best = 1e9, started = now();
	for (int i = 0; i < 3 || (now() - started < 0.12 && i < 2000); i++) {
		double before = now();
		run(t);
		double took = now() - before;
		if (took < best) best = took;
	}
	return best;
}

#ifdef __x86_64__
#include <immintrin.h>

/* The machine's f32 FMA peak by ISA, to read the rates against: independent chains in registers, nothing else. */
#define CHAINS(op) \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11)
#define PEAK(name, isa, vec, set1, fma, width) \
	__attribute__((target(isa))) static double name(float x) \
	{ \
		enum { N = 100000 }; \
		vec a[12], b = set1(x), c = set1(1 - x); \
		double best = 1e9; \
		for (int round = 0; round < 40; round++) { \
			double before = now(); \
			INIT \
			for (int i = 0; i < N; i++) { CHAINS(fma) } \
			double took = now() - before; \
			for (int i = 0; i < 12; i++) s.y[0] += ((const float *)(const void *)&a[i])[0]; \
			if (took < best) best = took; \
		} \
		return 12.0 * N * width * 2 / best * 1e-9; \
	}
#define INIT for (int i = 0; i < 12; i++) a[i] = b;
#define FMA256(i) a[i] = _mm256_fmadd_ps(a[i], b, c);
#define FMA512(i) a[i] = _mm512_fmadd_ps(a[i], b, c);
PEAK(peak_avx2, "avx2,fma", __m256, _mm256_set1_ps, FMA256, 8)
PEAK(peak_avx512, "avx512f", __m512, _mm512_set1_ps, FMA512, 16)

static void print_peak(void)
{
	kn_isa has = kn_detect();
	if (has >= KN_ISA_AVX2) printf("f32 FMA peak of one core: avx2 %.1f GFLOP/s", peak_avx2(0.5f));
	if (has >= KN_ISA_AVX512) printf(", avx512 %.1f GFLOP/s", peak_avx512(0.5f));
	if (has >= KN_ISA_AVX2) printf("\n");
}
#else
static void print_peak(void) { }
#endif

void time_rows(const char *only)
{
	kn_table ref;
	size_t n_row;
	const kn_row *rows = kn_rows(&n_row);
	kn_select(&ref, KN_ISA_REF);
	s.x = aligned_alloc(64, FLOATS * sizeof *s.x);
	s.y = aligned_alloc(64, FLOATS * sizeof *s.y);
	s.z = aligned_alloc(64, FLOATS * sizeof *s.z);
	s.w = aligned_alloc(64, FLOATS * sizeof(float));
	s.q = aligned_alloc(64, FLOATS * sizeof(float));
	s.pages = calloc(256, sizeof *s.pages);
	s.begin = calloc(256, sizeof *s.begin);
	s.end = calloc(256, sizeof *s.end);
	if (!s.x || !s.y || !s.z || !s.w || !s.q || !s.pages || !s.begin || !s.end) {
		fprintf(stderr, "kn_check: out of memory\n");
		exit(2);
	}
	print_peak();
	printf("%-16s %-28s %-8s %11s %10s %8s %9s\n", "family", "shape", "variant", "us", "rate", "", "x ref");
	for (size_t i = 0; i < sizeof timings / sizeof *timings; i++) {
		const struct timing *c = timings + i;
		if (only && strcmp(only, c->family)) continue;
		s.type = c->type, s.m = c->m, s.n = c->n, s.k = c->k, s.group = c->group;
		fill(&ref, !strncmp(c->family, "attn_paged_", 11) && kn_kv_scales(c->type, c->k));
		for (uint32_t j = 0; j < 256; j++) s.pages[j] = c->run == run_far ? j : j % 16, s.end[j] = (uint32_t)c->n;
		double items = (double)(c->m ? c->m : 1) * (double)(c->n ? c->n : 1) * (double)(c->k ? c->k : 1) * (double)c->group;
		double slow = 0;
		for (size_t r = n_row; r-- > 0;) { /* the reference's row comes last */
			kn_table t = ref;
			if (strcmp(rows[r].family, c->family) || rows[r].needs > kn_detect()) continue;
			memcpy((char *)&t + rows[r].member, &rows[r].fn, sizeof rows[r].fn);
			double took = seconds(c->run, &t);
			if (rows[r].needs == KN_ISA_REF) slow = took;
			char shape[64];
			snprintf(shape, sizeof shape, "m %zu n %zu k %zu g %zu", c->m, c->n, c->k, c->group);
			printf("%-16s %-28s %-8s %11.2f %10.2f %8s %9.1f\n", c->family, shape, rows[r].variant, took * 1e6,
			       items * c->per_item / took * 1e-9, c->rate, slow / took);
		}
	}
	free(s.x), free(s.y), free(s.z), free(s.w), free(s.q), free(s.pages), free(s.begin), free(s.end);
}
