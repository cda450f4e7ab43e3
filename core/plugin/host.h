/* host.h - the host's side of the plugin contract: the registry of loaded plugins and the services they get.
 * Nothing here knows a plugin's name: what a plugin can do is asked for by extension id. */
#ifndef SN_PLUGIN_HOST_H
#define SN_PLUGIN_HOST_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "formats/model_file.h"
#include "model/ops.h"
#include "text/vocab.h"

#include <sensorium/ext/clip.h>
#include <sensorium/ext/decode.h>
#include <sensorium/ext/encode.h>
#include <sensorium/ext/plan.h>
#include <sensorium/ext/speak.h>
#include <sensorium/ext/synth.h>
#include <sensorium/ext/transcribe.h>
#include <sensorium/ext/watch.h>
#include <sensorium/ext/write.h>

enum { MAX_PLUGINS = 256, MAX_DESCRIPTORS = 16 /* of one file */, KIND_NAME_MAX = 31, DEGRADED_AFTER = 3 };

/* One descriptor of one shared object. Immutable once it is in the list, but for the counters. */
typedef struct plugin {
	const sn_plugin *desc; /* NULL when the file was refused */
	const sn_ext_decode *decode;
	const sn_ext_clip *clip;
	const sn_ext_plan *plan;
	const sn_ext_encode *encode;
	const sn_ext_watch *watch;
	const sn_ext_write *write;
	const sn_ext_transcribe *transcribe;
	const sn_ext_speak *speak;
	const sn_ext_synth *synth;
	void *instance; /* codecs: one for the process; NULL for plugins that serve a model */
	char file[128]; /* base name */
	char reason[256]; /* why refused, "" if not */
	atomic_uint_fast64_t calls, failures, media_bytes;
	atomic_uint failed_in_a_row; /* since its last success; from DEGRADED_AFTER on it is listed as degraded, and still tried:
	                              * a failure costs one request, a refusal would cost them all */
	atomic_uint n_serving;       /* models that have an encoder or a vocoder of it */
} plugin;

typedef struct plugin_host {
	sn_host face; /* what plugins see; first, so that the host is found from it */
	sn_log *log;
	arena *mem;
	plugin **plugins; /* [MAX_PLUGINS]; entries below n_plugins never change: readers need no lock */
	atomic_size_t n_plugins;  /* published after the entry is whole */
	pthread_mutex_t adding;   /* one at a time: who adds plugins, and who opens encoders and vocoders */
	char *dir;                /* absolute, or NULL */
	uint64_t n_encoders; /* opened so far: their ids */
	pool *threads;    /* lent to [step] functions */
	pthread_t step_thread; /* who runs them, once has_step_thread */
	atomic_bool has_step_thread;
	size_t budget;    /* bytes that plugins may hold through sn.host.memory */
	atomic_size_t held;
	struct isolate *isolate; /* NULL: codecs run in this process */
	void (*say)(void *ctx, int32_t level, const char *topic, const char *text); /* where plugins' lines go in a codec helper; NULL: the log */
	void *say_ctx;
} plugin_host;

/* Loads every *.so of dir (absolute, owned by this user or root, not world-writable) in name order. A file that is not a
 * plugin of this ABI is listed as refused, with the reason; only a bad folder fails the call. dir NULL: no plugins. */
sn_status plugin_host_open(plugin_host **out, const char *dir, size_t budget, pool *threads, sn_log *log, sn_error *err);
/* Codec instances end here. Shared objects stay mapped. */
void plugin_host_close(plugin_host **h);

/* One call's context, as the ABI's sn_call. */
struct sn_call {
	const char *request_id;
};

/* Loads one more file of the folder while others run. A refusal leaves the list as it was. [any] */
sn_status plugin_host_add(plugin_host *h, const char *file, sn_error *err);
size_t plugin_host_bytes(const plugin_host *h); /* codecs' instances, and what all plugins asked for */
static inline size_t plugin_count(const plugin_host *h)
{
	return atomic_load_explicit(&h->n_plugins, memory_order_acquire);
}
/* The parts of loading, for `plugins --check`: what is wrong with the file, NULL if nothing; its list, NULL if *why is set. */
const char *plugin_file_problem(const char *path);
const sn_plugin_list *plugin_file_load(const char *path, const char **why, char detail[256]);
const char *plugin_descriptor_problem(const sn_plugin *d);
size_t plugin_instance_bytes(const sn_plugin *d);
void *plugin_instance_new(const sn_plugin *d); /* zeroed; release with free */

