/* test_whisper.c - promises of whisper: the references' rows for every family, whatever the slicing; bad files, bad sounds and
 * bad plans refused by name; what Whisper is told, and where recordings are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_host.h"
#include "sounds.h"
#include "whisper.h" /* the plugin's sources, built with small units, are part of this program */
#include "whisper_towers.h"

enum { MAX_KEYS = 32 };

static const int32_t SUPPRESS[] = {1, 2, 7}, BEGIN_SUPPRESS[] = {220, 50257}, HEAD_PAIRS[] = {1, 0, 0, 3};
static const char *const LANGUAGES[] = {"<|en|>", "<|zh|>", "<|haw|>"};

/* A plugin with a model loaded. */
typedef struct loaded {
	fake_host host;
	fake_key keys[MAX_KEYS];
	struct fake_shape shapes[2];
	sn_model model;
	const sn_plugin *plugin;
	const sn_ext_plan *plan;
	const sn_ext_encode *encode;
	const sn_ext_transcribe *transcribe;
	void *instance;
	sn_fault fault;
	sn_rc rc; /* of load */
} loaded;

static void make_keys(loaded *l, const tower *t)
{
	const fake_key all[] = {
	    {.name = "clip.audio.projector_type", .type = FAKE_STR, .text = t->type},
	    {.name = "clip.has_audio_encoder", .type = FAKE_BOOL, .number = 1},
	    {.name = "clip.audio.num_mel_bins", .number = MELS},
	    {.name = "clip.audio.embedding_length", .number = EMBD},
	    {.name = "clip.audio.feed_forward_length", .number = t->ff},
	    {.name = "clip.audio.block_count", .number = LAYERS},
	    {.name = "clip.audio.attention.head_count", .number = HEADS},
	    {.name = "clip.audio.projection_dim", .number = t->row_dim},
	    {.name = "clip.audio.attention.layer_norm_epsilon", .type = FAKE_F32, .number = 1e-5},
	    {.name = t->stack ? "clip.audio.projector.stack_factor" : "-", .number = t->stack},
	    {.name = t->n_window ? "clip.audio.n_window" : "-", .number = t->n_window},
	    {.name = "whisper.encoder.context_length", .number = CONTEXT},
	    {.name = "whisper.context_length", .number = 448},
	    {.name = "whisper.block_count", .number = 2},
	    {.name = "whisper.attention.head_count", .number = 4},
	    {.name = "whisper.stamps", .number = CONTEXT + 1},
	    {.name = "whisper.max_initial_timestamp_index", .number = 50},
	    {.name = "whisper.no_speech_token", .type = FAKE_STR, .text = "<|nospeech|>"},
	    {.name = "whisper.suppress_tokens", .type = FAKE_I32S, .integers = SUPPRESS, .n = 3},
	    {.name = "whisper.begin_suppress_tokens", .type = FAKE_I32S, .integers = BEGIN_SUPPRESS, .n = 2},
	    {.name = "whisper.alignment_heads", .type = FAKE_I32S, .integers = HEAD_PAIRS, .n = 4},
	    {.name = "whisper.languages", .type = FAKE_STRS, .strings = LANGUAGES, .n = 3},
	};
	const struct fake_shape shapes[2] = {{"a.position_embd.weight", CONTEXT, EMBD}, {"mm.a.mlp.1.weight", t->hidden, (uint64_t)EMBD * t->stack}};
	memcpy(l->keys, all, sizeof all);
	memcpy(l->shapes, shapes, sizeof shapes);
	l->model = (sn_model){.keys = l->keys, .n_keys = sizeof all / sizeof *all, .ff = t->ff, .embd = EMBD, .missing = l->model.missing,
	                      .shapes = l->shapes, .n_shapes = 2};
	fake_host_init(&l->host);
}

static fake_key *key(loaded *l, const char *name)
{
	for (size_t i = 0; i < l->model.n_keys; i++)
		if (strcmp(l->keys[i].name, name) == 0)
			return &l->keys[i];
	fail_msg("no key %s", name);
	return NULL;
}

