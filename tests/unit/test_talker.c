/* test_talker.c - a language model whose frames a depth transformer completes: its rows are the sums that they should be, the predictor
 * says what its arithmetic says, and what is said depends on nobody else: not on company, chunks, preemption or the prefix cache. */
#define GOLDEN_DIR ""
#include "talker_lanes.h"

#include "engine/frames.h"
#include "engine/utterance.h"

/* ---- an engine that has it ---- */

static sn_status load_talker(sn_engine *e, sn_error *err)
{
	plugin_host *h = e->plugins;
	plugin *p = arena_alloc(h->mem, sizeof *p);
	char path[512], beside[512];
	p->desc = &DESC;
	p->speak = &SPEAK;
	p->synth = &SYNTH;
	p->plan = &PLAN;
	p->encode = &ENCODE;
	h->plugins[plugin_count(h)] = p;
	atomic_fetch_add(&h->n_plugins, 1);
	snprintf(path, sizeof path, "%s/talker", SCRATCH);
	snprintf(beside, sizeof beside, "%s/beside.gguf", SCRATCH);
	return sn_engine_load(e, &(sn_model_config){.name = "talks", .path = path, .mmproj = (const char *[]){beside}, .n_mmproj = 1}, err);
}

static sn_kv_dtype stored; /* how K and V are, if a test says nothing else */

static sn_engine *open_talking(sn_engine_config c)
{
	c.kv_dtype = c.kv_dtype ? c.kv_dtype : stored;
	sn_engine *e = open_empty(c);
	sn_error err = {0};
	if (load_talker(e, &err))
		fail_msg("%s", err.text);
	start_engine(e);
	return e;
}

static void refuse_talker(const char *what)
{
	sn_engine *e = open_empty((sn_engine_config){.threads = 1});
	sn_error err = {0};
	if (load_talker(e, &err) == SN_OK || !strstr(err.text, what))
		fail_msg("\"%s\" does not say \"%s\"", err.text, what);
	sn_engine_close(&e);
	describe_again();
}

/* ---- speaking ---- */

struct said { float *pcm; size_t n; sn_usage usage; };

static sn_speech *begin_speech(sn_engine *e, const sn_speech_ask *ask, const char *text)
{
	sn_speech *s;
	sn_error err = {0};
	if (sn_speech_open(e, ask, &s, &err))
		fail_msg("%s", err.text);
	assert_int_equal(sn_speech_say(s, text, strlen(text), NULL), SN_OK);
	sn_speech_finish(s);
	return s;
}

static struct said hear(sn_speech *s)
{
	struct said out = {0};
	sn_speech_event ev;
	sn_speech_kind k;
	while ((k = sn_speech_next(s, 20000, &ev)) == SN_SPEECH_SOUND) {
		out.pcm = realloc(out.pcm, (out.n + ev.n_samples) * sizeof *out.pcm);
		memcpy(out.pcm + out.n, ev.pcm, ev.n_samples * sizeof *out.pcm);
		out.n += ev.n_samples;
	}
	if (k != SN_SPEECH_DONE)
		fail_msg("%s", ev.error.text);
	out.usage = ev.usage;
	sn_speech_close(&s);
	return out;
}

static void assert_same_said(const struct said *a, const struct said *b)
{
	assert_int_equal(a->n, b->n);
	assert_memory_equal(a->pcm, b->pcm, a->n * sizeof *a->pcm);
}

static sn_speech_ask wish(uint64_t seed)
{
	return (sn_speech_ask){.request_id = "test", .seed = seed, .has_seed = true, .temperature = -1, .voice = seed % 2 ? "bo" : NULL,
	                       .language = seed % 3 == 1 ? "EN" : NULL};
}

enum { N_SPEECHES = 8 };

static const char TEXT[] = "One is here now. And two is there with others.";
static struct said ALONE[N_SPEECHES];

static void speak_alone(void)
{
	sn_engine *e = open_talking((sn_engine_config){.threads = 2, .no_prefix_caching = true});
	for (uint64_t i = 0; i < N_SPEECHES; i++) {
		const sn_speech_ask ask = wish(i);
		free(ALONE[i].pcm);
		ALONE[i] = hear(begin_speech(e, &ask, TEXT));
		assert_true(ALONE[i].n > 0);
	}
	sn_engine_close(&e);
}

