/* check.h - what the parts of `plugins --check` share.
 *
 *   check.c          the table of checks, telling, lives
 *   check_file.c     the file, its descriptors
 *   check_life.c     a thousand lives, wrong orders, threads
 *   check_memory.c   memory that runs out
 *   check_codec.c    "sn.decode/1": garbage, limits, samples
 *   check_clip.c     "sn.clip/1": the same of clips, wishes, deadlines
 *   check_encoder.c  "sn.plan/1" and "sn.encode/1": rows, orders
 *   check_watch.c    "sn.watch/1": frames that are chosen, texts, rows of groups
 *   check_write.c    "sn.write/1": files
 *   check_synth.c    "sn.speak/1" and "sn.synth/1": descriptions, sound
 *   check_media.c    media for encoders and writers
 * and what stands around the plugin meanwhile:
 *   check_host.c     the host that it sees
 *   check_device.c   the device on which its tensors are
 *   check_alloc.c    malloc as it calls it
 *   check_guard.c    memory with a forbidden page behind it
 *   check_trap.c     what a fault was
 *
 * A check runs in a process of its own (whoever calls sn_check_run sees to that): it may crash, and it may hang. */
#ifndef SN_PLUGIN_CHECK_H
#define SN_PLUGIN_CHECK_H

#include "core.h"
#include "plugin/check_host.h"

typedef struct check {
	const sn_check_config *config;
	sn_check_result *out;
	check_host *host;
	const sn_plugin_list *list;
} check;

/* The first failure is the result's text; always false. */
bool check_fails(check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Something that the check needs was not given; always false. */
bool check_lacks(check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool check_failed(const check *c);
/* A negative code must come with a fault that says the same, in words. */
bool check_fault(check *c, const char *call, sn_rc rc, const sn_fault *fault);
bool check_violation(check *c); /* what the host noticed; false if there is something */

/* An instance of one descriptor. Codecs have no model. */
typedef struct life {
	check *c;
	const sn_plugin *d;
	void *instance;
	check_model *model;
	bool begun; /* init succeeded: fini is due */
	uint32_t wanted_rate; /* of AUDIO that a codec decodes; 0: the file's own */
	const sn_ext_decode *codec;
	const sn_ext_clip *clip;
	const sn_ext_plan *plan;
	const sn_ext_encode *encode;
	const sn_ext_watch *watch; /* with plan and encode */
	const sn_ext_write *write;
	const sn_ext_speak *speak; /* with synth */
	const sn_ext_synth *synth;
} life;

/* Instance and model; no call yet but probe. False: told already, or probe had no memory. */
bool life_open(life *l, check *c, const sn_plugin *d);
sn_rc life_init(life *l, sn_fault *fault);
sn_rc life_load(life *l, sn_fault *fault);
bool life_start(life *l, check *c, const sn_plugin *d); /* all of it; must succeed */
void life_close(life *l);

/* n bytes that end where a forbidden page begins; before them, back to the page's start, lies a known pattern. */
typedef struct guarded {
	uint8_t *map, *p;
	size_t n, map_bytes, usable;
} guarded;

bool guarded_open(guarded *g, size_t n);
void guarded_fit(guarded *g, size_t n);    /* the last n bytes of it, n at most as opened */
void guarded_seal(guarded *g);             /* read-only from now on */
void guarded_unseal(guarded *g);
bool guarded_intact(const guarded *g);     /* is the pattern still there? */
void guarded_close(guarded *g);

/* A file that the codec reads, from the samples given. */
typedef struct sample {
	uint8_t *bytes;
	size_t n;
} sample;
/* Sample i, or false if there is none, or none that can be read. malloc'ed. */
bool sample_read(check *c, size_t i, sample *out);
/* The same with a forbidden page behind it. Closed by the caller, whatever is returned. */
bool sample_guarded(check *c, size_t i, guarded *out);
/* Decoded by the codec; samples malloc'ed. False if it does not take this file. */
bool sample_decode(life *codec, const sample *s, sn_media *out);

/* Files that are none: random bytes, half of them behind the first bytes of one that the codec knows, or NULL; that one cut and damaged. */
typedef struct garbage {
	uint32_t random, cuts, damaged; /* of each */
	void (*try)(life *l, guarded *in);
} garbage;
void random_files(life *l, const garbage *g, const guarded *known, uint64_t *seed);
void damaged_files(life *l, const garbage *g, const guarded *known, uint64_t *seed);

/* Media of a kind for encoders and writers: what the file's own codec makes of the samples, and some made here. Samples and timestamps
 * malloc'ed; returns how many. rate: of AUDIO; 0: any. */
enum { MAX_MEDIA_TRIED = 8 };
size_t media_make(check *c, uint32_t kind, const char *kind_name, uint32_t rate, sn_media out[MAX_MEDIA_TRIED]);
void media_free(sn_media *m, size_t n);

/* Is it one of the words, which are separated by spaces? */
bool check_in_words(const char *words, const char *word);

/* The checks, one function a row of the table in check.c. */
void check_file(check *c);
void check_descriptors(check *c);
void check_lifecycle(check *c);
void check_orders(check *c);
void check_memory(check *c);
void check_threads(check *c);
void check_garbage(check *c);
void check_limits(check *c);
void check_samples(check *c);
void check_clips(check *c);
void check_watches(check *c);
void check_rows(check *c);
void check_writes(check *c);
void check_sound(check *c);
/* Of one medium: its plan, and its rows however sliced and in any company; *used grows if the encoder takes it. */
bool check_rows_of(life *l, const sn_media *m, size_t *used);
void check_job_orders(life *l, check *c);
void check_synth_orders(life *l);
/* One pass over all that the plugin can do, whatever it returns; for the checks of memory and threads. False: told already. */
bool check_pass(life *l);
bool check_pass_codec(life *l);
bool check_pass_clips(life *l);
bool check_pass_watcher(life *l);
bool check_pass_encoder(life *l);
bool check_pass_writer(life *l);
bool check_pass_synth(life *l);
void check_threads_codec(life *l);
void check_threads_clips(life *l);
void check_threads_encoder(life *l);
void check_threads_writer(life *l);
void check_threads_synth(life *l);

#endif
