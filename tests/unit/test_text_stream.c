/* test_text_stream.c - tokens to text and stop strings: what a stream adds up to never depends on how it was cut. */
#include "test_text_golden.h"

#include "text/detok.h"
#include "text/stopper.h"

/* A vocabulary of the 256 bytes, some longer pieces of UTF-8, and a control token. */
static vocab *byte_vocab(void)
{
	static char spelling[256][3];
	static str tokens[257];
	int32_t types[257];
	unsigned others = 256;
	for (unsigned b = 0; b < 256; b++) {
		bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
		unsigned cp = itself ? b : others++;
		size_t n = 0;
		if (cp < 0x80)
			spelling[b][n++] = (char)cp;
		else {
			spelling[b][n++] = (char)(0xC0 | cp >> 6);
			spelling[b][n++] = (char)(0x80 | (cp & 0x3F));
		}
		tokens[b] = (str){spelling[b], n};
		types[b] = TOKEN_NORMAL;
	}
	tokens[256] = STR("<|im_end|>");
	types[256] = TOKEN_CONTROL;
	vocab *v;
	vocab_config c = {.model = "gpt2", .pre = "gpt-2", .tokens = tokens, .types = types, .n_tokens = 257, .bos = -1, .eos = -1, .eot = -1, .unk = -1};
	assert_int_equal(vocab_open(&v, &c, NULL), SN_OK);
	return v;
}

static void expect_text(const vocab *v, const char *bytes, const char *want)
{
	detok d;
	buf out;
	buf_init(&out, 0);
	detok_init(&d, v);
	for (const char *p = bytes; *p; p++) {
		assert_true(detok_push(&d, (unsigned char)*p, &out));
		assert_true(detok_push(&d, 256, &out)); /* renders as nothing, and does not disturb */
	}
	assert_true(detok_flush(&d, &out));
	if (out.n != strlen(want) || (out.n && memcmp(out.p, want, out.n)))
		fail_msg("'%s', expected '%s'", out.n ? out.p : "", want);
	buf_fini(&out);
}

#define R "\xEF\xBF\xBD"

/* Expectations are Python's bytes.decode("utf-8", "replace"). */
static void bad_bytes_become_replacement_characters(void **state)
{
	(void)state;
	vocab *v = byte_vocab();
	expect_text(v, "h\xC3\xA9\xE4\xB8\x96\xF0\x9F\x98\x80", "h\xC3\xA9\xE4\xB8\x96\xF0\x9F\x98\x80");
	expect_text(v, "\xE4\xB8", R);
	expect_text(v, "\xE4\xB8" "a", R "a");
	expect_text(v, "\xF0\x9F\x98" "a", R "a");
	expect_text(v, "\xF0\x9F\x98", R);
	expect_text(v, "\xE0\x80\x80", R R R);
	expect_text(v, "\xED\xA0\x80", R R R);
	expect_text(v, "\xF4\x90\x80\x80", R R R R);
	expect_text(v, "\xC0\xAF", R R);
	expect_text(v, "\x80\xBF", R R);
	expect_text(v, "\xF0\x9F\xE4\xB8\x96", R "\xE4\xB8\x96");
	expect_text(v, "\xE4\xC3\xA9\xFF", R "\xC3\xA9" R);
	expect_text(v, "\xF0\x9F\x98\x80\xF0", "\xF0\x9F\x98\x80" R);
	vocab_close(&v);
}

/* Those that were asked for: as they are spelled, in their place. */
static void control_tokens_are_shown_if_asked_for(void **state)
{
	(void)state;
	vocab *v = byte_vocab();
	for (int shown = 0; shown < 2; shown++) {
		detok d;
		buf out;
		buf_init(&out, 0);
		detok_init(&d, v);
		d.shown = (const int32_t[]){256};
		d.n_shown = (size_t)shown;
		const int32_t ids[] = {'a', 256, 0xC3, 256, 'b', 256};
		for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
			assert_true(detok_push(&d, ids[i], &out));
		assert_true(detok_flush(&d, &out));
		const char *want = shown ? "a<|im_end|>" R "<|im_end|>b<|im_end|>" : "a" R "b";
		assert_int_equal(out.n, strlen(want));
		assert_memory_equal(out.p, want, out.n);
		buf_fini(&out);
	}
	vocab_close(&v);
}

