/* speech_kit.h - a vocoder that is played here, beside the random-weight miniature of tests/golden/engine: its codes are letters and
 * digits, its sound a recurrence over them with a frame of look-ahead, so that a state that is lost, a chunk that is cut elsewhere or
 * a stream that is mixed up with another gives other samples. */
#ifndef SN_TESTS_SPEECH_KIT_H
#define SN_TESTS_SPEECH_KIT_H

#include "engine_kit.h"

#include "engine/synth.h"

enum { N_SLOTS = 3, FRAME = 8, FIRST = 2, CHUNK = 3, DELAY = 1, MAX_FRAMES = 40, RATE = 10 };

static const sn_speak_slot SLOTS[N_SLOTS] = {{.first_token = "a", .n = 20}, {.first_token = "A", .n = 16}, {.first_token = "0", .n = 10}};
static const char *const ENDS[] = {"<end_of_utterance>"};
static const sn_voice VOICES[] = {{"ann", "Ann", "en"}, {"bo-2", "Bo", ""}};
static const sn_speak_piece PROMPT[] = {{.what = SN_SPEAK_TRUSTED, .text = "<|im_start|>"}, {.what = SN_SPEAK_VOICE},
                                        {.what = SN_SPEAK_PLAIN, .text = ": "}, {.what = SN_SPEAK_TEXT}, {.what = SN_SPEAK_TRUSTED, .text = "<end_of_utterance>"}};
static sn_speaker ABOUT;
static sn_synth_info INFO;

static inline void describe_again(void)
{
	ABOUT = (sn_speaker){.size = sizeof ABOUT, .n_voices = 2, .voices = VOICES, .prompt = PROMPT, .n_pieces = 5, .slots = SLOTS, .n_slots = N_SLOTS,
	                     .end_tokens = ENDS, .n_end_tokens = 1, .max_text = 60, .max_frames = MAX_FRAMES, .temperature = 1, .top_p = 1,
	                     .repetition_penalty = 1};
	INFO = (sn_synth_info){.size = sizeof INFO, .rate = RATE, .n_codes = N_SLOTS, .frame_samples = FRAME, .first_frames = FIRST, .chunk_frames = CHUNK,
	                       .delay_frames = DELAY, .max_frames = 1000, .max_streams = 8, .stream_bytes = 64};
}

/* ---- its arithmetic ---- */

struct voice_state { float y; int32_t held[N_SLOTS]; uint32_t holds; };

/* Frame `codes` as sound, `next` being the one behind it or NULL. */
static inline void frame_sound(struct voice_state *s, const int32_t *codes, const int32_t *next, float *pcm)
{
	for (int i = 0; i < FRAME; i++) {
		float x = (float)codes[i % N_SLOTS] * 0.01f + (next ? (float)next[i % N_SLOTS] * 0.002f : 0);
		s->y = 0.5f * s->y + x;
		pcm[i] = s->y - 0.2f;
	}
}

/* One more frame goes in: the one before it comes out. Returns samples. */
static inline uint32_t feed(struct voice_state *s, const int32_t *codes, float *pcm)
{
	uint32_t n = 0;
	if (s->holds) {
		frame_sound(s, s->held, codes, pcm);
		n = FRAME;
	}
	memcpy(s->held, codes, sizeof s->held);
	s->holds = 1;
	return n;
}

static inline uint32_t whole_sound(const int32_t *codes, uint32_t n_frames, float *pcm)
{
	struct voice_state s = {0};
	uint32_t n = 0;
	for (uint32_t f = 0; f < n_frames; f++)
		n += feed(&s, codes + f * N_SLOTS, pcm + n);
	if (n_frames) {
		frame_sound(&s, s.held, NULL, pcm + n);
		n += FRAME;
	}
	return n;
}

/* ---- the plugin ---- */

static atomic_uint unit_us;                 /* so long takes a unit */
static atomic_int bad_first_code = -1;      /* an utterance that begins with it ... */
static enum { FAILS_STEP, FAILS_BEGIN, TOO_MANY, TOO_FEW, NOT_FINITE, NO_PROGRESS } badness;
static atomic_uint n_begun, n_ended, n_bound; /* n_bound: borders of chunks that are not where the description has them */

static inline bool is_bad(const sn_synth_chunk *c)
{
	return c->codes[0] == atomic_load(&bad_first_code) && c->first_frame == 0;
}

struct job_state { sn_synth_chunk *chunks; uint32_t n, done; };

static sn_rc synth_plan(const void *instance, uint32_t n_streams, uint32_t n_frames, uint32_t *n_units, uint64_t *state_bytes, sn_fault *fault)
{
	(void)instance, (void)fault, (void)n_streams;
	*n_units = n_frames;
	*state_bytes = sizeof(struct job_state);
	return SN_RC_OK;
}

