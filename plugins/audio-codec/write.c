/* write.c - "sn.write/1": canonical sound to WAV, FLAC, Ogg Opus, MP3 or raw PCM (signed 16 bits, little-endian, no header).
 *
 * WAV, FLAC and PCM have 16 bits: x becomes round(32768 x), clipped, so that what was read from 16 bits is written as it was. Opus and
 * MP3 know some rates only; other sound is resampled to the next higher one. Their quality goes from the lowest bit rate (1) to
 * the highest (100); the default is what speech needs. FLAC loses its comments and Opus its random serial number, so that
 * the same sound gives the same bytes; MP3 keeps the four letters by which decoders know the encoder's delay, and LAME's filling. */
#include <math.h>
#include <sndfile.h>
#include <string.h>

#include <resample.h>

#include "codec.h"

enum { BLOCK = 4096, WAV_HEADER = 44, MAX_QUALITY = 100, FLAC_MAX_RATE = 655350 };

typedef struct write_job {
	const kit_host *host;
	const sn_call *call;
	const float *samples; /* [n_samples] */
	uint64_t n_samples;
	uint32_t rate, file_rate;
	uint32_t quality;
	uint8_t *out; /* [capacity] */
	size_t capacity, n, at;
	bool full; /* something did not fit */
	sn_fault *fault;
} write_job;

typedef struct writer {
	const char *type;
	int format;             /* libsndfile's; 0: written here */
	uint32_t default_quality;
	const uint32_t *rates;  /* ascending, up to 0; NULL: any */
	uint64_t (*bound)(uint64_t n, uint32_t rate);
	bool (*finish)(write_job *job);
} writer;

static const uint32_t OPUS_RATES[] = {8000, 12000, 16000, 24000, 48000, 0};
static const uint32_t MP3_RATES[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 0};

/* ---- bounds: n samples at the file's rate ---- */

static uint64_t pcm_bound(uint64_t n, uint32_t rate) { return (void)rate, n * 2; }
static uint64_t wav_bound(uint64_t n, uint32_t rate) { return (void)rate, WAV_HEADER + n * 2; }

/* No frame is larger than its samples as they are and 32 bytes; there are at least 192 samples in all frames but the last. */
static uint64_t flac_bound(uint64_t n, uint32_t rate) { return (void)rate, n * 2 + (n / 192 + 1) * 32 + 65536; }

/* Packets of 20 ms, each at most 1,275 bytes and on a page of its own. Two more come out of the encoder's delay, and the last is shortened. */
static uint64_t opus_bound(uint64_t n, uint32_t rate) { return (n / (rate / 50) + 4) * (1275 + 6 + 27) + 4096; }

/* Frames of at most 1,441 bytes for 1,152 samples, or half of both. */
static uint64_t mp3_bound(uint64_t n, uint32_t rate) { return (void)rate, (n / 576 + 8) * 721 + 16384; }

/* ---- libsndfile's side ---- */

static sf_count_t length(void *user) { return (sf_count_t)((const write_job *)user)->n; }
static sf_count_t tell(void *user) { return (sf_count_t)((const write_job *)user)->at; }

static sf_count_t seek(sf_count_t offset, int whence, void *user)
{
	write_job *job = user;
	sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (sf_count_t)job->at : (sf_count_t)job->n;
	if (offset < -base || offset > (sf_count_t)job->n - base)
		return -1;
	job->at = (size_t)(base + offset);
	return (sf_count_t)job->at;
}

static sf_count_t read_bytes(void *p, sf_count_t count, void *user)
{
	write_job *job = user;
	size_t n = count > 0 ? (size_t)count : 0;
	n = n < job->n - job->at ? n : job->n - job->at;
	memcpy(p, job->out + job->at, n);
	job->at += n;
	return (sf_count_t)n;
}

static sf_count_t write_bytes(const void *p, sf_count_t count, void *user)
{
	write_job *job = user;
	size_t n = count > 0 ? (size_t)count : 0;
	if (n > job->capacity - job->at) {
		job->full = true;
		return 0;
	}
	memcpy(job->out + job->at, p, n);
	job->at += n;
	job->n = job->n > job->at ? job->n : job->at;
	return (sf_count_t)n;
}

