/* test_transcript.c - promises of a transcription as a whole: an encoder-decoder miniature (tests/golden/hf/whisper) whose encoder
 * and codec are played here. A recording is one sample for each 20 ms; what it says picks the rows that the encoder makes of a
 * window. So windows, languages, failures and waiting are the test's to choose. The real ones are test_hear.c's. */
#include "engine_kit.h"

#include "base/error.h"
#include "engine/transcript.h"

enum { N_CROSS = 40, WIDTH = 16, N_GOLDEN = 3, RATE = 50 };

static float *ROWS; /* [N_GOLDEN][N_CROSS][WIDTH] */

/* ---- a codec whose files are their samples ---- */

static const char *sniff(const uint8_t *bytes, size_t n)
{
	return n >= 4 && memcmp(bytes, "PCMF", 4) == 0 ? "x/pcm" : NULL;
}

static sn_rc measure(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits, sn_media *media,
                     sn_fault *fault)
{
	(void)instance, (void)call, (void)bytes, (void)limits, (void)fault;
	media->kind = SN_MEDIA_AUDIO;
	media->rate = RATE;
	media->n_samples = n / 4 - 1;
	media->bytes = media->n_samples * 4;
	return media->n_samples ? SN_RC_OK : SN_RC_INVALID;
}

static sn_rc decode(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits, sn_media *media,
                    sn_fault *fault)
{
	(void)instance, (void)call, (void)limits, (void)fault;
	memcpy(media->samples, bytes + 4, n - 4);
	return SN_RC_OK;
}

/* ---- an encoder that looks its rows up ---- */

static atomic_int fail_value = -1; /* windows that begin with it cannot be encoded */
static atomic_int stall;           /* no job ends */
static bool bad_cut;

static sn_rc plan(const void *instance, const sn_call *call, const sn_media *media, sn_media_plan *out, sn_fault *fault)
{
	(void)instance, (void)call, (void)media, (void)fault;
	out->n_rows = N_CROSS;
	out->n_holes = 1;
	out->n_units = 100000; /* room to stall in */
	out->state_bytes = sizeof(float);
	return SN_RC_OK;
}

static sn_rc layout(const void *instance, const sn_call *call, const sn_media *media, const sn_media_plan *p, char *text, sn_hole *holes,
                    sn_fault *fault)
{
	(void)instance, (void)call, (void)media, (void)text, (void)fault;
	holes[0] = (sn_hole){0, p->n_rows};
	return SN_RC_OK;
}

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, const sn_media *media, const sn_media_plan *p, sn_fault *fault)
{
	(void)instance, (void)call, (void)ctx, (void)p, (void)fault;
	*(float *)state = *(const float *)media->samples;
	return SN_RC_OK;
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, float *rows,
                  sn_fault *fault)
{
	(void)instance, (void)call, (void)ctx, (void)max_units;
	float which = *(float *)state;
	*units_done = 1;
	if (atomic_load(&stall)) {
		usleep(1000);
		return SN_RC_AGAIN;
	}
	if ((int)which == atomic_load(&fail_value)) {
		fault->blame = SN_BLAME_PLUGIN;
		snprintf(fault->text, sizeof fault->text, "it cannot hear this");
		return SN_RC_INTERNAL;
	}
	for (int i = 0; i < N_CROSS * WIDTH; i++) /* what lies between two goldens' rows */
		rows[i] = ROWS[((int)which % N_GOLDEN) * N_CROSS * WIDTH + i] * (1 + 0.05f * floorf(which / N_GOLDEN));
	return SN_RC_END;
}

static void end(void *instance, void *state)
{
	(void)instance, (void)state;
}

static sn_transcriber ABOUT;

static const sn_transcriber *describe(const void *instance)
{
	(void)instance;
	return &ABOUT;
}

static uint64_t cut(const void *instance, const sn_media *media, uint64_t first)
{
	(void)instance;
	if (bad_cut && first)
		return first;
	return first + N_CROSS < media->n_samples ? first + N_CROSS : media->n_samples;
}

