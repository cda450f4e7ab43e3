/* tensor.h - an opaque tensor of the host's: shape and strides are readable, the numbers are not.
 * They may live on another device; they come back only through sn_host_ops.read. */
#ifndef SENSORIUM_TENSOR_H
#define SENSORIUM_TENSOR_H

#include "plugin.h"

typedef enum sn_type { SN_TYPE_F32 = 0, SN_TYPE_F16 = 1, SN_TYPE_I32 = 26 } sn_type;

/* Dimension 0 is the outermost: [shape[0]][shape[1]]...; strides are in elements. */
typedef struct sn_tensor {
	void *data; /* the host's handle: never dereferenced by a plugin */
	int32_t device;
	int32_t type; /* sn_type */
	uint32_t n_dims;
	uint32_t reserved;
	uint64_t shape[4];
	uint64_t stride[4];
} sn_tensor;

#endif