/* ---- what is done to a finished file ---- */

/* FLAC: fLaC, STREAMINFO as the only metadata, frames. */
static bool strip_flac(write_job *job)
{
	size_t at = 4;
	if (job->n < 42 || memcmp(job->out, "fLaC", 4) != 0 || (job->out[4] & 0x7F) != 0)
		return false;
	for (bool last = false; !last;) {
		if (job->n - at < 4)
			return false;
		last = job->out[at] & 0x80;
		size_t size = u32_be(job->out + at) & 0xFFFFFF;
		if (size > job->n - at - 4)
			return false;
		at += 4 + size;
	}
	job->out[4] |= 0x80;
	memmove(job->out + 42, job->out + at, job->n - at);
	job->n = 42 + job->n - at;
	return true;
}

static bool constant_opus(write_job *job) { return (job->n = ogg_make_constant(job->out, job->n)) > 0; }

static const writer WRITERS[] = {
    {WAV_TYPE, 0, 0, NULL, wav_bound, NULL},
    {FLAC_TYPE, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 0, NULL, flac_bound, strip_flac},
    {OGG_TYPE, SF_FORMAT_OGG | SF_FORMAT_OPUS, 25, OPUS_RATES, opus_bound, constant_opus},
    {MP3_TYPE, SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 33, MP3_RATES, mp3_bound, NULL},
    {PCM_TYPE, 0, 0, NULL, pcm_bound, NULL},
};

/* ---- samples ---- */

static int16_t to_16(float x)
{
	float v = rintf(x * 32768);
	return v > 32767 ? 32767 : v < -32768 ? -32768 : (int16_t)v;
}

static bool all_finite(const float *x, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (!isfinite(x[i]))
			return false;
	return true;
}

static void write_16(write_job *job, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint16_t v = (uint16_t)to_16(x[i]);
		write_bytes((uint8_t[]){(uint8_t)v, (uint8_t)(v >> 8)}, 2, job);
	}
}

