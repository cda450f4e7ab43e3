/* vocos.h - Vocos (WavTokenizer's decoder) with convolutions that see only what has been, and what the model that speaks through it is told.
 *
 *   codes [T]
 *   x [T][D] = LN(conv7 of rows [T][E] of the codebook)
 *   blocks:    x += gamma * down(gelu(up(LN(depthwise conv7 of x))))
 *   y [T][n_fft + 2] = linear(LN(x)): log-magnitudes, phases
 *   frame t = window * irfft(magnitude e^(i phase)), added to samples t * hop - (n_fft - hop) / 2 and on,
 *   everything divided by the sum of the squared windows that lie there: T * hop samples
 *
 * A convolution's K - 1 rows before a chunk are those behind the chunk before it, and zeros at the stream's beginning; they and the
 * overlap of frames are all that a stream carries. Look-ahead is the overlap alone: (n_fft - hop) / 2 samples.
 *
 * Our own file, GGUF (samples/training/export_speech.py writes it): general.architecture "vocos"; keys vocos.* (config.c) and speak.*
 * (speak.c); tensors by llama.cpp's names for such decoders, F32, F16 or BF16, the outermost dimension first:
 *   token_embd.weight [codes][E]              conv1d.{weight [D][E][K], bias [D]}      token_embd_norm.{weight, bias} [D]
 *   convnext.N.dw.{weight [K][D], bias [D]}   convnext.N.norm.{weight, bias} [D]       convnext.N.pw1.{weight [F][D], bias [F]}
 *   convnext.N.pw2.{weight [D][F], bias [D]}  convnext.N.gamma.weight [D]
 *   output_norm.{weight, bias} [D]            output.{weight [n_fft + 2][D], bias}
 *
 *   plugin.c   the contract             config.c   keys of the decoder, each one checked
 *   weights.c  tensors by name          speak.c    "sn.speak/1"         synth.c   "sn.synth/1"
 *
 * References: charactr-platform/vocos, jishengpeng/WavTokenizer; samples/training/voice.py is what the sample's file is trained with.
 */
#ifndef VOCOS_H
#define VOCOS_H

#include <kit.h>

#include <sensorium/ext/speak.h>
#include <sensorium/ext/synth.h>

enum {
	VOCOS_FIRST_FRAMES = 8, /* of a stream's first chunk: while it is heard the next one is made, so it is as long */
	VOCOS_CHUNK_FRAMES = 8, /* of the others */
	VOCOS_MAX_STREAMS = 16,
	VOCOS_MAX_BLOCKS = 64,
	VOCOS_MAX_TAPS = 32      /* hops in a window */
};

typedef struct vocos_config {
	uint32_t rate;
	uint32_t codes;      /* in the codebook */
	uint32_t code_width; /* E */
	uint32_t width;      /* D */
	uint32_t ff, blocks;
	uint32_t kernel;     /* K */
	uint32_t n_fft, hop;
	float eps, max_magnitude;
} vocos_config;

typedef struct vocos_norm {
	sn_tensor w, b; /* [D] */
} vocos_norm;

typedef struct vocos_block {
	sn_tensor dw, dw_bias; /* [K][D], [D] */
	vocos_norm norm;
	const sn_weight *up, *down; /* with their biases */
	sn_tensor gamma;            /* [D] */
} vocos_block;

typedef struct vocos {
	kit_host host;
	bool loaded;
	vocos_config config;
	sn_tensor codebook;    /* [codes][E] */
	const sn_weight *conv; /* with its bias */
	vocos_norm norm_in, norm_out;
	vocos_block *blocks;   /* [config.blocks], from host memory */
	const sn_weight *head;
	float *window;         /* [n_fft], periodic Hann, from host memory */
	sn_tensor window_tensor; /* the same for ops */
	sn_speaker speaker;
	sn_synth_info synth;
	void *tables;          /* the speaker's arrays, from host memory */
} vocos;


/* config.c */
int32_t vocos_probe(const sn_host *host, const sn_model *model);
sn_rc vocos_read_config(const sn_host_weights *weights, const sn_model *model, vocos_config *config, sn_fault *fault);
/* An integer that must be there and be min to max. */
sn_rc vocos_read_size(const sn_host_weights *weights, const sn_model *model, const char *key, uint32_t min, uint32_t max, uint32_t *out,
                      sn_fault *fault);
/* A number that must be there, above `above` (or equal to it, if `equal`) and at most max. */
sn_rc vocos_read_number(const sn_host_weights *weights, const sn_model *model, const char *key, float above, bool equal, float max, float *out,
                        sn_fault *fault);

/* weights.c */
sn_rc vocos_bind(vocos *v, const sn_model *model, sn_fault *fault);

/* speak.c */
sn_rc vocos_read_speaker(vocos *v, const sn_model *model, sn_fault *fault);

/* synth.c: describes what config and speaker make of streams. */
void vocos_describe_synth(vocos *v);

extern const sn_ext_speak vocos_speak_ext;
extern const sn_ext_synth vocos_synth_ext;

#endif