static uint32_t row_dim(const void *instance)
{
	(void)instance;
	return WIDTH;
}

static const sn_plugin DESC = {.size = sizeof DESC, .id = "player"};
static const sn_ext_decode DECODE = {.size = sizeof DECODE, .kind = SN_MEDIA_AUDIO, .kind_name = "sound", .media_types = "x/pcm", .sniff = sniff,
                                     .measure = measure, .decode = decode};
static const sn_ext_plan PLAN = {.size = sizeof PLAN, .kind = SN_MEDIA_AUDIO, .kind_name = "sound", .row_dim = row_dim, .plan = plan, .layout = layout};
static const sn_ext_encode ENCODE = {.size = sizeof ENCODE, .begin = begin, .step = step, .end = end};
static const sn_ext_transcribe TRANSCRIBE = {.size = sizeof TRANSCRIBE, .describe = describe, .cut = cut};
static plugin PLAYER = {.desc = &DESC, .decode = &DECODE, .plan = &PLAN, .encode = &ENCODE, .transcribe = &TRANSCRIBE, .instance = &PLAYER};
static encoder ENCODER = {.p = &PLAYER, .id = 99};

static const sn_language LANGUAGES[] = {{"de", "<|de|>"}, {"en", "<|en|>"}, {"zh", "<|zh|>"}};
static const uint32_t HEADS[][2] = {{0, 1}, {2, 0}};
static const int32_t SUPPRESS[] = {1, 2, 7};

static void reset_player(void)
{
	ABOUT = (sn_transcriber){.size = sizeof ABOUT, .max_previous = 8, .previous = "<|startofprev|>", .opening = "<|startoftranscript|>",
	                         .languages = LANGUAGES, .n_languages = 3, .max_tokens = 24, .transcribe = "<|transcribe|>", .translate = "<|translate|>",
	                         .no_stamps = "<|notimestamps|>", .first_stamp = "<|0.00|>", .n_stamps = 76, .step_ms = 20, .max_first_stamp = 20,
	                         .no_speech = "<|nospeech|>", .suppress = SUPPRESS, .n_suppress = 3, .alignment_heads = HEADS, .n_alignment_heads = 2};
	atomic_store(&fail_value, -1);
	atomic_store(&stall, 0);
	bad_cut = false;
}

/* ---- an engine with it ---- */

static sn_engine *open_player(sn_engine_config c)
{
	sn_engine *e = NULL;
	sn_error err = {0};
	reset_player();
	c.log = quiet;
	c.kv_cache_memory = c.kv_cache_memory ? c.kv_cache_memory : 64u << 20;
	c.kv_dtype = SN_KV_F32;
	if (sn_engine_open(&e, &c, &err) != SN_OK)
		fail_msg("open: %s", err.text);
	load_model(e, "listens", "whisper", NULL);
	load_model(e, "chats", "llama", NULL);
	served_model *s = &e->models[0];
	e->plugins->plugins[0] = &PLAYER;
	atomic_store(&e->plugins->n_plugins, 1);
	transcriber *how = NULL;
	if (transcriber_open(&how, &ENCODER, s->m, &err) != SN_OK)
		fail_msg("%s", err.text);
	s->encoders[0] = &ENCODER;
	atomic_store(&s->n_encoders, 1);
	atomic_store(&s->transcriber, how);
	start_engine(e);
	return e;
}

static void close_player(sn_engine **e)
{
	served_model *s = &(*e)->models[0];
	assert_all_pages_free(*e);
	assert_int_equal((*e)->gate.held, 0);
	assert_int_equal((*e)->gate.slots, (*e)->config.media_threads);
	assert_int_equal(atomic_load(&(*e)->n_requests), 0);
	transcriber *how = atomic_exchange(&s->transcriber, NULL);
	atomic_store(&s->n_encoders, 0);
	atomic_store(&(*e)->plugins->n_plugins, 0);
	sn_engine_close(e);
	transcriber_close(&how);
}

