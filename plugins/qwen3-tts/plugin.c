/* plugin.c - qwen3-tts' side of the contract. See qwen3_tts.h for the model and the parts. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "qwen3_tts.h"

sn_rc tts_fail(sn_fault *fault, sn_rc code, const char *format, ...)
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
	tts *s = instance;
	s->host = host;
	s->weights = host->service(host, SN_HOST_WEIGHTS);
	s->ops = host->service(host, SN_HOST_OPS);
	if (!s->weights || s->weights->size < sizeof *s->weights || !s->ops || s->ops->size < sizeof *s->ops)
		return tts_fail(fault, SN_RC_INTERNAL, "the host lacks a service that qwen3-tts needs");
	s->info = (sn_synth_info){.size = sizeof s->info, .rate = 24000, .n_codes = 16, .frame_samples = 1920, .first_frames = TTS_FIRST_FRAMES,
	                          .chunk_frames = TTS_CHUNK_FRAMES, .max_frames = TTS_MAX_FRAMES, .max_streams = TTS_MAX_STREAMS,
	                          .stream_bytes = sizeof(float)};
	return SN_RC_OK;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	tts *s = instance;
	s->loaded = false;
	sn_rc rc = tts_read_config(s->weights, model, &s->config, fault);
	if (rc != SN_RC_OK)
		return rc;
	tts_lay_stages(s);
	rc = tts_bind(s, model, fault);
	s->loaded = rc == SN_RC_OK;
	return rc;
}

static void fini(void *instance)
{
	(void)instance;
}

static const void *extension(const char *id)
{
	return strcmp(id, SN_EXT_SYNTH) == 0 ? &tts_synth_ext : NULL;
}

static const sn_plugin PLUGIN = {
    .size = sizeof PLUGIN,
    .instance_size = sizeof(tts),
    .id = "qwen3-tts",
    .version = "1.0.0",
    .license = "MIT",
    .summary = "sound for Qwen3-TTS: its 12 Hz codec's decoder",
    .probe = tts_probe,
    .init = init,
    .load = load,
    .fini = fini,
    .extension = extension,
    .extensions = SN_EXT_SYNTH,
};

static const sn_plugin *const PLUGINS[] = {&PLUGIN};
static const sn_plugin_list LIST = {.stamp = SN_PLUGIN_STAMP, .n_plugins = 1, .plugins = PLUGINS};

SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void) { return &LIST; }
