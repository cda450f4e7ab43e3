/* hf_read.h - values of config.json, for whoever reads a family's: each is of the right kind and in its range, or is refused
 * with the file's name and the key. */
#ifndef SN_FORMATS_HF_READ_H
#define SN_FORMATS_HF_READ_H

#include "base/json.h"
#include "core.h"

enum { HF_MAX_LAYERS = 4096, HF_MAX_SIZE = 1 << 28 };

/* An integer from 1 to max; absent: def, or refused if that is 0. */
sn_status hf_read_size(const json_t *json, const char *key, uint32_t max, uint32_t def, uint32_t *out, sn_error *err);
sn_status hf_read_above_zero(const json_t *json, const char *key, double def, double *out, sn_error *err);
sn_status hf_read_bool(const json_t *json, const char *key, bool def, bool *out, sn_error *err);
/* Weights that are stored in another way than as plain numbers are not read. */
sn_status hf_refuse_quantised(const json_t *json, sn_error *err);
/* The activation that `key` names, if it is there, is this one. */
sn_status hf_check_activation(const json_t *json, const char *key, const char *only, sn_error *err);

#endif
