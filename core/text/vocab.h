/* vocab.h - a vocabulary: token ids <-> bytes, for byte-level BPE (GGUF model "gpt2").
 *
 * Encoding: special tokens (types control and user-defined) are cut out first, leftmost-longest, and only where their
 * whole spelling is trusted; what lies between is plain text, split into pieces by the pre-tokenizer and merged by
 * rank. The trust boundary itself never splits a piece: "Assistant: " + user text gives the ids that one string
 * gives. Time is O(n log n) in the longest piece, and memory at most 28 bytes per byte of that piece.
 * A vocab is immutable after vocab_open: all calls may run on many threads at once. */
#ifndef SN_TEXT_VOCAB_H
#define SN_TEXT_VOCAB_H

#include "base/error.h"
#include "base/str.h"
#include "text/marked.h"

typedef struct vocab vocab;

/* GGUF's numbers for tokenizer.ggml.token_type. */
typedef enum token_type {
	TOKEN_NORMAL = 1, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER_DEFINED, TOKEN_UNUSED, TOKEN_BYTE
} token_type;

/* Everything is borrowed during vocab_open only. */
typedef struct vocab_config {
	const char *model;    /* "gpt2" */
	const char *pre;      /* "gpt-2" or "smollm" (and names that mean the same); NULL or "default" is refused */
	const str *tokens;    /* [n_tokens] id -> spelling; normal tokens in the byte alphabet, special ones as they are */
	const int32_t *types; /* [n_tokens] token_type; NULL: all normal */
	size_t n_tokens;
	const str *merges;    /* [n_merges] "left right", best first */
	size_t n_merges;
	int32_t bos, eos, eot, unk; /* -1: none */
	bool add_bos;
} vocab_config;

/* Refuses with SN_ERR_UNSUPPORTED (model or pre-tokenizer not built in) or SN_ERR_INVALID (the table is broken). Of
 * two tokens with one spelling the lower id is the one that encoding gives. */
sn_status vocab_open(vocab **out, const vocab_config *config, sn_error *err);
void vocab_close(vocab **v);

/* *ids is malloc'd and the caller's to free; NULL when *n is 0. No bos is added: templates write their own. */
sn_status vocab_encode(const vocab *v, const marked_text *text, int32_t **ids, size_t *n, sn_error *err);

/* The bytes that the token stands for (the byte alphabet undone); a special token's spelling. Empty for a bad id. */
str vocab_token(const vocab *v, int32_t id);
bool vocab_is_control(const vocab *v, int32_t id);
/* Does this token end generation: eos, eot, or one of the spellings known for it (<|im_end|>, <end_of_utterance>...) */
bool vocab_is_eog(const vocab *v, int32_t id);
/* The special token with this spelling, or -1. */
int32_t vocab_find(const vocab *v, str spelling);
size_t vocab_size(const vocab *v);
/* Bytes of the longest token: n bytes of text are at least n / longest tokens. */
size_t vocab_longest(const vocab *v);
int32_t vocab_bos(const vocab *v); /* -1: none; the same below */
int32_t vocab_eos(const vocab *v);
int32_t vocab_unk(const vocab *v);
bool vocab_adds_bos(const vocab *v);

#endif
