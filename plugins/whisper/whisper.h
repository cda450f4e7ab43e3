/* whisper.h - Whisper's encoder, for Whisper itself and as the ear of Ultravox, Voxtral, Qwen2-Audio and Qwen2.5-Omni.
 *
 *   sound -> log-mel frames, 10 ms each             modalities/audio/logmel.h
 *   each block of F frames, from position 0 on:
 *     h [F][D]      = gelu(conv1 frames)             3 taps
 *     x [F / 2][D]  = gelu(conv2 h) + positions      3 taps, every second one
 *     per layer:  x += out(attention(q, k, v of LN1 x))    the block's real rows are seen by all of its rows
 *                 x += down(gelu(up(LN2 x)))
 *   rows of all blocks together -> mean of 2, post LN, stack of s, projection, as the family has it -> rows [.][H]
 *
 * A window is what is computed together: one block, or several small ones. What differs between families is a row of the table in
 * config.c; how a clip becomes frames, blocks, windows and rows is reckoned in cut.c.
 *
 *   plugin.c   the contract             config.c      families, keys -> config, each one checked
 *   weights.c  tensors by name          cut.c         sizes of a clip
 *   prompt.c   "sn.plan/1"              encode.c      "sn.encode/1": the job, in units of about ten milliseconds
 *   begin.c    frames of a clip         transcribe.c  "sn.transcribe/1": what Whisper itself is told
 *
 * Reference: Hugging Face transformers, models/{whisper,voxtral,qwen2_audio,qwen2_5_omni}, and fixie-ai/ultravox; names of keys and
 * tensors: llama.cpp, tools/mtmd. llama.cpp differs from them where it reads the same files: it pads Ultravox's clips to 30 s, halves
 * Voxtral's rows before it stacks them, and runs Qwen2-Audio in blocks of 2 s.
 */
#ifndef WHISPER_H
#define WHISPER_H

#include <kit_tower.h>
#include <logmel.h>

#include <sensorium/ext/encode.h>
#include <sensorium/ext/plan.h>
#include <sensorium/ext/transcribe.h>

enum { WHISPER_TAPS = 3 };

/* With how much silence a clip is padded before its frames are computed. */
typedef enum whisper_pad {
	PAD_WINDOW, /* to whole windows of 2 * n_ctx frames */
	PAD_HOPS,   /* to whole frames: the last ones mirror the clip's end */
	PAD_FAR     /* to whole 300 s: the clip ends in silence */
} whisper_pad;

/* What the convolutions see past a clip's last real frame. */
typedef enum whisper_tail {
	TAIL_EDGE,    /* nothing: zeros, as before the first one */
	TAIL_SILENCE, /* frames of the padding */
	TAIL_ZEROS    /* nothing in a clip of one block; else frames of zeros, and rows of them fill the last stack */
} whisper_tail;

typedef enum whisper_mlp { MLP_NONE, MLP_LINEAR, MLP_GELU, MLP_SWIGLU } whisper_mlp;

typedef struct whisper_family {
	const char *type; /* clip.audio.projector_type */
	bool own_file;    /* the towers of a language model's own file, not of an mmproj file */
	const char *marker, *row_token, *before, *after; /* before, after: framing text */
	whisper_pad pad;
	whisper_tail tail;
	bool pieces;      /* every block of sound is padded and normalised as a clip of its own */
	bool whole;       /* the padding is encoded like sound */
	bool single;      /* one block and no more */
	bool small_blocks; /* of 2 * n_window frames */
	uint32_t min_frames; /* of a clip: shorter ones end in silence */
	bool means;       /* of 2 rows, and the post norm after it */
	bool stacks;
	whisper_mlp mlp;
} whisper_family;

