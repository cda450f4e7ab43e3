#include "grammar/token_mask.h"

#include <stdlib.h>
#include <string.h>

#include "grammar/grow.h"

#define PLACE_COST 8 /* of a place looked at, in nodes */
#define NO_PIECE UINT32_MAX

/* Whose tokens a piece is about. */
typedef enum piece_kind {
	PIECE_STATE, /* of state `of` */
	PIECE_START, /* of state `of`, where a blank at the beginning is no part of the text */
	PIECE_CALLER /* of those that lead out of piece `of`, with state `to` there */
} piece_kind;

typedef struct piece {
	uint8_t kind, tier;
	bool deep;       /* PIECE_STATE: an outline says nothing here */
	uint32_t of, to;
	bool as_bits;    /* tokens: as ids if they are few, else as bits */
	uint32_t n;
	uint32_t *data;  /* [n] ids, or [n_words] */
	uint32_t *exits; /* [n_exits] nodes at which it is the caller's turn */
	uint32_t n_exits;
} piece;

/* Of one state and one tier: where its pieces are. */
typedef struct link {
	uint32_t piece, caller; /* NO_PIECE; a frame */
} link;

/* A piece that is being made. */
typedef struct walk {
	bool active;
	piece made;
	uint32_t exit, at, end; /* of the piece that it leads out of; nodes */
	size_t cap_exits, work;
	const uint32_t *exits;  /* [n_ranges] of the piece that it leads out of: behind each is a range of nodes */
	uint32_t n_ranges;
} walk;

struct token_mask {
	automaton a;
	const token_trie *trie;
	size_t memory, n_words;
	uint64_t age;      /* 1..; places of another age are void */
	piece *pieces;     /* [n_pieces] */
	size_t n_pieces, cap_pieces, piece_bytes;
	index_table by_key;
	link *links;       /* [cap_links] by state and tier */
	size_t cap_links;
	walk walk;
	uint32_t *bits;    /* [n_words] of the mask that is put together */
	uint32_t *walked;  /* [n_words] of the piece that is being made */
	state_id *path;    /* [deepest + 1] */
	size_t n_waiting;  /* places whose masks were begun: what was found for them is not forgotten */
	mark_set marks;
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
	m->walked = calloc(m->n_words + 1, sizeof *m->walked);
	m->path = calloc(trie->deepest + 1, sizeof *m->path);
	sn_status st = m->bits && m->walked && m->path ? automaton_init(&m->a, g, err) : error_set(err, SN_ERR_NOMEM, "no memory for a grammar");
	if (st != SN_OK)
		token_mask_close(&m);
	*out = m;
	return st;
}

void token_mask_show(token_mask *m, mark_set marks)
{
	m->marks = marks;
}

static void end_walk(walk *w)
{
	free(w->made.exits);
	*w = (walk){0};
}

static void forget_pieces(token_mask *m)
{
	end_walk(&m->walk);
	for (size_t i = 0; i < m->n_pieces; i++) {
		free(m->pieces[i].data);
		free(m->pieces[i].exits);
	}
	free(m->pieces);
	free(m->links);
	free(m->by_key.slots);
	m->pieces = NULL;
	m->links = NULL;
	m->by_key = (index_table){0};
	m->n_pieces = m->cap_pieces = m->cap_links = m->piece_bytes = 0;
}

void token_mask_close(token_mask **m)
{
	if (!*m)
		return;
	forget_pieces(*m);
	automaton_fini(&(*m)->a);
	free((*m)->bits);
	free((*m)->walked);
	free((*m)->path);
	free(*m);
	*m = NULL;
}

size_t token_mask_bytes(const token_mask *m)
{
	return sizeof *m + automaton_bytes(&m->a) + m->piece_bytes + m->cap_pieces * sizeof *m->pieces + m->cap_links * sizeof *m->links +
	       m->by_key.cap * sizeof(uint32_t) + m->walk.cap_exits * sizeof(uint32_t) + (2 * m->n_words + m->trie->deepest + 3) * sizeof(uint32_t);
}

void token_mask_limit(token_mask *m, size_t memory)
{
	m->memory = memory;
}

/* ---- where an answer stands ---- */

void token_mask_forget(token_mask *m)
{
	forget_pieces(m);
	automaton_forget(&m->a);
	m->n_waiting = 0;
	m->age++;
}

static void set_waits(token_mask *m, mask_place *p, bool waits)
{
	m->n_waiting += waits;
	m->n_waiting -= p->waits;
	p->waits = waits;
}

