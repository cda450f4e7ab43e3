/* clip_case.c - see clip_case.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clip_case.h"

clip_case clips;

const sn_clip_limits CLIP_LIMITS = {.size = sizeof(sn_clip_limits), .max_ms = 20000, .max_width = 4096, .max_height = 4096, .max_pixels = 4096 * 2304,
                                    .max_track_frames = 20000, .max_seconds = 7200, .max_bytes = 256u << 20, .max_frames = 12000};
const sn_media_limits SOUND_LIMITS = {.size = sizeof(sn_media_limits), .max_bytes = 64u << 20, .max_samples = 16u << 20, .max_channels = 8};

int clips_open(void **state)
{
	(void)state;
	sn_fault fault = {.size = sizeof fault};
	const sn_stamp mine = SN_PLUGIN_STAMP;
	fake_host_init(&clips.host);
	const sn_plugin_list *list = fake_load_plugin("video-codec.so");
	assert_memory_equal(&list->stamp, &mine, sizeof mine);
	assert_int_equal(list->n_plugins, 2);
	const sn_plugin *v = list->plugins[0], *s = list->plugins[1];
	assert_string_equal(v->extensions, SN_EXT_CLIP " " SN_EXT_WRITE);
	assert_string_equal(s->extensions, SN_EXT_DECODE);
	assert_null(v->extension(SN_EXT_DECODE));
	assert_null(s->extension(SN_EXT_CLIP));
	clips.clip = v->extension(SN_EXT_CLIP);
	clips.write = v->extension(SN_EXT_WRITE);
	clips.sound = s->extension(SN_EXT_DECODE);
	clips.instance = calloc(1, v->instance_size);
	clips.sound_instance = calloc(1, s->instance_size);
	assert_int_equal(v->init(clips.instance, &clips.host.host, &fault), SN_RC_OK);
	assert_int_equal(s->init(clips.sound_instance, &clips.host.host, &fault), SN_RC_OK);
	assert_int_equal(v->load(clips.instance, NULL, &fault), SN_RC_OK);
	assert_int_equal(s->load(clips.sound_instance, NULL, &fault), SN_RC_OK);
	return 0;
}

int clips_close(void **state)
{
	(void)state;
	free(clips.instance);
	free(clips.sound_instance);
	assert_int_equal(clips.host.held, 0);
	return 0;
}

/* ---- frames that tell their number ---- */

enum { SIDE = 4 }; /* fields across and down */

void draw_number(uint8_t *rgb, uint32_t width, uint32_t height, uint32_t number)
{
	for (uint32_t y = 0; y < height; y++)
		for (uint32_t x = 0; x < width; x++, rgb += 3) {
			uint32_t bit = y * SIDE / height * SIDE + x * SIDE / width, light = number >> bit & 1;
			rgb[0] = (uint8_t)((light ? 200 : 40) - x * 16 / width);
			rgb[1] = (uint8_t)((light ? 210 : 50) + y * 24 / height);
			rgb[2] = (uint8_t)((light ? 190 : 60) + x * 24 / width);
		}
}

uint32_t read_number(const uint8_t *rgb, uint32_t width, uint32_t height)
{
	uint32_t number = 0;
	for (uint32_t bit = 0; bit < SIDE * SIDE; bit++) {
		uint32_t x = (2 * (bit % SIDE) + 1) * width / (2 * SIDE), y = (2 * (bit / SIDE) + 1) * height / (2 * SIDE);
		number |= (uint32_t)(rgb[((size_t)y * width + x) * 3 + 1] > 128) << bit;
	}
	return number;
}

bool is_loud(double t) { return t - floor(t) >= 0.5; }

byte_buf make_clip(const char *type, uint32_t width, uint32_t height, uint32_t n, double fps, const double *times, double seconds)
{
	enum { RATE = 16000 };
	const size_t frame = (size_t)width * height * 3;
	sn_media m = {.size = sizeof m, .kind = SN_MEDIA_VIDEO, .width = width, .height = height, .n_frames = n, .bytes = frame * n};
	sn_media s = {.size = sizeof s, .kind = SN_MEDIA_AUDIO, .rate = RATE, .n_samples = (uint64_t)(seconds * RATE)};
	m.samples = malloc(m.bytes);
	m.timestamps = (double *)(uintptr_t)times;
	for (uint32_t i = 0; i < n; i++)
		draw_number((uint8_t *)m.samples + frame * i, width, height, i);
	s.bytes = s.n_samples * sizeof(float);
	float *x = s.samples = malloc(s.bytes + 1);
	for (uint64_t i = 0; i < s.n_samples; i++)
		x[i] = is_loud((double)i / RATE) ? 0.5f * sinf((float)i * 0.3f) : 0;
	const sn_write_options o = {.size = sizeof o, .media_type = type, .sound = seconds > 0 ? &s : NULL, .fps = fps};
	sn_fault fault = {.size = sizeof fault};
	byte_buf b = {0};
	uint64_t most = 0, got = 0;
	sn_rc rc = clips.write->bound(clips.instance, NULL, &m, &o, &most, &fault);
	if (rc == SN_RC_OK) {
		b.p = malloc(b.cap = most);
		rc = clips.write->write(clips.instance, NULL, &m, &o, b.p, most, &got, &fault);
	}
	if (rc != SN_RC_OK)
		fail_msg("%s %ux%u, %u frames: %s", type, width, height, n, fault.text);
	b.p = realloc(b.p, b.n = b.cap = got);
	free(m.samples);
	free(x);
	assert_int_equal(clips.host.held, 0);
	return b;
}

