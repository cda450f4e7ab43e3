/* check.c - is every rule there, does some finite text fit each, and does no rule begin with itself? After that no beginning of an
 * answer is a dead end: whatever was begun can be ended within GRAMMAR_MAX_NESTING levels. */
#include "grammar/grow.h"
#include "grammar/tree.h"

#define MAX_VISITS (1u << 26) /* of nodes, until the rules are measured: a fraction of a second */

/* Levels of nesting, from what is known of the rules: a rule's last call does not nest. A tree is at most 3 * GRAMMAR_MAX_DEPTH deep. */
static void measure(const tree *t, uint32_t at, bool tail, size_t *visits)
{
	node *n = &t->nodes[at];
	++*visits;
	uint32_t height = n->kind == NODE_CHOICE ? NO_HEIGHT : 0;
	bool nullable = n->kind == NODE_SEQUENCE;
	for (uint32_t c = n->child; c != NO_NODE; c = t->nodes[c].sibling) {
		bool last = t->nodes[c].sibling == NO_NODE;
		measure(t, c, tail && (n->kind == NODE_CHOICE || (n->kind == NODE_SEQUENCE && last)), visits);
		const node *k = &t->nodes[c];
		if (n->kind == NODE_CHOICE) {
			height = k->height < height ? k->height : height;
			nullable = nullable || k->nullable;
		} else {
			height = k->height > height ? k->height : height;
			nullable = nullable && k->nullable;
		}
	}
	if (n->kind == NODE_RULE) {
		const rule *r = &t->rules[n->a];
		height = r->height == NO_HEIGHT ? NO_HEIGHT : r->height + !tail;
		nullable = r->nullable;
	} else if (n->kind == NODE_BYTES) {
		nullable = n->b == 0;
	} else if (n->kind == NODE_REPEAT) {
		const node *k = &t->nodes[n->child];
		bool counted = !(n->a <= 1 && (n->b == GRAMMAR_INF || n->b == 1));
		nullable = n->a == 0 || k->nullable;
		height = n->a == 0 ? 0 : k->height == NO_HEIGHT ? NO_HEIGHT : k->height + counted;
	}
	n->height = height;
	n->nullable = nullable;
}

/* Again and again, forwards and backwards, until nothing changes: rules are written down in the order of their use, or against it. */
static bool measure_rules(tree *t)
{
	size_t visits = 0;
	for (size_t i = 0; i < t->n_rules; i++)
		t->rules[i].height = NO_HEIGHT, t->rules[i].nullable = false;
	for (bool changed = true, backwards = true; changed; backwards = !backwards) {
		changed = false;
		for (size_t k = 0; k < t->n_rules; k++) {
			rule *r = &t->rules[backwards ? t->n_rules - 1 - k : k];
			measure(t, r->body, true, &visits);
			const node *n = &t->nodes[r->body];
			changed = changed || n->height != r->height || n->nullable != r->nullable;
			r->height = n->height;
			r->nullable = n->nullable;
			if (visits > MAX_VISITS)
				return false;
		}
	}
	return true;
}

/* ---- left recursion ---- */

typedef struct edges {
	uint32_t *to; /* [n] rules */
	size_t n, cap;
	bool failed;
} edges;

/* The rules that a node can begin with. True: something must come before what follows the node. */
static void beginnings(const tree *t, uint32_t at, edges *e)
{
	const node *n = &t->nodes[at];
	if (n->kind == NODE_RULE) {
		if (grow(&e->to, &e->cap, e->n + 1, sizeof *e->to))
			e->to[e->n++] = n->a;
		else
			e->failed = true;
		return;
	}
	for (uint32_t c = n->child; c != NO_NODE; c = t->nodes[c].sibling) {
		beginnings(t, c, e);
		if (n->kind == NODE_SEQUENCE && !t->nodes[c].nullable)
			return;
	}
}

/* Takes away, again and again, rules that nothing left begins with (Kahn). What remains leads into a cycle. */
static sn_status find_left_recursion(const tree *t, sn_error *err)
{
	sn_status st = SN_OK;
	size_t n = t->n_rules, n_ready = 0, n_done = 0;
	edges e = {0};
	size_t *first = calloc(n + 1, sizeof *first);
	uint32_t *into = calloc(n, sizeof *into), *ready = calloc(n, sizeof *ready);
	if (!first || !into || !ready)
		e.failed = true;
	for (size_t i = 0; i < n && !e.failed; i++) {
		beginnings(t, t->rules[i].body, &e);
		first[i + 1] = e.n;
	}
	if (e.failed) {
		st = error_set(err, SN_ERR_NOMEM, "no memory for a grammar");
		goto out;
	}
	for (size_t i = 0; i < e.n; i++)
		into[e.to[i]]++;
	for (uint32_t i = 0; i < n; i++)
		if (into[i] == 0)
			ready[n_ready++] = i;
	for (; n_done < n_ready; n_done++)
		for (size_t i = first[ready[n_done]]; i < first[ready[n_done] + 1]; i++)
			if (--into[e.to[i]] == 0)
				ready[n_ready++] = e.to[i];
	for (size_t i = 0; i < n && st == SN_OK; i++)
		if (into[i])
			st = error_set(err, SN_ERR_UNSUPPORTED, "grammar, line %u: a rule begins with itself (left recursion)", t->rules[i].line);
out:
	free(first);
	free(into);
	free(ready);
	free(e.to);
	return st;
}

sn_status tree_check(tree *t, sn_error *err)
{
	if (t->rules[t->root].body == NO_NODE)
		return error_set(err, SN_ERR_INVALID, "the grammar has no rule root");
	for (size_t i = 0; i < t->n_rules; i++)
		if (t->rules[i].body == NO_NODE)
			return error_set(err, SN_ERR_INVALID, "grammar, line %u: a rule that is not defined", t->rules[i].line);
	if (!measure_rules(t))
		return error_set(err, SN_ERR_UNSUPPORTED, "the grammar's rules are too entangled");
	for (size_t i = 0; i < t->n_rules; i++)
		if (t->rules[i].height >= GRAMMAR_MAX_NESTING)
			return error_set(err, SN_ERR_UNSUPPORTED, "grammar, line %u: a rule that no text fits, or only one that is nested too deep",
			                 t->rules[i].line);
	for (size_t i = 0; i < t->n_nodes; i++) {
		const node *n = &t->nodes[i];
		if (n->kind == NODE_REPEAT && n->b > 1 && t->nodes[n->child].nullable && !(n->a <= 1 && n->b == GRAMMAR_INF))
			return error_set(err, SN_ERR_UNSUPPORTED, "grammar, line %u: a count over something that can be empty", n->line);
	}
	return find_left_recursion(t, err);
}
