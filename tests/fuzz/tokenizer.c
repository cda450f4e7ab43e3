/* tokenizer.c - any bytes through a byte-level BPE vocabulary: encoding ends, and decoding gives the same bytes back. The first
 * byte chooses the pre-tokenizer, the second where trust begins. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "text/vocab.h"

enum { MERGES = 4 };

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

/* 256 bytes, a few merges, two special tokens. */
static vocab *make(const char *pre)
{
	static char spelling[256][3];
	static const char *const merges[MERGES] = {"a b", "ab a", "\xC4\xA0 a", "1 2"}, *const merged[MERGES] = {"ab", "aba", "\xC4\xA0" "a", "12"};
	str tokens[256 + MERGES + 2], list[MERGES];
	int32_t types[256 + MERGES + 2];
	unsigned others = 256;
	for (unsigned b = 0; b < 256; b++) {
		bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
		tokens[b] = (str){spelling[b], put_utf8(spelling[b], itself ? b : others++)};
		types[b] = TOKEN_NORMAL;
	}
	for (int i = 0; i < MERGES; i++) {
		tokens[256 + i] = str_of(merged[i]);
		types[256 + i] = TOKEN_NORMAL;
		list[i] = str_of(merges[i]);
	}
	tokens[256 + MERGES] = STR("<|im_end|>");
	tokens[257 + MERGES] = STR("<|im|>");
	types[256 + MERGES] = types[257 + MERGES] = TOKEN_CONTROL;
	vocab_config c = {.model = "gpt2", .pre = pre, .tokens = tokens, .types = types, .n_tokens = 258 + MERGES, .merges = list, .n_merges = MERGES,
	                  .bos = -1, .eos = -1, .eot = -1, .unk = -1};
	vocab *v = NULL;
	sn_error err = {0};
	if (vocab_open(&v, &c, &err) != SN_OK)
		fuzz_broken(err.text, pre, 0);
	return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const pres[] = {"gpt-2", "smollm"};
	static vocab *v[sizeof pres / sizeof *pres];
	if (size < 2 || size > 4096)
		return 0;
	size_t which = data[0] % (sizeof pres / sizeof *pres), cut = data[1] % (size - 1);
	if (!v[which])
		v[which] = make(pres[which]);
	marked_text text;
	int32_t *ids = NULL;
	size_t n = 0, at = 0;
	sn_error err = {0};
	data += 2, size -= 2;
	cut = cut < size ? cut : size;
	marked_init(&text, 0);
	marked_append(&text, (const char *)data, cut, false);
	marked_append(&text, (const char *)data + cut, size - cut, true);
	FUZZ_PROMISE(vocab_encode(v[which], &text, &ids, &n, &err) == SN_OK);
	for (size_t i = 0; i < n; i++) {
		str bytes = vocab_token(v[which], ids[i]);
		FUZZ_PROMISE(bytes.n && bytes.n <= size - at && memcmp(bytes.p, data + at, bytes.n) == 0);
		FUZZ_PROMISE(!vocab_is_control(v[which], ids[i]) || at >= cut); /* untrusted text never becomes a special token */
		at += bytes.n;
	}
	FUZZ_PROMISE(at == size);
	free(ids);
	marked_fini(&text);
	return 0;
}
