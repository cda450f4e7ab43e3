/* host/weights.h - "sn.host.weights/1": keys and tensors of the model file, by the names that the file gives them.
 * Handles are valid until the instance's fini. All [load]. */
#ifndef SENSORIUM_HOST_WEIGHTS_H
#define SENSORIUM_HOST_WEIGHTS_H

#include "../plugin.h"
#include "../tensor.h"

#define SN_HOST_WEIGHTS "sn.host.weights/1"

/* A matrix (with its bias) as the host keeps it: packed, quantised, on a device. Opaque. */
typedef struct sn_weight sn_weight;

typedef struct sn_host_weights {
	uint32_t size;
	uint32_t reserved;
	/* Keys. False, *out untouched, if missing or of another type. Integers of any width are accepted where they fit. */
	bool (*get_u32)(const sn_model *model, const char *key, uint32_t *out);
	bool (*get_f32)(const sn_model *model, const char *key, float *out);
	bool (*get_bool)(const sn_model *model, const char *key, bool *out);
	const char *(*get_str)(const sn_model *model, const char *key); /* NUL-terminated, or NULL */
	uint32_t (*get_f32_array)(const sn_model *model, const char *key, float *out, uint32_t cap); /* how many there are; 0 if none */
	/* y = x W^T + b with W `name` [n_out, n_in]: more than two dimensions are flattened into n_in. bias: a tensor's name or NULL.
	 * A missing tensor or another shape is SN_RC_INVALID and the fault names it. */
	sn_rc (*linear)(const sn_model *model, const char *name, const char *bias, uint64_t n_out, uint64_t n_in,
	                const sn_weight **out, sn_fault *fault);
	/* A small tensor as f32 on the ops' device: [n] or, if n_rows > 0, [n_rows][n]. */
	sn_rc (*tensor)(const sn_model *model, const char *name, uint64_t n_rows, uint64_t n, sn_tensor *out, sn_fault *fault);
	/* An array of integers, of any width; how many there are, 0 if none or if one does not fit. */
	uint32_t (*get_i32_array)(const sn_model *model, const char *key, int32_t *out, uint32_t cap);
	/* String i of an array of strings: NUL-terminated; NULL past its end, or if there is no such array. */
	const char *(*get_str_at)(const sn_model *model, const char *key, uint32_t i);
	/* A one-dimensional convolution's weights `name` [n_out][n_in][taps], for sn_host_ops.conv1d. bias: a tensor's name or NULL. */
	sn_rc (*conv1d)(const sn_model *model, const char *name, const char *bias, uint64_t n_out, uint64_t n_in, uint64_t taps,
	                const sn_weight **out, sn_fault *fault);
	/* A tensor's dimensions, the outermost first; how many, 0 if it is missing. For sizes that no key tells. */
	uint32_t (*shape)(const sn_model *model, const char *name, uint64_t out[4]);
	/* Numbers that the plugin worked out itself (folded scales, windows), as a small tensor: [n] or, if n_rows > 0, [n_rows][n]. */
	sn_rc (*values)(const sn_model *model, const float *src, uint64_t n_rows, uint64_t n, sn_tensor *out, sn_fault *fault);
	/* A transposed convolution's weights `name` [n_in][n_out][taps], as the matrix [taps * n_out, n_in] that sn_host_ops.overlap_add
	 * follows; without bias. */
	sn_rc (*conv_transpose1d)(const sn_model *model, const char *name, uint64_t n_in, uint64_t n_out, uint64_t taps, const sn_weight **out,
	                          sn_fault *fault);
	/* A depthwise convolution's weights `name` [n][1][taps], as the tensor [taps][n] that sn_host_ops.conv1d_depthwise takes. */
	sn_rc (*conv1d_depthwise)(const sn_model *model, const char *name, uint64_t n, uint64_t taps, sn_tensor *out, sn_fault *fault);
	/* Of the language model that the file is, or stands beside: the i-th token, in the order of their ids, whose spelling begins so.
	 * NUL-terminated; NULL where there are no more of them, or no language model. For what only a vocabulary tells. */
	const char *(*token_at)(const sn_model *model, const char *prefix, uint32_t i);
} sn_host_weights;

#endif
