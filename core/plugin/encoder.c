/* Encoders: which plugin serves a media tower's file or a language model's own, and its instance's life. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "plugin/host.h"

typedef bool kind_test(void *ctx, const char *kind_name);

static plugin *surest(plugin_host *h, const struct sn_model *m, kind_test *taken, void *ctx)
{
	plugin *best = NULL;
	int32_t best_score = 0;
	for (size_t i = 0, n = plugin_count(h); i < n; i++) {
		plugin *p = h->plugins[i];
		if (!p->desc || !p->plan || !p->encode || !p->desc->probe || (taken && taken(ctx, p->plan->kind_name)))
			continue;
		int32_t score = p->desc->probe(&h->face, m);
		if (score > best_score) {
			best = p;
			best_score = score;
		}
	}
	return best;
}

static sn_status encoder_new(encoder **out, plugin_host *h, ops *o, sn_error *err)
{
	arena *mem = arena_open(0);
	encoder *e = mem ? arena_alloc(mem, sizeof *e) : NULL;
	struct sn_model *m = e ? arena_alloc(mem, sizeof *m) : NULL;
	if (!m) {
		arena_close(&mem);
		return error_set(err, SN_ERR_NOMEM, "no memory for an encoder");
	}
	*m = (struct sn_model){.o = o, .mem = mem};
	*e = (encoder){.model = m, .id = ++h->n_encoders, .row_token = -1};
	*out = e;
	return SN_OK;
}

static sn_status start(encoder *e, plugin_host *h, sn_error *err)
{
	const sn_plugin *d = e->p->desc;
	sn_fault fault = {.size = sizeof fault};
	e->instance = plugin_instance_new(d);
	sn_rc rc = e->instance ? d->init(e->instance, &h->face, &fault) : SN_RC_NOMEM;
	bool begun = e->instance && rc == SN_RC_OK;
	if (begun)
		rc = d->load(e->instance, e->model, &fault);
	const char *marker = rc == SN_RC_OK ? e->p->plan->marker(e->instance) : NULL;
	if (rc == SN_RC_OK && (!marker || !*marker || strnlen(marker, 257) > 256)) {
		rc = SN_RC_INTERNAL;
		snprintf(fault.text, sizeof fault.text, "%s gives no usable marker", d->id);
	}
	if (rc != SN_RC_OK) {
		if (begun)
			d->fini(e->instance);
		free(e->instance);
		e->instance = NULL;
		return error_set(err, rc == SN_RC_UNSUPPORTED ? SN_ERR_UNSUPPORTED : SN_ERR_INVALID, "%s: %.*s", e->model->file->name, 240,
		                 *fault.text ? fault.text : "its plugin did not start");
	}
	e->marker = str_of(marker);
	const sn_ext_plan *plan = e->p->plan;
	e->media_rate = plan->size > SN_EXT_PLAN_MIN_SIZE && plan->media_rate ? plan->media_rate(e->instance) : 0;
	atomic_fetch_add(&e->p->n_serving, 1);
	log_info(h->log, "plugin", NULL, "%s serves %s", d->id, e->model->file->name);
	return SN_OK;
}

sn_status encoder_open(encoder **out, plugin_host *h, const char *path, ops *o, sn_error *err)
{
	encoder *e = NULL;
	pthread_mutex_lock(&h->adding);
	sn_status st = encoder_new(&e, h, o, err);
	if (!st)
		st = model_file_open(&e->model->file, path, err);
	if (!st && !(e->p = surest(h, e->model, NULL, NULL))) {
		str type = {0};
		file_str(e->model->file, "clip.projector_type", &type);
		st = error_set(err, SN_ERR_UNSUPPORTED, "%s: no plugin serves this file (projector \"%.*s\")", e->model->file->name,
		               type.n > 32 ? 32 : (int)type.n, type.p ? type.p : "");
	}
	if (!st)
		st = start(e, h, err);
	if (st)
		encoder_close(&e);
	pthread_mutex_unlock(&h->adding);
	*out = e;
	return st;
}

sn_status encoder_open_beside(encoder **out, plugin_host *h, model_file *file, ops *o, bool late, kind_test *taken, void *ctx, sn_error *err)
{
	encoder *e = NULL;
	pthread_mutex_lock(&h->adding);
	sn_status st = encoder_new(&e, h, o, err);
	if (!st) {
		e->model->file = file;
		e->model->borrowed = true;
		e->model->late = late;
		e->p = surest(h, e->model, taken, ctx);
		if (e->p)
			st = start(e, h, err);
		if (st || !e->p)
			encoder_close(&e);
	}
	pthread_mutex_unlock(&h->adding);
	*out = e;
	return st;
}

size_t encoder_bytes(const encoder *e)
{
	return arena_bytes(e->model->mem) + (e->instance ? plugin_instance_bytes(e->p->desc) : 0);
}

size_t encoder_wants(const encoder *e)
{
	return e->model->late_scratch;
}

void encoder_close(encoder **ep)
{
	encoder *e = *ep;
	if (!e)
		return;
	if (e->instance) {
		e->p->desc->fini(e->instance);
		atomic_fetch_sub(&e->p->n_serving, 1);
		free(e->instance);
	}
	struct sn_model *m = e->model;
	arena *mem = m->mem;
	if (!m->borrowed)
		model_file_close(&m->file);
	arena_close(&mem); /* e and m live in it */
	*ep = NULL;
}

const model_file *encoder_file(const encoder *e)
{
	return e->model->file;
}
