/* hf_keys.h - keys that no file stores: values of JSON files in the stored form of GGUF's, so that who reads a model_file
 * need not know where they came from. All of it lives in the model file's arena. */
#ifndef SN_FORMATS_HF_KEYS_H
#define SN_FORMATS_HF_KEYS_H

#include "formats/model_file.h"

enum { HF_MAX_KEYS = 128 };

/* Room for HF_MAX_KEYS keys in f. */
sn_status hf_keys_init(model_file *f, sn_error *err);

/* Each adds one key; prefix, if not NULL, stands before the name with a dot. SN_ERR_NOMEM at worst. */
sn_status hf_key_u32(model_file *f, const char *prefix, const char *name, uint32_t v, sn_error *err);
sn_status hf_key_f32(model_file *f, const char *prefix, const char *name, double v, sn_error *err);
sn_status hf_key_bool(model_file *f, const char *prefix, const char *name, bool v, sn_error *err);
sn_status hf_key_str(model_file *f, const char *prefix, const char *name, str v, sn_error *err);
/* Arrays of n values. */
sn_status hf_key_bools(model_file *f, const char *prefix, const char *name, const bool *v, size_t n, sn_error *err);
sn_status hf_key_strs(model_file *f, const char *prefix, const char *name, const char *const *v, size_t n, sn_error *err);
sn_status hf_key_i32s(model_file *f, const char *prefix, const char *name, const int32_t *v, size_t n, sn_error *err);

#endif
