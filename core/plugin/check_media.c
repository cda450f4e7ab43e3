/* check_media.c - media for the checks of encoders and writers: what the file's own codec makes of the samples, and pictures and
 * sounds that are made here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/check.h"

enum { FROM_SAMPLES = 4, ANY_RATE = 16000 };

/* Smooth, with an edge: what loses something on the way to a file keeps most of this. */
static sn_media picture(uint32_t w, uint32_t h, uint32_t frames)
{
	sn_media m = {.size = sizeof m, .kind = frames ? SN_MEDIA_VIDEO : SN_MEDIA_IMAGE, .width = w, .height = h, .n_frames = frames ? frames : 1};
	m.bytes = (uint64_t)w * h * 3 * m.n_frames;
	m.samples = malloc(m.bytes);
	m.timestamps = frames ? calloc(frames, sizeof *m.timestamps) : NULL;
	for (uint64_t i = 0; m.samples && i < m.bytes; i++) {
		uint64_t channel = i % 3, x = i / 3 % w, y = i / 3 / w % h, t = i / 3 / w / h;
		((uint8_t *)m.samples)[i] = (uint8_t)((channel == 0 ? x * 200 / w : channel == 1 ? y * 200 / h : x > w / 2 ? 180u : 40u) + t * 10);
	}
	for (uint32_t i = 0; m.timestamps && i < frames; i++)
		m.timestamps[i] = i * 0.5;
	return m;
}

static sn_media sound(uint32_t rate, uint64_t n)
{
	sn_media m = {.size = sizeof m, .kind = SN_MEDIA_AUDIO, .rate = rate, .n_samples = n, .bytes = n * sizeof(float)};
	m.samples = malloc(m.bytes);
	for (uint64_t i = 0; m.samples && i < n; i++)
		((float *)m.samples)[i] = 0.25f * sinf((float)i * 0.05f);
	return m;
}

static size_t decoded_samples(check *c, const char *kind_name, uint32_t rate, sn_media *out, size_t cap)
{
	size_t n = 0;
	for (uint32_t d = 0; d < c->list->n_plugins; d++) {
		const sn_ext_decode *codec = c->list->plugins[d]->extension(SN_EXT_DECODE);
		life l = {0};
		sample s;
		if (!codec || strcmp(codec->kind_name, kind_name) != 0)
			continue;
		if (life_start(&l, c, c->list->plugins[d]))
			for (size_t i = 0; n < cap && sample_read(c, i, &s); i++) {
				l.wanted_rate = rate;
				n += sample_decode(&l, &s, &out[n]);
				free(s.bytes);
			}
		life_close(&l);
	}
	return n;
}

size_t media_make(check *c, uint32_t kind, const char *kind_name, uint32_t rate, sn_media out[MAX_MEDIA_TRIED])
{
	bool watching = c->host->watch; /* the codec's calls are another check's */
	uint64_t asked = atomic_load(&c->host->n_asked), fail_at = c->host->fail_at;
	c->host->watch = false;
	c->host->fail_at = 0;
	size_t n = decoded_samples(c, kind_name, rate, out, FROM_SAMPLES);
	c->host->watch = watching;
	c->host->fail_at = fail_at;
	atomic_store(&c->host->n_asked, asked);
	if (kind == SN_MEDIA_IMAGE) {
		out[n++] = picture(64, 48, 0);
		out[n++] = picture(1, 1, 0);
		out[n++] = picture(7, 131, 0);
	} else if (kind == SN_MEDIA_VIDEO) {
		out[n++] = picture(64, 48, 4);
	} else if (kind == SN_MEDIA_AUDIO) {
		rate = rate ? rate : ANY_RATE;
		out[n++] = sound(rate, rate);
		out[n++] = sound(rate, 1);
	}
	for (size_t i = 0; i < n; i++)
		memset(out[i].hash, 0, sizeof out[i].hash);
	return n;
}

void media_free(sn_media *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(m[i].samples);
		free(m[i].timestamps);
	}
}
