#include "grammar/token_trie.h"

#include <stdlib.h>

#include "base/error.h"

typedef struct spelled { str bytes; int32_t id; } spelled;

static int by_bytes(const void *a, const void *b)
{
	const spelled *x = a, *y = b;
	size_t n = x->bytes.n < y->bytes.n ? x->bytes.n : y->bytes.n;
	int c = memcmp(x->bytes.p, y->bytes.p, n);
	if (c)
		return c;
	if (x->bytes.n != y->bytes.n)
		return x->bytes.n < y->bytes.n ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static size_t common(str a, str b)
{
	size_t n = 0;
	while (n < a.n && n < b.n && a.p[n] == b.p[n])
		n++;
	return n;
}

static const size_t bounds[TRIE_TIERS] = {6, 12, 24, 48, UINT16_MAX}; /* bytes */

static size_t collect(const vocab *v, spelled *out, token_trie *t)
{
	size_t n = 0;
	for (int32_t id = 0; (size_t)id < vocab_size(v); id++) {
		str s = vocab_token(v, id);
		if (vocab_is_eog(v, id))
			t->ends[t->n_ends++] = id;
		else if (vocab_is_control(v, id))
			t->silent[t->n_silent++] = id;
		else if (s.n && s.n <= UINT16_MAX && id != vocab_unk(v))
			out[n++] = (spelled){s, id};
	}
	return n;
}

/* Those of all[0, n) that belong to the tier, moved to the front of `out` in their order. */
static size_t choose(const spelled *all, size_t n, size_t tier, spelled *out)
{
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		if (all[i].bytes.n <= bounds[tier] && (tier == 0 || all[i].bytes.n > bounds[tier - 1]))
			out[k++] = all[i];
	return k;
}

/* Sorted spellings are a depth-first walk: each adds the nodes that it does not share with the one before. */
static void lay_out(trie_tier *t, const spelled *all, uint32_t *open)
{
	str before = {0};
	size_t n = 0;
	for (size_t i = 0; i < t->n_tokens; i++) {
		str s = all[i].bytes;
		size_t shared = common(before, s);
		for (size_t d = before.n; d > shared; d--)
			t->nodes[open[d]].skip = (uint32_t)n;
		for (size_t d = shared + 1; d <= s.n; d++) {
			t->nodes[n] = (trie_node){.first = (uint32_t)i, .depth = (uint16_t)d, .byte = (uint8_t)s.p[d - 1]};
			open[d] = (uint32_t)n++;
		}
		t->tokens[i] = all[i].id;
		before = s;
	}
	for (size_t d = before.n; d > 0; d--)
		t->nodes[open[d]].skip = (uint32_t)n;
	t->nodes[n] = (trie_node){.first = (uint32_t)t->n_tokens};
}

static bool open_tier(trie_tier *t, const spelled *all, size_t n)
{
	str before = {0};
	t->n_tokens = n;
	for (size_t i = 0; i < n; i++) {
		t->n_nodes += all[i].bytes.n - common(before, all[i].bytes);
		t->longest = all[i].bytes.n > t->longest ? (uint32_t)all[i].bytes.n : t->longest;
		before = all[i].bytes;
	}
	uint32_t *open = calloc(t->longest + 1, sizeof *open);
	bool ok = open && t->n_nodes < UINT32_MAX && (t->nodes = calloc(t->n_nodes + 1, sizeof *t->nodes)) &&
	          (t->tokens = calloc(n + 1, sizeof *t->tokens));
	if (ok)
		lay_out(t, all, open);
	free(open);
	return ok;
}

sn_status token_trie_open(token_trie **out, const vocab *v, sn_error *err)
{
	token_trie *t = calloc(1, sizeof *t);
	spelled *all = calloc(vocab_size(v) + 1, sizeof *all), *some = calloc(vocab_size(v) + 1, sizeof *some);
	*out = NULL;
	bool ok = t && all && some && (t->ends = calloc(vocab_size(v) + 1, sizeof *t->ends)) && (t->silent = calloc(vocab_size(v) + 1, sizeof *t->silent));
	if (ok) {
		t->v = v;
		size_t n = collect(v, all, t);
		qsort(all, n, sizeof *all, by_bytes);
		for (size_t i = 0; i < TRIE_TIERS && ok; i++) {
			ok = open_tier(&t->tiers[i], some, choose(all, n, i, some));
			t->deepest = t->tiers[i].longest > t->deepest ? t->tiers[i].longest : t->deepest;
		}
	}
	free(all);
	free(some);
	*out = t;
	if (ok)
		return SN_OK;
	token_trie_close(out);
	return error_set(err, SN_ERR_NOMEM, "no memory for the vocabulary's tree");
}

void token_trie_close(token_trie **t)
{
	if (!*t)
		return;
	for (size_t i = 0; i < TRIE_TIERS; i++) {
		free((*t)->tiers[i].nodes);
		free((*t)->tiers[i].tokens);
	}
	free((*t)->ends);
	free((*t)->silent);
	free(*t);
	*t = NULL;
}

size_t token_trie_bytes(const token_trie *t)
{
	size_t n = sizeof *t + 2 * (vocab_size(t->v) + 1) * sizeof *t->ends;
	for (size_t i = 0; i < TRIE_TIERS; i++)
		n += (t->tiers[i].n_nodes + 1) * sizeof(trie_node) + (t->tiers[i].n_tokens + 1) * sizeof(int32_t);
	return n;
}
