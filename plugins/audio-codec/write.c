/* write.c - "sn.write/1" of whole files: canonical sound to WAV, FLAC, Ogg Opus, MP3 or raw PCM (signed 16 bits, little-endian, no
 * header), by the types of writer.h. */
#include <string.h>

#include "writer.h"

typedef struct write_job {
	const kit_host *host;
	const float *samples; /* [n_samples] */
	uint64_t n_samples;
	uint32_t rate, file_rate;
	uint32_t quality;
	sink sink;
	sn_fault *fault;
} write_job;

/* All samples in blocks, resampled where the file has another rate. room: [cap] floats, for what a block becomes, and again. */
static bool feed_all(write_job *job, SNDFILE *file, const writer *w, float *room, size_t cap)
{
	sn_resampler r;
	size_t got;
	int16_t *ints = (int16_t *)(room + cap);
	if (!sn_resampler_init(&r, job->rate, job->file_rate))
		return false;
	bool ok = true;
	for (uint64_t at = 0; ok && at < job->n_samples; at += WRITE_BLOCK) {
		size_t n = job->n_samples - at < WRITE_BLOCK ? (size_t)(job->n_samples - at) : WRITE_BLOCK;
		ok = sn_resampler_push(&r, job->samples + at, n, room, cap, &got) && writer_feed(w, file, room, got, ints) && !job->sink.full;
	}
	ok = ok && sn_resampler_flush(&r, room, cap, &got) && writer_feed(w, file, room, got, ints);
	sn_resampler_fini(&r);
	return ok;
}

static sn_rc too_large(const write_job *job) { return kit_fail(job->fault, SN_RC_TOO_LARGE, "the file is larger than allowed"); }

static sn_rc write_file(write_job *job, const writer *w)
{
	const kit_host *c = job->host;
	size_t cap;
	if (!writer_block_room(job->rate, job->file_rate, &cap))
		return kit_fail(job->fault, SN_RC_TOO_LARGE, "the sound cannot be resampled");
	float *room = kit_alloc(c, cap * (sizeof(float) + sizeof(int16_t)));
	SNDFILE *file = room ? writer_open(w, &job->sink, job->file_rate, job->quality) : NULL;
	bool done = file && feed_all(job, file, w, room, cap) && sf_error(file) == SF_ERR_NO_ERROR;
	done = file && sf_close(file) == 0 && done && !job->sink.full; /* closing writes as well */
	kit_free(c, room);
	if (!room)
		return kit_fail(job->fault, SN_RC_NOMEM, "no memory to write the sound");
	if (job->sink.full)
		return too_large(job);
	if (!done || (w->touch && !w->touch(&job->sink)))
		return kit_fail(job->fault, SN_RC_INTERNAL, "the sound file could not be written");
	return SN_RC_OK;
}

/* What libsndfile writes is longer than what is left of it: it gets the room of the bound, and the caller's has to hold the rest. */
static sn_rc write_aside(write_job *job, const writer *w, uint64_t most)
{
	const kit_host *c = job->host;
	sink given = job->sink;
	job->sink = (sink){.out = most > SIZE_MAX / 2 ? NULL : kit_alloc(c, (size_t)most), .capacity = (size_t)most};
	if (!job->sink.out)
		return kit_fail(job->fault, SN_RC_NOMEM, "no memory to write the sound");
	sn_rc rc = write_file(job, w);
	if (rc == SN_RC_OK) {
		sink_write(&given, job->sink.out, sink_held(&job->sink));
		rc = given.full ? too_large(job) : SN_RC_OK;
	}
	kit_free(c, job->sink.out);
	job->sink = given;
	return rc;
}

static sn_rc write_plain(write_job *job, const writer *w)
{
	if (strcmp(w->type, WAV_TYPE) == 0)
		sink_write_wav_header(&job->sink, job->rate, (uint32_t)(job->n_samples * 2));
	for (uint64_t at = 0; at < job->n_samples && !job->sink.full; at += WRITE_BLOCK)
		sink_write_16(&job->sink, job->samples + at, job->n_samples - at < WRITE_BLOCK ? (size_t)(job->n_samples - at) : WRITE_BLOCK);
	return job->sink.full ? too_large(job) : SN_RC_OK;
}

/* ---- the contract ---- */

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
	if (media->n_samples > UINT32_MAX / 4 || !sn_resample_count(media->n_samples, media->rate, writer_rate(w, media->rate), &n))
		return kit_fail(fault, SN_RC_TOO_LARGE, "the sound is longer than files of this type can be");
	*bytes = w->bound(n, writer_rate(w, media->rate));
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
	if (!samples_finite(media->samples, media->n_samples))
		return kit_fail(fault, SN_RC_INVALID, "the sound has samples that are not finite numbers");
	(void)call;
	write_job job = {.host = instance,
	                 .samples = media->samples,
	                 .n_samples = media->n_samples,
	                 .rate = media->rate,
	                 .file_rate = writer_rate(w, media->rate),
	                 .quality = options->quality,
	                 .sink = {.out = out, .capacity = capacity > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)capacity},
	                 .fault = fault};
	rc = !w->format ? write_plain(&job, w) : w->touch && job.sink.capacity < most ? write_aside(&job, w, most) : write_file(&job, w);
	if (rc == SN_RC_OK)
		*n = job.sink.n;
	return rc;
}

const sn_ext_write CODEC_WRITE = {
    .size = sizeof CODEC_WRITE,
    .kind = SN_MEDIA_AUDIO,
    .kind_name = "audio",
    .media_types = WAV_TYPE " " FLAC_TYPE " " OGG_TYPE " " MP3_TYPE " " PCM_TYPE,
    .bound = bound,
    .write = write,
    .stream_open = write_stream_open,
    .stream_push = write_stream_push,
    .stream_finish = write_stream_finish,
    .stream_take = write_stream_take,
    .stream_close = write_stream_close,
};
