/* test_speech.c - promises of speech: a miniature language model speaks with a vocoder that is played here (speech_kit.h). The same
 * samples alone and in company, sliced, preempted, with a slow reader; and what fails or ends early takes nobody with it. */
#include "speech_kit.h"

/* ---- one utterance ---- */

static sn_request *say(sn_engine *e, const char *text, uint64_t seed, listener *to)
{
	sn_request *r = NULL;
	sn_error err = {0};
	const utterance_ask a = {.request_id = "test", .model = engine_find_model(e, "speaks"), .text = text, .size = strlen(text), .to = to,
	                         .temperature = -1, .seed = seed, .has_place = true};
	if (utterance_submit(e, &a, &r, &err) != SN_OK)
		fail_msg("%s", err.text);
	return r;
}

static size_t hear_out(sn_request *r, float *pcm, size_t max)
{
	size_t n = 0, got;
	sn_error err;
	utterance_news news;
	while ((news = utterance_next(r, 20000, pcm + n, max - n < 5 ? max - n : 5, &got, &err)) == UTTERANCE_SOUND)
		n += got;
	assert_int_equal(news, UTTERANCE_ENDED);
	return n;
}

static void codes_follow_the_rules_and_sound_is_the_whole_decode_of_them(void **state)
{
	(void)state;
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	int n_cut = 0, n_short = 0;
	for (uint64_t seed = 0; seed < 30; seed++) {
		static float pcm[(MAX_FRAMES + 1) * FRAME], want[(MAX_FRAMES + 1) * FRAME];
		listener *l = listener_new(&e->metrics, RATE);
		sn_request *r = say(e, "hello there", seed, l);
		size_t n = hear_out(r, pcm, sizeof pcm / sizeof *pcm);
		const utterance *u = r->voice;
		const sequence *s = &r->seqs[0];
		uint32_t n_said = s->n_known - r->n_prompt, frames = utterance_frames(u);
		bool cut = frames == MAX_FRAMES;
		assert_int_equal(r->n_prompt, 1 + strlen("Ann: hello there") + 1);
		assert_int_equal(n_said, u->n_tokens + !cut);
		assert_int_equal(u->n_tokens, frames * N_SLOTS);
		for (uint32_t i = 0; i < u->n_tokens; i++) {
			assert_true(u->codes[i] >= 0 && (uint32_t)u->codes[i] < SLOTS[i % N_SLOTS].n);
			assert_int_equal(s->rows[r->n_prompt + i].id, (unsigned char)SLOTS[i % N_SLOTS].first_token[0] + u->codes[i]);
		}
		if (!cut)
			assert_int_equal(s->rows[s->n_known - 1].id, vocab_find(r->model->m->vocab, STR("<end_of_utterance>")));
		assert_int_equal(utterance_usage(r).completion_tokens, n_said);
		assert_int_equal(n, frames * FRAME);
		assert_int_equal(whole_sound(u->codes, frames, want), n);
		assert_memory_equal(pcm, want, n * sizeof *pcm);
		n_cut += cut;
		n_short += frames < FIRST + CHUNK;
		sn_request_close(&r);
		listener_unref(&l);
	}
	assert_true(n_cut < 30 && n_short < 30);
	assert_int_equal(atomic_load(&n_bound), 0);
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* ---- the same bytes ---- */

/* All at once, and one more before them that keeps the engine busy while they come, so that they begin together. */
static void speak_together(sn_engine_config c, const char *text, uint32_t us, uint64_t *n_preempted)
{
	sn_engine *e = open_speaking(c);
	sn_speech *s[N_SPEECHES];
	for (int i = 0; i < N_SPEECHES; i++)
		s[i] = begin_speech(e, text, (uint64_t)i);
	atomic_store(&unit_us, us);
	for (int i = N_SPEECHES - 1; i >= 0; i--) { /* nobody reads the others meanwhile */
		struct spoken got = hear(s[i]);
		assert_same_sound(&got, &ALONE[i]);
		free(got.pcm);
		atomic_store(&unit_us, us / 8);
	}
	atomic_store(&unit_us, 0);
	*n_preempted += metric_get(&e->metrics, M_PREEMPTIONS);
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

static void the_same_bytes_alone_and_among_eight(void **state)
{
	(void)state;
	uint64_t n = 0;
	speak_alone((sn_engine_config){.threads = 2}, TEXT);
	speak_together((sn_engine_config){.threads = 2}, TEXT, 0, &n);
	speak_together((sn_engine_config){.threads = 2, .max_num_seqs = 3, .max_num_batched_tokens = 7}, TEXT, 0, &n);
	assert_int_equal(n, 0);
	assert_int_equal(atomic_load(&n_bound), 0);
	assert_int_equal(atomic_load(&n_begun), atomic_load(&n_ended));
}

static void the_same_bytes_in_a_pool_that_is_too_small(void **state)
{
	(void)state;
	uint64_t n = 0;
	speak_together((sn_engine_config){.threads = 2, .kv_cache_memory = 5 * PAGE_BYTES, .no_prefix_caching = true}, TEXT, 0, &n);
	assert_true(n > 0);
}

static void the_same_bytes_with_chunks_sliced_at_every_unit(void **state)
{
	(void)state;
	uint64_t n = 0;
	speak_alone((sn_engine_config){.threads = 2}, "Go on then.");
	speak_together((sn_engine_config){.threads = 2}, "Go on then.", 16000, &n);
}

static void a_slow_reader_stalls_its_own_sequence(void **state)
{
	(void)state;
	speak_alone((sn_engine_config){.threads = 2}, TEXT);
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	sn_speech *slow = begin_speech(e, TEXT, 0);
	for (int i = 1; i < 3; i++) { /* others do not wait for it */
		struct spoken got = hear(begin_speech(e, TEXT, (uint64_t)i));
		assert_same_sound(&got, &ALONE[i]);
		free(got.pcm);
	}
	struct spoken got = hear(slow);
	assert_same_sound(&got, &ALONE[0]);
	free(got.pcm);
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* Its head's other rows are computed as long as somebody chats. */
static void who_chats_with_a_model_that_speaks_changes_nothing(void **state)
{
	(void)state;
	speak_alone((sn_engine_config){.threads = 2}, TEXT);
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	const speaker *who = e->models[1].speaker;
	int32_t end = vocab_find(e->models[1].m->vocab, STR("<end_of_utterance>"));
	assert_int_equal(who->head_first, '0');
	assert_int_equal(who->head_n, end > 't' ? end - '0' + 1 : 'a' + 20 - '0');
	assert_true(who->head_n < e->models[1].m->h.n_logits);
	const struct ask a = {.text = "And you?", .model = "speaks", .temperature = 1, .seed = 4, .max_tokens = 60};
	struct answer alone = ask(e, &a), among = {0};
	sn_request *r;
	sn_error err;
	sn_speech *s[3];
	for (int i = 0; i < 3; i++)
		s[i] = begin_speech(e, TEXT, (uint64_t)i);
	assert_int_equal(submit(e, &a, &r, &err), SN_OK);
	collect(r, &among);
	sn_request_close(&r);
	assert_same(&alone, &among);
	for (int i = 0; i < 3; i++) {
		struct spoken got = hear(s[i]);
		assert_same_sound(&got, &ALONE[i]);
		free(got.pcm);
	}
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* ---- many in one step ---- */

static void one_step_carries_eight_sequences_and_one_job_eight_streams(void **state)
{
	(void)state;
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2, .no_prefix_caching = true});
	static const char text[] = "Now all of us.";
	uint64_t seeds[N_SPEECHES], n_seeds = 0;
	for (uint64_t seed = 0; n_seeds < N_SPEECHES; seed++) { /* that say more than one chunk */
		struct spoken got = hear(begin_speech(e, text, seed));
		if (got.n > FIRST * FRAME)
			seeds[n_seeds++] = seed;
		free(got.pcm);
	}
	assert_int_equal(metric_get(&e->metrics, M_SYNTH_MAX), 1);
	sn_speech *s[N_SPEECHES];
	sn_speech_event ev;
	uint32_t begun = atomic_load(&n_begun);
	atomic_store(&unit_us, 300000);
	sn_speech *before = begin_speech(e, text, seeds[0]); /* its first chunk keeps the engine busy while the others come */
	while (atomic_load(&n_begun) == begun)
		usleep(1000);
	for (int i = 0; i < N_SPEECHES; i++)
		s[i] = begin_speech(e, text, seeds[i]);
	atomic_store(&unit_us, 0);
	for (int i = 0; i < N_SPEECHES; i++)
		assert_int_equal(sn_speech_next(s[i], 20000, &ev), SN_SPEECH_SOUND);
	assert_true(metric_get(&e->metrics, M_MAX_SEQS) >= N_SPEECHES);
	assert_int_equal(metric_get(&e->metrics, M_SYNTH_MAX), N_SPEECHES);
	sn_speech_close(&before);
	for (int i = 0; i < N_SPEECHES; i++)
		sn_speech_close(&s[i]);
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

/* ---- ends ---- */

static void a_cancel_frees_pages_and_stops_the_vocoder(void **state)
{
	(void)state;
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	uint32_t begun = atomic_load(&n_begun);
	atomic_store(&unit_us, 70000); /* longer than a slice: a job of two units takes two steps */
	sn_speech *s = begin_speech(e, TEXT, 1);
	while (atomic_load(&n_begun) == begun)
		usleep(1000);
	uint64_t units = metric_get(&e->metrics, M_SYNTH_UNITS), jobs = metric_get(&e->metrics, M_SYNTH_JOBS);
	sn_speech_close(&s);
	assert_nothing_is_left(e);
	assert_true(metric_get(&e->metrics, M_SYNTH_UNITS) <= units + 2); /* the one that ran, and one that the step had begun with */
	assert_true(metric_get(&e->metrics, M_SYNTH_JOBS) <= jobs + 1);
	assert_true(metric_get(&e->metrics, M_CANCELLED) >= 1);
	atomic_store(&unit_us, 0);
	sn_engine_close(&e);
}

static void cancels_at_any_time_leave_nothing_and_touch_nobody(void **state)
{
	(void)state;
	rng r = {9};
	speak_alone((sn_engine_config){.threads = 2}, TEXT);
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2, .kv_cache_memory = 8 * PAGE_BYTES});
	atomic_store(&unit_us, 300);
	for (int round = 0; round < 30; round++) {
		sn_speech *s[4];
		sn_speech_event ev;
		for (int i = 0; i < 4; i++)
			s[i] = begin_speech(e, TEXT, (uint64_t)i);
		for (int i = 1; i < 4; i++) {
			for (uint32_t n = rng_below(&r, 4); n > 0; n--)
				sn_speech_next(s[i], (int)rng_below(&r, 5), &ev);
			sn_speech_close(&s[i]);
		}
		struct spoken got = hear(s[0]);
		assert_same_sound(&got, &ALONE[0]);
		free(got.pcm);
	}
	atomic_store(&unit_us, 0);
	assert_nothing_is_left(e);
	sn_engine_close(&e);
}

static int32_t first_code_of(uint64_t seed)
{
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	listener *l = listener_new(&e->metrics, RATE);
	sn_request *r = say(e, "It may fail.", seed, l);
	static float pcm[(MAX_FRAMES + 1) * FRAME];
	hear_out(r, pcm, sizeof pcm / sizeof *pcm);
	int32_t code = r->voice->n_tokens ? r->voice->codes[0] : -1;
	sn_request_close(&r);
	listener_unref(&l);
	sn_engine_close(&e);
	return code;
}

/* Whatever a plugin does wrong over one utterance costs that one alone, also where it was in a job with others. */
static void what_the_plugin_fails_at_fails_alone(void **state)
{
	(void)state;
	int32_t code[N_SPEECHES];
	uint32_t bad = N_SPEECHES;
	for (uint32_t i = 0; i < N_SPEECHES; i++)
		code[i] = first_code_of(i);
	for (uint32_t i = 0; i < N_SPEECHES && bad == N_SPEECHES; i++) /* one whose first code no other has */
		for (uint32_t k = 0, same = 0; k <= N_SPEECHES; k++) {
			if (k == N_SPEECHES)
				bad = same == 1 && code[i] >= 0 ? i : bad;
			else
				same += code[k] == code[i];
		}
	assert_true(bad < N_SPEECHES);
	speak_alone((sn_engine_config){.threads = 2}, "It may fail.");
	static const struct { int how; const char *text; } ways[] = {
	    {FAILS_STEP, "it cannot say this"}, {FAILS_BEGIN, "it cannot say this"}, {TOO_MANY, "not what it had announced"},
	    {TOO_FEW, "not what it had announced"}, {NOT_FINITE, "not finite"}, {NO_PROGRESS, "no progress"},
	};
	for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
		sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
		sn_speech *s[N_SPEECHES], *before;
		badness = ways[w].how;
		atomic_store(&bad_first_code, code[bad]);
		atomic_store(&unit_us, 100000);
		uint32_t begun = atomic_load(&n_begun);
		before = begin_speech(e, "It may fail.", bad ? 0 : 1);
		while (atomic_load(&n_begun) == begun)
			usleep(1000);
		for (uint32_t i = 0; i < N_SPEECHES; i++)
			s[i] = begin_speech(e, "It may fail.", i);
		atomic_store(&unit_us, 0);
		for (uint32_t i = 0; i < N_SPEECHES; i++) {
			struct spoken got = hear(s[i]);
			if (i != bad) {
				assert_same_sound(&got, &ALONE[i]);
			} else if (got.status != SN_ERR_PLUGIN || !strstr(got.error.text, ways[w].text)) {
				fail_msg("way %zu: %d %s", w, got.status, got.error.text);
			}
			free(got.pcm);
		}
		sn_speech_close(&before);
		atomic_store(&bad_first_code, -1);
		struct spoken again = hear(begin_speech(e, "It may fail.", bad));
		assert_same_sound(&again, &ALONE[bad]); /* it is tried again */
		free(again.pcm);
		assert_int_equal(metric_get(&e->metrics, M_FAILED), 1);
		assert_nothing_is_left(e);
		sn_engine_close(&e);
	}
}

