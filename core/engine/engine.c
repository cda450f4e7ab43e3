/* The engine's life: open, load models, start, drain, close; and what it tells about itself. */
#include "engine/engine.h"

#include <sched.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/embed.h"
#include "engine/frames.h"
#include "plugin/isolate.h"

static size_t or_default(size_t v, size_t def)
{
	return v ? v : def;
}

static uint32_t usable_cores(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

static void fill_defaults(sn_engine_config *c)
{
	c->kv_cache_memory = or_default(c->kv_cache_memory, 512ull << 20);
	c->media_cache_memory = or_default(c->media_cache_memory, 64ull << 20);
	c->max_media_memory = or_default(c->max_media_memory, 512ull << 20);
	c->threads = (uint32_t)or_default(c->threads, usable_cores());
	c->max_num_seqs = (uint32_t)or_default(c->max_num_seqs, 64);
	c->max_num_batched_tokens = (uint32_t)or_default(c->max_num_batched_tokens, 512);
	c->max_queued_requests = (uint32_t)or_default(c->max_queued_requests, 128);
	c->media_threads = (uint32_t)or_default(c->media_threads, 2);
	c->codec_timeout_ms = (uint32_t)or_default(c->codec_timeout_ms, 120000);
	c->step_timeout_ms = (uint32_t)or_default(c->step_timeout_ms, 30000);
}

/* What cannot fail. */
static void init_state(sn_engine *e, const sn_engine_config *config)
{
	e->config = *config;
	fill_defaults(&e->config);
	const sn_engine_config *c = &e->config;
	e->log = c->log;
	hash_key_draw(&e->key);
	e->inbox_tail = &e->inbox;
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&e->lock, NULL);
	pthread_mutex_init(&e->attaching, NULL);
	pthread_cond_init(&e->wake, &attr);
	pthread_cond_init(&e->newcomer_served, NULL);
	pthread_condattr_destroy(&attr);
	media_cache_init(&e->cache, c->media_cache_memory, c->max_media_memory, &e->metrics, e->log);
	grammars_init(&e->grammars);
	media_gate_init(&e->gate, NULL, &e->metrics, e->log, &e->key, c->max_media_memory, c->media_threads);
	e->max_requests = c->max_num_seqs + c->max_queued_requests;
	e->max_active = e->max_requests * SN_MAX_CHOICES;
}

static sn_status open_parts(sn_engine *e, sn_error *err)
{
	const sn_engine_config *c = &e->config;
	sn_status st = SN_OK;
	if (c->max_num_batched_tokens < c->max_num_seqs)
		st = error_set(err, SN_ERR_INVALID, "max_num_batched_tokens %u is less than max_num_seqs %u", c->max_num_batched_tokens, c->max_num_seqs);
	if (!st && !e->plans_only)
		st = memory_check_pool(e, err);
	if (!st)
		st = pool_open(&e->threads, c->threads, err);
	if (!st)
		ops_init(&e->ops, e->threads, (kn_isa)c->isa_mask);
	if (!st && !e->plans_only)
		st = page_pool_open(&e->pages, c->kv_cache_memory, err);
	if (!st)
		st = plugin_host_open(&e->plugins, c->plugin_dir, c->max_media_memory, e->threads, e->log, err);
	if (!st && c->codec_helper && c->plugin_dir)
		st = isolate_open(&e->plugins->isolate, e->plugins, &e->metrics, c->codec_helper, c->codec_helper_argv, c->codec_timeout_ms, err);
	if (!st)
		st = engine_loop_open(e, err);
	return st;
}

static sn_status open_engine(sn_engine **out, const sn_engine_config *config, bool plans_only, sn_error *err)
{
	sn_engine *e = calloc(1, sizeof *e);
	if (!e || sodium_init() < 0) {
		free(e);
		return error_set(err, SN_ERR_NOMEM, "no memory for the engine");
	}
	init_state(e, config);
	e->plans_only = plans_only;
	sn_status st = open_parts(e, err);
	if (st) {
		sn_engine_close(&e);
		return st;
	}
	e->gate.host = e->plugins;
	*out = e;
	if (plans_only)
		return SN_OK;
	metric_set(&e->metrics, M_PAGES_TOTAL, page_pool_total(e->pages));
	metric_set(&e->metrics, M_PAGES_FREE, page_pool_available(e->pages));
	log_info(e->log, "engine", NULL, "%u threads, kernels %s, %u KV pages of %d KiB", e->config.threads, kn_isa_name(e->ops.isa),
	         page_pool_total(e->pages), PAGE_BYTES / 1024);
	return SN_OK;
}

sn_status sn_engine_open(sn_engine **out, const sn_engine_config *config, sn_error *err)
{
	return open_engine(out, config, false, err);
}

