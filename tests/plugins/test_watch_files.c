/* test_watch_files.c - clips from file to colours and text, by video-codec and siglip, as transformers' SmolVLM2 processor has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clip_case.h"
#include "golden.h"
#include "watch_case.h"

/* A line of files.txt. */
typedef struct line {
	char name[80];
	unsigned longest, side, n_rows, most, total, width, height, n, bytes;
	double opt_fps, fps, seconds;
	unsigned long long indices, colours, text;
} line;

static bool parse(const char *text, line *l)
{
	return sscanf(text, "%79s %u %u %u %la %u %u %la %la %u %u %u %llx %llx %u %llx", l->name, &l->longest, &l->side, &l->n_rows, &l->opt_fps, &l->most,
	              &l->total, &l->fps, &l->seconds, &l->width, &l->height, &l->n, &l->indices, &l->colours, &l->bytes, &l->text) == 16;
}

/* The file that a line is about: committed, or written here. */
static byte_buf file_of(const line *l)
{
	byte_buf b = {0};
	double fps;
	unsigned n;
	if (sscanf(l->name, "numbers-%u-%la", &n, &fps) == 2)
		return make_clip("video/mp4", l->width, l->height, n, fps, NULL, 0);
	b.p = golden_file(l->name, &b.n);
	b.cap = b.n;
	return b;
}

static void check_file(const line *l, const byte_buf *b)
{
	watcher w;
	static watched got;
	const sn_watch_options o = {.size = sizeof o, .fps = l->opt_fps, .max_frames = l->most};
	const bool file = l->colours != 0;
	open_watcher(&w, l->side, l->n_rows, l->longest == l->side ? 0 : l->longest, 0, 0);
	assert_int_equal(w.rc, SN_RC_OK);
	watch_file(&w, b->p, b->n, &o, l->n_rows, &got);
	const sn_clip_info *i = &got.info;
	if (i->n_frames != l->total || i->width != l->width || i->height != l->height)
		fail_msg("%s: %u frames of %u x %u", l->name, i->n_frames, i->width, i->height);
	if (file ? i->fps != l->fps || i->seconds != l->seconds : fabs(i->fps - l->fps) > 1e-9 * l->fps || fabs(i->seconds - l->seconds) > 1e-9 * l->seconds)
		fail_msg("%s: %a, not %a frames a second, %a, not %a seconds", l->name, i->fps, l->fps, i->seconds, l->seconds);
	if (got.sample.n_frames != l->n || golden_hash(got.frames, l->n * sizeof *got.frames) != l->indices)
		fail_msg("%s: other frames, %u, not %u", l->name, got.sample.n_frames, l->n);
	if (file && golden_hash(got.media.samples, got.media.bytes) != l->colours)
		fail_msg("%s: other colours, %u to %u at %g", l->name, l->longest, l->side, l->opt_fps);
	if (got.text_bytes != l->bytes || golden_hash(got.text, l->bytes) != l->text)
		fail_msg("%s: another text: %.300s", l->name, got.text);
	watched_drop(&got);
	close_watcher(&w);
}

static void files_are_watched_as_the_reference_does(void **state)
{
	(void)state;
	size_t n;
	unsigned n_lines = 0;
	char last[80] = "";
	byte_buf b = {0};
	char *table = (char *)golden_file("files.txt", &n);
	for (char *text = strtok(table, "\n"); text; text = strtok(NULL, "\n")) {
		line l;
		if (*text == '#')
			continue;
		assert_true(parse(text, &l));
		if (strcmp(last, l.name) != 0) {
			free(b.p);
			b = file_of(&l);
			memcpy(last, l.name, sizeof last);
		}
		check_file(&l, &b);
		n_lines++;
	}
	free(b.p);
	free(table);
	assert_true(n_lines == 44);
}

/* The frames that were chosen of 10,000 are these, seen by what is drawn on them. */
static void frames_of_a_long_clip_are_the_chosen_ones(void **state)
{
	(void)state;
	byte_buf b = make_clip("video/mp4", 64, 64, 10000, 30, NULL, 0);
	watcher w;
	static watched got;
	const sn_watch_options o = {.size = sizeof o};
	open_watcher(&w, 64, 4, 0, 0, 0);
	watch_file(&w, b.p, b.n, &o, 4, &got);
	assert_int_equal(got.sample.n_frames, 64);
	for (uint32_t i = 0; i < 64; i++) {
		assert_int_equal(read_number((uint8_t *)got.media.samples + (size_t)i * 64 * 64 * 3, 64, 64), got.frames[i]);
		assert_true(fabs(got.media.timestamps[i] - got.frames[i] / 30.0) < 0.0006);
	}
	watched_drop(&got);
	close_watcher(&w);
	drop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_are_watched_as_the_reference_does),
	    cmocka_unit_test(frames_of_a_long_clip_are_the_chosen_ones),
	};
	return cmocka_run_group_tests(tests, clips_open, clips_close);
}
