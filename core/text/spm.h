/* spm.h - spelling text for SentencePiece-like vocabularies: characters instead of bytes, U+2581 for each blank, byte
 * tokens or the unknown token for what has no token. Merging is bpe.h's, by rank: of merges in a tokenizer.json, or of
 * scores in a GGUF file, where a pair merges if both together spell a token.
 *
 * A character that has no token but occurs in some gets an id beyond the vocabulary, so that it can still merge. Bytes
 * that are not UTF-8 become byte tokens. Text is cut before a blank that follows something else wherever no token of the
 * vocabulary spans such a place: no merge could, and short pieces are merged faster. */
#ifndef SN_TEXT_SPM_H
#define SN_TEXT_SPM_H

#include "core.h"
#include "text/bpe.h"
#include "text/vocab.h"

typedef struct spm_char {
	uint32_t cp; /* SPM_NO_CHAR: an empty slot */
	int32_t id;  /* of its token, or >= n_tokens */
} spm_char;

#define SPM_NO_CHAR UINT32_MAX

typedef struct spm {
	spm_char *chars; /* [mask + 1] open addressing */
	size_t mask, n_chars;
	uint32_t *extra; /* [n_extra] the characters with ids n_tokens + i */
	size_t n_extra, n_tokens;
	int32_t byte_id[256]; /* -1: no such token */
	int32_t unk;          /* -1: none */
	bool fuse_unk, cut_blanks, every_blank; /* cut before a blank after something else; before every one */
	unsigned blank_symbols; /* how many symbols a blank becomes at most */
	vocab_prefix prefix;
} spm;

/* Reads characters and byte tokens; mergeable[i]: token i may come from merging text. For "llama" also makes the
 * merges, into a table that the caller releases. */
sn_status spm_init(spm *s, const vocab_config *c, const bool *mergeable, bpe_table *merges, sn_error *err);
void spm_fini(spm *s);

/* <0xNN>: two capital hexadecimal digits, nothing else. -1 if it is not that. */
int spm_byte_of(str spelling);
/* Appends the ids of p[0..n); at_start: nothing was cut out before it. False when memory is short. */
bool spm_encode(const spm *s, const bpe_table *merges, bpe_work *w, str text, bool at_start, id_list *out);

#endif
