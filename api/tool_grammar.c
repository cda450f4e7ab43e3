#include "tool_grammar.h"

#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "schema_inside.h"

#define KNOWN_NAME 24  /* bytes of a tool's name after which an answer that nothing opens has to be its call */

static int no_memory(sn_error *err) { return fault_set(err, SN_ERR_NOMEM, "tools", "no memory for a grammar"); }

/* ---- pieces of a format ---- */

static bool is_blank(char c) { return c == ' ' || c == '\n'; }

/* White space between tokens of JSON may be left out, or be another one. */
static void write_piece(out_buf *out, const char *piece, bool *quoted)
{
	const char *from = piece, *p = piece;
	for (; *p; p++) {
		if (is_blank(*p) && !*quoted) {
			if (p > from)
				grammar_literal(out, from, (size_t)(p - from));
			out_text(out, " gap");
			from = p + 1;
		}
		if (*p == '"')
			*quoted = !*quoted;
	}
	if (p > from)
		grammar_literal(out, from, (size_t)(p - from));
}

static void write_plain(out_buf *out, const char *piece)
{
	bool quoted = false;
	write_piece(out, piece, &quoted);
}

/* ---- arguments ---- */

/* The rule's number, or -1: any object. */
static int arguments_rule(const tools *t, const tool *one, unsigned *n_rules, int *rule, out_buf *out, sn_error *err)
{
	char param[64];
	sn_error why;
	size_t size = out->size;
	unsigned before = *n_rules;
	snprintf(param, sizeof param, "tools[%zu].function.parameters", (size_t)(one - t->list));
	*rule = -1;
	if (!one->parameters)
		return SN_OK;
	const json_t *type = json_object_get(one->parameters, "type");
	if (type && (!json_is_string(type) || strcmp(json_string_value(type), "object") != 0))
		return fault_set(err, SN_ERR_INVALID, param, "the type of a tool's parameters must be object");
	json_t *schema = type ? json_incref((json_t *)one->parameters) : json_copy((json_t *)one->parameters);
	if (!schema || json_object_size(schema) != json_object_size(one->parameters) || (!type && json_object_set_new(schema, "type", json_string("object")) != 0)) {
		json_decref(schema);
		return no_memory(err);
	}
	int rc = schema_rule(schema, param, n_rules, out, &why);
	json_decref(schema);
	if (rc == SN_OK) {
		*rule = (int)before;
		return SN_OK;
	}
	if (rc == SN_ERR_UNSUPPORTED && !one->strict && t->choice == TOOL_CHOICE_AUTO) {
		out->size = size;
		*n_rules = before;
		return SN_OK;
	}
	if (err)
		*err = why;
	return rc;
}

/* ---- calls ---- */

static bool may_call(const tools *t, const tool *one)
{
	return !t->named || strcmp(t->named, one->name) == 0;
}

/* answer: a value that the schema of the answer takes. */
static int write_answer(const tool_grammar_ask *ask, unsigned *n_rules, out_buf *out, sn_error *err)
{
	unsigned rule = *n_rules;
	int rc = schema_rule(ask->answer, "response_format", n_rules, out, err);
	out_fmt(out, "answer ::= s%u\n", rule);
	return rc;
}

static int write_call(const tools *t, const tool_grammar_ask *ask, unsigned *n_all, out_buf *out, sn_error *err)
{
	const sn_tool_format *f = ask->format;
	unsigned n_rules = 0;
	int rules[TOOLS_MAX] = {0}, rc = SN_OK;
	for (size_t i = 0; i < t->n && rc == SN_OK; i++)
		if (may_call(t, &t->list[i]))
			rc = arguments_rule(t, &t->list[i], &n_rules, &rules[i], out, err);
	*n_all = n_rules;
	if (rc != SN_OK)
		return rc;
	bool quoted = false, first = true;
	out_text(out, "call ::=");
	write_piece(out, f->open, &quoted);
	out_text(out, " (");
	for (size_t i = 0; i < t->n; i++) {
		bool inside = quoted;
		if (!may_call(t, &t->list[i]))
			continue;
		out_text(out, first ? "" : " |");
		first = false;
		grammar_literal(out, t->list[i].name, strlen(t->list[i].name));
		if (f->id) {
			out_text(out, " (");
			grammar_literal(out, f->id, strlen(f->id));
			out_text(out, " [0-9A-Za-z]{9})?");
		}
		write_piece(out, f->arguments, &inside);
		if (rules[i] < 0)
			out_text(out, " object");
		else
			out_fmt(out, " s%d", rules[i]);
	}
	out_text(out, ")");
	write_plain(out, f->close);
	out_text(out, "\ncalls ::=");
	if (*f->may_begin) {
		out_text(out, " (");
		grammar_literal(out, f->may_begin, strlen(f->may_begin));
		out_text(out, ")?");
	}
	write_plain(out, f->begin);
	write_plain(out, f->head);
	out_text(out, " call");
	if (ask->many) {
		out_text(out, " (");
		write_plain(out, f->between);
		out_text(out, " call)*");
	}
	write_plain(out, f->end);
	out_text(out, "\n");
	return SN_OK;
}

