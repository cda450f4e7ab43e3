/* json.c - a client's body: JSON, chat fields, messages, data: URLs inside them. */
#include "chat_parse.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const chat_limits limits = {.images = 4, .media_bytes = 1 << 20};
	chat_body body;
	sn_error err = {0};
	if (chat_body_parse(&body, (const char *)data, size, &limits, &err) == SN_OK) {
		FUZZ_PROMISE(body.chat.n_messages > 0);
		chat_body_fini(&body);
	} else {
		FUZZ_PROMISE(err.status != SN_OK && *err.text);
	}
	return 0;
}
