/* data_url.c - data: URLs. */
#include "dataurl.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	dataurl d;
	sn_error err = {0};
	if (dataurl_decode(&d, (const char *)data, size, 1 << 16, "x", &err) == SN_OK) {
		FUZZ_PROMISE(d.size <= 1 << 16 && d.size <= size);
		dataurl_fini(&d);
	} else {
		FUZZ_PROMISE(err.status != SN_OK);
	}
	return 0;
}
