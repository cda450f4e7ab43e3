/* test_siglip.c - promises of siglip: the reference's rows and framing text, whatever the slicing; bad files named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sensorium/ext/encode.h>
#include <sensorium/ext/plan.h>

#include "fake_host.h"
#include "golden.h"
#include "siglip.h" /* the plugin's sources, built with small units, are part of this program */

enum { N_KEYS = 15 };

typedef struct tower {
	const char *name;
	uint32_t image, patch, embd, ff, layers, heads, scale, row_dim, longest;
	uint32_t w, h; /* of the picture */
} tower;

/* As in tests/golden/image/make.py. */
static const tower TOWERS[] = {
    {"one", 64, 16, 48, 96, 2, 3, 2, 40, 64, 100, 70},
    {"split", 32, 8, 24, 48, 2, 3, 2, 20, 96, 90, 61},
    {"side27", 55, 2, 16, 32, 1, 2, 3, 12, 55, 60, 47},
    {"side25", 50, 2, 16, 32, 1, 2, 5, 12, 50, 31, 200},
};
enum { N_TOWERS = sizeof TOWERS / sizeof *TOWERS };

static void make_keys(const tower *t, fake_key keys[N_KEYS])
{
	const fake_key all[N_KEYS] = {
	    {.name = "clip.projector_type", .type = FAKE_STR, .text = "idefics3"},
	    {.name = "clip.has_vision_encoder", .type = FAKE_BOOL, .number = 1},
	    {.name = "clip.use_gelu", .type = FAKE_BOOL, .number = 1},
	    {.name = "clip.vision.image_size", .number = t->image},
	    {.name = "clip.vision.patch_size", .number = t->patch},
	    {.name = "clip.vision.embedding_length", .number = t->embd},
	    {.name = "clip.vision.feed_forward_length", .number = t->ff},
	    {.name = "clip.vision.block_count", .number = t->layers},
	    {.name = "clip.vision.attention.head_count", .number = t->heads},
	    {.name = "clip.vision.projector.scale_factor", .number = t->scale},
	    {.name = "clip.vision.projection_dim", .number = t->row_dim},
	    {.name = "clip.vision.preproc_image_size", .number = t->longest},
	    {.name = "clip.vision.attention.layer_norm_epsilon", .type = FAKE_F32, .number = 1e-6},
	    {.name = "clip.vision.image_mean", .type = FAKE_F32X3, .array = {0.5f, 0.5f, 0.5f}},
	    {.name = "clip.vision.image_std", .type = FAKE_F32X3, .array = {0.5f, 0.5f, 0.5f}},
	};
	memcpy(keys, all, sizeof all);
}

/* A plugin with a model loaded. */
typedef struct loaded {
	fake_host host;
	fake_key keys[N_KEYS];
	sn_model model;
	const sn_plugin *plugin;
	const sn_ext_plan *plan;
	const sn_ext_encode *encode;
	void *instance;
	sn_fault fault;
	sn_rc rc; /* of load */
} loaded;

static void open_keys(loaded *l, const sn_plugin_list *list)
{
	fake_host_init(&l->host);
	l->plugin = list->plugins[0];
	l->plan = l->plugin->extension(SN_EXT_PLAN);
	l->encode = l->plugin->extension(SN_EXT_ENCODE);
	l->instance = aligned_alloc(64, (l->plugin->instance_size + 63) / 64 * 64);
	memset(l->instance, 0, l->plugin->instance_size);
	l->model.keys = l->keys;
	l->model.n_keys = N_KEYS;
	l->fault = (sn_fault){.size = sizeof l->fault};
	assert_int_equal(l->plugin->init(l->instance, &l->host.host, &l->fault), SN_RC_OK);
	l->rc = l->plugin->load(l->instance, &l->model, &l->fault);
}

static void open_tower(loaded *l, const tower *t, const sn_plugin_list *list)
{
	make_keys(t, l->keys);
	l->model = (sn_model){.ff = t->ff, .embd = t->embd, .swapped_ff = l->model.swapped_ff, .missing = l->model.missing};
	open_keys(l, list);
}

