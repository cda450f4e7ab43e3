/* resample.h - one channel of f32 samples from one rate to another, through libsoxr at its HQ setting (20 bits): the pass
 * band is flat to 0.91 of the lower Nyquist frequency (without the roll-off that soxr has by default), and what would alias is gone:
 * errors are below -120 dB on both (tests/unit/test_resample.c measures them).
 *
 *   sn_resampler_init -> sn_resampler_push ... -> sn_resampler_flush -> sn_resampler_fini
 *
 * n samples become exactly ceil(n * out_rate / in_rate), whatever the size of the blocks that they come in; so do their values.
 * The filter's delay is taken out: output sample k stands at the time k / out_rate. Before the first and after the last sample
 * there is silence. Equal rates: a copy. Memory is soxr's own, some 100 KiB, however long the sound is.
 */
#ifndef SENSORIUM_AUDIO_RESAMPLE_H
#define SENSORIUM_AUDIO_RESAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sn_resampler {
	void *soxr; /* NULL: the rates are equal */
	uint32_t in_rate, out_rate;
	uint64_t n_in, n_out; /* samples, so far */
} sn_resampler;

/* How many samples n become. False: a rate is 0, or the number does not fit. */
bool sn_resample_count(uint64_t n, uint32_t in_rate, uint32_t out_rate, uint64_t *out);

/* False: a rate is 0, the rates are more than a factor of 256 apart, or there is no memory. */
bool sn_resampler_init(sn_resampler *r, uint32_t in_rate, uint32_t out_rate);
void sn_resampler_fini(sn_resampler *r);

/* Takes all n samples; *got: how many came out so far, at most what sn_resample_count says of everything that was pushed. False: out
 * was too small, or soxr failed; then the resampler is of no more use. */
bool sn_resampler_push(sn_resampler *r, const float *in, size_t n, float *out, size_t cap, size_t *got);
/* The rest, up to what sn_resample_count says. Nothing may be pushed after it. */
bool sn_resampler_flush(sn_resampler *r, float *out, size_t cap, size_t *got);

#endif
