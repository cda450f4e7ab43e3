/* cpu.h - the list of families, and with it every CPU variant's prototype. Private to kernels/.
 *
 * A family is added in three places: its member of kn_table, its line here, and the files that define its variants.
 * table.c turns the same list into dispatch rows. */
#ifndef KN_CPU_H
#define KN_CPU_H

#include "kernels.h"

#define KN_FAMILIES(X) \
	X(kn_linear_fn, linear_f32) \
	X(kn_linear_fn, linear_f16) \
	X(kn_linear_fn, linear_bf16) \
	X(kn_linear_fn, linear_f8_e4m3) \
	X(kn_linear_fn, linear_q8_0) \
	X(kn_quantize_fn, quantize_q8_0) \
	X(kn_quantize_fn, quantize_q8_k) \
	X(kn_rms_norm_fn, rms_norm) \
	X(kn_layer_norm_fn, layer_norm) \
	X(kn_rope_fn, rope) \
	X(kn_attn_paged_fn, attn_paged_f32) \
	X(kn_attn_paged_fn, attn_paged_f16) \
	X(kn_attn_paged_fn, attn_paged_bf16) \
	X(kn_attn_paged_fn, attn_paged_q8_0) \
	X(kn_attn_paged_fn, attn_paged_f8_e4m3) \
	X(kn_store_kv_fn, store_kv_q8_0) \
	X(kn_store_kv_fn, store_kv_f8_e4m3) \
	X(kn_load_kv_fn, load_kv_q8_0) \
	X(kn_load_kv_fn, load_kv_f8_e4m3) \
	X(kn_attn_dense_fn, attn_dense) \
	X(kn_unary_fn, gelu_tanh) \
	X(kn_unary_fn, gelu_erf) \
	X(kn_unary_fn, gelu_quick) \
	X(kn_unary_fn, silu) \
	X(kn_binary_fn, silu_mul) \
	X(kn_binary_fn, gelu_tanh_mul) \
	X(kn_binary_fn, add) \
	X(kn_snake_fn, snake) \
	X(kn_depthwise_fn, depthwise) \
	X(kn_load_fn, load_f16) \
	X(kn_load_fn, load_bf16) \
	X(kn_load_fn, load_f8_e4m3) \
	X(kn_load_fn, load_q8_0) \
	X(kn_store_fn, store_f16) \
	X(kn_store_fn, store_bf16)

/* Each of KN_BLOCK_TYPES has a product in every variant; its load has none but the reference: it is of one row of an embedding per token. */
#define KN_DECLARE(type, family) type kn_##family##_ref, kn_##family##_avx2, kn_##family##_avx512;
#define KN_DECLARE_BLOCK(name, type, number, form, bytes) KN_DECLARE(kn_linear_fn, linear_##name) kn_load_fn kn_load_##name##_ref;
KN_FAMILIES(KN_DECLARE)
KN_BLOCK_TYPES(KN_DECLARE_BLOCK)
#undef KN_DECLARE
#undef KN_DECLARE_BLOCK

#endif
