/* gguf.c - a GGUF file: the container, and whatever a model or a tower asks of it. */
#include "base/error.h"
#include "formats/model_file.h"
#include "fuzz.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = fuzz_file(data, size);
	sn_error err = {0};
	model_file *f = NULL;
	if (model_file_open(&f, path, &err) == SN_OK) {
		for (size_t i = 0; i < f->n_tensors; i++) {
			const file_tensor *t = &f->tensors[i];
			FUZZ_PROMISE(t->data >= f->maps->p && t->bytes <= f->maps->n - (size_t)(t->data - f->maps->p));
			FUZZ_PROMISE(file_tensor_find(f, arena_strndup(f->mem, t->name.p, t->name.n)) != NULL);
		}
		model_file_close(&f);
		static ops o;
		static pool *threads;
		if (!threads && pool_open(&threads, 1, &err) == SN_OK)
			ops_init(&o, threads, (kn_isa)0);
		model *m = NULL;
		if (model_open(&m, path, NULL, SN_KV_AUTO, &o, &err) == SN_OK)
			model_close(&m);
		else
			FUZZ_PROMISE(*err.text);
	} else {
		FUZZ_PROMISE(err.status != SN_OK && *err.text);
	}
	fuzz_file_close();
	return 0;
}
