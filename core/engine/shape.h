/* shape.h - the grammar that a request's answers are under (one of grammars.h, which others may be under as well), and where each of them stands in
 * it. Opened on the caller's thread; asked before each token on the engine thread. */
#ifndef SN_ENGINE_SHAPE_H
#define SN_ENGINE_SHAPE_H

#include "engine/grammars.h"
#include "engine/pages.h"

typedef struct shape shape;

sn_status shape_open(shape **out, grammars *from, const grammar_ask *ask, uint32_t n_choices, sn_error *err);
void shape_close(shape **s);
typedef enum shape_state { SHAPE_READY, SHAPE_AGAIN, SHAPE_FAILED } shape_state;

/* Makes the mask for the token behind `said`, the answer's rows, as far as patience goes (token_mask.h): AGAIN asks for another call. */
shape_state shape_prepare(shape *s, uint32_t choice, const seq_row *said, uint32_t n_said, size_t *patience, sn_error *err);
/* The same, to its end: [(n_vocab + 31) / 32] bits of tokens that may come, valid until the next of this choice; NULL: none can, err tells why. */
const uint32_t *shape_next(shape *s, uint32_t choice, const seq_row *said, uint32_t n_said, sn_error *err);
size_t shape_bytes(shape *s); /* of states and pieces, shared with others */

#endif
