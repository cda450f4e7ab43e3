/* video-codec on clips that it wrote itself: every frame is found by its index, at its time, upright; sound is in step; limits hold. */
#define _GNU_SOURCE /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clip_case.h"

static const char *const TYPES[] = {"video/mp4", "video/webm"};

static sn_media frames_of(const byte_buf *b, const uint32_t *frames, uint32_t n)
{
	const sn_clip_wish wish = {.size = sizeof wish, .n_frames = n, .frames = frames};
	sn_fault fault;
	sn_media m;
	if (read_from(b->p, b->n, &CLIP_LIMITS, &wish, &m, &fault) != SN_RC_OK)
		fail_msg("%s", fault.text);
	return m;
}

static void numbers_are(const sn_media *m, const uint32_t *frames)
{
	for (uint32_t i = 0; i < m->n_frames; i++)
		assert_int_equal(read_number((const uint8_t *)m->samples + m->bytes / m->n_frames * i, m->width, m->height), frames[i]);
}

static sn_clip_info info_of(const byte_buf *b)
{
	sn_clip_info info;
	sn_fault fault;
	if (look_at(b->p, b->n, &CLIP_LIMITS, &info, &fault) != SN_RC_OK)
		fail_msg("%s", fault.text);
	return info;
}

static void every_frame_is_found_by_its_index(void **state)
{
	(void)state;
	const struct { uint32_t width, height, n; double fps; } cases[] = {{64, 48, 1, 25}, {64, 48, 2, 25}, {64, 48, 300, 30}, {65, 49, 60, 12.5}, {33, 70, 40, 24}};
	for (size_t t = 0; t < 2; t++)
		for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
			const uint32_t n = cases[c].n;
			byte_buf b = make_clip(TYPES[t], cases[c].width, cases[c].height, n, cases[c].fps, NULL, 0);
			assert_string_equal(clips.clip->sniff(b.p, 64), TYPES[t]);
			sn_clip_info info = info_of(&b);
			assert_int_equal(info.width, cases[c].width);
			assert_int_equal(info.height, cases[c].height);
			assert_int_equal(info.n_frames, n);
			assert_true(info.has_sound == 0);
			assert_true(fabs(info.seconds - n / cases[c].fps) < 0.1 / cases[c].fps + 0.002);
			if (n > 2)
				assert_true(fabs(info.fps - cases[c].fps) < 0.05 * cases[c].fps);
			uint32_t *all = calloc(n, sizeof *all);
			for (uint32_t i = 0; i < n; i++)
				all[i] = i;
			sn_media m = frames_of(&b, all, n);
			numbers_are(&m, all);
			for (uint32_t i = 0; i < n; i++)
				assert_true(fabs(m.timestamps[i] - i / cases[c].fps) < 0.0006);
			const size_t frame = m.bytes / n;
			/* Alone, or few with much between them: the same bytes as in the whole. */
			const uint32_t some[] = {0, n / 7, n / 3, n / 3, n / 2, n - 1};
			for (size_t k = 0; k < 6; k++) {
				sn_media one = frames_of(&b, &some[k], 1);
				assert_memory_equal(one.samples, (uint8_t *)m.samples + frame * some[k], frame);
				media_drop(&one);
			}
			sn_media six = frames_of(&b, some, 6);
			for (size_t k = 0; k < 6; k++)
				assert_memory_equal((uint8_t *)six.samples + frame * k, (uint8_t *)m.samples + frame * some[k], frame);
			media_drop(&six);
			media_drop(&m);
			free(all);
			drop(&b);
		}
}

