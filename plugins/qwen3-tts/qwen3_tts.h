/* qwen3_tts.h - how Qwen3-TTS is asked to speak, and its codec's decoder ("12 Hz tokenizer"): frames of 16 codes, 12.5 a second, become
 * sound at 24 kHz.
 *
 *   z [1 a frame][codebook_dim] = first(codebook 0) + rest(sum of codebooks 1 ..)       a row of each by its code, two projections
 *   x [.][latent]     = convolution of z                                                3 taps
 *   h [.][hidden]     = in(x); per layer:  h += scale1 * o(attention(q, k, v of RMS h)) each row sees the last `window` rows
 *                                          h += scale2 * down(silu(gate) * up of RMS h)
 *   x [.][latent]     = out(RMS h)
 *   per ratio r:      x [r times as many] = transposed convolution, r taps every r rows
 *                     x += gamma * pw2(gelu(pw1(LN(depthwise x))))                      7 taps
 *   x [.][dim]        = convolution of x                                                7 taps
 *   per block b, with rate r and channels C = dim / 2^(b + 1):
 *     x [r times as many][C] = transposed convolution of snake(x)                       2 r taps every r rows; the last r rows cut off
 *     3 times, with dilation d = 1, 3, 9:   x += pointwise(snake(convolution of snake x))   7 taps
 *   sound = convolution of snake(x), within [-1, 1]                                     7 taps, 1 channel
 *
 * Everything looks back only, so a frame's sound comes with the frame. A stream carries, for each convolution, the rows that it will
 * look at again; for each transposed one, the sums that are not complete; for each layer, keys and values of the last window - 1 rows.
 * So any chunks give what one over the whole would give. The reference cuts what is longer than 300 frames into parts with 25 frames of
 * context, which is not quite what one part would give; here there is no such cut. It also cut both ends of each transposed
 * convolution before February 2026 (555 samples less in all): files and tests are those of the repaired version.
 *
 * Names are those of llama.cpp's GGUF files (a.gen.wav.*), which the host gives Hugging Face directories as well; sizes are told by
 * the tensors, and by keys that GGUF files lack (clip.gen.audio.wav.*): there the published codec's hold. Snakes have alpha as e^alpha,
 * beta as 1 / (e^beta + 1e-9), codebooks are divided by their usage.
 *
 * How the model is asked to speak (speak.c): its prompt has two lanes, of text and of codec tokens, added row by row:
 *
 *   text   im_start assistant \n | pad    pad        pad     pad        pad    bos | the words     eod | pad |
 *   codec                        | think  think_bos  LANG    think_eos  VOICE  pad | pad ...       pad | bos | codes ...      + pad
 *
 * without LANG: nothink, think_bos, think_eos; VOICE, if there is one, is a token or the row of a recording (hear.c). A voice that speaks
 * a dialect speaks it where the language is Chinese, or none was named. Instructions stand before it all, as a user's turn. A model
 * that is made for recordings has its words beside the codes instead, from the first one on:
 *
 *   text   ... pad    bos | word 0 | word 1  ... eod  pad ...
 *   codec  ... VOICE  pad | bos    | codes  ...
 *
 *   plugin.c  the contract     config.c  the codec's sizes     weights.c  tensors     stages.c  what is computed     synth.c  the job
 *   speak.c  voices, prompts   hear.c  a recording's row, as a job       hear_sizes.c  its tensors            mel.c  its spectrogram
 *
 * Reference: QwenLM/Qwen3-TTS, qwen_tts/. The talker and the code predictor, which make the codes, are an architecture of the host's.
 */
#ifndef QWEN3_TTS_H
#define QWEN3_TTS_H

#include <kit_tower.h>
#include <melbank.h>

#include <sensorium/ext/encode.h>
#include <sensorium/ext/speak.h>
#include <sensorium/ext/synth.h>

