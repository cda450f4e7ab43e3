/* logmel.c - see logmel.h. The transform is kissfft's, in float as the reference's is; sums over bins are in double. */
#include "logmel.h"

#include <kiss_fftr.h>
#include <math.h>
#include <string.h>

enum { ALIGN = 64, HALF = SN_LOGMEL_FFT / 2 };
static const float FLOOR = 1e-10f; /* of a mel's energy */

/* ---- filters ---- */

bool sn_logmel_init(sn_logmel *m, uint32_t n_mels)
{
	const double pi = 3.14159265358979323846;
	if (n_mels > SN_LOGMEL_MAX_MELS || !sn_melbank_init(&m->bank, SN_LOGMEL_RATE, SN_LOGMEL_FFT, n_mels))
		return false;
	m->n_mels = n_mels;
	for (int i = 0; i < SN_LOGMEL_FFT; i++)
		m->window[i] = (float)(0.5 - 0.5 * cos(2 * pi * i / SN_LOGMEL_FFT));
	return true;
}

/* ---- frames ---- */

typedef struct work {
	kiss_fft_scalar in[SN_LOGMEL_FFT];
	kiss_fft_cpx out[SN_LOGMEL_BINS];
	double power[SN_LOGMEL_BINS];
} work;

static size_t plan_bytes(void)
{
	size_t n = 0;
	kiss_fftr_alloc(SN_LOGMEL_FFT, 0, NULL, &n);
	return n;
}

static size_t work_bytes(void)
{
	return (sizeof(work) + ALIGN - 1) / ALIGN * ALIGN;
}

size_t sn_logmel_scratch(void)
{
	return work_bytes() + plan_bytes();
}

/* Sample i of the padded clip, mirrored at its ends: the ends themselves are not repeated. */
static float sample_at(const float *samples, uint64_t n, uint64_t n_padded, int64_t i)
{
	uint64_t at = i < 0 ? (uint64_t)-i : (uint64_t)i;
	if (at >= n_padded)
		at = 2 * (n_padded - 1) - at;
	return at < n ? samples[at] : 0.0f;
}

/* False: there is no sound in it. */
static bool cut_frame(const sn_logmel *m, const float *samples, uint64_t n, uint64_t n_padded, uint64_t frame, float *in)
{
	int64_t first = (int64_t)(frame * SN_LOGMEL_HOP) - HALF;
	bool mirrored = first < 0 || (uint64_t)first + SN_LOGMEL_FFT > n_padded;
	if (frame * SN_LOGMEL_HOP > n_padded || (!mirrored && (uint64_t)first >= n))
		return false;
	for (int i = 0; i < SN_LOGMEL_FFT; i++) {
		/* A clip shorter than half a window would be mirrored more than once: the reference refuses it, here it ends in silence. */
		int64_t at = first + i;
		bool far = at < -(int64_t)(n_padded - 1) || at > 2 * (int64_t)(n_padded - 1);
		in[i] = far ? 0.0f : sample_at(samples, n, n_padded, at) * m->window[i];
	}
	return true;
}

static void mels_of(const sn_logmel *m, const double *power, float *out)
{
	double sums[SN_LOGMEL_MAX_MELS];
	sn_melbank_run(&m->bank, power, sums);
	for (uint32_t k = 0; k < m->n_mels; k++)
		out[k] = log10f(sums[k] > (double)FLOOR ? (float)sums[k] : FLOOR);
}

void sn_logmel_frames(const sn_logmel *m, const float *samples, uint64_t n, uint64_t n_padded, uint64_t first, uint64_t n_frames,
                      float *out, float *most, void *scratch)
{
	work *w = scratch;
	size_t bytes = plan_bytes();
	kiss_fftr_cfg plan = kiss_fftr_alloc(SN_LOGMEL_FFT, 0, (uint8_t *)scratch + work_bytes(), &bytes);
	for (uint64_t f = 0; f < n_frames; f++, out += m->n_mels) {
		memset(w->power, 0, sizeof w->power);
		if (cut_frame(m, samples, n, n_padded, first + f, w->in)) {
			kiss_fftr(plan, w->in, w->out);
			for (int i = 0; i < SN_LOGMEL_BINS; i++)
				w->power[i] = (double)w->out[i].r * w->out[i].r + (double)w->out[i].i * w->out[i].i;
		}
		mels_of(m, w->power, out);
		for (uint32_t k = 0; k < m->n_mels; k++)
			*most = out[k] > *most ? out[k] : *most;
	}
}

void sn_logmel_scale(float *values, size_t n, float most)
{
	float floor = most - 8.0f;
	for (size_t i = 0; i < n; i++)
		values[i] = ((values[i] > floor ? values[i] : floor) + 4.0f) / 4.0f;
}
