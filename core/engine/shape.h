/* shape.h - the grammar that a request's answers are under: opened on the caller's thread, within the grammar's limits; asked before
 * each token on the engine thread. */
#ifndef SN_ENGINE_SHAPE_H
#define SN_ENGINE_SHAPE_H

#include "engine/pages.h"
#include "grammar/token_mask.h"

typedef struct shape shape;

/* trie and shown (token_mask_show) are borrowed. Refuses also what cannot begin with the model's vocabulary. */
sn_status shape_open(shape **out, const token_trie *trie, str text, const grammar_lead *lead, const int32_t *shown, size_t n_shown, uint32_t n_choices,
                     sn_error *err);
void shape_close(shape **s);
/* Tokens that may come next: [(n_vocab + 31) / 32] bits, valid until the next call; NULL: none can, err tells why. said: the answer's rows. */
const uint32_t *shape_next(shape *s, uint32_t choice, const seq_row *said, uint32_t n_said, sn_error *err);

#endif
