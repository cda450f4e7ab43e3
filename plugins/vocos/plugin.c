/* plugin.c - vocos' side of the contract. See vocos.h for the model and the parts. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vocos.h"

sn_rc vocos_fail(sn_fault *fault, sn_rc code, const char *format, ...)
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
	vocos *v = instance;
	v->host = host;
	v->weights = host->service(host, SN_HOST_WEIGHTS);
	v->ops = host->service(host, SN_HOST_OPS);
	v->memory = host->service(host, SN_HOST_MEMORY);
	if (!v->weights || v->weights->size < sizeof *v->weights || !v->ops || v->ops->size < sizeof *v->ops || !v->memory)
		return vocos_fail(fault, SN_RC_INTERNAL, "the host lacks a service that vocos needs");
	return SN_RC_OK;
}

static void release(vocos *v)
{
	v->memory->free(v->host, v->blocks);
	v->memory->free(v->host, v->window);
	v->memory->free(v->host, v->tables);
	v->blocks = NULL;
	v->window = NULL;
	v->tables = NULL;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	vocos *v = instance;
	v->loaded = false;
	sn_rc rc = vocos_read_config(v->weights, model, &v->config, fault);
	if (rc != SN_RC_OK)
		return rc;
	release(v); /* a second load takes the first one's place */
	v->blocks = v->memory->alloc(v->host, v->config.blocks * sizeof *v->blocks);
	v->window = v->memory->alloc(v->host, v->config.n_fft * sizeof *v->window);
	if (!v->blocks || !v->window)
		return vocos_fail(fault, SN_RC_NOMEM, "no memory for %u blocks", v->config.blocks);
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
	if (v->memory)
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

static const sn_plugin *const PLUGINS[] = {&PLUGIN};
static const sn_plugin_list LIST = {.stamp = SN_PLUGIN_STAMP, .n_plugins = 1, .plugins = PLUGINS};

SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void) { return &LIST; }
