/* ext/decode.h - "sn.decode/1": a codec turns a file's bytes into canonical media.
 *
 *   host: sniff(bytes)            -> is it mine, and what is it called? Looks at the first bytes only.
 *   host: measure(bytes, limits)  -> sizes from the header, nothing allocated; over a limit: SN_RC_TOO_LARGE
 *   host: allocates media->bytes of samples
 *   host: decode(bytes, limits, media) -> fills samples
 *
 * Flat in, flat out, no pointer kept, no state between calls: the same three calls can run in a sandboxed process.
 * That process calls measure once with no bytes, then gives up opening files: what a codec loads late it loads in that call.
 */
#ifndef SENSORIUM_EXT_DECODE_H
#define SENSORIUM_EXT_DECODE_H

#include "../media.h"

#define SN_EXT_DECODE "sn.decode/1"

typedef struct sn_ext_decode {
	uint32_t size;
	uint32_t kind;           /* sn_media_kind that it makes */
	const char *kind_name;   /* "image": the modality's name as chat templates and APIs spell it. [a-z0-9_-], at most 31 bytes */
	const char *media_types; /* space-separated MIME types, e.g. "image/png image/jpeg" */
	/* The MIME type (one of media_types) that the bytes begin like, or NULL. Looks at no more than 64 bytes. [any] */
	const char *(*sniff)(const uint8_t *bytes, size_t n);
	/* Fills kind, width, height, n_frames, rate, n_samples and bytes; leaves samples alone. On entry media->rate is the rate that
	 * AUDIO is wanted at (the codec resamples while it decodes), 0 for the file's own; all else is zero but for size. [any] */
	sn_rc (*measure)(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits,
	                 sn_media *media, sn_fault *fault);
	/* media as measure left it, with samples allocated. A file that ends early or lies is SN_RC_INVALID, never a guess. [any] */
	sn_rc (*decode)(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits,
	                sn_media *media, sn_fault *fault);
	/* What else clients call its media_types, as space-separated pairs "said=meant": "image/jpg=image/jpeg". NULL: nothing. */
	const char *aliases;
} sn_ext_decode;

/* What every sn_ext_decode has; aliases came later. */
#define SN_EXT_DECODE_MIN_SIZE offsetof(sn_ext_decode, aliases)

#endif
