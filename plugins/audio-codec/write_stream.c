/* write_stream.c - "sn.write/1" of sound that is still being made.
 *
 *   samples --tempo--> --resampler--> libsndfile (or 16 bits as they are) --> raw --settle--> ready --take--> the host
 *
 * raw holds what libsndfile wrote and what cannot be given away yet: a header that is not complete, half a page. With `whole` it
 * holds everything until the end. The tempo is changed by libsonic (pitch-synchronous overlap and add), fed in blocks of one size,
 * so that what it makes does not depend on how the samples came. */
#include <sonic.h>
#include <string.h>

#include "writer.h"

enum { TEMPO_BLOCK = 256, PAGE_MS = 100 };
#define MAX_SAMPLES (UINT32_MAX / 4) /* pushed, as a whole file may have, and the file's own */

static const float MIN_TEMPO = 0.25f, MAX_TEMPO = 4;

struct sn_write_stream {
	const kit_host *host;
	const writer *writer;
	SNDFILE *file;      /* NULL for types without an encoder */
	sonicStream tempo;  /* NULL: as it is */
	sn_resampler resampler;
	uint32_t rate, file_rate, step;
	bool whole, failed, ended;
	uint64_t n_in, n_out; /* samples pushed, and of the file */
	sink raw, ready;
	size_t n_held;
	int16_t held[TEMPO_BLOCK]; /* [n_held] not yet a block for libsonic */
	size_t cap;
	float *room;   /* [cap] what a block becomes, */
	int16_t *ints; /* [cap] and again */
};

static sn_rc fail(sn_write_stream *s, sn_rc code, const char *text, sn_fault *fault)
{
	s->failed = true;
	return kit_fail(fault, code, text);
}

/* What went wrong in the stages below, told once. */
static sn_rc broken(sn_write_stream *s, sn_fault *fault)
{
	if (s->raw.starved || s->ready.starved)
		return fail(s, SN_RC_NOMEM, "no memory to write the sound", fault);
	if (s->n_out > MAX_SAMPLES)
		return fail(s, SN_RC_TOO_LARGE, "the sound is longer than files of this type can be", fault);
	return fail(s, SN_RC_INTERNAL, "the sound file could not be written", fault);
}

/* ---- stages: n samples each, false: broken() tells why ---- */

static bool encode(sn_write_stream *s, size_t n)
{
	s->n_out += n;
	if (s->n_out > MAX_SAMPLES)
		return false;
	if (s->file)
		return writer_feed(s->writer, s->file, s->room, n, s->ints) && sf_error(s->file) == SF_ERR_NO_ERROR && !s->raw.full;
	if (s->n_out == n && n && strcmp(s->writer->type, WAV_TYPE) == 0)
		sink_write_wav_header(&s->raw, s->rate, UINT32_MAX);
	sink_write_16(&s->raw, s->room, n);
	return !s->raw.full;
}

static bool resample(sn_write_stream *s, const float *x, size_t n)
{
	size_t got;
	return sn_resampler_push(&s->resampler, x, n, s->room, s->cap, &got) && encode(s, got);
}

static bool drain_tempo(sn_write_stream *s)
{
	int16_t out[TEMPO_BLOCK];
	float x[TEMPO_BLOCK];
	for (int n; (n = sonicReadShortFromStream(s->tempo, out, TEMPO_BLOCK)) > 0;) {
		for (int i = 0; i < n; i++)
			x[i] = (float)out[i] / 32768;
		if (!resample(s, x, (size_t)n))
			return false;
	}
	return true;
}

static bool change_tempo(sn_write_stream *s, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		s->held[s->n_held++] = sample_to_16(x[i]);
		if (s->n_held < TEMPO_BLOCK)
			continue;
		s->n_held = 0;
		if (!sonicWriteShortToStream(s->tempo, s->held, TEMPO_BLOCK))
			return !(s->raw.starved = true);
		if (!drain_tempo(s))
			return false;
	}
	return true;
}

/* What is final goes to ready. */
static bool settle(sn_write_stream *s)
{
	if (s->whole && !s->ended)
		return true;
	if (s->writer->settle && !s->whole)
		return s->writer->settle(&s->raw, &s->ready, &s->step) && !s->ready.full;
	sink_write(&s->ready, s->raw.out, sink_held(&s->raw));
	sink_drop(&s->raw, sink_held(&s->raw));
	return !s->ready.full;
}

/* What the stages held back. */
static bool drain(sn_write_stream *s)
{
	size_t got;
	if (s->tempo && ((s->n_held && !sonicWriteShortToStream(s->tempo, s->held, (int)s->n_held)) || !sonicFlushStream(s->tempo)))
		return !(s->raw.starved = true);
	return (!s->tempo || drain_tempo(s)) && sn_resampler_flush(&s->resampler, s->room, s->cap, &got) && encode(s, got);
}

/* The file's end. */
static bool end(sn_write_stream *s)
{
	s->ended = true;
	if (s->file) {
		bool closed = sf_close(s->file) == 0; /* writes as well */
		s->file = NULL;
		if (!closed || s->raw.full || (s->whole && s->writer->touch && !s->writer->touch(&s->raw)))
			return false;
	} else if (s->whole && strcmp(s->writer->type, WAV_TYPE) == 0) {
		s->raw.at = 0;
		sink_write_wav_header(&s->raw, s->rate, (uint32_t)(s->n_out * 2));
	}
	return settle(s) && !sink_held(&s->raw);
}

