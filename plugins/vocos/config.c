/* config.c - the decoder's sizes from the model file. Nothing is believed: each fault names the key and its value. */
#include <string.h>

#include "vocos.h"

static bool is_mine(const sn_host_weights *weights, const sn_model *model)
{
	const char *architecture = weights->get_str(model, "general.architecture");
	return architecture && strcmp(architecture, "vocos") == 0;
}

int32_t vocos_probe(const sn_host *host, const sn_model *model)
{
	const sn_host_weights *weights = host->service(host, SN_HOST_WEIGHTS);
	return weights && weights->size >= sizeof *weights && is_mine(weights, model) ? 100 : 0;
}

sn_rc vocos_read_size(const sn_host_weights *weights, const sn_model *model, const char *key, uint32_t min, uint32_t max, uint32_t *out,
                      sn_fault *fault)
{
	if (!weights->get_u32(model, key, out))
		return kit_fail(fault, SN_RC_INVALID, "%s is missing or not an integer", key);
	if (*out < min || *out > max)
		return kit_fail(fault, SN_RC_INVALID, "%s = %u: must be %u to %u", key, *out, min, max);
	return SN_RC_OK;
}

sn_rc vocos_read_number(const sn_host_weights *weights, const sn_model *model, const char *key, float above, bool equal, float max, float *out,
                        sn_fault *fault)
{
	if (!weights->get_f32(model, key, out))
		return kit_fail(fault, SN_RC_INVALID, "%s is missing or not a number", key);
	if (!(*out > above || (equal && *out == above)) || !(*out <= max))
		return kit_fail(fault, SN_RC_INVALID, "%s = %g: must be %s %g and at most %g", key, (double)*out, equal ? "at least" : "above",
		                  (double)above, (double)max);
	return SN_RC_OK;
}

sn_rc vocos_read_config(const sn_host_weights *weights, const sn_model *model, vocos_config *c, sn_fault *fault)
{
	static const char CAUSAL[] = "vocos.causal";
	bool causal = false;
	*c = (vocos_config){0};
	if (!is_mine(weights, model))
		return kit_fail(fault, SN_RC_UNSUPPORTED, "general.architecture is not vocos");
	const struct {
		const char *key;
		uint32_t *value, min, max;
	} sizes[] = {
	    {"vocos.sample_rate", &c->rate, 8000, 96000},
	    {"vocos.vocab_size", &c->codes, 1, 65536},
	    {"vocos.features_length", &c->code_width, 1, 8192},
	    {"vocos.embedding_length", &c->width, 1, 8192},
	    {"vocos.feed_forward_length", &c->ff, 1, 65536},
	    {"vocos.block_count", &c->blocks, 1, VOCOS_MAX_BLOCKS},
	    {"vocos.kernel_length", &c->kernel, 2, 64},
	    {"vocos.fft_length", &c->n_fft, 4, 16384},
	    {"vocos.hop_length", &c->hop, 2, 8192},
	};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		sn_rc rc = vocos_read_size(weights, model, sizes[i].key, sizes[i].min, sizes[i].max, sizes[i].value, fault);
		if (rc != SN_RC_OK)
			return rc;
	}
	/* Of a Hann window every sample must lie in two, or the sum that it is divided by comes close to zero. */
	if (c->n_fft % c->hop || c->n_fft / c->hop < 2 || c->n_fft / c->hop > VOCOS_MAX_TAPS || c->n_fft % 2 || c->hop % 2)
		return kit_fail(fault, SN_RC_INVALID, "vocos.fft_length = %u: must be 2 to %d times vocos.hop_length = %u, and both even", c->n_fft,
		                  VOCOS_MAX_TAPS, c->hop);
	if (!weights->get_bool(model, CAUSAL, &causal))
		return kit_fail(fault, SN_RC_INVALID, "%s is missing or not a truth value", CAUSAL);
	if (!causal)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "%s = false: only decoders that see nothing of what is to come are served", CAUSAL);
	sn_rc rc = vocos_read_number(weights, model, "vocos.layer_norm_epsilon", 0, false, 1, &c->eps, fault);
	if (rc == SN_RC_OK)
		rc = vocos_read_number(weights, model, "vocos.max_magnitude", 0, false, 1e6f, &c->max_magnitude, fault);
	return rc;
}
