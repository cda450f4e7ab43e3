/* hf_older.c - a directory's tokenizer.model (first byte even) or tekken.json (odd): refused with a reason, or a vocabulary whose tokens of a
 * text are tokens that it has. */
#include <stdlib.h>
#include <string.h>

#include "formats/hf_tokenizer.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char text[] = " The 12 caf\xC3\xA9s\n\n \xE2\x96\x81<s>[INST] don't \xFF";
	const bool tekken = size && data[0] & 1;
	arena *mem = arena_open(0);
	vocab_config config;
	marked_text marked;
	vocab *v = NULL;
	int32_t *ids = NULL;
	size_t n = 0;
	sn_error err = {0};
	fuzz_folder_put("tokenizer.model", tekken || !size ? NULL : data + 1, tekken || !size ? 0 : size - 1);
	fuzz_folder_put("tekken.json", tekken ? data + 1 : NULL, tekken ? size - 1 : 0);
	if (hf_tokenizer_read(&config, mem, fuzz_folder(), &err) == SN_OK && vocab_open(&v, &config, &err) == SN_OK) {
		marked_init(&marked, 0);
		marked_append(&marked, text, sizeof text - 1, true);
		if (vocab_encode(v, &marked, &ids, &n, &err) != SN_OK)
			FUZZ_PROMISE(*err.text);
		for (size_t i = 0; i < n; i++)
			FUZZ_PROMISE(ids[i] >= 0 && (size_t)ids[i] < vocab_size(v));
		free(ids);
		marked_fini(&marked);
	} else {
		FUZZ_PROMISE(err.status != SN_OK && *err.text);
	}
	vocab_close(&v);
	arena_close(&mem);
	return 0;
}