typedef struct whisper_config {
	const whisper_family *family;
	uint32_t n_mels;
	uint32_t embd;    /* D */
	uint32_t ff, layers, heads;
	uint32_t n_ctx;   /* positions; a window has 2 * n_ctx frames */
	uint32_t block;   /* rows of a whole block */
	uint32_t blocks_per_window;
	uint32_t stack;   /* s; 1: none */
	uint32_t hidden;  /* columns of the projection's first product */
	uint32_t row_dim; /* H */
	float eps;
} whisper_config;

/* How the work on one window is cut. Depends on the config alone, so that rows never depend on how a job was sliced. */
typedef struct whisper_units {
	uint32_t conv1, conv2, qkv, mix, project; /* rows of one unit of each stage */
} whisper_units;

/* ---- sizes of a clip ---- */

typedef struct whisper_cut {
	uint64_t n;        /* samples */
	uint64_t n_padded; /* of the clip, or of each piece */
	uint64_t frames;   /* real ones; with their silence where that is encoded */
	uint32_t n_blocks, n_windows;
	uint32_t n_rows;
} whisper_cut;

typedef struct whisper_block {
	uint32_t mel;   /* frames that are computed; those after them are zero */
	uint32_t conv;  /* rows of conv1 that are computed; those after them are zero */
	uint32_t rows;  /* of conv2 and the layers: 1 .. config.block */
	uint32_t keys;  /* of them: those that are seen */
} whisper_block;

typedef struct whisper_window {
	uint32_t first, n_blocks;
	uint32_t rows; /* of its blocks */
	uint32_t out;  /* of the projection */
	uint32_t units;
} whisper_window;

/* ---- the instance ---- */

typedef struct whisper {
	kit_host host;
	bool loaded;
	whisper_config config;
	whisper_units units;
	sn_logmel mel;
	const sn_weight *conv1, *conv2;
	sn_tensor positions; /* [n_ctx][D] */
	kit_norm post;
	kit_layer *layers; /* [layers], from host memory */
	sn_tensor norm_pre, norm_mid;        /* [D * s], [hidden / 2]: MLP_SWIGLU */
	const sn_weight *linear1, *linear2;
	sn_transcriber transcriber;
	void *tables; /* the transcriber's arrays, from host memory */
} whisper;

/* config.c */
int32_t whisper_probe(const sn_host *host, const sn_model *model);
sn_rc whisper_read_config(const sn_host_weights *weights, const sn_model *model, whisper_config *config, sn_fault *fault);

/* weights.c */
sn_rc whisper_bind(whisper *w, const sn_model *model, sn_fault *fault);

/* cut.c */
whisper_units whisper_cut_units(const whisper_config *config);
/* Samples of one window. */
uint64_t whisper_window_samples(const whisper_config *config);
/* False: too long to be counted, or for the family. n >= 1. */
bool whisper_cut_clip(const whisper_config *config, uint64_t n, whisper_cut *cut);
whisper_block whisper_block_of(const whisper_config *config, const whisper_cut *cut, uint32_t block);
whisper_window whisper_window_of(const whisper *w, const whisper_cut *cut, uint32_t window);
/* Units of the whole job. */
uint64_t whisper_count_units(const whisper *w, const whisper_cut *cut);

/* begin.c: the frames of block b lie in mel + b * whisper_block_floats(config), [1 + conv + 1][n_mels], the first row zero. */
size_t whisper_block_floats(const whisper_config *config);
sn_rc whisper_compute_frames(const whisper *w, const whisper_cut *cut, const float *samples, float *mel, sn_fault *fault);

/* encode.c: bytes of state and tensors that a job needs. False on overflow. */
bool whisper_job_bytes(const whisper *w, const whisper_cut *cut, uint64_t *state, uint64_t *tensors);

/* transcribe.c */
sn_rc whisper_read_transcriber(whisper *w, const sn_model *model, sn_fault *fault);

extern const sn_ext_plan whisper_plan_ext;
extern const sn_ext_encode whisper_encode_ext;
extern const sn_ext_transcribe whisper_transcribe_ext;

#endif