static void frames_stand_at_their_times(void **state)
{
	(void)state;
	double times[50], at[50];
	sn_fault fault = {.size = sizeof fault};
	for (int i = 0; i < 50; i++)
		times[i] = i ? times[i - 1] + 0.02 + 0.01 * (i * i % 7) : 0;
	for (size_t t = 0; t < 2; t++) {
		byte_buf b = make_clip(TYPES[t], 64, 48, 50, 0, times, 0);
		sn_clip_info info = info_of(&b);
		assert_int_equal(info.n_frames, 50);
		assert_int_equal(clips.clip->times(clips.instance, NULL, b.p, b.n, &CLIP_LIMITS, at, 50, &fault), SN_RC_OK);
		for (int i = 0; i < 50; i++)
			assert_true(fabs(at[i] - times[i]) < 0.0006);
		const uint32_t some[] = {7, 8, 9, 33, 49};
		sn_media m = frames_of(&b, some, 5);
		numbers_are(&m, some);
		for (int i = 0; i < 5; i++)
			assert_true(m.timestamps[i] == at[some[i]]);
		media_drop(&m);
		drop(&b);
	}
}

/* The matrix of the track's header, or of the second one if there are two. */
static uint8_t *matrix_of(const byte_buf *b)
{
	uint8_t *tkhd = memmem(b->p, b->n, "tkhd", 4);
	assert_non_null(tkhd);
	return tkhd + 4 + (tkhd[4] == 1 ? 52 : 40);
}

static void turned_clips_are_upright(void **state)
{
	(void)state;
	byte_buf b = make_clip("video/mp4", 64, 48, 5, 25, NULL, 0);
	const uint32_t three = 3;
	sn_media plain = frames_of(&b, &three, 1);
	const uint8_t *p = plain.samples;
	/* a b c d: (x, y) is shown at (a x + c y, b x + d y) */
	const int32_t turns[][4] = {{1, 0, 0, 1}, {-1, 0, 0, 1}, {-1, 0, 0, -1}, {1, 0, 0, -1}, {0, 1, 1, 0}, {0, 1, -1, 0}, {0, -1, -1, 0}, {0, -1, 1, 0}};
	for (size_t k = 0; k < 8; k++) {
		const int32_t *t = turns[k];
		const size_t at[] = {0, 4, 12, 16};
		uint8_t *m = matrix_of(&b);
		for (int i = 0; i < 4; i++) {
			uint32_t v = (uint32_t)t[i] << 16;
			for (int j = 0; j < 4; j++)
				m[at[i] + (size_t)j] = (uint8_t)(v >> (24 - 8 * j));
		}
		sn_media turned = frames_of(&b, &three, 1);
		uint32_t w = t[0] ? 64 : 48, h = t[0] ? 48 : 64;
		assert_true(turned.width == w && turned.height == h);
		for (int y = 0; y < 48; y++)
			for (int x = 0; x < 64; x++) {
				int u = t[0] * x + t[2] * y, v = t[1] * x + t[3] * y;
				u += t[0] < 0 || t[2] < 0 ? (int)w - 1 : 0;
				v += t[1] < 0 || t[3] < 0 ? (int)h - 1 : 0;
				assert_memory_equal((uint8_t *)turned.samples + ((size_t)v * w + (size_t)u) * 3, p + ((size_t)y * 64 + (size_t)x) * 3, 3);
			}
		media_drop(&turned);
	}
	media_drop(&plain);
	drop(&b);
}

static void ten_thousand_frames(void **state)
{
	(void)state;
	enum { N = 10000 };
	byte_buf b = make_clip("video/mp4", 16, 16, N, 30, NULL, 0);
	assert_int_equal(info_of(&b).n_frames, N);
	uint32_t some[40];
	for (uint32_t i = 0; i < 40; i++)
		some[i] = i * (N - 1) / 39;
	sn_media m = frames_of(&b, some, 40);
	numbers_are(&m, some);
	media_drop(&m);
	sn_clip_limits few = CLIP_LIMITS;
	sn_clip_info info;
	sn_fault fault;
	few.max_track_frames = N;
	assert_int_equal(look_at(b.p, b.n, &few, &info, &fault), SN_RC_OK);
	few.max_track_frames = N - 1;
	assert_int_equal(look_at(b.p, b.n, &few, &info, &fault), SN_RC_TOO_LARGE);
	drop(&b);
}

