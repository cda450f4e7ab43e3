/* values.h - JSON as the engine's values (sn_value), for what chat templates show: tools, arguments of calls. */
#ifndef API_VALUES_H
#define API_VALUES_H

#include <jansson.h>

#include "core.h"

/* Memory of values; zeroed at its beginning, values_fini ends them all. */
typedef struct values { void **blocks; size_t n, cap; } values;

/* n zeroed elements; NULL without memory. */
void *values_array(values *v, size_t n, size_t size);
/* Strings are borrowed from the JSON, which body_parse read: its depth is bounded. False without memory. */
bool values_read(values *v, const json_t *json, sn_value *out);
void values_fini(values *v);

#endif
