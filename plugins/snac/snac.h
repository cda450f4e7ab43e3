/* snac.h - SNAC's decoder (Siuzdak et al., "SNAC: Multi-Scale Neural Audio Codec", arXiv 2410.14411), as the voice of Orpheus.
 *
 *   a frame's codes, depth first: level 0, then its halves' codes of level 1, each before those of its own halves ...
 *   z [strides[0] a frame][latent]   sum over levels: out_proj(codebook row), each row as often as its level is coarse
 *   x [.][dim]        = pointwise(depthwise z)                        7 taps
 *   per block b, with rate r and channels C = dim / 2^(b + 1):
 *     x [r times as many][C] = transposed convolution of snake(x)     2 r taps, every r rows
 *     3 times, with dilation d = 1, 3, 9:   x += pointwise(snake(depthwise(snake x)))    7 taps
 *   sound = tanh(convolution of snake(x))                             7 taps, 1 channel
 *
 * snake(x) = x + sin(alpha x)^2 / (alpha + 1e-9). The reference adds noise(t) * W x after each transposed convolution, a fresh random
 * number for each row. Here that number is its mean, 0: the same codes always give the same sound, and files need no such W.
 *
 * All convolutions look as far ahead as back, so sound comes `lag` samples after its codes. A stream carries, for each convolution,
 * the rows that it will look at again, and for each transposed one the sums that are not complete: no row is computed twice, and no
 * row knows where a chunk ended (spans.c). The sound's beginning and end are zeros to each convolution, as in the reference.
 *
 * Files are made by samples/convert/snac.py. Keys: snac.sampling_rate, .latent_dim, .decoder_dim, .codebook_size, .codebook_dim
 * (u32), .decoder_rates, .vq_strides (arrays of integers), .voices (array of strings; Orpheus' English ones if it is not there).
 * Tensors, outermost dimension first, weight norm folded:
 *
 *   q.I.codebook.weight [codebook_size][codebook_dim]   q.I.out_proj.{weight [latent][codebook_dim], bias}      I: level
 *   in.dw.{weight [7][latent], bias}                    in.pw.{weight [dim][latent], bias}
 *   blk.B.up.snake.{alpha, beta} [2 C]                  blk.B.up.{weight [2 C][C][2 r], bias [C]}
 *   blk.B.res.R.snake{1,2}.{alpha, beta} [C]            blk.B.res.R.dw.{weight [7][C], bias}    blk.B.res.R.pw.{weight [C][C], bias}
 *   out.snake.{alpha, beta} [C]                         out.{weight [1][C][7], bias [1]}        beta = 1 / (alpha + 1e-9)
 *
 *   plugin.c   the contract                config.c  keys -> config and stages    weights.c  tensors by name
 *   speak.c    "sn.speak/1": Orpheus       spans.c   how many rows, when          synth.c    "sn.synth/1": the job
 *
 * Reference: hubertsiuzdak/snac (layers.py, vq.py); canopyai/Orpheus-TTS for prompt and tokens, but for its loss of code 0.
 */
#ifndef SNAC_H
#define SNAC_H

#include <kit.h>

#include <sensorium/ext/speak.h>
#include <sensorium/ext/synth.h>

enum {
	SNAC_TAPS = 7, SNAC_UNITS = 3,
	SNAC_MAX_LEVELS = 4, SNAC_MAX_BLOCKS = 6, SNAC_MAX_STAGES = 2 + SNAC_MAX_BLOCKS * (1 + SNAC_UNITS), SNAC_MAX_CODES = 15,
	SNAC_MAX_STREAMS = 8, SNAC_MAX_FRAMES = 256, SNAC_CHUNK_FRAMES = 4, SNAC_MAX_VOICES = 64
};

typedef struct snac_config {
	uint32_t rate;     /* Hz */
	uint32_t latent, dim;
	uint32_t codebook_size, codebook_dim;
	uint32_t n_levels, n_blocks, n_codes;
	uint32_t strides[SNAC_MAX_LEVELS]; /* rows of z that a code of the level covers; each divides the one before, the last is 1 */
	uint32_t rates[SNAC_MAX_BLOCKS];
	uint32_t frame_samples;
	struct { uint32_t level, at; } slots[SNAC_MAX_CODES]; /* at: which one of its level in the frame */
} snac_config;

/* What is done to all rows at once: a convolution, or what stands around one. */
typedef enum snac_kind { STAGE_IN, STAGE_UP, STAGE_UNIT, STAGE_OUT } snac_kind;

typedef struct snac_stage {
	snac_kind kind;
	uint32_t block, unit;
	uint32_t in, out;       /* channels of its input and output */
	uint32_t pad;           /* rows that the convolution looks ahead, and back; of an UP: rows that are cut at the beginning */
	uint32_t dilation, stride; /* stride: of an UP, else 1 */
	uint32_t rows_per_frame; /* of its input */
	uint64_t carry;         /* where its rows begin in a stream's memory, in floats */
} snac_stage;

typedef struct snac_snake {
	sn_tensor alpha, beta;
} snac_snake;

typedef struct snac_unit {
	snac_snake snake1, snake2;
	sn_tensor dw, dw_bias;
	const sn_weight *pw;
} snac_unit;

typedef struct snac_block {
	snac_snake snake;
	const sn_weight *up;
	sn_tensor up_bias; /* a table of one row */
	snac_unit units[SNAC_UNITS];
} snac_block;

typedef struct snac {
	kit_host host;
	bool loaded;
	snac_config config;
	snac_stage stages[SNAC_MAX_STAGES];
	uint32_t n_stages;
	sn_tensor codebooks[SNAC_MAX_LEVELS];
	const sn_weight *out_proj[SNAC_MAX_LEVELS];
	sn_tensor in_dw, in_dw_bias;
	const sn_weight *in_pw, *out;
	snac_block blocks[SNAC_MAX_BLOCKS];
	snac_snake out_snake;
	sn_speaker speaker;
	sn_synth_info info;
	sn_voice voices[SNAC_MAX_VOICES];
	sn_speak_slot slots[SNAC_MAX_CODES];
	char first_tokens[SNAC_MAX_CODES][32];
} snac;


/* config.c */
int32_t snac_probe(const sn_host *host, const sn_model *model);
sn_rc snac_read_config(const sn_host_weights *weights, const sn_model *model, snac_config *config, sn_fault *fault);

/* weights.c */
sn_rc snac_bind(snac *s, const sn_model *model, sn_fault *fault);

/* speak.c: before any load it is Orpheus with its usual codec. */
void snac_speaker_init(snac *s);
sn_rc snac_read_speaker(snac *s, const sn_model *model, sn_fault *fault);

/* spans.c */
void snac_lay_stages(snac *s); /* stages and info from the config */

/* What a stage does in a chunk of one stream: its window is held + fresh + zeros rows, of which the last `keep` stay for the next. */
typedef struct snac_span {
	uint64_t held, fresh, zeros, out, keep;
} snac_span;

static inline uint64_t snac_window(const snac_span *p)
{
	return p->held + p->fresh + p->zeros;
}

/* first, n: frames. Of an UP nothing is held and all is fresh. */
snac_span snac_span_of(const snac *s, uint32_t stage, uint32_t first, uint32_t n, bool last);
/* Rows that no window, or no output, of a stage in a chunk of n frames exceeds. */
uint64_t snac_most_rows(const snac *s, uint32_t stage, uint32_t n);
uint64_t snac_most_out(const snac *s, uint32_t stage, uint32_t n);

extern const sn_ext_speak snac_speak_ext;
extern const sn_ext_synth snac_synth_ext;

#endif
