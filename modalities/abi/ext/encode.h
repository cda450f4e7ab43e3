/* ext/encode.h - "sn.encode/1": a job that turns one medium into embedding rows, in slices.
 *
 *   host: begin(state, media, plan)      state: plan->state_bytes, zeroed, the job's until end or cancel
 *   host: step(state, max_units, rows)   -> AGAIN, with *units_done <= max_units; or END, with rows filled
 *   host: end(state)                     after END, or instead of further steps
 *
 * A slice is a few units: other people's tokens run between slices. What a row becomes must not depend on how the units
 * are cut, nor on what else runs. Tensors come from sn_host_ops scratch that lives as long as the job.
 */
#ifndef SENSORIUM_EXT_ENCODE_H
#define SENSORIUM_EXT_ENCODE_H

#include "../host/ops.h"
#include "../media.h"
#include "plan.h"

#define SN_EXT_ENCODE "sn.encode/1"

typedef struct sn_ext_encode {
	uint32_t size;
	uint32_t reserved;
	/* Preprocesses (resize, normalise, patches) and may upload. Takes tensors from ops; may borrow
	 * from sn.host.memory until it returns. state is aligned like malloc's memory. Media thread, not the step; for a clip's group
	 * (ext/watch.h), which has its size already, either. [any] */
	sn_rc (*begin)(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, const sn_media *media,
	               const sn_media_plan *plan, sn_fault *fault);
	/* rows: [plan->n_rows][row_dim] floats, filled when END is returned. [step] */
	sn_rc (*step)(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done,
	              float *rows, sn_fault *fault);
	/* After END, after a cancel, after a failure, also of begin (state may then be as zeroed): releases what begin took beyond
	 * state and ctx, usually nothing. [step] */
	void (*end)(void *instance, void *state);
} sn_ext_encode;

#endif
