/* plugin.c - audio-codec's side of the contract: life cycle, and "sn.decode/1" by a table of formats. See codec.h for the parts.
 *
 * One sound is decoded in blocks: a block's channels become their mean, that goes through the resampler, and what comes out is
 * clipped to [-1, 1] in the host's samples. So memory does not grow with the sound, and nothing of it is held twice. */
#include <math.h>
#include <string.h>

#include <resample.h>

#include "codec.h"

enum { BLOCK = 2048 }; /* frames */

/* ---- formats ---- */

typedef struct format {
	const char *type;
	bool (*begins)(const uint8_t *bytes, size_t n);
	sn_rc (*measure)(const audio_input *in, audio_header *h);
} format;

static const format FORMATS[] = {
    {WAV_TYPE, wav_begins, wav_measure},
    {FLAC_TYPE, flac_begins, flac_measure},
    {OGG_TYPE, ogg_begins, ogg_measure},
    {MP3_TYPE, mp3_begins, mp3_measure},
};

static const format *format_find(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++)
		if (FORMATS[i].begins(bytes, n < 64 ? n : 64))
			return &FORMATS[i];
	return NULL;
}

static const char *sniff(const uint8_t *bytes, size_t n)
{
	const format *f = format_find(bytes, n);
	return f ? f->type : NULL;
}

/* ---- limits ---- */

static sn_rc check_header(const audio_header *h, const sn_media_limits *limits, sn_fault *fault)
{
	if (h->channels == 0 || h->rate == 0)
		return kit_fail(fault, SN_RC_INVALID, "the sound has no channels or no rate");
	if (h->channels > MAX_CHANNELS || (limits && limits->max_channels && h->channels > limits->max_channels))
		return kit_fail(fault, SN_RC_TOO_LARGE, "the sound has more channels than allowed");
	if (h->rate < MIN_RATE || h->rate > MAX_RATE)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "rates below 8 kHz and above 192 kHz are not read");
	return SN_RC_OK;
}

static sn_rc read_header(const audio_input *in, const sn_media_limits *limits, audio_header *h)
{
	const format *f = format_find(in->bytes, in->n);
	*h = (audio_header){0};
	if (!f)
		return kit_fail(in->fault, in->n ? SN_RC_UNSUPPORTED : SN_RC_INVALID,
		                in->n ? "not a WAV, FLAC, Ogg Vorbis, Ogg Opus or MP3 file" : "the file is empty");
	sn_rc rc = f->measure(in, h);
	return rc == SN_RC_OK ? check_header(h, limits, in->fault) : rc;
}

/* What n frames become at the wanted rate (0: their own), if that is within the limits. */
static sn_rc admit(const audio_header *h, uint64_t frames, uint32_t wanted, const sn_media_limits *limits, sn_media *media, sn_fault *fault)
{
	uint32_t rate = wanted ? wanted : h->rate;
	uint64_t n, bytes;
	if (rate < MIN_RATE || rate > MAX_RATE)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "sound is not decoded to this rate");
	if (frames == 0)
		return kit_fail(fault, SN_RC_INVALID, "the file has no sound");
	if (!sn_resample_count(frames, h->rate, rate, &n) || __builtin_mul_overflow(n, (uint64_t)sizeof(float), &bytes) || bytes > SIZE_MAX / 2 ||
	    (limits && ((limits->max_samples && n > limits->max_samples) || (limits->max_bytes && bytes > limits->max_bytes))))
		return kit_fail(fault, SN_RC_TOO_LARGE, "the sound is longer than allowed");
	media->kind = SN_MEDIA_AUDIO;
	media->width = media->height = media->n_frames = 0;
	media->rate = rate;
	media->n_samples = n;
	media->bytes = bytes;
	media->timestamps = NULL;
	return SN_RC_OK;
}

/* The header, libsndfile's word on it where it is needed, and the shape at media->rate. */
static sn_rc measure(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits,
                     sn_media *media, sn_fault *fault)
{
	const audio_input in = {instance, call, bytes, n, fault};
	audio_header h;
	sn_rc rc = read_header(&in, limits, &h);
	if (rc == SN_RC_OK && h.library_counts) {
		source s;
		rc = source_open(&s, &in, &h);
		if (rc == SN_RC_OK)
			h.frames = s.frames;
		source_close(&s);
	}
	return rc == SN_RC_OK ? admit(&h, h.frames, media->rate, limits, media, fault) : rc;
}

/* ---- samples ---- */

/* Interleaved frames to their means, in place. False: one is not a finite number. */
static bool mix(float *x, size_t n, uint32_t channels)
{
	const double scale = 1.0 / channels;
	bool finite = true;
	for (size_t i = 0; i < n; i++) {
		double sum = 0;
		for (uint32_t c = 0; c < channels; c++)
			sum += x[i * channels + c];
		x[i] = (float)(sum * scale);
		finite &= isfinite(x[i]) != 0;
	}
	return finite;
}

static void clip(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = x[i] > 1 ? 1 : x[i] < -1 ? -1 : x[i];
}

typedef struct decoder {
	const audio_input *in;
	source source;
	sn_resampler resampler;
	float *block; /* [BLOCK][channels] */
	float *out;   /* [n_out] */
	size_t n_out, done;
} decoder;