static sn_rc synth_fault(sn_fault *fault)
{
	fault->blame = SN_BLAME_PLUGIN;
	snprintf(fault->text, sizeof fault->text, "it cannot say this");
	return SN_RC_INTERNAL;
}

static sn_rc synth_begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, sn_synth_chunk *chunks, uint32_t n, sn_fault *fault)
{
	(void)instance, (void)call, (void)ctx;
	*(struct job_state *)state = (struct job_state){chunks, n, 0};
	atomic_fetch_add(&n_begun, 1);
	for (uint32_t i = 0; i < n; i++) {
		const sn_synth_chunk *c = &chunks[i];
		uint32_t want = c->first_frame ? CHUNK : FIRST;
		atomic_fetch_add(&n_bound, c->n_frames != want && !(c->last && c->n_frames < want));
		atomic_fetch_add(&n_bound, c->first_frame && (c->first_frame - FIRST) % CHUNK);
		if (badness == FAILS_BEGIN && is_bad(c))
			return synth_fault(fault);
	}
	return SN_RC_OK;
}

static sn_rc synth_run(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, sn_fault *fault)
{
	(void)instance, (void)call, (void)ctx;
	struct job_state *j = state;
	for (*units_done = 0; *units_done < max_units && j->done < j->chunks[0].n_frames; j->done++, ++*units_done) {
		if (atomic_load(&unit_us))
			usleep(atomic_load(&unit_us));
		for (uint32_t i = 0; i < j->n; i++) {
			sn_synth_chunk *c = &j->chunks[i];
			if (j->done == 0)
				c->n_samples = 0;
			c->n_samples += feed(c->stream, c->codes + j->done * N_SLOTS, c->pcm + c->n_samples);
			if (badness == FAILS_STEP && is_bad(c))
				return synth_fault(fault); /* in the middle of things: the streams of others are changed already */
			if (badness == NO_PROGRESS && is_bad(c)) {
				*units_done = 0;
				return SN_RC_AGAIN;
			}
		}
	}
	if (j->done < j->chunks[0].n_frames)
		return SN_RC_AGAIN;
	for (uint32_t i = 0; i < j->n; i++) {
		sn_synth_chunk *c = &j->chunks[i];
		struct voice_state *s = c->stream;
		if (c->last) {
			frame_sound(s, s->held, NULL, c->pcm + c->n_samples);
			c->n_samples += FRAME;
		}
		if (is_bad(c) && badness == TOO_MANY)
			c->n_samples = (uint32_t)c->capacity + 1;
		if (is_bad(c) && badness == TOO_FEW)
			c->n_samples--;
		if (is_bad(c) && badness == NOT_FINITE)
			c->pcm[c->n_samples - 1] = NAN;
	}
	return SN_RC_END;
}

static void synth_end(void *instance, void *state)
{
	(void)instance, (void)state;
	atomic_fetch_add(&n_ended, 1);
}

static const sn_speaker *speak_describe(const void *instance)
{
	(void)instance;
	return &ABOUT;
}

static const sn_synth_info *synth_describe(const void *instance)
{
	(void)instance;
	return &INFO;
}

static int32_t speak_probe(const sn_host *host, const sn_model *m)
{
	(void)host;
	return m->borrowed ? 0 : 1000; /* of a file beside the model, surer than who is right */
}

static sn_rc speak_init(void *instance, const sn_host *host, sn_fault *fault)
{
	(void)instance, (void)host, (void)fault;
	return SN_RC_OK;
}

static sn_rc speak_load(void *instance, const sn_model *m, sn_fault *fault)
{
	(void)instance, (void)m, (void)fault;
	return SN_RC_OK;
}

static void speak_fini(void *instance)
{
	(void)instance;
}

static const sn_ext_speak SPEAK = {.size = sizeof SPEAK, .describe = speak_describe};
static const sn_ext_synth SYNTH = {.size = sizeof SYNTH, .describe = synth_describe, .plan = synth_plan, .begin = synth_begin, .step = synth_run,
                                   .end = synth_end};

static const void *speak_extension(const char *id)
{
	return strcmp(id, SN_EXT_SPEAK) == 0 ? (const void *)&SPEAK : strcmp(id, SN_EXT_SYNTH) == 0 ? (const void *)&SYNTH : NULL;
}

static const sn_plugin SPEAK_DESC = {.size = sizeof SPEAK_DESC, .instance_size = 8, .id = "letters", .version = "1", .probe = speak_probe,
                                     .init = speak_init, .load = speak_load, .fini = speak_fini, .extension = speak_extension};

