#include "engine/shape.h"

#include <stdlib.h>
#include <string.h>

struct shape {
	grammars *from;
	compiled *c;
	mask_place *places; /* [n_choices] */
	uint32_t *bits;     /* [n_choices][n_words] */
	uint32_t *ready;    /* [n_choices] tokens behind which the bits stand, + 1; 0: none are there */
	size_t n_words;
	uint32_t n_vocab;
};

sn_status shape_open(shape **out, grammars *from, const grammar_ask *ask, uint32_t n_choices, sn_error *err)
{
	shape *s = calloc(1, sizeof *s);
	*out = s;
	if (!s)
		return error_set(err, SN_ERR_NOMEM, "no memory for a grammar");
	s->from = from;
	s->n_vocab = (uint32_t)vocab_size(ask->trie->v);
	s->n_words = ((size_t)s->n_vocab + 31) / 32;
	s->places = calloc(n_choices, sizeof *s->places);
	s->ready = calloc(n_choices, sizeof *s->ready);
	s->bits = calloc(n_choices * s->n_words, sizeof *s->bits);
	sn_status st = s->places && s->bits && s->ready ? SN_OK : error_set(err, SN_ERR_NOMEM, "no memory for a grammar");
	if (st == SN_OK)
		st = grammars_take(from, ask, &s->c, err);
	if (st != SN_OK)
		shape_close(out);
	return st;
}

void shape_close(shape **s)
{
	if (!*s)
		return;
	grammars_give((*s)->from, &(*s)->c);
	free((*s)->places);
	free((*s)->bits);
	free((*s)->ready);
	free(*s);
	*s = NULL;
}

shape_state shape_prepare(shape *s, uint32_t choice, const seq_row *said, uint32_t n_said, size_t *patience, sn_error *err)
{
	mask_place *p = &s->places[choice];
	token_mask *m = compiled_mask(s->c);
	bool again;
	if (s->ready[choice] == n_said + 1)
		return SHAPE_READY;
	if (*patience == 0)
		return SHAPE_AGAIN;
	token_mask_limit(m, atomic_load(&s->from->limit));
	token_mask_catch_up(m, p, n_said);
	while (p->n_said < n_said)
		token_mask_push(m, p, said[p->n_said].id);
	if (token_mask_fill(m, p, s->bits + choice * s->n_words, s->n_vocab, patience, &again, err) != SN_OK)
		return SHAPE_FAILED;
	if (again)
		return SHAPE_AGAIN;
	s->ready[choice] = n_said + 1;
	return SHAPE_READY;
}

size_t shape_bytes(shape *s)
{
	return token_mask_bytes(compiled_mask(s->c));
}

const uint32_t *shape_next(shape *s, uint32_t choice, const seq_row *said, uint32_t n_said, sn_error *err)
{
	size_t patience = SIZE_MAX;
	return shape_prepare(s, choice, said, n_said, &patience, err) == SHAPE_READY ? s->bits + choice * s->n_words : NULL;
}