void token_mask_catch_up(token_mask *m, mask_place *p, size_t n_said)
{
	size_t most = m->memory + (m->n_waiting ? TOKEN_MASK_MORE : 0);
	if (m->a.trouble || token_mask_bytes(m) > most)
		token_mask_forget(m);
	if (p->age == m->age && p->n_said > n_said)
		set_waits(m, p, false);
	if (p->age != m->age || p->n_said > n_said)
		*p = (mask_place){.age = m->age, .state = m->a.start};
}

void token_mask_push(token_mask *m, mask_place *p, int32_t token)
{
	str s = vocab_token(m->trie->v, token);
	p->n_said++;
	if (p->dead || m->a.trouble) /* which the fill behind it tells; maybe there is not even a state */
		return;
	bool leads = automaton_leads(&m->a, p->state);
	if (vocab_is_control(m->trie->v, token) && !marks_have(&m->marks, token) && !(leads && str_eq(s, m->a.g->after)))
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
	return p->age == m->age && !p->dead && !m->a.trouble && automaton_accepts(&m->a, p->state);
}

/* ---- pieces ---- */

static sn_status no_memory(sn_error *err)
{
	return error_set(err, SN_ERR_NOMEM, "no memory for a token mask");
}

static sn_status too_ambiguous(sn_error *err)
{
	return error_set(err, SN_ERR_UNSUPPORTED, "the grammar is too ambiguous to follow");
}

static sn_status in_trouble(const token_mask *m, sn_error *err)
{
	return m->a.trouble == AUTOMATON_NOMEM ? no_memory(err) : too_ambiguous(err);
}

static void allow(uint32_t *bits, int32_t token)
{
	bits[(uint32_t)token / 32] |= 1u << ((uint32_t)token % 32);
}

static size_t key_hash(const piece *p)
{
	uint64_t h = ((uint64_t)p->of << 32 | p->to) * 0x9E3779B97F4A7C15u;
	h = (h ^ h >> 29 ^ p->kind ^ (uint64_t)p->tier << 8) * 0x9E3779B97F4A7C15u;
	return (size_t)(h ^ h >> 32);
}

static bool same_key(const piece *x, const piece *y)
{
	return x->kind == y->kind && x->tier == y->tier && x->of == y->of && x->to == y->to;
}

static size_t slot_of(const token_mask *m, const index_table *t, const piece *key)
{
	size_t at = key_hash(key) & (t->cap - 1);
	while (t->slots[at] && !same_key(&m->pieces[t->slots[at] - 1], key))
		at = (at + 1) & (t->cap - 1);
	return at;
}

static uint32_t find_piece(const token_mask *m, const piece *key)
{
	return m->by_key.cap ? m->by_key.slots[slot_of(m, &m->by_key, key)] - 1 : NO_PIECE; /* of an empty slot as well */
}

static bool add_piece(token_mask *m, const piece *p)
{
	if (2 * (m->n_pieces + 1) > m->by_key.cap) {
		index_table t = {.cap = m->by_key.cap ? 2 * m->by_key.cap : 64};
		if (!(t.slots = calloc(t.cap, sizeof *t.slots)))
			return false;
		for (size_t i = 0; i < m->n_pieces; i++)
			t.slots[slot_of(m, &t, &m->pieces[i])] = (uint32_t)i + 1;
		free(m->by_key.slots);
		m->by_key = t;
	}
	if (!grow(&m->pieces, &m->cap_pieces, m->n_pieces + 1, sizeof *m->pieces))
		return false;
	m->by_key.slots[slot_of(m, &m->by_key, p)] = (uint32_t)m->n_pieces + 1;
	m->pieces[m->n_pieces++] = *p;
	return true;
}

/* What was walked over, kept. */
static bool keep(token_mask *m)
{
	piece *p = &m->walk.made;
	uint32_t n = 0, at = 0;
	for (size_t w = 0; w < m->n_words; w++)
		n += (uint32_t)__builtin_popcount(m->walked[w]);
	p->n = n;
	p->as_bits = n > m->n_words;
	size_t size = (p->as_bits ? m->n_words : n) * sizeof(uint32_t);
	if (!(p->data = malloc(size + 1)))
		return false;
	if (p->as_bits)
		memcpy(p->data, m->walked, size);
	for (size_t w = 0; w < m->n_words && !p->as_bits; w++)
		for (uint32_t left = m->walked[w]; left; left &= left - 1)
			p->data[at++] = (uint32_t)(w * 32) + (uint32_t)__builtin_ctz(left);
	if (!add_piece(m, p)) {
		free(p->data);
		return false;
	}
	m->piece_bytes += size + m->walk.cap_exits * sizeof(uint32_t);
	p->exits = NULL; /* the piece has them */
	return true;
}

/* ---- walks ---- */

