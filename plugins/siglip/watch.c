/* watch.c - "sn.watch/1": frames of a clip, as SmolVLM2's processors choose, resize and frame them.
 *
 *   choose  round(fps x seconds) frames, 1 to max_frames, evenly from the first to the last; where the clip has more seconds than max_frames
 *           frames make at fps, a second at both ends is left out. A frame's time is its index by the average rate.
 *   resize  longest edge, then square, as pictures that are not split, but as PyTorch's tensors are resized
 *   text    You are provided the following series of three frames from a 0:00:03 [H:MM:SS] video.\n
 *           \nFrame from 00:00:<fake_token_around_image><global-img> rows <fake_token_around_image>      for each frame
 *           \n\n
 *
 * With start and end it is the clip that was cut there; the text tells times of the whole one.
 * Reference: transformers 5.23, models/smolvlm/video_processing_smolvlm.py and processing_smolvlm.py, as AutoProcessor gives it. It decodes by
 * torchcodec, which counts frames as ext/clip.h does: upright, in the order that they are shown, after edit lists; seconds from the first one's
 * beginning to the last one's end, the rate one by the other. (Its PyAV and OpenCV take the rate from the container, and PyAV leaves frames as
 * they lie: of unequal or turned frames they make other clips.)
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "siglip.h"

enum { SKIPPED_SECONDS = 1, RATE_UNKNOWN = 24, MAX_FRAMES = 999 };

/* ---- choose ---- */

static double rate_of(const sn_clip_info *info) { return info->fps > 0 ? info->fps : RATE_UNKNOWN; }

/* As a float's cast in the reference, for values that may be anything. */
static uint32_t whole(double v, uint32_t most) { return v >= most ? most : v > 0 ? (uint32_t)v : 0; }

typedef struct stretch {
	uint32_t first, n; /* frames */
	double seconds;
} stretch;

static stretch stretch_of(const sn_clip_info *info, const sn_watch_options *o)
{
	stretch all = {0, info->n_frames, info->seconds};
	if (!(o->start > 0) && !(o->end > 0))
		return all;
	double rate = rate_of(info);
	uint32_t first = whole(ceil(o->start * rate), info->n_frames), last = o->end > 0 ? whole(ceil(o->end * rate), info->n_frames) : info->n_frames;
	uint32_t n = last > first ? last - first : 0;
	return (stretch){first, n, n / rate};
}

/* n of [first, last], as numpy's linspace spaces doubles and cuts them down to integers; the same one comes once. */
static uint32_t spread(uint32_t first, uint32_t last, uint32_t n, uint32_t *out)
{
	double length = (double)last - first, step = n > 1 ? length / (n - 1) : 0;
	uint32_t count = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = i > 0 && i + 1 == n ? last : (uint32_t)floor(i * step + first);
		if (!count || out[count - 1] != at)
			out[count++] = at;
	}
	return count;
}

static sn_rc sample(const void *instance, const sn_call *call, const sn_clip_info *info, const sn_watch_options *o, uint32_t cap,
                    uint32_t *frames, sn_watch_sample *out, sn_fault *fault)
{
	(void)call;
	const siglip_config *c = &((const siglip *)instance)->config;
	const stretch s = stretch_of(info, o);
	double fps = o->fps > 0 ? o->fps : (double)c->video_fps, rate = rate_of(info);
	uint32_t most = o->max_frames ? o->max_frames : c->video_frames;
	if (!s.n)
		return kit_fail(fault, SN_RC_INVALID, "no frame of the clip lies between start and end");
	uint32_t n = whole(rint(fps * s.seconds), most), first = 0, last = s.n - 1;
	n = n ? n : 1;
	if (n > cap || n > MAX_FRAMES)
		return kit_fail(fault, SN_RC_TOO_LARGE, "%u frames of a clip are more than the %u that are taken", n, cap < MAX_FRAMES ? cap : MAX_FRAMES);
	if (s.seconds - 2 * SKIPPED_SECONDS > most * fps) {
		first = whole(SKIPPED_SECONDS * rate, UINT32_MAX);
		last = whole(s.n - SKIPPED_SECONDS * rate, s.n - 1);
	}
	if (first >= last) {
		first = 0;
		last = s.n - 1;
	}
	sn_idefics3_cut fit;
	if (!sn_idefics3_plan(info->width, info->height, c->video_longest, c->image, false, &fit))
		return kit_fail(fault, SN_RC_TOO_LARGE, "the clip's pictures are empty or too large");
	*out = (sn_watch_sample){.size = out->size, .n_frames = spread(s.first + first, s.first + last, n, frames), .group = 1, .n_steps = 2,
	                         .steps = {{.width = fit.fit_w, .height = fit.fit_h, .filter = SN_CLIP_LANCZOS3_TORCH},
	                                   {.width = c->image, .height = c->image, .filter = SN_CLIP_LANCZOS3_TORCH}}};
	return SN_RC_OK;
}

