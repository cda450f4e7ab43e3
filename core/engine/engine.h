/* engine.h - the engine's inside: served models, requests, sequences, and who owns what.
 *
 * A request is made by sn_chat_submit, sn_completion_submit, window_submit, utterance_submit or embed_submit on an API thread, handed over through the bounded inbox, run by
 * the engine thread and read through its event ring. It has two owners, consumer and engine, and is freed when both have
 * let go. A request owns its sequences, one for each choice: the scheduler knows sequences only, the ring carries all of them.
 */
#ifndef SN_ENGINE_ENGINE_H
#define SN_ENGINE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/metrics.h"
#include "engine/media.h"
#include "engine/sampler.h"
#include "engine/schedule.h"
#include "engine/shape.h"
#include "engine/speaker.h"
#include "engine/transcriber.h"
#include "model/forward.h"
#include "plugin/host.h"
#include "text/detok.h"
#include "text/stopper.h"

enum { MAX_MODELS = 16, MAX_ENCODERS = SN_MAX_MODALITIES, RING_EVENTS = 256, MAX_MEDIA = 512 /* of a request: pictures, sounds, groups of a clip's frames */ };

typedef struct served_model {
	model *m;
	encoder *encoders[MAX_ENCODERS]; /* [n_encoders], one a kind of media: see encoders.c */
	atomic_uint n_encoders;
	transcriber *_Atomic transcriber; /* how it writes recordings down; NULL: it does not */
	vocoder *vocoder; /* beside it, and */
	speaker *speaker; /* how it speaks with it; NULL: it does not. Set before the engine starts */
	char *name;
	uint32_t id;
	uint32_t max_len;   /* rows of a sequence; of an encoder-decoder, those behind its medium's */
	double row_ms;      /* measured cost of a row of a large chunk; engine thread */
	size_t longest_token; /* bytes */
	token_trie *_Atomic trie; /* for grammars; made when the first request asks for one */
} served_model;

/* What the engine thread hands over: one more token of a choice, or its end. */
typedef struct ring_entry {
	uint32_t choice;
	bool end;
	sn_finish finish; /* end */
	int32_t token;    /* end: the token that ended it, no part of the answer; -1: none */
	float logprob;
	uint32_t n_top;
	token_logprob top[SN_MAX_TOP_LOGPROBS];
} ring_entry;

/* The engine thread's side of a choice. */
typedef struct sequence {
	sn_request *req;
	kv_seq kv;
	seq_row *rows;       /* [max_rows] */
	uint32_t max_rows, n_known, n_computed;
	uint32_t next_position; /* of the row behind the known ones: one more than any of theirs, whatever the axis */
	uint32_t n_given;    /* leading rows that it did not compute itself: of the prefix cache, or of a sibling */
	uint32_t choice;
	uint32_t slot;       /* its place in active[] */
	bool started;        /* has had rows computed at least once */
	bool matched;        /* the prefix cache was asked */
	bool ended;
	bool mask_waits;     /* for the rest of its next token's mask */
	double t_token;      /* last token, for latencies; 0: none yet */
	atomic_bool stopped; /* by the consumer: a stop string was met */
} sequence;

/* The consumer's side of a choice. */
typedef struct choice_reader {
	detok detok;
	stopper stopper;
	sn_finish finish;
	int32_t stop_token;
	float stop_logprob;  /* of stop_token, under rules; 0: none */
	bool over;           /* its end, or a stop string, was read: what still comes is not looked at */
} choice_reader;

