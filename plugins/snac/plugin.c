/* plugin.c - snac's side of the contract. See snac.h for the model and the parts. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "snac.h"

sn_rc snac_fail(sn_fault *fault, sn_rc code, const char *format, ...)
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
	snac *s = instance;
	s->host = host;
	s->weights = host->service(host, SN_HOST_WEIGHTS);
	s->ops = host->service(host, SN_HOST_OPS);
	if (!s->weights || s->weights->size < sizeof *s->weights || !s->ops || s->ops->size < sizeof *s->ops)
		return snac_fail(fault, SN_RC_INTERNAL, "the host lacks a service that snac needs");
	s->config = (snac_config){.rate = 24000, .n_codes = 7, .codebook_size = 4096, .frame_samples = 2048};
	snac_speaker_init(s);
	return SN_RC_OK;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	snac *s = instance;
	s->loaded = false;
	sn_rc rc = snac_read_config(s->weights, model, &s->config, fault);
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

static const sn_plugin *const PLUGINS[] = {&PLUGIN};
static const sn_plugin_list LIST = {.stamp = SN_PLUGIN_STAMP, .n_plugins = 1, .plugins = PLUGINS};

SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void) { return &LIST; }