static void close_tower(loaded *l)
{
	l->plugin->fini(l->instance);
	free(l->instance);
	assert_int_equal(l->host.held, 0);
	fake_host_fini(&l->host);
}

static sn_media make_picture(uint32_t w, uint32_t h)
{
	return (sn_media){.size = sizeof(sn_media), .kind = SN_MEDIA_IMAGE, .width = w, .height = h, .n_frames = 1,
	                  .bytes = (uint64_t)w * h * 3, .samples = golden_picture(w, h, 77)};
}

/* The rows of a picture, `slice` units a step. malloc'ed. */
static float *run_job(loaded *l, const sn_media *media, uint32_t slice, sn_media_plan *plan)
{
	sn_fault *fault = &l->fault;
	*plan = (sn_media_plan){.size = sizeof *plan};
	assert_int_equal(l->plan->plan(l->instance, NULL, media, plan, fault), SN_RC_OK);
	void *state = aligned_alloc(64, (plan->state_bytes + 63) / 64 * 64);
	memset(state, 0, plan->state_bytes);
	sn_ops_ctx *ctx = fake_ops_open(plan->state_bytes);
	size_t held = l->host.held, row_floats = (size_t)plan->n_rows * l->plan->row_dim(l->instance);
	if (l->encode->begin(l->instance, NULL, state, ctx, media, plan, fault) != SN_RC_OK)
		fail_msg("begin: %s", fault->text);
	assert_int_equal(l->host.held, held);
	size_t n_allocs = l->host.n_allocs;

	float *rows = malloc(row_floats * sizeof *rows);
	uint32_t units = 0, done;
	for (;;) {
		sn_rc rc = l->encode->step(l->instance, NULL, state, ctx, slice, &done, rows, fault);
		if (rc < 0)
			fail_msg("step: %s", fault->text);
		assert_true(done <= slice);
		units += done;
		if (rc == SN_RC_END)
			break;
		assert_int_equal(done, slice);
	}
	assert_int_equal(units, plan->n_units);
	assert_int_equal(l->host.n_allocs, n_allocs); /* steps allocate nothing */
	l->encode->end(l->instance, state);
	fake_ops_close(ctx);
	free(state);
	return rows;
}

static void expect_golden(const tower *t, const float *rows, uint32_t n_rows)
{
	char name[64];
	snprintf(name, sizeof name, "siglip-%s.bin", t->name);
	double worst = golden_rows_error(name, rows, n_rows, t->row_dim);
	print_message("%s: %u rows, worst error %.2e of a row's largest value\n", t->name, n_rows, worst);
	assert_true(worst <= 1e-5);
}

static void rows_are_the_references(void **state)
{
	(void)state;
	for (int i = 0; i < N_TOWERS; i++) {
		const tower *t = &TOWERS[i];
		sn_media media = make_picture(t->w, t->h);
		sn_media_plan plan, small_plan;
		loaded l = {0}, small = {0};
		open_tower(&l, t, fake_load_plugin("siglip.so"));
		assert_int_equal(l.rc, SN_RC_OK);
		float *rows = run_job(&l, &media, UINT32_MAX, &plan);
		expect_golden(t, rows, plan.n_rows);

		open_tower(&small, t, sn_plugin_entry_1());
		for (uint32_t slice = 1; slice < 8; slice += 3) {
			float *again = run_job(&small, &media, slice, &small_plan);
			assert_true(t->image / t->patch <= 4 || small_plan.n_units > plan.n_units); /* 16 rows are the least */
			assert_memory_equal(rows, again, (size_t)plan.n_rows * t->row_dim * sizeof *rows);
			free(again);
		}
		free(rows);
		free(media.samples);
		small.plugin->fini(small.instance);
		free(small.instance);
		close_tower(&l);
	}
}

