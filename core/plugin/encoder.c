/* Encoders: an instance of a plugin that makes rows of media, for a media tower's file or for a language model's own. */
#include <string.h>

#include "base/error.h"
#include "plugin/host.h"

struct taken {
	bool (*test)(void *ctx, const char *kind_name);
	void *ctx;
};

static bool encodes_a_free_kind(void *ctx, const plugin *p)
{
	const struct taken *t = ctx;
	return p->plan && p->encode && !p->speak && !t->test(t->ctx, p->plan->kind_name); /* a speaker's is for recordings to speak like */
}

static bool is_marker(const char *s)
{
	return s && *s && strnlen(s, 257) <= 256;
}

sn_status encoder_new(encoder **out, plugin_host *h, struct sn_model *m, plugin *p, sn_error *err)
{
	encoder *e = arena_alloc(m->mem, sizeof *e);
	sn_status st = SN_OK;
	*out = NULL;
	if (!e) {
		bound_model_close(&m);
		return error_set(err, SN_ERR_NOMEM, "no memory for an encoder");
	}
	*e = (encoder){.p = p, .model = m, .id = ++h->n_encoders, .row_token = -1};
	st = plugin_start(p, h, m, &e->instance, err);
	const sn_ext_plan *plan = p->plan;
	const char *marker = st ? NULL : plan->marker(e->instance), *watches = !st && p->watch ? p->watch->marker(e->instance) : NULL;
	if (!st && (!is_marker(marker) || (p->watch && !is_marker(watches))))
		st = error_set(err, SN_ERR_INVALID, "%s: %s gives no usable marker", m->file->name, p->desc->id);
	if (st) {
		encoder_close(&e);
		return st;
	}
	e->marker = str_of(marker);
	e->watch_marker = watches ? str_of(watches) : (str){0};
	e->media_rate = plan->size > SN_EXT_PLAN_MIN_SIZE && plan->media_rate ? plan->media_rate(e->instance) : 0;
	*out = e;
	return SN_OK;
}

sn_status encoder_open_beside(encoder **out, plugin_host *h, model_file *file, ops *o, bool late,
                              bool (*taken)(void *ctx, const char *kind_name), void *ctx, sn_error *err)
{
	struct sn_model *m = NULL;
	struct taken t = {taken, ctx};
	*out = NULL;
	pthread_mutex_lock(&h->adding);
	sn_status st = bound_model_new(&m, o, err);
	if (!st) {
		m->file = file;
		m->borrowed = true;
		m->late = late;
		plugin *p = plugin_surest(h, m, encodes_a_free_kind, &t);
		if (p)
			st = encoder_new(out, h, m, p, err);
		else
			bound_model_close(&m);
	}
	pthread_mutex_unlock(&h->adding);
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
	*ep = NULL;
	if (!e)
		return;
	plugin_end(e->p, &e->instance);
	struct sn_model *m = e->model;
	bound_model_close(&m); /* e lives in it */
}

const model_file *encoder_file(const encoder *e)
{
	return e->model->file;
}
