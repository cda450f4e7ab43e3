#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"

#define SPINS 4000 /* about 20 us before a thread goes to sleep */

struct worker {
	pool *owner;
	pthread_t thread;
	size_t index;
};

struct pool {
	size_t n_threads; /* the caller included */
	struct worker *workers; /* [n_threads - 1] */
	size_t n_started;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	atomic_uint n_asleep;
	atomic_bool stop;
	/* The job. Only who has claimed one of its chunks may read fn and ctx: they cannot change before that chunk is done. */
	pool_fn *fn;
	void *ctx;
	atomic_uint_fast64_t claim; /* chunks of the job << 32 | next one to claim */
	atomic_uint_fast64_t n_done;
};

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

/* Runs chunks until none is left to claim. */
static void work(pool *p, size_t thread)
{
	uint_fast64_t c = atomic_load_explicit(&p->claim, memory_order_acquire);
	while ((uint32_t)c < c >> 32) {
		if (!atomic_compare_exchange_weak_explicit(&p->claim, &c, c + 1, memory_order_acq_rel, memory_order_acquire))
			continue;
		p->fn(p->ctx, (uint32_t)c, thread);
		atomic_fetch_add_explicit(&p->n_done, 1, memory_order_release);
		c = atomic_load_explicit(&p->claim, memory_order_acquire);
	}
}

static bool has_work(pool *p)
{
	uint_fast64_t c = atomic_load(&p->claim);
	return (uint32_t)c < c >> 32 || atomic_load(&p->stop);
}

static void wait_for_work(pool *p)
{
	for (int i = 0; i < SPINS; i++) {
		if (has_work(p))
			return;
		relax();
	}
	pthread_mutex_lock(&p->lock);
	atomic_fetch_add(&p->n_asleep, 1);
	while (!has_work(p))
		pthread_cond_wait(&p->wake, &p->lock);
	atomic_fetch_sub(&p->n_asleep, 1);
	pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	while (!atomic_load(&w->owner->stop)) {
		wait_for_work(w->owner);
		work(w->owner, w->index);
	}
	return NULL;
}

static void wake_sleepers(pool *p)
{
	if (atomic_load(&p->n_asleep)) {
		pthread_mutex_lock(&p->lock);
		pthread_cond_broadcast(&p->wake);
		pthread_mutex_unlock(&p->lock);
	}
}

sn_status pool_open(pool **out, size_t n_threads, sn_error *err)
{
	pool *p = calloc(1, sizeof *p);
	struct worker *workers = calloc(n_threads ? n_threads : 1, sizeof *workers);
	if (!p || !workers || n_threads == 0) {
		free(p);
		free(workers);
		return error_set(err, SN_ERR_NOMEM, "no memory for %zu compute threads", n_threads);
	}
	p->n_threads = n_threads;
	p->workers = workers;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	for (size_t i = 0; i + 1 < n_threads; i++) {
		workers[i] = (struct worker){.owner = p, .index = i + 1};
		if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
			pool_close(&p);
			return error_set(err, SN_ERR_NOMEM, "cannot start compute thread %zu of %zu", i + 2, n_threads);
		}
		p->n_started++;
	}
	*out = p;
	return SN_OK;
}

void pool_close(pool **pp)
{
	pool *p = *pp;
	if (!p)
		return;
	atomic_store(&p->stop, true);
	wake_sleepers(p);
	for (size_t i = 0; i < p->n_started; i++)
		pthread_join(p->workers[i].thread, NULL);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p->workers);
	free(p);
	*pp = NULL;
}

size_t pool_size(const pool *p)
{
	return p->n_threads;
}

void pool_run(pool *p, pool_fn *fn, void *ctx, size_t n_chunks)
{
	if (n_chunks == 1 || p->n_threads == 1) {
		for (size_t i = 0; i < n_chunks; i++)
			fn(ctx, i, 0);
		return;
	}
	if (n_chunks == 0)
		return;
	p->fn = fn;
	p->ctx = ctx;
	atomic_store_explicit(&p->n_done, 0, memory_order_relaxed);
	atomic_store(&p->claim, (uint_fast64_t)n_chunks << 32);
	wake_sleepers(p);
	work(p, 0);
	/* A thread that is asleep or descheduled holds nothing up unless it has a chunk in hand. */
	for (unsigned spins = 0; atomic_load_explicit(&p->n_done, memory_order_acquire) != n_chunks; spins++) {
		if (spins > SPINS)
			sched_yield();
		else
			relax();
	}
}
