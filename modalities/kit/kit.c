/* kit.c - faults, the host's services, and what a plugin without a model does about one. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kit.h"

sn_rc kit_fail(sn_fault *fault, sn_rc code, const char *format, ...)
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

sn_rc kit_host_init(kit_host *h, const char *id, kit_needs needs, const sn_host *host, sn_fault *fault)
{
	h->id = id;
	h->host = host;
	h->memory = host->service(host, SN_HOST_MEMORY);
	h->log = host->service(host, SN_HOST_LOG);
	h->weights = host->service(host, SN_HOST_WEIGHTS);
	h->ops = host->service(host, SN_HOST_OPS);
	bool models = h->weights && h->weights->size >= sizeof *h->weights && h->ops && h->ops->size >= sizeof *h->ops;
	if (!h->memory || (needs == KIT_MODEL && !models))
		return kit_fail(fault, SN_RC_INTERNAL, "the host lacks a service that %s needs", id);
	return SN_RC_OK;
}

void *kit_alloc(const kit_host *h, size_t bytes)
{
	return h->memory->alloc(h->host, bytes);
}

void kit_free(const kit_host *h, void *p)
{
	if (h->memory) /* an instance whose init failed has none */
		h->memory->free(h->host, p);
}

void kit_log(const kit_host *h, const sn_call *call, int32_t level, const char *text)
{
	if (h->log)
		h->log->write(h->host, call, level, h->id, text);
}

void kit_logf(const kit_host *h, const sn_call *call, int32_t level, const char *format, ...)
{
	char text[256];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	kit_log(h, call, level, text);
}

void kit_hash(const void *options, size_t n, uint8_t out[8])
{
	uint64_t h = 0xCBF29CE484222325u;
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const uint8_t *)options)[i]) * 0x100000001B3u;
	memcpy(out, &h, sizeof h);
}

sn_rc kit_load_nothing(void *instance, const sn_model *model, sn_fault *fault)
{
	(void)instance;
	(void)model;
	(void)fault;
	return SN_RC_OK;
}

void kit_fini_nothing(void *instance)
{
	(void)instance;
}