/* A clip's frame comes as large as it is looked at: rows of the picture that is the same, but for how pixel values are rounded. */
static void a_clips_frame_has_the_rows_of_its_picture(void **state)
{
	(void)state;
	const tower *t = &TOWERS[0];
	sn_media media = make_picture(t->image, t->image);
	sn_media_plan plan, frame_plan;
	loaded l = {0};
	open_tower(&l, t, fake_load_plugin("siglip.so"));
	float *rows = run_job(&l, &media, 5, &plan);
	media.kind = SN_MEDIA_VIDEO;
	float *frame = run_job(&l, &media, 3, &frame_plan);
	assert_int_equal(frame_plan.n_rows, plan.n_rows);
	float most = 0, off = 0;
	for (size_t i = 0; i < (size_t)plan.n_rows * t->row_dim; i++) {
		most = fmaxf(most, fabsf(rows[i]));
		off = fmaxf(off, fabsf(rows[i] - frame[i]));
	}
	assert_true(most > 0 && off <= 1e-5f * most);
	free(frame);
	free(rows);
	free(media.samples);
	close_tower(&l);
}

static void old_files_may_swap_feed_forward(void **state)
{
	(void)state;
	const tower *t = &TOWERS[0];
	sn_media media = make_picture(t->w, t->h);
	sn_media_plan plan;
	loaded l = {.model.swapped_ff = true};
	open_tower(&l, t, fake_load_plugin("siglip.so"));
	assert_int_equal(l.rc, SN_RC_OK);
	float *rows = run_job(&l, &media, 5, &plan);
	expect_golden(t, rows, plan.n_rows);
	free(rows);
	free(media.samples);
	close_tower(&l);
}

/* Framing text with "<image>" written out in the holes = what the processor puts for <image>. */
static void text_is_the_processors(void **state)
{
	(void)state;
	size_t n;
	char *table = (char *)golden_file("prompts.txt", &n), *line = strtok(table, "\n");
	for (; line; line = strtok(NULL, "\n")) {
		unsigned w, h, longest, side, n_rows, rows, cols, bytes;
		unsigned long long want;
		if (*line == '#')
			continue;
		assert_int_equal(sscanf(line, "%u %u %u %u %u %u %u %u %llx", &w, &h, &longest, &side, &n_rows, &rows, &cols, &bytes, &want), 9);
		uint32_t grid = side == 384 ? 27 : side / 16, scale = side == 384 ? 3 : side == 192 ? 2 : 4;
		tower t = {"text", side, side == 384 ? 14 : 16, 8, 8, 1, 1, scale, 8, longest, w, h};
		loaded l = {0};
		open_tower(&l, &t, fake_load_plugin("siglip.so"));
		assert_int_equal(l.rc, SN_RC_OK);
		sn_media media = {.size = sizeof media, .kind = SN_MEDIA_IMAGE, .width = w, .height = h};
		sn_media_plan plan = {.size = sizeof plan};
		assert_int_equal(l.plan->plan(l.instance, NULL, &media, &plan, &l.fault), SN_RC_OK);
		assert_int_equal(n_rows, grid * grid / scale / scale);
		assert_int_equal(plan.n_holes, rows * cols + 1);
		assert_int_equal(plan.n_rows, (rows * cols + 1) * n_rows);
		char *text = malloc(plan.text_size), *whole = malloc(bytes + 1), *at = whole;
		sn_hole *holes = malloc(plan.n_holes * sizeof *holes);
		assert_int_equal(l.plan->layout(l.instance, NULL, &media, &plan, text, holes, &l.fault), SN_RC_OK);
		uint32_t from = 0;
		assert_int_equal(plan.text_size + plan.n_rows * 7, bytes);
		for (uint32_t i = 0; i < plan.n_holes; i++) {
			memcpy(at, text + from, holes[i].text_offset - from);
			at += holes[i].text_offset - from;
			from = holes[i].text_offset;
			for (uint32_t k = 0; k < holes[i].n_rows; k++, at += 7)
				memcpy(at, l.plan->row_token(l.instance), 7);
		}
		memcpy(at, text + from, plan.text_size - from);
		assert_true(golden_hash(whole, bytes) == want);
		free(text);
		free(whole);
		free(holes);
		close_tower(&l);
	}
	free(table);
}

