/* ext/clip.h - "sn.clip/1": a codec for moving pictures hands on the few frames that a model wants, at the size that it wants.
 *
 *   host: sniff(bytes)                  -> is it mine, and what is it called? Looks at the first bytes only.
 *   host: look(bytes, limits)           -> how large, how many frames, how long, with sound? Reads the container, decodes no picture
 *   host: times(bytes, limits)          -> when each frame is shown, where sampling has to know it
 *   host: chooses frames and sizes (a wish), asks sn_clip_shape, allocates samples and timestamps
 *   host: read(bytes, limits, wish, media)  -> fills both
 *
 * A frame's index is its place in the order in which the whole clip is shown: what a decode of everything from the beginning would
 * count, after edit lists, whatever order the file stores it in. A read gives the frames that such a decode would have given,
 * also where it left out what lies between. Frames are upright (the track's rotation applied), opaque (on white) RGB.
 *
 * Time 0 is the earliest beginning of the picture and sound tracks that are read; sound that the same plugin decodes ("sn.decode/1" of
 * kind "audio") begins there too: its sample i and a frame shown at i / rate belong together.
 *
 * Flat in, flat out, no pointer kept, no state between calls: the same calls can run in a sandboxed process.
 */
#ifndef SENSORIUM_EXT_CLIP_H
#define SENSORIUM_EXT_CLIP_H

#include "../media.h"

#define SN_EXT_CLIP "sn.clip/1"

/* Caps that hold before anything of that size is allocated. 0 means no cap of that kind. */
typedef struct sn_clip_limits {
	uint32_t size;                  /* sizeof(sn_clip_limits) */
	uint32_t max_ms;                /* that one call may take by the clock; then SN_RC_TOO_LARGE */
	uint32_t max_width, max_height; /* of the track's pictures, upright */
	uint64_t max_pixels;            /* width x height */
	uint32_t max_track_frames;      /* in the file */
	uint32_t max_seconds;           /* of the file */
	uint64_t max_bytes;             /* of what read hands on */
	uint32_t max_frames;            /* of a wish */
	uint32_t reserved;
} sn_clip_limits;

typedef struct sn_clip_info {
	uint32_t size;          /* sizeof(sn_clip_info) */
	uint32_t width, height; /* upright */
	uint32_t n_frames;      /* of the picture track, counted; at least 1 */
	double seconds;         /* from the first frame's beginning to the last one's end */
	double fps;             /* on average: n_frames / seconds; 0: not known (one frame, and not how long it is shown) */
	uint32_t has_sound;     /* 1: a track that this plugin reads as sound */
	uint32_t reserved;
} sn_clip_info;

typedef enum sn_clip_filter { SN_CLIP_BILINEAR = 0, SN_CLIP_BICUBIC = 1, SN_CLIP_LANCZOS3 = 2, SN_CLIP_LANCZOS3_TORCH = 3 } sn_clip_filter;

/* One resize, antialiased, on u8 with the result rounded to u8: exactly as Pillow does it, or as PyTorch does (it rounds weights to 16 bits). */
typedef struct sn_clip_step {
	uint32_t width, height; /* it becomes this large */
	uint32_t filter;        /* sn_clip_filter */
	uint32_t reserved;
} sn_clip_step;

enum { SN_CLIP_MAX_STEPS = 4 };

typedef struct sn_clip_wish {
	uint32_t size;          /* sizeof(sn_clip_wish) */
	uint32_t n_frames;      /* at least 1 */
	const uint32_t *frames; /* [n_frames] indices, ascending; one may come again */
	uint32_t n_steps;       /* 0: as large as they are */
	uint32_t reserved;
	sn_clip_step steps[SN_CLIP_MAX_STEPS]; /* one after the other */
} sn_clip_wish;

typedef struct sn_ext_clip {
	uint32_t size;
	uint32_t reserved;
	const char *kind_name;   /* "video": as in ext/decode.h */
	const char *media_types; /* space-separated MIME types, e.g. "video/mp4 video/webm" */
	const char *aliases;     /* as in ext/decode.h, or NULL */
	/* The MIME type (one of media_types) that the bytes begin like, or NULL. Looks at no more than 64 bytes. [any] */
	const char *(*sniff)(const uint8_t *bytes, size_t n);
	/* A file that ends early or lies is SN_RC_INVALID, one without pictures too; over a limit: SN_RC_TOO_LARGE. [any] */
	sn_rc (*look)(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *limits, sn_clip_info *info,
	              sn_fault *fault);
	/* seconds: [n_frames] as look counted them, ascending. [any] */
	sn_rc (*times)(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *limits, double *seconds,
	               uint32_t n_frames, sn_fault *fault);
	/* media as sn_clip_shape left it, with samples [bytes] and timestamps [n_frames] allocated; fills both. Memory beside them does
	 * not grow with the clip, but for some bytes a frame of the track. [any] */
	sn_rc (*read)(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *limits,
	              const sn_clip_wish *wish, sn_media *media, sn_fault *fault);
} sn_ext_clip;

/* What every sn_ext_clip has. */
#define SN_EXT_CLIP_MIN_SIZE sizeof(sn_ext_clip)

/* The shape of what read will hand on; samples and timestamps are left alone. False: no frames, a side of 0, or too many bytes. */
static inline bool sn_clip_shape(const sn_clip_info *info, const sn_clip_wish *wish, sn_media *media)
{
	const sn_clip_step *last = wish->n_steps ? &wish->steps[(wish->n_steps - 1) % SN_CLIP_MAX_STEPS] : NULL;
	media->kind = SN_MEDIA_VIDEO;
	media->width = last ? last->width : info->width;
	media->height = last ? last->height : info->height;
	media->n_frames = wish->n_frames;
	media->rate = 0;
	media->n_samples = 0;
	uint64_t pixels = (uint64_t)media->width * media->height;
	return wish->n_steps <= SN_CLIP_MAX_STEPS && pixels && wish->n_frames &&
	       !__builtin_mul_overflow(pixels, (uint64_t)3 * wish->n_frames, &media->bytes);
}

_Static_assert(sizeof(sn_clip_limits) == 48, "sn_clip_limits is frozen");
_Static_assert(sizeof(sn_clip_info) == 40, "sn_clip_info is frozen");
_Static_assert(sizeof(sn_clip_wish) == 88, "sn_clip_wish is frozen");

#endif
