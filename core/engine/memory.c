/* What --memory-limit counts, in bytes that are known before they are taken: the files' weights, the tables made of them
 * (vocabularies, keys, templates), the buffers of a step, what plugins hold (their instances, and what they asked the host for), and
 * the page pool with its tables. What comes and goes with requests has limits of its own: the queue, decoded media, the media cache. */
#include "base/error.h"
#include "engine/frames.h"

enum { WEIGHTS, TABLES, BUFFERS, PLUGINS, POOL, N_PARTS };

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

static void add_encoder(size_t *parts, const encoder *enc)
{
	add(&parts[WEIGHTS], enc->model->borrowed ? 0 : encoder_file(enc)->map_bytes);
	add(&parts[PLUGINS], encoder_bytes(enc));
}

static void add_vocoder(size_t *parts, const vocoder *v)
{
	add(&parts[WEIGHTS], v->model->borrowed ? 0 : v->model->file->map_bytes);
	add(&parts[PLUGINS], vocoder_bytes(v));
}

static void add_model(size_t *parts, const served_model *s)
{
	add(&parts[WEIGHTS], s->m->weight_bytes);
	add(&parts[TABLES], arena_bytes(s->m->mem));
	add(&parts[TABLES], vocab_bytes(s->m->vocab));
	for (uint32_t i = 0, n = atomic_load(&s->n_encoders); i < n; i++)
		add_encoder(parts, s->encoders[i]);
	if (s->vocoder)
		add_vocoder(parts, s->vocoder);
}

sn_status memory_check_pool(const sn_engine *e, sn_error *err)
{
	const sn_engine_config *c = &e->config;
	size_t need = page_pool_bytes(c->kv_cache_memory);
	if (!c->memory_limit || need <= c->memory_limit)
		return SN_OK;
	return error_set(err, SN_ERR_INVALID, "the KV pool of %zu bytes with its tables, %zu bytes together, exceeds the memory limit of %zu",
	                 c->kv_cache_memory, need, c->memory_limit);
}

sn_status memory_check(const sn_engine *e, const served_model *s, const encoder *newcomer, sn_error *err)
{
	const sn_engine_config *c = &e->config;
	const served_model *end = e->models + e->n_models;
	size_t parts[N_PARTS] = {[POOL] = page_pool_bytes(c->kv_cache_memory) + page_pool_more(e->pages), [PLUGINS] = plugin_host_bytes(e->plugins)};
	for (const served_model *m = e->models; m < end || m == s; m++)
		add_model(parts, m);
	if (newcomer)
		add_encoder(parts, newcomer);
	size_t scratch = newcomer && encoder_wants(newcomer) > e->ops.x_bytes ? encoder_wants(newcomer) : e->ops.x_bytes;
	size_t buffers[] = {forward_bytes(&e->buffers, s->m, c->max_num_batched_tokens, c->max_num_seqs), scratch,
	                    sampler_bytes(&e->sampler, frames_choices(s->m)), engine_loop_bytes(e), frames_room(e->frames, s->m)};
	parts[BUFFERS] = sum_of(buffers, sizeof buffers / sizeof *buffers);
	size_t need = sum_of(parts, N_PARTS);
	if (!c->memory_limit || need <= c->memory_limit)
		return SN_OK;
	return error_set(err, SN_ERR_NOMEM,
	                 "model %s: %zu bytes are needed (weights %zu, tables %zu, buffers of a step %zu, plugins %zu, KV pool %zu), the memory limit is %zu",
	                 s->name, need, parts[WEIGHTS], parts[TABLES], parts[BUFFERS], parts[PLUGINS], parts[POOL], c->memory_limit);
}