/* ---- text ---- */

typedef struct writer {
	char *text; /* NULL: only counted */
	uint32_t size, cap;
} writer;

static void put(writer *w, const char *text)
{
	uint32_t n = (uint32_t)strlen(text);
	if (w->text && n <= w->cap - w->size)
		memcpy(w->text + w->size, text, n);
	w->size += n;
}

/* 1 to 999, in words. */
static void put_number(writer *w, uint32_t n)
{
	static const char *const SMALL[] = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
	                                    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
	static const char *const TENS[] = {"", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};
	if (n >= 100) {
		put(w, SMALL[n / 100 % 10]);
		put(w, n % 100 ? " hundred and " : " hundred");
		n %= 100;
		if (!n)
			return;
	}
	put(w, n < 20 ? SMALL[n] : TENS[n / 10]);
	if (n >= 20 && n % 10) {
		put(w, "-");
		put(w, SMALL[n % 10]);
	}
}

static void write_clip(writer *w, const sn_watch_clip *clip, uint32_t *holes)
{
	char line[96];
	double rate = rate_of(clip->info);
	uint32_t seconds = whole(clip->info->seconds, UINT32_MAX);
	put(w, "You are provided the following series of ");
	put_number(w, clip->sample->n_frames);
	snprintf(line, sizeof line, " frames from a %u:%02u:%02u [H:MM:SS] video.\n", seconds / 3600, seconds / 60 % 60, seconds % 60);
	put(w, line);
	for (uint32_t i = 0; i < clip->sample->n_frames; i++) {
		double at = clip->frames[i] / rate, rest = fmod(at, 60);
		snprintf(line, sizeof line, "\nFrame from %02u:%02u:", whole(rint((at - rest) / 60), UINT32_MAX), whole(rest, 59));
		put(w, line);
		put(w, SIGLIP_FAKE SIGLIP_GLOBAL);
		if (holes)
			holes[i] = w->size;
		put(w, SIGLIP_FAKE);
	}
	put(w, "\n\n");
}

static sn_rc layout(const void *instance, const sn_call *call, const sn_watch_clip *clip, char *text, uint32_t *text_size, uint32_t *holes,
                    sn_fault *fault)
{
	(void)instance;
	(void)call;
	writer w = {.text = text, .cap = text ? *text_size : 0};
	if (clip->sample->n_frames == 0 || clip->sample->n_frames > MAX_FRAMES)
		return kit_fail(fault, SN_RC_INTERNAL, "not a sample that was made here");
	write_clip(&w, clip, text ? holes : NULL);
	if (text && w.size != *text_size)
		return kit_fail(fault, SN_RC_INTERNAL, "the text is of another clip");
	*text_size = w.size;
	return SN_RC_OK;
}

static const char *marker(const void *instance)
{
	(void)instance;
	return SIGLIP_VIDEO_MARKER;
}

const sn_ext_watch siglip_watch_ext = {
    .size = sizeof siglip_watch_ext,
    .kind_name = "video",
    .marker = marker,
    .sample = sample,
    .layout = layout,
};
