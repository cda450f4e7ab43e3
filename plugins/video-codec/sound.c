/* sound.c - "sn.decode/1" of kind "audio": the sound track of containers that libsndfile does not know, as one channel.
 *
 * Sample 0 is the file's time 0 (see ext/clip.h): silence comes first where the sound begins after the pictures, and stands where
 * timestamps leave a gap. How many samples there are is reckoned from the packets (scan.c); decoding must come out there, but for what
 * codecs and containers round: less than that is padded with silence or cut off, more is a file that lies.
 *
 * One frame of the track is held at a time: its channels' mean goes through the resampler into the host's samples, clipped. */
#include <math.h>
#include <string.h>

#include <resample.h>

#include "codec.h"

enum { MIN_RATE = 8000, MAX_RATE = 192000, MAX_CHANNELS = 64, MAX_MS = 60000, SLACK = 8192, BLOCK = 4096 };

/* ---- shape ---- */

static sn_rc begin(input *in, void *instance, const sn_call *call, const uint8_t *bytes, size_t n, sn_fault *fault)
{
	*in = (input){.host = instance, .call = call, .bytes = bytes, .n = n, .fault = fault, .max_pixels = MAX_PIXELS};
	clock_start(&in->clock, MAX_MS);
	in->type = container_find(bytes, n);
	if (!in->type || !in->type->audio_type)
		return kit_fail(fault, n ? SN_RC_UNSUPPORTED : SN_RC_INVALID, n ? "not a sound file of a type that is read here" : "the file is empty");
	KIT_TRY(in->type->check(bytes, n, &in->hide, fault));
	KIT_TRY(input_open(in));
	return in->sound ? SN_RC_OK : kit_fail(fault, SN_RC_INVALID, "the file has no sound that is read here");
}

/* Opens, counts, and asks the limits. *frames: samples at the track's own rate; *lead: of them silence at the beginning. */
static sn_rc survey(input *in, const sn_media_limits *l, uint32_t wanted, sn_media *media, uint64_t *frames, uint64_t *lead)
{
	const AVCodecParameters *par = in->sound->codecpar;
	uint32_t channels = (uint32_t)par->ch_layout.nb_channels, rate = (uint32_t)par->sample_rate, to = wanted ? wanted : rate;
	uint64_t n, bytes;
	scan s;
	if (channels == 0 || channels > MAX_CHANNELS || (l && l->max_channels && channels > l->max_channels))
		return kit_fail(in->fault, channels ? SN_RC_TOO_LARGE : SN_RC_INVALID, "the sound has more channels than allowed, or none");
	if (par->sample_rate < MIN_RATE || par->sample_rate > MAX_RATE || to < MIN_RATE || to > MAX_RATE)
		return kit_fail(in->fault, SN_RC_UNSUPPORTED, "rates below 8 kHz and above 192 kHz are not read");
	if (l && l->max_samples) /* exactly below; a file of a day need not be counted to its end */
		in->max_sound = (double)l->max_samples / to + 1;
	KIT_TRY(scan_file(in, &s, 0));
	double ahead = (s.sound_begin - s.zero) * rate;
	scan_free(in, &s);
	if (!s.has_sound || s.n_sound == 0)
		return kit_fail(in->fault, SN_RC_INVALID, "the file has no sound");
	*lead = ahead > 0 && ahead < 1e12 ? (uint64_t)(ahead + 0.5) : 0;
	*frames = *lead + s.n_sound;
	if (ahead >= 1e12 || !sn_resample_count(*frames, rate, to, &n) || __builtin_mul_overflow(n, (uint64_t)sizeof(float), &bytes) ||
	    bytes > SIZE_MAX / 2 || (l && ((l->max_samples && n > l->max_samples) || (l->max_bytes && bytes > l->max_bytes))))
		return kit_fail(in->fault, SN_RC_TOO_LARGE, "the sound is longer than allowed");
	media->kind = SN_MEDIA_AUDIO;
	media->width = media->height = media->n_frames = 0;
	media->rate = to;
	media->n_samples = n;
	media->bytes = bytes;
	media->timestamps = NULL;
	return SN_RC_OK;
}

static sn_rc measure(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits, sn_media *media,
                     sn_fault *fault)
{
	input in;
	uint64_t frames, lead;
	sn_rc rc = begin(&in, instance, call, bytes, n, fault);
	if (rc == SN_RC_OK)
		rc = survey(&in, limits, media->rate, media, &frames, &lead);
	input_close(&in);
	return rc;
}

/* ---- samples ---- */

