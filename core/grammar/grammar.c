#include "grammar/grammar.h"

#include <stdlib.h>

#include "grammar/tree.h"

sn_status grammar_open(grammar **out, str text, sn_error *err)
{
	return grammar_open_behind(out, text, &(grammar_lead){0}, err);
}

sn_status grammar_open_behind(grammar **out, str text, const grammar_lead *lead, sn_error *err)
{
	tree t = {0};
	grammar *g = calloc(1, sizeof *g);
	sn_status st = g ? SN_OK : error_set(err, SN_ERR_NOMEM, "no memory for a grammar");
	if (st == SN_OK && lead->after.n > GRAMMAR_MAX_AFTER)
		st = error_set(err, SN_ERR_UNSUPPORTED, "what comes before the grammar ends with more than %u bytes", GRAMMAR_MAX_AFTER);
	if (st == SN_OK)
		st = tree_parse(&t, text, err);
	if (st == SN_OK)
		st = tree_check(&t, err);
	if (st == SN_OK)
		st = tree_emit(&t, lead, g, err);
	tree_fini(&t);
	if (st != SN_OK)
		grammar_close(&g);
	*out = g;
	return st;
}

void grammar_close(grammar **g)
{
	if (!*g)
		return;
	free((*g)->code);
	free((*g)->sets);
	free((*g)->counts);
	free((char *)(*g)->after.p);
	free(*g);
	*g = NULL;
}

size_t grammar_bytes(const grammar *g)
{
	return sizeof *g + g->n_code * sizeof *g->code + g->n_sets * sizeof *g->sets + g->n_counts * sizeof *g->counts + g->after.n;
}
