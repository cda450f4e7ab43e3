/* check_host.h - the host that `plugins --check` shows to a plugin: the real services behind a layer that knows which call is
 * being made, lets the k-th request for memory fail (of its own services, and of the plugin's malloc: check_alloc.h), and hands
 * out tensor handles that cannot be dereferenced (check_device.h). */
#ifndef SN_PLUGIN_CHECK_HOST_H
#define SN_PLUGIN_CHECK_HOST_H

#include "plugin/check_alloc.h"
#include "plugin/check_device.h"
#include "plugin/host.h"

typedef enum check_phase {
	IN_NOTHING = 1, IN_PROBE = 2, IN_INIT = 4, IN_LOAD = 8, IN_ANY = 16, IN_BEGIN = 32, IN_STEP = 64, IN_END = 128, IN_FINI = 256
} check_phase;

typedef struct check_host {
	sn_host face; /* first: what the plugin sees */
	plugin_host *real;
	ops ops;
	pool *threads;
	check_device *device;
	check_blocks own;         /* what the plugin has from malloc */
	struct check_trap *trap;  /* NULL: faults are left alone */
	bool bare;                /* tensors are plain pointers: the ordinary device */
	bool watch;               /* phases and threads are checked */
	_Atomic check_phase phase;
	pthread_t thread;         /* who makes the call, if watched */
	atomic_uint_fast64_t n_asked; /* requests for memory so far */
	atomic_uint_fast64_t n_before; /* of them before the call that is being made */
	uint64_t fail_at;         /* this one fails, counted from 1; 0: none */
	char violation[256];      /* the first one, "" if none */
} check_host;

/* The ABI's sn_model and sn_ops_ctx of this host; the plugin sees the pointers as those. */
typedef struct check_model {
	struct sn_model real; /* first */
	check_host *host;
} check_model;
typedef struct check_ctx {
	sn_ops_ctx *real;
	check_host *host;
} check_ctx;

/* The host also runs in this process until it is closed: one at a time. */
sn_status check_host_open(check_host **out, sn_log *log, sn_error *err);
void check_host_close(check_host **h);
void check_host_reset(check_host *h); /* counters, failure, violation */
/* For what is called without a context, malloc and signal handlers. NULL: none. */
check_host *check_host_running(void);
/* The plugin called malloc or its kin (asks) or free by itself; true: it shall fail. */
bool check_host_own_call(check_host *h, const char *name, bool asks);
const char *check_phase_name(check_phase p);
/* Was a request for memory refused in the call that was made last? */
bool check_host_starved(const check_host *h);
/* Which call of the plugin's is made from now on, by this thread. */
void check_enter(check_host *h, check_phase phase);
void check_leave(check_host *h);
size_t check_host_held(const check_host *h); /* bytes of sn.host.memory */

sn_status check_model_open(check_model **out, check_host *h, const char *path, sn_error *err); /* path NULL: a synthetic one */
void check_model_close(check_model **m);
/* NULL if memory is short, or if it is this request that shall fail. */
check_ctx *check_ctx_open(check_host *h, size_t budget);
void check_ctx_close(check_ctx **c);

#endif