static void open_keys(loaded *l, const sn_plugin_list *list)
{
	l->plugin = list->plugins[0];
	l->plan = l->plugin->extension(SN_EXT_PLAN);
	l->encode = l->plugin->extension(SN_EXT_ENCODE);
	l->transcribe = l->plugin->extension(SN_EXT_TRANSCRIBE);
	l->instance = aligned_alloc(64, (l->plugin->instance_size + 63) / 64 * 64);
	memset(l->instance, 0, l->plugin->instance_size);
	l->fault = (sn_fault){.size = sizeof l->fault};
	assert_int_equal(l->plugin->init(l->instance, &l->host.host, &l->fault), SN_RC_OK);
	l->rc = l->plugin->load(l->instance, &l->model, &l->fault);
}

static void open_tower(loaded *l, const tower *t, const sn_plugin_list *list)
{
	make_keys(l, t);
	open_keys(l, list);
}

static void close_only(loaded *l)
{
	l->plugin->fini(l->instance);
	free(l->instance);
	assert_int_equal(l->host.held, 0);
}

static void close_tower(loaded *l)
{
	close_only(l);
	fake_host_fini(&l->host);
}

static sn_media make_sound(size_t n)
{
	return (sn_media){.size = sizeof(sn_media), .kind = SN_MEDIA_AUDIO, .rate = 16000, .n_samples = n, .bytes = n * sizeof(float),
	                  .samples = sound_wave(n, n)};
}

typedef struct running {
	sn_media_plan plan;
	sn_ops_ctx *ctx;
	void *state;
	float *rows;
	uint32_t units;
} running;

static void begin_job(running *j, loaded *l, const sn_media *media)
{
	*j = (running){.plan = {.size = sizeof j->plan}};
	if (l->plan->plan(l->instance, NULL, media, &j->plan, &l->fault) != SN_RC_OK)
		fail_msg("plan: %s", l->fault.text);
	j->state = aligned_alloc(64, (j->plan.state_bytes + 63) / 64 * 64);
	memset(j->state, 0, j->plan.state_bytes);
	j->ctx = fake_ops_open(j->plan.state_bytes);
	j->rows = malloc((size_t)j->plan.n_rows * l->plan->row_dim(l->instance) * sizeof(float));
	size_t held = l->host.held;
	if (l->encode->begin(l->instance, NULL, j->state, j->ctx, media, &j->plan, &l->fault) != SN_RC_OK)
		fail_msg("begin: %s", l->fault.text);
	assert_int_equal(l->host.held, held);
}

static bool step_job(running *j, loaded *l, uint32_t slice)
{
	uint32_t done;
	size_t n_allocs = l->host.n_allocs;
	sn_rc rc = l->encode->step(l->instance, NULL, j->state, j->ctx, slice, &done, j->rows, &l->fault);
	if (rc < 0)
		fail_msg("step: %s", l->fault.text);
	assert_true(done == slice || (rc == SN_RC_END && done <= slice));
	assert_int_equal(l->host.n_allocs, n_allocs); /* steps allocate nothing */
	j->units += done;
	assert_true(rc == SN_RC_AGAIN || j->units == j->plan.n_units);
	return rc == SN_RC_AGAIN;
}

/* The rows, malloc'ed. */
static float *end_job(running *j, loaded *l)
{
	l->encode->end(l->instance, j->state);
	fake_ops_close(j->ctx);
	free(j->state);
	return j->rows;
}

static float *run_job(loaded *l, const sn_media *media, uint32_t slice, sn_media_plan *plan)
{
	running j;
	begin_job(&j, l, media);
	while (step_job(&j, l, slice))
		;
	*plan = j.plan;
	return end_job(&j, l);
}

static void expect_golden(const tower *t, size_t clip, const float *rows, uint32_t n_rows)
{
	double worst = tower_error(t, clip, rows, n_rows);
	print_message("%s, %zu samples: %u rows, worst error %.1e of a row's largest value\n", t->type, clip, n_rows, worst);
	assert_true(worst <= 1e-5); /* 1.4e-6 when written */
}