static void position_buckets_are_the_references(void **state)
{
	(void)state;
	size_t n;
	char *table = (char *)golden_file("positions.txt", &n), *line, *at = table;
	while ((line = at) && (at = strchr(at, '\n'))) {
		*at++ = 0;
		if (*line == '#')
			continue;
		uint32_t ids[SIGLIP_MAX_SIDE], side = (uint32_t)strtoul(line, &line, 10);
		siglip_position_ids(side, ids);
		for (uint32_t i = 0; i < side; i++)
			if (strtoul(line, &line, 10) != ids[i])
				fail_msg("side %u, index %u: %u", side, i, ids[i]);
	}
	free(table);
}

/* SmolVLM-256M: figures that the host budgets with. */
static void the_real_model_is_cut_well(void **state)
{
	(void)state;
	tower t = {"256m", 512, 16, 768, 3072, 12, 12, 4, 576, 2048, 0, 0};
	loaded l = {.model = {.embd = 768, .ff = 3072}};
	make_keys(&t, l.keys);
	siglip_config c;
	fake_host_init(&l.host);
	sn_model model = {.keys = l.keys, .n_keys = N_KEYS};
	assert_int_equal(siglip_read_config(l.host.host.service(&l.host.host, SN_HOST_WEIGHTS), &model, &c, &l.fault), SN_RC_OK);
	siglip s = {.config = c, .units = siglip_cut_units(&c)};
	sn_idefics3_cut cut;
	uint64_t job_state, tensors;
	assert_true(sn_idefics3_plan(4000, 3000, c.longest, c.image, c.splitting, &cut));
	assert_true(siglip_job_bytes(&s, &cut, &job_state, &tensors));
	print_message("4000 x 3000: %u images, %u rows, state %.1f MiB, tensors %.1f MiB\n", cut.n_images, cut.n_images * c.n_rows,
	              (double)job_state / 1048576, (double)tensors / 1048576);
	assert_int_equal(cut.n_images, 13);
	assert_int_equal(c.n_rows, 64);
	assert_true(job_state < (64u << 20) && tensors < (64u << 20));
}

static void probe_knows_its_own(void **state)
{
	(void)state;
	loaded l = {0};
	make_keys(&TOWERS[0], l.keys);
	fake_host_init(&l.host);
	const sn_plugin *p = fake_load_plugin("siglip.so")->plugins[0];
	l.model = (sn_model){.keys = l.keys, .n_keys = N_KEYS};
	assert_int_equal(p->probe(&l.host.host, &l.model), 100);
	l.keys[0].text = "gemma3";
	assert_int_equal(p->probe(&l.host.host, &l.model), 0);
	l.keys[0].name = "clip.vision.projector_type";
	l.keys[0].text = "idefics3";
	assert_int_equal(p->probe(&l.host.host, &l.model), 100);
	l.keys[1].number = 0;
	assert_int_equal(p->probe(&l.host.host, &l.model), 0);
	l.model.n_keys = 0;
	assert_int_equal(p->probe(&l.host.host, &l.model), 0);
}

