/* emit.c - a checked tree -> instructions. A rule's last call is a jump, so that right-recursive rules do not nest; a counted
 * repetition is its body once, with the count kept where return addresses are. */
#include "grammar/grow.h"
#include "grammar/tree.h"

#define SET_SLOTS (2 * GRAMMAR_MAX_SETS)

typedef struct emitter {
	const tree *t;
	grammar *g;
	size_t cap_code, cap_sets, cap_counts;
	uint32_t *entry;    /* [n_rules] */
	uint16_t slots[SET_SLOTS]; /* set -> index + 1 */
	sn_error *err;
} emitter;

static bool fails(emitter *e, sn_status status, const char *what)
{
	error_set(e->err, status, "%s", what);
	return false;
}

static bool put(emitter *e, op o, uint32_t a)
{
	if (e->g->n_code >= GRAMMAR_MAX_INSTRUCTIONS)
		return fails(e, SN_ERR_UNSUPPORTED, "the grammar is too large");
	if (!grow(&e->g->code, &e->cap_code, e->g->n_code + 1, sizeof *e->g->code))
		return fails(e, SN_ERR_NOMEM, "no memory for a grammar");
	e->g->code[e->g->n_code++] = (instruction){.op = o, .a = a & 0xFFFFFF};
	return true;
}

static void patch(emitter *e, size_t at)
{
	e->g->code[at].a = e->g->n_code & 0xFFFFFF;
}

/* ---- bytes ---- */

static bool put_set(emitter *e, const byte_set *s)
{
	uint64_t h = 0;
	for (int i = 0; i < 4; i++)
		h = (h ^ s->bits[i]) * 0x9E3779B97F4A7C15u, h ^= h >> 29;
	size_t at = h % SET_SLOTS;
	for (; e->slots[at]; at = (at + 1) % SET_SLOTS)
		if (memcmp(&e->g->sets[e->slots[at] - 1], s, sizeof *s) == 0)
			return put(e, OP_SET, e->slots[at] - 1u);
	if (e->g->n_sets >= GRAMMAR_MAX_SETS)
		return fails(e, SN_ERR_UNSUPPORTED, "the grammar has too many different classes of characters");
	if (!grow(&e->g->sets, &e->cap_sets, e->g->n_sets + 1, sizeof *s))
		return fails(e, SN_ERR_NOMEM, "no memory for a grammar");
	e->g->sets[e->g->n_sets] = *s;
	e->slots[at] = (uint16_t)++e->g->n_sets;
	return put(e, OP_SET, (uint32_t)e->g->n_sets - 1);
}

static bool put_range(emitter *e, unsigned lo, unsigned hi)
{
	byte_set s = {0};
	for (unsigned b = lo; b <= hi; b++)
		s.bits[b >> 6] |= 1ull << (b & 63);
	return put_set(e, &s);
}

/* ---- classes ---- */

/* Characters lo..hi of one length, whose last k bytes are cut into runs: those that begin alike stay together. */
typedef struct byte_runs {
	uint8_t lo[4], hi[4];
	unsigned n;
} byte_runs;

static void utf8_bytes(uint32_t cp, unsigned n, uint8_t out[4])
{
	static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
	for (unsigned i = n; i-- > 1; cp >>= 6)
		out[i] = (uint8_t)(0x80 | (cp & 0x3F));
	out[0] = (uint8_t)(n == 1 ? cp : lead[n] | cp);
}

