/* schema.h - a JSON Schema as a grammar: what is let through is JSON that the schema takes.
 *
 *   schema --merge allOf, follow $ref--> kinds (object, array, string, ...) --> rules of core's grammar, as text
 *
 * Every answer is valid; not every valid text can be an answer. Where the schema leaves a choice, it is made once:
 *   - properties come in the order in which `properties` names them, the additional ones last; with `properties` there are additional
 *     ones only where additionalProperties asks for them;
 *   - between two tokens of JSON stands nothing, a blank, or a new line with its indentation (at most 32 blanks or tabs);
 *   - numbers have at most 16 digits before the point, 15 behind it, and two of an exponent; \u escapes spell no surrogates;
 *   - without `type`, a schema is about the kinds of value that its keywords speak of; an enum's values are written as jansson does;
 *   - formats are narrow (dates end at the 28th of February, hosts have at most three labels).
 * A keyword that cannot be kept this way is refused by its name, and so is one that is unknown. */
#ifndef API_SCHEMA_H
#define API_SCHEMA_H

#include <jansson.h>

#include "core.h"
#include "out.h"

/* Appends the grammar of one value that the schema takes. SN_ERR_UNSUPPORTED, SN_ERR_INVALID: err.text tells the keyword; param is set. */
int schema_grammar(const json_t *schema, const char *param, out_buf *out, sn_error *err);
/* The grammar of any object. */
void schema_any_object(out_buf *out);

/* Values inside a grammar of the caller's own: the prelude once, then each schema's rules, of which s<*n_rules>, as it was before the call, is the
 * value. *n_rules begins with 0 and counts on. The names s<number>..., any, object, member, array, string, char, integer, number, ws, sp, plain are
 * then taken; `object` is any object.
 *   unsigned n = 0, city;
 *   schema_prelude(&g);
 *   city = n;
 *   rc = schema_rule(parameters, "tools", &n, &g, err);
 *   out_fmt(&g, "root ::= \"call \" s%u\n", city); */
void schema_prelude(out_buf *out);
int schema_rule(const json_t *schema, const char *param, unsigned *n_rules, out_buf *out, sn_error *err);

#endif
