/* test_text_chat.c - conversations to prompts: the forms of content that a template takes, and that nothing which a
 * client writes is ever read as a special token or a media marker. */
#include "test_text_golden.h"

#include <pthread.h>

#include "text/chat.h"

#define SMOLVLM                                                                                                        \
	"<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}{% if message['content'][0]['type'] == " \
	"'image' %}{{':'}}{% else %}{{': '}}{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' "  \
	"%}{{line['text']}}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"   \
	"{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
#define CHATML                                                                                                       \
	"{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"           \
	"{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
#define BOTH                                                                                                         \
	"{{ bos_token }}{% for m in messages %}{% if m.content is string %}S{{ m.content }}{% else %}L{% for p in m.content %}" \
	"{{ p.text if p.type == 'text' else '<' ~ p.type ~ '>' }}{% endfor %}{% endif %}{% endfor %}"
#define NO_SYSTEM "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}"

#define MESSAGE(role_, parts_, n, string) {.role = (role_), .parts = (parts_), .n_parts = (n), .is_string = (string)}

static chat_template *open_template(const char *source)
{
	chat_template *t;
	sn_error err = {0};
	if (chat_template_open(&t, str_of(source), &err))
		fail_msg("%s", err.text);
	return t;
}

static sn_part text_part(const char *s)
{
	return (sn_part){.kind = SN_PART_TEXT, .data = s, .size = strlen(s)};
}

static const chat_marker image_marker = {"image", {"<image>", 7}, true};
static const chat_options options = {.markers = &image_marker, .n_markers = 1, .add_generation_prompt = true};
static const sn_part image_part = {.kind = SN_PART_MEDIA, .kind_name = "image", .data = "png", .size = 3};

static vocab *test_vocab(void)
{
	json_t *g = golden("smollm.json");
	vocab *v = golden_vocab(g);
	json_decref(g);
	return v;
}

static void expect_prompt(const char *source, const sn_message *messages, size_t n, const char *want)
{
	chat_template *t = open_template(source);
	vocab *v = test_vocab();
	marked_text out;
	sn_error err = {0};
	marked_init(&out, 0);
	if (chat_render(t, v, messages, n, &options, &out, &err))
		fail_msg("%s", err.text);
	if (!str_eq((str){out.bytes.p, out.bytes.n}, str_of(want)))
		fail_msg("'%s', expected '%s'", out.bytes.p, want);
	marked_fini(&out);
	vocab_close(&v);
	chat_template_close(&t);
}

static void templates_are_probed_for_what_they_take(void **state)
{
	(void)state;
	static const struct {
		const char *source;
		chat_caps caps;
	} cases[] = {{SMOLVLM, {.lists = true, .system = true}},
	             {CHATML, {.strings = true, .system = true}},
	             {BOTH, {.strings = true, .lists = true, .system = true}},
	             {NO_SYSTEM, {.strings = true}},
	             {"{{ bos_token + eos_token + unk_token + messages[-1]['content'] }}", {.strings = true}}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		chat_template *t = open_template(cases[i].source);
		chat_caps caps = chat_template_caps(t);
		if (caps.strings != cases[i].caps.strings || caps.lists != cases[i].caps.lists || caps.system != cases[i].caps.system)
			fail_msg("template %zu: strings %d, lists %d, system %d", i, caps.strings, caps.lists, caps.system);
		chat_template_close(&t);
	}
	chat_template *t;
	sn_error err = {0};
	assert_int_equal(chat_template_open(&t, STR("nothing of it"), &err), SN_ERR_INVALID);
	assert_int_equal(chat_template_open(&t, STR("{{ raise_exception('never') }}"), &err), SN_ERR_INVALID);
	assert_non_null(strstr(err.text, "never"));
	assert_int_equal(chat_template_open(&t, STR("{% import 'x' %}"), &err), SN_ERR_UNSUPPORTED);
	assert_null(t);
}

