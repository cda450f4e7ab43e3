/* host.h - the host's side of the plugin contract: the registry of loaded plugins and the services they get.
 * Nothing here knows a plugin's name: what a plugin can do is asked for by extension id. */
#ifndef SN_PLUGIN_HOST_H
#define SN_PLUGIN_HOST_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "formats/model_file.h"
#include "model/ops.h"

#include <sensorium/ext/decode.h>
#include <sensorium/ext/encode.h>
#include <sensorium/ext/plan.h>
#include <sensorium/ext/write.h>

/* One descriptor of one shared object. */
typedef struct plugin {
	const sn_plugin *desc; /* NULL when the file was refused */
	const sn_ext_decode *decode;
	const sn_ext_plan *plan;
	const sn_ext_encode *encode;
	const sn_ext_write *write;
	void *instance; /* codecs: one for the process; NULL for plugins that serve a model */
	char file[128]; /* base name */
	char reason[256]; /* why refused, "" if not */
	atomic_uint_fast64_t calls, failures;
} plugin;

typedef struct plugin_host {
	sn_host face; /* what plugins see; first, so that the host is found from it */
	sn_log *log;
	arena *mem;
	plugin **plugins; /* [n_plugins] */
	size_t n_plugins, cap;
	uint64_t n_encoders; /* opened so far: their ids */
	pool *threads;    /* lent to [step] functions */
	pthread_t step_thread; /* who runs them, once has_step_thread */
	atomic_bool has_step_thread;
	size_t budget;    /* bytes that plugins may hold through sn.host.memory */
	atomic_size_t held;
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

/* A fault as an sn_error: whose fault decides the status. Counts the failure unless the input is to blame. */
sn_status fault_to_error(plugin *p, sn_rc rc, const sn_fault *fault, sn_error *err);

/* An encoder plugin bound to one model file. */
typedef struct encoder encoder;
struct encoder {
	plugin *p;
	void *instance;
	struct sn_model *model;
	uint64_t id; /* unique in its host: part of media cache keys */
};

/* Probes all plugins that have sn.plan/1 and sn.encode/1, loads the surest one. SN_ERR_UNSUPPORTED if none claims it. */
sn_status encoder_open(encoder **out, plugin_host *h, const char *path, ops *o, sn_error *err);
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
	ops *o;
	arena *mem;
};
struct sn_weight {
	weight w;
};

sn_rc host_fault(sn_fault *fault, sn_rc code, sn_blame blame, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
