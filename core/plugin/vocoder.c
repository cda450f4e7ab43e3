/* Vocoders: an instance of a plugin that knows how a language model speaks and makes sound of its codes, for a file beside that
 * model or for the model's own. What it says of itself is checked here once; what it says of the model is checked against the model (engine/speaker.c). */
#include <string.h>

#include "base/error.h"
#include "plugin/host.h"
#include "plugin/speaker_problem.h"

enum { MAX_STREAMS = 64 };

/* The instance once more, as an encoder: of recordings, for nobody else. It ends with the vocoder. */
static sn_status hear(vocoder *v, plugin_host *h, sn_error *err)
{
	const sn_ext_plan *plan = v->p->plan;
	if (!plan)
		return error_set(err, SN_ERR_INVALID, "%s: what %s says of how it speaks is not right: it hears recordings, without " SN_EXT_PLAN, v->model->file->name,
		                 v->p->desc->id);
	v->reference = arena_alloc(v->model->mem, sizeof *v->reference);
	if (!v->reference)
		return error_set(err, SN_ERR_NOMEM, "no memory for a vocoder");
	*v->reference = (encoder){.p = v->p, .instance = v->instance, .model = v->model, .id = ++h->n_encoders, .row_token = -1};
	v->reference->media_rate = plan->size > SN_EXT_PLAN_MIN_SIZE && plan->media_rate ? plan->media_rate(v->instance) : 0;
	return SN_OK;
}

sn_status vocoder_new(vocoder **out, plugin_host *h, struct sn_model *m, plugin *p, sn_error *err)
{
	vocoder *v = arena_alloc(m->mem, sizeof *v);
	*out = NULL;
	if (!v) {
		bound_model_close(&m);
		return error_set(err, SN_ERR_NOMEM, "no memory for a vocoder");
	}
	*v = (vocoder){.p = p, .model = m};
	sn_status st = plugin_start(p, h, m, &v->instance, err);
	if (!st)
		st = vocoder_describe(v, err);
	if (!st && v->about->reference)
		st = hear(v, h, err);
	if (st)
		vocoder_close(&v);
	*out = v;
	return st;
}

sn_status vocoder_describe(vocoder *v, sn_error *err)
{
	v->about = v->p->speak->describe(v->instance);
	v->info = v->p->synth->describe(v->instance);
	const char *why = speaker_problem(v->about, speak_compose(v->p->speak));
	why = why ? why : synth_problem(v->info, speaker_codes(v->about));
	if (why)
		return error_set(err, SN_ERR_INVALID, "%s: what %s says of how it speaks is not right: %s", v->model->file->name, v->p->desc->id, why);
	v->max_streams = v->info->max_streams < MAX_STREAMS ? v->info->max_streams : MAX_STREAMS;
	v->max_frames = v->info->max_frames < v->about->max_frames ? v->info->max_frames : v->about->max_frames;
	return SN_OK;
}

size_t vocoder_bytes(const vocoder *v)
{
	return arena_bytes(v->model->mem) + (v->instance ? plugin_instance_bytes(v->p->desc) : 0);
}

void vocoder_close(vocoder **vp)
{
	vocoder *v = *vp;
	*vp = NULL;
	if (!v)
		return;
	plugin_end(v->p, &v->instance);
	struct sn_model *m = v->model;
	bound_model_close(&m); /* v lives in it */
}

/* ---- a file beside a language model ---- */

static bool encodes_or_speaks(void *ctx, const plugin *p)
{
	(void)ctx;
	return (p->plan && p->encode) || (p->speak && p->synth);
}

static bool speaks(void *ctx, const plugin *p)
{
	(void)ctx;
	return p->speak && p->synth;
}

sn_status vocoder_open_own(vocoder **out, plugin_host *h, model_file *file, const vocab *v, ops *o, sn_error *err)
{
	struct sn_model *m = NULL;
	*out = NULL;
	pthread_mutex_lock(&h->adding);
	sn_status st = bound_model_new(&m, o, err);
	if (!st) {
		m->file = file;
		m->tokens = v;
		m->borrowed = true;
		plugin *p = plugin_surest(h, m, speaks, NULL);
		if (p)
			st = vocoder_new(out, h, m, p, err);
		else
			bound_model_close(&m);
	}
	pthread_mutex_unlock(&h->adding);
	return st;
}

static sn_status nobody(const model_file *file, sn_error *err)
{
	str type = {0};
	if (!file_str(file, "clip.projector_type", &type))
		file_str(file, "general.architecture", &type);
	return error_set(err, SN_ERR_UNSUPPORTED, "%s: no plugin serves this file (projector \"%.*s\")", file->name, type.n > 32 ? 32 : (int)type.n,
	                 type.p ? type.p : "");
}

sn_status beside_open(plugin_host *h, const char *path, const vocab *v, ops *o, encoder **tower, vocoder **speaks, sn_error *err)
{
	struct sn_model *m = NULL;
	*tower = NULL;
	*speaks = NULL;
	pthread_mutex_lock(&h->adding);
	sn_status st = bound_model_new(&m, o, err);
	if (!st)
		st = model_file_open(&m->file, path, err);
	if (!st)
		m->tokens = v;
	plugin *p = st ? NULL : plugin_surest(h, m, encodes_or_speaks, NULL);
	if (p)
		st = p->speak ? vocoder_new(speaks, h, m, p, err) : encoder_new(tower, h, m, p, err);
	else if (!st)
		st = nobody(m->file, err);
	if (!p)
		bound_model_close(&m);
	pthread_mutex_unlock(&h->adding);
	return st;
}