/* Frames stand one behind the other, unless a timestamp is clearly off. */
typedef struct timeline {
	uint32_t rate;
	bool begun;
	double begin; /* s, of the container's clock */
	uint64_t n;   /* samples so far */
} timeline;

/* Something of n samples that says it begins at `at` seconds (NAN: it does not say). *silence samples come before it, and of it *cut are left
 * out. The timeline is moved on. */
static void timeline_put(timeline *t, double at, uint64_t n, uint64_t *silence, uint64_t *cut)
{
	const double slack = 0.05 * t->rate; /* what containers round away, and more */
	*silence = *cut = 0;
	if (!t->begun) {
		t->begun = true;
		t->begin = isnan(at) ? 0 : at;
	} else if (!isnan(at)) {
		double off = (at - t->begin) * t->rate - (double)t->n;
		if (off > slack)
			*silence = off < 1e15 ? (uint64_t)(off + 0.5) : (uint64_t)1e15;
		if (off < -slack)
			*cut = -off < (double)n ? (uint64_t)(-off + 0.5) : n;
	}
	t->n += *silence + n - *cut;
}

typedef struct decoder {
	input *in;
	AVCodecContext *dec;
	AVFrame *frame;
	sn_resampler resampler;
	timeline line;
	uint64_t left;   /* samples at the track's rate that may still come */
	float *block;    /* [BLOCK] */
	float *out;      /* [n_out] */
	size_t n_out, done;
} decoder;

static void clip(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = x[i] > 1 ? 1 : x[i] < -1 ? -1 : x[i];
}

/* n of the block's samples onwards. */
static sn_rc push(decoder *d, size_t n)
{
	size_t made;
	n = n < d->left ? n : (size_t)d->left;
	if (!sn_resampler_push(&d->resampler, d->block, n, d->out + d->done, d->n_out - d->done, &made))
		return kit_fail(d->in->fault, SN_RC_INTERNAL, "the sound could not be resampled");
	clip(d->out + d->done, made);
	d->done += made;
	d->left -= n;
	return SN_RC_OK;
}

static sn_rc push_silence(decoder *d, uint64_t n)
{
	memset(d->block, 0, BLOCK * sizeof *d->block);
	for (size_t now; n && d->left; n -= now) {
		now = n < BLOCK ? (size_t)n : BLOCK;
		KIT_TRY(push(d, now));
	}
	return SN_RC_OK;
}

/* Sample i of channel c as a number of about [-1, 1]; NAN: not a format that decoders give. */
static double sample(const AVFrame *f, enum AVSampleFormat format, bool planar, int c, size_t i)
{
	size_t at = planar ? i : i * (size_t)f->ch_layout.nb_channels + (size_t)c;
	const void *p = f->extended_data[planar ? c : 0];
	switch (format) {
	case AV_SAMPLE_FMT_U8: return (((const uint8_t *)p)[at] - 128) / 128.0;
	case AV_SAMPLE_FMT_S16: return ((const int16_t *)p)[at] / 32768.0;
	case AV_SAMPLE_FMT_S32: return ((const int32_t *)p)[at] / 2147483648.0;
	case AV_SAMPLE_FMT_FLT: return ((const float *)p)[at];
	case AV_SAMPLE_FMT_DBL: return ((const double *)p)[at];
	default: return NAN;
	}
}

/* Samples [first, first + n) as the mean of their channels. False: one is not a number. */
static bool mix(const AVFrame *f, size_t first, size_t n, float *out)
{
	const bool planar = av_sample_fmt_is_planar(f->format);
	const enum AVSampleFormat format = av_get_packed_sample_fmt(f->format);
	const int channels = f->ch_layout.nb_channels;
	bool finite = true;
	for (size_t i = 0; i < n; i++) {
		double sum = 0;
		for (int c = 0; c < channels; c++)
			sum += sample(f, format, planar, c, first + i);
		out[i] = (float)(sum / channels);
		finite &= isfinite(out[i]) != 0;
	}
	return finite;
}

static sn_rc take_frame(decoder *d)
{
	const AVFrame *f = d->frame;
	uint64_t silence, cut, n = f->nb_samples > 0 ? (uint64_t)f->nb_samples : 0;
	double at = f->pts == AV_NOPTS_VALUE ? NAN : (double)f->pts * av_q2d(d->in->sound->time_base);
	if (f->sample_rate != d->in->sound->codecpar->sample_rate || f->ch_layout.nb_channels < 1 || f->ch_layout.nb_channels > MAX_CHANNELS)
		return kit_fail(d->in->fault, SN_RC_UNSUPPORTED, "the sound changes its rate");
	timeline_put(&d->line, at, n, &silence, &cut);
	KIT_TRY(push_silence(d, silence));
	for (uint64_t i = cut, now; i < n; i += now) {
		now = n - i < BLOCK ? n - i : BLOCK;
		if (!mix(f, (size_t)i, (size_t)now, d->block))
			return kit_fail(d->in->fault, SN_RC_INVALID, "the sound has samples that are not finite numbers");
		KIT_TRY(push(d, (size_t)now));
	}
	return SN_RC_OK;
}

