/* form.h - the fields of a multipart/form-data body (multipart.h), by the tables that JSON bodies have (fields.h).
 *
 * A form knows only text: numbers and booleans are read as JSON writes them (and True, False, 1, 0 as clients write booleans), a list
 * is name[] again and again. Text is UTF-8. An empty value asks for the default, as null does in JSON.
 */
#ifndef API_FORM_H
#define API_FORM_H

#include "fields.h"
#include "multipart.h"

/* What a FIELD_FILE stores: the bytes, in the body. */
typedef struct form_file {
	const char *data; /* [size] */
	size_t size;
} form_file;

/* As fields_parse. *root: what texts in `into` are borrowed from; to be released with json_decref, also on failure. */
int form_parse(const multipart *form, const field_table *const *tables, void *const *into, size_t n, json_t **root, sn_error *err);

#endif