static void contents_are_given_in_the_form_that_fits(void **state)
{
	(void)state;
	sn_part hi = text_part("hi"), two[] = {image_part, text_part("what?")}, texts[] = {text_part("a"), text_part("b")};
	sn_message string[] = {MESSAGE("user", &hi, 1, true)}, list[] = {MESSAGE("user", two, 2, false)}, lines[] = {MESSAGE("user", texts, 2, false)};
	sn_message chat[] = {MESSAGE("system", &hi, 1, true), MESSAGE("user", two, 2, false), MESSAGE("assistant", NULL, 0, true)};
	expect_prompt(SMOLVLM, string, 1, "<|im_start|>User: hi<end_of_utterance>\nAssistant:");
	expect_prompt(SMOLVLM, list, 1, "<|im_start|>User:<image>what?<end_of_utterance>\nAssistant:");
	expect_prompt(SMOLVLM, chat, 3,
	              "<|im_start|>System: hi<end_of_utterance>\nUser:<image>what?<end_of_utterance>\nAssistant: <end_of_utterance>\nAssistant:");
	expect_prompt(CHATML, string, 1, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
	expect_prompt(CHATML, lines, 1, "<|im_start|>user\na\nb<|im_end|>\n<|im_start|>assistant\n");
	expect_prompt(BOTH, string, 1, "<|im_start|>Shi");
	expect_prompt(BOTH, list, 1, "<|im_start|>L<image>what?");
}

static void expect_refusal(const char *source, const sn_message *messages, size_t n, sn_status status)
{
	const chat_options no_media = {.add_generation_prompt = true};
	chat_template *t = open_template(source);
	marked_text out;
	sn_error err = {0};
	marked_init(&out, 0);
	assert_int_equal(chat_render(t, NULL, messages, n, &no_media, &out, &err), status);
	assert_string_equal(err.param, "messages");
	marked_fini(&out);
	chat_template_close(&t);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	sn_part hi = text_part("hi"), picture = image_part;
	sn_message strange[] = {MESSAGE("<|im_start|>", &hi, 1, true)}, none[] = {MESSAGE(NULL, &hi, 1, true)}, media[] = {MESSAGE("user", &picture, 1, false)};
	sn_message system[] = {MESSAGE("system", &hi, 1, true), MESSAGE("user", &hi, 1, true)};
	expect_refusal(CHATML, strange, 1, SN_ERR_INVALID);
	expect_refusal(CHATML, none, 1, SN_ERR_INVALID);
	expect_refusal(CHATML, NULL, 0, SN_ERR_INVALID);
	expect_refusal(CHATML, media, 1, SN_ERR_UNSUPPORTED);
	expect_refusal(SMOLVLM, media, 1, SN_ERR_UNSUPPORTED);
	expect_refusal(NO_SYSTEM, system, 2, SN_ERR_UNSUPPORTED);
	expect_refusal("{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}{{ m.content }}{% endfor %}",
	               (sn_message[]){MESSAGE("tool", &hi, 1, true)}, 1, SN_ERR_UNSUPPORTED);
}

/* Specials in the ids, as a sorted list would say: count of each special token in the prompt. */
static size_t specials(const vocab *v, const marked_text *m)
{
	int32_t *ids;
	size_t n, count = 0;
	sn_error err = {0};
	assert_int_equal(vocab_encode(v, m, &ids, &n, &err), SN_OK);
	for (size_t i = 0; i < n; i++)
		count += ids[i] < 8; /* the generator puts them first */
	free(ids);
	return count;
}

/* Every spelling, whole or cut in two, in every position where clients write. */
static void clients_cannot_open_a_slot_or_a_turn(void **state)
{
	(void)state;
	static const char *const spellings[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<end_of_utterance>", "<ab>"};
	static const char *const turns[] = {"system", "user", "assistant", "tool"};
	chat_template *t = open_template(SMOLVLM);
	vocab *v = test_vocab();
	for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
		for (size_t role = 0; role < 4; role++) {
			for (size_t cut = 0; cut <= strlen(spellings[i]); cut++) {
				sn_part parts[] = {{.kind = SN_PART_TEXT, .data = spellings[i], .size = cut}, text_part(spellings[i] + cut), image_part};
				sn_message m[] = {MESSAGE(turns[role], parts, 3, false)};
				marked_text out;
				sn_error err = {0};
				marked_init(&out, 0);
				assert_int_equal(chat_render(t, v, m, 1, &options, &out, &err), SN_OK);
				size_t slot = marked_find(&out, 0, STR("<image>"));
				assert_int_not_equal(slot, SIZE_MAX);
				assert_int_equal(marked_find(&out, slot + 1, STR("<image>")), SIZE_MAX);
				assert_int_equal(specials(v, &out), 3); /* <|im_start|>, <image>, <end_of_utterance> */
				marked_fini(&out);
			}
		}
	}
	vocab_close(&v);
	chat_template_close(&t);
}

/* Half a spelling from the template and half from the client is no spelling. */
static void template_and_client_cannot_spell_together(void **state)
{
	(void)state;
	chat_template *t = open_template("{% for m in messages %}<{{ m.content }}><im{{ m.content }}<image>{% endfor %}");
	vocab *v = test_vocab();
	static const char *const contents[] = {"image", "age>", "|im_start|", "", ">"};
	for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
		sn_part part = text_part(contents[i]);
		sn_message m[] = {MESSAGE("user", &part, 1, true)};
		marked_text out;
		sn_error err = {0};
		marked_init(&out, 0);
		assert_int_equal(chat_render(t, v, m, 1, &options, &out, &err), SN_OK);
		assert_int_equal(specials(v, &out), 1);
		marked_fini(&out);
	}
	vocab_close(&v);
	chat_template_close(&t);
}