static void rows_are_the_references(void **state)
{
	(void)state;
	for (int i = 0; i < N_TOWERS; i++) {
		const tower *t = &TOWERS[i];
		loaded l = {0}, small = {0};
		open_tower(&l, t, fake_load_plugin("whisper.so"));
		if (l.rc != SN_RC_OK)
			fail_msg("%s: %s", t->type, l.fault.text);
		open_tower(&small, t, sn_plugin_entry_1());
		for (int k = 0; k < 4 && t->clips[k]; k++) {
			sn_media media = make_sound(t->clips[k]);
			sn_media_plan plan, small_plan;
			float *rows = run_job(&l, &media, UINT32_MAX, &plan);
			expect_golden(t, t->clips[k], rows, plan.n_rows);
			for (uint32_t slice = 1; slice < 8; slice += 3) {
				float *again = run_job(&small, &media, slice, &small_plan);
				assert_true(small_plan.n_units > plan.n_units || t->clips[k] < 7777);
				assert_memory_equal(rows, again, (size_t)plan.n_rows * t->row_dim * sizeof *rows);
				free(again);
			}
			free(rows);
			free(media.samples);
		}
		close_only(&small);
		close_tower(&l);
	}
}

/* Two jobs of one instance and one of another, turn by turn, and a second instance of another family: each as alone. */
static void jobs_do_not_see_each_other(void **state)
{
	(void)state;
	loaded a = {0}, b = {0};
	open_tower(&a, &TOWERS[1], sn_plugin_entry_1());
	open_tower(&b, &TOWERS[4], sn_plugin_entry_1());
	sn_media one = make_sound(41733), two = make_sound(7777);
	running j[3];
	begin_job(&j[0], &a, &one);
	begin_job(&j[1], &a, &two);
	begin_job(&j[2], &b, &two);
	bool more[3] = {true, true, true};
	while (more[0] || more[1] || more[2])
		for (int i = 0; i < 3; i++)
			if (more[i])
				more[i] = step_job(&j[i], i < 2 ? &a : &b, (uint32_t)i + 1);
	uint32_t n_rows[3] = {j[0].plan.n_rows, j[1].plan.n_rows, j[2].plan.n_rows};
	for (int i = 0; i < 3; i++) {
		float *rows = end_job(&j[i], i < 2 ? &a : &b);
		expect_golden(&TOWERS[i < 2 ? 1 : 4], i == 0 ? 41733 : 7777, rows, n_rows[i]);
		free(rows);
	}
	free(one.samples);
	free(two.samples);
	close_only(&b);
	close_tower(&a);
}

static void framing_text_is_the_familys(void **state)
{
	(void)state;
	static const char *const TEXTS[N_TOWERS] = {"#", "#", "[BEGIN_AUDIO]#", "<|audio_bos|>#<|audio_eos|>", "<|audio_bos|>#<|audio_eos|>"};
	for (int i = 0; i < N_TOWERS; i++) {
		loaded l = {0};
		open_tower(&l, &TOWERS[i], fake_load_plugin("whisper.so"));
		sn_media media = {.size = sizeof media, .kind = SN_MEDIA_AUDIO, .rate = 16000, .n_samples = 7777, .bytes = 4 * 7777};
		sn_media_plan plan = {.size = sizeof plan};
		assert_int_equal(l.plan->plan(l.instance, NULL, &media, &plan, &l.fault), SN_RC_OK);
		assert_int_equal(plan.n_holes, 1);
		char *text = malloc(plan.text_size + 1);
		sn_hole hole;
		assert_int_equal(l.plan->layout(l.instance, NULL, &media, &plan, text, &hole, &l.fault), SN_RC_OK);
		assert_int_equal(hole.n_rows, plan.n_rows);
		assert_int_equal(plan.text_size + 1, strlen(TEXTS[i]));
		assert_memory_equal(text, TEXTS[i], hole.text_offset);
		assert_int_equal(TEXTS[i][hole.text_offset], '#');
		assert_memory_equal(text + hole.text_offset, TEXTS[i] + hole.text_offset + 1, plan.text_size - hole.text_offset);
		assert_true(*l.plan->marker(l.instance) != 0);
		assert_int_equal(l.plan->media_rate(l.instance), 16000);
		plan.n_rows++;
		assert_int_equal(l.plan->layout(l.instance, NULL, &media, &plan, text, &hole, &l.fault), SN_RC_INTERNAL);
		free(text);
		close_tower(&l);
	}
}

