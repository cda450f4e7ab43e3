/* plugin.c - snac's side of the contract. See snac.h for the model and the parts. */
#include <string.h>

#include "snac.h"

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	snac *s = instance;
	sn_rc rc = kit_host_init(&s->host, "snac", KIT_MODEL, host, fault);
	if (rc != SN_RC_OK)
		return rc;
	s->config = (snac_config){.rate = 24000, .n_codes = 7, .codebook_size = 4096, .frame_samples = 2048};
	snac_speaker_init(s);
	return SN_RC_OK;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	snac *s = instance;
	s->loaded = false;
	sn_rc rc = snac_read_config(s->host.weights, model, &s->config, fault);
	if (rc != SN_RC_OK)
		return rc;
	snac_lay_stages(s);
	rc = snac_bind(s, model, fault);
	if (rc == SN_RC_OK)
		rc = snac_read_speaker(s, model, fault);
	s->loaded = rc == SN_RC_OK;
	return rc;
}

static void fini(void *instance)
{
	(void)instance;
}

static const void *extension(const char *id)
{
	if (strcmp(id, SN_EXT_SPEAK) == 0)
		return &snac_speak_ext;
	if (strcmp(id, SN_EXT_SYNTH) == 0)
		return &snac_synth_ext;
	return NULL;
}

static const sn_plugin PLUGIN = {
    .size = sizeof PLUGIN,
    .instance_size = sizeof(snac),
    .id = "snac",
    .version = "1.0.0",
    .license = "MIT",
    .summary = "speech for Orpheus: SNAC's decoder",
    .probe = snac_probe,
    .init = init,
    .load = load,
    .fini = fini,
    .extension = extension,
    .extensions = SN_EXT_SPEAK " " SN_EXT_SYNTH,
};

KIT_PLUGINS(&PLUGIN);
