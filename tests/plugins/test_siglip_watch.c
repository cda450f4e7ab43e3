/* test_siglip_watch.c - promises of siglip about clips: frames, sizes and text as SmolVLM2's processors have them; keys; refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <resize.h>

#include <sensorium/ext/encode.h>
#include <sensorium/ext/watch.h>

#include "fake_host.h"
#include "golden.h"

enum { MOST = 1000, KEYS = 18 };

typedef struct watcher {
	fake_host host;
	fake_key keys[KEYS];
	sn_model model;
	const sn_plugin *plugin;
	const sn_ext_plan *plan;
	const sn_ext_watch *watch;
	void *instance;
	sn_fault fault;
	sn_rc rc; /* of load */
} watcher;

/* A tower of one narrow layer. longest 0: no key. */
static void open_watcher(watcher *w, uint32_t side, uint32_t n_rows, uint32_t longest, double fps, uint32_t most)
{
	uint32_t patch = side == 384 ? 14 : 16, grid = side / patch, scale = (uint32_t)(grid / sqrt(n_rows) + 0.5);
	const fake_key keys[KEYS] = {
	    {.name = "clip.projector_type", .type = FAKE_STR, .text = "idefics3"},
	    {.name = "clip.has_vision_encoder", .type = FAKE_BOOL, .number = 1},
	    {.name = "clip.use_gelu", .type = FAKE_BOOL, .number = 1},
	    {.name = "clip.vision.image_size", .number = side},
	    {.name = "clip.vision.patch_size", .number = patch},
	    {.name = "clip.vision.embedding_length", .number = 8},
	    {.name = "clip.vision.feed_forward_length", .number = 8},
	    {.name = "clip.vision.block_count", .number = 1},
	    {.name = "clip.vision.attention.head_count", .number = 1},
	    {.name = "clip.vision.projector.scale_factor", .number = scale},
	    {.name = "clip.vision.projection_dim", .number = 8},
	    {.name = "clip.vision.preproc_image_size", .number = 4 * side},
	    {.name = "clip.vision.attention.layer_norm_epsilon", .type = FAKE_F32, .number = 1e-6},
	    {.name = "clip.vision.image_mean", .type = FAKE_F32X3, .array = {0.5f, 0.5f, 0.5f}},
	    {.name = "clip.vision.image_std", .type = FAKE_F32X3, .array = {0.5f, 0.5f, 0.5f}},
	    {.name = longest ? "clip.vision.video.longest_edge" : "none", .number = longest},
	    {.name = fps != 0 ? "clip.vision.video.fps" : "none", .type = FAKE_F32, .number = fps},
	    {.name = most ? "clip.vision.video.max_frames" : "none", .number = most},
	};
	memset(w, 0, sizeof *w);
	memcpy(w->keys, keys, sizeof keys);
	fake_host_init(&w->host);
	w->model = (sn_model){.keys = w->keys, .n_keys = KEYS, .ff = 8, .embd = 8};
	w->plugin = fake_load_plugin("siglip.so")->plugins[0];
	w->plan = w->plugin->extension(SN_EXT_PLAN);
	w->watch = w->plugin->extension(SN_EXT_WATCH);
	w->instance = aligned_alloc(64, (w->plugin->instance_size + 63) / 64 * 64);
	memset(w->instance, 0, w->plugin->instance_size);
	w->fault = (sn_fault){.size = sizeof w->fault};
	assert_int_equal(w->plugin->init(w->instance, &w->host.host, &w->fault), SN_RC_OK);
	w->rc = w->plugin->load(w->instance, &w->model, &w->fault);
}

static void close_watcher(watcher *w)
{
	w->plugin->fini(w->instance);
	free(w->instance);
	assert_int_equal(w->host.held, 0);
	fake_host_fini(&w->host);
}

static sn_rc sample(watcher *w, const sn_clip_info *info, const sn_watch_options *o, uint32_t cap, uint32_t *frames, sn_watch_sample *s)
{
	*s = (sn_watch_sample){.size = sizeof *s};
	w->fault = (sn_fault){.size = sizeof w->fault};
	return w->watch->sample(w->instance, NULL, info, o, cap, frames, s, &w->fault);
}

/* The clip's text with "<image>" written out n_rows times in each hole. malloc'ed. */
static char *whole_text(watcher *w, const sn_watch_clip *clip, uint32_t n_rows, uint32_t *bytes)
{
	uint32_t n = clip->sample->n_frames, size = 0, from = 0, *holes = calloc(n, sizeof *holes);
	assert_int_equal(w->watch->layout(w->instance, NULL, clip, NULL, &size, NULL, &w->fault), SN_RC_OK);
	char *text = malloc(size), *whole = malloc(size + (size_t)n * n_rows * 7 + 1), *at = whole;
	assert_int_equal(w->watch->layout(w->instance, NULL, clip, text, &size, holes, &w->fault), SN_RC_OK);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(holes[i] >= from && holes[i] <= size);
		memcpy(at, text + from, holes[i] - from);
		at += holes[i] - from;
		from = holes[i];
		for (uint32_t k = 0; k < n_rows; k++, at += 7)
			memcpy(at, "<image>", 7);
	}
	memcpy(at, text + from, size - from);
	at += size - from;
	*at = 0;
	*bytes = (uint32_t)(at - whole);
	free(text);
	free(holes);
	return whole;
}

