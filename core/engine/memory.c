/* What is needed, in bytes that are known before they are taken: the files' weights, the tables made of them (vocabularies, keys,
 * templates), the buffers of a step, what plugins hold (their instances, and what they asked the host for), and the page pool with
 * its tables. What comes and goes with requests has limits of its own: the queue, decoded media, the media cache, grammars (grammars.h).
 *
 * With --memory-limit all of it counts, weights that are mapped too, and must not exceed the limit. Without, the machine (or its
 * control group) is the measure, and refused is only what certainly does not work: mapped weights can be dropped and read again, and a
 * pool takes a page when it is first used. So
 *   - what cannot be dropped, with the pages of one sequence, must not exceed what is available now (and what this process has of it already);
 *   - that and the weights must not exceed all memory: beyond it every token would read weights from the disk. Who wants that (a model
 *     of many experts on a fast disk) says so by a --memory-limit, which then is the measure instead;
 *   - a pool larger than all memory is refused.
 * Always: the pool must hold one sequence of --max-model-len rows if that was asked for, else of LEAST_ROWS (or the model's context).
 * Weights alone are looked at as soon as the file's header is read, before a tensor is. */
#include "base/error.h"
#include "base/machine.h"
#include "engine/frames.h"

enum { LEAST_ROWS = 128 };

static size_t sum_of(const size_t *parts, size_t n)
{
	size_t sum = 0;
	for (size_t i = 0; i < n; i++)
		if (__builtin_add_overflow(sum, parts[i], &sum))
			return SIZE_MAX;
	return sum;
}

static void add(size_t *part, size_t n)
{
	*part = sum_of((size_t[]){*part, n}, 2);
}

static void add_encoder(sn_memory *m, const encoder *enc)
{
	add(&m->weights, enc->model->borrowed ? 0 : encoder_file(enc)->map_bytes);
	add(&m->plugins, encoder_bytes(enc));
}

static void add_vocoder(sn_memory *m, const vocoder *v)
{
	add(&m->weights, v->model->borrowed ? 0 : v->model->file->map_bytes);
	add(&m->plugins, vocoder_bytes(v));
}

static void add_model(sn_memory *m, const served_model *s)
{
	add(&m->weights, s->m->weight_bytes);
	add(&m->tables, arena_bytes(s->m->mem));
	add(&m->tables, vocab_bytes(s->m->vocab));
	for (uint32_t i = 0, n = atomic_load(&s->n_encoders); i < n; i++)
		add_encoder(m, s->encoders[i]);
	if (s->vocoder)
		add_vocoder(m, s->vocoder);
}

sn_memory memory_count(const sn_engine *e, const served_model *s, const encoder *newcomer)
{
	const sn_engine_config *c = &e->config;
	const served_model *end = e->models + e->n_models;
	sn_memory m = {.pool = page_pool_bytes(c->kv_cache_memory), .plugins = plugin_host_bytes(e->plugins)};
	size_t more = 0;
	for (const served_model *each = e->models; each < end || each == s; each++) {
		size_t of = page_pool_more(memory_pages(e), &each->m->kv);
		more = of > more ? of : more;
		add_model(&m, each);
	}
	add(&m.pool, more);
	if (newcomer)
		add_encoder(&m, newcomer);
	size_t scratch = newcomer && encoder_wants(newcomer) > e->ops.x_bytes ? encoder_wants(newcomer) : e->ops.x_bytes;
	size_t buffers[] = {forward_bytes(&e->buffers, s->m, c->max_num_batched_tokens, c->max_num_seqs), scratch,
	                    sampler_bytes(&e->sampler, frames_choices(s->m)), engine_loop_bytes(e), frames_room(e->frames, s->m)};
	m.buffers = sum_of(buffers, sizeof buffers / sizeof *buffers);
	m.sum = sum_of((size_t[]){m.weights, m.tables, m.buffers, m.plugins, m.pool}, 5);
	return m;
}

void memory_publish(sn_engine *e, const served_model *s)
{
	const sn_memory m = memory_count(e, s, NULL);
	metric_set(&e->metrics, M_MEMORY_WEIGHTS, m.weights);
	metric_set(&e->metrics, M_MEMORY_TABLES, m.tables);
	metric_set(&e->metrics, M_MEMORY_BUFFERS, m.buffers);
	metric_set(&e->metrics, M_MEMORY_PLUGINS, m.plugins);
	metric_set(&e->metrics, M_MEMORY_POOL, m.pool);
}