/* Each push leaves valid UTF-8; longer tokens give the same as single bytes. */
static void streams_are_whole_characters(void **state)
{
	(void)state;
	json_t *g = golden("gpt2.json");
	vocab *v = golden_vocab(g), *bytes = byte_vocab();
	uint64_t random = 7;
	for (int round = 0; round < 500; round++) {
		detok one, other;
		buf a, b;
		buf_init(&a, 0);
		buf_init(&b, 0);
		detok_init(&one, v);
		detok_init(&other, bytes);
		for (int i = 0; i < 40; i++) {
			int32_t id = (int32_t)(8 + next_random(&random) % (round % 2 ? 256 : vocab_size(v) - 8));
			str s = vocab_token(v, id);
			size_t before = a.n;
			assert_true(detok_push(&one, id, &a));
			assert_true(one.n_tail <= 3);
			json_t *whole = json_stringn(a.n ? a.p + before : "", a.n - before);
			assert_non_null(whole);
			json_decref(whole);
			for (size_t k = 0; k < s.n; k++)
				assert_true(detok_push(&other, (unsigned char)s.p[k], &b));
		}
		detok_flush(&one, &a);
		detok_flush(&other, &b);
		assert_int_equal(a.n, b.n);
		assert_memory_equal(a.p, b.p, a.n);
		buf_fini(&a);
		buf_fini(&b);
	}
	vocab_close(&v);
	vocab_close(&bytes);
	json_decref(g);
}

/* Where the first stop string starts, or n. */
static size_t first_stop(const char *p, size_t n, const char *const *stop, const size_t *size, size_t n_stop)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n_stop; k++)
			if (size[k] && size[k] <= n - i && !memcmp(p + i, stop[k], size[k]))
				return i;
	return n;
}

static void check_stream(uint64_t *random, unsigned alphabet)
{
	char text[40], stops[SN_MAX_STOP][6];
	const char *stop[SN_MAX_STOP];
	size_t size[SN_MAX_STOP], n = next_random(random) % sizeof text, n_stop = next_random(random) % (SN_MAX_STOP + 1);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + next_random(random) % alphabet);
	for (size_t k = 0; k < n_stop; k++) {
		size[k] = next_random(random) % 7;
		stop[k] = stops[k];
		for (size_t i = 0; i < size[k] && i < 6; i++)
			stops[k][i] = (char)('a' + next_random(random) % alphabet);
		size[k] = size[k] > 6 ? 6 : size[k];
	}
	stopper s;
	buf out;
	buf_init(&out, 0);
	stopper_init(&s, stop, size, n_stop);
	for (size_t i = 0, step; i < n; i += step) {
		step = 1 + next_random(random) % 5;
		step = step < n - i ? step : n - i;
		assert_true(stopper_push(&s, text + i, step, &out));
	}
	assert_true(stopper_flush(&s, &out));
	size_t want = first_stop(text, n, stop, size, n_stop);
	assert_int_equal(out.n, want);
	assert_int_equal(s.hit, want < n);
	if (want)
		assert_memory_equal(out.p, text, want);
	stopper_fini(&s);
	buf_fini(&out);
}

static void text_ends_before_the_first_stop_string(void **state)
{
	(void)state;
	uint64_t random = 99;
	for (int i = 0; i < 50000; i++)
		check_stream(&random, 2 + (unsigned)(i % 2));
}

static void text_that_cannot_start_a_stop_is_not_held(void **state)
{
	(void)state;
	const char *stop[] = {"\n\nUser:"};
	const size_t size[] = {7};
	stopper s;
	buf out;
	buf_init(&out, 0);
	stopper_init(&s, stop, size, 1);
	stopper_push(&s, "hello\n", 6, &out);
	assert_int_equal(out.n, 5);
	stopper_push(&s, "world", 5, &out);
	assert_int_equal(out.n, 11);
	stopper_push(&s, "\n\nUser", 6, &out);
	assert_int_equal(out.n, 11);
	stopper_push(&s, ": more", 6, &out);
	assert_true(s.hit);
	stopper_push(&s, "more", 4, &out);
	stopper_flush(&s, &out);
	assert_int_equal(out.n, 11);
	stopper_fini(&s);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_bytes_become_replacement_characters),
		cmocka_unit_test(control_tokens_are_shown_if_asked_for),
		cmocka_unit_test(streams_are_whole_characters),
		cmocka_unit_test(text_ends_before_the_first_stop_string),
		cmocka_unit_test(text_that_cannot_start_a_stop_is_not_held),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