static void sound_is_in_step(void **state)
{
	(void)state;
	for (size_t t = 0; t < 2; t++) {
		byte_buf b = make_clip(TYPES[t], 64, 48, 75, 25, NULL, 3);
		sn_fault fault;
		sn_media m;
		assert_int_equal(info_of(&b).has_sound, 1);
		const uint32_t rates[] = {16000, 48000, 0};
		for (size_t r = 0; r < 3; r++) {
			if (hear(b.p, b.n, rates[r], &m, &fault) != SN_RC_OK)
				fail_msg("%s: %s", TYPES[t], fault.text);
			const float *x = m.samples;
			assert_true(fabs((double)m.n_samples / m.rate - 3) < 0.08);
			for (double s = 0.05; s < 2.95; s += 0.05) { /* 20 ms around each */
				if (fabs(s - floor(s) - 0.5) < 0.03 || s - floor(s) < 0.03 || s - floor(s) > 0.97)
					continue;
				double sum = 0;
				uint64_t from = (uint64_t)((s - 0.01) * m.rate), n = (uint64_t)(0.02 * m.rate);
				for (uint64_t i = from; i < from + n; i++)
					sum += x[i] * x[i] / (double)n;
				assert_true(is_loud(s) ? sum > 0.05 : sum < 0.01);
			}
			media_drop(&m);
		}
		drop(&b);
	}
}

static void steps_resize_one_after_the_other(void **state)
{
	(void)state;
	byte_buf b = make_clip("video/mp4", 160, 120, 4, 25, NULL, 0);
	const uint32_t two = 2;
	sn_clip_wish wish = {.size = sizeof wish, .n_frames = 1, .frames = &two, .n_steps = 2, .steps = {{80, 60, SN_CLIP_LANCZOS3, 0}, {48, 48, SN_CLIP_BICUBIC, 0}}};
	sn_media m;
	sn_fault fault;
	assert_int_equal(read_from(b.p, b.n, &CLIP_LIMITS, &wish, &m, &fault), SN_RC_OK);
	assert_true(m.width == 48 && m.height == 48);
	assert_int_equal(read_number(m.samples, 48, 48), 2);
	media_drop(&m);
	const sn_clip_step bad[] = {{0, 10, 0, 0}, {10, 0, 0, 0}, {10, 10, 4, 0}, {1 << 20, 1, 0, 0}, {8000, 8000, 0, 0}};
	uint8_t room[30000];
	double at[4];
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		wish.steps[0] = bad[i];
		m = (sn_media){.size = sizeof m, .kind = SN_MEDIA_VIDEO, .width = 48, .height = 48, .n_frames = 1, .bytes = 6912, .samples = room, .timestamps = at};
		fault = (sn_fault){.size = sizeof fault};
		assert_int_equal(clips.clip->read(clips.instance, NULL, b.p, b.n, &CLIP_LIMITS, &wish, &m, &fault), SN_RC_INVALID);
	}
	wish.n_steps = 0;
	const uint32_t orders[][2] = {{1, 0}, {0, 4}, {UINT32_MAX, UINT32_MAX}};
	for (size_t i = 0; i < 3; i++) {
		wish.n_frames = 2;
		wish.frames = orders[i];
		assert_int_equal(read_from(b.p, b.n, &CLIP_LIMITS, &wish, &m, &fault), SN_RC_INVALID);
	}
	drop(&b);
}

