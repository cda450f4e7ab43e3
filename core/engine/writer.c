/* sn_writer: sound into a file's bytes, by whichever codec writes streams of this type ("sn.write/1"). */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/engine.h"

struct sn_writer {
	sn_engine *engine;
	plugin *p;
	sn_write_stream *stream;
	char request_id[65];
	struct sn_call call;
	uint64_t n_samples, max_samples;
	uint8_t *out; /* [cap] */
	size_t cap;
	bool over;    /* finished, or failed */
};

static bool in_words(const char *words, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = words; n && (at = strstr(at, word)); at += n)
		if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0))
			return true;
	return false;
}

static plugin *find_writer(const plugin_host *h, const char *media_type)
{
	for (size_t i = 0, n = plugin_count(h); i < n; i++) {
		plugin *p = h->plugins[i];
		if (p->instance && p->write && p->write->kind == SN_MEDIA_AUDIO && sn_write_has_streams(p->write) && in_words(p->write->media_types, media_type))
			return p;
	}
	return NULL;
}

sn_status sn_writer_open(sn_engine *e, const sn_writer_config *config, sn_writer **out, sn_error *err)
{
	*out = NULL;
	plugin *p = find_writer(e->plugins, config->media_type ? config->media_type : "");
	if (!p)
		return error_set(err, SN_ERR_UNSUPPORTED, "no plugin here writes sound of this type as it comes");
	sn_writer *w = calloc(1, sizeof *w);
	if (!w)
		return error_set(err, SN_ERR_NOMEM, "no memory to write sound");
	*w = (sn_writer){.engine = e, .p = p, .max_samples = (uint64_t)media_gate_seconds(SN_MEDIA_AUDIO) * config->rate};
	snprintf(w->request_id, sizeof w->request_id, "%s", config->request_id ? config->request_id : "");
	w->call.request_id = w->request_id;
	const sn_write_stream_options options = {.size = sizeof options, .media_type = config->media_type, .rate = config->rate,
	                                         .tempo = config->tempo == 0 ? 1 : config->tempo, .whole = config->whole};
	sn_fault fault = {.size = sizeof fault};
	atomic_fetch_add(&p->calls, 1);
	sn_rc rc = p->write->stream_open(p->instance, &w->call, &options, &w->stream, &fault);
	if (rc != SN_RC_OK || !w->stream) {
		free(w);
		return rc != SN_RC_OK ? fault_to_error(p, rc, &fault, err) : plugin_broke(p, err, "a stream was opened and is not there");
	}
	atomic_fetch_add(&e->n_alive, 1); /* the engine outlives it */
	*out = w;
	return SN_OK;
}

/* What the plugin has ready becomes the caller's. */
static sn_status hand_over(sn_writer *w, uint64_t ready, const uint8_t **bytes, size_t *size, sn_error *err)
{
	if (ready > SIZE_MAX / 2)
		return plugin_broke(w->p, err, "more bytes are ready than there can be");
	if (ready > w->cap) {
		uint8_t *more = realloc(w->out, (size_t)ready);
		if (!more)
			return error_set(err, SN_ERR_NOMEM, "no memory to write sound");
		w->out = more;
		w->cap = (size_t)ready;
	}
	uint64_t got = ready ? w->p->write->stream_take(w->p->instance, w->stream, w->out, ready) : 0;
	if (got != ready)
		return plugin_broke(w->p, err, "%llu bytes were ready, and %llu came", (unsigned long long)ready, (unsigned long long)got);
	*bytes = w->out;
	*size = (size_t)ready;
	plugin_worked(w->p);
	return SN_OK;
}

static sn_status settle(sn_writer *w, sn_rc rc, const sn_fault *fault, uint64_t ready, const uint8_t **bytes, size_t *size, sn_error *err)
{
	sn_status st = rc == SN_RC_OK ? hand_over(w, ready, bytes, size, err) : fault_to_error(w->p, rc, fault, err);
	w->over |= st != SN_OK;
	return st;
}

sn_status sn_writer_push(sn_writer *w, const float *pcm, size_t n_samples, const uint8_t **bytes, size_t *size, sn_error *err)
{
	sn_fault fault = {.size = sizeof fault};
	uint64_t ready = 0;
	*bytes = NULL;
	*size = 0;
	if (w->over)
		return error_set(err, SN_ERR_INVALID, "the file has ended");
	w->over = n_samples > w->max_samples - w->n_samples;
	if (w->over)
		return error_set(err, SN_ERR_TOO_LARGE, "the sound is longer than allowed");
	if (n_samples == 0)
		return SN_OK;
	w->n_samples += n_samples;
	sn_rc rc = w->p->write->stream_push(w->p->instance, &w->call, w->stream, pcm, n_samples, &ready, &fault);
	return settle(w, rc, &fault, ready, bytes, size, err);
}

sn_status sn_writer_finish(sn_writer *w, const uint8_t **bytes, size_t *size, sn_error *err)
{
	sn_fault fault = {.size = sizeof fault};
	uint64_t ready = 0;
	*bytes = NULL;
	*size = 0;
	if (w->over)
		return error_set(err, SN_ERR_INVALID, "the file has ended");
	sn_rc rc = w->p->write->stream_finish(w->p->instance, &w->call, w->stream, &ready, &fault);
	w->over = true;
	return settle(w, rc, &fault, ready, bytes, size, err);
}

void sn_writer_close(sn_writer **pw)
{
	sn_writer *w = *pw;
	if (!w)
		return;
	w->p->write->stream_close(w->p->instance, w->stream);
	atomic_fetch_sub(&w->engine->n_alive, 1);
	free(w->out);
	free(w);
	*pw = NULL;
}
