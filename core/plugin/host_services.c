/* The small services: log, memory and threads, and the table that finds a service by its id. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "plugin/host.h"

#include <sensorium/host/log.h>
#include <sensorium/host/memory.h>
#include <sensorium/host/threads.h>

static plugin_host *host_of(const sn_host *face)
{
	return (plugin_host *)(uintptr_t)face;
}

static void log_line(const sn_host *host, const sn_call *call, int32_t level, const char *topic, const char *text)
{
	plugin_host *h = host_of(host);
	if (h->say) {
		h->say(h->say_ctx, level, topic, text);
		return;
	}
	sn_log_level l = level < SN_LOG_DEBUG ? SN_LOG_DEBUG : level > SN_LOG_ERROR ? SN_LOG_ERROR : (sn_log_level)level;
	sn_log_write(h->log, l, topic, call ? call->request_id : NULL, "%s", text);
}

enum { HEADER = 64 }; /* keeps the block's size, and its alignment */

static void *mem_alloc(const sn_host *host, size_t bytes)
{
	plugin_host *h = host_of(host);
	if (bytes > SIZE_MAX - 2 * HEADER)
		return NULL;
	size_t n = (bytes + HEADER - 1) / HEADER * HEADER + HEADER;
	if (atomic_fetch_add(&h->held, n) > h->budget || atomic_load(&h->held) > h->budget) {
		atomic_fetch_sub(&h->held, n);
		return NULL;
	}
	uint8_t *p = aligned_alloc(HEADER, n);
	if (!p) {
		atomic_fetch_sub(&h->held, n);
		return NULL;
	}
	memset(p, 0, n);
	memcpy(p, &n, sizeof n);
	return p + HEADER;
}

static void mem_free(const sn_host *host, void *p)
{
	if (!p)
		return;
	size_t n;
	uint8_t *block = (uint8_t *)p - HEADER;
	memcpy(&n, block, sizeof n);
	atomic_fetch_sub(&host_of(host)->held, n);
	free(block);
}

static uint32_t thread_count(const sn_host *host)
{
	return (uint32_t)pool_size(host_of(host)->threads);
}

struct chunks {
	sn_chunk_fn *fn;
	void *ctx;
};

static void run_chunk(void *ctx, size_t chunk, size_t thread)
{
	const struct chunks *c = ctx;
	c->fn(c->ctx, chunk, (uint32_t)thread);
}

static void run_chunks(const sn_host *host, sn_chunk_fn *fn, void *ctx, uint64_t n_chunks)
{
	plugin_host *h = host_of(host);
	if (atomic_load(&h->has_step_thread) && pthread_equal(pthread_self(), h->step_thread))
		pool_run(h->threads, run_chunk, &(struct chunks){fn, ctx}, n_chunks);
	else
		for (uint64_t i = 0; i < n_chunks; i++)
			fn(ctx, i, 0);
}

static const sn_host_log host_log = {sizeof host_log, 0, log_line};
static const sn_host_memory host_memory = {sizeof host_memory, 0, mem_alloc, mem_free};
static const sn_host_threads host_threads = {sizeof host_threads, 0, thread_count, run_chunks};


const void *host_service(const sn_host *host, const char *id)
{
	(void)host;
	const struct { const char *id; const void *table; } services[] = {
	    {SN_HOST_LOG, &host_log},
	    {SN_HOST_MEMORY, &host_memory},
	    {SN_HOST_WEIGHTS, &host_weights},
	    {SN_HOST_OPS, &host_ops},
	    {SN_HOST_THREADS, &host_threads},
	};
	for (size_t i = 0; i < sizeof services / sizeof *services; i++)
		if (strcmp(services[i].id, id) == 0)
			return services[i].table;
	return NULL;
}