/* ---- conversations ---- */

static sn_rc checked(sn_rc rc, const sn_fault *fault)
{
	if (rc != SN_RC_OK) {
		assert_int_equal(fault->code, rc);
		assert_true(fault->text[0] && !strstr(fault->text, "0x") && !strchr(fault->text, '/'));
		assert_int_not_equal(rc, SN_RC_INTERNAL);
	}
	assert_int_equal(clips.host.held, 0);
	return rc;
}

sn_rc look_at(const uint8_t *bytes, size_t n, const sn_clip_limits *l, sn_clip_info *info, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	*info = (sn_clip_info){.size = sizeof *info};
	sn_rc rc = checked(clips.clip->look(clips.instance, NULL, bytes, n, l, info, fault), fault);
	if (rc == SN_RC_OK)
		assert_true(info->width && info->height && info->n_frames && info->seconds >= 0 && isfinite(info->fps) && info->has_sound <= 1);
	return rc;
}

sn_rc read_from(const uint8_t *bytes, size_t n, const sn_clip_limits *l, const sn_clip_wish *wish, sn_media *media, sn_fault *fault)
{
	sn_clip_info info;
	*media = (sn_media){.size = sizeof *media};
	sn_rc rc = look_at(bytes, n, l, &info, fault);
	if (rc != SN_RC_OK)
		return rc;
	assert_true(sn_clip_shape(&info, wish, media));
	media->samples = malloc(media->bytes);
	media->timestamps = malloc(wish->n_frames * sizeof(double));
	rc = checked(clips.clip->read(clips.instance, NULL, bytes, n, l, wish, media, fault), fault);
	if (rc != SN_RC_OK)
		media_drop(media);
	else
		assert_true(sn_media_sound(media));
	return rc;
}

sn_rc hear(const uint8_t *bytes, size_t n, uint32_t rate, sn_media *media, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	*media = (sn_media){.size = sizeof *media, .rate = rate};
	sn_rc rc = checked(clips.sound->measure(clips.sound_instance, NULL, bytes, n, &SOUND_LIMITS, media, fault), fault);
	if (rc != SN_RC_OK)
		return rc;
	assert_true(sn_media_sound(media) && media->bytes <= SOUND_LIMITS.max_bytes);
	float *x = media->samples = malloc(media->bytes);
	memset(x, 0xFF, media->bytes);
	rc = checked(clips.sound->decode(clips.sound_instance, NULL, bytes, n, &SOUND_LIMITS, media, fault), fault);
	for (uint64_t i = 0; rc == SN_RC_OK && i < media->n_samples; i++)
		assert_true(x[i] >= -1 && x[i] <= 1);
	if (rc != SN_RC_OK)
		media_drop(media);
	return rc;
}

sn_rc try_all(const uint8_t *bytes, size_t n)
{
	sn_clip_info info;
	sn_fault fault;
	sn_media m;
	sn_rc rc = look_at(bytes, n, &CLIP_LIMITS, &info, &fault), heard = hear(bytes, n, 16000, &m, &fault);
	if (heard == SN_RC_OK)
		media_drop(&m);
	if (rc != SN_RC_OK)
		return rc;
	const uint32_t frames[] = {0, info.n_frames / 2, info.n_frames - 1};
	const sn_clip_wish wish = {.size = sizeof wish, .n_frames = 3, .frames = frames, .n_steps = 1, .steps = {{32, 24, SN_CLIP_BICUBIC, 0}}};
	rc = read_from(bytes, n, &CLIP_LIMITS, &wish, &m, &fault);
	if (rc == SN_RC_OK)
		media_drop(&m);
	return rc;
}

void media_drop(sn_media *m)
{
	free(m->samples);
	free(m->timestamps);
	m->samples = NULL;
	m->timestamps = NULL;
}

void drop(byte_buf *b)
{
	free(b->p);
	*b = (byte_buf){0};
}
