/* plugin.c - vocos' side of the contract. See vocos.h for the model and the parts. */
#include <string.h>

#include "vocos.h"

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	vocos *v = instance;
	return kit_host_init(&v->host, "vocos", KIT_MODEL, host, fault);
}

static void release(vocos *v)
{
	kit_free(&v->host, v->blocks);
	kit_free(&v->host, v->window);
	kit_free(&v->host, v->tables);
	v->blocks = NULL;
	v->window = NULL;
	v->tables = NULL;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	vocos *v = instance;
	v->loaded = false;
	sn_rc rc = vocos_read_config(v->host.weights, model, &v->config, fault);
	if (rc != SN_RC_OK)
		return rc;
	release(v); /* a second load takes the first one's place */
	v->blocks = kit_alloc(&v->host, v->config.blocks * sizeof *v->blocks);
	v->window = kit_alloc(&v->host, v->config.n_fft * sizeof *v->window);
	if (!v->blocks || !v->window)
		return kit_fail(fault, SN_RC_NOMEM, "no memory for %u blocks", v->config.blocks);
	rc = vocos_bind(v, model, fault);
	if (rc == SN_RC_OK)
		rc = vocos_read_speaker(v, model, fault);
	if (rc == SN_RC_OK)
		vocos_describe_synth(v);
	v->loaded = rc == SN_RC_OK;
	return rc;
}

static void fini(void *instance)
{
	vocos *v = instance;
	release(v);
}

static const void *extension(const char *id)
{
	if (strcmp(id, SN_EXT_SPEAK) == 0)
		return &vocos_speak_ext;
	if (strcmp(id, SN_EXT_SYNTH) == 0)
		return &vocos_synth_ext;
	return NULL;
}

static const sn_plugin PLUGIN = {
    .size = sizeof PLUGIN,
    .instance_size = sizeof(vocos),
    .id = "vocos",
    .version = "1.0.0",
    .license = "MIT",
    .summary = "speech by a causal Vocos decoder (ConvNeXt and an inverse Fourier transform), one code a frame (GGUF)",
    .probe = vocos_probe,
    .init = init,
    .load = load,
    .fini = fini,
    .extension = extension,
    .extensions = SN_EXT_SPEAK " " SN_EXT_SYNTH,
};

KIT_PLUGINS(&PLUGIN);
