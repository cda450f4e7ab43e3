/* media.h - the media gate and the media cache.
 *
 * The gate is the ONE way from a client's bytes to a decoder: type by its first bytes, limits from the header, a budget of
 * decoded bytes, a bounded number of decodes at once. The cache keeps what encoders made of media: rows keyed by encoder,
 * content, plan options and salt. An entry is born PENDING together with its encoder job; whoever asks for the same content
 * meanwhile shares it. Rows are stored in the KV cache's type before their first use.
 *
 * Locking: the cache has its own lock; jobs are stepped by the engine thread only. */
#ifndef SN_ENGINE_MEDIA_H
#define SN_ENGINE_MEDIA_H

#include <pthread.h>

#include "base/hash.h"
#include "base/metrics.h"
#include "engine/pages.h"
#include "plugin/host.h"

/* ---- gate ---- */

typedef struct media_gate {
	plugin_host *host;
	metrics *metrics;
	sn_log *log;
	hash_key key;
	size_t max_bytes; /* of decoded samples alive at once */
	size_t held;
	uint32_t slots;   /* decodes that may run at once */
	pthread_mutex_t lock;
	pthread_cond_t free_slot;
} media_gate;

void media_gate_init(media_gate *g, plugin_host *host, metrics *m, sn_log *log, const hash_key *key, size_t max_bytes, uint32_t slots);
void media_gate_fini(media_gate *g);
/* Decodes one part; rate: at which samples in time are wanted (encoder.media_rate), 0: their own. Holds a slot until
 * media_gate_release: encoders' begin runs inside it as well. */
sn_status media_gate_decode(media_gate *g, const sn_part *part, uint32_t rate, const char *request_id, sn_media *out, sn_error *err);
/* Clips: what is read of one is chosen once it has been looked at. Fills wish; its frames are ctx's, and outlive the call. */
typedef sn_status clip_choose(void *ctx, const sn_clip_info *info, sn_clip_wish *wish, sn_error *err);
/* As media_gate_decode, for a kind that a codec reads as clips ("sn.clip/1"): the chosen frames, with timestamps. */
sn_status media_gate_watch(media_gate *g, const sn_part *part, clip_choose *choose, void *ctx, const char *request_id, sn_clip_info *info,
                           sn_media *out, sn_error *err);
/* Frames [first, first + n) of a clip as a medium of their own, which points into it, with the hash of what they show. */
sn_media media_gate_group(const media_gate *g, const sn_media *clip, uint32_t first, uint32_t n);
sn_clip_limits media_gate_clip_limits(const media_gate *g);
/* The kind of the codec that these bytes begin like; see sn_engine_kind_of. */
const char *media_gate_kind(const media_gate *g, const void *bytes, size_t n, const char *mime);
/* The caps that a codec of this sn_media_kind gets, and how long its media may be in seconds, 0: they have no length. */
sn_media_limits media_gate_limits(uint32_t kind, uint32_t rate);
uint32_t media_gate_seconds(uint32_t kind);
void media_gate_release(media_gate *g, sn_media *media);
/* A medium of which parts are encoded one after another, over minutes: it keeps its bytes and has a slot only around each begin. */
void media_gate_park(media_gate *g);   /* gives the slot back */
void media_gate_resume(media_gate *g); /* takes one again */
void media_gate_forget(media_gate *g, sn_media *media); /* the end of a parked one */
/* Sets the hash, over shape and samples. */
void media_gate_hash(const media_gate *g, sn_media *media);

/* ---- cache ---- */

enum media_state { MEDIA_PENDING, MEDIA_READY, MEDIA_FAILED };

typedef struct media_entry {
	hash256 key;
	encoder *enc;          /* NULL: no rows, see media_cache_keep */
	enum media_state state;
	uint32_t refs;
	uint32_t n_rows, dim;
	enum kv_type type;     /* of the rows: media_type of the model's KV */
	uint8_t *rows;         /* [n_rows][dim] */
	size_t bytes;
	sn_error error;        /* FAILED */
	struct media_entry *next;               /* in its bucket */
	struct media_entry *lru_prev, *lru_next; /* READY and unreferenced */
	/* the job, while PENDING */
	sn_media_plan plan;
	void *state_mem;
	sn_ops_ctx *ctx;
	float *staging;        /* [n_rows][dim] */
	uint32_t units_done;
	char request_id[72];   /* whose log lines these are */
	sn_media media;        /* samples not NULL: begin has not run, and these are its own */
} media_entry;

enum { MEDIA_BUCKETS = 1024, MEDIA_MAX_JOBS = 256, MEDIA_MAX_WAITING = 4096 };

typedef struct media_cache {
	pthread_mutex_t lock;
	media_entry *buckets[MEDIA_BUCKETS];
	media_entry *lru_head, *lru_tail; /* oldest first */
	media_entry *jobs[MEDIA_MAX_JOBS]; /* [n_jobs] PENDING, in order of arrival */
	uint32_t n_jobs;
	media_entry *waiting[MEDIA_MAX_WAITING]; /* [n_waiting] PENDING, not begun: see media_cache_enqueue */
	uint32_t n_waiting;
	size_t waiting_bytes, max_waiting; /* of their samples */
	size_t bytes, max_bytes;
	metrics *metrics;
	sn_log *log;
} media_cache;

void media_cache_init(media_cache *c, size_t max_bytes, size_t max_waiting, metrics *m, sn_log *log);
void media_cache_fini(media_cache *c);
/* The entry of this key, referenced; or NULL. get counts a hit. */
media_entry *media_cache_find(media_cache *c, const hash256 *key);
media_entry *media_cache_get(media_cache *c, const hash256 *key);
/* Something else than rows, under the same limit: the entry's rows are these bytes, malloc'ed, which the cache takes. */
void media_cache_keep(media_cache *c, const hash256 *key, void *bytes, size_t n);
/* Makes an entry and its job: begin() has run when this returns. If another thread was faster, that one's entry. */
sn_status media_cache_begin(media_cache *c, const hash256 *key, encoder *enc, enum kv_type type, const sn_media *media,
                            const sn_media_plan *plan, const char *request_id, ops *o, media_entry **out, sn_error *err);
/* The same for one of a clip's groups: it copies the samples, and begin runs on the engine thread when its turn comes, one after another
 * for each request: so a clip has one job's tensors, not one for each frame. */
sn_status media_cache_enqueue(media_cache *c, const hash256 *key, encoder *enc, enum kv_type type, const sn_media *media,
                              const sn_media_plan *plan, const char *request_id, media_entry **out, sn_error *err);
void media_cache_unref(media_cache *c, media_entry **e);

/* Engine thread: drops jobs that nobody waits for, and lets those that wait become jobs; returns how many there are. */
uint32_t media_jobs_sweep(media_cache *c);
/* Engine thread: one slice of job j, at most `units` units, ending with the unit after which another like it would not fit
 * into budget_ms: units differ in cost. True when the job ended, well or not (the entry's state tells). */
bool media_job_step(media_cache *c, uint32_t j, uint32_t units, double budget_ms, ops *o, double *ms, uint32_t *units_done);

#endif