static void clips_are_sampled_and_told_as_the_reference_does(void **state)
{
	(void)state;
	size_t n_bytes;
	unsigned n_lines = 0;
	static uint32_t frames[MOST];
	char *table = (char *)golden_file("clips.txt", &n_bytes), *line = strtok(table, "\n");
	for (; line; line = strtok(NULL, "\n")) {
		unsigned total, width, height, most, longest, side, n_rows, n, fit_w, fit_h, bytes, got_bytes;
		double fps, seconds, opt_fps;
		unsigned long long indices, text;
		if (*line == '#')
			continue;
		assert_int_equal(sscanf(line, "%u %la %la %u %u %la %u %u %u %u %u %u %u %llx %u %llx", &total, &fps, &seconds, &width, &height, &opt_fps, &most,
		                        &longest, &side, &n_rows, &n, &fit_w, &fit_h, &indices, &bytes, &text), 16);
		watcher w;
		open_watcher(&w, side, n_rows, longest == side ? 0 : longest, 0, 0);
		if (w.rc != SN_RC_OK)
			fail_msg("load: %s", w.fault.text);
		const sn_clip_info info = {.size = sizeof info, .width = width, .height = height, .n_frames = total, .seconds = seconds, .fps = fps};
		const sn_watch_options o = {.size = sizeof o, .fps = opt_fps, .max_frames = most};
		sn_watch_sample s;
		assert_int_equal(sample(&w, &info, &o, MOST, frames, &s), SN_RC_OK);
		if (s.n_frames != n || golden_hash(frames, n * sizeof *frames) != indices)
			fail_msg("other frames, %u: %s", s.n_frames, line);
		assert_int_equal(s.group, 1);
		assert_int_equal(s.n_steps, 2);
		assert_true(s.steps[0].width == fit_w && s.steps[0].height == fit_h && s.steps[1].width == side && s.steps[1].height == side);
		const sn_watch_clip clip = {.size = sizeof clip, .info = &info, .options = &o, .sample = &s, .frames = frames};
		char *whole = whole_text(&w, &clip, n_rows, &got_bytes);
		if (got_bytes != bytes || golden_hash(whole, bytes) != text)
			fail_msg("another text: %s\n%.300s", line, whole);
		free(whole);
		close_watcher(&w);
		n_lines++;
	}
	free(table);
	assert_true(n_lines > 200);
}

/* The reference resizes tensors with weights of 16 bits, Pillow and sn.clip/1 with 22: a colour of 255 may differ by one or two, few do. */
static void frames_are_resized_as_the_reference_does(void **state)
{
	(void)state;
	enum { SIDE = 64, BYTES = SIDE * SIDE * 3 };
	static const uint32_t SIZES[4][2] = {{160, 90}, {45, 61}, {1, 1}, {301, 200}};
	size_t n, differ = 0;
	uint8_t *want = golden_file("frames.bin", &n);
	assert_int_equal(n, 4 * BYTES);
	watcher w;
	open_watcher(&w, SIDE, 4, 0, 0, 0);
	for (uint32_t k = 0; k < 4; k++) {
		const sn_clip_info info = {.size = sizeof info, .width = SIZES[k][0], .height = SIZES[k][1], .n_frames = 1};
		const sn_watch_options o = {.size = sizeof o};
		sn_watch_sample s;
		uint32_t frame, width = info.width, height = info.height;
		assert_int_equal(sample(&w, &info, &o, 1, &frame, &s), SN_RC_OK);
		uint8_t *at = golden_picture(width, height, k);
		for (uint32_t i = 0; i < s.n_steps; i++) {
			size_t scratch;
			assert_true(sn_resize_scratch(width, height, s.steps[i].width, s.steps[i].height, (sn_filter)s.steps[i].filter, &scratch));
			uint8_t *to = malloc((size_t)s.steps[i].width * s.steps[i].height * 3);
			void *work = aligned_alloc(64, (scratch + 63) / 64 * 64);
			sn_resize_rgb(at, width, height, to, s.steps[i].width, s.steps[i].height, (sn_filter)s.steps[i].filter, work);
			free(work);
			free(at);
			at = to;
			width = s.steps[i].width;
			height = s.steps[i].height;
		}
		for (size_t i = 0; i < BYTES; i++) {
			int d = abs(at[i] - want[k * BYTES + i]);
			assert_true(d <= 2);
			differ += d > 0;
		}
		free(at);
	}
	print_message("%.2f %% of the values are not the reference's\n", 100.0 * (double)differ / (4 * BYTES));
	assert_true(differ * 50 < 4 * BYTES);
	close_watcher(&w);
	free(want);
}

