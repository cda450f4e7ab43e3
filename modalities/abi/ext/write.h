/* ext/write.h - "sn.write/1": a codec turns canonical media into a file's bytes.
 *
 *   host: bound(media, options)       -> the most bytes that the file can have; checks media and options, allocates nothing
 *   host: allocates capacity bytes       the bound, or less: then it is the host's limit
 *   host: write(media, options, out)  -> fills out, sets *n; a file that does not fit: SN_RC_TOO_LARGE
 *
 * The file's type is options->media_type, one of media_types. Flat in, flat out, no pointer kept, no state between calls.
 * The same media and options give the same bytes: no time, name or version of anything is written into the file.
 */
#ifndef SENSORIUM_EXT_WRITE_H
#define SENSORIUM_EXT_WRITE_H

#include "../media.h"

#define SN_EXT_WRITE "sn.write/1"

typedef struct sn_write_options {
	uint32_t size;          /* sizeof(sn_write_options) */
	uint32_t quality;       /* 1 to 100 for types that lose something, ignored by the others; 0: the codec's choice */
	const char *media_type; /* "image/png" */
} sn_write_options;

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
} sn_ext_write;

#endif
