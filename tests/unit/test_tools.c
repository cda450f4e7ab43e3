/* test_tools.c - calls of tools in what a model says: parted the same however it is cut, and under the grammar always whole. */
#include "unit.h"

#include <jansson.h>

#include "chat_split.h"
#include "grammar_fits.h"
#include "grammar/tool_format.h"
#include "json.h"
#include "tool_grammar.h"

static const sn_tool_format *format_of(const char *name)
{
	for (size_t i = 0; tool_format_at(i); i++)
		if (strcmp(tool_format_at(i)->format.name, name) == 0)
			return &tool_format_at(i)->format;
	fail_msg("%s", name);
	return NULL;
}

/* ---- what is said, parted ---- */

static const tools known = {.list = {{.name = "get_weather"}, {.name = "now"}, {.name = "now-utc"}}, .n = 3, .many = true};

/* "content|thoughts|name{...}name{...}", and a ! behind it if the answer ends with a call. */
static void part(const sn_tool_format *f, const reasoning *thinking, const char *text, size_t first, size_t rest, bool gather, char *out, size_t cap)
{
	chat_split *s = chat_split_open(thinking, f, f ? &known : NULL, gather);
	out_buf calls = {0}, content = {0}, thoughts = {0}, *said = f ? &s->stream.content : &s->content;
	size_t n = strlen(text);
	json_error_t why;
	for (size_t at = 0; at < n; at += at ? rest : first)
		chat_split_feed(s, text + at, (at ? rest : first) < n - at ? (at ? rest : first) : n - at);
	for (int round = 0; round < 2; round++) {
		json_t *list, *one;
		size_t i;
		out_buf json = {0};
		out_text(&json, "[");
		out_bytes(&json, s->stream.calls.data, s->stream.calls.size);
		out_text(&json, "]");
		out_bytes(&content, said->data, said->size);
		out_bytes(&thoughts, s->thoughts.data, s->thoughts.size);
		if (!(list = json_loadb(json.data, json.size, 0, &why)))
			fail_msg("%s: %.*s", why.text, (int)json.size, json.data);
		json_array_foreach(list, i, one) {
			const json_t *function = json_object_get(one, "function"), *name = json_object_get(function, "name");
			assert_int_equal(!name, !json_object_get(one, "id"));
			assert_int_equal(!json_object_get(one, "index"), gather);
			out_text(&calls, name ? json_string_value(name) : "");
			out_text(&calls, json_string_value(json_object_get(function, "arguments")));
		}
		json_decref(list);
		out_fini(&json);
		said->size = s->thoughts.size = s->stream.calls.size = 0;
		if (round == 0)
			chat_split_end(s);
	}
	snprintf(out, cap, "%.*s|%.*s|%.*s%s", (int)content.size, content.size ? content.data : "", (int)thoughts.size, thoughts.size ? thoughts.data : "",
	         (int)calls.size, calls.size ? calls.data : "", chat_split_called(s) ? "!" : "");
	out_fini(&calls);
	out_fini(&content);
	out_fini(&thoughts);
	chat_split_close(&s);
}

static void expect_parts(const char *format, const reasoning *thinking, const char *text, const char *want)
{
	const sn_tool_format *f = format ? format_of(format) : NULL;
	char got[1024];
	for (size_t first = 1; first <= strlen(text); first++) {
		for (int way = 0; way < 3; way++) {
			part(f, thinking, text, first, way ? 1 + (size_t)way * 3 : 1, way == 2, got, sizeof got);
			if (strcmp(got, want) != 0)
				fail_msg("%s, cut at %zu (%d): '%s', expected '%s'", text, first, way, got, want);
		}
	}
}