/* ---- words ---- */

static void write_class(out_buf *out, const char *chars, size_t n, bool blanks)
{
	out_text(out, "[^");
	for (size_t i = 0; i < n; i++) {
		if (strchr("[]^-\\", chars[i]))
			out_text(out, "\\");
		out_bytes(out, &chars[i], 1);
	}
	out_text(out, blanks ? " \\n\\t\\r]" : "]");
}

/* NAME: texts in which the mark does not stand. Its first character stands in it once. */
static void write_without(out_buf *out, const char *name, const char *mark)
{
	size_t n = strlen(mark);
	char both[2] = {mark[0], 0};
	out_fmt(out, "%spart ::=", name); /* the mark, but not all of it */
	for (size_t i = 0; i + 1 < n; i++) {
		grammar_literal(out, mark + i, 1);
		out_text(out, i + 2 < n ? " (" : "");
	}
	for (size_t i = 0; i + 2 < n; i++)
		out_text(out, ")?");
	out_fmt(out, "\n%soff ::=", name); /* some of the mark, and what is not its next character nor its first */
	for (size_t i = 0; i + 1 < n; i++) {
		both[1] = mark[i + 1];
		grammar_literal(out, mark + i, 1);
		out_text(out, " (");
		write_class(out, both, 2, false);
		out_text(out, i + 2 < n ? " |" : "");
	}
	for (size_t i = 0; i + 1 < n; i++)
		out_text(out, ")");
	out_fmt(out, "\n%s ::= (", name);
	write_class(out, mark, 1, false);
	out_fmt(out, " | %spart* %soff)* %spart*\n", name, name, name);
}

typedef struct prefix { const char *p; size_t n; } prefix;