static void begin_walk(token_mask *m, const piece *key)
{
	walk *w = &m->walk;
	*w = (walk){.active = true, .made = *key, .work = m->a.work};
	memset(m->walked, 0, m->n_words * sizeof *m->walked);
	if (key->kind == PIECE_CALLER) {
		w->exits = m->pieces[key->of].exits;
		w->n_ranges = m->pieces[key->of].n_exits;
	} else {
		m->path[0] = key->of;
		w->end = (uint32_t)m->trie->tiers[key->tier].n_nodes;
		w->n_ranges = 1;
	}
}

/* The next range of nodes; of a caller's, the token that ends at the exit is in. */
static void begin_range(token_mask *m)
{
	walk *w = &m->walk;
	const trie_tier *t = &m->trie->tiers[w->made.tier];
	const trie_node *n = &t->nodes[w->exits[w->exit]];
	for (uint32_t k = n->first; k < n[1].first; k++)
		allow(m->walked, t->tokens[k]);
	m->path[n->depth] = w->made.to;
	w->at = w->exits[w->exit] + 1;
	w->end = n->skip;
}

static bool note_exit(walk *w, uint32_t node)
{
	if (!grow(&w->made.exits, &w->cap_exits, w->made.n_exits + 1, sizeof *w->made.exits))
		return false;
	w->made.exits[w->made.n_exits++] = node;
	return true;
}

typedef enum walked { WALKED, WALK_AGAIN, WALK_DEEP, WALK_NOMEM, WALK_TROUBLE } walked;

static walked step_node(token_mask *m, const trie_tier *t)
{
	walk *w = &m->walk;
	const trie_node *n = &t->nodes[w->at];
	bool dropped = w->made.kind == PIECE_START && n->depth == 1 && n->byte == ' ';
	state_id to = dropped ? m->path[0] : automaton_step(&m->a, m->path[n->depth - 1], n->byte);
	if (to == STATE_DEAD) {
		if (m->a.trouble)
			return WALK_TROUBLE;
		w->at = n->skip;
		return WALKED;
	}
	const auto_state *s = &m->a.states[to];
	if (s->deep)
		return WALK_DEEP;
	if (s->leaves && !note_exit(w, w->at))
		return WALK_NOMEM;
	m->path[n->depth] = to;
	if (s->n || s->accepts)
		for (uint32_t k = n->first; k < n[1].first; k++)
			allow(m->walked, t->tokens[k]);
	w->at++;
	return WALKED;
}

/* Goes on with the walk. */
static walked go_on(token_mask *m, size_t *patience)
{
	walk *w = &m->walk;
	const trie_tier *t = &m->trie->tiers[w->made.tier];
	for (; w->exit < w->n_ranges; w->exit++, w->at = w->end = 0) {
		if (w->exits && w->end == 0)
			begin_range(m);
		while (w->at < w->end) {
			size_t work = m->a.work;
			walked done = step_node(m, t);
			if (done != WALKED)
				return done;
			size_t cost = 1 + PLACE_COST * (m->a.work - work);
			if (m->a.work - w->work > TOKEN_MASK_WORK || (m->a.work != work && automaton_bytes(&m->a) > m->memory + TOKEN_MASK_MORE))
				return WALK_TROUBLE;
			if (cost >= *patience) {
				*patience = 0;
				return WALK_AGAIN;
			}
			*patience -= cost;
		}
	}
	return WALKED;
}

/* The piece with this key, *out: made if it is not there. */
static sn_status need(token_mask *m, const piece *key, uint32_t *out, size_t *patience, bool *again, sn_error *err)
{
	walk *w = &m->walk;
	while ((*out = find_piece(m, key)) == NO_PIECE) {
		if (!w->active)
			begin_walk(m, key);
		walked done = go_on(m, patience); /* maybe of another that was begun before */
		bool kept = true;
		if (done == WALK_AGAIN) {
			*again = true;
			return SN_OK;
		}
		if (done == WALK_DEEP) {
			w->made.deep = true;
			w->made.n_exits = 0;
			memset(m->walked, 0, m->n_words * sizeof *m->walked);
			done = WALKED;
		}
		if (done == WALKED)
			kept = keep(m);
		end_walk(w);
		if (!kept || done == WALK_NOMEM || m->a.trouble == AUTOMATON_NOMEM)
			return no_memory(err);
		if (done == WALK_TROUBLE)
			return too_ambiguous(err);
	}
	return SN_OK;
}

/* ---- masks ---- */

static void add(token_mask *m, const piece *p)
{
	if (p->as_bits)
		for (size_t w = 0; w < m->n_words; w++)
			m->bits[w] |= p->data[w];
	else
		for (uint32_t i = 0; i < p->n; i++)
			allow(m->bits, (int32_t)p->data[i]);
}