static void wav_header(write_job *job)
{
	uint8_t h[WAV_HEADER] = "RIFF....WAVEfmt \20\0\0\0\1\0\1\0........\2\0\20\0data";
	const uint32_t bytes = (uint32_t)(job->n_samples * 2);
	const struct { size_t at; uint32_t v; } words[] = {{4, bytes + WAV_HEADER - 8}, {24, job->rate}, {28, job->rate * 2}, {40, bytes}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		for (int k = 0; k < 4; k++)
			h[words[i].at + (size_t)k] = (uint8_t)(words[i].v >> 8 * k);
	write_bytes(h, sizeof h, job);
}

/* n samples at the file's rate. False: libsndfile refused them. */
static bool feed(SNDFILE *file, const writer *w, const float *x, size_t n, int16_t *ints)
{
	if (w->format != (SF_FORMAT_FLAC | SF_FORMAT_PCM_16))
		return sf_writef_float(file, x, (sf_count_t)n) == (sf_count_t)n;
	for (size_t i = 0; i < n; i++)
		ints[i] = to_16(x[i]);
	return sf_writef_short(file, ints, (sf_count_t)n) == (sf_count_t)n;
}

/* All samples in blocks, resampled where the file has another rate. room: [cap] floats, for what a block becomes, and again. */
static bool feed_all(write_job *job, SNDFILE *file, const writer *w, float *room, size_t cap)
{
	sn_resampler r;
	size_t got;
	int16_t *ints = (int16_t *)(room + cap);
	if (!sn_resampler_init(&r, job->rate, job->file_rate))
		return false;
	bool ok = true;
	for (uint64_t at = 0; ok && at < job->n_samples; at += BLOCK) {
		size_t n = job->n_samples - at < BLOCK ? (size_t)(job->n_samples - at) : BLOCK;
		ok = sn_resampler_push(&r, job->samples + at, n, room, cap, &got) && feed(file, w, room, got, ints) && !job->full;
	}
	ok = ok && sn_resampler_flush(&r, room, cap, &got) && feed(file, w, room, got, ints);
	sn_resampler_fini(&r);
	return ok;
}

/* libsndfile's level for an MP3: the way down from its highest to its lowest bit rate. Not so far that a frame cannot hold LAME's
 * Info tag any more: without it nobody would know how much silence the encoder put before and behind the sound. */
static double mp3_level(uint32_t rate, double quality)
{
	double most = rate >= 32000 ? 320 : rate >= 16000 ? 160 : 64, least = rate >= 32000 ? 32 : 8;
	double info = rate >= 32000 ? 177.0 * rate / 144000 : 169.0 * rate / 72000; /* kbit/s of a frame that holds the tag */
	double kbps = least + (most - least) * quality;
	info = ceil(info / 8) * 8 + 0.25; /* bit rates this low are multiples of 8; libsndfile cuts the fraction off */
	kbps = kbps < info ? info : kbps;
	return (most - kbps) / (most - least);
}

static bool set_quality(SNDFILE *file, const write_job *job, const writer *w)
{
	double quality = (double)(job->quality ? job->quality : w->default_quality) / MAX_QUALITY;
	bool mp3 = (w->format & SF_FORMAT_TYPEMASK) == SF_FORMAT_MPEG;
	double level = mp3 ? mp3_level(job->file_rate, quality) : 1 - quality;
	int mode = SF_BITRATE_MODE_CONSTANT;
	if (!w->default_quality)
		return true;
	if (sf_command(file, SFC_SET_COMPRESSION_LEVEL, &level, sizeof level) != SF_TRUE)
		return false;
	/* The level first: the mode is refused without one. */
	return !mp3 || sf_command(file, SFC_SET_BITRATE_MODE, &mode, sizeof mode) == SF_TRUE;
}

static sn_rc write_file(write_job *job, const writer *w)
{
	SF_VIRTUAL_IO io = {length, seek, read_bytes, write_bytes, tell};
	SF_INFO info = {.samplerate = (int)job->file_rate, .channels = 1, .format = w->format};
	uint64_t cap;
	/* A block may come out with what the resampler held back of the one before: 64 Ki samples are more than it ever does. */
	if (!sn_resample_count(BLOCK, job->rate, job->file_rate, &cap) || (cap += 65536) > SIZE_MAX / 8)
		return kit_fail(job->fault, SN_RC_TOO_LARGE, "the sound cannot be resampled");
	float *room = kit_alloc(job->host, (size_t)cap * (sizeof(float) + sizeof(int16_t)));
	SNDFILE *file = room ? sf_open_virtual(&io, SFM_WRITE, &info, job) : NULL;
	bool done = file && set_quality(file, job, w) && feed_all(job, file, w, room, (size_t)cap) && sf_error(file) == SF_ERR_NO_ERROR;
	done = file && sf_close(file) == 0 && done && !job->full; /* closing writes as well */
	kit_free(job->host, room);
	if (!room)
		return kit_fail(job->fault, SN_RC_NOMEM, "no memory to write the sound");
	if (job->full)
		return kit_fail(job->fault, SN_RC_TOO_LARGE, "the file is larger than allowed");
	if (!done || (w->finish && !w->finish(job)))
		return kit_fail(job->fault, SN_RC_INTERNAL, "the sound file could not be written");
	return SN_RC_OK;
}

/* What libsndfile writes is longer than what is left of it: it gets the room of the bound, and the caller's has to hold the rest. */
static sn_rc write_aside(write_job *job, const writer *w, uint64_t most)
{
	uint8_t *out = job->out;
	size_t capacity = job->capacity;
	job->out = most > SIZE_MAX / 2 ? NULL : kit_alloc(job->host, (size_t)most);
	if (!job->out)
		return kit_fail(job->fault, SN_RC_NOMEM, "no memory to write the sound");
	job->capacity = (size_t)most;
	sn_rc rc = write_file(job, w);
	if (rc == SN_RC_OK && job->n > capacity)
		rc = kit_fail(job->fault, SN_RC_TOO_LARGE, "the file is larger than allowed");
	if (rc == SN_RC_OK)
		memcpy(out, job->out, job->n);
	kit_free(job->host, job->out);
	return rc;
}

static sn_rc write_plain(write_job *job, const writer *w)
{
	if (strcmp(w->type, WAV_TYPE) == 0)
		wav_header(job);
	for (uint64_t at = 0; at < job->n_samples && !job->full; at += BLOCK)
		write_16(job, job->samples + at, job->n_samples - at < BLOCK ? (size_t)(job->n_samples - at) : BLOCK);
	return job->full ? kit_fail(job->fault, SN_RC_TOO_LARGE, "the file is larger than allowed") : SN_RC_OK;
}

/* ---- the contract ---- */

static const writer *writer_find(const char *type)
{
	for (size_t i = 0; type && i < sizeof WRITERS / sizeof *WRITERS; i++)
		if (strcmp(WRITERS[i].type, type) == 0)
			return &WRITERS[i];
	return NULL;
}

/* The rate that the file will have: the next that it can have, or the highest. */
static uint32_t rate_of(const writer *w, uint32_t rate)
{
	const uint32_t *r = w->rates;
	if (!r)
		return rate;
	while (*r < rate && r[1])
		r++;
	return *r;
}

static sn_rc check(const sn_media *media, const sn_write_options *options, const writer **out, uint64_t *bytes, sn_fault *fault)
{
	const writer *w = *out = writer_find(options->media_type);
	uint64_t n;
	if (!w)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "files of this type are not written");
	if (options->quality > MAX_QUALITY)
		return kit_fail(fault, SN_RC_INVALID, "the quality is above 100");
	if (media->kind != SN_MEDIA_AUDIO || !sn_media_sound(media) || !media->samples)
		return kit_fail(fault, SN_RC_INVALID, "not one sound");
	if (media->rate < MIN_RATE || media->rate > MAX_RATE)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "sound of this rate is not written");
	if (media->n_samples > UINT32_MAX / 4 || !sn_resample_count(media->n_samples, media->rate, rate_of(w, media->rate), &n))
		return kit_fail(fault, SN_RC_TOO_LARGE, "the sound is longer than files of this type can be");
	*bytes = w->bound(n, rate_of(w, media->rate));
	return SN_RC_OK;
}

