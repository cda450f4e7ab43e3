/* engine.h - the engine's inside: served models, requests, sequences, and who owns what.
 *
 * A request is made by sn_chat_submit on an API thread, handed over through the bounded inbox, run by the engine thread and
 * read through its event ring. It has two owners, consumer and engine, and is freed when both have let go. A request
 * owns its sequences; this build makes one per request.
 */
#ifndef SN_ENGINE_ENGINE_H
#define SN_ENGINE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/metrics.h"
#include "engine/media.h"
#include "engine/sampler.h"
#include "engine/schedule.h"
#include "model/forward.h"
#include "plugin/host.h"
#include "text/detok.h"
#include "text/stopper.h"

enum { MAX_MODELS = 16, MAX_ENCODERS = SN_MAX_MODALITIES, RING_EVENTS = 256, MAX_MEDIA = SN_MAX_MEDIA };

typedef struct served_model {
	model *m;
	encoder *encoders[MAX_ENCODERS]; /* [n_encoders], one a kind of media: see encoders.c */
	atomic_uint n_encoders;
	char *name;
	uint32_t id;
	uint32_t max_len;   /* rows of a sequence */
	size_t longest_token; /* bytes */
} served_model;

/* One token as the engine thread hands it over. */
typedef struct ring_token {
	int32_t token;
	float logprob;
	uint32_t n_top;
	token_logprob top[SN_MAX_TOP_LOGPROBS];
} ring_token;

typedef struct sequence {
	sn_request *req;
	kv_seq kv;
	seq_row *rows;       /* [max_rows] */
	uint32_t max_rows, n_prompt, n_known, n_computed;
	uint32_t choice;
	bool started;        /* has had rows computed at least once */
	bool matched;        /* the prefix cache was asked since the last (re)start */
} sequence;

struct sn_request {
	sn_engine *engine;
	served_model *model;
	arena *mem;          /* strings and parameters below */
	char id[72];
	sn_sampling sampling;
	uint64_t seed;
	atomic_int owners;
	sequence seq;
	media_entry *media[MAX_MEDIA]; /* referenced until the engine lets go */
	hash256 media_keys[MAX_MEDIA];
	uint32_t n_media;
	uint32_t max_tokens;
	double t_submit, t_deadline; /* ms; deadline 0: none */
	double t_token;              /* last token, for latencies; engine thread */
	uint32_t n_cached;           /* prompt rows from the prefix cache at the first start */
	uint32_t n_media_rows;
	sn_request *next;            /* in the inbox */
	atomic_bool cancelled;       /* by the consumer */
	atomic_bool stopped;         /* by the consumer: a stop string was met */

	/* ring: engine thread writes, consumer reads */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	ring_token *ring;            /* [RING_EVENTS] */
	uint32_t n_written, n_read;
	bool ended;
	sn_finish finish;
	sn_error error;              /* status SN_OK: ended well */

	/* consumer side */
	detok detok;
	stopper stopper;
	buf raw, text;
	uint32_t n_consumed;
	bool finished_text, reported;
	sn_token_logprob *lp;        /* [RING_EVENTS] when asked for */
	sn_top_logprob *lp_top;
};

struct sn_engine {
	sn_engine_config config;
	sn_log *log;
	metrics metrics;
	pool *threads;
	ops ops;
	page_pool *pages;
	forward_buffers buffers;
	sampler sampler;
	plugin_host *plugins;
	media_gate gate;
	media_cache cache;
	hash_key key;
	served_model models[MAX_MODELS];
	sn_model_info infos[MAX_MODELS];
	uint32_t n_models;

	pthread_t thread;
	bool thread_started;
	pthread_mutex_t lock;   /* inbox, wake */
	pthread_cond_t wake;
	sn_request *inbox, **inbox_tail;
	bool nudge;             /* something changed: look again */
	size_t newcomer_n_in;   /* an encoder added while serving wants ops_reserve; 0: none */
	sn_status newcomer_status;
	pthread_cond_t newcomer_served;
	pthread_mutex_t attaching; /* one plugin is added at a time */
	atomic_bool stop, draining, abort_all, ready;
	atomic_uint n_requests; /* accepted and not let go by the engine, or being submitted */
	atomic_uint n_alive;    /* request objects */
	atomic_llong step_started_us; /* 0: between steps */

	/* engine thread only */
	sn_request **active;    /* [max_active] in order of arrival */
	uint32_t n_active, max_active;
	sched_seq *sched_seqs;
	sched_job sched_jobs[MEDIA_MAX_JOBS];
	step_plan plan;
	uint32_t next_job;
	double row_ms;
	double unit_ms[MAX_MODELS];
	struct step_arrays *step;
};

/* loop.c */
sn_status engine_loop_open(sn_engine *e, sn_error *err); /* arrays for max_active sequences */
void engine_loop_close(sn_engine *e);
void *engine_main(void *engine);
/* Takes over `r` (one owner). Refuses when draining; then the caller still owns it. */
sn_status engine_submit(sn_engine *e, sn_request *r, sn_error *err);
void engine_nudge(sn_engine *e);

/* request.c */
sn_request *request_new(sn_engine *e, served_model *m, const char *id);
void request_unref(sn_request **r);
bool request_push_token(sn_request *r, const sample *s); /* false: the ring is full (never, if stalls are honoured) */
bool request_is_stalled(sn_request *r);
void request_end(sn_request *r, sn_finish finish, const sn_error *err); /* err NULL: ended well */

/* encoders.c */
encoder *served_encoder(const served_model *s, const char *kind_name); /* NULL: the model does not take this kind */
sn_status encoders_attach_tower(sn_engine *e, served_model *s, const char *mmproj, sn_error *err);
void encoders_attach_own(sn_engine *e, served_model *s, bool late);
void encoders_close(served_model *s);
void encoders_serve_newcomer(sn_engine *e); /* engine thread, between steps */

/* prompt.c: rows of a request, from the rendered and planned conversation */
sn_status prompt_build(sn_request *r, const sn_chat *chat, sn_error *err);
/* The sequence's tables, bounded by the context and the pool; call once rows are there. */
sn_status request_size(sn_request *r, const seq_row *rows, uint32_t n_rows, sn_error *err);

served_model *engine_find_model(sn_engine *e, const char *name);

#endif