enum {
	TTS_TAPS = 7, TTS_PRE_TAPS = 3, TTS_UNITS = 3, TTS_MAX_CODES = 32, TTS_MAX_LAYERS = 32, TTS_MAX_RATIOS = 4, TTS_MAX_BLOCKS = 6,
	TTS_MAX_STAGES = 6 + TTS_MAX_LAYERS + 2 * TTS_MAX_RATIOS + TTS_MAX_BLOCKS * (1 + TTS_UNITS),
	TTS_FIRST_FRAMES = 2, TTS_CHUNK_FRAMES = 4, TTS_MAX_FRAMES = 4096, TTS_MAX_STREAMS = 8
};

typedef struct tts_config {
	uint32_t rate; /* Hz */
	uint32_t n_codes, codebook_size, codebook_dim;
	uint32_t latent, hidden, ff, heads, head_dim, layers, window, dim;
	uint32_t n_ratios, n_blocks, ratios[TTS_MAX_RATIOS], rates[TTS_MAX_BLOCKS];
	uint32_t frame_samples;
	float eps, theta;
} tts_config;

typedef enum tts_kind {
	STAGE_QUANT, STAGE_TFM_IN, STAGE_LAYER, STAGE_TFM_OUT, STAGE_SPREAD, STAGE_NEXT, STAGE_DEC_IN, STAGE_UP, STAGE_UNIT, STAGE_OUT
} tts_kind;

/* What is done to all rows at once. Its window is `held` rows that the stream carries, and the fresh ones. */
typedef struct tts_stage {
	tts_kind kind;
	uint32_t i, unit;          /* of its kind: layer, ratio, block */
	uint32_t in, out;          /* channels */
	uint32_t held, dilation, stride;
	uint32_t rows_per_frame;   /* of its input */
	uint64_t carry;            /* where its rows begin in a stream's memory, in floats */
	double macs;               /* of one input row */
} tts_stage;

typedef struct tts_snake {
	sn_tensor alpha, beta;
} tts_snake;

typedef struct tts_layer {
	sn_tensor norm1, norm2, scale1, scale2;
	const sn_weight *q, *k, *v, *o, *gate, *up, *down;
} tts_layer;

typedef struct tts_next {
	const sn_weight *up, *pw1, *pw2;
	sn_tensor up_bias, dw, dw_bias, norm, norm_bias, gamma;
} tts_next;

typedef struct tts_unit {
	tts_snake snake1, snake2;
	const sn_weight *conv1, *conv2;
} tts_unit;

typedef struct tts_block {
	tts_snake snake;
	const sn_weight *up;
	sn_tensor up_bias; /* a table of one row */
	tts_unit units[TTS_UNITS];
} tts_block;

enum { TTS_MAX_VOICES = 256, TTS_MAX_LANGUAGES = 64, TTS_NAME = 64, TTS_TOKEN = 96 };

/* Voices, languages and how they are spelt as tokens. */
typedef struct tts_manners {
	sn_speaker about;
	sn_voice voices[TTS_MAX_VOICES];
	char voice_names[TTS_MAX_VOICES][TTS_NAME], language_names[TTS_MAX_LANGUAGES][TTS_NAME];
	char voice_tokens[TTS_MAX_VOICES][TTS_TOKEN];   /* "" : it is spoken without one */
	char dialect_tokens[TTS_MAX_VOICES][TTS_TOKEN]; /* "" : none */
	sn_speak_language languages[TTS_MAX_LANGUAGES];
	char language_tokens[TTS_MAX_LANGUAGES][TTS_TOKEN];
	uint32_t chinese; /* 1 + index of the language, 0: there is none */
	sn_speak_slot slot;
	bool beside;      /* words come beside the codes */
} tts_manners;

enum { SPK_MAX_BLOCKS = 16, SPK_MAX_SCALE = 64 };

typedef struct spk_block {
	const sn_weight *tdnn1, *tdnn2, *squeeze, *excite, *parts[SPK_MAX_SCALE]; /* parts: [scale - 1] */
	uint32_t dilation;
} spk_block;

