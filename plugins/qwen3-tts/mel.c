/* mel.c - the spectrogram that whom to speak like is heard from:
 *
 *   sound, 24 kHz, mirrored by 384 samples at both ends -> frames of 1024 samples, 256 apart -> Hann window -> magnitudes
 *   -> 128 triangles -> natural logarithm, not below 1e-5
 */
#include <kiss_fftr.h>
#include <math.h>

#include "qwen3_tts.h"

enum { BINS = MEL_FFT / 2 + 1 };

typedef struct work {
	kiss_fft_scalar in[MEL_FFT];
	kiss_fft_cpx out[BINS];
	double magnitudes[BINS], mels[MEL_BINS];
} work;

static size_t plan_bytes(void)
{
	size_t n = 0;
	kiss_fftr_alloc(MEL_FFT, 0, NULL, &n);
	return n;
}

size_t mel_scratch(void)
{
	return kit_aligned(sizeof(work)) + plan_bytes();
}

void mel_init(mel *m)
{
	const double pi = 3.14159265358979323846;
	for (int i = 0; i < MEL_FFT; i++)
		m->window[i] = (float)(0.5 - 0.5 * cos(2 * pi * i / MEL_FFT));
	sn_melbank_init(&m->bank, MEL_RATE, MEL_FFT, MEL_BINS);
}

/* The ends themselves are not repeated. */
static float sample_at(const float *samples, uint64_t n, int64_t i)
{
	uint64_t at = i < 0 ? (uint64_t)-i : (uint64_t)i;
	return samples[at < n ? at : 2 * (n - 1) - at];
}

void mel_run(const mel *m, const float *samples, uint64_t n, float *out, void *scratch)
{
	work *w = scratch;
	size_t bytes = plan_bytes();
	kiss_fftr_cfg plan = kiss_fftr_alloc(MEL_FFT, 0, (uint8_t *)scratch + kit_aligned(sizeof(work)), &bytes);
	for (uint64_t f = 0; f < mel_frames(n); f++, out += MEL_BINS) {
		for (int i = 0; i < MEL_FFT; i++)
			w->in[i] = sample_at(samples, n, (int64_t)(f * MEL_HOP) - MEL_PAD + i) * m->window[i];
		kiss_fftr(plan, w->in, w->out);
		for (int i = 0; i < BINS; i++)
			w->magnitudes[i] = sqrt((double)w->out[i].r * w->out[i].r + (double)w->out[i].i * w->out[i].i + 1e-9);
		sn_melbank_run(&m->bank, w->magnitudes, w->mels);
		for (int k = 0; k < MEL_BINS; k++)
			out[k] = logf(w->mels[k] > 1e-5 ? (float)w->mels[k] : 1e-5f);
	}
}