sn_status engine_open_plan(sn_engine **out, const sn_engine_config *config, sn_error *err)
{
	return open_engine(out, config, true, err);
}

void sn_engine_close(sn_engine **ep)
{
	sn_engine *e = *ep;
	if (!e)
		return;
	atomic_store(&e->draining, true);
	atomic_store(&e->stop, true);
	engine_nudge(e);
	if (e->thread_started)
		pthread_join(e->thread, NULL);
	while (atomic_load(&e->n_alive)) /* consumers close what they hold */
		usleep(1000);
	media_cache_fini(&e->cache);
	media_gate_fini(&e->gate);
	grammars_fini(&e->grammars);
	for (uint32_t i = 0; i < e->n_models; i++) {
		encoders_close(&e->models[i]);
		token_trie *trie = atomic_load(&e->models[i].trie);
		token_trie_close(&trie);
		model_close(&e->models[i].m);
		free(e->models[i].name);
	}
	engine_loop_close(e);
	plugin_host_close(&e->plugins);
	forward_free(&e->buffers);
	sampler_fini(&e->sampler);
	page_pool_close(&e->pages);
	ops_fini(&e->ops);
	pool_close(&e->threads);
	pthread_cond_destroy(&e->newcomer_served);
	pthread_cond_destroy(&e->wake);
	pthread_mutex_destroy(&e->attaching);
	pthread_mutex_destroy(&e->lock);
	free(e);
	*ep = NULL;
}

/* ---- models ---- */

/* What cannot speak does without, and is told so in the log; of a model that can do nothing else it is the end. */
static sn_status find_its_voice(sn_engine *e, served_model *s, sn_error *err)
{
	sn_error why;
	sn_status st = encoders_attach_own_speaker(e, s, &why);
	if (st && !s->m->h.arch->speaks)
		log_warn(e->log, "plugin", NULL, "%s does without speech: %s", s->name, why.text);
	else if (st)
		return error_set(err, st, "%.400s", why.text);
	else if (!s->speaker && s->m->h.arch->speaks)
		return error_set(err, SN_ERR_UNSUPPORTED, "%s: it can do nothing but speak, and no plugin makes sound of its codes: neither of this model (in a directory: speech_tokenizer) nor of a file beside it (--mmproj)",
		                 s->m->file->name);
	return memory_check(e, s, NULL, err);
}

static sn_status load_parts(sn_engine *e, served_model *s, const sn_model_config *config, sn_error *err)
{
	model_file *f;
	sn_status st = model_file_open(&f, config->path, err);
	if (!st && (st = memory_check_file(e, s, f, err)))
		model_file_close(&f);
	if (!st)
		st = model_open_file(&s->m, f, config->chat_template, e->config.kv_dtype, config->pooling, &e->ops, err);
	if (!st && e->pages)
		st = page_pool_admit(e->pages, &s->m->kv, err);
	if (!st)
		s->m->kv.max_chunk = e->config.max_num_batched_tokens;
	if (!st && e->config.max_model_len && e->config.max_model_len < s->m->h.n_context)
		model_limit(s->m, e->config.max_model_len);
	if (!st)
		st = memory_check(e, s, NULL, err); /* its weights are mapped and not read, and there are no buffers for it yet */
	for (size_t i = 0; i < config->n_mmproj && !st; i++) {
		st = encoders_attach_beside(e, s, config->mmproj[i], err);
		if (!st)
			st = memory_check(e, s, NULL, err);
	}
	if (!st)
		encoders_attach_own(e, s, false);
	if (!st)
		st = find_its_voice(e, s, err);
	if (st || e->plans_only)
		return st;
	st = forward_reserve(&e->buffers, s->m, e->config.max_num_batched_tokens, e->config.max_num_seqs, err);
	if (!st)
		st = sampler_reserve(&e->sampler, frames_choices(s->m), err);
	if (!st)
		st = frames_reserve(e->frames, s->m, err);
	return st;
}

static void log_model(const sn_engine *e, const served_model *s)
{
	const kv_layout *kv = &s->m->kv;
	char groups[KV_MAX_GROUPS * 64] = "";
	for (uint32_t g = 0, n = 0; g < kv->n_groups; g++) {
		char window[32] = "";
		if (kv->groups[g].window)
			snprintf(window, sizeof window, ", window %u", kv->groups[g].window);
		if (kv->groups[g].limit)
			snprintf(window, sizeof window, ", %u rows of a medium", kv->groups[g].limit);
		n += (uint32_t)snprintf(groups + n, sizeof groups - n, "%s%u layers in blocks of %u tokens%s", g ? "; " : "", kv->groups[g].n_layers,
		                        kv->groups[g].block_tokens, window);
	}
	log_info(e->log, "engine", NULL, "model %s: %s, %u layers, context %u, %.1f MB of weights, KV %s: %s", s->name, s->m->h.arch->name,
	         s->m->h.n_layers, s->max_len, (double)s->m->weight_bytes * 1e-6, kv_type_name(kv->groups[0].type), groups);
}

