/* vocab.h - a vocabulary: token ids <-> bytes, for byte-level BPE (GPT-2, Llama 3, Qwen) and SentencePiece-like BPE (Llama 2,
 * Gemma).
 *
 * Encoding: special tokens are cut out first, leftmost-longest: control tokens only where their whole spelling is trusted,
 * and so are user-defined ones that look like them (<|...|>) or are marks of calls and of thinking; the other user-defined
 * tokens everywhere, since a model's author declared them to be text. What lies between is plain text, split into pieces
 * by the pre-tokenizer and merged by rank or score. The trust boundary itself never splits a piece: "Assistant: " + user
 * text gives the ids that one string gives. Merging text never makes a control token, nor, in SentencePiece files, an
 * unused one. Time is O(n log n) in the longest piece, and memory at most 28 bytes per byte of that piece (SentencePiece
 * without a token for U+2581: 84).
 *
 * Ids are those of the program that reads the same container: of Hugging Face tokenizers for directories, of llama.cpp
 * for GGUF files. Where the two differ: NFC is a matter of tokenizer.json (Qwen's has it), a GGUF file's text is not
 * normalized. Bytes that are not UTF-8, which neither of them takes, are symbols for pre-tokenizers and byte tokens for
 * SentencePiece, so that any bytes come back.
 *
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

/* Where SentencePiece puts a blank before plain text (what lies between two special tokens). */
typedef enum vocab_prefix {
	VOCAB_PREFIX_NONE,
	VOCAB_PREFIX_ALWAYS,       /* GGUF's add_space_prefix; tokenizer.json's normalizer Prepend */
	VOCAB_PREFIX_UNLESS_BLANK, /* Metaspace "always": not where the text starts with one */
	VOCAB_PREFIX_START,        /* Metaspace "first": the same, and only at the start of all text */
} vocab_prefix;

typedef struct vocab_merge {
	int32_t left, right, joined; /* ids */
} vocab_merge;

/* Everything is borrowed during vocab_open only. */
typedef struct vocab_config {
	const char *model;    /* "gpt2": byte-level BPE; "llama": SentencePiece, merged by score; "bpe": the same text, merged by rank */
	const char *pre;      /* gpt2: a name that pretokenize.c knows; NULL or "default" is refused */
	const str *tokens;    /* [n_tokens] id -> spelling; gpt2: normal tokens in the byte alphabet, special ones as they are */
	const int32_t *types; /* [n_tokens] token_type; NULL: all normal */
	const float *scores;  /* [n_tokens] for llama */
	size_t n_tokens;
	const str *merges;    /* [n_merges] "left right", best first, or ... */
	const vocab_merge *merge_ids; /* ... [n_merges] the same as ids */
	size_t n_merges;
	int32_t bos, eos, eot, unk; /* -1: none */
	const int32_t *eog;   /* [n_eog] tokens that end generation besides eos and eot; NULL: those with a known spelling */
	size_t n_eog;
	const bool *late;     /* [n_tokens] special tokens found after the others, in normalized text; NULL: none */
	const bool *rstrip;   /* [n_tokens] special tokens that take the white space behind them along, not late ones; NULL: none */
	int32_t last;         /* with add_last: stands behind a text as bos before it */
	bool add_bos, add_last;
	bool ignore_merges;   /* gpt2: a piece that is a token is taken whole */
	bool nfc;             /* gpt2: plain text is normalized first */
	bool unk_for_missing; /* unk stands for text that has no token */
	bool fuse_unk;        /* ... once for a run of it */
	bool split_blanks;    /* SentencePiece: nothing merges across the start of a blank (Metaspace's split) */
	bool replace_late;    /* SentencePiece: late tokens are spelled with U+2581 for a blank */
	bool strip_blank;     /* SentencePiece: decoded text loses one blank at its start */
	vocab_prefix prefix;
} vocab_config;

/* Refuses with SN_ERR_UNSUPPORTED (model or pre-tokenizer not built in) or SN_ERR_INVALID (the table is broken). Of
 * two tokens with one spelling the lower id is the one that encoding gives. */
sn_status vocab_open(vocab **out, const vocab_config *config, sn_error *err);
size_t vocab_bytes(const vocab *v); /* that it holds */
void vocab_close(vocab **v);

/* *ids is malloc'd and the caller's to free; NULL when *n is 0. No bos is added: templates write their own. */
sn_status vocab_encode(const vocab *v, const marked_text *text, int32_t **ids, size_t *n, sn_error *err);

/* The bytes that the token stands for (the byte alphabet undone, U+2581 a blank); a special token's spelling. Empty for a
 * bad id. */
str vocab_token(const vocab *v, int32_t id);
bool vocab_is_control(const vocab *v, int32_t id);
/* Does this token end generation: eos, eot, what the model's author listed, or else one of the spellings known for it. */
bool vocab_is_eog(const vocab *v, int32_t id);
/* The special token with this spelling, or -1. */
int32_t vocab_find(const vocab *v, str spelling);
size_t vocab_size(const vocab *v);
/* Bytes of text that one token can stand for: n bytes are at least n / longest tokens. */
size_t vocab_longest(const vocab *v);
/* Does decoded text lose one blank at its start, which encoding has put there? */
bool vocab_strips_blank(const vocab *v);
int32_t vocab_bos(const vocab *v); /* -1: none; the same below */
int32_t vocab_eos(const vocab *v);
int32_t vocab_unk(const vocab *v);
bool vocab_adds_bos(const vocab *v);
int32_t vocab_last(const vocab *v); /* what a text ends with where bos stands before it: embedding models' own; -1: none */

#endif
