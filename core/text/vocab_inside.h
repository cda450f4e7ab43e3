/* vocab_inside.h - what a vocab is made of: vocab_open.c fills it, vocab.c uses it. */
#ifndef SN_TEXT_VOCAB_INSIDE_H
#define SN_TEXT_VOCAB_INSIDE_H

#include "text/bpe.h"
#include "text/pretokenize.h"
#include "text/special.h"
#include "text/spelling.h"
#include "text/spm.h"
#include "text/vocab.h"

enum { TOKEN_FLAG_CONTROL = 1, TOKEN_FLAG_EOG = 2 };

struct vocab {
	size_t n_tokens, longest;
	char *bytes;     /* all tokens' bytes, one after the other */
	uint32_t *begin; /* [n_tokens + 1] into bytes */
	uint8_t *flags;  /* [n_tokens] */
	special_set special; /* cut from the text as it came */
	special_set late;    /* cut from what is left, normalized */
	char *late_bytes;    /* their spellings, where they differ from the tokens' */
	bpe_table merges;
	const pretokenizer *pre; /* byte-level; NULL: SentencePiece */
	int32_t byte_id[256];    /* byte-level: -1: no token, and no unknown token to stand for it */
	str *whole;              /* [n_tokens] byte-level with ignore_merges: the pieces that are tokens, by their bytes */
	spelling_index whole_index;
	spm spm;
	int32_t bos, eos, eot, unk, last;
	bool add_bos, nfc, fuse_unk, replace_late, strip_blank;
};

#endif
