/* schema_inside.h - between schema.c and its parts: who writes the rules of one schema, and what each part writes of it. Whatever fails has set w->err. */
#ifndef API_SCHEMA_INSIDE_H
#define API_SCHEMA_INSIDE_H

#include "fault.h"
#include "schema.h"

#define SCHEMA_MAX_RULES 4000

/* Kinds of values. */
enum { OBJECT = 1, ARRAY = 2, STRING = 4, NUMBER = 8, INTEGER = 16, BOOLEAN = 32, NUL = 64, ALL = 127 & ~INTEGER };

typedef struct made { const json_t *schema; unsigned rule; } made;

typedef struct writer {
	const json_t *root;
	const char *param;
	out_buf *out;     /* rules that are whole */
	made *rules;      /* [n_rules] */
	unsigned first;   /* number of its first rule */
	unsigned n_rules, cap_rules, depth;
	json_t *merged;   /* keeps what was joined */
	size_t work;      /* that it has cost so far */
	sn_error *err;
} writer;

#define unsupported(w, ...) fault_set((w)->err, SN_ERR_UNSUPPORTED, (w)->param, __VA_ARGS__)
#define invalid(w, ...) fault_set((w)->err, SN_ERR_INVALID, (w)->param, __VA_ARGS__)

int schema_no_memory(writer *w);
/* A product of two sizes that a client chose. */
int schema_spend(writer *w, size_t a, size_t b);
/* "s3", the rule of a schema: written when it is first asked for. */
int schema_rule_for(writer *w, const json_t *schema, unsigned *out);

/* ---- schema_keyword.c ---- */

/* Every keyword is known; *kinds: what those that are there speak of. */
int schema_check_keywords(writer *w, const json_t *s, unsigned *kinds);
/* Nothing but these two and what says nothing about values. */
int schema_check_alone(writer *w, const json_t *s, const char *keyword, const char *beside);
int schema_read_types(writer *w, const json_t *type, unsigned *kinds);
int schema_read_count(writer *w, const json_t *s, const char *name, uint32_t standard, uint32_t *out);

/* ---- schema_ref.c ---- */

/* What a reference names; NULL: nothing. */
const json_t *schema_resolve(const json_t *root, const char *ref);
/* What a schema's $ref leads to in the end, of a writer; NULL: nowhere. A schema_follow. */
const json_t *schema_follow_refs(void *ctx, const json_t *s);

/* ---- one kind of value each, appended to a rule that is being written; me: its number ---- */

int schema_write_object(writer *w, const json_t *s, unsigned me, out_buf *rule);
int schema_write_array(writer *w, const json_t *s, unsigned me, out_buf *rule);
int schema_write_string(writer *w, const json_t *s, out_buf *rule);
int schema_write_number(writer *w, const json_t *s, bool whole, out_buf *rule);

/* ---- pieces of a grammar ---- */

/* A literal of the grammar; bytes are UTF-8. */
void grammar_literal(out_buf *out, const char *bytes, size_t size);

/* A JSON string, without its quotes, in which the pattern is found. Otherwise why not, as fixed text. */
const char *grammar_pattern(out_buf *out, const char *pattern, size_t size);

#endif