struct sn_request {
	sn_engine *engine;
	served_model *model;
	arena *mem;          /* strings and parameters below */
	char id[72];
	sn_sampling sampling;
	const token_rules *rules;    /* the answer is under; NULL: none. In mem, or a speaker's */
	int32_t shown[SN_MAX_SHOWN]; /* [n_shown] tokens of sn_sampling.shown */
	size_t n_shown;
	shape *shape;                /* the grammar that the answers are under; NULL: none */
	struct utterance *voice;     /* it speaks: see utterance.h; NULL: it says text */
	uint64_t seed;
	atomic_int owners;
	hash256 salt;                /* who may share its caches */
	uint64_t key;                /* whose part of a step it has: see schedule.h */
	const char *blame;           /* the field that holds the prompt: "messages" or "prompt" */
	sequence *seqs;              /* [n_seqs] one a choice */
	uint32_t n_seqs;
	uint32_t n_live;             /* sequences not ended; engine thread */
	uint32_t n_prompt;           /* rows, an encoder-decoder's medium among them */
	uint32_t n_shared;           /* leading rows that choices can share: whole blocks of the prompt, no span cut */
	media_entry *media[MAX_MEDIA]; /* referenced until the engine lets go */
	hash256 media_keys[MAX_MEDIA];
	uint32_t n_media;
	/* Of a window's first choice: the probability of a token at a row of the prompt, and weights of cross-attention. The engine
	 * thread writes them; p may be read behind the first token, weights behind its end. */
	struct { bool wanted, done; int32_t token; uint32_t row; float p; } probe;
	struct { const uint32_t (*heads)[2]; uint32_t n_heads, max_rows; float *weights; } tap; /* weights: [n_heads][max_rows][n_cross] or NULL */
	struct pooled *pooled;       /* a vector is made of its rows, and no token is sampled: see embed.h; NULL: it says something */
	uint32_t max_tokens;
	double t_submit, t_deadline; /* ms; deadline 0: none */
	bool goes_on;                /* a part of work that was accepted: taken also while draining, */
	bool uncounted;              /* under the one place of that work */
	uint64_t gang;               /* see window_ask; 0: none */
	bool started;                /* a row of it was computed: it waits in no queue; engine thread */
	bool any_token, any_length;  /* a choice has said something, was cut by length; engine thread */
	uint32_t n_cached;           /* prompt rows from the prefix cache at the first start */
	uint32_t n_media_rows;
	bool video_sound_ignored;    /* a clip had sound, and the model does not hear */
	sn_request *next;            /* in the inbox */
	atomic_bool cancelled;       /* by the consumer */

	/* ring: engine thread writes, consumer reads */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	ring_entry *ring;            /* [RING_EVENTS] */
	uint32_t n_written, n_read;
	bool failed;                 /* error is set: nothing more comes */
	sn_error error;

	/* consumer side */
	choice_reader *readers;      /* [n_seqs] */
	choice_reader *ending;       /* is over, which was not told yet */
	uint32_t n_told;             /* choices whose end was told */
	buf raw, text;
	uint32_t n_consumed;         /* tokens of all choices */
	bool reported;
	sn_token_logprob *lp;        /* [RING_EVENTS] when asked for */
	sn_top_logprob *lp_top;
};

struct sn_engine {
	sn_engine_config config;
	bool plans_only; /* nothing is computed, and nothing refused for memory: see inspect.c */
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
	grammars grammars;
	bool masks_wait;        /* a mask is not whole yet: the next turn goes on with it; engine thread */
	uint32_t first_mask;    /* active[] is asked from there on */
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
	uint64_t coming[MEDIA_MAX_JOBS]; /* [n_coming] gangs of windows that are being made ready; under lock */
	uint32_t n_coming;
	size_t newcomer_scratch;   /* an encoder added while serving wants ops_reserve; 0: none */
	sn_status newcomer_status;
	pthread_cond_t newcomer_served;
	pthread_mutex_t attaching; /* one plugin is added at a time */
	atomic_bool stop, draining, abort_all, ready;
	atomic_uint n_requests; /* accepted and not let go by the engine, or being submitted */
	atomic_uint n_alive;    /* request objects */
	atomic_llong step_started_us; /* 0: between steps */

	uint32_t max_requests;  /* places: what may run and what may wait */

	/* engine thread only */
	sequence **active;      /* [max_active] in order of arrival; NULL: has ended in this step */
	uint32_t n_active, max_active;
	sched_seq *sched_seqs;
	sched_job sched_jobs[MEDIA_MAX_JOBS + MAX_MODELS];
	uint64_t gangs[2 * MEDIA_MAX_JOBS]; /* [n_gangs] of windows that in this turn are being made ready or encoded */
	uint32_t n_gangs;
	step_plan plan;
	uint32_t next_job, jobs_passed;
	sn_request *speaking;   /* requests whose sound is not all made; a list by utterance.next */
	struct synth_job *synths[MAX_MODELS]; /* [n_synths] jobs of vocoders in this step */
	uint32_t n_synths;
	double unit_ms[MAX_MODELS];
	struct step_batch *step;
	struct frames *frames;
};

