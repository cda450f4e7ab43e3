/* golden.h - pictures, weights and hashes that tests/golden/image/common.py makes the same way, and file reading. */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

/* FNV-1a over 8-byte little-endian words, the last one padded with zeros. */
uint64_t golden_hash(const void *data, size_t n);

/* u8 [h][w][3], malloc'ed. */
uint8_t *golden_picture(uint32_t w, uint32_t h, uint32_t seed);

/* Fills out [count] with offset +- scale / 2, a function of name and index. */
void golden_weights(const char *name, size_t count, float scale, float offset, float *out);

/* The values of a tower's tensor: scale and offset by what the name says. */
void golden_tensor(const char *name, size_t n, float *out);

/* A whole file under GOLDEN_DIR, malloc'ed, with a NUL after its *n bytes; fails the test if it is not there. */
uint8_t *golden_file(const char *name, size_t *n);

/* The worst error of rows [n_rows][dim] against such a file, each as a part of its row's largest value; a number that is not finite
 * fails the test, and so does a file of another size. */
double golden_rows_error(const char *name, const float *rows, uint32_t n_rows, uint32_t dim);

#endif