/* ---- the contract ---- */

static sn_rc check_options(const sn_write_stream_options *o, const writer **w, sn_fault *fault)
{
	*w = writer_find(o->media_type);
	if (!*w)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "files of this type are not written");
	if (o->quality > MAX_QUALITY)
		return kit_fail(fault, SN_RC_INVALID, "the quality is above 100");
	if (!(o->tempo >= MIN_TEMPO && o->tempo <= MAX_TEMPO))
		return kit_fail(fault, SN_RC_INVALID, "the tempo is not between 0.25 and 4");
	if (o->rate < MIN_RATE || o->rate > MAX_RATE)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "sound of this rate is not written");
	return SN_RC_OK;
}

/* False: no memory, or libsndfile refuses (s->room is there then). */
static bool start(sn_write_stream *s, const sn_write_stream_options *o)
{
	const kit_host *c = s->host;
	if (!writer_block_room(s->rate, s->file_rate, &s->cap) ||
	    !(s->room = kit_alloc(c, s->cap * (sizeof(float) + sizeof(int16_t)))))
		return false;
	s->ints = (int16_t *)(s->room + s->cap);
	if (o->tempo != 1) {
		if (!(s->tempo = sonicCreateStream((int)s->rate, 1)))
			return false;
		sonicSetSpeed(s->tempo, o->tempo);
	}
	if (!sn_resampler_init(&s->resampler, s->rate, s->file_rate))
		return false;
	if (s->writer->format && !(s->file = writer_open(s->writer, &s->raw, s->file_rate, o->quality)))
		return false;
	double page = PAGE_MS; /* libsndfile's own is a second; it answers 0 however it likes what it is given */
	if (s->file && !s->whole)
		sf_command(s->file, SFC_SET_OGG_PAGE_LATENCY_MS, &page, sizeof page);
	return true;
}

sn_rc write_stream_open(void *instance, const sn_call *call, const sn_write_stream_options *options, sn_write_stream **out, sn_fault *fault)
{
	const kit_host *c = instance;
	const writer *w;
	(void)call;
	*out = NULL;
	sn_rc rc = check_options(options, &w, fault);
	if (rc != SN_RC_OK)
		return rc;
	sn_write_stream *s = kit_alloc(c, sizeof *s);
	if (!s)
		return kit_fail(fault, SN_RC_NOMEM, "no memory to write the sound");
	*s = (sn_write_stream){.host = c, .writer = w, .rate = options->rate, .file_rate = writer_rate(w, options->rate),
	                       .whole = options->whole, .raw = {.grows = c}, .ready = {.grows = c}};
	if (!start(s, options)) {
		write_stream_close(instance, s);
		return kit_fail(fault, SN_RC_NOMEM, "no memory to write the sound");
	}
	*out = s;
	return SN_RC_OK;
}

sn_rc write_stream_push(void *instance, const sn_call *call, sn_write_stream *s, const float *samples, uint64_t n, uint64_t *ready,
                        sn_fault *fault)
{
	(void)instance;
	(void)call;
	*ready = 0;
	if (s->failed || s->ended)
		return fail(s, SN_RC_INVALID, "the sound has ended", fault);
	if (n > MAX_SAMPLES - s->n_in)
		return fail(s, SN_RC_TOO_LARGE, "the sound is longer than files of this type can be", fault);
	if (!samples_finite(samples, n))
		return fail(s, SN_RC_INVALID, "the sound has samples that are not finite numbers", fault);
	s->n_in += n;
	for (uint64_t at = 0; at < n; at += WRITE_BLOCK) {
		size_t part = n - at < WRITE_BLOCK ? (size_t)(n - at) : WRITE_BLOCK;
		if (!(s->tempo ? change_tempo : resample)(s, samples + at, part))
			return broken(s, fault);
	}
	if (!settle(s))
		return broken(s, fault);
	*ready = sink_held(&s->ready);
	return SN_RC_OK;
}

sn_rc write_stream_finish(void *instance, const sn_call *call, sn_write_stream *s, uint64_t *ready, sn_fault *fault)
{
	(void)instance;
	(void)call;
	*ready = 0;
	if (s->failed || s->ended)
		return fail(s, SN_RC_INVALID, "the sound has ended", fault);
	if (!drain(s))
		return broken(s, fault);
	if (!s->n_out)
		return fail(s, SN_RC_INVALID, "there is no sound", fault);
	if (!end(s))
		return broken(s, fault);
	*ready = sink_held(&s->ready);
	return SN_RC_OK;
}

uint64_t write_stream_take(void *instance, sn_write_stream *s, uint8_t *out, uint64_t capacity)
{
	(void)instance;
	size_t n = sink_held(&s->ready) < capacity ? sink_held(&s->ready) : (size_t)capacity;
	if (n == 0)
		return 0;
	memcpy(out, s->ready.out, n);
	sink_drop(&s->ready, n);
	return n;
}

void write_stream_close(void *instance, sn_write_stream *s)
{
	(void)instance;
	if (!s)
		return;
	const kit_host *c = s->host;
	if (s->file)
		sf_close(s->file);
	if (s->tempo)
		sonicDestroyStream(s->tempo);
	sn_resampler_fini(&s->resampler);
	sink_fini(&s->raw);
	sink_fini(&s->ready);
	kit_free(c, s->room);
	kit_free(c, s);
}
