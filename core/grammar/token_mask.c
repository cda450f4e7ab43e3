#include "grammar/token_mask.h"

#include <stdlib.h>
#include <string.h>

#include "grammar/grow.h"

/* The tokens of one state: as ids if they are few, else as bits. */
typedef struct kept {
	bool known, as_bits;
	uint32_t n;     /* tokens */
	uint32_t *data; /* [n] ids or [n_words] */
} kept;

struct token_mask {
	automaton a;
	const token_trie *trie;
	size_t memory, n_words;
	uint64_t age;      /* 1..; places of another age are void */
	kept *masks;       /* [cap_masks] by state */
	kept first;        /* of the start, where a blank may be dropped */
	size_t cap_masks, mask_bytes;
	uint32_t *bits;    /* [n_words] of the mask that is being made */
	state_id *path;    /* [deepest + 1] */
	const int32_t *shown; /* [n_shown] control tokens that are text */
	size_t n_shown;
};

sn_status token_mask_open(token_mask **out, const grammar *g, const token_trie *trie, size_t memory, sn_error *err)
{
	token_mask *m = calloc(1, sizeof *m);
	*out = NULL;
	if (!m)
		return error_set(err, SN_ERR_NOMEM, "no memory for a grammar");
	m->trie = trie;
	m->memory = memory;
	m->age = 1;
	m->n_words = (vocab_size(trie->v) + 31) / 32;
	m->bits = calloc(m->n_words + 1, sizeof *m->bits);
	m->path = calloc(trie->deepest + 1, sizeof *m->path);
	sn_status st = m->bits && m->path ? automaton_init(&m->a, g, err) : error_set(err, SN_ERR_NOMEM, "no memory for a grammar");
	if (st != SN_OK)
		token_mask_close(&m);
	*out = m;
	return st;
}

void token_mask_show(token_mask *m, const int32_t *tokens, size_t n)
{
	m->shown = tokens;
	m->n_shown = n;
}

static void forget_masks(token_mask *m)
{
	for (size_t i = 0; i < m->cap_masks; i++)
		free(m->masks[i].data);
	free(m->masks);
	free(m->first.data);
	m->masks = NULL;
	m->first = (kept){0};
	m->cap_masks = m->mask_bytes = 0;
}

void token_mask_close(token_mask **m)
{
	if (!*m)
		return;
	forget_masks(*m);
	automaton_fini(&(*m)->a);
	free((*m)->bits);
	free((*m)->path);
	free(*m);
	*m = NULL;
}

size_t token_mask_bytes(const token_mask *m)
{
	return sizeof *m + automaton_bytes(&m->a) + m->mask_bytes + m->cap_masks * sizeof *m->masks;
}

/* ---- where an answer stands ---- */

void token_mask_catch_up(token_mask *m, mask_place *p, size_t n_said)
{
	if (m->a.trouble || token_mask_bytes(m) > m->memory) {
		forget_masks(m);
		automaton_forget(&m->a);
		m->age++;
	}
	if (p->age != m->age || p->n_said > n_said)
		*p = (mask_place){.age = m->age, .state = m->a.start};
}

static bool is_shown(const token_mask *m, int32_t token)
{
	for (size_t i = 0; i < m->n_shown; i++)
		if (m->shown[i] == token)
			return true;
	return false;
}

void token_mask_push(token_mask *m, mask_place *p, int32_t token)
{
	str s = vocab_token(m->trie->v, token);
	p->n_said++;
	if (p->dead)
		return;
	bool leads = automaton_leads(&m->a, p->state);
	if (vocab_is_control(m->trie->v, token) && !is_shown(m, token) && !(leads && str_eq(s, m->a.g->after)))
		return;
	if (!p->begun && s.n) {
		p->begun = true;
		if (vocab_strips_blank(m->trie->v) && *s.p == ' ')
			s.p++, s.n--;
	}
	for (size_t i = 0; i < s.n && !p->dead; i++) {
		p->state = automaton_step(&m->a, p->state, (unsigned char)s.p[i]);
		p->dead = p->state == STATE_DEAD;
	}
}

bool token_mask_accepts(const token_mask *m, const mask_place *p)
{
	return p->age == m->age && !p->dead && automaton_accepts(&m->a, p->state);
}

/* ---- masks ---- */

static void allow(token_mask *m, int32_t token)
{
	m->bits[(uint32_t)token / 32] |= 1u << ((uint32_t)token % 32);
}

