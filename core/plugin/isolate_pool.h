/* isolate_pool.h - the helpers that there are: started, lent to one file after another, counted when they end. */
#ifndef SN_PLUGIN_ISOLATE_POOL_H
#define SN_PLUGIN_ISOLATE_POOL_H

#include <pthread.h>
#include <sys/types.h>

#include "plugin/isolate.h"

enum { HELPERS_MAX = 64, MAX_LINES = 64 /* of the log, a call */ };

typedef struct isolate_helper {
	pid_t pid;
	int socket;
	size_t n_plugins; /* of the host's list, when it was started */
	uint32_t calls;
	uint64_t serial;
} helper;

struct isolate {
	plugin_host *host;
	metrics *metrics; /* NULL: nobody counts */
	const char *program;
	const char *const *argv;
	uint32_t timeout_ms;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t starter;
	helper *idle[HELPERS_MAX], *lent[HELPERS_MAX];
	size_t n_idle, n_lent, wanted;
	uint64_t n_failed; /* starts */
	double credit, credit_at;
	bool stop, has_starter;
};

/* One that knows the plugin. NULL: there is none and none may, or can, be started; or it is the end. */
helper *helper_take(isolate *x, const plugin *p);
/* Back to the others; or, what has failed, ended: says what had ended it before, if anything had. */
void helper_give(isolate *x, helper *hp);
int helper_end(isolate *x, helper *hp);
bool helper_ending(isolate *x);

/* A packet before the deadline. 1: there is one; 0: none in time; -1: the other side has gone, or sends something else. */
int helper_receive(int socket, wire_answer *a, double until);
void helper_log(const isolate *x, const char *request_id, wire_answer *a);

/* Processor time that it may take from now on: who spins while nobody waits for it ends as well. */
void helper_limit_time(const helper *hp, uint32_t ms);

#endif