static void probe_knows_its_own(void **state)
{
	(void)state;
	loaded l = {0};
	const sn_plugin *p = fake_load_plugin("whisper.so")->plugins[0];
	for (int i = 0; i < N_TOWERS; i++) {
		make_keys(&l, &TOWERS[i]);
		assert_int_equal(p->probe(&l.host.host, &l.model), 100);
	}
	key(&l, "clip.audio.projector_type")->name = "clip.projector_type"; /* where older files have it */
	assert_int_equal(p->probe(&l.host.host, &l.model), 100);
	key(&l, "clip.has_audio_encoder")->number = 0; /* a picture tower of the same family */
	assert_int_equal(p->probe(&l.host.host, &l.model), 0);
	make_keys(&l, &TOWERS[0]);
	key(&l, "clip.audio.projector_type")->text = "qwen3a";
	assert_int_equal(p->probe(&l.host.host, &l.model), 0);
	l.model.n_keys = 0;
	assert_int_equal(p->probe(&l.host.host, &l.model), 0);
}

/* Files that call Qwen2.5-Omni's ear "qwen2a" tell it by its blocks. */
static void small_blocks_are_told_by_their_key(void **state)
{
	(void)state;
	tower t = TOWERS[4];
	loaded l = {0};
	t.type = "qwen2a";
	open_tower(&l, &t, fake_load_plugin("whisper.so"));
	assert_int_equal(l.rc, SN_RC_OK);
	sn_media media = make_sound(7777);
	sn_media_plan plan;
	float *rows = run_job(&l, &media, 3, &plan);
	expect_golden(&TOWERS[4], 7777, rows, plan.n_rows);
	free(rows);
	free(media.samples);
	close_tower(&l);
}

/* Each key missing, zero, huge, or not fitting the others: refused by name, with its value. */
static void bad_keys_are_named(void **state)
{
	(void)state;
	const sn_plugin_list *list = fake_load_plugin("whisper.so");
	static const struct {
		int tower;
		const char *key;
		double value;
	} cases[] = {
	    {0, "clip.audio.num_mel_bins", 0}, {0, "clip.audio.num_mel_bins", 257}, {0, "clip.audio.embedding_length", 0},
	    {0, "clip.audio.embedding_length", 4294967295.0}, {0, "clip.audio.feed_forward_length", 0}, {0, "clip.audio.feed_forward_length", 4294967295.0},
	    {0, "clip.audio.block_count", 0}, {0, "clip.audio.block_count", 4294967295.0}, {0, "clip.audio.attention.head_count", 0},
	    {0, "clip.audio.attention.head_count", 5}, {0, "clip.audio.projection_dim", WIDTH}, {1, "clip.audio.projection_dim", 0},
	    {1, "clip.audio.projection_dim", 4294967295.0}, {0, "clip.audio.attention.layer_norm_epsilon", 0},
	    {0, "clip.audio.attention.layer_norm_epsilon", NAN}, {0, "whisper.encoder.context_length", 61}, {0, "whisper.context_length", 0},
	    {0, "whisper.context_length", 4294967295.0}, {0, "whisper.stamps", CONTEXT + 2}, {0, "whisper.block_count", 1}, {0, "whisper.attention.head_count", 3},
	    {1, "clip.audio.projector.stack_factor", 0}, {1, "clip.audio.projector.stack_factor", 65}, {2, "clip.audio.projector.stack_factor", 7},
	    {4, "clip.audio.n_window", 0}, {4, "clip.audio.n_window", 9}, {4, "clip.audio.n_window", CONTEXT + 2},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		loaded l = {0};
		make_keys(&l, &TOWERS[cases[i].tower]);
		key(&l, cases[i].key)->number = cases[i].value;
		open_keys(&l, list);
		if (l.rc != SN_RC_INVALID)
			fail_msg("%s = %g: %d", cases[i].key, cases[i].value, l.rc);
		const char *named = strcmp(cases[i].key, "whisper.block_count") && strcmp(cases[i].key, "whisper.attention.head_count")
		                        ? cases[i].key : "whisper.alignment_heads";
		if (!strstr(l.fault.text, named))
			fail_msg("%s = %g: %s", cases[i].key, cases[i].value, l.fault.text);
		close_tower(&l);
	}
	static const struct { int tower; const char *key; } missing[] = {
	    {0, "clip.audio.num_mel_bins"}, {0, "clip.audio.embedding_length"}, {0, "clip.audio.feed_forward_length"}, {0, "clip.audio.block_count"},
	    {0, "clip.audio.attention.head_count"}, {0, "clip.audio.projection_dim"}, {0, "clip.audio.attention.layer_norm_epsilon"},
	    {0, "whisper.context_length"}, {1, "clip.audio.projector.stack_factor"}, {2, "clip.audio.projector.stack_factor"}};
	for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
		loaded l = {0};
		make_keys(&l, &TOWERS[missing[i].tower]);
		key(&l, missing[i].key)->name = "something.else";
		open_keys(&l, list);
		assert_int_equal(l.rc, SN_RC_INVALID);
		assert_non_null(strstr(l.fault.text, missing[i].key));
		close_tower(&l);
	}
}

