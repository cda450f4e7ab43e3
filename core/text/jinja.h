/* jinja.h - chat templates: a subset of Jinja 2, set up as transformers sets it up (trim_blocks, lstrip_blocks, one
 * final newline dropped, no autoescape, sandboxed: values cannot be changed, only namespaces).
 *
 * A template comes from a model file and is not trusted to behave: parsing is bounded in source size and depth,
 * rendering in steps, depth, memory and output. What the subset lacks is refused when the template is parsed, naming
 * the construct and its line; what goes wrong later is an error with the template's line. Error texts never repeat a
 * client's bytes.
 *
 * The output marks the bytes that came from the template or from trusted values; strings keep that provenance per
 * byte through every operator, filter and method.
 *
 *   source -> jinja_lex.c (tokens) -> jinja_parse.c (tree, jinja_ast.h) -> jinja_eval.c
 *
 *   parsing: jinja_parse.c (statements), jinja_expr.c (expressions), jinja_parse_state.c (look-ahead, names, errors)
 *   evaluating: jinja_ops.c (operators), jinja_filters.c, jinja_tests.c ("is"), jinja_methods.c (and functions),
 *   jinja_strings.c, jinja_repr.c (str, repr, JSON), jinja_builtin.c (argument binding), jinja_ctx.c (limits, provenance
 *   of output)
 *
 * A parsed template is immutable and may be rendered by many threads at once. */
#ifndef SN_TEXT_JINJA_H
#define SN_TEXT_JINJA_H

#include "base/error.h"
#include "base/str.h"
#include "text/marked.h"
#include "text/value.h"

#define JINJA_MAX_SOURCE ((size_t)1 << 20)
#define JINJA_MAX_PARSE_DEPTH 64  /* nested blocks and brackets */
#define JINJA_MAX_EVAL_DEPTH 200  /* nested evaluations, macro calls included */
#define JINJA_MAX_STEPS 1000000
#define JINJA_MAX_OUTPUT ((size_t)8 << 20)
#define JINJA_MAX_MEMORY ((size_t)64 << 20)

typedef struct jinja jinja;

/* SN_ERR_UNSUPPORTED: a construct outside the subset. SN_ERR_INVALID: not a template. The source is copied. */
sn_status jinja_open(jinja **out, str source, sn_error *err);
void jinja_close(jinja **t);
/* globals: a dict of the template's variables, or NULL. now: Unix seconds for strftime_now. Appends to out, which
 * holds a part of the text after an error. */
sn_status jinja_render(const jinja *t, const value *globals, int64_t now, marked_text *out, sn_error *err);

/* A global function of this name exists, so that no variable should take its place. */
bool jinja_has_function(str name);

#endif