/* The tokens whose bytes can follow in m->path[0]. False: over the budget. */
static bool walk(token_mask *m, bool drop_blank)
{
	const trie_node *nodes = m->trie->nodes;
	size_t until = m->a.work + TOKEN_MASK_WORK;
	for (size_t i = 0; i < m->trie->n_nodes;) {
		const trie_node *n = &nodes[i];
		bool dropped = drop_blank && n->depth == 1 && n->byte == ' ';
		state_id to = dropped ? m->path[0] : automaton_step(&m->a, m->path[n->depth - 1], n->byte);
		if (to == STATE_DEAD) {
			if (m->a.trouble)
				return false;
			i = n->skip;
			continue;
		}
		m->path[n->depth] = to;
		for (uint32_t k = n->first; k < n[1].first; k++)
			allow(m, m->trie->tokens[k]);
		if (m->a.work > until)
			return false;
		i++;
	}
	return true;
}

static bool keep(token_mask *m, kept *k)
{
	uint32_t n = 0, at = 0;
	for (size_t w = 0; w < m->n_words; w++)
		n += (uint32_t)__builtin_popcount(m->bits[w]);
	bool as_bits = n > m->n_words;
	size_t size = (as_bits ? m->n_words : n) * sizeof(uint32_t);
	uint32_t *data = malloc(size + 1);
	if (!data)
		return false;
	if (as_bits)
		memcpy(data, m->bits, size);
	for (size_t w = 0; w < m->n_words && !as_bits; w++)
		for (uint32_t left = m->bits[w]; left; left &= left - 1)
			data[at++] = (uint32_t)(w * 32) + (uint32_t)__builtin_ctz(left);
	*k = (kept){true, as_bits, n, data};
	m->mask_bytes += size;
	return true;
}

static sn_status make(token_mask *m, const mask_place *p, bool drop_blank, kept *k, sn_error *err)
{
	memset(m->bits, 0, m->n_words * sizeof *m->bits);
	m->path[0] = p->state;
	if (automaton_accepts(&m->a, p->state))
		for (size_t i = 0; i < m->trie->n_ends; i++)
			allow(m, m->trie->ends[i]);
	for (int32_t t = 0; automaton_leads(&m->a, p->state) && (size_t)t < vocab_size(m->trie->v); t++)
		if (vocab_is_control(m->trie->v, t) && !vocab_is_eog(m->trie->v, t))
			allow(m, t);
	for (size_t i = 0; i < m->n_shown; i++) {
		str s = vocab_token(m->trie->v, m->shown[i]);
		state_id to = p->state;
		for (size_t b = 0; b < s.n && to != STATE_DEAD; b++)
			to = automaton_step(&m->a, to, (unsigned char)s.p[b]);
		if (to != STATE_DEAD && s.n)
			allow(m, m->shown[i]);
	}
	if (m->a.trouble || !walk(m, drop_blank)) {
		if (m->a.trouble == AUTOMATON_NOMEM)
			return error_set(err, SN_ERR_NOMEM, "no memory for a grammar's states");
		return error_set(err, SN_ERR_UNSUPPORTED, "the grammar is too ambiguous to follow");
	}
	return keep(m, k) ? SN_OK : error_set(err, SN_ERR_NOMEM, "no memory for a token mask");
}

static bool masks_for(token_mask *m, state_id s)
{
	size_t before = m->cap_masks;
	if (!grow(&m->masks, &m->cap_masks, (size_t)s + 1, sizeof *m->masks))
		return false;
	for (size_t i = before; i < m->cap_masks; i++)
		m->masks[i] = (kept){0};
	return true;
}

sn_status token_mask_fill(token_mask *m, const mask_place *p, uint32_t *bits, uint32_t n_vocab, sn_error *err)
{
	size_t n_words = ((size_t)n_vocab + 31) / 32;
	n_words = n_words < m->n_words ? n_words : m->n_words;
	if (m->a.trouble)
		return error_set(err, SN_ERR_UNSUPPORTED, "the grammar is too ambiguous to follow");
	if (p->dead || p->age != m->age)
		return error_set(err, SN_ERR_INVALID, "the answer has left its grammar");
	bool drop_blank = !p->begun && vocab_strips_blank(m->trie->v);
	if (!masks_for(m, p->state))
		return error_set(err, SN_ERR_NOMEM, "no memory for a token mask");
	kept *k = drop_blank ? &m->first : &m->masks[p->state];
	sn_status st = k->known ? SN_OK : make(m, p, drop_blank, k, err);
	if (st != SN_OK)
		return st;
	if (k->n == 0)
		return error_set(err, SN_ERR_UNSUPPORTED, "the grammar asks for text that the model's vocabulary cannot spell");
	const uint32_t *from = k->data;
	if (!k->as_bits) {
		memset(m->bits, 0, m->n_words * sizeof *m->bits);
		for (uint32_t i = 0; i < k->n; i++)
			allow(m, (int32_t)k->data[i]);
		from = m->bits;
	}
	for (size_t w = 0; w < n_words; w++)
		bits[w] &= from[w];
	return SN_OK;
}
