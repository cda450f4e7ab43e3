/* clips.c - a codec of clips and who watches them, as small as can be, in the bad habits whose names begin with ZOO_CLIPS (-DZOO=HABIT).
 * ZOO_CLIPS has none.
 *
 *   file: "SNCLIP1\n", u32 width, u32 height, u32 frames, RGB frames     (little-endian); ten frames a second
 *
 * Resizing takes the nearest pixel, and some milliseconds where it is to become large, so that there is something to break off. Who watches takes
 * pairs of frames of 16 x 8; a row is full of its medium's first value. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sensorium/ext/clip.h>
#include <sensorium/ext/encode.h>
#include <sensorium/ext/plan.h>
#include <sensorium/ext/watch.h>
#include <sensorium/host/weights.h>

#include "zoo.h"

#define IS(habit) (ZOO == ZOO_##habit)

enum { HEAD = 20, MAX_SIDE = 1 << 14, SLOW_NS = 12000000, LARGE = 1000, GROUP = 2, WIDTH = 16, HEIGHT = 8 };

static const double FPS = 10;

typedef struct animal {
	const sn_host *host;
	uint32_t row_dim, calls;
} animal;

static sn_rc fail(sn_fault *fault, sn_rc code, const char *text)
{
	if (IS(CLIPS_WITHOUT_FAULT))
		return code;
	fault->code = code;
	fault->blame = SN_BLAME_INPUT;
	snprintf(fault->text, sizeof fault->text, "%s", text);
	return code;
}

/* ---- codec ---- */

static const char *sniff(const uint8_t *bytes, size_t n)
{
	return n >= 8 && memcmp(bytes, "SNCLIP1\n", 8) == 0 ? "video/x-clip" : NULL;
}

static sn_rc look(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *l, sn_clip_info *info, sn_fault *fault)
{
	uint32_t head[3];
	(void)instance, (void)call;
	if (n < HEAD || !sniff(bytes, n))
		return fail(fault, SN_RC_INVALID, "no clip");
	memcpy(head, bytes + 8, sizeof head);
	const uint64_t pixels = (uint64_t)head[0] * head[1];
	if (!head[0] || !head[1] || !head[2] || head[0] > MAX_SIDE || head[1] > MAX_SIDE || head[2] > MAX_SIDE)
		return fail(fault, SN_RC_INVALID, "a clip of no size, or too large");
	if (!IS(CLIPS_READ_PAST) && pixels * 3 * head[2] != n - HEAD)
		return fail(fault, SN_RC_INVALID, "the file has another size than it says");
	if (l && !IS(CLIPS_WITHOUT_LIMITS) &&
	    ((l->max_width && head[0] > l->max_width) || (l->max_height && head[1] > l->max_height) || (l->max_pixels && pixels > l->max_pixels) ||
	     (l->max_track_frames && head[2] > l->max_track_frames) || (l->max_seconds && head[2] / FPS > l->max_seconds)))
		return fail(fault, SN_RC_TOO_LARGE, "over a limit");
	*info = (sn_clip_info){.size = sizeof *info, .width = head[0], .height = head[1], .n_frames = IS(CLIPS_FRAMELESS) ? 0 : head[2],
	                       .seconds = head[2] / FPS, .fps = IS(CLIPS_OF_NO_RATE) ? NAN : FPS};
	return SN_RC_OK;
}

static sn_rc times(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *l, double *seconds, uint32_t n_frames,
                   sn_fault *fault)
{
	sn_clip_info info;
	sn_rc rc = look(instance, call, bytes, n, l, &info, fault);
	for (uint32_t i = 0; rc == SN_RC_OK && i < n_frames; i++)
		seconds[i] = (IS(CLIPS_BACKWARDS) ? n_frames - i : i) / FPS;
	return rc;
}

static sn_rc check_wish(const sn_clip_info *info, const sn_clip_limits *l, const sn_clip_wish *wish, const sn_media *media, sn_fault *fault)
{
	for (uint32_t i = 0; i < wish->n_frames && !IS(CLIPS_OF_ANY_WISH); i++)
		if (wish->frames[i] >= info->n_frames || (i && wish->frames[i] < wish->frames[i - 1]))
			return fail(fault, SN_RC_INVALID, "no such frames, or not in this order");
	for (uint32_t i = 0; i < wish->n_steps && !IS(CLIPS_OF_ANY_FILTER); i++)
		if (wish->steps[i].filter > SN_CLIP_LANCZOS3_TORCH)
			return fail(fault, SN_RC_INVALID, "no such filter");
	if (l && !IS(CLIPS_OF_ANY_NUMBER) && ((l->max_frames && wish->n_frames > l->max_frames) || (l->max_bytes && media->bytes > l->max_bytes)))
		return fail(fault, SN_RC_TOO_LARGE, "more frames than allowed");
	return SN_RC_OK;
}

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void nearest(const uint8_t *from, const sn_clip_info *info, const sn_media *m, uint8_t *to)
{
	for (uint32_t y = 0; y < m->height; y++)
		for (uint32_t x = 0; x < m->width; x++, to += 3)
			memcpy(to, from + ((uint64_t)y * info->height / m->height * info->width + (uint64_t)x * info->width / m->width) * 3, 3);
}