/* Of the clip that was cut there; the text tells times of the whole one. */
static void start_and_end_cut_the_clip(void **state)
{
	(void)state;
	watcher w;
	open_watcher(&w, 64, 4, 0, 0, 0);
	uint32_t frames[MOST], bytes;
	sn_watch_sample s;
	const sn_clip_info info = {.size = sizeof info, .width = 64, .height = 48, .n_frames = 900, .seconds = 90, .fps = 10};
	const sn_watch_options o = {.size = sizeof o, .start = 61, .end = 64};
	assert_int_equal(sample(&w, &info, &o, MOST, frames, &s), SN_RC_OK);
	assert_int_equal(s.n_frames, 3);
	assert_true(frames[0] == 610 && frames[1] == 624 && frames[2] == 639);
	const sn_watch_clip clip = {.size = sizeof clip, .info = &info, .options = &o, .sample = &s, .frames = frames};
	char *text = whole_text(&w, &clip, 1, &bytes);
	assert_string_equal(text, "You are provided the following series of three frames from a 0:01:30 [H:MM:SS] video.\n"
	                          "\nFrame from 01:01:<fake_token_around_image><global-img><image><fake_token_around_image>"
	                          "\nFrame from 01:02:<fake_token_around_image><global-img><image><fake_token_around_image>"
	                          "\nFrame from 01:03:<fake_token_around_image><global-img><image><fake_token_around_image>\n\n");
	free(text);
	const sn_watch_options late = {.size = sizeof o, .start = 88.5}, behind = {.size = sizeof o, .start = 90}, far = {.size = sizeof o, .start = 1e300};
	assert_int_equal(sample(&w, &info, &late, MOST, frames, &s), SN_RC_OK);
	assert_true(s.n_frames == 2 && frames[0] == 885 && frames[1] == 899);
	assert_int_equal(sample(&w, &info, &behind, MOST, frames, &s), SN_RC_INVALID);
	assert_int_equal(sample(&w, &info, &far, MOST, frames, &s), SN_RC_INVALID);
	const sn_watch_options many = {.size = sizeof o, .fps = 10, .max_frames = 500};
	assert_int_equal(sample(&w, &info, &many, 499, frames, &s), SN_RC_TOO_LARGE);
	close_watcher(&w);
}

static void keys_say_how_clips_are_sampled(void **state)
{
	(void)state;
	watcher w;
	uint32_t frames[MOST];
	sn_watch_sample s;
	const sn_clip_info info = {.size = sizeof info, .width = 64, .height = 48, .n_frames = 300, .seconds = 10, .fps = 30};
	const sn_watch_options o = {.size = sizeof o};
	open_watcher(&w, 64, 4, 128, 2, 7);
	assert_int_equal(sample(&w, &info, &o, MOST, frames, &s), SN_RC_OK);
	assert_int_equal(s.n_frames, 7);
	assert_true(s.steps[0].width == 128 && s.steps[0].height == 96);
	close_watcher(&w);
	static const struct { uint32_t longest; double fps; uint32_t most; const char *named; } BAD[] = {
	    {5000, 1, 8, "clip.vision.video.longest_edge"}, {64, -1, 8, "clip.vision.video.fps"}, {64, NAN, 8, "clip.vision.video.fps"},
	    {64, 1e9, 8, "clip.vision.video.fps"}, {64, 1, 5000, "clip.vision.video.max_frames"}};
	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
		open_watcher(&w, 64, 4, BAD[i].longest, BAD[i].fps, BAD[i].most);
		assert_int_equal(w.rc, SN_RC_INVALID);
		assert_non_null(strstr(w.fault.text, BAD[i].named));
		close_watcher(&w);
	}
}

/* One frame, of the size that the steps left; its text is the clip's. */
static void a_frame_is_rows_alone(void **state)
{
	(void)state;
	watcher w;
	open_watcher(&w, 64, 4, 0, 0, 0);
	sn_media m = {.size = sizeof m, .kind = SN_MEDIA_VIDEO, .width = 64, .height = 64, .n_frames = 1, .bytes = 64 * 64 * 3};
	sn_media_plan p = {.size = sizeof p};
	assert_int_equal(w.plan->plan(w.instance, NULL, &m, &p, &w.fault), SN_RC_OK);
	assert_true(p.n_rows == 4 && p.n_holes == 1 && p.text_size == 0);
	m.width = 32;
	assert_true(w.plan->plan(w.instance, NULL, &m, &p, &w.fault) < 0);
	m.width = 64;
	m.n_frames = 2;
	assert_true(w.plan->plan(w.instance, NULL, &m, &p, &w.fault) < 0);
	close_watcher(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(clips_are_sampled_and_told_as_the_reference_does),
	    cmocka_unit_test(frames_are_resized_as_the_reference_does),
	    cmocka_unit_test(start_and_end_cut_the_clip),
	    cmocka_unit_test(keys_say_how_clips_are_sampled),
	    cmocka_unit_test(a_frame_is_rows_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
