/* quiet.h - where a long recording is best cut: not inside a word. */
#ifndef SN_QUIET_H
#define SN_QUIET_H

#include <stddef.h>
#include <stdint.h>

/* A place in [from, to) such that the `span` samples around it have the least energy; of equal ones the last, so that the piece
 * before the cut is as long as it can be. A window is looked at every span / 4 samples. to if the range is shorter than span. */
uint64_t sn_quiet_place(const float *samples, uint64_t from, uint64_t to, uint32_t span);

#endif
