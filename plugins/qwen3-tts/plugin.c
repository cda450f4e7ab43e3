/* plugin.c - qwen3-tts' side of the contract. See qwen3_tts.h for the model and the parts. */
#include <string.h>

#include "qwen3_tts.h"

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	tts *s = instance;
	sn_rc rc = kit_host_init(&s->host, "qwen3-tts", KIT_MODEL, host, fault);
	if (rc != SN_RC_OK)
		return rc;
	s->info = (sn_synth_info){.size = sizeof s->info, .rate = 24000, .n_codes = 16, .frame_samples = 1920, .first_frames = TTS_FIRST_FRAMES,
	                          .chunk_frames = TTS_CHUNK_FRAMES, .max_frames = TTS_MAX_FRAMES, .max_streams = TTS_MAX_STREAMS,
	                          .stream_bytes = sizeof(float)};
	return SN_RC_OK;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	tts *s = instance;
	s->loaded = false;
	sn_rc rc = tts_read_config(s->host.weights, model, &s->config, fault);
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

KIT_PLUGINS(&PLUGIN);