static sn_rc read(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *l, const sn_clip_wish *wish, sn_media *m,
                  sn_fault *fault)
{
	animal *a = instance;
	sn_clip_info info;
	const double began = now_ms();
	sn_rc rc = look(instance, call, bytes, n, l, &info, fault);
	if (rc == SN_RC_OK)
		rc = check_wish(&info, l, wish, m, fault);
	if (rc != SN_RC_OK)
		return rc;
	const size_t frame = (size_t)info.width * info.height * 3, out = m->bytes / m->n_frames;
	for (uint32_t i = 0; i < wish->n_frames; i++) {
		uint8_t *to = (uint8_t *)m->samples + i * out;
		const uint32_t index = wish->frames[i] % info.n_frames;
		nearest(bytes + HEAD + (IS(CLIPS_IN_COMPANY) ? wish->frames[i / 2] % info.n_frames : index) * frame, &info, m, to);
		m->timestamps[i] = index / FPS + (IS(CLIPS_OF_OTHER_TIMES) ? 0.05 : 0);
		if (wish->n_steps && wish->steps[0].width >= LARGE)
			nanosleep(&(struct timespec){.tv_nsec = SLOW_NS}, NULL);
		if (l && l->max_ms && now_ms() - began > l->max_ms && !IS(CLIPS_WITHOUT_END))
			return fail(fault, SN_RC_TOO_LARGE, "it takes longer than allowed");
	}
	uint8_t *samples = m->samples;
	if (IS(CLIPS_OF_THEIR_TIME))
		samples[0] += (uint8_t)a->calls++;
	if (IS(CLIPS_UNFILLED)) /* as if nobody had written there */
		samples[m->bytes - 1] = (uint8_t)a->calls++;
	if (IS(CLIPS_BESIDE))
		samples[-1] ^= 0xFF;
	if (IS(CLIPS_PAST))
		samples[m->bytes] = 1;
	if (IS(CLIPS_RESHAPED))
		m->width++;
	return SN_RC_OK;
}

/* ---- watcher ---- */

static const char *marker(const void *instance)
{
	(void)instance;
	return "<|clip|>";
}

static const char *picture_marker(const void *instance)
{
	(void)instance;
	return "<|picture|>";
}

static sn_rc sample(const void *instance, const sn_call *call, const sn_clip_info *info, const sn_watch_options *o, uint32_t cap, uint32_t *frames,
                    sn_watch_sample *out, sn_fault *fault)
{
	animal *a = (animal *)(uintptr_t)instance;
	uint32_t most = o->max_frames && o->max_frames < 6 && !IS(CLIPS_MORE_THAN_ALLOWED) ? o->max_frames : 6;
	uint32_t n = (most + GROUP - 1) / GROUP * GROUP;
	(void)call;
	if (o->start > 0 && o->start >= info->seconds)
		return fail(fault, SN_RC_INVALID, "nothing lies there");
	if (n > cap && !IS(CLIPS_OVER_CAP))
		return fail(fault, SN_RC_TOO_LARGE, "more frames than there is room for");
	*out = (sn_watch_sample){.size = sizeof *out, .n_frames = n - IS(CLIPS_HALF_A_GROUP), .group = GROUP, .n_steps = 1,
	                         .steps = {{.width = WIDTH, .height = IS(CLIPS_FLAT) ? 0 : HEIGHT, .filter = SN_CLIP_BILINEAR}}};
	for (uint32_t i = 0; i < n; i++)
		frames[i] = (uint32_t)((uint64_t)i * (info->n_frames - 1) / n);
	if (IS(CLIPS_CHOSEN_BACK) && n > 1)
		frames[0] = info->n_frames - 1;
	if (IS(CLIPS_CHOSEN_BEHIND))
		frames[n - 1] = info->n_frames;
	if (IS(CLIPS_WHIMSICAL))
		frames[n - 1] = info->n_frames - 1 - (a->calls++ % 2 && info->n_frames > 1);
	return SN_RC_OK;
}

static sn_rc lay_out(const void *instance, const sn_call *call, const sn_watch_clip *clip, char *text, uint32_t *size, uint32_t *holes, sn_fault *fault)
{
	const uint32_t n = clip->sample->n_frames / clip->sample->group;
	(void)instance, (void)call, (void)fault;
	*size = 2 * n;
	for (uint32_t i = 0; text && i < n; i++) {
		text[2 * i] = '<';
		text[2 * i + 1] = '>';
		holes[i] = 2 * i + 1;
	}
	if (text && IS(CLIPS_HOLES_BACK) && n > 1)
		holes[0] = 2 * n;
	if (text && IS(CLIPS_HOLE_OUTSIDE))
		holes[n - 1] = 2 * n + 1;
	if (text && IS(CLIPS_TEXT_UNFILLED))
		text[2 * n - 1] = 0;
	if (text && IS(CLIPS_TEXT_LONGER))
		++*size;
	if (text && IS(CLIPS_TEXT_BESIDE))
		text[-1] ^= 1;
	return SN_RC_OK;
}