static void limits_hold_at_their_edges(void **state)
{
	(void)state;
	byte_buf b = make_clip("video/mp4", 66, 48, 50, 25, NULL, 1);
	sn_clip_info info;
	sn_fault fault;
	const struct { sn_clip_limits l; sn_rc rc; } cases[] = {
	    {{.max_width = 66}, SN_RC_OK}, {{.max_width = 65}, SN_RC_TOO_LARGE}, {{.max_height = 48}, SN_RC_OK}, {{.max_height = 47}, SN_RC_TOO_LARGE},
	    {{.max_pixels = 66 * 48}, SN_RC_OK}, {{.max_pixels = 66 * 48 - 1}, SN_RC_TOO_LARGE}, {{.max_track_frames = 49}, SN_RC_TOO_LARGE},
	    {{.max_seconds = 2}, SN_RC_OK}, {{.max_seconds = 1}, SN_RC_TOO_LARGE}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		sn_clip_limits l = cases[i].l;
		l.size = sizeof l;
		assert_int_equal(look_at(b.p, b.n, &l, &info, &fault), cases[i].rc);
	}
	const uint32_t frames[] = {0, 1, 2};
	const sn_clip_wish wish = {.size = sizeof wish, .n_frames = 3, .frames = frames};
	sn_clip_limits l = {.size = sizeof l, .max_frames = 3, .max_bytes = 3 * 66 * 48 * 3};
	sn_media m;
	assert_int_equal(read_from(b.p, b.n, &l, &wish, &m, &fault), SN_RC_OK);
	media_drop(&m);
	l.max_frames = 2;
	assert_int_equal(read_from(b.p, b.n, &l, &wish, &m, &fault), SN_RC_TOO_LARGE);
	l.max_frames = 0, l.max_bytes--;
	assert_int_equal(read_from(b.p, b.n, &l, &wish, &m, &fault), SN_RC_TOO_LARGE);
	drop(&b);
}

static void a_call_ends_at_its_time(void **state)
{
	(void)state;
	byte_buf b = make_clip("video/mp4", 640, 480, 900, 30, NULL, 0);
	uint32_t *all = calloc(900, sizeof *all);
	for (uint32_t i = 0; i < 900; i++)
		all[i] = i;
	const sn_clip_wish wish = {.size = sizeof wish, .n_frames = 900, .frames = all, .n_steps = 2, .steps = {{1600, 1200, SN_CLIP_LANCZOS3, 0}, {8, 8, 2, 0}}};
	sn_clip_limits l = CLIP_LIMITS;
	sn_media m = {.size = sizeof m};
	sn_clip_info info = info_of(&b);
	sn_fault fault = {.size = sizeof fault};
	l.max_ms = 300; /* it would take many seconds */
	assert_true(sn_clip_shape(&info, &wish, &m));
	m.samples = malloc(m.bytes);
	m.timestamps = malloc(900 * sizeof(double));
	assert_int_equal(clips.clip->read(clips.instance, NULL, b.p, b.n, &l, &wish, &m, &fault), SN_RC_TOO_LARGE);
	assert_string_equal(fault.text, "decoding takes longer than allowed");
	assert_int_equal(clips.host.held, 0);
	media_drop(&m);
	free(all);
	drop(&b);
}

static void no_memory_is_nobodys_fault(void **state)
{
	(void)state;
	byte_buf b = make_clip("video/mp4", 64, 48, 300, 30, NULL, 1);
	const uint32_t frames[] = {0, 150};
	const sn_clip_wish wish = {.size = sizeof wish, .n_frames = 2, .frames = frames, .n_steps = 2, .steps = {{32, 24, 0, 0}, {16, 16, 0, 0}}};
	size_t refused = 0;
	for (size_t k = 1; k < 100; k++) {
		sn_media m;
		sn_fault fault;
		clips.host.n_allocs = 0;
		clips.host.fail_alloc = k;
		sn_rc rc = read_from(b.p, b.n, &CLIP_LIMITS, &wish, &m, &fault);
		size_t used = clips.host.n_allocs;
		clips.host.fail_alloc = 0;
		if (rc == SN_RC_OK)
			media_drop(&m);
		assert_int_equal(rc, used < k ? SN_RC_OK : SN_RC_NOMEM);
		refused += rc == SN_RC_NOMEM;
	}
	assert_true(refused > 8);
	drop(&b);
}

