/* hf_tokenizer.c - a directory's tokenizer.json and, after a NUL, its tokenizer_config.json: refused with a reason, or a vocabulary
 * whose tokens of a text are tokens that it has. */
#include <stdlib.h>
#include <string.h>

#include "formats/hf_tokenizer.h"
#include "fuzz.h"

static void encode(const vocab *v)
{
	static const char text[] = " The 12 caf\xC3\xA9s\n\n e\xCC\x81 \xE2\x96\x81<s><|end|> don't \xFF";
	marked_text marked;
	int32_t *ids = NULL;
	size_t n = 0;
	sn_error err = {0};
	marked_init(&marked, 0);
	marked_append(&marked, text, sizeof text - 1, true);
	if (vocab_encode(v, &marked, &ids, &n, &err) == SN_OK)
		for (size_t i = 0; i < n; i++)
			FUZZ_PROMISE(ids[i] >= 0 && (size_t)ids[i] < vocab_size(v));
	else
		FUZZ_PROMISE(*err.text);
	free(ids);
	marked_fini(&marked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *cut = size ? memchr(data, 0, size) : NULL;
	const size_t n = cut ? (size_t)(cut - data) : size;
	arena *mem = arena_open(0);
	vocab_config config;
	vocab *v = NULL;
	sn_error err = {0};
	fuzz_folder_put("tokenizer.json", data, n);
	fuzz_folder_put("tokenizer_config.json", cut ? cut + 1 : NULL, cut ? size - n - 1 : 0);
	if (hf_tokenizer_read(&config, mem, fuzz_folder(), &err) == SN_OK && vocab_open(&v, &config, &err) == SN_OK)
		encode(v);
	else
		FUZZ_PROMISE(err.status != SN_OK && *err.text);
	vocab_close(&v);
	arena_close(&mem);
	return 0;
}
