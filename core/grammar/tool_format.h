/* tool_format.h - how models write calls of tools, as data (sn_tool_format in core.h), and which way a model has. */
#ifndef SN_GRAMMAR_TOOL_FORMAT_H
#define SN_GRAMMAR_TOOL_FORMAT_H

#include "base/str.h"
#include "core.h"

/* The tool that a chat template is probed with: what it writes of it tells the format. */
#define TOOL_PROBE "sn_probe_tool"

typedef struct tool_row {
	sn_tool_format format;
	const char *signs[3]; /* all of these are in what the template writes of tools and calls, */
	const char *unlike;   /* and this is not; NULL: nothing */
	/* For templates that do not do it, in Jinja: what the user is told of `tools`; how a call of `name` with `arguments` stands in the
	 * assistant's words; how the `content` of the tool `name` stands in the user's. NULL: it is the template's to do. */
	const char *tell, *call, *result;
} tool_row;

const tool_row *tool_format_at(size_t i); /* NULL behind the last */
/* The row of a template that writes so, or NULL. */
const tool_row *tool_format_find(str written);

#endif