static int by_bytes(const void *a, const void *b)
{
	const prefix *x = a, *y = b;
	int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
	return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* A rule for texts that do not begin as one of at[0..n), of which the first `depth` bytes, equal in all, have been said; then any, or if a mark
 * must not stand in them, which is one of these, what write_without has written as `words`. -> its number */
static unsigned write_unlike(out_buf *out, const prefix *at, size_t n, size_t depth, const char *mark, unsigned *n_rules)
{
	const bool again = mark && depth; /* it may begin here */
	char seen[257];
	unsigned to[256], n_seen = 0;
	for (size_t i = 0; i < n && n_seen + 1 < sizeof seen;) {
		size_t end = i;
		char c = at[i].p[depth];
		while (end < n && at[end].p[depth] == c)
			end++;
		seen[n_seen] = c;
		/* One that ends here has them all end: a longer one begins as it does. */
		to[n_seen++] = at[i].n == depth + 1 ? 0 : write_unlike(out, at + i, end - i, depth + 1, mark, n_rules);
		i = end;
	}
	unsigned me = ++*n_rules;
	out_fmt(out, "w%u ::= (", me);
	if (again)
		seen[n_seen] = mark[0];
	write_class(out, seen, n_seen + again, depth == 0);
	out_text(out, mark ? " words" : " .*");
	if (again)
		out_text(out, " | wordspart* wordsoff words | wordspart wordspart*");
	for (unsigned i = 0; i < n_seen; i++) {
		if (!to[i])
			continue;
		out_text(out, " |");
		grammar_literal(out, &seen[i], 1);
		out_fmt(out, " w%u", to[i]);
	}
	out_text(out, ")?\n");
	return me;
}

/* words: nothing that begins as a call or as thinking, nor white space. */
static int write_unlike_calls(const tools *t, const tool_grammar_ask *ask, out_buf *out, sn_error *err)
{
	const sn_tool_format *f = ask->format;
	out_buf bytes = {0};
	prefix *at = calloc(t->n + 2, sizeof *at);
	size_t n = 0, open = strlen(f->open), may = strlen(f->may_begin);
	unsigned n_rules = 0;
	for (size_t i = 0; i < t->n; i++) {
		out_text(&bytes, f->open);
		out_text(&bytes, t->list[i].name);
		out_text(&bytes, f->arguments);
	}
	if (!at || bytes.failed) {
		free(at);
		out_fini(&bytes);
		return no_memory(err);
	}
	const char *p = bytes.data;
	for (size_t i = 0; i < t->n; i++) {
		size_t name = strlen(t->list[i].name);
		/* A name that is cut, or all of it and the quote behind it, so that none begins as another. */
		at[n++] = (prefix){p, open + (name >= KNOWN_NAME ? KNOWN_NAME : name + 1)};
		p += open + name + strlen(f->arguments);
	}
	if (may)
		at[n++] = (prefix){f->may_begin, may};
	if (ask->thinks)
		at[n++] = (prefix){ask->thinks, strlen(ask->thinks)};
	qsort(at, n, sizeof *at, by_bytes);
	size_t kept = 0;
	for (size_t i = 0; i < n; i++) /* cut names may be equal */
		if (!kept || by_bytes(&at[kept - 1], &at[i]) != 0)
			at[kept++] = at[i];
	out_fmt(out, "words ::= w%u\n", write_unlike(out, at, kept, 0, NULL, &n_rules));
	free(at);
	out_fini(&bytes);
	return SN_OK;
}

/* words and what may stand around them: where thinking may come first, they do not begin as it does. */
static void write_words(const tool_grammar_ask *ask, out_buf *out)
{
	const char *mark = ask->format->begin;
	write_without(out, "words", mark);
	if (!ask->thinks) {
		out_text(out, "said ::= words calls?\n");
		return;
	}
	prefix at[] = {{mark, strlen(mark)}, {ask->thinks, strlen(ask->thinks)}};
	unsigned n_rules = 0;
	qsort(at, 2, sizeof *at, by_bytes);
	out_fmt(out, "said ::= thinking words calls? | blanks w%u calls? | gap", write_unlike(out, at, 2, 0, mark, &n_rules));
	grammar_literal(out, ask->thinks, strlen(ask->thinks)); /* it may stop while it thinks */
	out_text(out, " thoughts\n");
}

int tool_grammar(const tools *t, const tool_grammar_ask *ask, out_buf *out, sn_error *err)
{
	const sn_tool_format *f = ask->format;
	bool must = t && t->choice == TOOL_CHOICE_REQUIRED, words = !must && !ask->answer;
	unsigned n_rules = 0;
	schema_prelude(out);
	out_text(out, "gap ::= [ \\n]?\nblanks ::= [ \\n\\t\\r]*\n");
	int rc = t ? write_call(t, ask, &n_rules, out, err) : SN_OK;
	if (rc == SN_OK && !must && ask->answer)
		rc = write_answer(ask, &n_rules, out, err);
	if (rc == SN_OK && words && !*f->begin)
		rc = write_unlike_calls(t, ask, out, err);
	if (rc != SN_OK)
		return rc;
	if (words && *f->begin)
		write_words(ask, out);
	if (ask->thinks) {
		write_without(out, "thoughts", ask->thought);
		out_text(out, "thinking ::= gap");
		grammar_literal(out, ask->thinks, strlen(ask->thinks));
		out_text(out, " thoughts");
		grammar_literal(out, ask->thought, strlen(ask->thought));
		out_text(out, "\n");
	}
	if (words && *f->begin) {
		out_text(out, "root ::= said\n");
		return out->failed ? no_memory(err) : SN_OK;
	}
	out_text(out, ask->thinks ? "root ::= thinking?" : "root ::=");
	out_text(out, must ? " gap gap calls\n" : !t ? " gap gap answer\n" : ask->answer ? " gap gap (calls | answer)\n" : " blanks (calls | words)\n");
	return out->failed ? no_memory(err) : SN_OK;
}
