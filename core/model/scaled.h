/* scaled.h - products with a matrix whose values are to be multiplied by numbers beside it: by one for all, by one for each output, or by
 * one for each block of outputs and inputs, as 8-bit floats are stored. */
#ifndef SN_MODEL_SCALED_H
#define SN_MODEL_SCALED_H

#include "model/ops.h"

/* y [m, n] (rows of ldy) = x [m, n_in] (rows of ldx) times outputs c0 .. c0 + n of w, whose scales.v is there, and its bias. Products of one
 * block of inputs are summed first, then scaled; blocks are added in order: nothing depends on m, or on how outputs are cut. */
void scaled_linear(kn_linear_fn *fn, float *y, size_t ldy, const float *x, size_t ldx, const weight *w, size_t c0, size_t m, size_t n);
/* Values of one output. */
void scaled_row(float *values, const weight *w, size_t row);

#endif