/* A fault as an sn_error: whose fault decides the status. Counts the failure unless the input is to blame. */
sn_status fault_to_error(plugin *p, sn_rc rc, const sn_fault *fault, sn_error *err);
/* The same for what a plugin did wrong without saying so. */
sn_status plugin_broke(plugin *p, sn_error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static inline void plugin_worked(plugin *p)
{
	if (atomic_load_explicit(&p->failed_in_a_row, memory_order_relaxed))
		atomic_store(&p->failed_in_a_row, 0);
}

/* An encoder plugin bound to one model file. */
typedef struct encoder encoder;
struct encoder {
	plugin *p;
	void *instance;
	struct sn_model *model;
	uint64_t id; /* unique in its host: part of media cache keys */
	str marker;          /* the instance's */
	str watch_marker;    /* of clips; empty: it takes none */
	uint32_t media_rate; /* at which it wants samples in time, 0: any */
	int32_t row_token;   /* id that its rows carry; set by who serves it */
	bool in_template;    /* the model's chat template knows its kind; set by who serves it */
	bool watch_in_template; /* and that of clips */
};

/* Its rows stand on three axes. */
static inline bool plan_has_positions(const sn_ext_plan *p)
{
	return p->size > offsetof(sn_ext_plan, positions) && p->positions;
}

/* A plugin that speaks (sn.speak/1 and sn.synth/1) bound to one model file. */
typedef struct vocoder {
	plugin *p;
	void *instance;
	struct sn_model *model;
	const sn_speaker *about; /* checked, as is info */
	const sn_synth_info *info;
	uint32_t max_streams;    /* of a job: no more than the host has room for */
	uint32_t max_frames;     /* of an utterance: by both descriptions */
	encoder *reference;      /* the same instance: makes rows of recordings to speak like. NULL: it does not */
} vocoder;

/* A file beside a language model, whose vocabulary it may ask for: the surest plugin that claims it is loaded. It is a media tower or a speaker; the other of the
 * two is NULL. SN_ERR_UNSUPPORTED if none claims it. */
sn_status beside_open(plugin_host *h, const char *path, const vocab *v, ops *o, encoder **tower, vocoder **speaks, sn_error *err);
/* The surest speaker that claims a language model's own file, which outlives it; NULL if there is none. Before the engine runs. */
sn_status vocoder_open_own(vocoder **out, plugin_host *h, model_file *file, const vocab *v, ops *o, sn_error *err);
size_t vocoder_bytes(const vocoder *v); /* as encoder_bytes */
void vocoder_close(vocoder **v);
/* Asks the instance and checks what it says: sets about, info and what follows from them. */
sn_status vocoder_describe(vocoder *v, sn_error *err);

/* instance.c: what encoders and vocoders are made of. A new one takes over m, also when it fails. */
plugin *plugin_surest(plugin_host *h, const struct sn_model *m, bool (*may)(void *ctx, const plugin *p), void *ctx);
sn_status plugin_start(plugin *p, plugin_host *h, const struct sn_model *m, void **instance, sn_error *err);
void plugin_end(plugin *p, void **instance);
sn_status bound_model_new(struct sn_model **m, ops *o, sn_error *err);
void bound_model_close(struct sn_model **m);
sn_status encoder_new(encoder **out, plugin_host *h, struct sn_model *m, plugin *p, sn_error *err);
sn_status vocoder_new(vocoder **out, plugin_host *h, struct sn_model *m, plugin *p, sn_error *err);

/* The surest plugin that claims a language model's own file and whose kind `taken` does not know; NULL if there is none. The
 * file outlives the encoder. late: the engine runs already, so that ops_reserve is left to it: see encoder_wants. */
sn_status encoder_open_beside(encoder **out, plugin_host *h, model_file *file, ops *o, bool late,
                              bool (*taken)(void *ctx, const char *kind_name), void *ctx, sn_error *err);
size_t encoder_bytes(const encoder *e); /* its instance and tables; not what the plugin asked the host for */
size_t encoder_wants(const encoder *e); /* bytes for ops_reserve_bytes, 0: nothing */
void encoder_close(encoder **e);
const model_file *encoder_file(const encoder *e);

/* A job's ops context: tensors and scratch of at most `budget` bytes. */
sn_status ops_ctx_open(sn_ops_ctx **out, ops *o, size_t budget, sn_error *err);
void ops_ctx_close(sn_ops_ctx **ctx);

/* A service by id, and the larger tables (host_services.c, host_weights.c, host_ops.c). */
const void *host_service(const sn_host *host, const char *id);
extern const struct sn_host_weights host_weights;
extern const struct sn_host_ops host_ops;

/* The ABI's sn_model: a mapped file, and where its bound weights live. */
struct sn_model {
	model_file *file;
	const vocab *tokens; /* of the language model that it is beside, or is; may be NULL */
	ops *o;
	arena *mem;
	bool borrowed;    /* the file is a language model's */
	bool late;        /* ops_reserve is left to the engine thread */
	size_t late_scratch;
};
struct sn_weight {
	weight w;
};

sn_rc host_fault(sn_fault *fault, sn_rc code, sn_blame blame, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