static void calls_are_found_however_the_text_is_cut(void **state)
{
	(void)state;
	static const char *const cases[][3] = {
		/* Hermes */
		{"hermes", "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>", "||now{}!"},
		{"hermes", "Let me see.\n\n<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\": \"{\\\"}\"}}</tool_call>\n",
		 "Let me see.||get_weather{\"city\": \"{\\\"}\"}!"},
		{"hermes", "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"now-utc\", \"arguments\": {\"a\": [{}]}}\n</tool_call>",
		 "||now{}now-utc{\"a\": [{}]}!"},
		{"hermes", "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call> So.", " So.||now{}!"},
		{"hermes", "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a", "||now{\"a"},
		{"hermes", "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool", "||now{}!"},
		{"hermes", "<tool_call>\n{\"name\": \"now\", \"arguments\": {}} x", "} x||now{}!"},
		/* what is none stays as it is */
		{"hermes", "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>", "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>||"},
		{"hermes", "<tool_call>\n{\"name\": \"now\", \"arguments\": []}\n</tool_call>", "<tool_call>\n{\"name\": \"now\", \"arguments\": []}\n</tool_call>||"},
		{"hermes", "  a <tool_call <tool_call>x</tool_call>  \n", "  a <tool_call <tool_call>x</tool_call>  \n||"},
		/* nor is one that was cut off before it was told */
		{"hermes", "So.\n<tool_call>\n{\"name\": \"no", "So.||"},
		{"hermes", "So. <tool_cal", "So. <tool_cal||"},
		{"mistral", "[TOOL_CALLS][{\"name\": \"now\", \"arguments\": {}}, {\"name\": \"no", "||now{}!"},
		{"mistral-args", "[TOOL_CALLS]now[CALL_ID]abc", "||"},
		{"llama3", "<|python_tag|>{\"name", "||"},
		{"llama3", "{\"name", "{\"name||"},
		{"hermes", " \n ", " \n ||"},
		{"hermes", "<<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>", "<||now{}!"},
		/* Llama */
		{"llama3", "{\"name\": \"now\", \"parameters\": {\"a\": 1}}", "||now{\"a\": 1}!"},
		{"llama3", "<|python_tag|>{\"name\": \"now\", \"parameters\": {}}; {\"name\": \"now-utc\", \"parameters\": {}}", "||now{}now-utc{}!"},
		{"llama3", "See: {\"name\": \"now\", \"parameters\": {}}", "See: {\"name\": \"now\", \"parameters\": {}}||"},
		{"llama3", "{\"name\": \"Bob\", \"age\": 3}", "{\"name\": \"Bob\", \"age\": 3}||"},
		{"llama3", "<|python_tag|>print(1)", "<|python_tag|>print(1)||"},
		/* Mistral */
		{"mistral", "[TOOL_CALLS][{\"name\": \"now\", \"arguments\": {}}, {\"name\": \"get_weather\", \"arguments\": {\"city\": \"x]\"}}]",
		 "||now{}get_weather{\"city\": \"x]\"}!"},
		{"mistral", "[TOOL_CALLS] [{\"name\": \"now\", \"arguments\": {}}]", "||now{}!"},
		{"mistral", "[TOOL_CALLS]now[ARGS]{}", "[TOOL_CALLS]now[ARGS]{}||"},
		{"mistral-args", "Well. [TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]get_weather[CALL_ID]abcdefghi[ARGS]{\"a\": \"[TOOL_CALLS]\"}",
		 "Well.||now{}get_weather{\"a\": \"[TOOL_CALLS]\"}!"},
		{"mistral-args", "[TOOL_CALLS]nowhere[ARGS]{}", "[TOOL_CALLS]nowhere[ARGS]{}||"},
		{"gemma", "{\"name\": \"now\", \"parameters\": {}}", "||now{}!"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect_parts(cases[i][0], NULL, cases[i][1], cases[i][2]);
}

static void thinking_goes_apart(void **state)
{
	(void)state;
	const reasoning none = {.inside = false}, open = {.inside = true}, closed = {.closed = true};
	expect_parts(NULL, &none, "<think>\na b\n</think>\n\nc <think>d</think>", "c <think>d</think>|a b|");
	expect_parts(NULL, &none, "\n<think> a </think>", "|a|");
	expect_parts(NULL, &none, "\n\n c <think>", "\n\n c <think>||");
	expect_parts(NULL, &none, "\n ", "\n ||");
	expect_parts(NULL, &none, "<thi", "<thi||");
	expect_parts(NULL, &none, "[THINK]a</think>b[/THINK]c", "c|a</think>b|");
	expect_parts(NULL, &open, "\na\n\nb </thin</think>\nc", "c|a\n\nb </thin|");
	expect_parts(NULL, &open, "a </thi", "|a </thi|");
	expect_parts(NULL, &open, "</think>\n\nc", "c||");
	expect_parts(NULL, &closed, "\n\nc", "\n\nc||");
	expect_parts("hermes", &open, "<tool_call>?\n</think>\n\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>", "|<tool_call>?|now{}!");
	expect_parts("llama3", &none, "<think>a</think>\n\n{\"name\": \"now\", \"parameters\": {}}", "|a|now{}!");
	expect_parts(NULL, NULL, "<think>a</think>", "<think>a</think>||");
}

/* ---- the grammar ---- */

typedef struct asked {
	tools tools;
	json_t *json;
	grammar *g;
} asked;

static const char two_tools[] =
	"[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"strict\":true,\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}},"
	"\"required\":[\"city\"],\"additionalProperties\":false}}},{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]";

static int ask_for(asked *a, const char *format, const char *list, const char *choice, bool many, bool thinks, sn_error *err)
{
	json_error_t why;
	memset(a, 0, sizeof *a);
	tools_init(&a->tools);
	json_t *chosen = json_loads(choice, JSON_DECODE_ANY, &why);
	a->json = json_loads(list, 0, &why);
	int rc = tools_parse(&a->tools, "tools", a->json, err);
	if (rc == SN_OK)
		rc = tools_parse_choice(&a->tools, "tool_choice", chosen, err);
	const tool_grammar_ask ask = {.format = format_of(format), .many = many, .thinks = thinks ? "<think>" : NULL, .thought = thinks ? "</think>" : NULL};
	out_buf text = {0};
	if (rc == SN_OK)
		rc = tool_grammar(&a->tools, &ask, &text, err);
	if (rc == SN_OK)
		rc = grammar_open(&a->g, (str){text.data, text.size}, err);
	if (rc != SN_OK && getenv("SN_SHOW"))
		fprintf(stderr, "%.*s\n", (int)text.size, text.data ? text.data : "");
	out_fini(&text);
	if (chosen != NULL)
		json_array_append_new(a->json, chosen); /* the choice's name is borrowed */
	return rc;
}

static void ask_fini(asked *a)
{
	grammar_close(&a->g);
	tools_fini(&a->tools);
	json_decref(a->json);
}

#define WEATHER "{\"name\": \"get_weather\", \"%s\": {\"city\": \"a\"}}"
#define HERMES "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"a\"}}\n</tool_call>"
#define HERMES_NOW "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"
#define LLAMA "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"a\"}}"
#define ARGS "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"a\"}"
#define LIST_ONE "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"a\"}}"
#define NAMED "{\"type\":\"function\",\"function\":{\"name\":\"now\"}}"

static void the_grammar_lets_calls_through_and_nothing_broken(void **state)
{
	(void)state;
	static const struct { const char *format, *choice; bool one, thinks; const char *good[7], *bad[9]; } cases[] = {
		{"hermes", "\"required\"", false, false, {HERMES, HERMES_NOW, HERMES "\n" HERMES_NOW, "\n\n" HERMES},
		 {"", "a", "<tool_call>", "a" HERMES, HERMES " b", "<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>",
		  "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": 1}}\n</tool_call>", "<think>a</think>" HERMES}},
		{"hermes", "\"required\"", true, true, {HERMES, "<think>a <tool_call></think>\n\n" HERMES}, {HERMES HERMES_NOW, "<think>" HERMES, "b<think></think>" HERMES}},
		{"hermes", NAMED, false, false, {HERMES_NOW}, {HERMES, HERMES_NOW HERMES}},
		{"hermes", "\"auto\"", false, false, {"", "a <tool_call", "a <tool_<tool_callx", "<<<tool_calltool_call>", HERMES, "Well.\n" HERMES "\n" HERMES, "{\"name\": \"now\"}"},
		 {"a <tool_call>", "<tool_call>x", "<<tool_call>", HERMES " b", "<tool_<tool_call>", "<tool_call>\n{\"name\": \"other\""}},
		{"hermes", "\"auto\"", true, true, {"<think>a <tool_call> b</think>c", "<think>a</think>" HERMES, "<think>a"}, {"<think>a <tool_call> b</think>c<tool_call>"}},
		{"hermes", "\"auto\"", true, true, {"<tomato> <think>" HERMES, "<t<think>", "<<tool_cal" HERMES, " \n<thi", "", "\n" HERMES, "<toll<toll" HERMES},
		 {"<tool_call>", "<<tool_call>", "<tool_<tool_call>x", "<th<tool_call>", " a<tool_call>"}},
		{"llama3", "\"required\"", true, false, {LLAMA, "<|python_tag|>" LLAMA}, {"", "a", LLAMA "; " LLAMA}},
		{"llama3", "\"auto\"", true, false, {LLAMA, "<|python_tag|>" LLAMA, "", "a " LLAMA, "{\"name\": \"Bob\"}", "{\"name\": \"get_weather_now\"}", "\n{\"a\": 1}"},
		 {LLAMA " a", "{\"name\": \"now\", \"x\": 1}", "{\"name\": \"get_weather\"}", "<|python_tag|>print(1)", "\n{\"name\": \"now\"}", LLAMA "; " LLAMA}},
		{"llama3", "\"auto\"", false, true, {LLAMA "; " LLAMA, "<think>b</think>\n\n" LLAMA, "<think>b</think>\n\nc"}, {"<think>b</think>\n\n{\"name\": \"now\"}"}},
		{"mistral", "\"required\"", false, false, {"[TOOL_CALLS][" LIST_ONE "]", "[TOOL_CALLS][" LIST_ONE ", " LIST_ONE "]"}, {"[TOOL_CALLS][]", "[TOOL_CALLS]" LIST_ONE, "[" LIST_ONE "]"}},
		{"mistral", "\"auto\"", false, false, {"", "a [TOOL_CALL", "a[TOOL_CALLS][" LIST_ONE "]"}, {"[TOOL_CALLS]", "[TOOL_CALLS]a", "[TOOL_CALLS][" LIST_ONE "] b"}},
		{"mistral-args", "\"required\"", false, false, {ARGS, ARGS ARGS, "[TOOL_CALLS]now[CALL_ID]a1b2c3d4e[ARGS]{}"}, {"[TOOL_CALLS]now{}", "now[ARGS]{}", ARGS "x"}},
		{"mistral-args", "\"auto\"", true, false, {"a", ARGS, "[a] [TOOL" ARGS}, {ARGS ARGS, "[TOOL_CALLS]nowx"}},
		{"gemma", "\"required\"", false, false, {LLAMA, LLAMA "\n" LLAMA}, {"```" LLAMA, LLAMA " a"}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		asked a;
		sn_error err = {0};
		if (ask_for(&a, cases[i].format, two_tools, cases[i].choice, !cases[i].one, cases[i].thinks, &err) != SN_OK)
			fail_msg("case %zu: %s", i, err.text);
		for (size_t k = 0; k < 7 && cases[i].good[k]; k++)
			if (!fits_text(a.g, cases[i].good[k]))
				fail_msg("%s, %s: %s does not fit", cases[i].format, cases[i].choice, cases[i].good[k]);
		for (size_t k = 0; k < 9 && cases[i].bad[k]; k++)
			if (fits_text(a.g, cases[i].bad[k]))
				fail_msg("%s, %s: %s fits", cases[i].format, cases[i].choice, cases[i].bad[k]);
		ask_fini(&a);
	}
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

/* Any text that fits, drawn byte by byte, is content and whole calls of known tools. */
static void what_the_grammar_lets_through_is_parted_into_whole_calls(void **state)
{
	(void)state;
	static const char *const choices[] = {"\"required\"", "\"auto\""};
	uint64_t random = 88172645463325252u;
	size_t ended = 0;
	for (size_t row = 0; tool_format_at(row); row++) {
		const sn_tool_format *f = &tool_format_at(row)->format;
		for (int round = 0; round < 200; round++) {
			asked a;
			automaton m;
			sn_error err = {0};
			if (ask_for(&a, f->name, two_tools, choices[round % 2], round % 4 < 2, false, &err) != SN_OK)
				fail_msg("%s", err.text);
			assert_int_equal(automaton_init(&m, a.g, NULL), SN_OK);
			char text[2049];
			size_t n = 0;
			state_id at = m.start;
			while (n < sizeof text - 1 && !(automaton_accepts(&m, at) && next_random(&random) % 8 == 0)) {
				unsigned char pick = 0;
				unsigned seen = 0;
				for (unsigned b = 0x20; b < 0x7F; b++) /* of the bytes that can follow, quotes and braces more often */
					if (automaton_step(&m, at, (unsigned char)b) != STATE_DEAD && next_random(&random) % ++seen == 0)
						pick = (unsigned char)b;
				if (automaton_step(&m, at, '"') != STATE_DEAD && next_random(&random) % 3 == 0)
					pick = '"';
				if (!pick)
					break;
				text[n++] = (char)pick;
				at = automaton_step(&m, at, pick);
			}
			text[n] = 0;
			if (automaton_accepts(&m, at)) {
				chat_split *s = chat_split_open(NULL, f, &a.tools, true);
				json_error_t why;
				chat_split_feed(s, text, n);
				chat_split_end(s);
				ended++;
				out_buf json = {0};
				out_text(&json, "[");
				out_bytes(&json, s->stream.calls.data, s->stream.calls.size);
				out_text(&json, "]");
				json_t *list = json_loadb(json.data, json.size, 0, &why), *one;
				size_t i;
				assert_non_null(list);
				if (round % 2 == 0 && (json_array_size(list) == 0 || s->stream.content.size))
					fail_msg("%s: %s", f->name, text);
				json_array_foreach(list, i, one) {
					const json_t *function = json_object_get(one, "function");
					json_t *arguments = json_loads(json_string_value(json_object_get(function, "arguments")), 0, &why);
					bool weather = strcmp(json_string_value(json_object_get(function, "name")), "get_weather") == 0;
					if (!json_is_object(arguments) || (weather && !json_is_string(json_object_get(arguments, "city"))))
						fail_msg("%s: %s", f->name, text);
					json_decref(arguments);
				}
				json_decref(list);
				out_fini(&json);
				chat_split_close(&s);
			}
			automaton_fini(&m);
			ask_fini(&a);
		}
	}
	assert_true(ended > 300);
}

static void schemas_that_cannot_be_kept_are_refused_where_they_bind(void **state)
{
	(void)state;
	static const char odd[] = "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":%s,\"parameters\":%s}}]";
	static const struct { const char *strict, *parameters, *choice; int rc; } cases[] = {
		{"false", "{\"type\":\"object\",\"not\":{}}", "\"auto\"", SN_OK},
		{"true", "{\"type\":\"object\",\"not\":{}}", "\"auto\"", SN_ERR_UNSUPPORTED},
		{"false", "{\"type\":\"object\",\"not\":{}}", "\"required\"", SN_ERR_UNSUPPORTED},
		{"false", "{\"type\":\"string\"}", "\"auto\"", SN_ERR_INVALID},
		{"null", "{}", "\"required\"", SN_OK},
		{"true", "{\"properties\":{\"a\":{\"type\":\"integer\"}}}", "\"auto\"", SN_OK},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char list[512];
		asked a;
		sn_error err = {0};
		snprintf(list, sizeof list, odd, cases[i].strict, cases[i].parameters);
		int rc = ask_for(&a, "hermes", list, cases[i].choice, true, false, &err);
		if (rc != cases[i].rc || (rc != SN_OK && strcmp(err.param, "tools[0].function.parameters") != 0))
			fail_msg("case %zu: %d, %s: %s", i, rc, err.param, err.text);
		if (rc == SN_OK)
			assert_false(fits_text(a.g, "<tool_call>\n{\"name\": \"f\", \"arguments\": []}\n</tool_call>"));
		ask_fini(&a);
	}
}

/* As many tools as there may be, with names as long and as alike as they may be. */
static void the_most_tools_are_a_grammar(void **state)
{
	(void)state;
	for (size_t row = 0; tool_format_at(row); row++) {
		out_buf list = {0};
		for (int i = 0; i < TOOLS_MAX; i++)
			out_fmt(&list, "%s{\"type\":\"function\",\"function\":{\"name\":\"%.*s%03d_%.*s\"}}", i ? "," : "[", row % 2 ? 56 : 3,
			        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", i, row % 2 ? 3 : 56, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
		out_bytes(&list, "]\0", 2);
		asked a;
		sn_error err = {0};
		if (ask_for(&a, tool_format_at(row)->format.name, list.data, "\"auto\"", true, true, &err) != SN_OK)
			fail_msg("%s: %s", tool_format_at(row)->format.name, err.text);
		assert_true(fits_text(a.g, "Hello"));
		ask_fini(&a);
		out_fini(&list);
	}
}

int main(void)
{
	sn_json_init();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_are_found_however_the_text_is_cut),
		cmocka_unit_test(thinking_goes_apart),
		cmocka_unit_test(the_grammar_lets_calls_through_and_nothing_broken),
		cmocka_unit_test(what_the_grammar_lets_through_is_parted_into_whole_calls),
		cmocka_unit_test(schemas_that_cannot_be_kept_are_refused_where_they_bind),
		cmocka_unit_test(the_most_tools_are_a_grammar),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
