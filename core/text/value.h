/* value.h - what a template computes with: Python-like values in an arena, where every string knows, byte by byte,
 * whether it came from a trusted author (template, host) or from a client.
 *
 * Builders return NULL when the arena is full or when a value given to them is NULL, so that calls can be nested and
 * only the last result looked at. Values are shared freely; only dicts and lists under construction are changed. */
#ifndef SN_TEXT_VALUE_H
#define SN_TEXT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

typedef enum value_kind {
	VALUE_UNDEFINED,
	VALUE_NONE,
	VALUE_BOOL,
	VALUE_INT,
	VALUE_FLOAT,
	VALUE_STRING,
	VALUE_LIST,
	VALUE_TUPLE, /* as a list, prints as (a, b) */
	VALUE_DICT,  /* insertion order, string keys or any hashable scalar */
	VALUE_RANGE,     /* its ints are laid out; knows its bounds */
	VALUE_VIEW,      /* a dict's items(), keys() or values() */
	VALUE_GENERATOR, /* what map, select and others give: can be walked once; `t` shrinks */
	VALUE_NAMESPACE, /* a dict whose entries templates may set */
	VALUE_CYCLER,    /* entry 0: the items, entry 1: the position */
	VALUE_LOOP,      /* the `loop` of a for */
	VALUE_CALLABLE   /* a macro, a built-in function or a bound method */
} value_kind;

typedef struct text {
	const char *p;
	const uint8_t *marks; /* [n] 1: trusted; NULL: all of it is as `trusted` says */
	size_t n;
	bool trusted;
	bool markup; /* went through escape or safe: joined with other text by +, it escapes that (Python's Markup) */
} text;

typedef struct value value;
typedef struct value_entry { const value *key; const value *val; } value_entry;

typedef struct value_table { /* list: only vals; dict: key and val */
	value_entry *at; /* [n] */
	size_t n, cap;
	int64_t start, stop, step; /* RANGE */
	const char *error; /* GENERATOR: what comes in place of the items, or NULL */
	const char *view; /* VIEW: "items", "keys" or "values" */
	bool group;       /* TUPLE: a pair that groupby made; has attributes grouper and list */
	int depth; /* of nesting, at most VALUE_MAX_DEPTH, so that walking a value needs little stack */
} value_table;

#define VALUE_MAX_DEPTH 100

struct value {
	value_kind kind;
	union {
		bool b;
		int64_t i;
		double f;
		text s;
		value_table *t; /* LIST to CYCLER */
		struct jinja_loop *loop;
		const struct jinja_callable *fn;
	};
};

const value *value_undefined(void);
const value *value_none(void);
const value *value_bool(bool b);
value *value_int(arena *a, int64_t i);
value *value_float(arena *a, double f);
value *value_string(arena *a, str s, bool trusted); /* borrows the bytes */
value *value_text(arena *a, text t);                /* borrows bytes and marks */
value *value_list(arena *a);
value *value_tuple(arena *a);
value *value_dict(arena *a);
value *value_generator(arena *a);
/* False: memory, a NULL argument, or nested too deep. What is put in must be complete. */
bool value_push(arena *a, value *list, const value *item);
/* Sets an entry; key: NUL-terminated, borrowed, trusted. */
bool value_set(arena *a, value *dict, const char *key, const value *item);
/* Appends an entry without looking for an older one. */
bool value_put(arena *a, value *dict, const value *key, const value *item);

const value *value_get(const value *dict, str key); /* NULL if absent */
bool value_truth(const value *v);
bool value_is_table(const value *v); /* its `t` holds items */
const char *value_type_name(const value *v); /* "str", "list"... for error texts */
bool text_trusted(text t, size_t i);
text text_slice(text t, size_t begin, size_t end);
str text_str(text t);

#endif
