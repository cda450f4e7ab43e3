/* config.c - the families, and hyper-parameters from the model file. Nothing is believed: each fault names the key and its value. */
#include <string.h>

#include "whisper.h"

/* Whisper's rows are not part of a chat: its marker is what a template without one gets. Qwen2.5-Omni's towers are called like
 * Qwen2-Audio's in newer files: there clip.audio.n_window tells them apart. */
enum { OWN, ULTRAVOX, VOXTRAL, QWEN2_AUDIO, QWEN2_5_OMNI, N_FAMILIES };
static const whisper_family FAMILIES[N_FAMILIES] = {
    [OWN] = {.type = "whisper", .own_file = true, .marker = "<|audio|>", .row_token = "", .before = "", .after = "", .pad = PAD_WINDOW,
             .tail = TAIL_SILENCE, .pieces = true, .whole = true, .single = true, .min_frames = 1, .mlp = MLP_NONE},
    [ULTRAVOX] = {.type = "ultravox", .marker = "<|audio|>", .row_token = "", .before = "", .after = "", .pad = PAD_HOPS,
                  .tail = TAIL_ZEROS, .min_frames = 2, .stacks = true, .mlp = MLP_SWIGLU},
    [VOXTRAL] = {.type = "voxtral", .marker = "[AUDIO]", .row_token = "[AUDIO]", .before = "[BEGIN_AUDIO]", .after = "", .pad = PAD_WINDOW,
                 .tail = TAIL_SILENCE, .whole = true, .min_frames = 1, .stacks = true, .mlp = MLP_GELU},
    [QWEN2_AUDIO] = {.type = "qwen2a", .marker = "<|audio_bos|><|AUDIO|><|audio_eos|>", .row_token = "<|AUDIO|>", .before = "<|audio_bos|>",
                     .after = "<|audio_eos|>", .pad = PAD_WINDOW, .tail = TAIL_SILENCE, .pieces = true, .min_frames = 3, .means = true,
                     .mlp = MLP_LINEAR},
    [QWEN2_5_OMNI] = {.type = "qwen2.5o", .marker = "<|audio_bos|><|AUDIO|><|audio_eos|>", .row_token = "<|AUDIO|>",
                      .before = "<|audio_bos|>", .after = "<|audio_eos|>", .pad = PAD_FAR, .tail = TAIL_EDGE, .small_blocks = true,
                      .min_frames = 3, .means = true, .mlp = MLP_LINEAR},
};

static const char N_WINDOW[] = "clip.audio.n_window";

static const whisper_family *family_of(const sn_host_weights *weights, const sn_model *model)
{
	bool audio = false;
	uint32_t unused;
	weights->get_bool(model, "clip.has_audio_encoder", &audio);
	const char *type = audio ? weights->get_str(model, "clip.audio.projector_type") : NULL;
	if (audio && !type)
		type = weights->get_str(model, "clip.projector_type");
	for (int i = 0; type && i < N_FAMILIES; i++)
		if (strcmp(type, FAMILIES[i].type) == 0)
			return i == QWEN2_AUDIO && weights->get_u32(model, N_WINDOW, &unused) ? &FAMILIES[QWEN2_5_OMNI] : &FAMILIES[i];
	return NULL;
}

int32_t whisper_probe(const sn_host *host, const sn_model *model)
{
	const sn_host_weights *weights = host->service(host, SN_HOST_WEIGHTS);
	return weights && weights->size >= sizeof *weights && family_of(weights, model) ? 100 : 0;
}

static sn_rc read_sizes(const sn_host_weights *weights, const sn_model *model, whisper_config *c, sn_fault *fault)
{
	const kit_size sizes[] = {
	    {"clip.audio.num_mel_bins", &c->n_mels, 1, SN_LOGMEL_MAX_MELS},
	    {"clip.audio.embedding_length", &c->embd, 1, 16384},
	    {"clip.audio.feed_forward_length", &c->ff, 1, 131072},
	    {"clip.audio.block_count", &c->layers, 1, 256},
	    {"clip.audio.attention.head_count", &c->heads, 1, 1024},
	    {"clip.audio.projection_dim", &c->row_dim, 1, 65536},
	};
	KIT_TRY(kit_read_sizes(weights, model, sizes, sizeof sizes / sizeof *sizes, fault));
	if (c->embd % c->heads)
		return kit_fail(fault, SN_RC_INVALID, "clip.audio.attention.head_count = %u does not divide clip.audio.embedding_length = %u",
		                c->heads, c->embd);
	if (c->family->mlp == MLP_NONE && c->row_dim != c->embd)
		return kit_fail(fault, SN_RC_INVALID, "clip.audio.projection_dim = %u: must be clip.audio.embedding_length = %u", c->row_dim, c->embd);
	return kit_read_eps(weights, model, "clip.audio.attention.layer_norm_epsilon", &c->eps, fault);
}