static sn_rc decode_block(decoder *d, uint64_t *skip, uint64_t *left, bool *end)
{
	size_t got, made = 0;
	sn_rc rc = source_read(&d->source, d->in, d->block, BLOCK, &got);
	if (rc != SN_RC_OK)
		return rc;
	*end = got == 0;
	if (!mix(d->block, got, d->source.header->channels))
		return kit_fail(d->in->fault, SN_RC_INVALID, "the sound has samples that are not finite numbers");
	size_t skipped = got < *skip ? got : (size_t)*skip, kept = got - skipped < *left ? got - skipped : (size_t)*left;
	if (!sn_resampler_push(&d->resampler, d->block + skipped, kept, d->out + d->done, d->n_out - d->done, &made))
		return kit_fail(d->in->fault, SN_RC_INTERNAL, "the sound could not be resampled");
	clip(d->out + d->done, made);
	d->done += made;
	*skip -= skipped;
	*left -= kept;
	return SN_RC_OK;
}

static sn_rc decode_all(decoder *d)
{
	uint64_t skip = d->source.header->skip, left = d->source.frames;
	bool end = false;
	size_t made;
	while (left && !end) {
		sn_rc rc = decode_block(d, &skip, &left, &end);
		if (rc != SN_RC_OK)
			return rc;
	}
	if (left)
		return kit_fail(d->in->fault, SN_RC_INVALID, "the sound file ends early");
	if (!sn_resampler_flush(&d->resampler, d->out + d->done, d->n_out - d->done, &made) || d->done + made != d->n_out)
		return kit_fail(d->in->fault, SN_RC_INTERNAL, "the sound could not be resampled");
	clip(d->out + d->done, made);
	return SN_RC_OK;
}

static sn_rc decode(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits,
                    sn_media *media, sn_fault *fault)
{
	const audio_input in = {instance, call, bytes, n, fault};
	audio_header h;
	sn_media shape = {.size = sizeof shape};
	decoder d = {.in = &in};
	sn_rc rc = read_header(&in, limits, &h);
	if (rc == SN_RC_OK)
		rc = source_open(&d.source, &in, &h);
	if (rc == SN_RC_OK)
		rc = admit(&h, d.source.frames, media->rate, limits, &shape, fault);
	if (rc == SN_RC_OK && (!media->samples || media->n_samples != shape.n_samples || media->bytes != shape.bytes))
		rc = kit_fail(fault, SN_RC_INTERNAL, "the media is not as measured");
	if (rc == SN_RC_OK) {
		d.out = media->samples;
		d.n_out = (size_t)shape.n_samples;
		d.block = kit_alloc(in.host, (size_t)BLOCK * h.channels * sizeof(float));
		if (!d.block || !sn_resampler_init(&d.resampler, h.rate, media->rate))
			rc = kit_fail(fault, SN_RC_NOMEM, "no memory to decode the sound");
		else
			rc = decode_all(&d);
	}
	sn_resampler_fini(&d.resampler);
	kit_free(in.host, d.block);
	source_close(&d.source);
	if (rc == SN_RC_OK)
		kit_log(in.host, call, SN_HOST_INFO, "decoded");
	return rc;
}

static const sn_ext_decode DECODE = {
    .size = sizeof DECODE,
    .kind = SN_MEDIA_AUDIO,
    .kind_name = "audio",
    .media_types = WAV_TYPE " " FLAC_TYPE " " OGG_TYPE " " MP3_TYPE,
    .sniff = sniff,
    .measure = measure,
    .decode = decode,
    .aliases = "audio/x-wav=" WAV_TYPE " audio/wave=" WAV_TYPE " audio/vnd.wave=" WAV_TYPE " audio/x-flac=" FLAC_TYPE " audio/opus=" OGG_TYPE
               " audio/vorbis=" OGG_TYPE " application/ogg=" OGG_TYPE " audio/mp3=" MP3_TYPE " audio/x-mp3=" MP3_TYPE " audio/x-mpeg=" MP3_TYPE
               " audio/mpga=" MP3_TYPE " audio/oga=" OGG_TYPE,
};

/* ---- life ---- */

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	return kit_host_init(instance, "audio-codec", KIT_MEMORY, host, fault);
}

static const void *extension(const char *id)
{
	if (strcmp(id, SN_EXT_DECODE) == 0)
		return &DECODE;
	return strcmp(id, SN_EXT_WRITE) == 0 ? &CODEC_WRITE : NULL;
}

static const sn_plugin PLUGIN = {
    .size = sizeof PLUGIN,
    .instance_size = sizeof(kit_host),
    .id = "audio-codec",
    .version = "1.0.0",
    .license = "LGPL-2.1-or-later AND BSD-3-Clause AND Apache-2.0",
    .summary = "reads WAV, FLAC, Ogg Vorbis, Ogg Opus and MP3 as one channel at any rate; writes WAV, FLAC, Ogg Opus, MP3 and PCM",
    .init = init,
    .load = kit_load_nothing,
    .fini = kit_fini_nothing,
    .extension = extension,
    .extensions = SN_EXT_DECODE " " SN_EXT_WRITE,
};

KIT_PLUGINS(&PLUGIN);