/* ---- a decoder that must see the whole ---- */

static void an_offline_decoder_has_one_chunk(void **state)
{
	(void)state;
	INFO.offline = 1;
	INFO.max_frames = INFO.first_frames = MAX_FRAMES;
	speak_alone((sn_engine_config){.threads = 2}, "All at once.");
	uint32_t before = atomic_load(&n_begun);
	sn_engine *e = open_speaking((sn_engine_config){.threads = 2});
	struct spoken got = hear(begin_speech(e, "All at once.", 1));
	assert_same_sound(&got, &ALONE[1]);
	assert_int_equal(atomic_load(&n_begun), before + (got.n > 0));
	free(got.pcm);
	sn_engine_close(&e);
	describe_again();
	atomic_store(&n_bound, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(codes_follow_the_rules_and_sound_is_the_whole_decode_of_them),
	    cmocka_unit_test(the_same_bytes_alone_and_among_eight),
	    cmocka_unit_test(the_same_bytes_in_a_pool_that_is_too_small),
	    cmocka_unit_test(the_same_bytes_with_chunks_sliced_at_every_unit),
	    cmocka_unit_test(a_slow_reader_stalls_its_own_sequence),
	    cmocka_unit_test(who_chats_with_a_model_that_speaks_changes_nothing),
	    cmocka_unit_test(one_step_carries_eight_sequences_and_one_job_eight_streams),
	    cmocka_unit_test(a_cancel_frees_pages_and_stops_the_vocoder),
	    cmocka_unit_test(cancels_at_any_time_leave_nothing_and_touch_nobody),
	    cmocka_unit_test(what_the_plugin_fails_at_fails_alone),
	    cmocka_unit_test(an_offline_decoder_has_one_chunk),
	};
	return speech_run(tests);
}