/* ---- asking ---- */

enum { MAX_SEGMENTS = 256 };

struct heard {
	sn_status status;
	sn_error error;
	uint32_t n;
	sn_segment s[MAX_SEGMENTS];
	char text[MAX_SEGMENTS][256];
	uint32_t n_words;
	char language[16];
	double duration;
	sn_usage usage;
};

/* A file of n windows; window i is which[i]. */
static void *make_file(const float *which, uint32_t n, uint32_t extra, size_t *size)
{
	*size = 4 + 4 * ((size_t)n * N_CROSS + extra);
	float *p = malloc(*size);
	memcpy(p, "PCMF", 4);
	for (size_t i = 0; i < *size / 4 - 1; i++)
		p[1 + i] = which[i / N_CROSS < n ? i / N_CROSS : 0];
	return p;
}

static sn_transcription ask_of(const void *file, size_t size)
{
	return (sn_transcription){.request_id = "test", .part = {.kind = SN_PART_MEDIA, .kind_name = "sound", .data = file, .size = size}, .stamps = true,
	                          .seed = 5, .has_seed = true};
}

static void take_segment(struct heard *h, const sn_segment *s)
{
	assert_true(h->n < MAX_SEGMENTS && s->size < sizeof h->text[0]);
	assert_int_equal(s->id, h->n);
	assert_true(s->start <= s->end && s->size > 0 && s->n_tokens > 0);
	assert_true(h->n == 0 || s->start >= h->s[h->n - 1].end);
	assert_true(s->seek <= s->start + 1e-9);
	h->n_words += (uint32_t)s->n_words;
	memcpy(h->text[h->n], s->text, s->size);
	h->text[h->n][s->size] = 0;
	h->s[h->n++] = *s;
}

static void hear_all(sn_transcript **t, struct heard *h)
{
	sn_transcript_event ev;
	for (;;) {
		sn_transcript_kind k = sn_transcript_next(*t, 20000, &ev);
		assert_int_not_equal(k, SN_TRANSCRIPT_NONE);
		if (k == SN_TRANSCRIPT_SEGMENT) {
			take_segment(h, &ev.segment);
			continue;
		}
		h->status = k == SN_TRANSCRIPT_ERROR ? ev.error.status : SN_OK;
		h->error = ev.error;
		snprintf(h->language, sizeof h->language, "%s", ev.language);
		h->duration = ev.duration;
		h->usage = ev.usage;
		assert_int_equal(sn_transcript_next(*t, 0, &ev), SN_TRANSCRIPT_NONE);
		break;
	}
	sn_transcript_close(t);
}

static struct heard *hear(sn_engine *e, const sn_transcription *ask)
{
	struct heard *h = calloc(1, sizeof *h);
	sn_transcript *t;
	h->status = sn_transcript_submit(e, ask, &t, &h->error);
	if (h->status == SN_OK)
		hear_all(&t, h);
	else
		assert_null(t);
	return h;
}

static void assert_heard_same(const struct heard *a, const struct heard *b)
{
	assert_int_equal(a->status, SN_OK);
	assert_int_equal(b->status, SN_OK);
	assert_int_equal(a->n, b->n);
	assert_string_equal(a->language, b->language);
	assert_memory_equal(&a->usage, &b->usage, sizeof a->usage);
	for (uint32_t i = 0; i < a->n; i++) {
		assert_string_equal(a->text[i], b->text[i]);
		assert_true(a->s[i].start == b->s[i].start && a->s[i].end == b->s[i].end && a->s[i].avg_logprob == b->s[i].avg_logprob &&
		            a->s[i].temperature == b->s[i].temperature && a->s[i].no_speech_prob == b->s[i].no_speech_prob);
	}
}