/* Each key missing, zero, huge, or not fitting the others: refused by name, with its value. */
static void bad_keys_are_named(void **state)
{
	(void)state;
	const sn_plugin_list *list = fake_load_plugin("siglip.so");
	const struct {
		const char *key;
		double value;
	} cases[] = {
	    {"clip.vision.image_size", 0}, {"clip.vision.image_size", 4294967295.0}, {"clip.vision.image_size", 15},
	    {"clip.vision.patch_size", 0}, {"clip.vision.patch_size", 65}, {"clip.vision.patch_size", 4294967295.0}, {"clip.vision.patch_size", 128},
	    {"clip.vision.embedding_length", 0}, {"clip.vision.embedding_length", 4294967295.0}, {"clip.vision.embedding_length", 47},
	    {"clip.vision.feed_forward_length", 0}, {"clip.vision.feed_forward_length", 4294967295.0},
	    {"clip.vision.block_count", 0}, {"clip.vision.block_count", 4294967295.0},
	    {"clip.vision.attention.head_count", 0}, {"clip.vision.attention.head_count", 5}, {"clip.vision.attention.head_count", 4294967295.0},
	    {"clip.vision.projector.scale_factor", 0}, {"clip.vision.projector.scale_factor", 3},
	    {"clip.vision.projector.scale_factor", 4294967295.0}, {"clip.vision.projection_dim", 0}, {"clip.vision.projection_dim", 4294967295.0},
	    {"clip.vision.preproc_image_size", 0}, {"clip.vision.preproc_image_size", 4294967295.0},
	    {"clip.vision.preproc_image_size", 4096}, /* 4096 crops of 64 */
	    {"clip.vision.attention.layer_norm_epsilon", 0}, {"clip.vision.attention.layer_norm_epsilon", -1},
	    {"clip.vision.attention.layer_norm_epsilon", NAN}, {"clip.vision.attention.layer_norm_epsilon", INFINITY},
	    {"clip.vision.image_mean", NAN}, {"clip.vision.image_std", 0}, {"clip.vision.image_std", INFINITY},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		loaded l = {.model = {.ff = TOWERS[0].ff, .embd = TOWERS[0].embd}};
		make_keys(&TOWERS[0], l.keys);
		for (int k = 0; k < N_KEYS; k++)
			if (strcmp(l.keys[k].name, cases[i].key) == 0) {
				l.keys[k].number = cases[i].value;
				l.keys[k].array[1] = (float)cases[i].value;
			}
		open_keys(&l, list);
		if (l.rc != SN_RC_INVALID)
			fail_msg("%s = %g: %d", cases[i].key, cases[i].value, l.rc);
		if (!strstr(l.fault.text, strcmp(cases[i].key, "clip.vision.image_size") ? cases[i].key : "clip.vision."))
			fail_msg("%s = %g: %s", cases[i].key, cases[i].value, l.fault.text);
		close_tower(&l);
	}
	for (int k = 3; k < N_KEYS; k++) {
		loaded l = {.model = {.ff = TOWERS[0].ff, .embd = TOWERS[0].embd}};
		make_keys(&TOWERS[0], l.keys);
		const char *name = l.keys[k].name;
		l.keys[k].name = "something.else";
		open_keys(&l, list);
		if (strcmp(name, "clip.vision.preproc_image_size") == 0) {
			assert_int_equal(l.rc, SN_RC_OK); /* absent: no splitting */
		} else {
			assert_int_equal(l.rc, SN_RC_INVALID);
			assert_non_null(strstr(l.fault.text, name));
		}
		close_tower(&l);
	}
}

static void missing_tensors_are_named(void **state)
{
	(void)state;
	static const char *const NAMES[] = {"v.patch_embd.weight", "v.position_embd.weight", "v.blk.1.attn_q.weight", "v.blk.0.ln1.bias",
	                                    "v.blk.1.ffn_up.weight", "v.blk.0.ffn_down.weight", "v.post_ln.weight", "mm.model.fc.weight"};
	for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
		loaded l = {.model.missing = NAMES[i]};
		open_tower(&l, &TOWERS[0], fake_load_plugin("siglip.so"));
		assert_int_equal(l.rc, SN_RC_INVALID);
		assert_non_null(strstr(l.fault.text, NAMES[i]));
		close_tower(&l);
	}
}

