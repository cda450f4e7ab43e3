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
	tts_init_manners(s);
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
	KIT_TRY(tts_bind(s, model, fault));
	KIT_TRY(tts_bind_ear(s, model, fault));
	KIT_TRY(tts_read_manners(s, model, fault));
	s->loaded = true;
	return SN_RC_OK;
}

static void fini(void *instance)
{
	(void)instance;
}

static const void *extension(const char *id)
{
	static const struct { const char *id; const void *ext; } all[] = {
	    {SN_EXT_SPEAK, &tts_speak_ext}, {SN_EXT_SYNTH, &tts_synth_ext}, {SN_EXT_PLAN, &tts_plan_ext}, {SN_EXT_ENCODE, &tts_encode_ext}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(id, all[i].id) == 0)
			return all[i].ext;
	return NULL;
}

static const sn_plugin PLUGIN = {
    .size = sizeof PLUGIN,
    .instance_size = sizeof(tts),
    .id = "qwen3-tts",
    .version = "2.0.0",
    .license = "MIT",
    .summary = "Qwen3-TTS: its voices, whom it is to speak like, and its 12 Hz codec's decoder",
    .probe = tts_probe,
    .init = init,
    .load = load,
    .fini = fini,
    .extension = extension,
    .extensions = SN_EXT_SPEAK " " SN_EXT_SYNTH " " SN_EXT_PLAN " " SN_EXT_ENCODE,
};

KIT_PLUGINS(&PLUGIN);
