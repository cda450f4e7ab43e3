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

static size_t collect(const vocab *v, spelled *out, token_trie *t)
{
	size_t n = 0;
	for (int32_t id = 0; (size_t)id < vocab_size(v); id++) {
		str s = vocab_token(v, id);
		if (vocab_is_eog(v, id))
			t->ends[t->n_ends++] = id;
		else if (s.n && s.n <= UINT16_MAX && !vocab_is_control(v, id) && id != vocab_unk(v))
			out[n++] = (spelled){s, id};
	}
	return n;
}

/* Sorted spellings are a depth-first walk: each adds the nodes that it does not share with the one before. */
static void lay_out(token_trie *t, const spelled *all, uint32_t *open)
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
		t->deepest = s.n > t->deepest ? (unsigned)s.n : t->deepest;
		before = s;
	}
	for (size_t d = before.n; d > 0; d--)
		t->nodes[open[d]].skip = (uint32_t)n;
	t->nodes[n] = (trie_node){.first = (uint32_t)t->n_tokens};
}

sn_status token_trie_open(token_trie **out, const vocab *v, sn_error *err)
{
	token_trie *t = calloc(1, sizeof *t);
	spelled *all = calloc(vocab_size(v) + 1, sizeof *all);
	uint32_t *open = calloc(vocab_longest(v) + 2, sizeof *open);
	str before = {0};
	*out = NULL;
	if (!t || !all || !open || !(t->ends = calloc(vocab_size(v) + 1, sizeof *t->ends)))
		goto fail;
	t->v = v;
	t->n_tokens = collect(v, all, t);
	qsort(all, t->n_tokens, sizeof *all, by_bytes);
	for (size_t i = 0; i < t->n_tokens; i++) {
		t->n_nodes += all[i].bytes.n - common(before, all[i].bytes);
		before = all[i].bytes;
	}
	if (t->n_nodes >= UINT32_MAX || !(t->nodes = calloc(t->n_nodes + 1, sizeof *t->nodes)) ||
	    !(t->tokens = calloc(t->n_tokens + 1, sizeof *t->tokens)))
		goto fail;
	lay_out(t, all, open);
	free(all);
	free(open);
	*out = t;
	return SN_OK;
fail:
	free(all);
	free(open);
	token_trie_close(&t);
	return error_set(err, SN_ERR_NOMEM, "no memory for the vocabulary's tree");
}

void token_trie_close(token_trie **t)
{
	if (!*t)
		return;
	free((*t)->nodes);
	free((*t)->tokens);
	free((*t)->ends);
	free(*t);
	*t = NULL;
}

size_t token_trie_bytes(const token_trie *t)
{
	return sizeof *t + (t->n_nodes + 1) * sizeof *t->nodes + (t->n_tokens + 1) * sizeof *t->tokens + (vocab_size(t->v) + 1) * sizeof *t->ends;
}
