/* hf_config.h - config.json: which family a directory holds, its hyper-parameters as GGUF's keys, and what its tensors'
 * names depend on. Read are the keys that transformers' class of that name reads; each that would change the numbers is
 * translated, or must have the value that changes nothing. */
#ifndef SN_FORMATS_HF_CONFIG_H
#define SN_FORMATS_HF_CONFIG_H

#include "formats/model_file.h"

/* What a family's layers have; rows of hf_names.c's table ask for one. */
enum {
	HF_PRE_NORMS = 1,  /* a norm before attention and one before the feed-forward */
	HF_POST_NORMS = 2, /* and one after each */
	HF_QK_NORMS = 4,
	HF_QKV_BIAS = 8,
	HF_O_BIAS = 16,
	HF_MLP_BIAS = 32,
	HF_HEAD = 64,      /* a head of its own: not tied to the embedding */
	HF_ENCDEC = 128,   /* Whisper's names: an encoder, and a decoder with cross-attention */
	HF_TALKER = 256,   /* Qwen3-TTS's names: text and codes, and a code predictor, */
	HF_DEPTH_IN = 512, /* which is narrower than the talker */
	HF_FUSED = 1024,   /* q, k and v are one matrix, gate and up another */
	HF_EXPERTS = 2048, /* some layers have many feed-forwards */
	HF_F8 = 4096,      /* weights may be 8-bit floats with scales beside them */
	HF_TOWER = 8192,   /* a media tower's tensors may lie beside the text model's, which then has a prefix of its own */
	HF_ACROSS = 16384, /* tensors of all experts are stored [expert][in][out] */
	HF_HEADLESS = 32768, /* of a class that has no head, */
	HF_EMBEDS = 65536 /* or of a model that embeds texts: a head is not missed, and names may do without "model." */
};

typedef struct hf_config {
	const char *architecture; /* "LlamaForCausalLM" */
	const char *name;         /* GGUF's: "llama" */
	unsigned has;             /* HF_... */
	uint32_t n_layers, n_vocab;
	uint32_t n_encoder_layers; /* HF_ENCDEC */
	uint32_t n_depth_layers, n_predicted; /* HF_TALKER: of the predictor, and codes that it says */
	uint32_t n_speaker_blocks, speaker_scale; /* HF_TALKER: of what hears whom to speak like; 0: it hears nobody */
	uint32_t n_experts;       /* HF_EXPERTS */
	bool *sparse;             /* [n_layers] HF_EXPERTS: the layer has experts */
	struct { str name; float *v; uint32_t n; } made[2]; /* tensors that config.json holds */
	uint32_t n_made;
} hf_config;

/* The classes of transformers that are read, one by one; NULL behind the last. *gguf: what GGUF calls its architecture; *f8: its weights may be
 * 8-bit floats. */
const char *hf_family(size_t i, const char **gguf, bool *f8);

/* Reads f->dir's config.json; adds f's keys. Errors begin with the file's name. */
sn_status hf_config_read(hf_config *out, model_file *f, sn_error *err);

#endif
