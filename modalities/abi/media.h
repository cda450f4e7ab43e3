/* media.h - canonical media: what codecs produce and encoders read, whatever the file format was. */
#ifndef SENSORIUM_MEDIA_H
#define SENSORIUM_MEDIA_H

#include "plugin.h"

typedef enum sn_media_kind { SN_MEDIA_IMAGE = 1, SN_MEDIA_AUDIO = 2, SN_MEDIA_VIDEO = 3 } sn_media_kind;

/* One decoded medium. Flat: samples is one block that the holder owns, without pointers inside.
 *   IMAGE: u8 RGB, [height][width][3], n_frames = 1, sRGB assumed, upright (orientation applied), opaque
 *   VIDEO: u8 RGB, [n_frames][height][width][3], timestamps in seconds, [n_frames]
 *   AUDIO: f32 mono in [-1, 1], [n_samples] at rate Hz */
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

#endif
