/* ext/watch.h - "sn.watch/1": an encoder of pictures ("sn.plan/1", "sn.encode/1") that takes the frames of a clip, too.
 *
 *   host: looks at the clip             -> sn_clip_info                                       (ext/clip.h)
 *   host: sample(info, options)         -> which frames, how they are resized, how many of them make one medium (a group)
 *   host: reads these frames, and cuts them into groups: VIDEO of `group` frames each, without timestamps
 *   host: plan and layout of "sn.plan/1" for a group: no text, one hole; begin, step, end of "sn.encode/1" make its rows
 *   host: layout(info, frames, seconds) -> text of the whole clip, with one hole for each group, where its rows stand
 *
 * A group's rows depend on its samples alone, neither on when it is shown nor on the frames around it: so frames of a clip that has grown
 * are found again. The media of a group are the size that the steps left: begin has little to do, and may run on the step's thread.
 */
#ifndef SENSORIUM_EXT_WATCH_H
#define SENSORIUM_EXT_WATCH_H

#include "clip.h"
#include "plan.h"

#define SN_EXT_WATCH "sn.watch/1"

/* What who asks says about the clip. 0: the model's own. Finite, not negative; end is 0 or above start. */
typedef struct sn_watch_options {
	uint32_t size;       /* sizeof(sn_watch_options) */
	uint32_t max_frames; /* in all */
	double fps;          /* frames taken for each second */
	double start, end;   /* seconds of the clip */
} sn_watch_options;

typedef struct sn_watch_sample {
	uint32_t size;     /* sizeof(sn_watch_sample) */
	uint32_t n_frames; /* a multiple of group */
	uint32_t group;    /* frames of one medium, at least 1 */
	uint32_t n_steps;
	sn_clip_step steps[SN_CLIP_MAX_STEPS]; /* as in sn_clip_wish */
} sn_watch_sample;

/* What layout is told: the clip as it was sampled. */
typedef struct sn_watch_clip {
	uint32_t size; /* sizeof(sn_watch_clip) */
	uint32_t reserved;
	const sn_clip_info *info;
	const sn_watch_options *options;
	const sn_watch_sample *sample;
	const uint32_t *frames; /* [sample->n_frames] */
	const double *seconds;  /* [sample->n_frames] when they are shown, as the file has it */
} sn_watch_clip;

typedef struct sn_ext_watch {
	uint32_t size;
	uint32_t reserved;
	const char *kind_name; /* "video": the codec's, ext/clip.h */
	/* As in ext/plan.h, e.g. "<video>". [any] */
	const char *(*marker)(const void *instance);
	/* frames: room for `cap` indices, ascending when filled. Where nothing of the clip lies between start and end: SN_RC_INVALID; more
	 * frames than cap: SN_RC_TOO_LARGE. [any] */
	sn_rc (*sample)(const void *instance, const sn_call *call, const sn_clip_info *info, const sn_watch_options *options, uint32_t cap,
	                uint32_t *frames, sn_watch_sample *sample, sn_fault *fault);
	/* text NULL: *text_size is set. Else text [*text_size, as it was set] and holes are filled: the bytes of text before each, ascending,
	 * [n_frames / group]. [any] */
	sn_rc (*layout)(const void *instance, const sn_call *call, const sn_watch_clip *clip, char *text, uint32_t *text_size, uint32_t *holes,
	                sn_fault *fault);
} sn_ext_watch;

/* What every sn_ext_watch has. */
#define SN_EXT_WATCH_MIN_SIZE sizeof(sn_ext_watch)

_Static_assert(sizeof(sn_watch_options) == 32, "sn_watch_options is frozen");
_Static_assert(sizeof(sn_watch_sample) == 80, "sn_watch_sample is frozen");

#endif
