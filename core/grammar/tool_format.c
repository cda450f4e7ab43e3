/* tool_format.c - the table. Sources: the chat templates that the families publish, and for Gemma 3, whose template knows no tools,
 * its public guide to function calling. */
#include "grammar/tool_format.h"

#include <string.h>

static const tool_row rows[] = {
	/* Mistral's newer ones, from v11 on; before the arguments may stand an id. */
	{.format = {.name = "mistral-args", .begin = "[TOOL_CALLS]", .may_begin = "", .head = "", .open = "", .arguments = "[ARGS]", .close = "",
	            .between = "[TOOL_CALLS]", .end = "", .id = "[CALL_ID]", .marks = {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"}},
	 .signs = {"[TOOL_CALLS]" TOOL_PROBE, "[ARGS]"}},
	{.format = {.name = "mistral", .begin = "[TOOL_CALLS]", .may_begin = "", .head = " [", .open = "{\"name\": \"", .arguments = "\", \"arguments\": ",
	            .close = "}", .between = ", ", .end = "]", .marks = {"[TOOL_CALLS]"}},
	 .signs = {"[TOOL_CALLS]", "[AVAILABLE_TOOLS]"}},
	/* Hermes, Qwen2.5, Qwen3, SmolLM3, ...; not Qwen3-Coder, which writes XML inside. */
	{.format = {.name = "hermes", .begin = "<tool_call>", .may_begin = "", .head = "", .open = "\n{\"name\": \"", .arguments = "\", \"arguments\": ",
	            .close = "}\n</tool_call>", .between = "\n<tool_call>", .end = "", .marks = {"<tool_call>", "</tool_call>"}},
	 .signs = {"<tool_call>", "\"arguments\":"}, .unlike = "<function=",
	 .call = "<tool_call>\n{\"name\": {{ name | tojson }}, \"arguments\": {{ arguments | tojson }}}\n</tool_call>"},
	{.format = {.name = "llama3", .begin = "", .may_begin = "<|python_tag|>", .head = "", .open = "{\"name\": \"", .arguments = "\", \"parameters\": ",
	            .close = "}", .between = "; ", .end = "", .marks = {"<|python_tag|>"}},
	 .signs = {"<|start_header_id|>", "{\"name\": \"" TOOL_PROBE "\", \"parameters\":"}},
	{.format = {.name = "gemma", .begin = "", .may_begin = "", .head = "", .open = "{\"name\": \"", .arguments = "\", \"parameters\": ",
	            .close = "}", .between = "\n", .end = ""},
	 .signs = {"<start_of_turn>"},
	 .tell = "You can call functions. To call one, answer with {\"name\": its name, \"parameters\": an object of its parameters and their values} and "
	         "with nothing else.\n{% for tool in tools %}{{ (tool.function if tool.function is defined else tool) | tojson }}\n{% endfor %}\n",
	 .call = "{\"name\": {{ name | tojson }}, \"parameters\": {{ arguments | tojson }}}",
	 .result = "```tool_output\n{{ content }}\n```"},
};

const tool_row *tool_format_at(size_t i)
{
	return i < sizeof rows / sizeof *rows ? &rows[i] : NULL;
}

const tool_row *tool_format_find(str written)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *const *sign = rows[i].signs, *unlike = rows[i].unlike;
		bool fits = !unlike || !memmem(written.p, written.n, unlike, strlen(unlike));
		for (size_t k = 0; fits && k < sizeof rows[i].signs / sizeof *rows[i].signs && sign[k]; k++)
			fits = memmem(written.p, written.n, sign[k], strlen(sign[k]));
		if (fits)
			return &rows[i];
	}
	return NULL;
}
