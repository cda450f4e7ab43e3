/* kit_load.h - keys and tensors of a model file. Nothing is believed: each fault names the key and its value. All [load]. */
#ifndef KIT_LOAD_H
#define KIT_LOAD_H

#include "kit.h"

/* ---- keys ---- */

typedef struct kit_size {
	const char *key;
	uint32_t *value, min, max;
} kit_size;

/* Is the value within its bounds? For keys that may be missing: *value has been set. */
sn_rc kit_check_size(const kit_size *size, sn_fault *fault);
/* Each key has to be there, and within its bounds; they are read in their order. */
sn_rc kit_read_sizes(const sn_host_weights *weights, const sn_model *model, const kit_size *sizes, size_t n, sn_fault *fault);
/* What a norm adds to the variance: above 0 and below 1. */
sn_rc kit_read_eps(const sn_host_weights *weights, const sn_model *model, const char *key, float *eps, sn_fault *fault);

/* ---- tensors: by the name before ".weight" and ".bias". The host checks their shapes. ---- */

typedef struct kit_binder {
	const sn_host_weights *weights;
	const sn_model *model;
	sn_fault *fault;
	sn_rc rc; /* the first failure; later calls do nothing */
} kit_binder;

typedef struct kit_norm {
	sn_tensor w, b; /* [n] */
} kit_norm;

const sn_weight *kit_bind_linear(kit_binder *b, const char *name, bool bias, uint64_t n_out, uint64_t n_in);
const sn_weight *kit_bind_conv1d(kit_binder *b, const char *name, uint64_t n_out, uint64_t n_in, uint64_t taps);
kit_norm kit_bind_norm(kit_binder *b, const char *name, uint64_t n);
/* [n] or, if rows > 0, [rows][n]; by its whole name. */
sn_tensor kit_bind_tensor(kit_binder *b, const char *name, uint64_t rows, uint64_t n);

#endif