static const float MANY[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

/* ---- promises ---- */

static void windows_at_once_say_what_they_say_one_by_one(void **state)
{
	(void)state;
	size_t size;
	void *file = make_file(MANY, 12, 7, &size);
	struct heard *first = NULL;
	const sn_engine_config ways[] = {
	    {.threads = 1, .max_num_seqs = 1},
	    {.threads = 2},
	    {.threads = 2, .max_num_batched_tokens = 16, .max_num_seqs = 3},
	    {.threads = 2, .max_queued_requests = 1, .max_num_seqs = 2},
	};
	for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
		sn_engine *e = open_player(ways[w]);
		for (int words = 0; words < 2; words++) {
			sn_transcription ask = ask_of(file, size);
			ask.words = words == 1 && w > 0;
			struct heard *h = hear(e, &ask);
			if (h->status)
				fail_msg("%s", h->error.text);
			assert_true(h->n >= 12 && fabs(h->duration - (12 * N_CROSS + 7) * 0.02) < 1e-9);
			assert_true(!ask.words == !h->n_words);
			if (!first) {
				first = h;
				continue;
			}
			if (!ask.words)
				assert_heard_same(first, h);
			free(h);
		}
		if (w == 1)
			assert_true(metric_get(&e->metrics, M_MAX_SEQS) > 1);
		close_player(&e);
	}
	free(first);
	free(file);
}

static void two_recordings_at_once_do_not_touch_each_other(void **state)
{
	(void)state;
	size_t size[2];
	void *file[2] = {make_file(MANY, 5, 0, &size[0]), make_file(MANY + 4, 6, 3, &size[1])};
	sn_engine *e = open_player((sn_engine_config){.threads = 2});
	struct heard *alone[2];
	for (int i = 0; i < 2; i++)
		alone[i] = hear(e, &(sn_transcription){.request_id = "a", .part = ask_of(file[i], size[i]).part, .stamps = true, .has_seed = true, .seed = 3});
	sn_transcript *t[2];
	sn_error err;
	for (int i = 0; i < 2; i++)
		assert_int_equal(sn_transcript_submit(e, &(sn_transcription){.request_id = "a", .part = ask_of(file[i], size[i]).part, .stamps = true,
		                                                             .has_seed = true, .seed = 3}, &t[i], &err), SN_OK);
	for (int i = 0; i < 2; i++) {
		struct heard *h = calloc(1, sizeof *h);
		hear_all(&t[i], h);
		assert_heard_same(alone[i], h);
		free(h);
		free(alone[i]);
		free(file[i]);
	}
	close_player(&e);
}

static void a_language_is_told_or_found(void **state)
{
	(void)state;
	size_t size;
	void *file = make_file(MANY, 1, 0, &size);
	sn_engine *e = open_player((sn_engine_config){.threads = 2});
	sn_transcription ask = ask_of(file, size);
	struct heard *found = hear(e, &ask);
	assert_int_equal(found->status, SN_OK);
	assert_true(strcmp(found->language, "de") == 0 || strcmp(found->language, "en") == 0 || strcmp(found->language, "zh") == 0);
	ask.language = found->language;
	struct heard *told = hear(e, &ask);
	assert_int_equal(told->n, found->n);
	for (uint32_t i = 0; i < told->n; i++)
		assert_string_equal(told->text[i], found->text[i]);
	assert_int_equal(found->usage.prompt_tokens - told->usage.prompt_tokens, N_CROSS + 1); /* the question what it is */
	free(told);
	free(found);
	ask.language = "xx";
	struct heard *h = hear(e, &ask);
	assert_int_equal(h->status, SN_ERR_INVALID);
	assert_string_equal(h->error.param, "language");
	free(h);
	close_player(&e);
	free(file);
}