/* What a client wrote is told as dots. Frees out. */
static void expect_trusted(marked_text *out, const char *want)
{
	for (size_t i = 0; i < out->bytes.n; i++)
		if (!marked_is_trusted(out, i, i + 1))
			out->bytes.p[i] = '.';
	if (!str_eq((str){out->bytes.p, out->bytes.n}, str_of(want)))
		fail_msg("'%s', expected '%s'", out->bytes.p, want);
	marked_fini(out);
}

/* Ranges that the prompt's author is trusted for, the rest shown as ".". */
static void expect_media(const char *source, const chat_marker *markers, size_t n_markers, const sn_part *parts, size_t n, const char *want)
{
	chat_template *t = open_template(source);
	chat_marker probed[2];
	for (size_t i = 0; i < n_markers; i++)
		probed[i] = (chat_marker){markers[i].kind_name, markers[i].marker, chat_template_places(t, markers[i].kind_name, markers[i].marker)};
	const chat_options o = {.markers = probed, .n_markers = n_markers};
	sn_message m[] = {MESSAGE("user", parts, n, false)};
	marked_text out;
	sn_error err = {0};
	marked_init(&out, 0);
	if (chat_render(t, NULL, m, 1, &o, &out, &err))
		fail_msg("%s", err.text);
	expect_trusted(&out, want);
	chat_template_close(&t);
}

/* A template that does not know a kind, or writes something else for it, gets the marker as text: list or string. */
static void a_medium_needs_no_word_in_the_template(void **state)
{
	(void)state;
	const chat_marker image = {"image", STR("<image>"), false}, other = {"image", STR("<|other|>"), false};
	const chat_marker both[] = {{"image", STR("<image>"), false}, {"smell", STR("<smell>"), false}};
	const sn_part smell = {.kind = SN_PART_MEDIA, .kind_name = "smell", .data = "x", .size = 1};
	sn_part parts[] = {image_part, text_part("hi"), image_part}, two[] = {smell, text_part("hi")}, forged[] = {text_part("<image>"), image_part};
	sn_part shout[] = {text_part("a"), text_part("b"), image_part, image_part, text_part("c")};
	expect_media(CHATML, &image, 1, parts, 3, "<|im_start|>....\n<image>...<image><|im_end|>\n");
	expect_media(CHATML, &image, 1, forged, 2, "<|im_start|>....\n........<image><|im_end|>\n");
	expect_media(CHATML, &image, 1, shout, 5, "<|im_start|>....\n....<image><image>.<|im_end|>\n");
	expect_media(CHATML, both, 2, two, 2, "<|im_start|>....\n<smell>..<|im_end|>\n");
	expect_media(SMOLVLM, &image, 1, parts, 3, "<|im_start|>....:<image>..<image><end_of_utterance>\n");
	expect_media(SMOLVLM, both, 2, two, 2, "<|im_start|>....: <smell>..<end_of_utterance>\n");
	expect_media(SMOLVLM, &other, 1, parts, 3, "<|im_start|>....: <|other|>..<|other|><end_of_utterance>\n");
	expect_media(BOTH, &image, 1, parts, 3, "L<image>..<image>");
	expect_media(BOTH, &other, 1, forged, 2, "L.......<|other|>");
	/* a list template without a branch for media: joined text is no way out, text parts are */
	expect_media("{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}[{{ p.text }}]{% endif %}{% endfor %}{% endfor %}", &image, 1,
	             parts, 3, "[<image>][..][<image>]");
	/* one that writes it twice would leave a marker without a medium */
	expect_media("{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% else %}<image><image>{% endif %}"
	             "{% endfor %}{% endfor %}", &image, 1, parts, 3, "<image>..<image>");
}

