/* pretokenize.h - cuts plain text into the pieces that BPE merges within. Hand-written matchers for the published
 * regular expressions: each looks ahead at most to the end of the white space it stands on, so time is linear.
 *
 *   gpt-2:   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   smollm:  every \p{N} alone, then gpt-2 on what lies between
 *
 * Bytes that are not UTF-8 count as symbols ([^\s\p{L}\p{N}]). */
#ifndef SN_TEXT_PRETOKENIZE_H
#define SN_TEXT_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct pretokenizer pretokenizer;

/* By GGUF's tokenizer.ggml.pre; NULL if it is not one that this build has. */
const pretokenizer *pretokenizer_find(const char *name);
/* Length of the first piece of p[0..n), 1..n; n > 0. */
size_t pretokenizer_next(const pretokenizer *t, const char *p, size_t n);

#endif
