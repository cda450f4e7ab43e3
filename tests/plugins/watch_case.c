/* watch_case.c - see watch_case.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clip_case.h"
#include "watch_case.h"

void open_watcher(watcher *w, uint32_t side, uint32_t n_rows, uint32_t longest, double fps, uint32_t most)
{
	uint32_t patch = side == 384 ? 14 : 16, grid = side / patch, scale = (uint32_t)(grid / sqrt(n_rows) + 0.5);
	const fake_key keys[WATCH_KEYS] = {
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
	w->model = (sn_model){.keys = w->keys, .n_keys = WATCH_KEYS, .ff = 8, .embd = 8};
	w->plugin = fake_load_plugin("siglip.so")->plugins[0];
	w->plan = w->plugin->extension(SN_EXT_PLAN);
	w->watch = w->plugin->extension(SN_EXT_WATCH);
	w->instance = aligned_alloc(64, (w->plugin->instance_size + 63) / 64 * 64);
	memset(w->instance, 0, w->plugin->instance_size);
	w->fault = (sn_fault){.size = sizeof w->fault};
	assert_int_equal(w->plugin->init(w->instance, &w->host.host, &w->fault), SN_RC_OK);
	w->rc = w->plugin->load(w->instance, &w->model, &w->fault);
}

void close_watcher(watcher *w)
{
	w->plugin->fini(w->instance);
	free(w->instance);
	assert_int_equal(w->host.held, 0);
	fake_host_fini(&w->host);
}

sn_rc sample(watcher *w, const sn_clip_info *info, const sn_watch_options *o, uint32_t cap, uint32_t *frames, sn_watch_sample *s)
{
	*s = (sn_watch_sample){.size = sizeof *s};
	w->fault = (sn_fault){.size = sizeof w->fault};
	return w->watch->sample(w->instance, NULL, info, o, cap, frames, s, &w->fault);
}

char *whole_text(watcher *w, const sn_watch_clip *clip, uint32_t n_rows, uint32_t *bytes)
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

void watch_file(watcher *w, const uint8_t *bytes, size_t n, const sn_watch_options *o, uint32_t n_rows, watched *out)
{
	sn_fault fault;
	memset(out, 0, sizeof *out);
	if (look_at(bytes, n, &CLIP_LIMITS, &out->info, &fault) != SN_RC_OK)
		fail_msg("%s", fault.text);
	if (sample(w, &out->info, o, WATCH_MOST, out->frames, &out->sample) != SN_RC_OK)
		fail_msg("%s", w->fault.text);
	sn_clip_wish wish = {.size = sizeof wish, .n_frames = out->sample.n_frames, .frames = out->frames, .n_steps = out->sample.n_steps};
	memcpy(wish.steps, out->sample.steps, sizeof wish.steps);
	if (read_from(bytes, n, &CLIP_LIMITS, &wish, &out->media, &fault) != SN_RC_OK)
		fail_msg("%s", fault.text);
	const sn_watch_clip clip = {.size = sizeof clip, .info = &out->info, .options = o, .sample = &out->sample, .frames = out->frames,
	                            .seconds = out->media.timestamps};
	out->text = whole_text(w, &clip, n_rows, &out->text_bytes);
}

void watched_drop(watched *w)
{
	media_drop(&w->media);
	free(w->text);
}
