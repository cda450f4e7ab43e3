/* test_speech_words.c - promises of a speech as a whole: words in, sound out, whatever ends it; and what its listener gets. */
#include "speech_kit.h"

static void words_may_come_in_any_pieces(void **state)
{
	(void)state;
	rng r = {4};
	speak_alone((sn_engine_config){.threads = 2}, TEXT);
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	for (int round = 0; round < 6; round++) {
		sn_speech *s = open_speech_of(e, &(sn_speech_ask){.request_id = "test", .model = round % 2 ? "speaks" : "", .voice = round % 3 ? "default" : "ann",
		                                                  .seed = 2, .has_seed = true, .temperature = -1});
		struct spoken got = {0};
		sn_speech_event ev;
		for (size_t i = 0, k; i < sizeof TEXT - 1; i += k) {
			k = rng_between(&r, 1, 9);
			k = k < sizeof TEXT - 1 - i ? k : sizeof TEXT - 1 - i;
			assert_int_equal(sn_speech_say(s, TEXT + i, k, NULL), SN_OK);
			if (sn_speech_next(s, round < 3 ? 0 : 10, &ev) == SN_SPEECH_SOUND) {
				got.pcm = realloc(got.pcm, (got.n + ev.n_samples) * sizeof *got.pcm);
				memcpy(got.pcm + got.n, ev.pcm, ev.n_samples * sizeof *got.pcm);
				got.n += ev.n_samples;
			}
		}
		assert_true(round < 3 || got.n > 0); /* it speaks before all is said */
		sn_speech_finish(s);
		assert_int_equal(sn_speech_say(s, "x", 1, NULL), SN_ERR_INVALID);
		struct spoken rest = hear(s);
		assert_int_equal(rest.status, SN_OK);
		got.pcm = realloc(got.pcm, (got.n + rest.n + 1) * sizeof *got.pcm);
		memcpy(got.pcm + got.n, rest.pcm, rest.n * sizeof *rest.pcm);
		got.n += rest.n;
		assert_int_equal(got.n, ALONE[2].n);
		assert_memory_equal(got.pcm, ALONE[2].pcm, got.n * sizeof *got.pcm);
		assert_float_equal(rest.seconds, (double)got.n / RATE, 1e-9);
		free(got.pcm);
		free(rest.pcm);
	}
	assert_nothing_is_left(e);
	sn_engine_close(&e);
}

static void another_voice_or_seed_says_it_otherwise(void **state)
{
	(void)state;
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	struct spoken got[4];
	const sn_speech_ask asks[] = {{.voice = NULL, .seed = 1}, {.voice = "bo-2", .seed = 1}, {.voice = "ann", .seed = 2}, {.voice = "ann", .seed = 1}};
	for (int i = 0; i < 4; i++) {
		sn_speech_ask a = asks[i];
		a.request_id = "test";
		a.has_seed = true;
		a.temperature = -1;
		sn_speech *s = open_speech_of(e, &a);
		assert_int_equal(sn_speech_say(s, TEXT, sizeof TEXT - 1, NULL), SN_OK);
		sn_speech_finish(s);
		got[i] = hear(s);
	}
	assert_same_sound(&got[0], &got[3]);
	for (int i = 1; i < 3; i++)
		assert_true(got[i].n != got[0].n || memcmp(got[i].pcm, got[0].pcm, got[0].n * sizeof *got[0].pcm));
	for (int i = 0; i < 4; i++)
		free(got[i].pcm);
	sn_engine_close(&e);
}