static uint64_t speak_together(sn_engine_config c)
{
	sn_engine *e = open_talking(c);
	sn_speech *s[N_SPEECHES];
	for (uint64_t i = 0; i < N_SPEECHES; i++) {
		const sn_speech_ask ask = wish(i);
		s[i] = begin_speech(e, &ask, TEXT);
	}
	for (int i = N_SPEECHES - 1; i >= 0; i--) {
		struct said got = hear(s[i]);
		assert_same_said(&got, &ALONE[i]);
		free(got.pcm);
	}
	uint64_t n = metric_get(&e->metrics, M_PREEMPTIONS);
	assert_all_pages_free(e);
	sn_engine_close(&e);
	return n;
}

static void the_same_codes_alone_and_among_eight(void **state)
{
	(void)state;
	describe_again();
	for (int flows = 0; flows < 2; flows++) {
		streams = flows;
		speak_alone();
		assert_int_not_equal(0, memcmp(ALONE[0].pcm, ALONE[2].pcm, FRAME * sizeof(float))); /* seeds count */
		assert_int_equal(speak_together((sn_engine_config){.threads = 2, .no_prefix_caching = true}), 0);
		assert_int_equal(speak_together((sn_engine_config){.threads = 1}), 0);
		assert_int_equal(speak_together((sn_engine_config){.threads = 2, .max_num_seqs = 3, .max_num_batched_tokens = 5}), 0);
	}
	for (stored = SN_KV_BF16; stored <= SN_KV_FP8; stored++) {
		speak_alone();
		assert_int_equal(speak_together((sn_engine_config){.threads = 2, .max_num_seqs = 3, .max_num_batched_tokens = 5}), 0);
	}
	stored = SN_KV_AUTO;
}

static void the_same_codes_after_a_preemption(void **state)
{
	(void)state;
	describe_again();
	ABOUT.max_frames = 150; /* more rows than a block has: sequences grow while others hold the pages */
	ABOUT.min_frames = 130;
	speak_alone();
	assert_true(speak_together((sn_engine_config){.threads = 2, .kv_cache_memory = 5 * PAGE_BYTES, .no_prefix_caching = true}) > 0);
	assert_true(speak_together((sn_engine_config){.threads = 2, .kv_cache_memory = 5 * PAGE_BYTES}) > 0);
}

/* ---- one utterance, looked at ---- */

static sn_request *say(sn_engine *e, utterance_ask a, listener *to)
{
	sn_request *r = NULL;
	sn_error err = {0};
	a.request_id = "test";
	a.model = &e->models[0];
	a.size = strlen(a.text);
	a.to = to;
	a.has_place = true;
	if (utterance_submit(e, &a, &r, &err) != SN_OK)
		fail_msg("%s", err.text);
	float pcm[512];
	size_t got;
	utterance_news news;
	while ((news = utterance_next(r, 20000, pcm, 512, &got, &err)) == UTTERANCE_SOUND)
		;
	assert_int_equal(news, UTTERANCE_ENDED);
	return r;
}

static void frames_are_known_by_all_their_codes(void **state)
{
	(void)state;
	describe_again();
	sn_engine *e = open_talking((sn_engine_config){.threads = 1});
	listener *l = listener_new(&e->metrics, RATE);
	sn_request *r = say(e, (utterance_ask){.text = "Hey", .temperature = -1, .seed = 3}, l);
	utterance *u = r->voice;
	uint64_t keys[2] = {frame_key(e, u, 0), frame_key(e, u, 1)};
	assert_true(keys[0] && keys[0] != keys[1]);
	u->codes[N_PREDICTED]++;
	assert_true(frame_key(e, u, 0) != keys[0]);
	u->codes[N_PREDICTED]--;
	u->codes[0]++; /* this one is the row's token */
	assert_true(frame_key(e, u, 0) == keys[0]);
	sn_request_close(&r);
	listener_unref(&l);
	sn_engine_close(&e);
}

static void expect_rows(const sn_request *r, const char *const (*want)[2], uint32_t n)
{
	const vocab *v = r->model->m->vocab;
	assert_int_equal(r->n_prompt, n);
	for (uint32_t i = 0; i < n; i++) {
		const seq_row *row = &r->seqs[0].rows[i];
		assert_int_equal(row->id, speaker_token(v, want[i][0]));
		assert_int_equal(row->with, want[i][1] ? speaker_token(v, want[i][1]) + 1 : 0);
		assert_int_equal(row->position, i);
		assert_true(row->frame == 0);
	}
}

