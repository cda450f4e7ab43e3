/* plugin.c - whisper's side of the contract. See whisper.h for the model and the parts. */
#include <string.h>

#include "whisper.h"

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	whisper *w = instance;
	return kit_host_init(&w->host, "whisper", KIT_MODEL, host, fault);
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	whisper *w = instance;
	w->loaded = false;
	sn_rc rc = whisper_read_config(w->host.weights, model, &w->config, fault);
	if (rc != SN_RC_OK)
		return rc;
	w->units = whisper_cut_units(&w->config);
	if (!sn_logmel_init(&w->mel, w->config.n_mels))
		return kit_fail(fault, SN_RC_INTERNAL, "clip.audio.num_mel_bins = %u", w->config.n_mels);
	kit_free(&w->host, w->layers); /* a second load takes the first one's place */
	w->layers = kit_alloc(&w->host, w->config.layers * sizeof *w->layers);
	if (!w->layers)
		return kit_fail(fault, SN_RC_NOMEM, "no memory for %u layers", w->config.layers);
	rc = whisper_bind(w, model, fault);
	if (rc == SN_RC_OK)
		rc = whisper_read_transcriber(w, model, fault);
	w->loaded = rc == SN_RC_OK;
	return rc;
}

static void fini(void *instance)
{
	whisper *w = instance;
	kit_free(&w->host, w->layers);
	kit_free(&w->host, w->tables);
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

KIT_PLUGINS(&PLUGIN);
