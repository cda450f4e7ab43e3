/* media.h - canonical media: what codecs produce and encoders read, whatever the file format was. */
#ifndef SENSORIUM_MEDIA_H
#define SENSORIUM_MEDIA_H

#include "plugin.h"

/* DATA is for modalities that this contract does not know: bytes whose meaning a codec and an encoder of the same kind_name
 * have agreed upon. Kinds are told apart by kind_name; this number only says how the samples are laid out. */
typedef enum sn_media_kind { SN_MEDIA_IMAGE = 1, SN_MEDIA_AUDIO = 2, SN_MEDIA_VIDEO = 3, SN_MEDIA_DATA = 4 } sn_media_kind;

/* One decoded medium. Flat: samples is one block that the holder owns, without pointers inside.
 *   IMAGE: u8 RGB, [height][width][3], n_frames = 1, sRGB assumed, upright (orientation applied), opaque
 *   VIDEO: u8 RGB, [n_frames][height][width][3], timestamps in seconds, [n_frames]
 *   AUDIO: f32 mono in [-1, 1], [n_samples] at rate Hz
 *   DATA:  u8, [bytes]; width, height, n_frames, rate and n_samples are the codec's own, e.g. columns and rows */
typedef struct sn_media {
	uint32_t size; /* sizeof(sn_media) */
	uint32_t kind; /* sn_media_kind */
	uint32_t width, height, n_frames;
	uint32_t rate;
	uint64_t n_samples;
	void *samples;
	uint64_t bytes;     /* of samples */
	double *timestamps; /* NULL unless VIDEO */
	uint8_t hash[32];   /* the host's, over kind, shape, decode options and samples */
} sn_media;

/* Caps that a decoder must hold BEFORE it allocates, from the file's header. 0 means no cap of that kind. */
typedef struct sn_media_limits {
	uint32_t size; /* sizeof(sn_media_limits) */
	uint32_t max_width, max_height;
	uint32_t max_frames;
	uint64_t max_pixels;  /* width x height */
	uint64_t max_bytes;   /* of samples */
	uint64_t max_samples; /* audio */
	uint32_t max_scans;   /* progressive passes */
	uint32_t max_channels;
} sn_media_limits;

/* Do the samples have the size that the shape says? The host asks this of every codec; encoders may rely on it. */
static inline bool sn_media_sound(const sn_media *m)
{
	uint64_t n = (uint64_t)m->width * m->height;
	switch (m->kind) {
	case SN_MEDIA_IMAGE:
		return n > 0 && m->n_frames == 1 && !__builtin_mul_overflow(n, (uint64_t)3, &n) && n == m->bytes;
	case SN_MEDIA_VIDEO:
		return n > 0 && m->n_frames > 0 && !__builtin_mul_overflow(n, (uint64_t)3 * m->n_frames, &n) && n == m->bytes;
	case SN_MEDIA_AUDIO:
		return m->rate > 0 && m->n_samples > 0 && m->n_samples <= UINT64_MAX / sizeof(float) && m->n_samples * sizeof(float) == m->bytes;
	case SN_MEDIA_DATA:
		return m->bytes > 0;
	default:
		return false;
	}
}

_Static_assert(sizeof(sn_media) == 88, "sn_media is frozen");
_Static_assert(offsetof(sn_media, hash) == 56, "sn_media is frozen");
_Static_assert(sizeof(sn_media_limits) == 48, "sn_media_limits is frozen");

#endif