static void it_ends_after_so_many_seconds(void **state)
{
	(void)state;
	speak_alone((sn_engine_config){.threads = 2}, TEXT);
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	for (uint32_t seconds = 1; seconds < 30; seconds += 7) {
		sn_speech *s = open_speech_of(e, &(sn_speech_ask){.request_id = "test", .seed = 4, .has_seed = true, .temperature = -1, .max_seconds = seconds});
		assert_int_equal(sn_speech_say(s, TEXT, sizeof TEXT - 1, NULL), SN_OK);
		sn_speech_finish(s);
		struct spoken got = hear(s);
		assert_int_equal(got.status, SN_OK);
		assert_true(got.n <= seconds * RATE && got.n <= ALONE[4].n);
		assert_memory_equal(got.pcm, ALONE[4].pcm, (got.n < FRAME ? got.n : FRAME) * sizeof *got.pcm);
		free(got.pcm);
		assert_nothing_is_left(e);
	}
	sn_engine_close(&e);
}

static void nothing_to_say_is_silence(void **state)
{
	(void)state;
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	struct spoken got = hear(begin_speech(e, " ... \n", 0));
	assert_int_equal(got.status, SN_OK);
	assert_int_equal(got.n, 0);
	assert_int_equal(got.usage.completion_tokens, 0);
	assert_nothing_is_left(e);
	sn_engine_close(&e);
}

static void refuse(sn_engine *e, const sn_speech_ask *ask, sn_status want, const char *param)
{
	sn_speech *s;
	sn_error err = {0};
	sn_status st = sn_speech_open(e, ask, &s, &err);
	if (s || st != want || strcmp(err.param, param) != 0)
		fail_msg("%s, %s: %d %s: %s", param, ask->voice ? ask->voice : "-", st, err.param, err.text);
}

static void what_cannot_be_spoken_is_refused(void **state)
{
	(void)state;
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	refuse(e, &(sn_speech_ask){.model = "none"}, SN_ERR_NOT_FOUND, "model");
	refuse(e, &(sn_speech_ask){.model = "chats"}, SN_ERR_UNSUPPORTED, "model");
	refuse(e, &(sn_speech_ask){.voice = "carl"}, SN_ERR_INVALID, "voice");
	refuse(e, &(sn_speech_ask){.temperature = 2.5f}, SN_ERR_INVALID, "temperature");
	refuse(e, &(sn_speech_ask){.temperature = NAN}, SN_ERR_INVALID, "temperature");
	const sn_voice_info *voices;
	uint32_t rate;
	assert_int_equal(sn_engine_voices(e, NULL, &voices, &rate), 3);
	assert_string_equal(voices[0].name, "default");
	assert_string_equal(voices[1].name, "ann");
	assert_string_equal(voices[2].name, "bo-2");
	assert_int_equal(rate, RATE);
	assert_int_equal(sn_engine_voices(e, "chats", &voices, &rate), 0);
	assert_int_equal(rate, 0);
	const sn_model_info *infos;
	assert_int_equal(sn_engine_models(e, &infos), 2);
	assert_true(!infos[0].speaks && infos[1].speaks);
	/* More than a speech takes. */
	sn_error err = {0};
	sn_speech *s = open_speech_of(e, &(sn_speech_ask){.request_id = "test"});
	static char much[SN_MAX_SPEECH_TEXT];
	memset(much, '.', sizeof much);
	assert_int_equal(sn_speech_say(s, much, sizeof much - 1, &err), SN_OK);
	assert_int_equal(sn_speech_say(s, much, 2, &err), SN_ERR_TOO_LARGE);
	assert_int_equal(sn_speech_say(s, much, 1, &err), SN_OK);
	sn_speech_close(&s);
	assert_nothing_is_left(e);
	sn_engine_close(&e);
	/* No room for a frame. */
	e = open_speaking((sn_engine_config){.threads = 2, .max_model_len = 20});
	struct spoken got = hear(begin_speech(e, "Far too long for that.", 0));
	assert_int_equal(got.status, SN_ERR_CONTEXT_LENGTH);
	assert_string_equal(got.error.param, "input");
	sn_engine_close(&e);
	e = open_empty((sn_engine_config){.threads = 1});
	load_model(e, "chats", "model.gguf", NULL);
	start_engine(e);
	refuse(e, &(sn_speech_ask){.model = ""}, SN_ERR_UNSUPPORTED, "model");
	sn_engine_close(&e);
}

