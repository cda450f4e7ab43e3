/* pool.h - the compute threads. The caller of pool_run is one of them. Work is cut into fixed chunks that idle threads
 * claim, so a descheduled core does not hold up the rest, and what a chunk computes never depends on who computes it. */
#ifndef SN_BASE_POOL_H
#define SN_BASE_POOL_H

#include <stddef.h>

#include "core.h"

typedef struct pool pool;

/* One chunk of the work; thread < pool_size selects per-thread scratch. */
typedef void pool_fn(void *ctx, size_t chunk, size_t thread);

sn_status pool_open(pool **out, size_t n_threads, sn_error *err);
void pool_close(pool **p);
size_t pool_size(const pool *p);
/* Runs fn for chunks 0..n_chunks-1 (fewer than 2^32) and returns when all are done. One caller at a time. */
void pool_run(pool *p, pool_fn *fn, void *ctx, size_t n_chunks);

#endif
