/* image.c - the picture codec behind its contract: sniff, measure, decode, as the media gate calls them. The first byte of the
 * input chooses how many host allocations succeed (0: all), so that every way out is walked. */
#include <stdlib.h>
#include <string.h>

#include <sensorium/ext/decode.h>
#include <sensorium/host/log.h>
#include <sensorium/host/memory.h>

#include "fuzz.h"

struct fuzz_host {
	sn_host host; /* first */
	unsigned allocs_left;
};

static void *take(const sn_host *host, size_t bytes)
{
	struct fuzz_host *h = (struct fuzz_host *)host;
	if (bytes > (64u << 20) || (h->allocs_left && --h->allocs_left == 0))
		return NULL;
	void *p = aligned_alloc(64, (bytes + 64) / 64 * 64);
	return p ? memset(p, 0, bytes) : NULL;
}

static void give(const sn_host *host, void *p)
{
	(void)host;
	free(p);
}

static void say(const sn_host *host, const sn_call *call, int32_t level, const char *topic, const char *text)
{
	(void)host, (void)call, (void)level, (void)topic;
	FUZZ_PROMISE(strlen(text) < 4096);
}

static const void *service(const sn_host *host, const char *id)
{
	static const sn_host_memory memory = {sizeof memory, 0, take, give};
	static const sn_host_log log = {sizeof log, 0, say};
	(void)host;
	return strcmp(id, SN_HOST_MEMORY) == 0 ? (const void *)&memory : strcmp(id, SN_HOST_LOG) == 0 ? (const void *)&log : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const sn_media_limits limits = {.size = sizeof limits, .max_width = 4096, .max_height = 4096, .max_frames = 16, .max_pixels = 1 << 20,
	                                .max_bytes = 3 << 20, .max_scans = 20, .max_channels = 8};
	const sn_plugin *p = sn_plugin_entry_1()->plugins[0];
	const sn_ext_decode *d = p->extension(SN_EXT_DECODE);
	struct fuzz_host host = {{sizeof(sn_host), 0, service}, 0};
	sn_fault fault = {.size = sizeof fault};
	sn_media m = {.size = sizeof m};
	if (size < 1)
		return 0;
	host.allocs_left = data[0];
	data++, size--;
	void *instance = aligned_alloc(64, (p->instance_size + 64) / 64 * 64);
	memset(instance, 0, p->instance_size);
	FUZZ_PROMISE(p->init(instance, &host.host, &fault) == SN_RC_OK && p->load(instance, NULL, &fault) == SN_RC_OK);
	d->sniff(data, size < 64 ? size : 64);
	sn_rc rc = d->measure(instance, NULL, data, size, &limits, &m, &fault);
	if (rc == SN_RC_OK) {
		FUZZ_PROMISE(m.bytes > 0 && m.bytes <= limits.max_bytes && (uint64_t)m.width * m.height <= limits.max_pixels);
		m.samples = malloc(m.bytes);
		rc = d->decode(instance, NULL, data, size, &limits, &m, &fault);
		free(m.samples);
	}
	FUZZ_PROMISE(rc == SN_RC_OK || (rc < 0 && memchr(fault.text, 0, sizeof fault.text)));
	p->fini(instance);
	free(instance);
	return 0;
}