static void bad_tables_are_named(void **state)
{
	(void)state;
	static const int32_t negative[] = {4, -1}, odd[] = {0, 0, 1};
	static const char *const words[] = {"en"}, *const long_word[] = {"<|abcdefghijklmnopqrstuvwxyz|>"}, *const empty[] = {"<||>"};
	const struct { const char *key; const int32_t *integers; const char *const *strings; uint32_t n; } cases[] = {
	    {"whisper.suppress_tokens", negative, NULL, 2}, {"whisper.begin_suppress_tokens", negative, NULL, 2}, {"whisper.suppress_tokens", NULL, NULL, 65537},
	    {"whisper.alignment_heads", odd, NULL, 3}, {"whisper.alignment_heads", negative, NULL, 2}, {"whisper.languages", NULL, words, 1},
	    {"whisper.languages", NULL, long_word, 1}, {"whisper.languages", NULL, empty, 1}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		loaded l = {0};
		int32_t *many = calloc(65537, sizeof *many);
		make_keys(&l, &TOWERS[0]);
		fake_key *k = key(&l, cases[i].key);
		k->integers = cases[i].integers ? cases[i].integers : many;
		k->strings = cases[i].strings;
		k->n = cases[i].n;
		open_keys(&l, fake_load_plugin("whisper.so"));
		assert_int_equal(l.rc, SN_RC_INVALID);
		assert_non_null(strstr(l.fault.text, cases[i].key));
		free(many);
		close_tower(&l);
	}
}

static void missing_tensors_are_named(void **state)
{
	(void)state;
	static const struct { int tower; const char *name; } cases[] = {
	    {0, "a.conv1d.1.weight"}, {0, "a.conv1d.2.weight"}, {0, "a.position_embd.weight"}, {0, "a.blk.1.attn_q.weight"}, {0, "a.blk.0.attn_k.weight"},
	    {0, "a.blk.0.ln1.bias"}, {0, "a.blk.1.ffn_up.weight"}, {0, "a.blk.0.ffn_down.weight"}, {0, "a.post_ln.weight"}, {1, "mm.a.norm_pre.weight"},
	    {1, "mm.a.mlp.1.weight"}, {1, "mm.a.norm_mid.weight"}, {1, "mm.a.mlp.2.weight"}, {2, "mm.a.mlp.1.weight"}, {3, "mm.a.fc.weight"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		loaded l = {.model.missing = cases[i].name};
		open_tower(&l, &TOWERS[cases[i].tower], fake_load_plugin("whisper.so"));
		assert_int_equal(l.rc, SN_RC_INVALID);
		assert_non_null(strstr(l.fault.text, cases[i].name));
		close_tower(&l);
	}
}

/* What is no sound, or not at this rate, or more than the family takes. */
static void bad_sounds_are_refused(void **state)
{
	(void)state;
	for (int i = 0; i < N_TOWERS; i++) {
		loaded l = {0};
		open_tower(&l, &TOWERS[i], fake_load_plugin("whisper.so"));
		sn_media_plan plan = {.size = sizeof plan};
		sn_media sound = {.size = sizeof sound, .kind = SN_MEDIA_AUDIO, .rate = 16000};
		assert_int_equal(l.plan->plan(l.instance, NULL, &sound, &plan, &l.fault), SN_RC_INVALID); /* empty */
		sound.n_samples = UINT64_MAX;
		assert_int_equal(l.plan->plan(l.instance, NULL, &sound, &plan, &l.fault), SN_RC_TOO_LARGE);
		sound.n_samples = WINDOW + 1; /* whisper alone takes one window and no more */
		assert_int_equal(l.plan->plan(l.instance, NULL, &sound, &plan, &l.fault), i == 0 ? SN_RC_TOO_LARGE : SN_RC_OK);
		sound.rate = 8000;
		assert_int_equal(l.plan->plan(l.instance, NULL, &sound, &plan, &l.fault), SN_RC_UNSUPPORTED);
		assert_non_null(strstr(l.fault.text, "8000 Hz"));
		sn_media picture = {.size = sizeof picture, .kind = SN_MEDIA_IMAGE, .width = 4, .height = 4, .n_frames = 1};
		assert_int_equal(l.plan->plan(l.instance, NULL, &picture, &plan, &l.fault), SN_RC_UNSUPPORTED);

		static const float values[] = {NAN, INFINITY, -INFINITY, 1e30f};
		for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
			sn_media media = make_sound(5000);
			((float *)media.samples)[4999] = values[k];
			assert_int_equal(l.plan->plan(l.instance, NULL, &media, &plan, &l.fault), SN_RC_OK);
			void *job = calloc(1, plan.state_bytes);
			sn_ops_ctx *ctx = fake_ops_open(plan.state_bytes);
			assert_int_equal(l.encode->begin(l.instance, NULL, job, ctx, &media, &plan, &l.fault), SN_RC_INVALID);
			assert_int_equal(l.fault.blame, SN_BLAME_INPUT);
			fake_ops_close(ctx);
			free(job);
			free(media.samples);
		}
		close_tower(&l);
	}
}

