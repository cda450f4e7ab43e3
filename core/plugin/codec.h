/* codec.h - how the media gate calls a codec: in this process, or in a helper that a decoder's bug may end (isolate.h). The same
 * calls in both, and the same answers.
 *
 * Two calls stay in this process always. `sniff` looks at a file's first 64 bytes with the plugin's own few comparisons, before it is known
 * whose file it is: no library of decoders is entered. `write` (sn.write/1) has our own samples for its input, not a client's file. */
#ifndef SN_PLUGIN_CODEC_H
#define SN_PLUGIN_CODEC_H

#include "plugin/host.h"

/* What a call may come back with beside the contract's codes; fault_to_error knows them. */
enum {
	HOST_RC_DIED = INT32_MIN, /* the helper ended in it */
	HOST_RC_BUSY,             /* there is no helper to be had now */
	HOST_RC_ENDING,           /* nor will there be */
};

/* One file's calls, by one thread. */
typedef struct codec_run {
	plugin_host *host;
	plugin *p;
	const sn_call *call;
	const uint8_t *bytes;
	size_t n;
	struct isolate_helper *helper; /* from its first call on */
	int file;                      /* the bytes as a sealed file, -1: not made */
} codec_run;

codec_run codec_begin(plugin_host *h, plugin *p, const sn_call *call, const void *bytes, size_t n);
/* trusted: what it said was worth believing. A helper that was not asked in vain serves other files, one that lied does not. */
void codec_end(codec_run *r, bool trusted);

/* As in ext/decode.h and ext/clip.h. */
sn_rc codec_measure(codec_run *r, const sn_media_limits *limits, sn_media *media, sn_fault *fault);
sn_rc codec_decode(codec_run *r, const sn_media_limits *limits, sn_media *media, sn_fault *fault);
sn_rc codec_look(codec_run *r, const sn_clip_limits *limits, sn_clip_info *info, sn_fault *fault);
sn_rc codec_times(codec_run *r, const sn_clip_limits *limits, double *seconds, uint32_t n_frames, sn_fault *fault);
sn_rc codec_read(codec_run *r, const sn_clip_limits *limits, const sn_clip_wish *wish, sn_media *media, sn_fault *fault);

#endif
