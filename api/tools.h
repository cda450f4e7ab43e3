/* tools.h - what a chat may call: the fields tools, tool_choice and parallel_tool_calls.
 *
 * The chat template shows the tools to the model as the client wrote them, without `strict`. */
#ifndef API_TOOLS_H
#define API_TOOLS_H

#include "fields.h"
#include "values.h"

#define TOOLS_MAX 128
#define TOOL_NAME_MAX 64
#define TOOL_NAME_PATTERN "^[A-Za-z0-9_-]{1,64}$"

typedef struct tool {
	const char *name;
	const json_t *parameters; /* a JSON Schema; NULL: none were given */
	bool strict;
} tool;

typedef enum tool_choice { TOOL_CHOICE_AUTO, TOOL_CHOICE_NONE, TOOL_CHOICE_REQUIRED } tool_choice;

typedef struct tools {
	tool list[TOOLS_MAX];
	size_t n;
	sn_value shown;      /* a LIST */
	tool_choice choice;  /* REQUIRED: one has to be called, */
	const char *named;   /* this one; NULL: any */
	bool chosen, many;   /* tool_choice was given; several calls in one answer are fine */
	values values;
	json_t *copies;      /* that shown borrows from */
} tools;

void tools_init(tools *t);
void tools_fini(tools *t);

/* The names alone, on their own memory, for whoever outlives the body; NULL without memory. Ends with tools_close. */
tools *tools_names(const tools *t);
void tools_close(tools **t);

/* Parsers of fields.h whose `into` is a tools. */
int tools_parse(tools *t, const char *param, const json_t *v, sn_error *err);
int tools_parse_choice(tools *t, const char *param, const json_t *v, sn_error *err);
/* What the fields mean together. */
int tools_check(const tools *t, sn_error *err);
/* May the model call anything? */
bool tools_asked(const tools *t);
bool tool_name_fits(const char *name);

extern const char tools_schema[], tools_choice_schema[]; /* JSON Schema of what is parsed */

#endif
