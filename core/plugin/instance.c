/* A plugin's instance bound to one model file: which plugin claims the file, and the instance's life. What encoders and vocoders
 * have in common. */
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "plugin/host.h"

plugin *plugin_surest(plugin_host *h, const struct sn_model *m, bool (*may)(void *ctx, const plugin *p), void *ctx)
{
	plugin *best = NULL;
	int32_t best_score = 0;
	for (size_t i = 0, n = plugin_count(h); i < n; i++) {
		plugin *p = h->plugins[i];
		if (!p->desc || !p->desc->probe || !may(ctx, p))
			continue;
		int32_t score = p->desc->probe(&h->face, m);
		if (score > best_score) {
			best = p;
			best_score = score;
		}
	}
	return best;
}

sn_status plugin_start(plugin *p, plugin_host *h, const struct sn_model *m, void **instance, sn_error *err)
{
	const sn_plugin *d = p->desc;
	sn_fault fault = {.size = sizeof fault};
	void *made = plugin_instance_new(d);
	sn_rc rc = made ? d->init(made, &h->face, &fault) : SN_RC_NOMEM;
	bool begun = made && rc == SN_RC_OK;
	if (begun)
		rc = d->load(made, m, &fault);
	if (rc != SN_RC_OK) {
		if (begun)
			d->fini(made);
		free(made);
		return error_set(err, rc == SN_RC_UNSUPPORTED ? SN_ERR_UNSUPPORTED : SN_ERR_INVALID, "%s: %.*s", m->file->name, 240,
		                 *fault.text ? fault.text : "its plugin did not start");
	}
	atomic_fetch_add(&p->n_serving, 1);
	log_info(h->log, "plugin", NULL, "%s serves %s", d->id, m->file->name);
	*instance = made;
	return SN_OK;
}

void plugin_end(plugin *p, void **instance)
{
	if (!*instance)
		return;
	p->desc->fini(*instance);
	atomic_fetch_sub(&p->n_serving, 1);
	free(*instance);
	*instance = NULL;
}

sn_status bound_model_new(struct sn_model **out, ops *o, sn_error *err)
{
	arena *mem = arena_open(0);
	struct sn_model *m = mem ? arena_alloc(mem, sizeof *m) : NULL;
	if (!m) {
		arena_close(&mem);
		return error_set(err, SN_ERR_NOMEM, "no memory for a plugin's model");
	}
	*m = (struct sn_model){.o = o, .mem = mem};
	*out = m;
	return SN_OK;
}

void bound_model_close(struct sn_model **mp)
{
	struct sn_model *m = *mp;
	*mp = NULL;
	if (!m)
		return;
	arena *mem = m->mem;
	if (!m->borrowed)
		model_file_close(&m->file);
	arena_close(&mem); /* m lives in it */
}
