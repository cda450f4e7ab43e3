/* codec.h - what the parts of image-codec share.
 *
 *   plugin.c                  the contract: life cycle, sniff, measure, decode; limits
 *   png.c jpeg.c webp.c gif.c one file format each: a header parser of our own (measure), the library (decode)
 *   write.c                   sn.write/1: what may be written, and as what
 *   png_write.c jpeg_write.c  one file format each
 *   orientation.c             the EXIF orientation
 *   canvas.c                  stored pixels -> upright, opaque RGB
 *
 * A format's header is read by our parser before its library sees a byte, so that limits hold before anything is
 * allocated. Libraries' messages go to the host's log; faults have wording of our own.
 */
#ifndef IMAGE_CODEC_H
#define IMAGE_CODEC_H

#include <kit.h>

#include <sensorium/ext/decode.h>
#include <sensorium/ext/write.h>
#include <sensorium/media.h>

/* What a library may take for itself, beside the picture: libjpeg (the coefficients of a progressive file) and libwebp
 * (a lossless plane) ask malloc, not the host's budget. A file that needs more is refused from its header. */
#define CODEC_WORK_CAP ((uint64_t)128 << 20)

/* One file's header. */
typedef struct image_header {
	uint32_t width, height; /* as stored, before orientation */
	uint32_t channels;      /* as stored: 1 to 4 */
	uint32_t orientation;   /* 1 to 8 */
	uint64_t work_bytes;    /* the library's own memory that grows with the picture */
	bool interlaced;        /* PNG: Adam7; GIF: four passes */
	bool many_scans;        /* JPEG: decoding needs the whole picture's coefficients */
	/* WebP and GIF: where the first frame stands on the canvas of width x height */
	uint32_t left, top, frame_width, frame_height;
	int32_t transparent;    /* GIF: the index that shows what is behind, -1: none */
	const uint8_t *frame;   /* WebP: the frame's chunks, [frame_bytes] of the file */
	size_t frame_bytes;
} image_header;

/* One decode: where its pixels go and what it may use. */
typedef struct decode_job {
	const kit_host *host;
	const sn_call *call;
	const uint8_t *bytes; /* [n] */
	size_t n;
	const image_header *header;
	uint32_t max_scans; /* 0: no cap */
	uint8_t *rgb;       /* upright [height][width][3] */
	sn_fault *fault;
	uint32_t n_logged;
} decode_job;

/* One picture being written: [height][width][3] in, at most capacity bytes out. */
typedef struct write_job {
	const kit_host *host;
	const sn_call *call;
	const uint8_t *rgb;
	uint32_t width, height;
	uint32_t quality; /* 1 to 100 */
	uint8_t *out;
	size_t capacity, n;
	sn_fault *fault;
} write_job;


/* A library's message. The first few of a call are logged. */
void codec_log(decode_job *job, int32_t level, const char *text);

/* Header parsers: nothing is allocated, nothing outside bytes is read. */
sn_rc png_measure(const uint8_t *bytes, size_t n, image_header *header, sn_fault *fault);
sn_rc jpeg_measure(const uint8_t *bytes, size_t n, image_header *header, sn_fault *fault);
sn_rc webp_measure(const uint8_t *bytes, size_t n, image_header *header, sn_fault *fault);
sn_rc gif_measure(const uint8_t *bytes, size_t n, image_header *header, sn_fault *fault);

/* Decoders: job->header has passed the limits, job->rgb has room for it. */
sn_rc png_decode(decode_job *job);
sn_rc jpeg_decode(decode_job *job);
sn_rc webp_decode(decode_job *job);
sn_rc gif_decode(decode_job *job);

/* Writers: the size has been checked; quality is set. The bounds hold for every picture of that size. */
uint64_t png_bound(uint32_t width, uint32_t height);
uint64_t jpeg_bound(uint32_t width, uint32_t height);
sn_rc png_write(write_job *job);
sn_rc jpeg_write(write_job *job);

/* A type that the plugin knows, as the listings spell it. */
#define PNG_TYPE "image/png"
#define JPEG_TYPE "image/jpeg"
#define WEBP_TYPE "image/webp"
#define GIF_TYPE "image/gif"

/* write.c: the vtable of sn.write/1. */
extern const sn_ext_write CODEC_WRITE;

#endif
