/* test_hear.c - a recording from its bytes to its segments through the real codec and tower: a random-weight Whisper of 30 s windows
 * (tests/golden/hear/whisper), whose tokens, probabilities, language and word times are transformers' and openai-whisper's. */
#include "engine_kit.h"

#include "hear_golden.h"

enum { HZ = 16000, SECONDS = 30, MAX_TOKENS = 128, MAX_HEARD = 64 };

/* ---- sound: what tests/golden/hear/transcript.py computes ---- */

static void put_le(uint8_t *p, uint32_t v, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* A WAV file of 16 bits. */
static uint8_t *make_sound(uint32_t n, size_t *size)
{
	*size = 44 + 2 * (size_t)n;
	uint8_t *p = calloc(1, *size);
	uint32_t state = 1;
	memcpy(p, "RIFF\0\0\0\0WAVEfmt \20\0\0\0\1\0\1\0", 24);
	put_le(p + 4, (uint32_t)*size - 8, 4);
	put_le(p + 24, HZ, 4);
	put_le(p + 28, 2 * HZ, 4);
	put_le(p + 32, 2, 2);
	put_le(p + 34, 16, 2);
	memcpy(p + 36, "data", 4);
	put_le(p + 40, 2 * n, 4);
	for (uint32_t i = 0; i < n; i++) {
		state = state * 1664525u + 1013904223u;
		int32_t noise = (int32_t)(state >> 16 & 0xFFF) - 2048, block = (int32_t)(i / 4000);
		int32_t loud = noise * (block * 7 % 11), tone = (int32_t)((uint64_t)i * (uint32_t)(40 + block * 13 % 97) & 1023) - 512;
		put_le(p + 44 + 2 * (size_t)i, (uint32_t)((loud >> 4) + tone * (block % 5)), 2); /* >>: rounds down, as Python's // */
	}
	return p;
}

/* ---- asking ---- */

struct heard {
	uint32_t n;
	sn_segment s[MAX_HEARD];
	int32_t tokens[MAX_HEARD][MAX_TOKENS];
	char text[MAX_HEARD][512];
	uint32_t n_words;
	struct { char text[256]; double start, end; } words[MAX_TOKENS];
	char language[16];
	double duration;
	sn_usage usage;
};

static void take_segment(struct heard *h, const sn_segment *s)
{
	assert_true(h->n < MAX_HEARD && s->n_tokens <= MAX_TOKENS && s->size < sizeof h->text[0]);
	memcpy(h->tokens[h->n], s->tokens, s->n_tokens * sizeof(int32_t));
	memcpy(h->text[h->n], s->text, s->size);
	for (size_t i = 0; i < s->n_words; i++, h->n_words++) {
		assert_true(h->n_words < MAX_TOKENS && s->words[i].size < sizeof h->words[0].text);
		memcpy(h->words[h->n_words].text, s->words[i].text, s->words[i].size);
		h->words[h->n_words].start = s->words[i].start;
		h->words[h->n_words].end = s->words[i].end;
	}
	h->s[h->n++] = *s;
}

static void hear_rest(sn_transcript **t, struct heard *h)
{
	sn_transcript_event ev;
	for (;;) {
		sn_transcript_kind k = sn_transcript_next(*t, 60000, &ev);
		if (k == SN_TRANSCRIPT_ERROR)
			fail_msg("%s", ev.error.text);
		assert_int_not_equal(k, SN_TRANSCRIPT_NONE);
		if (k == SN_TRANSCRIPT_DONE)
			break;
		take_segment(h, &ev.segment);
	}
	snprintf(h->language, sizeof h->language, "%s", ev.language);
	h->duration = ev.duration;
	h->usage = ev.usage;
	sn_transcript_close(t);
}

static sn_transcript *submit_sound(sn_engine *e, const uint8_t *wav, size_t size, const char *language, bool stamps, bool words)
{
	/* So cold that it is greedy, and not tried hotter where a random model repeats itself. */
	const sn_transcription ask = {.request_id = "test", .part = {.kind = SN_PART_MEDIA, .kind_name = "audio", .data = (const char *)wav, .size = size},
	                              .language = language, .temperature = 1e-4f, .stamps = stamps, .words = words, .seed = 1, .has_seed = true};
	sn_transcript *t;
	sn_error err;
	if (sn_transcript_submit(e, &ask, &t, &err) != SN_OK)
		fail_msg("%s", err.text);
	return t;
}

static struct heard *hear(sn_engine *e, const uint8_t *wav, size_t size, const char *language, bool stamps, bool words)
{
	struct heard *h = calloc(1, sizeof *h);
	sn_transcript *t = submit_sound(e, wav, size, language, stamps, words);
	hear_rest(&t, h);
	return h;
}

static sn_engine *open_listener(sn_engine_config c)
{
	c.kv_dtype = SN_KV_F32;
	sn_engine *e = open_empty(c);
	load_model(e, "whisper", "whisper", NULL);
	start_engine(e);
	return e;
}

/* ---- promises ---- */

/* Segments leave out what says nothing, so the golden is looked for token by token, in order. */
static void assert_tokens(const struct heard *h, struct golden *g)
{
	int32_t want[MAX_TOKENS];
	uint32_t n = (uint32_t)golden_next(g), at = 0;
	assert_true(n <= MAX_TOKENS);
	for (uint32_t i = 0; i < n; i++)
		want[i] = golden_next(g);
	double logprob = (double)golden_float(g), no_speech = (double)golden_float(g);
	for (uint32_t i = 0; i < h->n; i++) {
		assert_true(fabs((double)h->s[i].avg_logprob - logprob) < 1e-3);
		assert_true(fabs((double)h->s[i].no_speech_prob - no_speech) < 1e-4);
		for (uint32_t k = 0; k < h->s[i].n_tokens; k++) {
			while (at < n && want[at] != h->tokens[i][k])
				at++; /* only stamps are skipped: checked below by the count of text */
			assert_true(at++ < n);
		}
	}
	uint32_t n_text = 0, n_heard = 0;
	for (uint32_t i = 0; i < n; i++)
		n_text += want[i] < 276;
	for (uint32_t i = 0; i < h->n; i++)
		for (uint32_t k = 0; k < h->s[i].n_tokens; k++)
			n_heard += h->tokens[i][k] < 276;
	assert_int_equal(n_heard, n_text);
}

static void one_window_is_transformers_own(void **state)
{
	(void)state;
	size_t size;
	uint8_t *wav = make_sound(HZ * SECONDS, &size);
	sn_engine *e = open_listener((sn_engine_config){.threads = 2});
	const sn_model_info *info;
	assert_int_equal(sn_engine_models(e, &info), 1);
	assert_true(info->transcribes);
	struct golden g = golden_open("transcript.bin");
	int32_t language = golden_next(&g);
	struct heard *h = hear(e, wav, size, NULL, true, false);
	char spelt[24];
	snprintf(spelt, sizeof spelt, "<|%s|>", h->language);
	assert_int_equal(vocab_find(e->models[0].m->vocab, str_of(spelt)), language);
	free(h);
	h = hear(e, wav, size, "de", true, false);
	assert_true(h->n >= 3);
	assert_tokens(h, &g);
	assert_true(fabs(h->duration - SECONDS) < 1e-9);
	free(h);
	h = hear(e, wav, size, "de", false, false);
	assert_int_equal(h->n, 1);
	assert_tokens(h, &g);
	free(h);
	h = hear(e, wav, size, "de", true, true);
	uint32_t n_words = (uint32_t)golden_next(&g);
	assert_int_equal(h->n_words, n_words);
	for (uint32_t i = 0; i < n_words; i++) {
		size_t n;
		char *text = golden_text(&g, &n);
		assert_string_equal(h->words[i].text, text);
		assert_true(fabs(h->words[i].start * 100 - golden_next(&g)) < 2.5); /* a row of the encoder is 2 */
		assert_true(fabs(h->words[i].end * 100 - golden_next(&g)) < 2.5);
		free(text);
	}
	free(h);
	assert_all_pages_free(e);
	sn_engine_close(&e);
	golden_close(&g);
	free(wav);
}

static void windows_at_once_say_what_they_say_one_by_one(void **state)
{
	(void)state;
	size_t size;
	uint8_t *wav = make_sound(HZ * 100, &size);
	sn_engine *e = open_listener((sn_engine_config){.threads = 2, .max_num_seqs = 1});
	struct heard *one = hear(e, wav, size, NULL, true, true);
	sn_engine_close(&e);
	e = open_listener((sn_engine_config){.threads = 2});
	struct heard *many = hear(e, wav, size, NULL, true, true);
	assert_true(one->n >= 4 && fabs(one->duration - 100) < 1e-9);
	assert_memory_equal(one->text, many->text, sizeof one->text);
	assert_memory_equal(one->tokens, many->tokens, sizeof one->tokens);
	assert_memory_equal(one->words, many->words, sizeof one->words);
	assert_memory_equal(&one->usage, &many->usage, sizeof one->usage);
	double t = 0;
	for (uint32_t i = 0; i < many->n; i++) {
		assert_true(many->s[i].start >= t && many->s[i].end >= many->s[i].start && many->s[i].end <= 100);
		t = many->s[i].end;
	}
	sn_transcript *gone = submit_sound(e, wav, size, NULL, true, true);
	sn_transcript_close(&gone);
	assert_all_pages_free(e);
	sn_engine_close(&e);
	free(one);
	free(many);
	free(wav);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_window_is_transformers_own),
	    cmocka_unit_test(windows_at_once_say_what_they_say_one_by_one),
	};
	return kit_run(tests);
}
