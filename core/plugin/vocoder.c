/* Vocoders: an instance of a plugin that knows how a language model speaks and makes sound of its codes, for a file beside that
 * model. What it says of itself is checked here once; what it says of the model is checked against the model (engine/speaker.c). */
#include <string.h>

#include "base/error.h"
#include "plugin/host.h"

enum { MAX_VOICES = 1024, MAX_PIECES = 64, MAX_SLOTS = 64, MAX_ENDS = 16, MAX_FRAMES = 1 << 20, MAX_RATE = 384000, MAX_STREAMS = 64 };
enum { MAX_STREAM_BYTES = 1 << 28, MAX_CHUNK_SAMPLES = 1 << 26 };

static bool is_text(const char *s, size_t max)
{
	return s && *s && strnlen(s, max + 1) <= max;
}

static bool is_voice_name(const char *s)
{
	return is_text(s, 63) && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == strlen(s);
}

static const char *voices_problem(const sn_speaker *a)
{
	if (!a->n_voices || a->n_voices > MAX_VOICES || !a->voices)
		return "its voices";
	for (uint32_t i = 0; i < a->n_voices; i++) {
		const sn_voice *v = &a->voices[i];
		if (!is_voice_name(v->name) || (strcmp(v->name, "default") == 0 && i) || !v->prompt || !v->language || strnlen(v->language, 36) > 35)
			return "a voice's name, prompt or language";
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(a->voices[k].name, v->name) == 0)
				return "two voices of one name";
	}
	return NULL;
}

static const char *prompt_problem(const sn_speaker *a)
{
	uint32_t n_texts = 0;
	if (!a->n_pieces || a->n_pieces > MAX_PIECES || !a->prompt)
		return "its prompt";
	for (uint32_t i = 0; i < a->n_pieces; i++) {
		const sn_speak_piece *p = &a->prompt[i];
		bool literal = p->what == SN_SPEAK_TRUSTED || p->what == SN_SPEAK_PLAIN;
		if (p->what < SN_SPEAK_TRUSTED || p->what > SN_SPEAK_TEXT || (literal && !p->text))
			return "a piece of its prompt";
		n_texts += p->what == SN_SPEAK_TEXT;
	}
	return n_texts == 1 ? NULL : "its prompt has no place, or several, for the text";
}

static const char *codes_problem(const sn_speaker *a)
{
	if (!a->n_slots || a->n_slots > MAX_SLOTS || !a->slots || !a->n_end_tokens || a->n_end_tokens > MAX_ENDS || !a->end_tokens)
		return "its slots or end tokens";
	for (uint32_t i = 0; i < a->n_slots; i++)
		if (!is_text(a->slots[i].first_token, 255) || !a->slots[i].n)
			return "a slot's codes";
	for (uint32_t i = 0; i < a->n_end_tokens; i++)
		if (!is_text(a->end_tokens[i], 255))
			return "an end token";
	return NULL;
}

static bool in_range(float v, float min, float max)
{
	return v >= min && v <= max; /* not a NaN */
}

static const char *about_problem(const sn_speaker *a)
{
	if (!a || a->size < sizeof *a)
		return SN_EXT_SPEAK " describes nothing";
	if (a->max_text < 16 || !a->max_frames || a->max_frames > MAX_FRAMES)
		return "the length of its utterances";
	if (!in_range(a->temperature, 0, 2) || !(a->top_p > 0) || !in_range(a->top_p, 0, 1) || !(a->repetition_penalty > 0) ||
	    !in_range(a->repetition_penalty, 0, 10) || a->top_k > INT32_MAX)
		return "its sampling";
	const char *why = voices_problem(a);
	why = why ? why : prompt_problem(a);
	return why ? why : codes_problem(a);
}

static const char *info_problem(const sn_synth_info *i, const sn_speaker *a)
{
	if (!i || i->size < sizeof *i)
		return SN_EXT_SYNTH " describes nothing";
	if (!i->rate || i->rate > MAX_RATE || !i->frame_samples || i->n_codes != a->n_slots)
		return "its rate, or the size of a frame";
	if (!i->first_frames || !i->chunk_frames || i->first_frames > i->max_frames || i->chunk_frames > i->max_frames || i->max_frames > MAX_FRAMES ||
	    i->delay_frames > MAX_FRAMES || (i->offline && i->first_frames != i->max_frames))
		return "the length of its chunks";
	uint32_t longest = i->first_frames > i->chunk_frames ? i->first_frames : i->chunk_frames;
	if (((uint64_t)longest + i->delay_frames) * i->frame_samples > MAX_CHUNK_SAMPLES)
		return "the samples of a chunk";
	if (!i->max_streams || i->stream_bytes > MAX_STREAM_BYTES)
		return "its streams";
	return NULL;
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
	if (st)
		vocoder_close(&v);
	*out = v;
	return st;
}

sn_status vocoder_describe(vocoder *v, sn_error *err)
{
	v->about = v->p->speak->describe(v->instance);
	v->info = v->p->synth->describe(v->instance);
	const char *why = about_problem(v->about);
	why = why ? why : info_problem(v->info, v->about);
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

static sn_status nobody(const model_file *file, sn_error *err)
{
	str type = {0};
	if (!file_str(file, "clip.projector_type", &type))
		file_str(file, "general.architecture", &type);
	return error_set(err, SN_ERR_UNSUPPORTED, "%s: no plugin serves this file (projector \"%.*s\")", file->name, type.n > 32 ? 32 : (int)type.n,
	                 type.p ? type.p : "");
}

sn_status beside_open(plugin_host *h, const char *path, ops *o, encoder **tower, vocoder **speaks, sn_error *err)
{
	struct sn_model *m = NULL;
	*tower = NULL;
	*speaks = NULL;
	pthread_mutex_lock(&h->adding);
	sn_status st = bound_model_new(&m, o, err);
	if (!st)
		st = model_file_open(&m->file, path, err);
	plugin *p = st ? NULL : plugin_surest(h, m, encodes_or_speaks, NULL);
	if (p)
		st = p->plan ? encoder_new(tower, h, m, p, err) : vocoder_new(speaks, h, m, p, err);
	else if (!st)
		st = nobody(m->file, err);
	if (!p)
		bound_model_close(&m);
	pthread_mutex_unlock(&h->adding);
	return st;
}
