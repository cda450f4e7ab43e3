/* json.h - a client's JSON, made safe before jansson sees it.
 *
 * jansson checks UTF-8, numbers and duplicate keys, but recurses and allocates per value. A linear scan bounds depth and
 * number of values first, also inside fields that are ignored later.
 */
#ifndef API_JSON_H
#define API_JSON_H

#include <jansson.h>

#include "core.h"

#define BODY_MAX_DEPTH 64
#define BODY_MAX_VALUES 200000

/* json_loadb under sn_json_guard: the one way to read JSON in api. Without memory NULL, *why is not set. */
json_t *json_read(const char *data, size_t size, size_t flags, json_error_t *why);
/* Of json_dumps; NULL is legal. */
void json_text_free(char *text);
/* *out is an object; release it with json_decref. */
int body_parse(json_t **out, const char *data, size_t size, sn_error *err);
/* The string without a NUL inside, or NULL. */
const char *body_plain_string(const json_t *v);
/* Refuses: "<param> must be <what>". */
int body_wants(sn_error *err, const char *param, const char *what);

#endif