static void calls_may_come_before_load(void **state)
{
	(void)state;
	loaded l = {0};
	make_keys(&l, &TOWERS[0]);
	key(&l, "clip.audio.block_count")->number = 0;
	open_keys(&l, fake_load_plugin("whisper.so"));
	assert_int_equal(l.rc, SN_RC_INVALID);
	sn_media media = make_sound(5000);
	sn_media_plan plan = {.size = sizeof plan, .state_bytes = 100};
	uint8_t job[4096] = {0};
	assert_int_equal(l.plan->plan(l.instance, NULL, &media, &plan, &l.fault), SN_RC_INTERNAL);
	assert_int_equal(l.encode->begin(l.instance, NULL, job, NULL, &media, &plan, &l.fault), SN_RC_INTERNAL);
	assert_true(*l.plan->marker(l.instance) && l.plan->row_token(l.instance));
	assert_null(l.transcribe->describe(l.instance));
	assert_int_equal(l.transcribe->cut(l.instance, &media, 0), 5000);
	free(media.samples);
	close_tower(&l);
}

/* Every length around a frame, a row, a block and a window gets as many rows as its holes say, all of them finite. */
static void odd_lengths_are_encoded(void **state)
{
	(void)state;
	static const size_t LENGTHS[] = {1, 2, 159, 160, 161, 319, 320, 321, 481, 641, 3199, 3201, 3361, WINDOW - 1, WINDOW + 1, WINDOW + 161, WINDOW + 700};
	for (int i = 0; i < N_TOWERS; i++) {
		loaded l = {0};
		open_tower(&l, &TOWERS[i], fake_load_plugin("whisper.so"));
		for (size_t k = 0; k < sizeof LENGTHS / sizeof *LENGTHS && !(i == 0 && LENGTHS[k] > WINDOW); k++) {
			sn_media media = make_sound(LENGTHS[k]);
			sn_media_plan plan;
			float *rows = run_job(&l, &media, 5, &plan);
			assert_true(plan.n_rows > 0);
			for (uint32_t r = 0; r < plan.n_rows * TOWERS[i].row_dim; r++)
				assert_true(isfinite(rows[r]));
			free(rows);
			free(media.samples);
		}
		close_tower(&l);
	}
}

