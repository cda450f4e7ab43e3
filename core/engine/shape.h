/* shape.h - the grammar that a request's answers are under: opened on the caller's thread, within the grammar's limits; asked before
 * each token on the engine thread. */
#ifndef SN_ENGINE_SHAPE_H
#define SN_ENGINE_SHAPE_H

#include "engine/pages.h"
#include "grammar/token_mask.h"

typedef struct shape shape;

/* trie is borrowed. Refuses also what cannot begin with the model's vocabulary. */
sn_status shape_open(shape **out, const token_trie *trie, str text, const grammar_lead *lead, uint32_t n_choices, sn_error *err);
void shape_close(shape **s);
typedef enum shape_state { SHAPE_READY, SHAPE_AGAIN, SHAPE_FAILED } shape_state;

/* Makes the mask for the token behind `said`, the answer's rows, as far as patience goes (token_mask.h): AGAIN asks for another call. */
shape_state shape_prepare(shape *s, uint32_t choice, const seq_row *said, uint32_t n_said, size_t *patience, sn_error *err);
/* The same, to its end: [(n_vocab + 31) / 32] bits of tokens that may come, valid until the next of this choice; NULL: none can, err tells why. */
const uint32_t *shape_next(shape *s, uint32_t choice, const seq_row *said, uint32_t n_said, sn_error *err);

#endif
