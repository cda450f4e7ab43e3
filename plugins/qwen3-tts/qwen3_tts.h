/* qwen3_tts.h - the codec decoder of Qwen3-TTS ("12 Hz tokenizer"): frames of 16 codes, 12.5 a second, become sound at 24 kHz.
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
 * Files are made by samples/convert/qwen3_tts_codec.py, which lists the keys (qwen3-tts-codec.*). Tensors, outermost dimension first:
 *
 *   q.I.codebook.weight [codebook_size][codebook_dim / 2]    q.{first,rest}.weight [codebook_dim][codebook_dim / 2]
 *   pre.{weight [latent][codebook_dim][3], bias}             tfm.{in,out}.{weight, bias}      tfm.norm.weight
 *   tfm.L.{norm1,norm2}.weight, {q,k,v,o,gate,up,down}.weight, {scale1,scale2} [hidden]
 *   up.I.{weight [latent][latent][r], bias}, dw.{weight [7][latent], bias}, norm.{weight, bias}, {pw1,pw2}.{weight, bias}, gamma
 *   dec.in.{weight [dim][latent][7], bias}                   dec.B.snake.{alpha, beta}        dec.B.up.{weight [2 C][C][2 r], bias}
 *   dec.B.res.R.{snake1,snake2}.{alpha, beta}, conv1.{weight [C][C][7], bias}, conv2.{weight [C][C], bias}
 *   dec.out.snake.{alpha, beta}, dec.out.{weight [1][C][7], bias}       alpha as e^alpha, beta as 1 / (e^beta + 1e-9)
 *
 *   plugin.c  the contract     config.c  keys -> config     weights.c  tensors     stages.c  what is computed     synth.c  the job
 *
 * Reference: QwenLM/Qwen3-TTS, qwen_tts/core/tokenizer_12hz. The talker, which makes the codes, is an architecture of the host's.
 */
#ifndef QWEN3_TTS_H
#define QWEN3_TTS_H

#include <kit.h>

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

typedef struct tts {
	kit_host host;
	bool loaded;
	tts_config config;
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

#endif