static void prompts_have_two_lanes_and_words_flow(void **state)
{
	(void)state;
	describe_again();
	sn_engine *e = open_talking((sn_engine_config){.threads = 1});
	listener *l = listener_new(&e->metrics, RATE);
	static const char *const flowing[][2] = {{"<|im_start|>", NULL}, {"a", NULL}, {"<tts_pad>", "<|codec_language_english|>"},
	                                         {"<|codec_think|>", "<|spk_bo|>"}, {"H", "<|codec_bos|>"}};
	sn_request *r = say(e, (utterance_ask){.text = "Hey", .voice = 1, .language = 1, .temperature = -1, .seed = 3}, l);
	expect_rows(r, flowing, 5);
	const sequence *s = &r->seqs[0];
	const utterance *u = r->voice;
	assert_true(utterance_frames(u) >= 4);
	static const char *const flow[] = {"e", "y", "<tts_text_eod>", "<tts_pad>"};
	for (uint32_t i = 0; i < utterance_frames(u); i++) {
		assert_int_equal(s->rows[5 + i].with, speaker_token(r->model->m->vocab, flow[i < 3 ? i : 3]) + 1);
		assert_int_equal(s->rows[5 + i].id, N_TEXT + u->codes[i * FRAME]);
		assert_true(s->rows[5 + i].frame == frame_key(e, u, i));
		for (uint32_t k = 0; k < FRAME; k++)
			assert_true(u->codes[i * FRAME + k] >= 0 && u->codes[i * FRAME + k] < (k ? N_VALUES : N_CODES - 1));
	}
	sn_request_close(&r);
	streams = false;
	static const char *const whole[][2] = {{"<|im_start|>", NULL}, {"S", NULL}, {"o", NULL}, {"x", NULL}, {"<|im_start|>", NULL}, {"a", NULL},
	                                       {"<|codec_think|>", "<|spk_ann|>"}, {"H", "<|codec_bos|>"}, {"o", "<|codec_bos|>"}};
	r = say(e, (utterance_ask){.text = "Ho", .instructions = "So", .instructions_size = 2, .temperature = -1, .seed = 3}, l);
	expect_rows(r, whole, 9);
	assert_int_equal(r->seqs[0].rows[9].with, speaker_token(r->model->m->vocab, "<tts_pad>") + 1);
	sn_request_close(&r);
	listener_unref(&l);
	assert_all_pages_free(e);
	sn_engine_close(&e);
}

static void no_end_comes_before_the_least_number_of_frames(void **state)
{
	(void)state;
	describe_again();
	ABOUT.n_end_tokens = N_ENDS;
	uint32_t n_short[2] = {0};
	for (int least = 0; least < 2; least++) {
		ABOUT.min_frames = least ? 6 : 0;
		sn_engine *e = open_talking((sn_engine_config){.threads = 1});
		listener *l = listener_new(&e->metrics, RATE);
		for (uint64_t seed = 0; seed < 30; seed++) {
			sn_request *r = say(e, (utterance_ask){.text = "Hey", .temperature = 2, .seed = seed}, l);
			n_short[least] += utterance_frames(r->voice) < 6;
			sn_request_close(&r);
		}
		listener_unref(&l);
		sn_engine_close(&e);
	}
	assert_true(n_short[0] > 0);
	assert_int_equal(n_short[1], 0);
}

static void temperature_zero_is_greedy_whatever_the_seed(void **state)
{
	(void)state;
	describe_again();
	sn_engine *e = open_talking((sn_engine_config){.threads = 1});
	sn_speech_ask ask = wish(1);
	ask.temperature = 0;
	struct said a = hear(begin_speech(e, &ask, TEXT));
	ask.seed = 77;
	struct said b = hear(begin_speech(e, &ask, TEXT));
	assert_same_said(&a, &b);
	free(a.pcm);
	free(b.pcm);
	sn_engine_close(&e);
}

/* ---- arithmetic ---- */

struct bench { pool *threads; ops o; model *m; page_pool *pages; forward_buffers fb; };

static void bench_open(struct bench *b)
{
	sn_error err = {0};
	char path[512];
	*b = (struct bench){0};
	snprintf(path, sizeof path, "%s/talker", SCRATCH);
	assert_int_equal(pool_open(&b->threads, 2, &err), SN_OK);
	ops_init(&b->o, b->threads, 0);
	if (model_open(&b->m, path, NULL, SN_KV_F32, &b->o, &err))
		fail_msg("%s", err.text);
	assert_int_equal(page_pool_open(&b->pages, 4u << 20, &err), SN_OK);
	assert_int_equal(forward_reserve(&b->fb, b->m, 64, 64, &err), SN_OK);
}

