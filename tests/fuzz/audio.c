/* audio.c - the sound codec behind its contract: sniff, measure, decode, as the media gate calls them. The first byte of the input
 * chooses the rate that is wanted (high half: 0 its own, else 8 kHz times that) and how many host allocations succeed (low
 * half, 0: all). Ogg pages get right sums after each mutation, else nothing would ever be read behind them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "fuzz.h"

struct fuzz_host {
	sn_host host; /* first */
	unsigned allocs_left;
	size_t n_held;
};

static void *take(const sn_host *host, size_t bytes)
{
	struct fuzz_host *h = (struct fuzz_host *)host;
	if (bytes > (64u << 20) || (h->allocs_left && --h->allocs_left == 0))
		return NULL;
	void *p = aligned_alloc(64, (bytes + 64) / 64 * 64);
	h->n_held += p != NULL;
	return p ? memset(p, 0, bytes) : NULL;
}

static void give(const sn_host *host, void *p)
{
	((struct fuzz_host *)host)->n_held -= p != NULL;
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

/* libFuzzer's own, where it is linked. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
	size = LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, most) : size;
	ogg_crc crc;
	ogg_crc_init(&crc);
	for (size_t at = 1, n; seed % 16 && at + 27 <= size && memcmp(data + at, "OggS", 4) == 0 && at + 27 + data[at + 26] <= size; at += n) {
		n = 27 + data[at + 26];
		for (size_t i = 27; i < 27 + (size_t)data[at + 26]; i++)
			n += data[at + i];
		if (n > size - at)
			break;
		uint32_t sum = ogg_crc_of(&crc, data + at, n);
		for (int k = 0; k < 4; k++)
			data[at + 22 + (size_t)k] = (uint8_t)(sum >> 8 * k);
	}
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const sn_media_limits limits = {.size = sizeof limits, .max_bytes = 4 << 20, .max_samples = 1 << 20, .max_channels = 8};
	const sn_plugin *p = sn_plugin_entry_1()->plugins[0];
	const sn_ext_decode *d = p->extension(SN_EXT_DECODE);
	struct fuzz_host host = {{sizeof(sn_host), 0, service}, 0, 0};
	sn_fault fault = {.size = sizeof fault};
	if (size < 1)
		return 0;
	sn_media m = {.size = sizeof m, .rate = (data[0] >> 4) * 8000u};
	host.allocs_left = data[0] & 15;
	data++, size--;
	void *instance = aligned_alloc(64, (p->instance_size + 64) / 64 * 64);
	memset(instance, 0, p->instance_size);
	FUZZ_PROMISE(p->init(instance, &host.host, &fault) == SN_RC_OK && p->load(instance, NULL, &fault) == SN_RC_OK);
	d->sniff(data, size < 64 ? size : 64);
	sn_rc rc = d->measure(instance, NULL, data, size, &limits, &m, &fault);
	if (rc == SN_RC_OK) {
		FUZZ_PROMISE(sn_media_sound(&m) && m.bytes <= limits.max_bytes && m.n_samples <= limits.max_samples);
		float *x = m.samples = malloc(m.bytes);
		memset(x, 0xFF, m.bytes); /* NaN: what is not written shows */
		rc = d->decode(instance, NULL, data, size, &limits, &m, &fault);
		for (uint64_t i = 0; rc == SN_RC_OK && i < m.n_samples; i++)
			FUZZ_PROMISE(x[i] >= -1 && x[i] <= 1);
		free(x);
	}
	FUZZ_PROMISE(rc == SN_RC_OK || (rc < 0 && rc != SN_RC_INTERNAL && memchr(fault.text, 0, sizeof fault.text)));
	FUZZ_PROMISE(host.n_held == 0);
	p->fini(instance);
	free(instance);
	return 0;
}
