/* siglip.h - the vision tower of SmolVLM, SmolVLM2 and Idefics3, from a GGUF mmproj file with projector "idefics3".
 *
 *   picture -> crops of P x P and a global picture, the last image        modalities/image/idefics3.h
 *   each image, n = side^2 patches, side = floor(P / p):
 *     x [n][E]      = patches [n][3 p p] W_patch + b  +  position[id]
 *     per layer:  x += out(attention(q, k, v of LN1 x))                    all rows see all rows
 *                 x += down(gelu(up(LN2 x)))
 *     y [n][E]      = post LN x
 *     z [n / s^2][E s^2] = pixel shuffle of y by s
 *     rows [n / s^2][H]  = z W_fc                                          H: width of the language model
 *
 *   plugin.c   the contract             config.c   keys -> config, each one checked
 *   weights.c  tensors by name          prompt.c   "sn.plan/1": framing text and holes
 *   encode.c   "sn.encode/1": the job, in units of about ten milliseconds
 *   watch.c    "sn.watch/1": frames of a clip, which are pictures that are not split
 *
 * Reference: Hugging Face transformers, models/idefics3 and models/smolvlm; names of keys and tensors: llama.cpp, tools/mtmd.
 */
#ifndef SIGLIP_H
#define SIGLIP_H

#include <idefics3.h>
#include <kit_tower.h>
#include <patches.h>

#include <sensorium/ext/encode.h>
#include <sensorium/ext/plan.h>
#include <sensorium/ext/watch.h>

#define SIGLIP_MARKER "<image>"
#define SIGLIP_VIDEO_MARKER "<video>"
#define SIGLIP_ROW_TOKEN "<image>"
#define SIGLIP_FAKE "<fake_token_around_image>"
#define SIGLIP_GLOBAL "<global-img>"

enum { SIGLIP_MAX_SIDE = 256, SIGLIP_MAX_CROPS = 1024 };

typedef struct siglip_config {
	uint32_t image;    /* P, pixels */
	uint32_t patch;    /* p, pixels */
	uint32_t side;     /* floor(P / p) */
	uint32_t n;        /* side^2 patches */
	uint32_t embd;     /* E */
	uint32_t ff;
	uint32_t blocks;
	uint32_t heads;
	uint32_t scale;    /* s */
	uint32_t n_rows;   /* n / s^2, rows of one image */
	uint32_t row_dim;  /* H */
	uint32_t longest;  /* L: the longest edge before splitting */
	bool splitting;    /* L > P */
	float eps;
	float mean[3], std[3];
	float video_fps;        /* of clips: frames for each second, */
	uint32_t video_frames;  /* at most so many, */
	uint32_t video_longest; /* their longest edge, before they are made square */
	int32_t act;       /* sn_act */
} siglip_config;

/* How the work on one image is cut. Depends on the config alone, so that rows never depend on how a job was sliced. */
typedef struct siglip_units {
	uint32_t embed, qkv, mix, project; /* rows of one unit of each stage */
	uint32_t n_embed, n_qkv, n_mix, n_project;
	uint32_t per_image;
} siglip_units;

typedef struct siglip {
	kit_host host;
	siglip_config config;
	siglip_units units;
	sn_normalize normal, clip_normal; /* pixel values, of pictures and of frames */
	uint32_t position[SIGLIP_MAX_SIDE]; /* bucket of each row and column: [side] */
	const sn_weight *patch, *project;
	sn_tensor positions; /* [n][E] */
	kit_norm post;
	kit_layer *layers; /* [blocks], from host memory */
} siglip;

/* config.c */
int32_t siglip_probe(const sn_host *host, const sn_model *model);
sn_rc siglip_read_config(const sn_host_weights *weights, const sn_model *model, siglip_config *config, sn_fault *fault);
/* The position bucket of each of `side` rows (or columns) of a full picture. */
void siglip_position_ids(uint32_t side, uint32_t *ids);

/* weights.c */
sn_rc siglip_bind(siglip *s, const sn_model *model, sn_fault *fault);

/* prompt.c: how a picture, or one frame of a clip, is cut. */
sn_rc siglip_cut(const siglip *s, const sn_media *media, sn_idefics3_cut *cut, sn_fault *fault);

/* encode.c */
siglip_units siglip_cut_units(const siglip_config *config);
/* Bytes of state and tensors that a job over this cut needs. False on overflow. */
bool siglip_job_bytes(const siglip *s, const sn_idefics3_cut *cut, uint64_t *state, uint64_t *tensors);

extern const sn_ext_plan siglip_plan_ext;
extern const sn_ext_encode siglip_encode_ext;
extern const sn_ext_watch siglip_watch_ext;

#endif