static void bench_close(struct bench *b)
{
	forward_free(&b->fb);
	page_pool_close(&b->pages);
	model_close(&b->m);
	ops_fini(&b->o);
	pool_close(&b->threads);
}

enum { N_ROWS = 40 };

/* Rows of one sequence; media: their embeddings as they are, else what they are made of. */
static void compute_rows(struct bench *b, const int32_t *ids, const uint32_t *with, const int32_t *const *codes, const void *const *media)
{
	static const hash_key key;
	static const hash256 root;
	uint32_t positions[N_ROWS], begin[N_ROWS] = {0}, end[N_ROWS], out[N_ROWS];
	kv_seq kv;
	assert_int_equal(kv_seq_init(&kv, b->pages, &b->m->kv, N_ROWS, &key, &root, NULL), SN_OK);
	assert_true(kv_seq_extend(&kv, N_ROWS));
	for (uint32_t i = 0; i < N_ROWS; i++) {
		out[i] = positions[i] = i;
		end[i] = i + 1;
	}
	batch_seq seq = {0, N_ROWS, 0, &kv};
	forward(b->m, &b->o, &b->fb, page_pool_arena(b->pages),
	        &(batch){.n_rows = N_ROWS, .n_seqs = 1, .n_out = N_ROWS, .ids = ids, .with = with, .codes = codes, .media = media, .positions = positions,
	                 .key_begin = begin, .key_end = end, .out_rows = out, .seqs = &seq});
	kv_seq_fini(&kv);
}

static void rows_are_the_sums_of_their_embeddings(void **state)
{
	(void)state;
	struct bench b;
	bench_open(&b);
	assert_int_equal(b.m->h.n_vocab, N_TEXT + N_CODEC);
	assert_int_equal(b.m->h.n_logits, N_CODEC);
	assert_int_equal(b.m->h.first_logit, N_TEXT);
	rng r = {4};
	int32_t ids[N_ROWS], said[N_ROWS][N_PREDICTED];
	uint32_t with[N_ROWS];
	const int32_t *codes[N_ROWS];
	const void *none[N_ROWS] = {0}, *media[N_ROWS];
	static float rows[N_ROWS][T_WIDTH], logits[N_ROWS * N_CODEC];
	for (uint32_t i = 0; i < N_ROWS; i++) {
		double row[T_WIDTH] = {0};
		ids[i] = (int32_t)rng_below(&r, N_TEXT + N_CODEC);
		with[i] = rng_below(&r, 3) ? 1 + rng_below(&r, N_TEXT + N_CODEC) : 0;
		codes[i] = rng_below(&r, 2) ? said[i] : NULL;
		add_token(row, (uint32_t)ids[i]);
		if (with[i])
			add_token(row, with[i] - 1);
		for (uint32_t k = 0; k < N_PREDICTED; k++) {
			said[i][k] = (int32_t)rng_below(&r, N_VALUES);
			if (codes[i])
				add_code(row, k, said[i][k]);
		}
		for (uint32_t k = 0; k < T_WIDTH; k++)
			rows[i][k] = (float)row[k];
		media[i] = rows[i];
	}
	compute_rows(&b, ids, with, codes, none);
	memcpy(logits, b.fb.logits, sizeof logits);
	compute_rows(&b, ids, NULL, NULL, media);
	for (uint32_t i = 0; i < N_ROWS; i++) {
		float most = 0;
		for (uint32_t k = 0; k < N_CODEC; k++)
			most = fmaxf(most, fabsf(logits[i * N_CODEC + k]));
		for (uint32_t k = 0; k < N_CODEC; k++)
			assert_true(fabsf(logits[i * N_CODEC + k] - b.fb.logits[i * N_CODEC + k]) < 1e-5f * most);
	}
	bench_close(&b);
}

struct seen { float logits[N_PREDICTED][16][N_VALUES]; };

static uint32_t note_and_pick(void *ctx, uint32_t frame, uint32_t i, const float *logits)
{
	struct seen *s = ctx;
	uint32_t best = 0;
	memcpy(s->logits[i][frame], logits, sizeof s->logits[i][frame]);
	for (uint32_t k = 1; k < N_VALUES; k++)
		best = logits[k] > logits[best] ? k : best;
	return best;
}

