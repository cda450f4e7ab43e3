/* align.h - where in a medium each token lies, by the weights with which the token's row looked at the medium's rows: the weights
 * of a few attention heads that follow what is said, made comparable, smoothed, averaged, and the cheapest path through them that
 * never goes back (dynamic time warping). As OpenAI's timing.py. */
#ifndef SN_ENGINE_ALIGN_H
#define SN_ENGINE_ALIGN_H

#include <stdbool.h>
#include <stdint.h>

/* weights: [n_heads][n_tokens][n_rows], changed in place. The path leads over tokens [first, end); begins: [end - first], the
 * media row at which each begins. False without memory. */
bool align_tokens(float *weights, uint32_t n_heads, uint32_t n_tokens, uint32_t n_rows, uint32_t first, uint32_t end, uint32_t *begins);

/* Its parts. Keeps the first n_kept of each row's n weights, moved together, and makes them a whole again. */
void align_crop(float *weights, uint32_t n_lists, uint32_t n, uint32_t n_kept);
/* Median of 7 neighbours, mirrored at both ends; x: [n]. Up to 3 values are left as they are. scratch: [n + 6] */
void align_median(float *x, uint32_t n, float *scratch);
/* The path of least cost through cost [n][m] from one corner to the other by steps down, right and both. n, m > 0 */
bool align_path(const float *cost, uint32_t n, uint32_t m, uint32_t *begins);

#endif