static void without_stamps_a_window_is_one_segment(void **state)
{
	(void)state;
	size_t size;
	void *file = make_file(MANY, 3, 0, &size);
	sn_engine *e = open_player((sn_engine_config){.threads = 2});
	sn_transcription ask = ask_of(file, size);
	ask.stamps = false;
	struct heard *h = hear(e, &ask);
	assert_int_equal(h->status, SN_OK);
	assert_true(h->n <= 3 && h->n > 0);
	for (uint32_t i = 0; i < h->n; i++) {
		assert_true(fabs(h->s[i].start - h->s[i].seek) < 1e-9);
		assert_true(fabs(h->s[i].end - h->s[i].start - 0.8) < 1e-9);
	}
	free(h);
	close_player(&e);
	free(file);
}

static void what_cannot_be_is_refused_by_name(void **state)
{
	(void)state;
	size_t size;
	void *file = make_file(MANY, 1, 0, &size);
	sn_engine *e = open_player((sn_engine_config){.threads = 1});
	const struct { sn_transcription ask; sn_status status; const char *param; } table[] = {
	    {{.model = "none", .part = ask_of(file, size).part}, SN_ERR_NOT_FOUND, "model"},
	    {{.model = "chats", .part = ask_of(file, size).part}, SN_ERR_UNSUPPORTED, "model"},
	    {{.part = ask_of(file, size).part, .temperature = 1.1f}, SN_ERR_INVALID, "temperature"},
	    {{.part = ask_of(file, size).part, .temperature = NAN}, SN_ERR_INVALID, "temperature"},
	    {{.part = ask_of("nonsense", 8).part}, SN_ERR_MEDIA_TYPE, "file"},
	    {{.part = ask_of("PCMF", 4).part}, SN_ERR_INVALID, "file"},
	    {{.part = {.kind = SN_PART_MEDIA, .kind_name = "image", .data = file, .size = size}}, SN_ERR_UNSUPPORTED, "file"},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct heard *h = hear(e, &table[i].ask);
		if (h->status != table[i].status || strcmp(h->error.param, table[i].param) != 0)
			fail_msg("%zu: status %d, param %s, %s", i, h->status, h->error.param, h->error.text);
		free(h);
	}
	transcriber *how = atomic_load(&e->models[0].transcriber);
	ABOUT.n_alignment_heads = 0;
	how->first_stamp = how->translate = -1;
	for (int i = 0; i < 3; i++) {
		struct heard *h = hear(e, &(sn_transcription){.part = ask_of(file, size).part, .stamps = i == 0, .words = i == 1, .translate = i == 2});
		assert_int_equal(h->status, SN_ERR_UNSUPPORTED);
		free(h);
	}
	close_player(&e);
	free(file);
}

static void a_failing_window_ends_it_and_an_hour_is_not_needed_to_see_it(void **state)
{
	(void)state;
	size_t size;
	float which[60];
	for (int i = 0; i < 60; i++)
		which[i] = i == 2 ? 200 : (float)i;
	void *file = make_file(which, 60, 0, &size);
	sn_engine *e = open_player((sn_engine_config){.threads = 2});
	sn_transcription ask = ask_of(file, size);
	atomic_store(&fail_value, 200);
	struct heard *h = hear(e, &ask);
	assert_int_equal(h->status, SN_ERR_PLUGIN);
	assert_non_null(strstr(h->error.text, "cannot hear"));
	free(h);
	atomic_store(&fail_value, -1);
	bad_cut = true;
	h = hear(e, &ask);
	assert_int_equal(h->status, SN_ERR_PLUGIN);
	free(h);
	close_player(&e);
	free(file);
}

static void closing_and_deadlines_free_everything(void **state)
{
	(void)state;
	size_t size;
	void *file = make_file(MANY, 12, 0, &size);
	sn_engine *e = open_player((sn_engine_config){.threads = 2});
	sn_transcription ask = ask_of(file, size);
	sn_transcript *t;
	sn_transcript_event ev;
	sn_error err;
	for (int taken = 0; taken < 6; taken++) {
		assert_int_equal(sn_transcript_submit(e, &ask, &t, &err), SN_OK);
		for (int i = 0; i < taken; i++)
			assert_int_equal(sn_transcript_next(t, 20000, &ev), SN_TRANSCRIPT_SEGMENT);
		sn_transcript_close(&t);
		assert_null(t);
		assert_all_pages_free(e);
		assert_int_equal(e->gate.held, 0);
	}
	atomic_store(&stall, 1);
	ask.timeout_ms = 60;
	struct heard *h = hear(e, &ask);
	assert_int_equal(h->status, SN_ERR_DEADLINE);
	free(h);
	atomic_store(&stall, 0);
	close_player(&e);
	free(file);
}