sn_status sn_engine_load(sn_engine *e, const sn_model_config *config, sn_error *err)
{
	if (e->thread_started)
		return error_set(err, SN_ERR_UNSUPPORTED, "models are loaded before the engine starts");
	if (e->n_models == MAX_MODELS)
		return error_set(err, SN_ERR_TOO_LARGE, "more than %d models", MAX_MODELS);
	if (!config->name || !*config->name)
		return error_set(err, SN_ERR_INVALID, "a model needs a name");
	if (engine_find_model(e, config->name))
		return error_set(err, SN_ERR_INVALID, "model name %s is given twice", config->name);
	served_model *s = &e->models[e->n_models];
	*s = (served_model){.name = strdup(config->name), .id = e->n_models + 1};
	e->infos[e->n_models] = (sn_model_info){0};
	sn_status st = s->name ? load_parts(e, s, config, err) : error_set(err, SN_ERR_NOMEM, "no memory for a model");
	if (st) {
		encoders_close(s);
		model_close(&s->m);
		free(s->name);
		*s = (served_model){0};
		return st;
	}
	e->n_models++;
	s->longest_token = vocab_longest(s->m->vocab);
	s->max_len = s->m->h.n_context;
	if (e->config.max_model_len && e->config.max_model_len < s->max_len)
		s->max_len = e->config.max_model_len;
	sn_model_info *info = &e->infos[e->n_models - 1];
	info->name = s->name; /* its modalities are there already */
	info->architecture = s->m->h.arch->name;
	info->embeds_only = s->m->pooling.declared;
	info->max_model_len = s->max_len;
	info->n_vocab = (uint32_t)vocab_size(s->m->vocab);
	info->created = time(NULL);
	if (e->plans_only)
		return SN_OK;
	memory_publish(e, s);
	log_model(e, s);
	return SN_OK;
}

served_model *engine_find_model(sn_engine *e, const char *name)
{
	if (!name || !*name)
		return e->n_models ? &e->models[0] : NULL;
	for (uint32_t i = 0; i < e->n_models; i++)
		if (strcmp(e->models[i].name, name) == 0)
			return &e->models[i];
	return NULL;
}

served_model *engine_find_speaking(sn_engine *e, const char *name)
{
	if (name && *name)
		return engine_find_model(e, name);
	for (uint32_t i = 0; i < e->n_models; i++)
		if (e->models[i].speaker)
			return &e->models[i];
	return NULL;
}

/* ---- start ---- */

/* One token through the whole path: pages, forward pass, sampler, ring. */
static sn_status warm_up(sn_engine *e, served_model *s, sn_error *err)
{
	int32_t bos = vocab_bos(s->m->vocab);
	uint32_t n_cross = s->m->h.n_cross;
	seq_row *rows = calloc((size_t)n_cross + 1, sizeof *rows); /* of no medium: an encoder-decoder looks at nothing */
	sn_request *r = rows ? request_new(e, s, "warm-up", 1) : NULL;
	if (!r) {
		free(rows);
		return error_set(err, SN_ERR_NOMEM, "no memory to warm up");
	}
	for (uint32_t i = 0; i <= n_cross; i++)
		rows[i] = (seq_row){.id = bos >= 0 ? bos : 0, .media = -1};
	sn_sampling_init(&r->sampling);
	r->sampling.temperature = 0;
	r->sampling.max_tokens = 1;
	r->t_submit = clock_ms();
	sn_status st = s->m->pooling.declared ? pooled_begin(r, 1, err) : SN_OK;
	if (!st)
		st = sequences_make(r, rows, n_cross + 1, err);
	free(rows);
	if (!st) {
		atomic_fetch_add(&r->owners, 1);
		atomic_fetch_add(&e->n_requests, 1);
		st = engine_submit(e, r, err);
	}
	sn_event ev = {0};
	while (!st && ev.kind != SN_EVENT_DONE && ev.kind != SN_EVENT_ERROR)
		sn_request_next(r, 1000, &ev);
	if (!st && ev.kind == SN_EVENT_ERROR)
		st = error_set(err, ev.error.status, "model %s: its first token failed: %.200s", s->name, ev.error.text);
	sn_request_close(&r);
	return st;
}

sn_status sn_engine_start(sn_engine *e, sn_error *err)
{
	if (pthread_create(&e->thread, NULL, engine_main, e) != 0)
		return error_set(err, SN_ERR_NOMEM, "the engine thread cannot be started");
	e->thread_started = true;
	for (uint32_t i = 0; i < e->n_models; i++) {
		sn_status st = warm_up(e, &e->models[i], err);
		if (st)
			return st;
	}
	atomic_store(&e->ready, true);
	return SN_OK;
}

