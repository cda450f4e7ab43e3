/* tokenizer.c - any bytes through a vocabulary: encoding ends, and decoding gives the same bytes back. The first byte chooses the
 * kind, the second where trust begins. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "text/vocab.h"

enum { MAX_TOKENS = 280 };

/* A vocabulary while it is made. */
typedef struct parts {
	str tokens[MAX_TOKENS];
	int32_t types[MAX_TOKENS];
	float scores[MAX_TOKENS];
	size_t n;
} parts;

static void put(parts *p, const char *spelling, token_type type)
{
	p->tokens[p->n] = str_of(spelling);
	p->scores[p->n] = -(float)p->n;
	p->types[p->n++] = type;
}

static void put_specials(parts *p)
{
	put(p, "<|im_end|>", TOKEN_CONTROL);
	put(p, "<|im|>", TOKEN_CONTROL);
	put(p, "[x]", TOKEN_USER_DEFINED);
}

static vocab *make(const parts *p, vocab_config c)
{
	vocab *v = NULL;
	sn_error err = {0};
	c.tokens = p->tokens;
	c.types = p->types;
	c.scores = strcmp(c.model, "llama") ? NULL : p->scores;
	c.n_tokens = p->n;
	c.bos = c.eos = c.eot = c.unk = -1;
	if (vocab_open(&v, &c, &err) != SN_OK)
		fuzz_broken(err.text, c.model, 0);
	return v;
}

static size_t put_utf8(char *out, unsigned cp)
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	out[0] = (char)(0xC0 | cp >> 6);
	out[1] = (char)(0x80 | (cp & 0x3F));
	return 2;
}

/* 256 bytes, a few merges. */
static vocab *make_bytes(const char *pre, bool nfc)
{
	static const str merges[] = {STR("a b"), STR("ab a"), STR("\xC4\xA0 a"), STR("1 2")};
	char spelling[256][3] = {{0}};
	parts p = {.n = 0};
	unsigned others = 256;
	for (unsigned b = 0; b < 256; b++) {
		bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
		size_t n = put_utf8(spelling[b], itself ? b : others++);
		put(&p, spelling[b], TOKEN_NORMAL);
		p.tokens[b].n = n;
	}
	for (const char *const *t = (const char *const[]){"ab", "aba", "\xC4\xA0" "a", "12", NULL}; *t; t++)
		put(&p, *t, TOKEN_NORMAL);
	put_specials(&p);
	return make(&p, (vocab_config){.model = "gpt2", .pre = pre, .nfc = nfc, .merges = merges, .n_merges = sizeof merges / sizeof *merges});
}

/* Byte tokens, a few characters and pieces of them: SentencePiece, by score or by rank. */
static vocab *make_pieces(const char *model, vocab_prefix prefix)
{
	enum { BLANK_A = 256, AB, ABA, TWO_BLANKS, BLANK, A, B };
	static const vocab_merge merges[] = {{BLANK, A, BLANK_A}, {A, B, AB}, {AB, A, ABA}, {BLANK, BLANK, TWO_BLANKS}};
	const bool by_rank = strcmp(model, "bpe") == 0;
	char spelling[256][8];
	parts p = {.n = 0};
	for (unsigned b = 0; b < 256; b++) {
		snprintf(spelling[b], sizeof spelling[b], "<0x%02X>", b);
		put(&p, spelling[b], TOKEN_BYTE);
	}
	for (const char *const *t = (const char *const[]){"\xE2\x96\x81" "a", "ab", "aba", "\xE2\x96\x81\xE2\x96\x81",
	                                            "\xE2\x96\x81", "a", "b", "\xC3\xA9", NULL}; *t; t++)
		put(&p, *t, TOKEN_NORMAL);
	put_specials(&p);
	return make(&p, (vocab_config){.model = model, .prefix = prefix, .merge_ids = by_rank ? merges : NULL,
	                               .n_merges = by_rank ? sizeof merges / sizeof *merges : 0});
}

/* Text as SentencePiece gives it back: U+2581 is a blank. */
static size_t with_blanks(uint8_t *out, const uint8_t *data, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < size;) {
		bool blank = size - i >= 3 && !memcmp(data + i, "\xE2\x96\x81", 3);
		out[n++] = blank ? ' ' : data[i];
		i += blank ? 3 : 1;
	}
	return n;
}

enum { GPT2, SMOLLM, LLAMA3, QWEN2, BY_SCORE, BY_RANK, PREFIXED, NORMALIZED, KINDS };

static vocab *make_kind(unsigned kind)
{
	switch (kind) {
	case GPT2: return make_bytes("gpt-2", false);
	case SMOLLM: return make_bytes("smollm", false);
	case LLAMA3: return make_bytes("llama-bpe", false);
	case QWEN2: return make_bytes("qwen2", false);
	case BY_SCORE: return make_pieces("llama", VOCAB_PREFIX_NONE);
	case BY_RANK: return make_pieces("bpe", VOCAB_PREFIX_NONE);
	case PREFIXED: return make_pieces("llama", VOCAB_PREFIX_ALWAYS);
	default: return make_bytes("qwen2", true);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static vocab *kinds[KINDS];
	uint8_t blanks[4096];
	if (size < 2 || size > sizeof blanks)
		return 0;
	const unsigned kind = data[0] % KINDS;
	size_t cut = data[1] % (size - 1);
	if (!kinds[kind])
		kinds[kind] = make_kind(kind);
	const vocab *v = kinds[kind];
	marked_text text;
	int32_t *ids = NULL;
	size_t n = 0, at = 0;
	sn_error err = {0};
	data += 2, size -= 2;
	cut = cut < size ? cut : size;
	marked_init(&text, 0);
	marked_append(&text, (const char *)data, cut, false);
	marked_append(&text, (const char *)data + cut, size - cut, true);
	FUZZ_PROMISE(vocab_encode(v, &text, &ids, &n, &err) == SN_OK);
	if (kind == BY_SCORE || kind == BY_RANK) {
		size = with_blanks(blanks, data, size);
		data = blanks;
		cut = 0; /* is elsewhere now */
	}
	const bool comes_back = kind != PREFIXED && kind != NORMALIZED;
	for (size_t i = 0; i < n; i++) {
		str bytes = vocab_token(v, ids[i]);
		FUZZ_PROMISE(ids[i] >= 0 && bytes.n);
		if (!comes_back)
			continue;
		FUZZ_PROMISE(bytes.n <= size - at && memcmp(bytes.p, data + at, bytes.n) == 0);
		FUZZ_PROMISE(!vocab_is_control(v, ids[i]) || at >= cut); /* untrusted text never becomes a special token */
		at += bytes.n;
	}
	FUZZ_PROMISE(!comes_back || at == size);
	free(ids);
	marked_fini(&text);
	return 0;
}