static bool link_at(token_mask *m, state_id s, size_t tier, link **out)
{
	size_t before = m->cap_links, at = (size_t)s * TRIE_TIERS + tier;
	if (!grow(&m->links, &m->cap_links, at + 1, sizeof *m->links))
		return false;
	for (size_t i = before; i < m->cap_links; i++)
		m->links[i].piece = NO_PIECE;
	*out = &m->links[at];
	return true;
}

/* Where a state's tokens of a tier are: found through its outline, unless that depends on the depth. */
static sn_status find_link(token_mask *m, state_id s, size_t tier, link *out, size_t *patience, bool *again, sn_error *err)
{
	link *l;
	if (!link_at(m, s, tier, &l))
		return no_memory(err);
	*out = *l;
	if (l->piece != NO_PIECE)
		return SN_OK;
	piece key = {.kind = PIECE_STATE, .tier = (uint8_t)tier, .of = automaton_outline(&m->a, s, m->trie->tiers[tier].longest, &out->caller)};
	sn_status st = SN_OK;
	if (m->a.trouble)
		return in_trouble(m, err);
	if (key.of != STATE_DEAD)
		st = need(m, &key, &out->piece, patience, again, err);
	if (st == SN_OK && !*again && (key.of == STATE_DEAD || m->pieces[out->piece].deep)) {
		key.of = s;
		out->caller = 0;
		st = need(m, &key, &out->piece, patience, again, err);
	}
	if (st == SN_OK && !*again && link_at(m, s, tier, &l))
		*l = *out;
	return st;
}

static sn_status add_tier(token_mask *m, const mask_place *p, size_t tier, bool drop_blank, size_t *patience, bool *again, sn_error *err)
{
	link l = {NO_PIECE, 0};
	const piece start = {.kind = PIECE_START, .tier = (uint8_t)tier, .of = p->state};
	sn_status st = drop_blank ? need(m, &start, &l.piece, patience, again, err) : find_link(m, p->state, tier, &l, patience, again, err);
	if (st != SN_OK || *again)
		return st;
	add(m, &m->pieces[l.piece]);
	if (m->pieces[l.piece].n_exits == 0 || l.caller == 0)
		return SN_OK;
	piece key = {.kind = PIECE_CALLER, .tier = (uint8_t)tier, .of = l.piece, .to = automaton_caller(&m->a, l.caller)};
	if (m->a.trouble)
		return in_trouble(m, err);
	if (key.to == STATE_DEAD)
		return SN_OK;
	st = need(m, &key, &l.piece, patience, again, err);
	if (st == SN_OK && !*again)
		add(m, &m->pieces[l.piece]);
	return st;
}

static sn_status fill(token_mask *m, const mask_place *p, size_t *patience, bool *again, sn_error *err)
{
	memset(m->bits, 0, m->n_words * sizeof *m->bits);
	if (automaton_accepts(&m->a, p->state))
		for (size_t i = 0; i < m->trie->n_ends; i++)
			allow(m->bits, m->trie->ends[i]);
	if (automaton_leads(&m->a, p->state))
		for (size_t i = 0; i < m->trie->n_silent; i++)
			allow(m->bits, m->trie->silent[i]);
	bool drop_blank = !p->begun && vocab_strips_blank(m->trie->v);
	sn_status st = SN_OK;
	for (size_t tier = 0; tier < TRIE_TIERS && st == SN_OK && !*again; tier++)
		st = add_tier(m, p, tier, drop_blank, patience, again, err);
	if (st != SN_OK || *again)
		return st;
	marks_fill(&m->marks, &m->a, m->trie, p->state, m->bits);
	return m->a.trouble ? in_trouble(m, err) : SN_OK;
}

sn_status token_mask_fill(token_mask *m, mask_place *p, uint32_t *bits, uint32_t n_vocab, size_t *patience, bool *again, sn_error *err)
{
	*again = false;
	if (m->a.trouble)
		return in_trouble(m, err);
	if (p->dead || p->age != m->age)
		return error_set(err, SN_ERR_INVALID, "the answer has left its grammar");
	sn_status st = fill(m, p, patience, again, err);
	set_waits(m, p, st == SN_OK && *again);
	if (st != SN_OK || *again)
		return st;
	size_t cost = m->n_words / 4; /* of putting it together, in nodes */
	*patience -= cost < *patience ? cost : *patience;
	uint32_t any = 0;
	for (size_t w = 0; w < m->n_words; w++)
		any |= m->bits[w];
	size_t n_words = ((size_t)n_vocab + 31) / 32;
	if (n_words)
		memcpy(bits, m->bits, (n_words < m->n_words ? n_words : m->n_words) * sizeof *bits);
	return any ? SN_OK : error_set(err, SN_ERR_UNSUPPORTED, "the grammar asks for text that the model's vocabulary cannot spell");
}
