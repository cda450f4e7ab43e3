/* plugins.h - the fields of POST /v1/plugins. */
#ifndef API_PLUGINS_H
#define API_PLUGINS_H

#include "fields.h"

extern const field_table plugin_fields;

#endif