/* What makes a row of a recording; n_blocks 0: there is none. */
typedef struct spk {
	uint32_t bins, channels, joined, squeezed, attended, dim; /* of a frame; blocks' rows; rows where they are joined; ... of the row */
	uint32_t n_blocks, scale, stem_taps, taps;
	uint32_t least; /* samples of a recording */
	const sn_weight *stem, *join, *tdnn, *attention, *out;
	spk_block blocks[SPK_MAX_BLOCKS];
} spk;

enum { MEL_RATE = 24000, MEL_FFT = 1024, MEL_HOP = 256, MEL_BINS = 128, MEL_PAD = (MEL_FFT - MEL_HOP) / 2 };

typedef struct mel {
	float window[MEL_FFT];
	sn_melbank bank;
} mel;

typedef struct tts {
	kit_host host;
	bool loaded;
	tts_config config;
	tts_manners manners;
	spk ear;
	mel mel;
	sn_synth_info info;
	tts_stage stages[TTS_MAX_STAGES];
	uint32_t n_stages;
	sn_tensor codebooks[TTS_MAX_CODES], tfm_norm;
	const sn_weight *first, *rest, *pre, *tfm_in, *tfm_out, *dec_in, *out;
	tts_layer layers[TTS_MAX_LAYERS];
	tts_next nexts[TTS_MAX_RATIOS];
	tts_block blocks[TTS_MAX_BLOCKS];
	tts_snake out_snake;
} tts;


/* config.c */
int32_t tts_probe(const sn_host *host, const sn_model *model);
sn_rc tts_read_config(const sn_host_weights *weights, const sn_model *model, tts_config *config, sn_fault *fault);
void tts_lay_stages(tts *s); /* stages and info from the config */

/* speak.c */
void tts_init_manners(tts *s);
sn_rc tts_read_manners(tts *s, const sn_model *model, sn_fault *fault);

/* hear_sizes.c */
sn_rc tts_bind_ear(tts *s, const sn_model *model, sn_fault *fault);

/* mel.c: log-mels of a recording at 24 kHz, mirrored at both ends. */
static inline uint64_t mel_frames(uint64_t n_samples)
{
	return n_samples / MEL_HOP;
}
void mel_init(mel *m);
size_t mel_scratch(void);
/* samples [n], more than MEL_PAD; out [mel_frames(n)][MEL_BINS]. scratch: [mel_scratch], aligned like malloc's memory. */
void mel_run(const mel *m, const float *samples, uint64_t n, float *out, void *scratch);

/* weights.c */
sn_rc tts_bind(tts *s, const sn_model *model, sn_fault *fault);

/* ---- a job ---- */

typedef struct tts_job {
	sn_synth_chunk *chunks; /* [n] */
	uint32_t n, n_frames;
	uint32_t stage, stream, row; /* next; row: of a stream's input, where one stream is several units */
	uint32_t next, n_units;
	sn_tensor windows[2], a, b, c, d; /* [1][.], cut into matrices as they are needed */
	const int32_t *zero_ids;
	int32_t *ids;
} tts_job;

/* One unit: input rows [row, row + rows) of streams [first, end); all rows if they are several. */
typedef struct tts_run {
	const tts *s;
	tts_job *j;
	sn_ops_ctx *ctx;
	sn_fault *fault;
	const tts_stage *g;
	sn_tensor from, to;
	uint32_t first, end, row, rows;
} tts_run;

/* stages.c: floats of each scratch tensor that a unit of `streams` streams and `rows` rows of each needs. */
typedef struct tts_scratch {
	uint64_t a, b, c, d;
} tts_scratch;
tts_scratch tts_scratch_of(const tts *s, const tts_stage *g, uint64_t streams, uint64_t rows);
sn_rc tts_run_stage(const tts_run *r);

static inline uint64_t tts_fresh(const tts_stage *g, uint32_t n_frames)
{
	return (uint64_t)g->rows_per_frame * n_frames;
}

extern const sn_ext_synth tts_synth_ext;
extern const sn_ext_speak tts_speak_ext;
extern const sn_ext_plan tts_plan_ext;
extern const sn_ext_encode tts_encode_ext;

#endif