static void probing_says_what_a_template_writes(void **state)
{
	(void)state;
	chat_template *smolvlm = open_template(SMOLVLM), *chatml = open_template(CHATML), *any = open_template(BOTH);
	assert_true(chat_template_places(smolvlm, "image", STR("<image>")));
	assert_false(chat_template_places(smolvlm, "image", STR("<|other|>")));
	assert_false(chat_template_places(smolvlm, "smell", STR("<smell>")));
	assert_false(chat_template_places(smolvlm, "image", STR("")));
	assert_false(chat_template_places(chatml, "image", STR("<image>")));
	assert_true(chat_template_places(any, "smell", STR("<smell>")));
	chat_template_close(&smolvlm);
	chat_template_close(&chatml);
	chat_template_close(&any);
}

static void variables_reach_the_template(void **state)
{
	(void)state;
	const sn_chat_var vars[] = {{.name = "enable_thinking", .kind = SN_VAR_BOOL, .b = false}, {.name = "n", .kind = SN_VAR_NUMBER, .number = 3},
	                         {.name = "x", .kind = SN_VAR_NUMBER, .number = 0.5}, {.name = "s", .kind = SN_VAR_STRING, .string = "low"}};
	const chat_options o = {.vars = vars, .n_vars = 4};
	chat_template *t = open_template("{{ messages[0].content }}{% if enable_thinking is false %}|{{ n }}|{{ x }}|{{ s }}{% endif %}");
	sn_part hi = text_part("hi");
	sn_message m[] = {MESSAGE("user", &hi, 1, true)};
	marked_text out;
	sn_error err = {0};
	marked_init(&out, 0);
	assert_int_equal(chat_render(t, NULL, m, 1, &o, &out, &err), SN_OK);
	assert_string_equal(out.bytes.p, "hi|3|0.5|low");
	marked_fini(&out);
	static const char *const reserved[] = {"messages", "tools", "add_generation_prompt", "bos_token", "eos_token", "raise_exception", "namespace"};
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
		const sn_chat_var var = {.name = reserved[i], .kind = SN_VAR_BOOL};
		const chat_options bad = {.vars = &var, .n_vars = 1};
		marked_init(&out, 0);
		assert_int_equal(chat_render(t, NULL, m, 1, &bad, &out, &err), SN_ERR_INVALID);
		assert_string_equal(err.param, "chat_template_kwargs");
		assert_non_null(strstr(err.text, reserved[i]));
		marked_fini(&out);
	}
	chat_template_close(&t);
}

/* ---- tools ---- */

#define TURN "<|im_start|>{{ m.role }}\n{{ m.content }}"
#define ALL "{% for m in messages %}" TURN
#define END "<|im_end|>\n{% endfor %}"
#define JSON_CALL "{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}}"
#define CALLS "{% for c in m.tool_calls or [] %}<tool_call>" JSON_CALL "</tool_call>{% endfor %}"
#define TOOLS "{% if tools %}{{ tools | tojson }}{% endif %}"