/* loop.c */
sn_status engine_loop_open(sn_engine *e, sn_error *err); /* arrays for max_active sequences */
void engine_loop_close(sn_engine *e);
size_t engine_loop_bytes(const sn_engine *e);
void *engine_main(void *engine);
/* Takes over `r` (one owner). Refuses when draining; then the caller still owns it. */
sn_status engine_submit(sn_engine *e, sn_request *r, sn_error *err);
void engine_nudge(sn_engine *e);
/* For vocoders' jobs, on the engine thread: all sound is there; or what went wrong. Both let go of the request. */
void loop_end_speaking(sn_engine *e, sn_request *r);
void loop_fail_request(sn_engine *e, sn_request *r, const sn_error *err);
/* Before a plan: the masks of sequences that are under a grammar, as far as a turn's patience goes. */
void masks_prepare(sn_engine *e);
/* A window of this gang (0: of none) is being made ready; and is no longer, because it was submitted or failed. [any] */
void engine_gang_begin(sn_engine *e, uint64_t gang);
void engine_gang_end(sn_engine *e, uint64_t gang);

/* engine.c: one into which models are loaded to see what they take. */
sn_status engine_open_plan(sn_engine **out, const sn_engine_config *config, sn_error *err);

/* sequence.c */
/* A request's sequences over these prompt rows, bounded by the context and the pool. */
sn_status sequences_make(sn_request *r, const seq_row *rows, uint32_t n_rows, sn_error *err);
/* Gives a sequence without rows its first ones, and says how many of its known rows may be computed now. Engine thread. */
uint32_t sequence_prepare(sequence *s);

/* memory.c: would all that is needed fit? The refusals say what is needed and what there is. */
sn_status memory_check_pool(const sn_engine *e, sn_error *err);
size_t memory_default_pool(void); /* bytes of a pool that nobody asked for: 512 MiB, or half of a small machine's memory */
/* By the header of s's file alone. */
sn_status memory_check_file(const sn_engine *e, const served_model *s, const model_file *f, sn_error *err);
/* With model s, which may be the next one, and an encoder that is not in its list yet, or NULL. */
sn_memory memory_count(const sn_engine *e, const served_model *s, const encoder *newcomer);
void memory_publish(sn_engine *e, const served_model *s); /* as metrics */
/* Rows of a sequence that the pool must hold, and its pages. */
uint32_t memory_least_rows(const sn_engine *e, const served_model *s);
uint32_t memory_pages(const sn_engine *e);
/* What serve would refuse, of an engine of engine_open_plan. */
sn_status memory_judge(const sn_engine *e, const served_model *s, sn_error *err);
sn_status memory_check(const sn_engine *e, const served_model *s, const encoder *newcomer, sn_error *err);

/* encoders.c: what stands beside a model */
encoder *served_encoder(const served_model *s, const char *kind_name); /* NULL: the model does not take this kind */
encoder *served_watcher(const served_model *s, const char *kind_name); /* the same of clips */
/* A file beside the model: a tower, or a vocoder, of which it has at most one. */
sn_status encoders_attach_beside(sn_engine *e, served_model *s, const char *file, sn_error *err);
void encoders_attach_own(sn_engine *e, served_model *s, bool late);
/* A speaker that claims the model's own file, unless one stands beside it already. A failure leaves the model as it was: silent. */
sn_status encoders_attach_own_speaker(sn_engine *e, served_model *s, sn_error *err);
void encoders_close(served_model *s);
void encoders_serve_newcomer(sn_engine *e); /* engine thread, between steps */

/* submit.c: parsing, decoding and tokenizing stand back behind the compute threads: lowers the calling thread's priority for good. */
void submit_stand_back(void);
/* Is this what the model does? The refusal names what it does instead. */
enum submit_kind { SUBMIT_CHAT, SUBMIT_COMPLETION, SUBMIT_WINDOW, SUBMIT_UTTERANCE, SUBMIT_EMBEDDING };
sn_status submit_can(const served_model *m, enum submit_kind kind, sn_error *err);
/* A place in the queue: one of n_requests, the taker's to give back. */
sn_status submit_take_place(sn_engine *e, sn_error *err);