static void a_deadline_ends_it_with_words_or_without(void **state)
{
	(void)state;
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	for (int with = 0; with < 2; with++) {
		sn_speech *s = open_speech_of(e, &(sn_speech_ask){.request_id = "test", .timeout_ms = 150, .temperature = -1});
		atomic_store(&unit_us, 60000);
		if (with)
			assert_int_equal(sn_speech_say(s, TEXT, sizeof TEXT - 1, NULL), SN_OK);
		struct spoken got = hear(s);
		atomic_store(&unit_us, 0);
		assert_int_equal(got.status, SN_ERR_DEADLINE);
		free(got.pcm);
		assert_nothing_is_left(e);
	}
	sn_engine_close(&e);
}

static void a_drain_lets_a_speech_end_and_takes_no_other(void **state)
{
	(void)state;
	speak_alone((sn_engine_config){.threads = 2}, TEXT);
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	sn_speech *s = open_speech_of(e, &(sn_speech_ask){.request_id = "test", .seed = 5, .has_seed = true, .temperature = -1});
	assert_int_equal(sn_speech_say(s, TEXT, 20, NULL), SN_OK);
	sn_engine_drain(e);
	refuse(e, &(sn_speech_ask){.voice = "ann"}, SN_ERR_DRAINING, "");
	assert_int_equal(sn_speech_say(s, TEXT + 20, sizeof TEXT - 21, NULL), SN_OK);
	sn_speech_finish(s);
	struct spoken got = hear(s);
	assert_same_sound(&got, &ALONE[5]);
	free(got.pcm);
	assert_nothing_is_left(e);
	/* An abort ends what runs. */
	sn_engine_close(&e);
	e = open_speaking((sn_engine_config){.threads = 2});
	atomic_store(&unit_us, 50000);
	s = begin_speech(e, TEXT, 1);
	sn_engine_abort_all(e);
	got = hear(s);
	atomic_store(&unit_us, 0);
	assert_int_equal(got.status, SN_ERR_DRAINING);
	free(got.pcm);
	assert_nothing_is_left(e);
	sn_engine_close(&e);
}

static void a_full_queue_refuses_speeches_and_stops_none(void **state)
{
	(void)state;
	speak_alone((sn_engine_config){.threads = 2}, TEXT);
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2, .max_num_seqs = 1, .max_queued_requests = 2});
	sn_speech *s[3], *none;
	for (int i = 0; i < 3; i++)
		s[i] = open_speech_of(e, &(sn_speech_ask){.request_id = "test", .seed = (uint64_t)i, .has_seed = true, .temperature = -1});
	assert_int_equal(sn_speech_open(e, &(sn_speech_ask){.request_id = "test"}, &none, NULL), SN_ERR_QUEUE_FULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sn_speech_say(s[i], TEXT, sizeof TEXT - 1, NULL), SN_OK);
		sn_speech_finish(s[i]);
	}
	for (int i = 0; i < 3; i++) {
		struct spoken got = hear(s[i]);
		assert_same_sound(&got, &ALONE[i]);
		free(got.pcm);
	}
	assert_nothing_is_left(e);
	sn_engine_close(&e);
}

