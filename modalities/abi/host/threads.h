/* host/threads.h - "sn.host.threads/1": the host's compute threads, lent to a plugin's own loops. A plugin starts none. */
#ifndef SENSORIUM_HOST_THREADS_H
#define SENSORIUM_HOST_THREADS_H

#include "../plugin.h"

#define SN_HOST_THREADS "sn.host.threads/1"

/* One chunk of the work; thread < count() selects per-thread scratch. The same rules as for the caller apply inside. */
typedef void sn_chunk_fn(void *ctx, uint64_t chunk, uint32_t thread);

typedef struct sn_host_threads {
	uint32_t size;
	uint32_t reserved;
	/* How many threads may run chunks at once. [any] */
	uint32_t (*count)(const sn_host *host);
	/* Runs fn for chunks 0..n_chunks-1 and returns when all are done. What a chunk computes must not depend on who runs it.
	 * In a [step] function the compute threads share the chunks; called from anywhere else the caller runs them all. */
	void (*run)(const sn_host *host, sn_chunk_fn *fn, void *ctx, uint64_t n_chunks);
} sn_host_threads;

#endif