static void a_full_queue_refuses_recordings_and_lets_windows_wait(void **state)
{
	(void)state;
	size_t size;
	void *file = make_file(MANY, 6, 0, &size);
	sn_engine *e = open_player((sn_engine_config){.threads = 2, .max_num_seqs = 2, .max_queued_requests = 1});
	sn_transcription ask = ask_of(file, size);
	sn_transcript *t[8];
	sn_error err;
	uint32_t n = 0;
	atomic_store(&stall, 1);
	while (n < 8 && sn_transcript_submit(e, &ask, &t[n], &err) == SN_OK)
		n++;
	assert_true(n > 0 && n < 8);
	assert_int_equal(err.status, SN_ERR_QUEUE_FULL);
	assert_true(metric_get(&e->metrics, M_REJECTED) == 1); /* windows that wait are not refused */
	atomic_store(&stall, 0);
	for (uint32_t i = 0; i < n; i++) {
		struct heard *h = calloc(1, sizeof *h);
		hear_all(&t[i], h);
		assert_int_equal(h->status, SN_OK);
		free(h);
	}
	assert_int_equal(metric_get(&e->metrics, M_REJECTED), 1);
	close_player(&e);
	free(file);
}

static void what_was_accepted_goes_on_while_draining(void **state)
{
	(void)state;
	size_t size;
	void *file = make_file(MANY, 8, 0, &size);
	sn_engine *e = open_player((sn_engine_config){.threads = 2, .max_num_seqs = 1});
	sn_transcription ask = ask_of(file, size);
	sn_transcript *t[2];
	sn_error err;
	assert_int_equal(sn_transcript_submit(e, &ask, &t[0], &err), SN_OK);
	sn_engine_drain(e);
	assert_int_equal(sn_transcript_submit(e, &ask, &t[1], &err), SN_ERR_DRAINING);
	assert_true(sn_engine_health(e).n_active > 0);
	struct heard *h = calloc(1, sizeof *h);
	hear_all(&t[0], h);
	assert_int_equal(h->status, SN_OK);
	free(h);
	close_player(&e);
	free(file);
}

static void the_clients_words_come_before_and_are_only_words(void **state)
{
	(void)state;
	size_t size;
	void *file = make_file(MANY, 1, 0, &size);
	sn_engine *e = open_player((sn_engine_config){.threads = 2});
	sn_transcription ask = ask_of(file, size);
	ask.language = "de";
	ask.temperature = 0.001f; /* one attempt */
	struct heard *plain = hear(e, &ask);
	static const struct { const char *words; uint32_t tokens; } table[] = {{"", 0}, {"  \n ", 0}, {"a", 2}, {"<|endoftext|><|0.00|>", 8}};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		ask.prompt = table[i].words;
		ask.prompt_size = strlen(table[i].words);
		struct heard *h = hear(e, &ask);
		uint32_t more = h->usage.prompt_tokens - plain->usage.prompt_tokens;
		assert_int_equal(h->status, SN_OK);
		assert_int_equal(more, table[i].tokens ? table[i].tokens + 1 : 0); /* and the token that tells of them; the last 8 at most */
		free(h);
	}
	free(plain);
	close_player(&e);
	free(file);
}

