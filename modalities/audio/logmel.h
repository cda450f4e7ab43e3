/* logmel.h - the log-mel spectrogram that Whisper's encoder and its descendants were trained on.
 *
 *   sound, 16 kHz -> frames of 400 samples, 160 apart, centred -> Hann window -> power of 201 bins
 *   -> n_mels triangles (Slaney's scale and area norm, 0 to 8000 Hz) -> log10, not below 1e-10
 *   -> not below the maximum - 8 -> (x + 4) / 4
 *
 * The maximum is over the whole clip, with the silence that it is padded with: that is why the last step is a call of its own.
 * Reference: transformers, models/whisper/feature_extraction_whisper.py; bounds: tests/golden/hear.
 */
#ifndef SN_LOGMEL_H
#define SN_LOGMEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "melbank.h"

enum { SN_LOGMEL_RATE = 16000, SN_LOGMEL_HOP = 160, SN_LOGMEL_FFT = 400, SN_LOGMEL_BINS = SN_LOGMEL_FFT / 2 + 1, SN_LOGMEL_MAX_MELS = 256 };

/* Window and filters. Constant after init: any thread may read it. */
typedef struct sn_logmel {
	uint32_t n_mels;
	float window[SN_LOGMEL_FFT];
	sn_melbank bank;
} sn_logmel;

/* False if n_mels is 0 or above SN_LOGMEL_MAX_MELS. */
bool sn_logmel_init(sn_logmel *m, uint32_t n_mels);

/* Bytes of scratch that one run needs: aligned as malloc's memory is. */
size_t sn_logmel_scratch(void);

/* Frames [first, first + n_frames) of a clip of n samples, padded with silence to n_padded >= n (>= 2; at the clip's two ends it
 * is mirrored): log10 of the mels, out [n_frames][n_mels]. *most: raised to the largest value written; begin with -INFINITY.
 * Frames past the padded clip are silence. Samples are finite. */
void sn_logmel_frames(const sn_logmel *m, const float *samples, uint64_t n, uint64_t n_padded, uint64_t first, uint64_t n_frames,
                      float *out, float *most, void *scratch);

/* The last step, in place, over n values. */
void sn_logmel_scale(float *values, size_t n, float most);

#endif
