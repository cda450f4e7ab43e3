/* hf_dir.c - a Hugging Face directory: config.json, NUL, generation_config.json, NUL, model.safetensors, beside always the same
 * tokenizer.json. Refused with a reason, or every byte of its tensors is there to be read. */
#include <string.h>

#include "formats/model_file.h"
#include "fuzz.h"

/* Of which a model that writes down recordings is asked for its tokens. */
static const char tokenizer[] =
    "{\"added_tokens\": [{\"id\": 1, \"content\": \"<|en|>\"}, {\"id\": 2, \"content\": \"<|nospeech|>\"}, {\"id\": 3, \"content\": "
    "\"<|notimestamps|>\"}, {\"id\": 4, \"content\": \"<|0.00|>\"}, {\"id\": 5, \"content\": \"<|0.02|>\"}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"config.json", "generation_config.json", "model.safetensors"};
	model_file *f = NULL;
	sn_error err = {0};
	for (size_t i = 0; i < 3; i++) {
		const uint8_t *cut = i < 2 && size ? memchr(data, 0, size) : NULL;
		const size_t n = cut ? (size_t)(cut - data) : size;
		fuzz_folder_put(names[i], n ? data : NULL, n);
		data += cut ? n + 1 : n;
		size -= cut ? n + 1 : n;
	}
	fuzz_folder_put("tokenizer.json", (const uint8_t *)tokenizer, sizeof tokenizer - 1);
	if (model_file_open(&f, fuzz_folder(), &err) == SN_OK) {
		volatile uint8_t all = 0;
		for (size_t i = 0; i < f->n_tensors; i++)
			for (uint64_t b = 0; b < f->tensors[i].bytes; b++)
				all ^= f->tensors[i].data[b];
		(void)all;
	} else {
		FUZZ_PROMISE(err.status != SN_OK && *err.text);
	}
	model_file_close(&f);
	return 0;
}