/* How many positions there are says the tensor alone. */
static sn_rc read_context(const sn_host_weights *weights, const sn_model *model, whisper_config *c, sn_fault *fault)
{
	uint64_t shape[4] = {0};
	uint32_t stated = 0;
	if (weights->shape(model, "a.position_embd.weight", shape) != 2)
		return kit_fail(fault, SN_RC_INVALID, "tensor a.position_embd.weight is missing or not a matrix");
	if (shape[0] < 2 || shape[0] > 65536)
		return kit_fail(fault, SN_RC_INVALID, "tensor a.position_embd.weight: %llu positions: must be 2 to 65536", (unsigned long long)shape[0]);
	c->n_ctx = (uint32_t)shape[0];
	if (c->family->own_file && weights->get_u32(model, "whisper.encoder.context_length", &stated) && stated != c->n_ctx)
		return kit_fail(fault, SN_RC_INVALID, "whisper.encoder.context_length = %u: tensor a.position_embd.weight has %u", stated, c->n_ctx);
	return SN_RC_OK;
}

static sn_rc read_blocks(const sn_host_weights *weights, const sn_model *model, whisper_config *c, sn_fault *fault)
{
	c->block = c->n_ctx;
	c->blocks_per_window = 1;
	if (!c->family->small_blocks)
		return SN_RC_OK;
	c->block = 100;
	weights->get_u32(model, N_WINDOW, &c->block);
	/* Odd ones would have the mean of 2 reach into the next block. */
	if (c->block < 2 || c->block > c->n_ctx || c->block % 2)
		return kit_fail(fault, SN_RC_INVALID, "%s = %u: must be even, 2 to %u", N_WINDOW, c->block, c->n_ctx);
	c->blocks_per_window = c->n_ctx / c->block;
	return SN_RC_OK;
}

static sn_rc read_projection(const sn_host_weights *weights, const sn_model *model, whisper_config *c, sn_fault *fault)
{
	static const char KEY[] = "clip.audio.projector.stack_factor", FIRST[] = "mm.a.mlp.1.weight";
	uint64_t shape[4] = {0};
	c->stack = 1;
	if (c->family->stacks) {
		const kit_size stack = {KEY, &c->stack, 1, 64};
		KIT_TRY(kit_read_sizes(weights, model, &stack, 1, fault));
		if (c->family->whole && c->n_ctx % c->stack)
			return kit_fail(fault, SN_RC_INVALID, "%s = %u does not divide the %u rows of a window", KEY, c->stack, c->n_ctx);
	}
	if (c->family->mlp != MLP_GELU && c->family->mlp != MLP_SWIGLU)
		return SN_RC_OK;
	if (weights->shape(model, FIRST, shape) != 2)
		return kit_fail(fault, SN_RC_INVALID, "tensor %s is missing or not a matrix", FIRST);
	if (shape[0] < 2 || shape[0] > 131072 || (c->family->mlp == MLP_SWIGLU && shape[0] % 2))
		return kit_fail(fault, SN_RC_INVALID, "tensor %s: %llu rows: must be even, 2 to 131072", FIRST, (unsigned long long)shape[0]);
	c->hidden = (uint32_t)shape[0];
	return SN_RC_OK;
}

sn_rc whisper_read_config(const sn_host_weights *weights, const sn_model *model, whisper_config *c, sn_fault *fault)
{
	*c = (whisper_config){.family = family_of(weights, model)};
	if (!c->family)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "clip.audio.projector_type is none that is served here");
	sn_rc rc = read_sizes(weights, model, c, fault);
	if (rc == SN_RC_OK)
		rc = read_context(weights, model, c, fault);
	if (rc == SN_RC_OK)
		rc = read_blocks(weights, model, c, fault);
	if (rc == SN_RC_OK)
		rc = read_projection(weights, model, c, fault);
	return rc;
}
