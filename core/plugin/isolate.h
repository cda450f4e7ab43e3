/* isolate.h - codec helpers: processes of this program in which the codecs of the plugin folder run, without files, network or more
 * memory and time than a decode may take. What happens to one costs the request that it worked for.
 *
 * A helper is made by a thread of its own, which lives as long as the engine: it dies with the one that made it (PR_SET_PDEATHSIG). It
 * serves one call at a time and many after another; there are as many as run at once. */
#ifndef SN_PLUGIN_ISOLATE_H
#define SN_PLUGIN_ISOLATE_H

#include "base/metrics.h"
#include "plugin/codec.h"
#include "plugin/isolate_wire.h"

typedef struct isolate isolate;

/* Starts the first helper, so that what stands in the way is told now. m: counts helpers that fail, or NULL; program, argv: of what calls sn_codec_helper. */
sn_status isolate_open(isolate **out, plugin_host *h, metrics *m, const char *program, const char *const *argv, uint32_t timeout_ms, sn_error *err);
/* Ends what runs: calls end with HOST_RC_ENDING, and so do all from now on. [any] */
void isolate_end(isolate *x);
/* No call runs any more. Afterwards there is no helper. */
void isolate_close(isolate **x);

/* Where the parts of an answer go; NULL where a call has none. */
typedef struct wire_out {
	sn_media *media;
	void *samples;
	sn_clip_info *info;
	double *times;
	const uint32_t *frames; /* goes there */
} wire_out;

sn_rc isolate_call(codec_run *r, wire_call *c, const wire_out *out, sn_fault *fault);
void isolate_done(codec_run *r, bool trusted);

/* In the helper: from here on no file, no network, no process, `memory` more bytes than now, and life_s of processor time. NULL, or what
 * could not be done. */
const char *isolate_cage(size_t memory, size_t mapped, uint64_t life_s);
/* Before: where it is root it becomes nobody. False: it is root for good, since it may not change that or there is nobody here. */
bool isolate_drop_root(void);

#endif
