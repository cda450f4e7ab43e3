/* safetensors.c - a safetensors file: whatever its header says, tensors lie inside the file. */
#include "formats/safetensors.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const file_map map = {data, size};
	arena *mem = arena_open(0);
	st_tensor *tensors = NULL;
	size_t n = 0;
	sn_error err = {0};
	if (safetensors_parse(&tensors, &n, &map, "input", mem, &err) == SN_OK) {
		for (size_t i = 0; i < n; i++)
			FUZZ_PROMISE(tensors[i].data >= data && tensors[i].bytes <= size - (size_t)(tensors[i].data - data) && tensors[i].rank <= ST_MAX_RANK);
	} else {
		FUZZ_PROMISE(err.status != SN_OK && *err.text);
	}
	arena_close(&mem);
	return 0;
}
