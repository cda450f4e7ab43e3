/* pretokenize.h - cuts plain text into the pieces that byte-level BPE merges within. Hand-written matchers for the
 * published regular expressions: each looks ahead at most to the end of the white space it stands on, so time is linear.
 *
 *   gpt-2:   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   smollm:  every \p{N} alone, then gpt-2 on what lies between
 *   llama3:  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 *            \s*[\r\n]+|\s+(?!\S)|\s+
 *   qwen2:   llama3 with \p{N} alone instead of \p{N}{1,3}
 *   tekken:  words end where a capital follows a small letter: with U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], L = [\p{Ll}\p{Lm}\p{Lo}\p{M}],
 *            [^\r\n\p{L}\p{N}]?U*L+|[^\r\n\p{L}\p{N}]?U+L*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *   gpt-4o:  tekken with (?i:'s|'t|'re|'ve|'m|'ll|'d)? behind both kinds of word, and \p{N}{1,3}
 *
 * Bytes that are not UTF-8 count as symbols ([^\s\p{L}\p{N}]). Classes are those of utf8proc (Unicode 15.0); Hugging
 * Face's come from Unicode 16: about 5,000 letters and 80 digits that were added since count as symbols here. */
#ifndef SN_TEXT_PRETOKENIZE_H
#define SN_TEXT_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct pretokenizer {
	const char *name;   /* GGUF's tokenizer.ggml.pre */
	int family;
	bool ignore_merges; /* what the name implies in a GGUF file: a piece that is a token is taken whole */
	bool add_bos;       /* ... unless the file says otherwise */
} pretokenizer;

/* By name; NULL if it is not one that this build has. */
const pretokenizer *pretokenizer_find(const char *name);
/* The name for a regular expression of tokenizer.json's Split; NULL if it is not one of those above. */
const char *pretokenizer_of_regex(const char *regex);
/* The other way round. */
const char *pretokenizer_regex(const char *name);
/* Length of the first piece of p[0..n), 1..n; n > 0. */
size_t pretokenizer_next(const pretokenizer *t, const char *p, size_t n);

#endif