static void files_are_the_same_each_time_and_name_nobody(void **state)
{
	(void)state;
	const uint32_t sizes[][3] = {{64, 48, 60}, {1, 1, 1}, {1, 9, 3}, {17, 5, 4}, {33, 70, 9}, {130, 2, 3}};
	for (size_t t = 0; t < 2; t++)
		for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
			mallopt(M_PERTURB, 0x5A); /* what malloc gives, and what was freed, is filled so */
			byte_buf a = make_clip(TYPES[t], sizes[k][0], sizes[k][1], sizes[k][2], 25, NULL, k ? 0 : 2);
			mallopt(M_PERTURB, 0xC3);
			byte_buf b = make_clip(TYPES[t], sizes[k][0], sizes[k][1], sizes[k][2], 25, NULL, k ? 0 : 2);
			mallopt(M_PERTURB, 0);
			if (a.n != b.n || memcmp(a.p, b.p, a.n) != 0)
				fail_msg("%s of %ux%u: not the same again", TYPES[t], sizes[k][0], sizes[k][1]);
			const char *const names[] = {"x264", "Lavc5", "Lavc6", "Lavf5", "Lavf6", "libopus", "libvpx", "core "};
			for (size_t i = 0; i < sizeof names / sizeof *names; i++)
				if (memmem(a.p, a.n, names[i], strlen(names[i])))
					fail_msg("%s: it names %s", TYPES[t], names[i]);
			drop(&a);
			drop(&b);
		}
}

static void what_cannot_be_written_is_refused_by_name(void **state)
{
	(void)state;
	uint8_t rgb[16 * 16 * 3 * 2] = {0}, out[65536];
	double times[2] = {0, 0};
	float nan[8000] = {NAN};
	sn_media m = {.size = sizeof m, .kind = SN_MEDIA_VIDEO, .width = 16, .height = 16, .n_frames = 2, .samples = rgb, .bytes = sizeof rgb};
	sn_media s = {.size = sizeof s, .kind = SN_MEDIA_AUDIO, .rate = 16000, .n_samples = 8000, .samples = nan, .bytes = sizeof nan};
	sn_write_options o = {.size = sizeof o, .media_type = "video/mp4"};
	sn_fault fault = {.size = sizeof fault};
	uint64_t most, n;
#define BOUND clips.write->bound(clips.instance, NULL, &m, &o, &most, &fault)
	assert_int_equal(BOUND, SN_RC_OK);
	assert_int_equal(clips.write->write(clips.instance, NULL, &m, &o, out, 200, &n, &fault), SN_RC_TOO_LARGE);
	assert_int_equal(n, 0);
	m.timestamps = times;
	assert_int_equal(BOUND, SN_RC_INVALID);
	m.timestamps = NULL;
	o.sound = &s;
	assert_int_equal(BOUND, SN_RC_INVALID);
	nan[0] = 0;
	assert_int_equal(BOUND, SN_RC_OK);
	s.rate = 1000;
	assert_int_equal(BOUND, SN_RC_INVALID);
	o.size = SN_WRITE_OPTIONS_MIN_SIZE; /* an older caller's: what comes behind is not looked at */
	assert_int_equal(BOUND, SN_RC_OK);
	o = (sn_write_options){.size = sizeof o, .media_type = "video/mp4", .fps = NAN};
	assert_int_equal(BOUND, SN_RC_INVALID);
	o.fps = 1e7;
	assert_int_equal(BOUND, SN_RC_INVALID);
	o.fps = 0, o.quality = 101;
	assert_int_equal(BOUND, SN_RC_INVALID);
	o.quality = 0, o.media_type = "video/x-msvideo";
	assert_int_equal(BOUND, SN_RC_UNSUPPORTED);
	o.media_type = "video/webm", m.bytes--;
	assert_int_equal(BOUND, SN_RC_INVALID);
	assert_int_equal(clips.host.held, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_frame_is_found_by_its_index),
	    cmocka_unit_test(frames_stand_at_their_times),
	    cmocka_unit_test(turned_clips_are_upright),
	    cmocka_unit_test(ten_thousand_frames),
	    cmocka_unit_test(sound_is_in_step),
	    cmocka_unit_test(steps_resize_one_after_the_other),
	    cmocka_unit_test(limits_hold_at_their_edges),
	    cmocka_unit_test(a_call_ends_at_its_time),
	    cmocka_unit_test(no_memory_is_nobodys_fault),
	    cmocka_unit_test(files_are_the_same_each_time_and_name_nobody),
	    cmocka_unit_test(what_cannot_be_written_is_refused_by_name),
	};
	return cmocka_run_group_tests(tests, clips_open, clips_close);
}
