/* schema_ref.c - where references lead: JSON pointers inside the schema, and nowhere else. */
#include <stdio.h>
#include <stdlib.h>

#include "fields.h"
#include "json.h"
#include "schema_inside.h"

#define MAX_REF_STEPS 32 /* from one $ref to the next */

/* One step of a JSON pointer, ~0, ~1 and %xx undone; false if it is malformed. */
static bool pointer_step(const char **at, char *out, size_t cap)
{
	size_t n = 0;
	for (; **at && **at != '/'; ++*at) {
		char c = **at;
		unsigned byte;
		if (c == '%' && sscanf(*at + 1, "%2x", &byte) == 1 && (*at)[1] && (*at)[2]) {
			c = (char)byte;
			*at += 2;
		}
		if (c == '~' && ((*at)[1] == '0' || (*at)[1] == '1'))
			c = *++*at == '0' ? '~' : '/';
		if (n + 1 >= cap || c == 0)
			return false;
		out[n++] = c;
	}
	out[n] = 0;
	return true;
}

const json_t *schema_resolve(const json_t *root, const char *ref)
{
	char name[256];
	const json_t *at = root;
	if (*ref++ != '#')
		return NULL;
	while (at && *ref) {
		if (*ref++ != '/' || !pointer_step(&ref, name, sizeof name))
			return NULL;
		char *end = name;
		if (json_is_array(at))
			at = *name >= '0' && *name <= '9' ? json_array_get(at, strtoul(name, &end, 10)) : NULL;
		else
			at = json_object_get(at, name);
		if (*end && end != name)
			return NULL;
	}
	return at;
}

/* What a schema's $ref leads to in the end; NULL: nowhere. */
const json_t *schema_follow_refs(void *ctx, const json_t *s)
{
	const writer *w = ctx;
	for (int steps = 0; s && json_object_get(s, "$ref"); steps++) {
		const char *ref = body_plain_string(json_object_get(s, "$ref"));
		s = ref && steps < MAX_REF_STEPS ? schema_resolve(w->root, ref) : NULL;
	}
	return s;
}
