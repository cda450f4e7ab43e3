/* sentences.h - text, as it comes in, cut into what is spoken at a time: sentences, or where one is too long its clauses, or runs of
 * words, or, of a word that is too long itself, characters.
 *
 * Where it is cut depends on the text alone, not on the pieces that it came in: a sentence is handed out once what follows it has
 * shown that it is over (or there is no more). Abbreviations, initials, ordinals and decimals end none. Blanks are single ones in
 * what is handed out, an empty line is an end; a part without a letter or a digit has nothing to say and is left out. Bytes that
 * are not UTF-8 become U+FFFD. */
#ifndef SN_TEXT_SENTENCES_H
#define SN_TEXT_SENTENCES_H

#include "base/buf.h"
#include "base/str.h"

typedef struct sentences {
	buf text;       /* blanks made single ones; what lies before `at` was handed out */
	size_t at, max; /* bytes of an utterance */
	char tail[4];   /* of a character that is not complete */
	size_t n_tail;
	bool gap, paragraph; /* blanks came since the last character, an empty line among them */
	unsigned newlines;   /* since then */
	bool finished;
} sentences;

void sentences_init(sentences *s, size_t max); /* max: at least 16 */
void sentences_fini(sentences *s);
/* False without memory. */
bool sentences_push(sentences *s, const char *p, size_t n);
/* There is no more: what is left will be handed out. */
void sentences_finish(sentences *s);
/* The next one that is known to be whole, at most max bytes; false: there is none yet. Valid until the next call. */
bool sentences_next(sentences *s, str *out);

#endif