static sn_rc bound(void *instance, const sn_call *call, const sn_media *media, const sn_write_options *options, uint64_t *bytes,
                   sn_fault *fault)
{
	(void)instance;
	(void)call;
	const writer *w;
	*bytes = 0;
	return check(media, options, &w, bytes, fault);
}

static sn_rc write(void *instance, const sn_call *call, const sn_media *media, const sn_write_options *options, uint8_t *out,
                   uint64_t capacity, uint64_t *n, sn_fault *fault)
{
	const writer *w;
	uint64_t most = 0;
	sn_rc rc = check(media, options, &w, &most, fault);
	*n = 0;
	if (rc != SN_RC_OK)
		return rc;
	if (!all_finite(media->samples, media->n_samples))
		return kit_fail(fault, SN_RC_INVALID, "the sound has samples that are not finite numbers");
	write_job job = {.host = instance,
	                 .call = call,
	                 .samples = media->samples,
	                 .n_samples = media->n_samples,
	                 .rate = media->rate,
	                 .file_rate = rate_of(w, media->rate),
	                 .quality = options->quality,
	                 .out = out,
	                 .capacity = capacity > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)capacity,
	                 .fault = fault};
	rc = !w->format ? write_plain(&job, w) : w->finish && job.capacity < most ? write_aside(&job, w, most) : write_file(&job, w);
	if (rc == SN_RC_OK)
		*n = job.n;
	return rc;
}

const sn_ext_write CODEC_WRITE = {
    .size = sizeof CODEC_WRITE,
    .kind = SN_MEDIA_AUDIO,
    .kind_name = "audio",
    .media_types = WAV_TYPE " " FLAC_TYPE " " OGG_TYPE " " MP3_TYPE " " PCM_TYPE,
    .bound = bound,
    .write = write,
};