/* The next run that begins with *lo and is a product of byte ranges; moves *lo behind it. */
static byte_runs next_runs(uint32_t *lo, uint32_t hi)
{
	static const uint32_t last[] = {0, 0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
	unsigned n = 1;
	while (*lo > last[n])
		n++;
	hi = hi < last[n] ? hi : last[n];
	uint32_t end = *lo;
	for (unsigned bits = 6 * (n - 1);; bits -= 6) { /* the widest block of whole tails that *lo begins */
		uint32_t tail = (1u << bits) - 1;
		if ((*lo & tail) == 0 && (*lo | tail) <= hi) {
			uint32_t block = bits + 6 > 6 * (n - 1) ? UINT32_MAX : (1u << (bits + 6)) - 1; /* its siblings under one lead */
			uint32_t most = block == UINT32_MAX ? hi : (*lo | block) < hi ? (*lo | block) : hi;
			end = ((most + 1) & ~tail) - 1;
			break;
		}
	}
	byte_runs r = {.n = n};
	utf8_bytes(*lo, n, r.lo);
	utf8_bytes(end, n, r.hi);
	*lo = end + 1;
	return r;
}

static bool put_class(emitter *e, const node *n)
{
	byte_set ascii = {0};
	bool any_ascii = false;
	size_t split = SIZE_MAX, n_jumps = 0, chain = 0; /* the jumps to the end are chained through their targets */
	for (uint32_t i = 0; i < n->b; i++)
		for (uint32_t c = e->t->ranges[n->a + i].lo; c <= e->t->ranges[n->a + i].hi && c < 0x80; c++) {
			ascii.bits[c >> 6] |= 1ull << (c & 63);
			any_ascii = true;
		}
	bool first = !any_ascii;
	if (any_ascii) {
		split = e->g->n_code;
		if (!put(e, OP_SPLIT, 0) || !put_set(e, &ascii))
			return false;
		chain = e->g->n_code;
		n_jumps = 1;
		if (!put(e, OP_JUMP, 0))
			return false;
	}
	for (uint32_t i = 0; i < n->b; i++) {
		char_range r = e->t->ranges[n->a + i];
		uint32_t lo = r.lo < 0x80 ? 0x80 : r.lo;
		while (lo <= r.hi) {
			if (lo >= 0xD800 && lo <= 0xDFFF) {
				lo = 0xE000;
				continue;
			}
			byte_runs b = next_runs(&lo, lo < 0xD800 && r.hi >= 0xD800 ? 0xD7FF : r.hi);
			if (!first)
				patch(e, split);
			first = false;
			split = e->g->n_code;
			if (!put(e, OP_SPLIT, 0))
				return false;
			for (unsigned k = 0; k < b.n; k++)
				if (!put_range(e, b.lo[k], b.hi[k]))
					return false;
			size_t back = n_jumps++ ? chain : 0;
			chain = e->g->n_code;
			if (!put(e, OP_JUMP, (uint32_t)back))
				return false;
		}
	}
	if (n_jumps == 0)
		return fails(e, SN_ERR_INVALID, "a class of the grammar has no characters");
	e->g->code[split] = (instruction){.op = OP_JUMP, .a = (split + 1) & 0xFFFFFF}; /* the last has no other way */
	for (size_t at = chain; n_jumps-- > 0;) {
		size_t before = e->g->code[at].a;
		patch(e, at);
		at = before;
	}
	return true;
}

/* ---- the tree ---- */

static bool put_node(emitter *e, uint32_t at, bool tail);

static bool put_need(emitter *e, uint32_t height)
{
	return height == 0 || put(e, OP_NEED, height);
}

static bool put_sequence(emitter *e, const node *n, bool tail)
{
	for (uint32_t c = n->child; c != NO_NODE; c = e->t->nodes[c].sibling)
		if (!put_node(e, c, tail && e->t->nodes[c].sibling == NO_NODE))
			return false;
	return !tail || n->child != NO_NODE || put(e, OP_RETURN, 0);
}

static bool put_choice(emitter *e, const node *n, bool tail)
{
	size_t chain = 0, n_jumps = 0;
	for (uint32_t c = n->child; c != NO_NODE; c = e->t->nodes[c].sibling) {
		bool last = e->t->nodes[c].sibling == NO_NODE;
		size_t split = e->g->n_code;
		if (!last && !put(e, OP_SPLIT, 0))
			return false;
		if (!put_need(e, e->t->nodes[c].height) || !put_node(e, c, tail))
			return false;
		if (!last && !tail) {
			size_t back = chain;
			chain = e->g->n_code;
			n_jumps++;
			if (!put(e, OP_JUMP, (uint32_t)back))
				return false;
		}
		if (!last)
			patch(e, split);
	}
	for (size_t at = chain; n_jumps-- > 0;) {
		size_t before = e->g->code[at].a;
		patch(e, at);
		at = before;
	}
	return true;
}

static bool put_count(emitter *e, const node *n)
{
	const node *body = &e->t->nodes[n->child];
	grammar *g = e->g;
	if (!grow(&g->counts, &e->cap_counts, g->n_counts + 1, sizeof *g->counts))
		return fails(e, SN_ERR_NOMEM, "no memory for a grammar");
	uint32_t i = (uint32_t)g->n_counts++;
	g->counts[i] = (count){.min = n->a, .max = n->b};
	if (!put(e, OP_COUNT, i))
		return false;
	g->counts[i].body = (uint32_t)g->n_code;
	if (!put_need(e, body->height) || !put_node(e, n->child, false) || !put(e, OP_NEXT, i))
		return false;
	g->counts[i].exit = (uint32_t)g->n_code;
	return true;
}

static bool put_repeat(emitter *e, const node *n)
{
	const node *body = &e->t->nodes[n->child];
	size_t from = e->g->n_code;
	if (n->b == 0)
		return true;
	if (n->a == 1 && n->b == 1)
		return put_node(e, n->child, false);
	if (n->a == 1 && n->b == GRAMMAR_INF) {
		if (!put_node(e, n->child, false))
			return false;
		size_t split = e->g->n_code;
		if (!put(e, OP_SPLIT, 0) || !put_need(e, body->height) || !put(e, OP_JUMP, (uint32_t)from))
			return false;
		patch(e, split);
		return true;
	}
	if (n->a == 0 && (n->b == 1 || n->b == GRAMMAR_INF)) {
		if (!put(e, OP_SPLIT, 0) || !put_need(e, body->height) || !put_node(e, n->child, false))
			return false;
		if (n->b == GRAMMAR_INF && !put(e, OP_JUMP, (uint32_t)from))
			return false;
		patch(e, from);
		return true;
	}
	return put_count(e, n);
}

static bool put_node(emitter *e, uint32_t at, bool tail)
{
	const node *n = &e->t->nodes[at];
	switch ((node_kind)n->kind) {
	case NODE_SEQUENCE:
		return put_sequence(e, n, tail);
	case NODE_CHOICE:
		return put_choice(e, n, tail);
	case NODE_RULE:
		return put(e, tail ? OP_JUMP : OP_CALL, n->a) && (e->g->code[e->g->n_code - 1].op |= 0x80, true); /* a rule, until it has a place */
	case NODE_BYTES:
		for (uint32_t i = 0; i < n->b; i++) {
			unsigned char b = (unsigned char)e->t->bytes[n->a + i];
			if (!put_range(e, b, b))
				return false;
		}
		break;
	case NODE_CLASS:
		if (!put_class(e, n))
			return false;
		break;
	case NODE_REPEAT:
		if (!put_repeat(e, n))
			return false;
		break;
	}
	return !tail || put(e, OP_RETURN, 0);
}

/* ---- what comes before ---- */

/* next[k]: of the first k bytes of `what`, how many of the last are also its first (Knuth, Morris, Pratt). */
static void find_borders(str what, uint32_t *next)
{
	next[0] = 0;
	if (what.n)
		next[1] = 0;
	for (uint32_t k = 1, b = 0; k < what.n; k++) {
		while (b && what.p[k] != what.p[b])
			b = next[b];
		b += what.p[k] == what.p[b];
		next[k + 1] = b;
	}
}

static uint32_t matched_after(str what, const uint32_t *next, uint32_t k, unsigned char byte)
{
	while (k && (unsigned char)what.p[k] != byte)
		k = next[k];
	return k + ((unsigned char)what.p[k] == byte);
}

/* One step for each number of bytes of `after` that stand at the end of what was said: a set for each number that may come next. Jumps name
 * the number until all steps have a place. */
static bool put_lead(emitter *e, const grammar_lead *lead)
{
	uint32_t next[GRAMMAR_MAX_AFTER + 1], at[GRAMMAR_MAX_AFTER + 1];
	str after = lead->after;
	size_t from = e->g->n_code;
	find_borders(after, next);
	for (uint32_t k = 0; k < after.n; k++) {
		at[k] = (uint32_t)e->g->n_code;
		if (lead->may_end && !(put(e, OP_SPLIT, (uint32_t)e->g->n_code + 2) && put(e, OP_RETURN, 0)))
			return false;
		byte_set rest = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
		for (unsigned b = 0; b < 256; b++) {
			uint32_t to = matched_after(after, next, k, (unsigned char)b);
			if (to == 0)
				continue;
			rest.bits[b >> 6] &= ~(1ull << (b & 63));
			if (!put(e, OP_SPLIT, (uint32_t)e->g->n_code + 3) || !put_range(e, b, b) || !put(e, OP_JUMP, to))
				return false;
		}
		if (!put_set(e, &rest) || !put(e, OP_JUMP, 0))
			return false;
	}
	at[after.n] = e->g->start;
	for (size_t i = from; i < e->g->n_code; i++)
		if (e->g->code[i].op == OP_JUMP)
			e->g->code[i].a = at[e->g->code[i].a] & 0xFFFFFF;
	e->g->lead = (uint32_t)from;
	e->g->start = (uint32_t)from;
	char *copy = malloc(after.n);
	if (!copy)
		return fails(e, SN_ERR_NOMEM, "no memory for a grammar");
	memcpy(copy, after.p, after.n);
	e->g->after = (str){copy, after.n};
	return true;
}

/* Bytes that every set has or lacks together share a class. */
static void find_classes(grammar *g)
{
	g->n_classes = 1;
	for (size_t s = 0; s < g->n_sets; s++) {
		int16_t in[256], out[256];
		uint32_t n = 0;
		memset(in, -1, sizeof in);
		memset(out, -1, sizeof out);
		for (unsigned b = 0; b < 256; b++) {
			int16_t *id = byte_set_has(&g->sets[s], (unsigned char)b) ? &in[g->class_of[b]] : &out[g->class_of[b]];
			if (*id < 0)
				*id = (int16_t)n++;
			g->class_of[b] = (uint8_t)*id;
		}
		g->n_classes = n;
	}
}

sn_status tree_emit(const tree *t, const grammar_lead *lead, grammar *out, sn_error *err)
{
	sn_error mine = {0};
	emitter *e = calloc(1, sizeof *e);
	bool ok = e && (e->entry = calloc(t->n_rules, sizeof *e->entry));
	if (!ok)
		error_set(&mine, SN_ERR_NOMEM, "no memory for a grammar");
	if (e)
		e->t = t, e->g = out, e->err = &mine;
	for (size_t i = 0; ok && i < t->n_rules; i++) {
		e->entry[i] = (uint32_t)out->n_code;
		ok = put_node(e, t->rules[i].body, true);
	}
	for (size_t i = 0; ok && i < out->n_code; i++)
		if (out->code[i].op & 0x80)
			out->code[i] = (instruction){.op = out->code[i].op & 0x7F, .a = e->entry[out->code[i].a] & 0xFFFFFF};
	if (ok) {
		out->start = e->entry[t->root];
		out->lead = (uint32_t)out->n_code;
		ok = lead->after.n == 0 || put_lead(e, lead);
	}
	if (ok) {
		find_classes(out);
	} else if (err) {
		*err = mine;
	}
	if (e)
		free(e->entry);
	free(e);
	return ok ? SN_OK : mine.status;
}
