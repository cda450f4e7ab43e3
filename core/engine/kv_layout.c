/* How a model's KV lies in pages, and how many pages that takes. */
#include "base/error.h"
#include "engine/page_pool.h"

static const struct { const char *name; kn_type stored; enum kv_type media; } types[KV_TYPES] = {
    [KV_F16] = {"f16", KN_F16, KV_F16}, [KV_F32] = {"f32", KN_F32, KV_F32},     [KV_BF16] = {"bf16", KN_BF16, KV_BF16},
    [KV_Q8_0] = {"q8_0", KN_Q8_0, KV_F16}, [KV_FP8] = {"fp8", KN_F8_E4M3, KV_F16},
};

const char *kv_type_name(enum kv_type type) { return types[type].name; }
kn_type kv_stored_as(enum kv_type type) { return types[type].stored; }
enum kv_type media_type(enum kv_type type) { return types[type].media; }

/* One head of one token. */
static uint32_t head_token_bytes(const kv_group *g)
{
	kn_type type = kv_stored_as(g->type);
	return (uint32_t)(g->head_dim * kn_kv_bytes(type) + 2 * kn_kv_scales(type, g->head_dim));
}

void kv_group_measure(kv_group *g)
{
	g->token_bytes = (uint32_t)(g->head_dim * kn_kv_bytes(kv_stored_as(g->type)));
	g->head_bytes = g->block_tokens * head_token_bytes(g);
	g->layer_bytes = 2 * g->n_kv_head * g->head_bytes;
}

uint32_t kv_token_bytes(const kv_group *g) { return 2 * g->n_layers * g->n_kv_head * head_token_bytes(g); }

static uint32_t block_waste(const kv_group *g, uint32_t tokens, uint32_t *slab_layers, uint32_t *n_slabs, float *waste)
{
	uint64_t layer = 2ull * g->n_kv_head * tokens * head_token_bytes(g);
	uint32_t fit = (uint32_t)(PAGE_BYTES / layer);
	if (fit == 0)
		return 0;
	if (fit > g->n_layers)
		fit = g->n_layers;
	*n_slabs = (g->n_layers + fit - 1) / fit;
	*slab_layers = (g->n_layers + *n_slabs - 1) / *n_slabs;
	*waste = 1.0f - (float)(layer * g->n_layers) / ((float)*n_slabs * PAGE_BYTES);
	return 1;
}

/* Of all blocks that a group of `limit` rows takes: the last one may be filled in part. */
static float whole_waste(const kv_group *g, uint32_t tokens, float waste)
{
	uint32_t n_blocks = (g->limit + tokens - 1) / tokens;
	return 1 - (1 - waste) * (float)g->limit / ((float)n_blocks * (float)tokens);
}

/* Blocks are what prefixes are cached by, so they are no longer than this; but the smallest models fill a page of bytes with no fewer. */
static uint32_t most_rows(const kv_layout *l) { return kn_kv_bytes(kv_stored_as(l->groups[0].type)) == 1 ? KV_MAX_BYTE_BLOCK : KV_MAX_BLOCK; }

/* The group's best block that divides `common` rows, or any if it has a limit. Returns pages a token, or 0 if none fits. */
static double plan_group(kv_group *g, uint32_t common, uint32_t most)
{
	g->block_tokens = 0;
	for (uint32_t t = KV_MIN_BLOCK; t <= (g->limit ? most : common); t += KV_MIN_BLOCK) {
		uint32_t slab_layers, n_slabs;
		float waste;
		if ((common % t && !g->limit) || !block_waste(g, t, &slab_layers, &n_slabs, &waste))
			continue;
		if (g->limit)
			waste = whole_waste(g, t, waste);
		if (!g->block_tokens || waste < g->waste - 1e-6f) {
			g->block_tokens = t;
			g->slab_layers = slab_layers;
			g->n_slabs = n_slabs;
			g->waste = waste;
		}
	}
	if (!g->block_tokens)
		return 0;
	kv_group_measure(g);
	return (double)g->n_slabs / g->block_tokens;
}

