/* data_url.c - data: URLs; each again without memory for what is in it. */
#include "dataurl.h"
#include "fuzz.h"
#include "poor.h"

static int decode(const uint8_t *data, size_t size)
{
	dataurl d;
	sn_error err = {0};
	int status = dataurl_decode(&d, (const char *)data, size, 1 << 16, "x", &err);
	if (status == SN_OK) {
		FUZZ_PROMISE(d.size <= 1 << 16 && d.size <= size);
		dataurl_fini(&d);
	} else {
		FUZZ_PROMISE(err.status == (sn_status)status && *err.text);
	}
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int rich = decode(data, size);
	poor_begin(1);
	int poor = decode(data, size);
	FUZZ_PROMISE(poor_end() ? poor == SN_ERR_NOMEM : poor == rich);
	return 0;
}
