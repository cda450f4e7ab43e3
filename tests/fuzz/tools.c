/* tools.c - what a model says, parted into thinking, content and calls: in pieces as in one, and nothing is made up. */
#include <string.h>

#include "chat_split.h"
#include "fuzz.h"
#include "grammar/tool_format.h"
#include "json.h"

typedef struct told { out_buf content, thoughts, calls; size_t n; } told;

static void take(told *t, chat_split *s)
{
	out_bytes(&t->content, s->stream.content.data, s->stream.content.size);
	out_bytes(&t->thoughts, s->thoughts.data, s->thoughts.size);
	if (s->stream.calls.size) { /* the deltas' arguments, one after another */
		json_t *list, *one;
		json_error_t why;
		size_t i;
		out_buf text = {0};
		out_text(&text, "[");
		out_bytes(&text, s->stream.calls.data, s->stream.calls.size);
		out_text(&text, "]");
		list = json_loadb(text.data, text.size, JSON_ALLOW_NUL, &why);
		FUZZ_PROMISE(json_is_array(list));
		json_array_foreach(list, i, one) {
			json_t *function = json_object_get(one, "function"), *arguments = json_object_get(function, "arguments");
			if (json_object_get(function, "name")) {
				t->n++;
				out_text(&t->calls, json_string_value(json_object_get(function, "name")));
			}
			out_bytes(&t->calls, json_string_value(arguments), json_string_length(arguments));
		}
		json_decref(list);
		out_fini(&text);
	}
	s->stream.content.size = s->thoughts.size = s->stream.calls.size = 0;
}

/* cut: bytes of a piece, of whole characters; 0: all in one, and calls gathered. */
static told run(const sn_tool_format *f, const tools *known, const char *text, size_t size, size_t cut)
{
	const reasoning thinking = {0};
	told t = {0};
	chat_split *s = chat_split_open(&thinking, f, known, cut == 0);
	if (!s)
		return t;
	for (size_t at = 0; at < size;) {
		size_t n = cut && cut < size - at ? cut : size - at;
		while (at + n < size && ((unsigned char)text[at + n] & 0xC0) == 0x80)
			n++;
		chat_split_feed(s, text + at, n);
		if (cut)
			take(&t, s);
		at += n;
	}
	chat_split_end(s);
	take(&t, s);
	FUZZ_PROMISE(t.content.size + t.thoughts.size + t.calls.size <= size + 64 * t.n);
	chat_split_close(&s);
	return t;
}

static bool same(const out_buf *a, const out_buf *b)
{
	return a->size == b->size && (!a->size || memcmp(a->data, b->data, a->size) == 0);
}

static void told_fini(told *t)
{
	out_fini(&t->content);
	out_fini(&t->thoughts);
	out_fini(&t->calls);
}

static bool is_utf8(const char *text, size_t size)
{
	json_t *s = json_stringn(text, size); /* the engine's events are */
	bool yes = s != NULL;
	json_decref(s);
	return yes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const tools known = {.list = {{.name = "get_weather"}, {.name = "now"}}, .n = 2};
	size_t rows = 0;
	while (tool_format_at(rows))
		rows++;
	if (size < 1 || size > 4096 || !is_utf8((const char *)data + 1, size - 1))
		return 0;
	const sn_tool_format *f = &tool_format_at(data[0] % rows)->format;
	told whole = run(f, &known, (const char *)data + 1, size - 1, 0);
	for (size_t cut = 1; cut < 9; cut += 3) {
		told cuts = run(f, &known, (const char *)data + 1, size - 1, cut);
		FUZZ_PROMISE(same(&whole.content, &cuts.content) && same(&whole.thoughts, &cuts.thoughts) && same(&whole.calls, &cuts.calls) && whole.n == cuts.n);
		told_fini(&cuts);
	}
	told_fini(&whole);
	return 0;
}
