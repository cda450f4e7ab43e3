/* plugin.c - siglip's side of the contract. See siglip.h for the model and the parts. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "siglip.h"

sn_rc siglip_fail(sn_fault *fault, sn_rc code, const char *format, ...)
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
	siglip *s = instance;
	s->host = host;
	s->weights = host->service(host, SN_HOST_WEIGHTS);
	s->ops = host->service(host, SN_HOST_OPS);
	s->memory = host->service(host, SN_HOST_MEMORY);
	s->log = host->service(host, SN_HOST_LOG);
	if (!s->weights || !s->ops || !s->memory)
		return siglip_fail(fault, SN_RC_INTERNAL, "the host lacks a service that siglip needs");
	return SN_RC_OK;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	siglip *s = instance;
	sn_rc rc = siglip_read_config(s->weights, model, &s->config, fault);
	if (rc != SN_RC_OK)
		return rc;
	s->units = siglip_cut_units(&s->config);
	sn_normalize_init(&s->normal, s->config.mean, s->config.std);
	siglip_position_ids(s->config.side, s->position);
	s->memory->free(s->host, s->layers); /* a second load takes the first one's place */
	s->layers = s->memory->alloc(s->host, s->config.blocks * sizeof *s->layers);
	if (!s->layers)
		return siglip_fail(fault, SN_RC_NOMEM, "no memory for %u layers", s->config.blocks);
	return siglip_bind(s, model, fault);
}

static void fini(void *instance)
{
	siglip *s = instance;
	if (s->memory)
		s->memory->free(s->host, s->layers);
	s->layers = NULL;
}

static const void *extension(const char *id)
{
	if (strcmp(id, SN_EXT_PLAN) == 0)
		return &siglip_plan_ext;
	if (strcmp(id, SN_EXT_ENCODE) == 0)
		return &siglip_encode_ext;
	return NULL;
}

static const sn_plugin PLUGIN = {
    .size = sizeof PLUGIN,
    .instance_size = sizeof(siglip),
    .id = "siglip",
    .version = "1.0.0",
    .license = "MIT",
    .summary = "pictures for SmolVLM, SmolVLM2 and Idefics3 (GGUF mmproj, projector idefics3)",
    .probe = siglip_probe,
    .init = init,
    .load = load,
    .fini = fini,
    .extension = extension,
    .extensions = SN_EXT_PLAN " " SN_EXT_ENCODE,
};

static const sn_plugin *const PLUGINS[] = {&PLUGIN};
static const sn_plugin_list LIST = {.stamp = SN_PLUGIN_STAMP, .n_plugins = 1, .plugins = PLUGINS};

SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void) { return &LIST; }
