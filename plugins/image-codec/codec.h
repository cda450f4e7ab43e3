/* codec.h - what the parts of image-codec share.
 *
 *   plugin.c       the contract: sniff, measure, decode; limits; faults
 *   png.c jpeg.c   one file format each: a header parser of our own (measure), the library (decode)
 *   orientation.c  the EXIF orientation
 *   canvas.c       stored pixels -> upright, opaque RGB
 *
 * A format's header is read by our parser before its library sees a byte, so that limits hold before anything is
 * allocated. Libraries' messages go to the host's log; faults have wording of our own.
 */
#ifndef IMAGE_CODEC_H
#define IMAGE_CODEC_H

#include <sensorium/ext/decode.h>
#include <sensorium/host/log.h>
#include <sensorium/host/memory.h>
#include <sensorium/media.h>
#include <sensorium/plugin.h>

#define CODEC_ID "image-codec"

typedef struct codec {
	const sn_host *host;
	const sn_host_log *log;
	const sn_host_memory *memory;
} codec;

/* One file's header. */
typedef struct image_header {
	uint32_t width, height; /* as stored, before orientation */
	uint32_t channels;      /* as stored: 1 to 4 */
	uint32_t orientation;   /* 1 to 8 */
	bool interlaced;        /* PNG: Adam7 */
	bool many_scans;        /* JPEG: decoding needs the whole picture's coefficients */
} image_header;

/* One decode: where its pixels go and what it may use. */
typedef struct decode_job {
	const codec *codec;
	const sn_call *call;
	const uint8_t *bytes; /* [n] */
	size_t n;
	const image_header *header;
	uint32_t max_scans; /* 0: no cap */
	uint8_t *rgb;       /* upright [height][width][3] */
	sn_fault *fault;
	uint32_t n_logged;
} decode_job;

/* Fills the fault and returns code. text: fixed wording. */
sn_rc codec_fail(sn_fault *fault, sn_rc code, const char *text);

/* A library's message. The first few of a call are logged. */
void codec_log(decode_job *job, int32_t level, const char *text);

/* Header parsers: nothing is allocated, nothing outside bytes is read. */
sn_rc png_measure(const uint8_t *bytes, size_t n, image_header *header, sn_fault *fault);
sn_rc jpeg_measure(const uint8_t *bytes, size_t n, image_header *header, sn_fault *fault);

/* Decoders: job->header has passed the limits, job->rgb has room for it. */
sn_rc png_decode(decode_job *job);
sn_rc jpeg_decode(decode_job *job);

#endif
