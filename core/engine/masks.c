/* masks.c - before a step, the masks of the tokens that it may sample. One that costs much is made over several turns, in which its sequence
 * stalls and others go on: a turn gives each at most half of what is left of its patience, and the next begins with those that got nothing. */
#include "engine/engine.h"

static const size_t PATIENCE = 1000000; /* nodes and places looked at in a turn, about 8 ms */
static const size_t LEAST = 20000;

static bool prepare(const sequence *s, size_t *patience, sn_error *err, bool *waits)
{
	const sn_request *r = s->req;
	size_t given = *patience / 2 > LEAST ? *patience / 2 : *patience < LEAST ? *patience : LEAST, left = given;
	shape_state st = shape_prepare(r->shape, s->choice, s->rows + r->n_prompt, s->n_known - r->n_prompt, &left, err);
	*patience -= given - left;
	*waits = st == SHAPE_AGAIN;
	return st != SHAPE_FAILED;
}

void masks_prepare(sn_engine *e)
{
	size_t patience = PATIENCE;
	uint32_t n = e->n_active, first = n ? e->first_mask % n : 0;
	bool all = true;
	e->masks_wait = false;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = (first + k) % n;
		sequence *s = e->active[i];
		sn_error why;
		if (!s || !s->req->shape)
			continue;
		if (patience == 0 && all) {
			e->first_mask = i;
			all = false;
		}
		if (!prepare(s, &patience, &why, &s->mask_waits))
			loop_fail_request(e, s->req, &why);
		else
			e->masks_wait |= s->mask_waits;
	}
}
