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

#include <patches.h>
#include <resize.h>

#include <sensorium/ext/encode.h>
#include <sensorium/ext/watch.h>

#include "golden.h"
#include "watch_case.h"

enum { MOST = WATCH_MOST };

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

/* at: malloc'ed, and given back or replaced. */
static uint8_t *resized(uint8_t *at, uint32_t width, uint32_t height, uint32_t to_width, uint32_t to_height, uint32_t filter)
{
	size_t scratch;
	assert_true(sn_resize_scratch(width, height, to_width, to_height, (sn_filter)filter, &scratch));
	uint8_t *to = malloc((size_t)to_width * to_height * 3);
	void *work = aligned_alloc(64, (scratch + 63) / 64 * 64);
	sn_resize_rgb(at, width, height, to, to_width, to_height, (sn_filter)filter, work);
	free(work);
	free(at);
	return to;
}

static void frames_are_resized_as_pytorch_does(void **state)
{
	(void)state;
	size_t n;
	unsigned n_lines = 0;
	char *table = (char *)golden_file("resize.txt", &n), *line = strtok(table, "\n");
	for (; line; line = strtok(NULL, "\n")) {
		unsigned in_w, in_h, out_w, out_h, seed;
		unsigned long long hash;
		if (*line == '#')
			continue;
		assert_int_equal(sscanf(line, "%u %u %u %u %u %llx", &in_w, &in_h, &out_w, &out_h, &seed, &hash), 6);
		uint8_t *got = resized(golden_picture(in_w, in_h, seed), in_w, in_h, out_w, out_h, SN_CLIP_LANCZOS3_TORCH);
		if (golden_hash(got, (size_t)out_w * out_h * 3) != hash)
			fail_msg("other values: %s", line);
		free(got);
		n_lines++;
	}
	free(table);
	assert_true(n_lines > 25);
}

static void colours_become_the_references_values(void **state)
{
	(void)state;
	static const float MEAN[2][3] = {{0.5f, 0.5f, 0.5f}, {0.48145466f, 0.4578275f, 0.40821073f}};
	static const float STD[2][3] = {{0.5f, 0.5f, 0.5f}, {0.26862954f, 0.26130258f, 0.27577711f}};
	size_t n;
	uint8_t *want = golden_file("normal.bin", &n);
	assert_int_equal(n, 2 * sizeof(sn_normalize));
	for (size_t i = 0; i < 2; i++) {
		sn_normalize got;
		sn_normalize_init_fused(&got, MEAN[i], STD[i]);
		assert_memory_equal(got.value, want + i * sizeof got, sizeof got);
	}
	free(want);
}

static void frames_are_resized_as_the_reference_does(void **state)
{
	(void)state;
	enum { SIDE = 64, BYTES = SIDE * SIDE * 3 };
	static const uint32_t SIZES[4][2] = {{160, 90}, {45, 61}, {1, 1}, {301, 200}};
	size_t n;
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
			at = resized(at, width, height, s.steps[i].width, s.steps[i].height, s.steps[i].filter);
			width = s.steps[i].width;
			height = s.steps[i].height;
		}
		assert_memory_equal(at, want + k * BYTES, BYTES);
		free(at);
	}
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
	    cmocka_unit_test(frames_are_resized_as_pytorch_does),
	    cmocka_unit_test(colours_become_the_references_values),
	    cmocka_unit_test(frames_are_resized_as_the_reference_does),
	    cmocka_unit_test(start_and_end_cut_the_clip),
	    cmocka_unit_test(keys_say_how_clips_are_sampled),
	    cmocka_unit_test(a_frame_is_rows_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