/* ---- an engine that has it ---- */

static inline void add_fake_plugin(sn_engine *e)
{
	plugin_host *h = e->plugins;
	plugin *p = arena_alloc(h->mem, sizeof *p);
	p->desc = &SPEAK_DESC;
	p->speak = &SPEAK;
	p->synth = &SYNTH;
	h->plugins[plugin_count(h)] = p;
	atomic_fetch_add(&h->n_plugins, 1);
}

static inline sn_engine *open_speaking(sn_engine_config c)
{
	sn_engine *e = open_empty(c);
	add_fake_plugin(e);
	load_model(e, "chats", "model.gguf", NULL);
	load_model(e, "speaks", "model.gguf", "mmproj.gguf"); /* the fake one takes any file that is not a language model's own */
	start_engine(e);
	return e;
}

/* ---- speaking ---- */

struct spoken {
	sn_status status;
	sn_error error;
	sn_usage usage;
	double seconds;
	float *pcm; /* [n] */
	size_t n;
};

static inline sn_speech *open_speech_of(sn_engine *e, const sn_speech_ask *ask)
{
	sn_speech *s = NULL;
	sn_error err = {0};
	if (sn_speech_open(e, ask, &s, &err) != SN_OK)
		fail_msg("%s", err.text);
	return s;
}

static inline sn_speech *begin_speech(sn_engine *e, const char *text, uint64_t seed)
{
	sn_speech *s = open_speech_of(e, &(sn_speech_ask){.request_id = "test", .seed = seed, .has_seed = true, .temperature = -1});
	assert_int_equal(sn_speech_say(s, text, strlen(text), NULL), SN_OK);
	sn_speech_finish(s);
	return s;
}

/* Until its end, and closes it. */
static inline struct spoken hear(sn_speech *s)
{
	struct spoken out = {0};
	sn_speech_event ev;
	sn_speech_kind k;
	while ((k = sn_speech_next(s, 20000, &ev)) == SN_SPEECH_SOUND) {
		out.pcm = realloc(out.pcm, (out.n + ev.n_samples) * sizeof *out.pcm);
		memcpy(out.pcm + out.n, ev.pcm, ev.n_samples * sizeof *out.pcm);
		out.n += ev.n_samples;
		assert_int_equal(ev.rate, RATE);
	}
	assert_int_not_equal(k, SN_SPEECH_NONE);
	out.status = k == SN_SPEECH_ERROR ? ev.error.status : SN_OK;
	out.error = ev.error;
	out.usage = ev.usage;
	out.seconds = ev.seconds;
	sn_speech_close(&s);
	return out;
}

static inline void assert_same_sound(const struct spoken *a, const struct spoken *b)
{
	if (a->status || b->status)
		fail_msg("%s%s", a->error.text, b->error.text);
	assert_int_equal(a->n, b->n);
	assert_memory_equal(a->pcm, b->pcm, a->n * sizeof *a->pcm);
	assert_int_equal(a->usage.completion_tokens, b->usage.completion_tokens);
}

static inline void assert_nothing_is_left(sn_engine *e)
{
	assert_all_pages_free(e);
	assert_int_equal(atomic_load(&e->n_requests), 0);
	for (int i = 0; i < 400 && atomic_load(&n_begun) != atomic_load(&n_ended); i++)
		usleep(5000);
	assert_int_equal(atomic_load(&n_begun), atomic_load(&n_ended));
}

/* ---- what several speeches say alone ---- */

enum { N_SPEECHES = 8 };

static const char TEXT[] = "One is here. And two is there, said Mr. Three! Who counts to 4.5 now?";
static struct spoken ALONE[N_SPEECHES + 1];

static inline void speak_alone(sn_engine_config c, const char *text)
{
	sn_engine *e = open_speaking(c);
	for (int i = 0; i <= N_SPEECHES; i++) {
		free(ALONE[i].pcm);
		ALONE[i] = hear(begin_speech(e, text, (uint64_t)i));
		assert_int_equal(ALONE[i].status, SN_OK);
	}
	assert_all_pages_free(e);
	assert_true(metric_get(&e->metrics, M_PREEMPTIONS) == 0);
	sn_engine_close(&e);
}

static inline int run_speech_tests(const struct CMUnitTest *tests, size_t n, const char *name)
{
	describe_again();
	int failed = kit_run_group(tests, n, name);
	for (int i = 0; i <= N_SPEECHES; i++)
		free(ALONE[i].pcm);
	return failed;
}

#define speech_run(tests) run_speech_tests(tests, sizeof(tests) / sizeof *(tests), #tests)

#endif