/* Over the declared bytes, over the host's memory, cancelled in the middle, another sound's plan: a fault or nothing, no leak. */
static void jobs_end_early_without_leaks(void **state)
{
	(void)state;
	loaded l = {0};
	open_tower(&l, &TOWERS[1], fake_load_plugin("whisper.so"));
	sn_media media = make_sound(7777);
	sn_media_plan plan = {.size = sizeof plan};
	assert_int_equal(l.plan->plan(l.instance, NULL, &media, &plan, &l.fault), SN_RC_OK);
	uint8_t *job = aligned_alloc(64, (plan.state_bytes + 63) / 64 * 64);
	const struct { uint64_t budget; size_t fail; uint32_t more_rows; sn_rc rc; } cases[] = {
	    {100, 0, 0, SN_RC_NOMEM}, {plan.state_bytes, 1, 0, SN_RC_NOMEM}, {plan.state_bytes, 0, 1, SN_RC_INTERNAL}, {plan.state_bytes, 0, 0, SN_RC_OK}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		sn_ops_ctx *ctx = fake_ops_open(cases[i].budget);
		sn_media_plan p = plan;
		uint32_t done;
		p.n_rows += cases[i].more_rows;
		memset(job, 0, plan.state_bytes);
		l.host.fail_alloc = cases[i].fail ? l.host.n_allocs + cases[i].fail : 0;
		assert_int_equal(l.encode->begin(l.instance, NULL, job, ctx, &media, &p, &l.fault), cases[i].rc);
		if (cases[i].rc == SN_RC_OK)
			assert_int_equal(l.encode->step(l.instance, NULL, job, ctx, 2, &done, NULL, &l.fault), SN_RC_AGAIN);
		l.encode->end(l.instance, job);
		fake_ops_close(ctx);
	}
	free(job);
	free(media.samples);
	close_tower(&l);
}

/* Whisper large-v3 and Voxtral's size: figures that the host budgets with. */
static void the_real_models_are_cut_well(void **state)
{
	(void)state;
	loaded l = {0};
	whisper w = {0};
	static const struct { int tower; uint64_t seconds; uint32_t rows; } cases[] = {
	    {0, 30, 1500}, {1, 30, 188}, {1, 60, 376}, {2, 1, 375}, {2, 600, 7500}, {3, 30, 750}, {3, 10, 250}, {4, 10, 250}, {4, 299, 7475}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		tower t = TOWERS[cases[i].tower];
		t.row_dim = cases[i].tower ? 3072 : 1280;
		t.hidden = 4096;
		t.n_window = t.n_window ? 100 : 0;
		make_keys(&l, &t);
		key(&l, "clip.audio.num_mel_bins")->number = 128;
		key(&l, "clip.audio.embedding_length")->number = 1280;
		key(&l, "clip.audio.feed_forward_length")->number = 5120;
		key(&l, "clip.audio.block_count")->number = 32;
		key(&l, "clip.audio.attention.head_count")->number = 20;
		key(&l, "whisper.encoder.context_length")->number = 1500;
		l.shapes[0].rows = 1500;
		assert_int_equal(whisper_read_config(l.host.host.service(&l.host.host, SN_HOST_WEIGHTS), &l.model, &w.config, &l.fault), SN_RC_OK);
		w.units = whisper_cut_units(&w.config);
		whisper_cut cut;
		uint64_t job_state, tensors;
		assert_true(whisper_cut_clip(&w.config, cases[i].seconds * 16000, &cut));
		assert_true(whisper_job_bytes(&w, &cut, &job_state, &tensors));
		print_message("%s, %u s: %u rows, %u windows, state %.1f MiB, tensors %.1f MiB, %u units\n", t.type, (unsigned)cases[i].seconds, cut.n_rows,
		              cut.n_windows, (double)job_state / 1048576, (double)tensors / 1048576, (unsigned)whisper_count_units(&w, &cut));
		assert_int_equal(cut.n_rows, cases[i].rows);
		assert_true(tensors < (uint64_t)cut.n_rows * w.config.row_dim * 4 + (80u << 20)); /* beside the rows: one window's */
	}
}

