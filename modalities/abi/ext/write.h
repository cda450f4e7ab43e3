/* ext/write.h - "sn.write/1": a codec turns canonical media into a file's bytes.
 *
 *   host: bound(media, options)       -> the most bytes that the file can have; checks media and options, allocates nothing
 *   host: allocates capacity bytes       the bound, or less: then it is the host's limit
 *   host: write(media, options, out)  -> fills out, sets *n; a file that does not fit: SN_RC_TOO_LARGE
 *
 * The file's type is options->media_type, one of media_types. Flat in, flat out, no pointer kept, no state between calls.
 * The same media and options give the same bytes: no time, name or version of anything is written into the file.
 *
 * Sound can also be written while it is still being made, by codecs that have the stream_ members:
 *
 *   host: stream_open(options)             -> a stream: the plugin's, one thread at a time
 *   host: stream_push(samples), again and again  -> *ready: so many bytes of the file are there now, maybe none
 *   host: stream_finish()                  -> *ready: the rest
 *   host: stream_take(out) after each of them, stream_close() at last, whatever happened
 *
 * How the samples are cut into pushes changes no byte. What has been taken is never changed: where a header tells the length, it
 * says that it is not known. With `whole` set nothing is ready before the end, and headers tell everything.
 */
#ifndef SENSORIUM_EXT_WRITE_H
#define SENSORIUM_EXT_WRITE_H

#include "../media.h"

#define SN_EXT_WRITE "sn.write/1"

typedef struct sn_write_options {
	uint32_t size;          /* sizeof(sn_write_options) */
	uint32_t quality;       /* 1 to 100 for types that lose something, ignored by the others; 0: the codec's choice */
	const char *media_type; /* "image/png" */
	/* Of VIDEO; these came later: options that end before them have neither. */
	const sn_media *sound;  /* the clip's sound, beginning at its time 0; NULL: it has none */
	double fps;             /* of media without timestamps; 0: 25 */
} sn_write_options;

/* What every sn_write_options has. */
#define SN_WRITE_OPTIONS_MIN_SIZE offsetof(sn_write_options, sound)

typedef struct sn_write_stream sn_write_stream; /* the plugin's own */

typedef struct sn_write_stream_options {
	uint32_t size;          /* sizeof(sn_write_stream_options) */
	uint32_t quality;       /* as in sn_write_options */
	const char *media_type; /* "audio/wav" */
	uint32_t rate;          /* Hz, of what is pushed; the file may have another */
	float tempo;            /* 0.25 to 4: so much faster, at the same pitch; 1: as it is */
	uint32_t whole;         /* 1: nothing is ready before stream_finish; 0: as soon as it can be */
} sn_write_stream_options;

typedef struct sn_ext_write {
	uint32_t size;
	uint32_t kind;           /* sn_media_kind that it takes */
	const char *kind_name;   /* "image" */
	const char *media_types; /* space-separated MIME types that it can write */
	/* SN_RC_UNSUPPORTED: a type that is not written; SN_RC_INVALID: media that is not as media.h says, or a quality out of
	 * range; SN_RC_TOO_LARGE: more than the format can hold. [any] */
	sn_rc (*bound)(void *instance, const sn_call *call, const sn_media *media, const sn_write_options *options, uint64_t *bytes,
	               sn_fault *fault);
	/* out: [capacity], the host's. On failure its content is undefined and *n is 0. [any] */
	sn_rc (*write)(void *instance, const sn_call *call, const sn_media *media, const sn_write_options *options, uint8_t *out,
	               uint64_t capacity, uint64_t *n, sn_fault *fault);

	/* Streams of sound: all five, or NULL. Several streams of one instance may run at once. */
	/* Errors as bound's. Memory that a stream holds comes from sn.host.memory. [any] */
	sn_rc (*stream_open)(void *instance, const sn_call *call, const sn_write_stream_options *options, sn_write_stream **out, sn_fault *fault);
	/* samples: [n], mono, borrowed until return. After a failure only stream_close is legal. [any] */
	sn_rc (*stream_push)(void *instance, const sn_call *call, sn_write_stream *s, const float *samples, uint64_t n, uint64_t *ready,
	                     sn_fault *fault);
	/* SN_RC_INVALID: no samples came at all. Afterwards only stream_take and stream_close are legal. [any] */
	sn_rc (*stream_finish)(void *instance, const sn_call *call, sn_write_stream *s, uint64_t *ready, sn_fault *fault);
	/* The oldest bytes that are ready into out: [capacity], the host's. Returns how many. [any] */
	uint64_t (*stream_take)(void *instance, sn_write_stream *s, uint8_t *out, uint64_t capacity);
	void (*stream_close)(void *instance, sn_write_stream *s); /* [any] */
} sn_ext_write;

/* What every sn_ext_write has; streams came later. */
#define SN_EXT_WRITE_MIN_SIZE offsetof(sn_ext_write, stream_open)

static inline bool sn_write_has_streams(const sn_ext_write *w)
{
	return w->size >= sizeof *w && w->stream_open;
}

#endif
