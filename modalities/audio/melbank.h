/* melbank.h - triangles on Slaney's mel scale, each of area 1 (librosa.filters.mel as it is by default), from 0 Hz to half the rate. */
#ifndef SN_MELBANK_H
#define SN_MELBANK_H

#include <stdbool.h>
#include <stdint.h>

enum { SN_MELBANK_MAX_MELS = 256, SN_MELBANK_MAX_BINS = 513 };

/* Constant after init: any thread may read it. */
typedef struct sn_melbank {
	uint32_t n_mels;
	uint16_t first[SN_MELBANK_MAX_MELS], count[SN_MELBANK_MAX_MELS]; /* the bins of each filter that are not zero */
	uint32_t at[SN_MELBANK_MAX_MELS];                                /* where its weights begin */
	float weights[2 * SN_MELBANK_MAX_BINS + SN_MELBANK_MAX_MELS];    /* a bin lies in at most two triangles */
} sn_melbank;

/* For transforms of n_fft samples at `rate` Hz. False if n_mels is 0 or above SN_MELBANK_MAX_MELS, or there are too many bins. */
bool sn_melbank_init(sn_melbank *m, uint32_t rate, uint32_t n_fft, uint32_t n_mels);
/* bins [n_fft / 2 + 1] -> out [n_mels]; summed in double. */
void sn_melbank_run(const sn_melbank *m, const double *bins, double *out);

#endif
