/* quiet.c - see quiet.h. Each window is summed anew, in double: what is found does not depend on where the search began. */
#include "quiet.h"

uint64_t sn_quiet_place(const float *samples, uint64_t from, uint64_t to, uint32_t span)
{
	uint32_t step = span / 4 ? span / 4 : 1;
	uint64_t best = to;
	double least = 0;
	for (uint64_t at = from; span && at + span <= to; at += step) {
		double energy = 0;
		for (uint32_t i = 0; i < span; i++)
			energy += (double)samples[at + i] * samples[at + i];
		if (best == to || energy <= least) {
			least = energy;
			best = at + span / 2;
		}
	}
	return best;
}