static void a_frame_is_what_the_predictor_says_alone_or_with_others(void **state)
{
	(void)state;
	enum { N = 16 };
	struct bench b;
	bench_open(&b);
	assert_int_equal(b.m->depth->n_codes, N_PREDICTED);
	rng r = {9};
	static float hidden[N][T_WIDTH];
	static struct seen all, one;
	int32_t codes[N][N_PREDICTED], alone[N_PREDICTED];
	depth_frame begun[N];
	void *room = aligned_alloc(64, (depth_bytes(b.m->depth, N) + 63) / 64 * 64);
	for (uint32_t f = 0; f < N; f++) {
		for (uint32_t k = 0; k < T_WIDTH; k++)
			hidden[f][k] = (float)(2 * rng_unit(&r) - 1);
		begun[f] = (depth_frame){hidden[f], N_TEXT + rng_below(&r, N_CODES), codes[f]};
	}
	depth_run(b.m, &b.o, room, begun, N, (depth_pick){note_and_pick, &all});
	for (uint32_t f = 0; f < N; f++) {
		depth_frame by_itself = {hidden[f], begun[f].token, alone};
		depth_run(b.m, &b.o, room, &by_itself, 1, (depth_pick){note_and_pick, &one});
		assert_memory_equal(alone, codes[f], sizeof alone);
		double inputs[N_PREDICTED + 1][T_WIDTH] = {0}, want[N_VALUES];
		for (uint32_t k = 0; k < T_WIDTH; k++)
			inputs[0][k] = (double)hidden[f][k];
		add_token(inputs[1], begun[f].token);
		for (uint32_t i = 0; i < N_PREDICTED; i++) {
			double most = 0;
			assert_memory_equal(one.logits[i][0], all.logits[i][f], sizeof one.logits[i][0]);
			predictor_logits(want, &inputs[0][0], i + 2);
			for (uint32_t k = 0; k < N_VALUES; k++)
				most = fmax(most, fabs(want[k]));
			for (uint32_t k = 0; k < N_VALUES; k++)
				assert_true(fabs((double)all.logits[i][f][k] - want[k]) < 1e-5 * most);
			if (i + 2 <= N_PREDICTED)
				add_code(inputs[i + 2], i, codes[f][i]);
		}
	}
	free(room);
	bench_close(&b);
}

/* All of an utterance once more, at once and greedily: each row's logits give the next row's token, and its frame. */
static void what_is_said_is_what_its_rows_say(void **state)
{
	(void)state;
	describe_again();
	ABOUT.repetition_penalty = 1;
	ABOUT.min_frames = 3;
	sn_engine *e = open_talking((sn_engine_config){.threads = 1, .kv_dtype = SN_KV_F32});
	listener *l = listener_new(&e->metrics, RATE);
	sn_request *r = say(e, (utterance_ask){.text = "Hey you", .language = 1, .temperature = 0}, l);
	const utterance *u = r->voice;
	const sequence *s = &r->seqs[0];
	struct bench b;
	bench_open(&b);
	int32_t ids[N_ROWS] = {0}, said[N_PREDICTED];
	uint32_t with[N_ROWS] = {0}, n = utterance_frames(u);
	const int32_t *codes[N_ROWS] = {0};
	const void *none[N_ROWS] = {0};
	void *room = aligned_alloc(64, (depth_bytes(b.m->depth, 1) + 63) / 64 * 64);
	static struct seen seen;
	assert_true(n > 6 && r->n_prompt + n <= N_ROWS);
	for (uint32_t i = 0; i < r->n_prompt + n; i++) {
		ids[i] = s->rows[i].id;
		with[i] = s->rows[i].with;
		codes[i] = i < r->n_prompt ? NULL : u->codes + (i - r->n_prompt) * FRAME + 1;
	}
	compute_rows(&b, ids, with, codes, none);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t row = r->n_prompt + i - 1, best = 0;
		const float *logits = b.fb.logits + (size_t)row * N_CODEC;
		for (uint32_t k = 1; k < N_CODEC; k++)
			if ((k < SLOT.n || (k == CODEC_EOS && i >= 3)) && logits[k] > logits[best])
				best = k;
		assert_int_equal(best, u->codes[i * FRAME]);
		depth_frame begun = {b.fb.out + (size_t)row * T_WIDTH, N_TEXT + best, said};
		depth_run(b.m, &b.o, room, &begun, 1, (depth_pick){note_and_pick, &seen});
		assert_memory_equal(said, u->codes + i * FRAME + 1, sizeof said);
	}
	free(room);
	bench_close(&b);
	sn_request_close(&r);
	listener_unref(&l);
	sn_engine_close(&e);
}

