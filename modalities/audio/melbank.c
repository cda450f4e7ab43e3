/* melbank.c - see melbank.h. */
#include "melbank.h"

#include <math.h>
#include <stddef.h>

static double mel_of(double hz)
{
	return hz < 1000 ? hz * 3 / 200 : 15 + log(hz / 1000) * 27 / log(6.4);
}

static double hz_of(double mel)
{
	return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

bool sn_melbank_init(sn_melbank *m, uint32_t rate, uint32_t n_fft, uint32_t n_mels)
{
	const double top = mel_of(rate / 2.0), bin_hz = (double)rate / n_fft;
	const uint32_t n_bins = n_fft / 2 + 1;
	if (n_mels == 0 || n_mels > SN_MELBANK_MAX_MELS || n_bins > SN_MELBANK_MAX_BINS)
		return false;
	*m = (sn_melbank){.n_mels = n_mels};
	uint32_t used = 0;
	for (uint32_t k = 0; k < n_mels; k++) {
		double low = hz_of(top * k / (n_mels + 1)), centre = hz_of(top * (k + 1) / (n_mels + 1)), high = hz_of(top * (k + 2) / (n_mels + 1));
		m->at[k] = used;
		for (uint32_t bin = 0; bin < n_bins; bin++) {
			double hz = bin * bin_hz, up = (hz - low) / (centre - low), down = (high - hz) / (high - centre);
			float w = (float)((up < down ? up : down) * 2 / (high - low));
			if (w > 0) {
				m->first[k] = m->count[k] ? m->first[k] : (uint16_t)bin;
				m->count[k]++;
				m->weights[used++] = w;
			}
		}
	}
	return true;
}

void sn_melbank_run(const sn_melbank *m, const double *bins, double *out)
{
	for (uint32_t k = 0; k < m->n_mels; k++) {
		const float *w = m->weights + m->at[k];
		double sum = 0;
		for (uint32_t i = 0; i < m->count[k]; i++)
			sum += w[i] * bins[m->first[k] + i];
		out[k] = sum;
	}
}