/* Spelled by the client, a stamp is the signs that it is spelled with, as is every other token that means something. */
static void times_in_the_clients_words_are_spelled_out(void **state)
{
	(void)state;
	static const char *const table[] = {"<|0.50|>", "a<|0.00|><|0.02|>b", "<|endoftext|>", "<|en|> <|1.50|>", "<|0.5<|0.50|>0|>",
	                                    "<|1.50|><|startoftranscript|>"};
	size_t size;
	void *file = make_file(MANY, 1, 0, &size);
	sn_engine *e = open_player((sn_engine_config){.threads = 2});
	const vocab *v = e->models[0].m->vocab;
	int32_t stamp = vocab_find(v, STR("<|0.50|>"));
	assert_true(stamp > vocab_eos(v));
	ABOUT.max_previous = 36; /* all of the words, and the model's context has room for them */
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		sn_transcription ask = ask_of(file, size);
		sn_transcript *t;
		sn_error err;
		char said[128] = "";
		ask.prompt = table[i];
		ask.prompt_size = strlen(table[i]);
		if (sn_transcript_submit(e, &ask, &t, &err))
			fail_msg("%s: %s", table[i], err.text);
		for (size_t k = 0; k < t->n_previous; k++) {
			str s = vocab_token(v, t->previous[k]);
			assert_true(t->previous[k] < t->how->end && strlen(said) + s.n < sizeof said);
			strncat(said, s.p, s.n);
		}
		assert_true(said[0] == ' ');
		assert_string_equal(said + 1, table[i]);
		struct heard *h = calloc(1, sizeof *h);
		hear_all(&t, h);
		assert_int_equal(h->status, SN_OK);
		free(h);
	}
	close_player(&e);
	free(file);
}

static void descriptions_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	sn_engine *e = open_player((sn_engine_config){.threads = 1});
	static const sn_language odd[] = {{"xx", "<|xx|>"}}, coded[] = {{"", "<|en|>"}};
	static const uint32_t far[][2] = {{3, 0}};
	struct sn_model file = {.file = e->models[0].m->file};
	ENCODER.model = &file;
	for (int i = 0; i < 9; i++) {
		reset_player();
		if (i == 0) ABOUT.size--;
		if (i == 1) ABOUT.opening = NULL;
		if (i == 2) ABOUT.opening = "<|no such|>";
		if (i == 3) ABOUT.languages = odd, ABOUT.n_languages = 1;
		if (i == 4) ABOUT.languages = coded, ABOUT.n_languages = 1;
		if (i == 5) ABOUT.n_stamps = 77;
		if (i == 6) ABOUT.step_ms = 0;
		if (i == 7) ABOUT.alignment_heads = far, ABOUT.n_alignment_heads = 1;
		if (i == 8) ABOUT.suppress = NULL;
		transcriber *how;
		sn_error err;
		if (transcriber_open(&how, &ENCODER, e->models[0].m, &err) != SN_ERR_INVALID)
			fail_msg("description %d was taken", i);
		assert_null(how);
	}
	reset_player();
	close_player(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(windows_at_once_say_what_they_say_one_by_one),
	    cmocka_unit_test(two_recordings_at_once_do_not_touch_each_other),
	    cmocka_unit_test(a_language_is_told_or_found),
	    cmocka_unit_test(without_stamps_a_window_is_one_segment),
	    cmocka_unit_test(what_cannot_be_is_refused_by_name),
	    cmocka_unit_test(a_failing_window_ends_it_and_an_hour_is_not_needed_to_see_it),
	    cmocka_unit_test(closing_and_deadlines_free_everything),
	    cmocka_unit_test(a_full_queue_refuses_recordings_and_lets_windows_wait),
	    cmocka_unit_test(what_was_accepted_goes_on_while_draining),
	    cmocka_unit_test(the_clients_words_come_before_and_are_only_words),
	    cmocka_unit_test(times_in_the_clients_words_are_spelled_out),
	    cmocka_unit_test(descriptions_that_do_not_fit_are_refused),
	};
	size_t n;
	ROWS = read_golden("whisper.rows", &n);
	assert_int_equal(n, N_GOLDEN * N_CROSS * WIDTH * sizeof(float));
	int failed = kit_run(tests);
	free(ROWS);
	return failed;
}
