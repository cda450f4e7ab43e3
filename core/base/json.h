/* json.h - JSON model files (config.json, tokenizer.json, safetensors headers): the one way from bytes to a jansson tree.
 *
 * jansson checks UTF-8, numbers and duplicate keys, but recurses and allocates per value: a linear scan bounds depth and
 * number of values first. An integer beyond 64 bits is a real here. Errors name the file, never its content.
 */
#ifndef SN_BASE_JSON_H
#define SN_BASE_JSON_H

#include <jansson.h>

#include "core.h"

enum { JSON_MAX_NESTING = 64 };

/* Any value at the top; release with json_decref. name: of the file, for messages. max_values bounds commas + brackets. */
sn_status json_parse(json_t **out, const char *bytes, size_t n, size_t max_values, const char *name, sn_error *err);
/* Reads a regular file of at most max_bytes, never through a symlink, and parses it. SN_ERR_NOT_FOUND if it is not there. */
sn_status json_file_read(json_t **out, const char *path, size_t max_bytes, sn_error *err);

/* NULL for what is absent or null: configurations of Python programs make no difference. */
const json_t *json_get(const json_t *object, const char *key);
/* A member's value if it is of that type, else the default. Objects may be NULL. */
const char *json_get_string(const json_t *object, const char *key); /* NULL if absent */
bool json_get_bool(const json_t *object, const char *key, bool def);
/* False, *out untouched, if absent or not an integer (json) / number. */
bool json_get_int(const json_t *object, const char *key, int64_t *out);
bool json_get_number(const json_t *object, const char *key, double *out);

#endif