/* ---- a recording to speak like ---- */

static bytes make_wav(uint64_t seed)
{
	enum { N = 4000, WAV_RATE = 16000 };
	rng r = {seed};
	bytes b = {0};
	put(&b, "RIFF", 4);
	put32(&b, 36 + 2 * N);
	put(&b, "WAVEfmt ", 8);
	put32(&b, 16);
	put32(&b, 1 | 1 << 16); /* PCM, mono */
	put32(&b, WAV_RATE);
	put32(&b, 2 * WAV_RATE);
	put32(&b, 2 | 16 << 16);
	put(&b, "data", 4);
	put32(&b, 2 * N);
	for (int i = 0; i < N; i++)
		put(&b, &(int16_t){(int16_t)(rng_below(&r, 40000) - 20000)}, 2);
	return b;
}

static struct said speak_like(sn_engine *e, bytes wav)
{
	const sn_part part = {.kind = SN_PART_MEDIA, .kind_name = "audio", .data = (const char *)wav.p, .size = wav.n};
	const sn_speech_ask ask = {.request_id = "test", .seed = 5, .has_seed = true, .temperature = -1, .reference = &part};
	return hear(begin_speech(e, &ask, TEXT));
}

static void a_recording_is_a_row_of_the_prompt(void **state)
{
	(void)state;
	describe_again();
	ABOUT.reference = 1;
	sn_engine *e = open_talking((sn_engine_config){.threads = 2});
	bytes wav[2] = {make_wav(1), make_wav(2)};
	atomic_store(&n_heard, 0);
	struct said a = speak_like(e, wav[0]), b = speak_like(e, wav[1]);
	assert_int_equal(atomic_load(&n_heard), 2); /* not for each utterance */
	struct said again = speak_like(e, wav[0]);
	assert_int_equal(atomic_load(&n_heard), 2); /* nor again while it is cached */
	assert_same_said(&a, &again);
	assert_true(a.n != b.n || memcmp(a.pcm, b.pcm, a.n * sizeof *a.pcm) != 0);
	assert_int_equal(a.usage.prompt_tokens, again.usage.prompt_tokens);
	const sn_part part = {.kind = SN_PART_MEDIA, .kind_name = "audio", .data = "RIFF....WAVEnothing of use", .size = 26};
	const sn_part picture = {.kind = SN_PART_MEDIA, .kind_name = "image", .data = (const char *)wav[0].p, .size = wav[0].n};
	sn_speech *s = NULL;
	sn_error err = {0};
	assert_int_not_equal(sn_speech_open(e, &(sn_speech_ask){.reference = &part}, &s, &err), SN_OK);
	assert_null(s);
	assert_string_equal(err.param, "ref_audio");
	assert_int_equal(sn_speech_open(e, &(sn_speech_ask){.reference = &picture}, &s, &err), SN_ERR_INVALID);
	assert_string_equal(err.param, "ref_audio");
	assert_int_equal(sn_speech_open(e, &(sn_speech_ask){.reference = &part, .voice = "bo"}, &s, &err), SN_ERR_INVALID);
	assert_string_equal(err.param, "voice");
	assert_all_pages_free(e);
	assert_int_equal(e->gate.held, 0);
	sn_engine_close(&e);
	free(a.pcm);
	free(b.pcm);
	free(again.pcm);
	free(wav[0].p);
	free(wav[1].p);
}

/* ---- directories ---- */

static void refuse_config(const char *talker, const char *predictor, const char *says)
{
	model_file *f = NULL;
	sn_error err = {0};
	write_talker_config(talker, predictor);
	if (model_file_open(&f, scratch_path("talker"), &err) == SN_OK)
		fail_msg("accepted, but expected: %s", says);
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
	check_text(&err, "talker");
}