/* request.c */
sn_request *request_new(sn_engine *e, served_model *m, const char *id, uint32_t n_choices);
void request_unref(sn_request **r);
/* The ring has room for a step of every live sequence, else they are stalled: so pushing never fails. */
bool request_is_stalled(sn_request *r);
void request_push_token(sn_request *r, uint32_t choice, const sample *s);
void request_push_end(sn_request *r, uint32_t choice, sn_finish finish, int32_t token, float logprob);
void request_fail(sn_request *r, const sn_error *err);

/* prompt.c: rows of a request, from the rendered and planned conversation, or from a prompt as it stands */
sn_status prompt_of_chat(sn_request *r, const sn_chat *chat, sn_error *err);
sn_status prompt_of_completion(sn_request *r, const sn_completion *completion, sn_error *err);

/* window.c: one window of a recording, written down by an encoder-decoder model (served_model.m->h.n_cross is not 0). */

/* A part of the prompt, in order: ids of the vocabulary as they are, or a text, tokenized on its own. */
typedef struct prompt_piece {
	const int32_t *ids; /* [n_ids]; NULL: the text is */
	size_t n_ids;
	const char *text;   /* [size] UTF-8 */
	size_t size;
	bool trusted;       /* special tokens that are spelt out in the text are those tokens */
} prompt_piece;

typedef struct window_ask {
	const char *request_id, *model, *cache_key, *cache_salt; /* as in sn_chat */
	encoder *enc;               /* of the model: served_encoder */
	const sn_media *media;      /* decoded; its hash covers these samples, whatever recording they are a part of */
	const prompt_piece *pieces; /* [n_pieces] */
	size_t n_pieces;
	sn_sampling sampling;       /* max_tokens 0: the rest of the context */
	const token_rules *rules;   /* the answer is under, or NULL; the lists that it points to outlive the request */
	bool has_place;             /* under the place of who asks: taken however full the queue is */
	bool probes;                /* asks for the probability of probe_token at token probe_row of the prompt */
	int32_t probe_token;
	uint32_t probe_row;
	const uint32_t (*taps)[2];  /* [n_taps] {layer, head} whose weights of cross-attention are asked for; costs a float for each of them, */
	uint32_t n_taps;            /* each of the rows and each of the medium's rows */
	uint32_t timeout_ms;        /* total, from submit; 0: none */
	uint64_t gang;              /* windows of one number wait for those of them that are on their way, so that they are decoded together; */
} window_ask;                   /* 0: does not wait */

sn_status prompt_of_window(sn_request *r, const window_ask *w, sn_error *err);
/* As sn_chat_submit: everything is borrowed until return, on success *out must be closed; events come by sn_request_next.
 * SN_ERR_QUEUE_FULL: there is no place now, try again when something has ended. The encoder's begin runs before this returns:
 * so many at once as the media gate's slots allow is the caller's business. Errors about the medium blame "file", about the
 * prompt "prompt". [any] */
sn_status window_submit(sn_engine *e, const window_ask *w, sn_request **out, sn_error *err);
/* The first choice's, before the sampler's rules: of the consumer, once an event has told of its first token. */
float window_probe(const sn_request *r);
/* The first choice's, of the consumer, after its CHOICE_DONE: weights of head h (of window_ask.taps) for token t of the prompt and
 * the answer, [n_cross], at h * *head_stride + t * n_cross; they add up to 1. The token sampled last was not computed and has none.
 * Valid until the request is closed. (Not with stop strings: there an end is told before the engine knows.) NULL: none were asked for. */
const float *window_taps(const sn_request *r, size_t *head_stride, uint32_t *n_tokens);

/* tokenize.c: ids of a text that is trusted or not; special: between the tokens that the vocabulary puts before and behind a text, if it does */
sn_status text_encode(const vocab *v, const char *text, size_t size, bool trusted, bool special, int32_t **ids, size_t *n, sn_error *err);

served_model *engine_find_model(sn_engine *e, const char *name);
served_model *engine_find_speaking(sn_engine *e, const char *name); /* no name: the first model that speaks */

#endif