static void figures_add_up(void **state)
{
	(void)state;
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	uint64_t samples = 0, tokens = 0;
	uint64_t before = metric_get(&e->metrics, M_GENERATION_TOKENS);
	for (uint64_t i = 0; i < 4; i++) {
		struct spoken got = hear(begin_speech(e, TEXT, i));
		samples += got.n;
		tokens += got.usage.completion_tokens;
		free(got.pcm);
	}
	assert_nothing_is_left(e);
	assert_int_equal(metric_get(&e->metrics, M_GENERATION_TOKENS) - before, tokens);
	assert_true(llabs((long long)(metric_get(&e->metrics, S_AUDIO) - samples * 1000000 / RATE)) < 1000);
	assert_true(metric_get(&e->metrics, M_SYNTH_STREAMS) >= metric_get(&e->metrics, M_SYNTH_JOBS));
	assert_true(metric_get(&e->metrics, M_SYNTH_JOBS) > 0);
	static const enum histogram_id each[] = {H_TTFA, H_RTF, H_UNDERRUN};
	for (size_t h = 0; h < 3; h++) {
		uint64_t n = 0;
		for (int b = 0; b <= METRIC_BUCKETS; b++)
			n += atomic_load(&e->metrics.histogram[each[h]].bucket[b]);
		assert_int_equal(n, 4);
	}
	sn_engine_close(&e);
}

/* ---- listeners ---- */

static void a_listener_waits_where_sound_is_late(void **state)
{
	(void)state;
	static metrics m;
	memset(&m, 0, sizeof m);
	listener *l = listener_new(&m, 1000); /* a sample a ms */
	l->t_words = 50;
	l->t_begin = 60;
	listener_expect(l, 0);
	assert_float_equal(listener_slack(l, 0, 90), 0, 0);
	listener_give(l, 0, 100, 0, 50, 100);
	assert_float_equal(listener_slack(l, 0, 120), 80, 1e-9);
	listener_expect(l, 1);
	assert_float_equal(listener_slack(l, 1, 120), 80, 1e-9);
	listener_give(l, 1, 50, 0, 50, 130); /* the next one is being made already */
	assert_float_equal(listener_slack(l, 0, 130), 70, 1e-9);
	assert_float_equal(listener_slack(l, 1, 130), 120, 1e-9);
	listener_give(l, 0, 100, 0, 50, 230); /* 30 late */
	assert_int_equal(metric_get(&m, S_UNDERRUN), 30000);
	assert_float_equal(listener_slack(l, 0, 230), 100, 1e-9);
	assert_float_equal(listener_slack(l, 1, 230), 150, 1e-9);
	listener_expect(l, 2);
	listener_expect(l, 3); /* 0 and 1 are over: 250 in all, played from 130 on */
	listener_give(l, 2, 10, 0, 400, 450); /* its words came after all was said */
	assert_int_equal(metric_get(&m, S_UNDERRUN), 30000);
	assert_float_equal(listener_slack(l, 2, 450), 10, 1e-9);
	listener_give(l, 2, 10, 5, 400, 480); /* its reader has not taken what there was */
	assert_int_equal(metric_get(&m, S_UNDERRUN), 30000);
	l->whole = true;
	listener_ref(l);
	listener *other = l;
	listener_unref(&other);
	assert_int_equal(atomic_load(&m.histogram[H_RTF].sum_us), 0);
	listener_unref(&l);
	assert_int_equal(atomic_load(&m.histogram[H_TTFA].sum_us), 50000);
	assert_int_equal(atomic_load(&m.histogram[H_UNDERRUN].sum_us), 30000);
	assert_int_equal(atomic_load(&m.histogram[H_RTF].sum_us), (uint64_t)((480.0 - 60) / 270 * 1e6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_may_come_in_any_pieces),
	    cmocka_unit_test(another_voice_or_seed_says_it_otherwise),
	    cmocka_unit_test(it_ends_after_so_many_seconds),
	    cmocka_unit_test(nothing_to_say_is_silence),
	    cmocka_unit_test(what_cannot_be_spoken_is_refused),
	    cmocka_unit_test(a_deadline_ends_it_with_words_or_without),
	    cmocka_unit_test(a_drain_lets_a_speech_end_and_takes_no_other),
	    cmocka_unit_test(a_full_queue_refuses_speeches_and_stops_none),
	    cmocka_unit_test(figures_add_up),
	    cmocka_unit_test(a_listener_waits_where_sound_is_late),
	};
	return speech_run(tests);
}
