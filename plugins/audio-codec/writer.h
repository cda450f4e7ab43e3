/* writer.h - what is known of each type that is written, and the ways to bytes that whole files (write.c) and streams
 * (write_stream.c) share. */
#ifndef AUDIO_CODEC_WRITER_H
#define AUDIO_CODEC_WRITER_H

#include <resample.h>
#include <sndfile.h>

#include "codec.h"

enum { WRITE_BLOCK = 4096, WAV_HEADER = 44, MAX_QUALITY = 100 };

/* Bytes of a file that is being written: [start, n) of it are in out, what came before is gone. libsndfile seeks in it: what it
 * writes where nothing is any more is dropped. */
typedef struct sink {
	const kit_host *grows; /* more room comes from its host; NULL: what does not fit is refused */
	uint8_t *out;       /* [capacity] */
	size_t capacity;
	uint64_t start, n, at;
	bool full, starved; /* something did not fit; there was no memory for it */
} sink;

void sink_write(sink *s, const void *p, size_t n);
static inline size_t sink_held(const sink *s) { return (size_t)(s->n - s->start); }
void sink_drop(sink *s, size_t n); /* the oldest n of what is held */
void sink_fini(sink *s); /* one that grows */

typedef struct writer {
	const char *type;
	int format;             /* libsndfile's; 0: written here */
	uint32_t default_quality;
	const uint32_t *rates;  /* ascending, up to 0; NULL: any */
	uint64_t (*bound)(uint64_t n, uint32_t rate); /* bytes of n samples at the file's rate */
	/* What is done to a whole file at last. False: it is not what libsndfile should have written. */
	bool (*touch)(sink *s);
	/* The same to a file that comes bit by bit: what of `raw` is final goes to `ready`. step: 0 at first, the writer's own to count. */
	bool (*settle)(sink *raw, sink *ready, uint32_t *step);
} writer;

const writer *writer_find(const char *type);
/* The rate that the file will have: the next that it can have, or the highest. */
uint32_t writer_rate(const writer *w, uint32_t rate);
/* libsndfile's encoder into s, which outlives it; NULL: it refuses. */
SNDFILE *writer_open(const writer *w, sink *s, uint32_t rate, uint32_t quality);
/* n samples at the file's rate; ints: [n], for the writer's own use. False: libsndfile refused them. */
bool writer_feed(const writer *w, SNDFILE *file, const float *x, size_t n, int16_t *ints);
/* Samples of a block after resampling, with what the resampler held back before. False: too many. */
bool writer_block_room(uint32_t rate, uint32_t file_rate, size_t *cap);

int16_t sample_to_16(float x);
bool samples_finite(const float *x, uint64_t n);
void sink_write_16(sink *s, const float *x, size_t n);
void sink_write_wav_header(sink *s, uint32_t rate, uint32_t bytes); /* bytes UINT32_MAX: not known */

#endif