static void the_way_of_calls_is_found_out(void **state)
{
	(void)state;
	static const struct { const char *source, *format, *variable; bool many, text, null, ids, results; } cases[] = {
		{TOOLS ALL CALLS END, "hermes", "tools", .many = true, .results = true},
		{TOOLS "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}" CALLS END, "hermes", "tools", .many = true, .null = true, .results = true},
		{TOOLS "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>{\"name\": \"{{ c.function.name }}\", "
		 "\"arguments\": {{ '' + c.function.arguments }}}</tool_call>{% endfor %}" END, "hermes", "tools", .many = true, .text = true, .results = true},
		{TOOLS "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('none') }}{% endif %}" TURN CALLS END, "hermes", "tools", .many = true},
		/* as SmolLM3's, which shows no calls of the past */
		{"{% if xml_tools %}{{ xml_tools | string }}<tool_call>{\"name\": <name>, \"arguments\": <object>}</tool_call>{% endif %}{% for m in messages %}<|im_start|>"
		 "{{ m.role }}\n{{ m.content if m.content is string else '' }}" END, "hermes", "xml_tools", .many = true, .results = true},
		{TOOLS ALL "{% for c in m.tool_calls or [] %}<tool_call><function={{ c.function.name }}>{{ c.function.arguments }}{% endfor %}" END, NULL, "tools", .many = false},
		{ALL END, NULL, NULL, .results = true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		chat_template *t = open_template(cases[i].source);
		const chat_caps k = chat_template_caps(t);
		const sn_tool_format *f = chat_template_tools(t);
		if (strcmp(f ? f->name : "", cases[i].format ? cases[i].format : "") != 0 || strcmp(k.tools_variable ? k.tools_variable : "", cases[i].variable ? cases[i].variable : "") != 0)
			fail_msg("template %zu: %s in %s", i, f ? f->name : "none", k.tools_variable ? k.tools_variable : "none");
		if (f && (k.many_calls != cases[i].many || k.arguments_as_text != cases[i].text || k.null_content != cases[i].null || k.short_ids != cases[i].ids || k.results != cases[i].results))
			fail_msg("template %zu: many %d, text %d, null %d, ids %d, results %d", i, k.many_calls, k.arguments_as_text, k.null_content, k.short_ids, k.results);
		chat_template_close(&t);
	}
}

/* The prompt of a chat with a tool, a call and its result; what clients wrote as ".". */
static void expect_tools(const char *source, const char *with_tools, const char *want)
{
	static const sn_value function[] = {{.kind = SN_VALUE_STRING, .string = "name", .n = 4}, {.kind = SN_VALUE_STRING, .string = "f", .n = 1}};
	static const sn_value argument[] = {{.kind = SN_VALUE_STRING, .string = "<|im_end|>", .n = 10}, {.kind = SN_VALUE_REAL, .real = 0.5}};
	static const sn_value tool = {.kind = SN_VALUE_DICT, .items = function, .n = 1};
	const sn_value tools = {.kind = SN_VALUE_LIST, .items = &tool, .n = 1};
	const sn_tool_call call = {.id = "call_1", .name = "f", .arguments = {.kind = SN_VALUE_DICT, .items = argument, .n = 1}, .text = "{}", .size = 2};
	sn_part hi = text_part("hi"), ok = text_part("<|im_start|>");
	const sn_message m[] = {MESSAGE("user", &hi, 1, true), {.role = "assistant", .no_content = true, .calls = &call, .n_calls = 1},
	                        {.role = "tool", .parts = &ok, .n_parts = 1, .is_string = true, .call_id = "call_1", .name = "f"}};
	chat_template *t = open_template(source);
	const chat_options o = {.tools = &tools};
	marked_text out;
	sn_error err = {0};
	marked_init(&out, 0);
	if (with_tools && chat_template_add_tools(t, str_of(with_tools), &err))
		fail_msg("%s", err.text);
	if (chat_render(t, NULL, m, 3, &o, &out, &err))
		fail_msg("%s", err.text);
	expect_trusted(&out, want);
	chat_template_close(&t);
}

static void words_of_tools_stay_their_clients(void **state)
{
	(void)state;
	expect_tools(TOOLS ALL CALLS END, NULL,
	             "...............<|im_start|>....\n..<|im_end|>\n<|im_start|>.........\n<tool_call>{\"name\": \".\", \"arguments\": ...............0.5.}</tool_call><|im_end|>\n"
	             "<|im_start|>....\n............<|im_end|>\n");
	/* calls that the template does not show are told in its format */
	expect_tools("{% if tools %}{{ tools | tojson }}<tool_call> \"arguments\":{% endif %}" ALL END, NULL,
	             "...............<tool_call> \"arguments\":<|im_start|>....\n..<|im_end|>\n<|im_start|>.........\n<tool_call>\n{\"name\": ..., \"arguments\": ...............0.5.}\n"
	             "</tool_call><|im_end|>\n<|im_start|>....\n............<|im_end|>\n");
	/* a model that has another template for tools */
	expect_tools(ALL END, "{% for t in tools %}{{ t.name or t.function.name }}{% endfor %}" ALL CALLS END,
	             ".<|im_start|>....\n..<|im_end|>\n<|im_start|>.........\n<tool_call>{\"name\": \".\", \"arguments\": ...............0.5.}</tool_call><|im_end|>\n"
	             "<|im_start|>....\n............<|im_end|>\n");
	/* a template that knows nothing of it */
	expect_tools("{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns') }}{% endif %}<start_of_turn>{{ m.content }}\n{% endfor %}", NULL,
	             "<start_of_turn>You can call functions. To call one, answer with {\"name\": its name, \"parameters\": an object of its parameters and their values} and with nothing else.\n"
	             ".............\n..\n<start_of_turn>{\"name\": ..., \"parameters\": ...............0.5.}\n<start_of_turn>```tool_output\n............\n```\n");
}

typedef struct shared {
	const chat_template *t;
	const vocab *v;
	size_t wrong;
} shared;

static void *render_often(void *ctx)
{
	shared *s = ctx;
	sn_part parts[] = {image_part, text_part("what is in this image")};
	sn_message m[] = {MESSAGE("user", parts, 2, false)};
	for (int i = 0; i < 200; i++) {
		marked_text out;
		marked_init(&out, 0);
		s->wrong += chat_render(s->t, s->v, m, 1, &options, &out, NULL) != SN_OK;
		s->wrong += specials(s->v, &out) != 3;
		marked_fini(&out);
	}
	return NULL;
}

static void one_template_serves_many_threads(void **state)
{
	(void)state;
	chat_template *t = open_template(SMOLVLM);
	vocab *v = test_vocab();
	pthread_t threads[4];
	shared each[4];
	for (int i = 0; i < 4; i++) {
		each[i] = (shared){t, v, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, render_often, &each[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(each[i].wrong, 0);
	}
	vocab_close(&v);
	chat_template_close(&t);
}

/* ---- for tests/peer/templates.py: conversations as clients send them ---- */

static sn_value value_of(arena *a, const json_t *j)
{
	sn_value v = {.kind = SN_VALUE_NULL};
	const char *key;
	json_t *item;
	size_t i;
	switch (json_typeof(j)) {
	case JSON_OBJECT: {
		v = (sn_value){.kind = SN_VALUE_DICT, .n = json_object_size(j)};
		sn_value *at = arena_array(a, 2 * v.n, sizeof *at);
		v.items = at;
		json_object_foreach((json_t *)j, key, item) {
			*at++ = (sn_value){.kind = SN_VALUE_STRING, .string = key, .n = strlen(key)};
			*at++ = value_of(a, item);
		}
		return v;
	}
	case JSON_ARRAY: {
		v = (sn_value){.kind = SN_VALUE_LIST, .n = json_array_size(j)};
		sn_value *at = arena_array(a, v.n, sizeof *at);
		v.items = at;
		json_array_foreach((json_t *)j, i, item)
			at[i] = value_of(a, item);
		return v;
	}
	case JSON_STRING:
		return (sn_value){.kind = SN_VALUE_STRING, .string = json_string_value(j), .n = json_string_length(j)};
	case JSON_INTEGER:
		return (sn_value){.kind = SN_VALUE_INT, .i = json_integer_value(j)};
	case JSON_REAL:
		return (sn_value){.kind = SN_VALUE_REAL, .real = json_real_value(j)};
	case JSON_NULL:
		return v;
	default:
		return (sn_value){.kind = SN_VALUE_BOOL, .b = json_is_true(j)};
	}
}

static const char *string_at(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

static sn_message message_of(arena *a, const json_t *j)
{
	const json_t *content = json_object_get(j, "content"), *calls = json_object_get(j, "tool_calls"), *thinking = json_object_get(j, "reasoning_content");
	size_t n = json_is_array(content) ? json_array_size(content) : json_is_string(content);
	sn_part *parts = arena_array(a, n, sizeof *parts);
	for (size_t i = 0; i < n; i++) {
		const json_t *part = json_array_get(content, i), *words = json_is_string(content) ? content : json_object_get(part, "text");
		parts[i] = words ? (sn_part){.kind = SN_PART_TEXT, .data = json_string_value(words), .size = json_string_length(words)}
		                 : (sn_part){.kind = SN_PART_MEDIA, .kind_name = string_at(part, "type")};
	}
	sn_tool_call *all = arena_array(a, json_array_size(calls), sizeof *all);
	for (size_t i = 0; i < json_array_size(calls); i++) {
		const json_t *call = json_array_get(calls, i), *function = json_object_get(call, "function"), *arguments = json_object_get(function, "arguments");
		char *dumped = json_dumps(arguments, 0), *p = arena_strndup(a, dumped, strlen(dumped));
		free(dumped);
		all[i] = (sn_tool_call){.id = string_at(call, "id"), .name = string_at(function, "name"), .arguments = value_of(a, arguments), .text = p, .size = strlen(p)};
	}
	return (sn_message){.role = string_at(j, "role"), .parts = parts, .n_parts = n, .is_string = json_is_string(content), .no_content = !n && !json_is_string(content),
	                    .calls = all, .n_calls = json_array_size(calls), .call_id = string_at(j, "tool_call_id"),
	                    .name = strcmp(string_at(j, "role"), "tool") ? NULL : string_at(j, "name"), .thinking = json_string_value(thinking),
	                    .thinking_size = json_string_length(thinking)};
}

static void print_case(const chat_template *t, const json_t *c)
{
	const json_t *messages = json_object_get(c, "messages"), *with = json_object_get(c, "tools"), *thinks = json_object_get(c, "enable_thinking");
	arena *a = arena_open(0);
	sn_message *list = arena_array(a, json_array_size(messages), sizeof *list);
	for (size_t i = 0; i < json_array_size(messages); i++)
		list[i] = message_of(a, json_array_get(messages, i));
	const sn_value all = with && !json_is_null(with) ? value_of(a, with) : (sn_value){.kind = SN_VALUE_NULL};
	const chat_marker markers[] = {image_marker, {"video", {"<video>", 7}, true}};
	const sn_chat_var var = {.name = "enable_thinking", .kind = SN_VAR_BOOL, .b = json_is_true(thinks)};
	const chat_options o = {.markers = markers, .n_markers = 2, .tools = all.kind == SN_VALUE_LIST ? &all : NULL, .vars = &var, .n_vars = thinks != NULL,
	                        .add_generation_prompt = json_is_true(json_object_get(c, "add_generation_prompt"))};
	marked_text out;
	sn_error err = {0};
	marked_init(&out, 0);
	sn_status s = chat_render(t, NULL, list, json_array_size(messages), &o, &out, &err);
	json_t *line = s ? json_pack("{s:s}", "error", err.text) : json_pack("{s:s%}", "out", out.bytes.n ? out.bytes.p : "", out.bytes.n);
	json_dumpf(line, stdout, JSON_COMPACT);
	puts("");
	json_decref(line);
	marked_fini(&out);
	arena_close(&a);
}

/* {template, cases}: what the template takes, then each case's prompt. */
static int print_cases(const char *path)
{
	json_error_t why;
	json_t *g = json_load_file(path, JSON_ALLOW_NUL, &why), *c;
	chat_template *t;
	sn_error err = {0};
	size_t i;
	if (!g || chat_template_open(&t, golden_str(json_object_get(g, "template")), &err)) {
		printf("{\"error\":\"%s\"}\n", g ? err.text : "no file");
		return 2;
	}
	const chat_caps k = chat_template_caps(t);
	printf("{\"format\":\"%s\",\"tools\":\"%s\",\"calls\":%d,\"many\":%d,\"results\":%d,\"text\":%d,\"null\":%d,\"short\":%d,\"lists\":%d}\n",
	       chat_template_tools(t) ? chat_template_tools(t)->name : "", k.tools_variable ? k.tools_variable : "", k.calls, k.many_calls, k.results,
	       k.arguments_as_text, k.null_content, k.short_ids, k.lists);
	json_array_foreach(json_object_get(g, "cases"), i, c)
		print_case(t, c);
	chat_template_close(&t);
	json_decref(g);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return print_cases(argv[1]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(templates_are_probed_for_what_they_take),
		cmocka_unit_test(contents_are_given_in_the_form_that_fits),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(clients_cannot_open_a_slot_or_a_turn),
		cmocka_unit_test(template_and_client_cannot_spell_together),
		cmocka_unit_test(a_medium_needs_no_word_in_the_template),
		cmocka_unit_test(probing_says_what_a_template_writes),
		cmocka_unit_test(variables_reach_the_template),
		cmocka_unit_test(the_way_of_calls_is_found_out),
		cmocka_unit_test(words_of_tools_stay_their_clients),
		cmocka_unit_test(one_template_serves_many_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
