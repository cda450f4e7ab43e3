/* fields.h - the fields of a request's body as tables. What parses a body also tells it in the OpenAPI document, so the two
 * cannot differ.
 *
 * An endpoint names its tables, and for each the struct that the offsets in it are about. A field that is in none of them is
 * refused by name: nothing that a client asks for is dropped in silence. null asks for the default, save where a field is
 * required.
 */
#ifndef API_FIELDS_H
#define API_FIELDS_H

#include <jansson.h>

#include "core.h"

typedef enum field_kind {
	FIELD_REAL,     /* float */
	FIELD_INT,      /* int32_t */
	FIELD_UINT,     /* uint32_t */
	FIELD_BOOL,     /* bool */
	FIELD_NAME,     /* const char *: a string, not empty, without NUL */
	FIELD_TEXT,     /* any string, without effect */
	FIELD_TEXT_MAP, /* an object of strings, without effect */
	FIELD_FILE,     /* form_file: bytes of a form (form.h) */
	FIELD_CUSTOM,   /* parse() stores it, schema tells what it takes */
	FIELD_ONLY      /* not done here: takes only the value `schema`, which asks for what happens anyway; NULL: null alone */
} field_kind;

#define FIELD_NOWHERE SIZE_MAX

typedef struct field field;
struct field {
	const char *name;
	field_kind kind;
	size_t offset;   /* in the table's struct; FIELD_NOWHERE: checked, without effect */
	double min, max; /* max UINT32_MAX: as much as the type holds, other limits come first */
	bool open_min;   /* min itself is out of range */
	bool required;
	bool late;       /* parsed after all others: what costs work waits until the rest is right */
	int (*parse)(const field *f, void *into, const json_t *v, sn_error *err);
	const char *schema;   /* CUSTOM: JSON Schema of what is not null; ONLY: the value, as JSON */
	const char *standard; /* the default, as JSON; NULL: none, or doc tells */
	const char *doc;
};

typedef struct field_table { const field *fields; size_t n; } field_table;

#define FIELD_TABLE(array) {(array), sizeof (array) / sizeof *(array)}
#define FIELD_STR_(x) #x
#define FIELD_STR(x) FIELD_STR_(x) /* of a limit, for schemas */

/* tables, into: [n]. What a custom field allocated is the caller's to release, also on failure. */
int fields_parse(const json_t *root, const field_table *const *tables, void *const *into, size_t n, sn_error *err);
/* For custom parsers: an integer within the field's limits, named as param. */
int field_integer(const json_t *v, const char *param, double min, double max, int64_t *out, sn_error *err);

/* For custom parsers: a seed, any integer of 64 bits. */
int field_seed(const json_t *v, const char *param, uint64_t *seed, sn_error *err);
#define FIELD_SEED_SCHEMA "{\"type\":\"integer\",\"minimum\":-9223372036854775808,\"maximum\":9223372036854775807}"
#define FIELD_SEED_DOC "The same request with the same seed gives the same bytes. Drawn if not given."

/* The JSON Schema of a body, additionalProperties false; NULL if memory ran out. */
json_t *fields_schema(const field_table *const *tables, size_t n);

#endif
