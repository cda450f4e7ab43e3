/* schema_merge.h - schemas that hold together, and schemas of which at most one can. */
#ifndef API_SCHEMA_MERGE_H
#define API_SCHEMA_MERGE_H

#include <jansson.h>
#include <stdbool.h>

/* One schema that takes what both take, or NULL: *why names the keyword that cannot be joined, or is NULL without memory. */
json_t *schema_merge(const json_t *a, const json_t *b, const char **why);

/* Follows $ref; NULL: there is nothing there. */
typedef const json_t *schema_follow(void *ctx, const json_t *schema);

/* Is there certainly no value that both take? */
bool schema_disjoint(const json_t *a, const json_t *b, schema_follow *follow, void *ctx, unsigned depth);

/* Only says something about the schema, nothing about values. */
bool schema_is_annotation(const char *keyword);

#endif
