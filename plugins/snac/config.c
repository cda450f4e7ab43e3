/* config.c - hyper-parameters from the model file. Nothing is believed: each fault names the key and its value. */
#include <string.h>

#include "snac.h"

int32_t snac_probe(const sn_host *host, const sn_model *model)
{
	const sn_host_weights *weights = host->service(host, SN_HOST_WEIGHTS);
	const char *type = weights && weights->size >= sizeof *weights ? weights->get_str(model, "general.architecture") : NULL;
	return type && strcmp(type, "snac") == 0 ? 100 : 0;
}

static sn_rc read_sizes(const sn_host_weights *weights, const sn_model *model, snac_config *c, sn_fault *fault)
{
	const struct { const char *key; uint32_t *value, min, max; } sizes[] = {
	    {"snac.sampling_rate", &c->rate, 8000, 48000},
	    {"snac.latent_dim", &c->latent, 1, 8192},
	    {"snac.decoder_dim", &c->dim, 2, 8192},
	    {"snac.codebook_size", &c->codebook_size, 1, 65536},
	    {"snac.codebook_dim", &c->codebook_dim, 1, 1024},
	};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		if (!weights->get_u32(model, sizes[i].key, sizes[i].value))
			return kit_fail(fault, SN_RC_INVALID, "%s is missing or not an integer", sizes[i].key);
		if (*sizes[i].value < sizes[i].min || *sizes[i].value > sizes[i].max)
			return kit_fail(fault, SN_RC_INVALID, "%s = %u: must be %u to %u", sizes[i].key, *sizes[i].value, sizes[i].min, sizes[i].max);
	}
	return SN_RC_OK;
}

/* Positive integers, at most max of them, each at most `most`. */
static sn_rc read_list(const sn_host_weights *weights, const sn_model *model, const char *key, uint32_t max, int32_t most, uint32_t *values,
                       uint32_t *n, sn_fault *fault)
{
	int32_t list[SNAC_MAX_BLOCKS];
	*n = weights->get_i32_array(model, key, list, max);
	if (*n == 0 || *n > max)
		return kit_fail(fault, SN_RC_INVALID, "%s must be an array of 1 to %u integers", key, max);
	for (uint32_t i = 0; i < *n; i++) {
		if (list[i] < 1 || list[i] > most)
			return kit_fail(fault, SN_RC_INVALID, "%s[%u] = %d: must be 1 to %d", key, i, list[i], most);
		values[i] = (uint32_t)list[i];
	}
	return SN_RC_OK;
}

/* Depth first: a code, then those that it covers on the next level. */
static void lay_slots(snac_config *c, uint32_t level, uint32_t at)
{
	c->slots[c->n_codes].level = level;
	c->slots[c->n_codes].at = at;
	c->n_codes++;
	uint32_t each = level + 1 < c->n_levels ? c->strides[level] / c->strides[level + 1] : 0;
	for (uint32_t i = 0; i < each; i++)
		lay_slots(c, level + 1, at * each + i);
}

static sn_rc check_levels(snac_config *c, sn_fault *fault)
{
	uint32_t n_codes = 0;
	for (uint32_t i = 0; i < c->n_levels; i++) {
		if (i && (c->strides[i - 1] % c->strides[i] || c->strides[i - 1] == c->strides[i]))
			return kit_fail(fault, SN_RC_INVALID, "snac.vq_strides[%u] = %u: must divide the one before, %u", i, c->strides[i], c->strides[i - 1]);
		n_codes += c->strides[0] / c->strides[i];
	}
	if (c->strides[c->n_levels - 1] != 1)
		return kit_fail(fault, SN_RC_INVALID, "snac.vq_strides: the last one is %u, not 1", c->strides[c->n_levels - 1]);
	if (n_codes > SNAC_MAX_CODES)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "snac.vq_strides: %u codes in a frame: at most %d are supported", n_codes, SNAC_MAX_CODES);
	c->n_codes = 0;
	lay_slots(c, 0, 0);
	return SN_RC_OK;
}

sn_rc snac_read_config(const sn_host_weights *weights, const sn_model *model, snac_config *c, sn_fault *fault)
{
	uint32_t window;
	*c = (snac_config){0};
	sn_rc rc = read_sizes(weights, model, c, fault);
	if (rc == SN_RC_OK)
		rc = read_list(weights, model, "snac.decoder_rates", SNAC_MAX_BLOCKS, 16, c->rates, &c->n_blocks, fault);
	if (rc == SN_RC_OK)
		rc = read_list(weights, model, "snac.vq_strides", SNAC_MAX_LEVELS, 8, c->strides, &c->n_levels, fault);
	if (rc == SN_RC_OK)
		rc = check_levels(c, fault);
	if (rc != SN_RC_OK)
		return rc;
	if (c->dim % (1u << c->n_blocks))
		return kit_fail(fault, SN_RC_INVALID, "snac.decoder_dim = %u cannot be halved %u times", c->dim, c->n_blocks);
	if (weights->get_u32(model, "snac.attn_window_size", &window))
		return kit_fail(fault, SN_RC_UNSUPPORTED, "snac.attn_window_size = %u: attention (of the 32 and 44 kHz models) is not supported", window);
	c->frame_samples = c->strides[0];
	for (uint32_t i = 0; i < c->n_blocks; i++)
		c->frame_samples *= c->rates[i];
	if (c->frame_samples > c->rate)
		return kit_fail(fault, SN_RC_INVALID, "snac.decoder_rates: %u samples in a frame, more than a second", c->frame_samples);
	return SN_RC_OK;
}