static void directories_that_mean_something_else_are_refused(void **state)
{
	(void)state;
	static const struct { const char *talker, *predictor, *says; } cases[] = {
	    {",\"hidden_act\":\"gelu\"", "", "hidden_act: gelu is not supported"},
	    {"", ",\"hidden_act\":\"gelu\"", "hidden_act: gelu is not supported"},
	    {",\"use_sliding_window\":true", "", "use_sliding_window is not supported"},
	    {"", ",\"use_sliding_window\":true", "use_sliding_window is not supported"},
	    {"", ",\"layer_types\":[\"full_attention\",\"sliding_attention\"]", "only full_attention"},
	    {"", ",\"attention_bias\":true", "attention_bias is not supported"},
	    {",\"attention_bias\":true", "", "self_attn.q_proj.bias is missing"},
	    {",\"tie_word_embeddings\":true", "", "tie_word_embeddings is not supported"},
	    {"", ",\"tie_word_embeddings\":true", "tie_word_embeddings is not supported"},
	    {"", ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2}", "code_predictor_config.rope_scaling"},
	    {",\"quantization_config\":{\"quant_method\":\"awq\"}", "", "quantised weights (awq)"},
	    {",\"codec_nothink_id\":64", "", "codec_nothink_id: not the id of one of 64 codec tokens"},
	    {",\"codec_nothink_id\":{\"a\":-1}", "", "codec_nothink_id: not the id"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		refuse_config(cases[i].talker, cases[i].predictor, cases[i].says);
	write_talker_config("", "");
	char *text;
	size_t n;
	assert_int_equal(file_load(&text, &n, scratch_path("talker/config.json"), 1 << 20, FILE_LINKS_REFUSED, NULL), SN_OK);
	static const struct { const char *from, *to, *says; } edits[] = {
	    {"\"type\":\"default\"", "\"type\":\"dynamic\"", "rope_scaling.type is not supported"},
	    {"[2,1,1]", "[2,1,\"\"]", "rope_scaling.mrope_section is not supported"},
	    {"\"num_code_groups\":5", "\"num_code_groups\":6", "num_code_groups: 6 of the talker, 5 of its predictor"},
	    {"\"text_vocab_size\":72", "\"text_vocab_size\":71", "72 rows, but vocab_size is 71"},
	};
	for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
		char changed[8192];
		const char *at = strstr(text, edits[i].from);
		assert_non_null(at);
		snprintf(changed, sizeof changed, "%.*s%s%.*s", (int)(at - text), text, edits[i].to, (int)(text + n - at - strlen(edits[i].from)), at + strlen(edits[i].from));
		write_text("config.json", changed);
		model_file *f = NULL;
		sn_error err = {0};
		if (model_file_open(&f, scratch_path("talker"), &err) == SN_OK || !strstr(err.text, edits[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err.text, edits[i].says);
	}
	free(text);
	write_talker_config("", "");
}

static void the_vocabulary_is_text_and_then_codes(void **state)
{
	(void)state;
	struct bench b;
	bench_open(&b);
	const vocab *v = b.m->vocab;
	assert_int_equal(vocab_size(v), N_TEXT + N_CODEC);
	assert_int_equal(vocab_find(v, STR("<|codec_0|>")), N_TEXT);
	assert_int_equal(vocab_find(v, STR("<|codec_bos|>")), N_TEXT + CODEC_BOS);
	assert_int_equal(vocab_find(v, STR("<|codec_eos_token|>")), N_TEXT + CODEC_EOS);
	assert_int_equal(vocab_find(v, STR("<|codec_language_english|>")), N_TEXT + CODEC_ENGLISH);
	assert_int_equal(vocab_find(v, STR("<|spk_bo|>")), N_TEXT + CODEC_BO);
	assert_int_equal(vocab_find(v, STR("<|codec_41|>")), -1); /* it has a name */
	assert_int_equal(vocab_find(v, STR("[PAD70]")), -1);      /* a row of the table that is no token */
	assert_true(vocab_is_control(v, N_TEXT + CODEC_PAD));
	bench_close(&b);
}

/* ---- refusals ---- */

static void what_does_not_fit_is_refused_by_name(void **state)
{
	(void)state;
	static const char *const wrong[] = {"<|im_start|>"};
	describe_again();
	ABOUT.n_predicted = 3;
	INFO.n_codes = 4;
	refuse_talker("3 predicted codes of 30 values in a frame, talker has 4 of 30");
	ABOUT.n_values = 31;
	refuse_talker("4 predicted codes of 31 values");
	ABOUT.n_values = 0;
	refuse_talker("the codes of its frames");
	INFO.n_codes = 4;
	refuse_talker("the size of a frame");
	ABOUT.end_tokens = wrong;
	refuse_talker("lacks the token \"<|im_start|>\""); /* it has no logit */
	pad = "<tts_nothing>";
	refuse_talker("lacks the token \"<tts_nothing>\"");
	ABOUT.predictor_top_p = 0;
	refuse_talker("its sampling");
	ABOUT.min_frames = MAX_FRAMES + 1;
	refuse_talker("how many frames there are at least");
}

static void expect_refusal(sn_engine *e, sn_speech_ask ask, sn_status status, const char *param, const char *what)
{
	sn_speech *s = NULL;
	sn_error err = {0};
	assert_int_equal(sn_speech_open(e, &ask, &s, &err), status);
	assert_null(s);
	assert_string_equal(err.param, param);
	assert_non_null(strstr(err.text, what));
}

static void what_cannot_be_asked_for_is_refused_by_name(void **state)
{
	(void)state;
	describe_again();
	sn_engine *e = open_talking((sn_engine_config){.threads = 1});
	struct answer a = ask(e, &(struct ask){.ids = (int32_t[]){1, 2}, .n_ids = 2, .max_tokens = 3});
	assert_int_equal(a.status, SN_ERR_UNSUPPORTED);
	assert_non_null(strstr(a.error.text, "model talks speaks: it has speech, and no completions"));
	const sn_part recording = {.kind = SN_PART_MEDIA, .kind_name = "audio", .data = "", .size = 0};
	expect_refusal(e, (sn_speech_ask){.language = "klingon"}, SN_ERR_INVALID, "language", "does not speak this language");
	expect_refusal(e, (sn_speech_ask){.reference = &recording}, SN_ERR_UNSUPPORTED, "ref_audio", "the voice of a recording");
	expect_refusal(e, (sn_speech_ask){.language = "en", .instructions = "Go", .instructions_size = 2}, SN_ERR_UNSUPPORTED, "", "not both");
	assert_int_equal(atomic_load(&e->n_requests), 0);
	sn_engine_close(&e);
}

static void memory_counts_frames(void **state)
{
	(void)state;
	describe_again();
	size_t need[2];
	for (int many = 0; many < 2; many++) {
		sn_engine *e = open_empty((sn_engine_config){.threads = 1, .memory_limit = page_pool_bytes(64u << 20) + 4096, .max_num_seqs = many ? 64 : 1});
		sn_error err = {0};
		assert_int_equal(load_talker(e, &err), SN_ERR_NOMEM);
		need[many] = strtoull(strstr(err.text, ": ") + 2, NULL, 10);
		sn_engine_close(&e);
	}
	struct bench b;
	bench_open(&b);
	assert_true(need[1] - need[0] >= depth_bytes(b.m->depth, 64) - depth_bytes(b.m->depth, 1));
	bench_close(&b);
}

static int open_all(void **state)
{
	int st = scratch_open(state);
	make_tensors();
	write_talker();
	bytes file = {0}; /* a GGUF file without anything: what the speaker is beside */
	put(&file, "GGUF", 4);
	put32(&file, 3);
	put64(&file, 0);
	put64(&file, 0);
	scratch_write("beside.gguf", file.p, file.n);
	free(file.p);
	return st;
}

static int close_all(void **state)
{
	for (int i = 0; i < N_SPEECHES; i++)
		free(ALONE[i].pcm);
	free_tensors();
	return scratch_close(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_are_the_sums_of_their_embeddings),
	    cmocka_unit_test(a_frame_is_what_the_predictor_says_alone_or_with_others),
	    cmocka_unit_test(prompts_have_two_lanes_and_words_flow),
	    cmocka_unit_test(what_is_said_is_what_its_rows_say),
	    cmocka_unit_test(the_same_codes_alone_and_among_eight),
	    cmocka_unit_test(the_same_codes_after_a_preemption),
	    cmocka_unit_test(frames_are_known_by_all_their_codes),
	    cmocka_unit_test(no_end_comes_before_the_least_number_of_frames),
	    cmocka_unit_test(temperature_zero_is_greedy_whatever_the_seed),
	    cmocka_unit_test(a_recording_is_a_row_of_the_prompt),
	    cmocka_unit_test(directories_that_mean_something_else_are_refused),
	    cmocka_unit_test(the_vocabulary_is_text_and_then_codes),
	    cmocka_unit_test(what_does_not_fit_is_refused_by_name),
	    cmocka_unit_test(what_cannot_be_asked_for_is_refused_by_name),
	    cmocka_unit_test(memory_counts_frames),
	};
	sn_error err;
	sn_log_config c = {.level = SN_LOG_ERROR, .fd = 2};
	if (sn_log_open(&quiet, &c, &err) != SN_OK)
		return 1;
	int failed = cmocka_run_group_tests(tests, open_all, close_all);
	sn_log_close(&quiet);
	return failed;
}
