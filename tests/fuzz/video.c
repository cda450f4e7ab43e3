/* video.c - clips behind their contract: sniff, look, times, read; and their sound: measure, decode. The first byte of the input chooses
 * how many host allocations succeed (low half, 0: all) and which frames are wanted (high half). libavformat and the decoders are not
 * built for searching: what is searched is ours, in front of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "fuzz.h"

/* Both halves are one program here. */
sn_rc backend_of(video *v, const sn_call *call, const backend **out, sn_fault *fault)
{
	(void)v, (void)call, (void)fault;
	*out = video_backend();
	return SN_RC_OK;
}

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

static void *start(const sn_plugin *p, struct fuzz_host *host)
{
	sn_fault fault = {.size = sizeof fault};
	void *instance = aligned_alloc(64, (p->instance_size + 64) / 64 * 64);
	memset(instance, 0, p->instance_size);
	FUZZ_PROMISE(p->init(instance, &host->host, &fault) == SN_RC_OK && p->load(instance, NULL, &fault) == SN_RC_OK);
	return instance;
}

static void fit(sn_rc rc, const sn_fault *fault, const struct fuzz_host *host)
{
	FUZZ_PROMISE(rc == SN_RC_OK || (rc < 0 && rc != SN_RC_INTERNAL && fault->text[0] && memchr(fault->text, 0, sizeof fault->text)));
	FUZZ_PROMISE(host->n_held == 0);
}

static void watch(struct fuzz_host *host, const uint8_t *data, size_t size, unsigned choice)
{
	const sn_clip_limits limits = {.size = sizeof limits, .max_ms = 2000, .max_pixels = 1 << 18, .max_track_frames = 2000, .max_seconds = 600,
	                               .max_bytes = 8 << 20, .max_frames = 8};
	const sn_plugin *p = sn_plugin_entry_1()->plugins[0];
	const sn_ext_clip *c = p->extension(SN_EXT_CLIP);
	sn_fault fault = {.size = sizeof fault};
	sn_clip_info info = {.size = sizeof info};
	void *instance = start(p, host);
	c->sniff(data, size < 64 ? size : 64);
	sn_rc rc = c->look(instance, NULL, data, size, &limits, &info, &fault);
	fit(rc, &fault, host);
	if (rc == SN_RC_OK) {
		FUZZ_PROMISE(info.width && info.height && (uint64_t)info.width * info.height <= limits.max_pixels && info.n_frames &&
		             info.n_frames <= limits.max_track_frames && info.seconds >= 0 && info.seconds <= 600 && isfinite(info.fps));
		double *at = malloc(info.n_frames * sizeof *at);
		rc = c->times(instance, NULL, data, size, &limits, at, info.n_frames, &fault);
		fit(rc, &fault, host);
		for (uint32_t i = 0; rc == SN_RC_OK && i < info.n_frames; i++)
			FUZZ_PROMISE(at[i] >= 0 && (!i || at[i] >= at[i - 1]));
		free(at);
		const uint32_t frames[] = {choice * (info.n_frames - 1) / 30, (15 + choice) * (info.n_frames - 1) / 30};
		const sn_clip_wish wish = {.size = sizeof wish, .n_frames = 2, .frames = frames, .n_steps = 1, .steps = {{16, 12, SN_CLIP_BICUBIC, 0}}};
		sn_media m = {.size = sizeof m};
		double times[2];
		FUZZ_PROMISE(sn_clip_shape(&info, &wish, &m));
		m.samples = malloc(m.bytes);
		m.timestamps = times;
		fit(c->read(instance, NULL, data, size, &limits, &wish, &m, &fault), &fault, host);
		free(m.samples);
	}
	p->fini(instance);
	free(instance);
}

static void hear(struct fuzz_host *host, const uint8_t *data, size_t size)
{
	const sn_media_limits limits = {.size = sizeof limits, .max_bytes = 4 << 20, .max_samples = 1 << 20, .max_channels = 8};
	const sn_plugin *p = sn_plugin_entry_1()->plugins[1];
	const sn_ext_decode *d = p->extension(SN_EXT_DECODE);
	sn_fault fault = {.size = sizeof fault};
	sn_media m = {.size = sizeof m, .rate = 16000};
	void *instance = start(p, host);
	d->sniff(data, size < 64 ? size : 64);
	sn_rc rc = d->measure(instance, NULL, data, size, &limits, &m, &fault);
	fit(rc, &fault, host);
	if (rc == SN_RC_OK) {
		FUZZ_PROMISE(sn_media_sound(&m) && m.bytes <= limits.max_bytes && m.n_samples <= limits.max_samples);
		float *x = m.samples = malloc(m.bytes);
		memset(x, 0xFF, m.bytes); /* NaN: what is not written shows */
		rc = d->decode(instance, NULL, data, size, &limits, &m, &fault);
		fit(rc, &fault, host);
		for (uint64_t i = 0; rc == SN_RC_OK && i < m.n_samples; i++)
			FUZZ_PROMISE(x[i] >= -1 && x[i] <= 1);
		free(x);
	}
	p->fini(instance);
	free(instance);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct fuzz_host host = {{sizeof(sn_host), 0, service}, data[0] & 15, 0};
	watch(&host, data + 1, size - 1, data[0] >> 4);
	host.allocs_left = data[0] & 15;
	hear(&host, data + 1, size - 1);
	return 0;
}