sn_status kv_layout_plan(kv_layout *layout, sn_error *err)
{
	kv_layout best = {0};
	double least = 0;
	uint32_t most = most_rows(layout);
	for (uint32_t common = KV_MIN_BLOCK; common <= most; common += KV_MIN_BLOCK) {
		kv_layout l = *layout;
		double pages = 0;
		for (uint32_t i = 0; i < l.n_groups; i++) {
			kv_group *g = &l.groups[i];
			double p = plan_group(g, common, most);
			if (p == 0)
				return error_set(err, SN_ERR_UNSUPPORTED, "one layer's KV (%u heads of %u, %s) of %d tokens is larger than a page of %d bytes",
				                 g->n_kv_head, g->head_dim, kv_type_name(g->type), KV_MIN_BLOCK, PAGE_BYTES);
			pages += p;
		}
		if (best.n_groups == 0 || pages < least * (1 - 1e-6)) {
			best = l;
			least = pages;
		}
	}
	*layout = best;
	return SN_OK;
}

uint32_t kv_rows_in(const kv_group *g, uint32_t n_rows)
{
	uint32_t n = n_rows > g->base ? n_rows - g->base : 0;
	return g->limit && n > g->limit ? g->limit : n;
}

uint32_t kv_blocks_for(const kv_group *g, uint32_t n_rows)
{
	uint32_t n = kv_rows_in(g, n_rows);
	return n / g->block_tokens + (n % g->block_tokens != 0);
}

uint32_t kv_common_rows(const kv_layout *layout)
{
	uint32_t n = 1;
	for (uint32_t i = 0; i < layout->n_groups; i++) {
		uint32_t a = n, b = layout->groups[i].block_tokens;
		if (layout->groups[i].limit)
			continue;
		while (b) {
			uint32_t rest = a % b;
			a = b;
			b = rest;
		}
		n *= layout->groups[i].block_tokens / a;
	}
	return n;
}

uint32_t kv_whole_rows(const kv_layout *layout, uint32_t n_rows)
{
	for (uint32_t before = n_rows + 1; before != n_rows;) {
		before = n_rows;
		for (uint32_t i = 0; i < layout->n_groups; i++) {
			const kv_group *g = &layout->groups[i];
			uint32_t n = kv_rows_in(g, n_rows);
			if (!g->limit || n < g->limit)
				n_rows -= n % g->block_tokens; /* its last row is the sequence's last */
		}
	}
	return n_rows;
}

bool kv_layout_is_split(const kv_layout *layout)
{
	for (uint32_t i = 0; i < layout->n_groups; i++)
		if (layout->groups[i].base || layout->groups[i].limit)
			return true;
	return false;
}

uint32_t kv_first_seen(const kv_group *g, uint32_t n)
{
	n = kv_rows_in(g, n);
	return g->window && n > g->window ? (n - g->window) / g->block_tokens : 0;
}

uint32_t kv_most_blocks(const kv_layout *layout, const kv_group *g, uint32_t n_rows)
{
	uint32_t all = kv_blocks_for(g, n_rows);
	if (!g->window || !layout->max_chunk)
		return all;
	/* From the first block seen from the last slide (at most a common end before it) on to the end of the chunk in flight. */
	uint64_t bound = ((uint64_t)kv_common_rows(layout) + g->window + layout->max_chunk + 2ull * g->block_tokens - 3) / g->block_tokens;
	return bound < all ? (uint32_t)bound : all;
}

uint32_t kv_layout_pages(const kv_layout *layout, uint32_t n_rows)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i < layout->n_groups; i++)
		n += (uint64_t)kv_most_blocks(layout, &layout->groups[i], n_rows) * layout->groups[i].n_slabs;
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

uint32_t kv_layout_rows(const kv_layout *layout, uint32_t n_pages, uint32_t max)
{
	uint32_t fit = 0, past = max < UINT32_MAX ? max + 1 : max;
	while (past - fit > 1) {
		uint32_t mid = fit + (past - fit) / 2;
		if (kv_layout_pages(layout, mid) <= n_pages)
			fit = mid;
		else
			past = mid;
	}
	return fit;
}
