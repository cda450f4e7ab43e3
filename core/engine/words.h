/* words.h - the words of a window: which tokens and bytes of text they are, and when they are said. As OpenAI's timing.py and
 * the tokenizer's split_tokens_on_spaces / split_tokens_on_unicode.
 *
 * tokens     | the| cat|,| s|at|        subwords: tokens joined until they are whole characters
 * words      | the| cat|,| sat|         a word begins with a blank, or is punctuation
 * merged     | the| cat,| sat|          punctuation goes to the word that it belongs to
 *
 * Words stand side by side in one text, so that joining two joins their ranges. */
#ifndef SN_ENGINE_WORDS_H
#define SN_ENGINE_WORDS_H

#include "text/vocab.h"

typedef struct timed_word {
	uint32_t first, n_tokens; /* of the text's tokens */
	size_t at, size;          /* bytes of the text; 0 bytes: joined to a neighbour */
	double start, end;        /* seconds from the window's beginning */
} timed_word;

/* One segment of the window. */
typedef struct worded_segment {
	uint32_t n_tokens;     /* of text */
	double start, end;     /* seconds from the recording's beginning; changed to what its words say */
	uint32_t first_word, n_words; /* set */
} worded_segment;

/* What lies between blanks at both ends (Python's str.strip()). */
str blank_strip(str s);
/* Splits text tokens into words; text gets their bytes, words is [n_tokens]. language: a code, or "": those that do without blanks
 * are split at characters. False without memory. */
bool words_split(const vocab *v, const char *language, const int32_t *tokens, uint32_t n_tokens, buf *text, timed_word *words,
                 uint32_t *n_words);
/* Times from alignment; begins: [n_tokens + 1] the media row at which each token begins, and the text's end; step: seconds of one. */
void words_time(timed_word *words, uint32_t n_words, const uint32_t *begins, double step);
/* Shares timed words out to the window's segments, in order: words that are too long at a sentence's end or after a pause are cut,
 * punctuation is merged, empty words go, times become those of the recording (offset: where the window begins), hundredths.
 * last_end: where the last word before this window ended; changed, as is n_words. False without memory. */
bool words_settle(timed_word *words, uint32_t *n_words, const char *text, worded_segment *segments, uint32_t n_segments, double offset,
                  double *last_end);

#endif
