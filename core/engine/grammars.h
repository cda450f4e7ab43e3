/* grammars.h - grammars that requests are under, compiled once for all that ask for the same: with what was found out about their masks, for
 * the next request of the same schema. Bounded: see below; what is over is refused with SN_ERR_QUEUE_FULL while others run.
 *
 * Compiled on the caller's thread; the mask of one that was taken is the engine thread's alone. [any] but for that. */
#ifndef SN_ENGINE_GRAMMARS_H
#define SN_ENGINE_GRAMMARS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "grammar/token_mask.h"

/* Bytes of all programs and texts; as many of states and pieces of those that requests are under, each of which has an even share (but see
 * TOKEN_MASK_MORE); as many of those that nobody is under, which are kept for the next. */
#define GRAMMARS_BYTES ((size_t)32 << 20)
#define GRAMMARS_IDLE 32

typedef struct compiled compiled;

typedef struct grammars {
	pthread_mutex_t lock;
	compiled *all;       /* the last used first */
	size_t n, n_idle, bytes, idle_bytes;
	_Atomic size_t limit; /* of each one's states and pieces */
} grammars;

typedef struct grammar_ask {
	const token_trie *trie; /* borrowed */
	str text;
	grammar_lead lead;
	mark_set marks;         /* in a fixed order */
	hash256 salt;           /* who may share it */
} grammar_ask;

void grammars_init(grammars *s);
void grammars_fini(grammars *s); /* nobody is under one any more */
/* SN_ERR_INVALID, SN_ERR_UNSUPPORTED: see grammar_open_behind; also what cannot begin with the model's vocabulary. *out goes back to grammars_give. */
sn_status grammars_take(grammars *s, const grammar_ask *ask, compiled **out, sn_error *err);
void grammars_give(grammars *s, compiled **c);
size_t grammars_count(grammars *s);
size_t grammars_bytes(grammars *s); /* without states and pieces of those in use */

token_mask *compiled_mask(compiled *c);

#endif
