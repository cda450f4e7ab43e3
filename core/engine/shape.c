#include "engine/shape.h"

#include <stdlib.h>
#include <string.h>

struct shape {
	grammar *g;
	token_mask *mask;
	mask_place *places; /* [n_choices] */
	uint32_t *bits;     /* [n_words] */
	size_t n_words;
	uint32_t n_vocab;
};

sn_status shape_open(shape **out, const token_trie *trie, str text, const grammar_lead *lead, const int32_t *shown, size_t n_shown, uint32_t n_choices,
                     sn_error *err)
{
	shape *s = calloc(1, sizeof *s);
	*out = s;
	if (!s)
		return error_set(err, SN_ERR_NOMEM, "no memory for a grammar");
	s->n_vocab = (uint32_t)vocab_size(trie->v);
	s->n_words = ((size_t)s->n_vocab + 31) / 32;
	s->places = calloc(n_choices, sizeof *s->places);
	s->bits = calloc(s->n_words, sizeof *s->bits);
	sn_status st = s->places && s->bits ? SN_OK : error_set(err, SN_ERR_NOMEM, "no memory for a grammar");
	if (st == SN_OK && trie->n_ends == 0)
		st = error_set(err, SN_ERR_UNSUPPORTED, "the model's vocabulary has no token that ends an answer");
	if (st == SN_OK)
		st = grammar_open_behind(&s->g, text, lead, err);
	if (st == SN_OK)
		st = token_mask_open(&s->mask, s->g, trie, TOKEN_MASK_MEMORY, err);
	if (st == SN_OK)
		token_mask_show(s->mask, shown, n_shown);
	if (st == SN_OK && !shape_next(s, 0, NULL, 0, err))
		st = err ? err->status : SN_ERR_UNSUPPORTED;
	if (st != SN_OK)
		shape_close(out);
	return st;
}

void shape_close(shape **s)
{
	if (!*s)
		return;
	token_mask_close(&(*s)->mask);
	grammar_close(&(*s)->g);
	free((*s)->places);
	free((*s)->bits);
	free(*s);
	*s = NULL;
}

const uint32_t *shape_next(shape *s, uint32_t choice, const seq_row *said, uint32_t n_said, sn_error *err)
{
	mask_place *p = &s->places[choice];
	token_mask_catch_up(s->mask, p, n_said);
	while (p->n_said < n_said)
		token_mask_push(s->mask, p, said[p->n_said].id);
	memset(s->bits, 0xFF, s->n_words * sizeof *s->bits);
	return token_mask_fill(s->mask, p, s->bits, s->n_vocab, err) == SN_OK ? s->bits : NULL;
}