static sn_rc feed(decoder *d, AVPacket *p)
{
	int error = avcodec_send_packet(d->dec, p);
	while (error >= 0 || error == AVERROR(EAGAIN)) {
		error = avcodec_receive_frame(d->dec, d->frame);
		if (error == AVERROR(EAGAIN) || error == AVERROR_EOF)
			return SN_RC_OK;
		if (error < 0)
			break;
		sn_rc rc = take_frame(d);
		av_frame_unref(d->frame);
		if (rc != SN_RC_OK)
			return rc;
	}
	return input_refuse(d->in, error, "the sound is damaged");
}

static sn_rc run(decoder *d, uint64_t frames, uint64_t lead)
{
	AVPacket *p = av_packet_alloc();
	sn_rc rc = p ? SN_RC_OK : kit_fail(d->in->fault, SN_RC_NOMEM, "no memory to decode the sound");
	d->left = frames;
	if (rc == SN_RC_OK)
		rc = push_silence(d, lead);
	for (bool end = false; rc == SN_RC_OK && !end && d->left;) {
		rc = input_packet(d->in, p, &end);
		if (rc == SN_RC_OK)
			rc = feed(d, end ? NULL : p);
		av_packet_unref(p);
	}
	av_packet_free(&p);
	if (rc == SN_RC_OK && d->left > SLACK)
		rc = kit_fail(d->in->fault, SN_RC_INVALID, "the sound ends early");
	if (rc == SN_RC_OK)
		rc = push_silence(d, d->left);
	size_t made;
	if (rc == SN_RC_OK && (!sn_resampler_flush(&d->resampler, d->out + d->done, d->n_out - d->done, &made) || d->done + made != d->n_out))
		rc = kit_fail(d->in->fault, SN_RC_INTERNAL, "the sound could not be resampled");
	if (rc == SN_RC_OK)
		clip(d->out + d->done, made);
	return rc;
}

static sn_rc decode(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits, sn_media *media,
                    sn_fault *fault)
{
	input in;
	sn_media shape = {.size = sizeof shape};
	uint64_t frames, lead;
	decoder d = {.in = &in};
	sn_rc rc = begin(&in, instance, call, bytes, n, fault);
	if (rc == SN_RC_OK)
		rc = survey(&in, limits, media->rate, &shape, &frames, &lead);
	if (rc == SN_RC_OK && (!media->samples || media->n_samples != shape.n_samples || media->bytes != shape.bytes))
		rc = kit_fail(fault, SN_RC_INTERNAL, "the media is not as measured");
	if (rc == SN_RC_OK) { /* again from the beginning, without the pictures */
		input_close(&in);
		rc = input_open(&in);
	}
	if (rc == SN_RC_OK) {
		if (in.picture)
			in.picture->discard = AVDISCARD_ALL;
		in.picture = NULL;
		rc = in.sound ? input_decoder(&in, in.sound, &d.dec) : kit_fail(fault, SN_RC_INVALID, "the file has no sound");
	}
	if (rc == SN_RC_OK) {
		d.out = media->samples;
		d.n_out = (size_t)shape.n_samples;
		d.line.rate = (uint32_t)in.sound->codecpar->sample_rate;
		d.block = kit_alloc(in.host, BLOCK * sizeof *d.block);
		d.frame = av_frame_alloc();
		if (!d.block || !d.frame || !sn_resampler_init(&d.resampler, d.line.rate, media->rate))
			rc = kit_fail(fault, SN_RC_NOMEM, "no memory to decode the sound");
		else
			rc = run(&d, frames, lead);
	}
	sn_resampler_fini(&d.resampler);
	kit_free(in.host, d.block);
	av_frame_free(&d.frame);
	avcodec_free_context(&d.dec);
	input_close(&in);
	if (rc == SN_RC_OK)
		kit_log(in.host, call, SN_HOST_INFO, "decoded");
	return rc;
}

const sn_ext_decode TRACK_DECODE = {.size = sizeof TRACK_DECODE, .kind = SN_MEDIA_AUDIO, .kind_name = "audio", .measure = measure, .decode = decode};
