/* plugin.c - whisper's side of the contract. See whisper.h for the model and the parts. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "whisper.h"

sn_rc whisper_fail(sn_fault *fault, sn_rc code, const char *format, ...)
{
	if (fault) {
		va_list args;
		va_start(args, format);
		fault->code = code;
		fault->retryable = code == SN_RC_NOMEM;
		fault->blame = code == SN_RC_NOMEM ? SN_BLAME_RESOURCE : code == SN_RC_INTERNAL ? SN_BLAME_PLUGIN : SN_BLAME_INPUT;
		vsnprintf(fault->text, sizeof fault->text, format, args);
		va_end(args);
	}
	return code;
}

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	whisper *w = instance;
	w->host = host;
	w->weights = host->service(host, SN_HOST_WEIGHTS);
	w->ops = host->service(host, SN_HOST_OPS);
	w->memory = host->service(host, SN_HOST_MEMORY);
	w->log = host->service(host, SN_HOST_LOG);
	if (!w->weights || w->weights->size < sizeof *w->weights || !w->ops || w->ops->size < sizeof *w->ops || !w->memory)
		return whisper_fail(fault, SN_RC_INTERNAL, "the host lacks a service that whisper needs");
	return SN_RC_OK;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	whisper *w = instance;
	w->loaded = false;
	sn_rc rc = whisper_read_config(w->weights, model, &w->config, fault);
	if (rc != SN_RC_OK)
		return rc;
	w->units = whisper_cut_units(&w->config);
	if (!sn_logmel_init(&w->mel, w->config.n_mels))
		return whisper_fail(fault, SN_RC_INTERNAL, "clip.audio.num_mel_bins = %u", w->config.n_mels);
	w->memory->free(w->host, w->layers); /* a second load takes the first one's place */
	w->layers = w->memory->alloc(w->host, w->config.layers * sizeof *w->layers);
	if (!w->layers)
		return whisper_fail(fault, SN_RC_NOMEM, "no memory for %u layers", w->config.layers);
	rc = whisper_bind(w, model, fault);
	if (rc == SN_RC_OK)
		rc = whisper_read_transcriber(w, model, fault);
	w->loaded = rc == SN_RC_OK;
	return rc;
}

static void fini(void *instance)
{
	whisper *w = instance;
	if (w->memory) {
		w->memory->free(w->host, w->layers);
		w->memory->free(w->host, w->tables);
	}
	w->layers = NULL;
	w->tables = NULL;
}

static const void *extension(const char *id)
{
	if (strcmp(id, SN_EXT_PLAN) == 0)
		return &whisper_plan_ext;
	if (strcmp(id, SN_EXT_ENCODE) == 0)
		return &whisper_encode_ext;
	if (strcmp(id, SN_EXT_TRANSCRIBE) == 0)
		return &whisper_transcribe_ext;
	return NULL;
}

static const sn_plugin PLUGIN = {
    .size = sizeof PLUGIN,
    .instance_size = sizeof(whisper),
    .id = "whisper",
    .version = "1.0.0",
    .license = "MIT AND BSD-3-Clause",
    .summary = "sound for Whisper, and for Ultravox, Voxtral, Qwen2-Audio and Qwen2.5-Omni (GGUF mmproj)",
    .probe = whisper_probe,
    .init = init,
    .load = load,
    .fini = fini,
    .extension = extension,
    .extensions = SN_EXT_PLAN " " SN_EXT_ENCODE " " SN_EXT_TRANSCRIBE,
};

static const sn_plugin *const PLUGINS[] = {&PLUGIN};
static const sn_plugin_list LIST = {.stamp = SN_PLUGIN_STAMP, .n_plugins = 1, .plugins = PLUGINS};

SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void) { return &LIST; }
