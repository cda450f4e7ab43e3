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
	if (chat_render(t, v, messages, n, true, &out, &err))
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
	} cases[] = {{SMOLVLM, {false, true, true}}, {CHATML, {true, false, true}}, {BOTH, {true, true, true}}, {NO_SYSTEM, {true, false, false}}};
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
	sn_message string[] = {{"user", &hi, 1, true}}, list[] = {{"user", two, 2, false}}, lines[] = {{"user", texts, 2, false}};
	sn_message chat[] = {{"system", &hi, 1, true}, {"user", two, 2, false}, {"assistant", NULL, 0, true}};
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
	chat_template *t = open_template(source);
	marked_text out;
	sn_error err = {0};
	marked_init(&out, 0);
	assert_int_equal(chat_render(t, NULL, messages, n, true, &out, &err), status);
	assert_string_equal(err.param, "messages");
	marked_fini(&out);
	chat_template_close(&t);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	sn_part hi = text_part("hi"), picture = image_part;
	sn_message strange[] = {{"<|im_start|>", &hi, 1, true}}, none[] = {{NULL, &hi, 1, true}}, media[] = {{"user", &picture, 1, false}};
	sn_message system[] = {{"system", &hi, 1, true}, {"user", &hi, 1, true}};
	expect_refusal(CHATML, strange, 1, SN_ERR_INVALID);
	expect_refusal(CHATML, none, 1, SN_ERR_INVALID);
	expect_refusal(CHATML, NULL, 0, SN_ERR_INVALID);
	expect_refusal(CHATML, media, 1, SN_ERR_UNSUPPORTED);
	expect_refusal(NO_SYSTEM, system, 2, SN_ERR_UNSUPPORTED);
	expect_refusal("{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}{{ m.content }}{% endfor %}",
	               (sn_message[]){{"tool", &hi, 1, true}}, 1, SN_ERR_INVALID);
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
				sn_message m[] = {{turns[role], parts, 3, false}};
				marked_text out;
				sn_error err = {0};
				marked_init(&out, 0);
				assert_int_equal(chat_render(t, v, m, 1, true, &out, &err), SN_OK);
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
		sn_message m[] = {{"user", &part, 1, true}};
		marked_text out;
		sn_error err = {0};
		marked_init(&out, 0);
		assert_int_equal(chat_render(t, v, m, 1, true, &out, &err), SN_OK);
		assert_int_equal(specials(v, &out), 1);
		marked_fini(&out);
	}
	vocab_close(&v);
	chat_template_close(&t);
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
	sn_message m[] = {{"user", parts, 2, false}};
	for (int i = 0; i < 200; i++) {
		marked_text out;
		marked_init(&out, 0);
		s->wrong += chat_render(s->t, s->v, m, 1, true, &out, NULL) != SN_OK;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(templates_are_probed_for_what_they_take),
		cmocka_unit_test(contents_are_given_in_the_form_that_fits),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(clients_cannot_open_a_slot_or_a_turn),
		cmocka_unit_test(template_and_client_cannot_spell_together),
		cmocka_unit_test(one_template_serves_many_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
