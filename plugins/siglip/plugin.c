/* plugin.c - siglip's side of the contract. See siglip.h for the model and the parts. */
#include <string.h>

#include "siglip.h"

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	siglip *s = instance;
	return kit_host_init(&s->host, "siglip", KIT_MODEL, host, fault);
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	siglip *s = instance;
	sn_rc rc = siglip_read_config(s->host.weights, model, &s->config, fault);
	if (rc != SN_RC_OK)
		return rc;
	s->units = siglip_cut_units(&s->config);
	sn_normalize_init(&s->normal, s->config.mean, s->config.std);
	sn_normalize_init_fused(&s->clip_normal, s->config.mean, s->config.std);
	siglip_position_ids(s->config.side, s->position);
	kit_free(&s->host, s->layers); /* a second load takes the first one's place */
	s->layers = kit_alloc(&s->host, s->config.blocks * sizeof *s->layers);
	if (!s->layers)
		return kit_fail(fault, SN_RC_NOMEM, "no memory for %u layers", s->config.blocks);
	return siglip_bind(s, model, fault);
}

static void fini(void *instance)
{
	siglip *s = instance;
	kit_free(&s->host, s->layers);
	s->layers = NULL;
}

static const void *extension(const char *id)
{
	if (strcmp(id, SN_EXT_PLAN) == 0)
		return &siglip_plan_ext;
	if (strcmp(id, SN_EXT_ENCODE) == 0)
		return &siglip_encode_ext;
	if (strcmp(id, SN_EXT_WATCH) == 0)
		return &siglip_watch_ext;
	return NULL;
}

static const sn_plugin PLUGIN = {
    .size = sizeof PLUGIN,
    .instance_size = sizeof(siglip),
    .id = "siglip",
    .version = "1.0.0",
    .license = "MIT",
    .summary = "pictures and clips for SmolVLM, SmolVLM2 and Idefics3 (GGUF mmproj, projector idefics3)",
    .probe = siglip_probe,
    .init = init,
    .load = load,
    .fini = fini,
    .extension = extension,
    .extensions = SN_EXT_PLAN " " SN_EXT_ENCODE " " SN_EXT_WATCH,
};

KIT_PLUGINS(&PLUGIN);