static void whisper_is_described(void **state)
{
	(void)state;
	loaded l = {0};
	open_tower(&l, &TOWERS[0], fake_load_plugin("whisper.so"));
	assert_int_equal(l.rc, SN_RC_OK);
	const sn_transcriber *d = l.transcribe->describe(l.instance);
	assert_non_null(d);
	assert_int_equal(d->max_previous, 223);
	assert_int_equal(d->max_tokens, 224);
	assert_string_equal(d->previous, "<|startofprev|>");
	assert_string_equal(d->opening, "<|startoftranscript|>");
	assert_string_equal(d->transcribe, "<|transcribe|>");
	assert_string_equal(d->translate, "<|translate|>");
	assert_string_equal(d->no_stamps, "<|notimestamps|>");
	assert_string_equal(d->first_stamp, "<|0.00|>");
	assert_string_equal(d->no_speech, "<|nospeech|>");
	assert_int_equal(d->n_stamps, CONTEXT + 1);
	assert_int_equal(d->step_ms, 20);
	assert_int_equal(d->max_first_stamp, 50);
	assert_int_equal(d->n_languages, 3);
	assert_string_equal(d->languages[2].code, "haw");
	assert_string_equal(d->languages[2].token, "<|haw|>");
	assert_int_equal(d->n_suppress, 3);
	assert_memory_equal(d->suppress, SUPPRESS, sizeof SUPPRESS);
	assert_int_equal(d->n_begin_suppress, 2);
	assert_memory_equal(d->begin_suppress, BEGIN_SUPPRESS, sizeof BEGIN_SUPPRESS);
	assert_int_equal(d->n_alignment_heads, 2);
	assert_memory_equal(d->alignment_heads, ((uint32_t[][2]){{1, 0}, {0, 3}}), 16);
	assert_int_equal(l.plugin->load(l.instance, &l.model, &l.fault), SN_RC_OK); /* again: no leak */
	close_tower(&l);

	static const char *const absent[] = {"whisper.languages", "whisper.stamps", "whisper.no_speech_token", "whisper.suppress_tokens",
	                                     "whisper.begin_suppress_tokens", "whisper.alignment_heads", "whisper.max_initial_timestamp_index"};
	make_keys(&l, &TOWERS[0]);
	for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
		key(&l, absent[i])->name = "something.else";
	open_keys(&l, fake_load_plugin("whisper.so"));
	assert_int_equal(l.rc, SN_RC_OK); /* English only, and nothing else known */
	d = l.transcribe->describe(l.instance);
	assert_true(!d->n_languages && !d->transcribe && !d->translate && !d->no_stamps && !d->first_stamp && !d->n_stamps && !d->no_speech);
	assert_true(!d->n_suppress && !d->n_begin_suppress && !d->n_alignment_heads && !d->max_first_stamp);
	close_tower(&l);

	for (int i = 1; i < N_TOWERS; i++) {
		loaded chat = {0};
		open_tower(&chat, &TOWERS[i], fake_load_plugin("whisper.so"));
		assert_null(chat.transcribe->describe(chat.instance));
		close_tower(&chat);
	}
}

static void recordings_are_cut_where_they_are_quiet(void **state)
{
	(void)state;
	loaded l = {0};
	make_keys(&l, &TOWERS[0]);
	key(&l, "whisper.encoder.context_length")->number = 1500;
	key(&l, "whisper.stamps")->number = 1501;
	l.shapes[0].rows = 1500;
	open_keys(&l, fake_load_plugin("whisper.so"));
	assert_int_equal(l.rc, SN_RC_OK);
	sn_media media = make_sound(70 * 16000);
	float *x = media.samples;
	for (size_t i = 27 * 16000; i < 27 * 16000 + 8000; i++) /* half a second of silence, and one that is too early */
		x[i] = 0;
	for (size_t i = 20 * 16000; i < 21 * 16000; i++)
		x[i] = 0;
	uint64_t at = l.transcribe->cut(l.instance, &media, 0);
	assert_true(at > 27 * 16000 && at < 27 * 16000 + 8000);
	uint64_t second = l.transcribe->cut(l.instance, &media, at);
	assert_true(second > at + 25 * 16000 && second <= at + 30 * 16000);
	assert_int_equal(l.transcribe->cut(l.instance, &media, second), media.n_samples); /* the rest is short enough */
	assert_int_equal(l.transcribe->cut(l.instance, &media, 40 * 16000), media.n_samples);
	free(media.samples);
	close_tower(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_are_the_references),
	    cmocka_unit_test(jobs_do_not_see_each_other),
	    cmocka_unit_test(framing_text_is_the_familys),
	    cmocka_unit_test(probe_knows_its_own),
	    cmocka_unit_test(small_blocks_are_told_by_their_key),
	    cmocka_unit_test(bad_keys_are_named),
	    cmocka_unit_test(bad_tables_are_named),
	    cmocka_unit_test(missing_tensors_are_named),
	    cmocka_unit_test(bad_sounds_are_refused),
	    cmocka_unit_test(calls_may_come_before_load),
	    cmocka_unit_test(odd_lengths_are_encoded),
	    cmocka_unit_test(jobs_end_early_without_leaks),
	    cmocka_unit_test(the_real_models_are_cut_well),
	    cmocka_unit_test(whisper_is_described),
	    cmocka_unit_test(recordings_are_cut_where_they_are_quiet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