sn_status memory_check_pool(const sn_engine *e, sn_error *err)
{
	const sn_engine_config *c = &e->config;
	size_t need = page_pool_bytes(c->kv_cache_memory), total = machine_memory_read("").total;
	if (c->memory_limit && need > c->memory_limit)
		return error_set(err, SN_ERR_INVALID, "the KV pool of %zu bytes with its tables, %zu bytes together, exceeds the memory limit of %zu",
		                 c->kv_cache_memory, need, c->memory_limit);
	if (!c->memory_limit && need > total)
		return error_set(err, SN_ERR_INVALID, "the KV pool of %zu bytes with its tables, %zu bytes together, exceeds the machine's memory of %zu",
		                 c->kv_cache_memory, need, total);
	return SN_OK;
}

sn_status memory_check_file(const sn_engine *e, const served_model *s, const model_file *f, sn_error *err)
{
	size_t weights = 0, limit = e->config.memory_limit ? e->config.memory_limit : machine_memory_read("").total;
	for (uint32_t i = 0; i < e->n_models; i++)
		add(&weights, e->models[i].m->weight_bytes);
	for (size_t i = 0; i < f->n_tensors; i++)
		add(&weights, f->tensors[i].bytes);
	if (e->plans_only || weights <= limit)
		return SN_OK;
	return error_set(err, SN_ERR_NOMEM, "model %s: %zu bytes are needed for weights alone, %s is %zu%s", s->name, weights,
	                 e->config.memory_limit ? "the memory limit" : "the machine's memory", limit,
	                 e->config.memory_limit ? "" : "; a --memory-limit above them would read them from the disk for every token");
}

uint32_t memory_least_rows(const sn_engine *e, const served_model *s)
{
	uint32_t context = s->m->h.n_context, asked = e->config.max_model_len;
	if (asked)
		return asked < context ? asked : context;
	return context < LEAST_ROWS ? context : LEAST_ROWS;
}

uint32_t memory_pages(const sn_engine *e)
{
	size_t n = e->config.kv_cache_memory / PAGE_BYTES;
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static sn_status check_pages(const sn_engine *e, const served_model *s, uint32_t *pages, sn_error *err)
{
	uint32_t rows = memory_least_rows(e, s), total = memory_pages(e), n_cross = s->m->h.n_cross;
	*pages = kv_layout_pages(&s->m->kv, n_cross + rows);
	if (*pages <= total)
		return SN_OK;
	return error_set(err, SN_ERR_NOMEM, "model %s: one sequence of %u tokens needs %u pages, %zu bytes, the KV pool has %u pages (--kv-cache-memory %zu); %s", s->name,
	                 rows, *pages, (size_t)*pages * PAGE_BYTES, total, e->config.kv_cache_memory,
	                 e->config.max_model_len ? "a larger pool, or a smaller --max-model-len" : "a larger pool is needed");
}

static sn_status check_limit(const sn_engine *e, const served_model *s, const sn_memory *m, sn_error *err)
{
	if (m->sum <= e->config.memory_limit)
		return SN_OK;
	return error_set(err, SN_ERR_NOMEM,
	                 "model %s: %zu bytes are needed (weights %zu, tables %zu, buffers of a step %zu, plugins %zu, KV pool %zu), the memory limit is %zu",
	                 s->name, m->sum, m->weights, m->tables, m->buffers, m->plugins, m->pool, e->config.memory_limit);
}

static sn_status check_machine(const served_model *s, const sn_memory *m, uint32_t pages, sn_error *err)
{
	const machine_memory have = machine_memory_read("");
	size_t held = sum_of((size_t[]){m->tables, m->buffers, m->plugins, (size_t)pages * PAGE_BYTES}, 4), all = sum_of((size_t[]){held, m->weights}, 2);
	size_t available = sum_of((size_t[]){have.available, have.own}, 2); /* a part of it is taken already */
	if (held <= available && all <= have.total)
		return SN_OK;
	return error_set(err, SN_ERR_NOMEM,
	                 "model %s: %zu bytes are needed (tables %zu, buffers of a step %zu, plugins %zu, pages of one sequence %zu) and %zu for weights, "
	                 "available are %zu of %zu", s->name, held, m->tables, m->buffers, m->plugins, (size_t)pages * PAGE_BYTES, m->weights, available, have.total);
}

static sn_status judge(const sn_engine *e, const served_model *s, const encoder *newcomer, sn_error *err)
{
	uint32_t pages = 0;
	const sn_memory m = memory_count(e, s, newcomer);
	sn_status st = e->config.memory_limit ? check_limit(e, s, &m, err) : SN_OK;
	if (!st)
		st = check_pages(e, s, &pages, err);
	return st || e->config.memory_limit ? st : check_machine(s, &m, pages, err);
}

sn_status memory_check(const sn_engine *e, const served_model *s, const encoder *newcomer, sn_error *err)
{
	return e->plans_only ? SN_OK : judge(e, s, newcomer, err);
}

sn_status memory_judge(const sn_engine *e, const served_model *s, sn_error *err)
{
	sn_status st = memory_check_pool(e, err);
	return st ? st : judge(e, s, NULL, err);
}