/* Odd pictures get a plan and rows; impossible ones a fault. */
static void odd_pictures_are_encoded(void **state)
{
	(void)state;
	static const uint32_t SIZES[][2] = {{1, 1}, {1, 65535}, {65535, 1}, {1, 2}, {400, 800}, {3, 3}};
	loaded l = {0};
	open_tower(&l, &TOWERS[1], fake_load_plugin("siglip.so"));
	for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
		sn_media media = make_picture(SIZES[i][0], SIZES[i][1]);
		sn_media_plan plan;
		float *rows = run_job(&l, &media, 3, &plan);
		for (uint32_t r = 0; r < plan.n_rows * TOWERS[1].row_dim; r++)
			assert_true(isfinite(rows[r]));
		free(rows);
		free(media.samples);
	}
	sn_media_plan plan = {.size = sizeof plan};
	sn_media empty = {.size = sizeof empty, .kind = SN_MEDIA_IMAGE}, sound = {.size = sizeof sound, .kind = SN_MEDIA_AUDIO};
	assert_true(l.plan->plan(l.instance, NULL, &empty, &plan, &l.fault) < 0);
	assert_true(l.plan->plan(l.instance, NULL, &sound, &plan, &l.fault) < 0);
	close_tower(&l);
}

/* Over the declared bytes, over the host's memory, cancelled in the middle: a fault or nothing, no leak. */
static void jobs_end_early_without_leaks(void **state)
{
	(void)state;
	loaded l = {0};
	open_tower(&l, &TOWERS[1], fake_load_plugin("siglip.so"));
	sn_media media = make_picture(90, 61);
	sn_media_plan plan = {.size = sizeof plan};
	assert_int_equal(l.plan->plan(l.instance, NULL, &media, &plan, &l.fault), SN_RC_OK);
	void *job = aligned_alloc(64, (plan.state_bytes + 63) / 64 * 64);

	sn_ops_ctx *ctx = fake_ops_open(100);
	memset(job, 0, plan.state_bytes);
	assert_int_equal(l.encode->begin(l.instance, NULL, job, ctx, &media, &plan, &l.fault), SN_RC_NOMEM);
	fake_ops_close(ctx);

	ctx = fake_ops_open(plan.state_bytes);
	memset(job, 0, plan.state_bytes);
	l.host.fail_alloc = l.host.n_allocs + 1;
	assert_int_equal(l.encode->begin(l.instance, NULL, job, ctx, &media, &plan, &l.fault), SN_RC_NOMEM);
	assert_int_equal(l.fault.blame, SN_BLAME_RESOURCE);
	fake_ops_close(ctx);

	ctx = fake_ops_open(plan.state_bytes);
	memset(job, 0, plan.state_bytes);
	assert_int_equal(l.encode->begin(l.instance, NULL, job, ctx, &media, &plan, &l.fault), SN_RC_OK);
	uint32_t done;
	assert_int_equal(l.encode->step(l.instance, NULL, job, ctx, 3, &done, NULL, &l.fault), SN_RC_AGAIN);
	l.encode->end(l.instance, job);
	fake_ops_close(ctx);

	plan.n_rows++; /* another picture's plan */
	ctx = fake_ops_open(plan.state_bytes);
	memset(job, 0, plan.state_bytes);
	assert_int_equal(l.encode->begin(l.instance, NULL, job, ctx, &media, &plan, &l.fault), SN_RC_INTERNAL);
	fake_ops_close(ctx);
	free(job);
	free(media.samples);
	close_tower(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_are_the_references),
	    cmocka_unit_test(a_clips_frame_has_the_rows_of_its_picture),
	    cmocka_unit_test(old_files_may_swap_feed_forward),
	    cmocka_unit_test(text_is_the_processors),
	    cmocka_unit_test(position_buckets_are_the_references),
	    cmocka_unit_test(the_real_model_is_cut_well),
	    cmocka_unit_test(probe_knows_its_own),
	    cmocka_unit_test(bad_keys_are_named),
	    cmocka_unit_test(missing_tensors_are_named),
	    cmocka_unit_test(odd_pictures_are_encoded),
	    cmocka_unit_test(jobs_end_early_without_leaks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
