/* hf_float8.h - what a config.json says of weights that are 8-bit floats (e4m3) with scales beside them. */
#ifndef SN_FORMATS_HF_FLOAT8_H
#define SN_FORMATS_HF_FLOAT8_H

#include "base/json.h"
#include "formats/model_file.h"

/* compressed-tensors' "float-quantized", and "fp8", as DeepSeek and Qwen publish theirs: a scale for a tensor, for each output, or for each
 * block of outputs and inputs, whose size becomes f's keys FILE_SCALE_ROWS and FILE_SCALE_COLS. *f8: the weights are of that kind; other
 * kinds are refused by name. What it says of activations is left to the products, which keep them whole. */
sn_status hf_float8_read(bool *f8, model_file *f, const json_t *config, sn_error *err);

#endif
