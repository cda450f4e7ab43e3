/* proof.h - what the checks of kn_check share: what is under test, what was found, and memory that notices what it should not see.
 *
 *   check.c            the table of rows, and each row's check
 *   check_linear.c     products of matrices: what is stored, times what is computed with
 *   check_convert.c    stored types to floats and back
 *   check_rows.c       norms, rotations, elementwise functions
 *   check_attention.c  paged and dense attention
 *   check_sound.c      snakes and depthwise convolutions
 *
 * The truth is computed in double; the reference is one of the rows under test. Error bounds are derived from the number of
 * roundings on the way to a value (u = 2^-24 per rounding) and are stated at each check. Every input ends at a page that cannot
 * be read, every output at one that cannot be written; canaries stand before outputs and between their rows. Then the
 * bit-for-bit rule: a row alone equals the row in company, pieces of n equal the whole, pages may lie anywhere. */
#ifndef KN_PROOF_H
#define KN_PROOF_H

#include <stdbool.h>
#include <stdio.h>

#include "check.h"

static const double u = 0x1p-24;

/* The reference, and the reference with one member replaced by the row under test. */
extern kn_table ref, *t;

typedef struct family_check { const char *family; void (*check)(void); } family_check;
/* Each ends with NULL. */
extern const family_check linear_checks[], convert_checks[], row_checks[], attention_checks[], sound_checks[];

/* Counts; whether another failure is to be told, which it begins. */
bool check_failed(bool holds);
#define CHECK(condition, ...) \
	do { \
		if (check_failed(condition)) { \
			printf(__VA_ARGS__); \
			printf(" (%s)\n", #condition); \
		} \
	} while (0)

/* Buffers whose last byte lies before a page that faults. Reused by number, below N_BUFFER; contents are lost. */
enum { N_BUFFER = 12 };
void *buffer(int i, size_t bytes);
float *random_buffer(int i, size_t n);

/* m rows of n floats, ld apart; the last row ends at the guard. */
typedef struct output { float *y; size_t m, n, ld; } output;
output new_output(int i, size_t m, size_t n, size_t ld);
void check_canaries(output o, const char *shape);

/* Row against row, bit for bit. */
bool same(const float *a, const float *b, size_t n);
size_t count_nan(const float *y, size_t n);

/* Of a stored row, as value_in. */
double stored_value(kn_type type, const void *row, size_t i);

#endif
