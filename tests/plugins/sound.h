/* sound.h - what the tests of audio-codec share: generated sound, files of it in memory (written by libsndfile itself, or byte by
 * byte where a file must be wrong), and figures that compare two sounds. */
#ifndef TESTS_SOUND_H
#define TESTS_SOUND_H

#include <sndfile.h>

#include "byte_buf.h"

/* Sample i of channel c at this rate: a few tones that come and go, different in each channel, within [-0.7, 0.7]. */
float tone(uint64_t i, uint32_t c, uint32_t rate);
float *tones(uint64_t n, uint32_t rate); /* [n], channel 0; malloc'ed */

/* A file of libsndfile's. quality: its compression level, below 0: its own choice. */
byte_buf sound_file(int format, uint32_t rate, uint32_t channels, uint64_t frames, double quality);
byte_buf sound_silence(int format, uint32_t rate, uint32_t channels, uint64_t frames);
/* What libsndfile itself reads from it, as the mean of the channels; malloc'ed. */
float *sound_read(const byte_buf *file, uint64_t *n, uint32_t *rate);

/* A RIFF file of one fmt chunk (18 bytes of these fields) and one data chunk of n bytes, said to be `said`. */
byte_buf wav_file(uint32_t tag, uint32_t channels, uint32_t rate, uint32_t bits, const void *data, size_t n, uint32_t said);

/* One Ogg page. flags: 1 continued, 2 first, 4 last. At most 255 packets, all of which end here, of less than 255 bytes. */
void add_ogg_page(byte_buf *b, uint32_t flags, uint64_t granule, uint32_t sequence, const uint8_t *packets, const uint8_t *sizes, size_t n);
/* The CRC of the page of n bytes at p, made right. */
void ogg_sum(uint8_t *p, size_t n);
/* The pages of an Ogg file: offset of page k, or of the end. */
size_t ogg_page_at(const byte_buf *b, size_t k);
/* An Opus file of n packets of `size` bytes like `packet`, each of `samples` samples at 48 kHz. */
byte_buf opus_file(uint32_t channels, uint32_t n, const uint8_t *packet, size_t size, uint32_t samples);

/* 20 log10 of noise to signal between x and y of n samples; y may be louder or softer. */
double noise_db(const float *x, const float *y, size_t n);

void drop(byte_buf *b);

#endif