void sn_engine_drain(sn_engine *e)
{
	atomic_store(&e->draining, true);
}

void sn_engine_abort_all(sn_engine *e)
{
	atomic_store(&e->draining, true);
	atomic_store(&e->abort_all, true);
	isolate_end(e->plugins->isolate);
	engine_nudge(e);
}

/* ---- what it tells ---- */

sn_health sn_engine_health(const sn_engine *e)
{
	long long started = atomic_load(&e->step_started_us);
	double running = started ? clock_ms() - (double)started * 1e-3 : 0;
	sn_health h = {.draining = atomic_load(&e->draining), .n_active = atomic_load(&e->n_requests)};
	h.live = running <= 10.0 * e->config.step_timeout_ms;
	h.ready = atomic_load(&e->ready) && !h.draining && running <= e->config.step_timeout_ms;
	return h;
}

size_t sn_engine_models(const sn_engine *e, const sn_model_info **out)
{
	*out = e->infos;
	return e->n_models;
}

static const char *state_of(const plugin *p)
{
	if (!p->desc)
		return "refused";
	if (atomic_load(&p->failed_in_a_row) >= DEGRADED_AFTER)
		return "degraded";
	return p->instance || atomic_load(&p->n_serving) ? "ready" : "loaded";
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

size_t sn_engine_plugins(const sn_engine *e, sn_plugin_info *out, size_t cap)
{
	size_t n = plugin_count(e->plugins);
	for (size_t i = 0; i < n && i < cap; i++) {
		plugin *p = e->plugins->plugins[i];
		out[i] = (sn_plugin_info){.id = "", .version = "", .license = "", .summary = "", .file = p->file, .state = state_of(p),
		                          .reason = p->reason, .extensions = "", .kind = "", .media_types = ""};
		if (!p->desc)
			continue;
		out[i].id = p->desc->id;
		out[i].version = p->desc->version;
		out[i].license = or_empty(p->desc->license);
		out[i].summary = or_empty(p->desc->summary);
		out[i].extensions = or_empty(p->desc->extensions);
		out[i].kind = p->decode ? p->decode->kind_name : p->plan && !p->speak ? p->plan->kind_name : "";
		if (p->decode) {
			out[i].media_types = p->decode->media_types;
			const sn_media_limits l = media_gate_limits(p->decode->kind, 0);
			out[i].max_side = l.max_width;
			out[i].max_frames = l.max_frames;
			out[i].max_seconds = media_gate_seconds(p->decode->kind);
			out[i].max_pixels = l.max_pixels;
			out[i].max_samples = l.max_samples;
			out[i].max_bytes = l.max_bytes;
		}
		if (p->clip && !p->decode) {
			const sn_clip_limits l = media_gate_clip_limits(&e->gate);
			out[i].kind = p->clip->kind_name;
			out[i].media_types = p->clip->media_types;
			out[i].max_side = l.max_width;
			out[i].max_frames = l.max_track_frames;
			out[i].max_seconds = l.max_seconds;
			out[i].max_pixels = l.max_pixels;
			out[i].max_bytes = l.max_bytes;
		}
		out[i].calls = atomic_load(&p->calls);
		out[i].failures = atomic_load(&p->failures);
		out[i].media_bytes = atomic_load(&p->media_bytes);
		out[i].models = atomic_load(&p->n_serving);
	}
	return n;
}

size_t sn_engine_voices(const sn_engine *e, const char *name, const sn_voice_info **out, uint32_t *rate)
{
	const served_model *m = engine_find_speaking((sn_engine *)(uintptr_t)e, name);
	const speaker *s = m ? m->speaker : NULL;
	*out = s ? s->voices : NULL;
	*rate = s ? s->info->rate : 0;
	return s ? s->n_voices : 0;
}

const char *sn_engine_kind_of(const sn_engine *e, const void *bytes, size_t size, const char *mime)
{
	return media_gate_kind(&e->gate, bytes, size, mime);
}

sn_status sn_engine_metrics(const sn_engine *e, FILE *out)
{
	metrics_render(&e->metrics, out);
	return ferror(out) ? SN_ERR_IO : SN_OK;
}

bool sn_engine_speech_skills(const sn_engine *e, const char *name, sn_speech_skills *out)
{
	const served_model *m = engine_find_speaking((sn_engine *)(uintptr_t)e, name);
	*out = (sn_speech_skills){0};
	if (!m || !m->speaker)
		return false;
	const sn_speaker *a = m->speaker->about;
	*out = (sn_speech_skills){m->speaker->languages, a->n_languages, a->instructions != 0, a->reference != 0};
	return true;
}