/* ---- its rows ---- */

static const char *row_token(const void *instance)
{
	(void)instance;
	return "";
}

static uint32_t row_dim(const void *instance) { return ((const animal *)instance)->row_dim; }

static sn_rc plan(const void *instance, const sn_call *call, const sn_media *m, sn_media_plan *p, sn_fault *fault)
{
	(void)instance, (void)call;
	if (m->kind == SN_MEDIA_VIDEO && (m->n_frames != GROUP || m->width != WIDTH || m->height != HEIGHT || IS(CLIPS_UNPLANNED)))
		return fail(fault, SN_RC_INVALID, "no such group");
	*p = (sn_media_plan){.size = sizeof *p, .n_rows = 1, .n_holes = 1, .n_units = 1, .state_bytes = 16, .text_size = IS(CLIPS_GROUP_TEXT)};
	return SN_RC_OK;
}

static sn_rc layout(const void *instance, const sn_call *call, const sn_media *m, const sn_media_plan *p, char *text, sn_hole *holes, sn_fault *fault)
{
	(void)instance, (void)call, (void)m, (void)fault;
	memset(text, '.', p->text_size);
	holes[0] = (sn_hole){0, 1};
	return SN_RC_OK;
}

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, const sn_media *m, const sn_media_plan *p, sn_fault *fault)
{
	(void)instance, (void)call, (void)ctx, (void)p, (void)fault;
	*(uint8_t *)state = *(const uint8_t *)m->samples;
	return SN_RC_OK;
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, float *rows, sn_fault *fault)
{
	(void)call, (void)ctx, (void)max_units, (void)fault;
	for (uint32_t i = 0; i < row_dim(instance); i++)
		rows[i] = *(const uint8_t *)state;
	*units_done = 1;
	return SN_RC_END;
}

static void end(void *instance, void *state) { (void)instance, (void)state; }

/* ---- life ---- */

static int32_t probe(const sn_host *host, const sn_model *model)
{
	const sn_host_weights *weights = host->service(host, SN_HOST_WEIGHTS);
	const char *architecture = weights->get_str(model, "general.architecture");
	return architecture && strcmp(architecture, "llama") == 0 ? 10 : 0;
}

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	(void)fault;
	((animal *)instance)->host = host;
	return SN_RC_OK;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	animal *a = instance;
	const sn_host_weights *weights = a->host->service(a->host, SN_HOST_WEIGHTS);
	(void)fault;
	if (model)
		weights->get_u32(model, "llama.embedding_length", &a->row_dim);
	return SN_RC_OK;
}

static void fini(void *instance) { (void)instance; }

static const sn_ext_clip CLIP = {.size = sizeof CLIP, .kind_name = "video", .media_types = "video/x-clip", .sniff = sniff, .look = look, .times = times, .read = read};
static const sn_ext_watch WATCH = {.size = sizeof WATCH, .kind_name = "video", .marker = marker, .sample = sample, .layout = lay_out};
static const sn_ext_plan PLAN = {.size = sizeof PLAN, .kind = SN_MEDIA_IMAGE, .kind_name = "image", .marker = picture_marker, .row_token = row_token,
                                 .row_dim = row_dim, .plan = plan, .layout = layout};
static const sn_ext_encode ENCODE = {.size = sizeof ENCODE, .begin = begin, .step = step, .end = end};

static const void *codec_extension(const char *id) { return strcmp(id, SN_EXT_CLIP) == 0 ? &CLIP : NULL; }

static const void *watcher_extension(const char *id)
{
	return strcmp(id, SN_EXT_PLAN) == 0 ? (const void *)&PLAN : strcmp(id, SN_EXT_ENCODE) == 0 ? (const void *)&ENCODE : strcmp(id, SN_EXT_WATCH) == 0 ? &WATCH : NULL;
}

static const sn_plugin CODEC = {.size = sizeof CODEC, .instance_size = sizeof(animal), .id = "clip-codec", .version = "1.0.0", .license = "MIT",
                                .summary = "frames as they are", .init = init, .load = load, .fini = fini, .extension = codec_extension,
                                .extensions = SN_EXT_CLIP};
static const sn_plugin WATCHER = {.size = sizeof WATCHER, .instance_size = sizeof(animal), .id = "clip-watcher", .version = "1.0.0", .license = "MIT",
                                  .summary = "one colour of each two frames", .probe = probe, .init = init, .load = load, .fini = fini,
                                  .extension = watcher_extension, .extensions = SN_EXT_PLAN " " SN_EXT_ENCODE " " SN_EXT_WATCH};

static const sn_plugin *const PLUGINS[] = {&CODEC, &WATCHER};
static const sn_plugin_list LIST = {.stamp = SN_PLUGIN_STAMP, .n_plugins = 2, .plugins = PLUGINS};

SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void) { return &LIST; }
