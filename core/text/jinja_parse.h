/* jinja_parse.h - source to tree. Everything that the subset lacks is refused here, by name and line. */
#ifndef SN_TEXT_JINJA_PARSE_H
#define SN_TEXT_JINJA_PARSE_H

#include "base/error.h"
#include "text/jinja_ast.h"

/* *out: a list of statements in the arena, NULL for an empty template. */
sn_status jinja_parse(arena *a, str source, const node **out, sn_error *err);

#endif
