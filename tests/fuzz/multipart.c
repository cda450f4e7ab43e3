/* multipart.c - a form: the first line is the request's Content-Type, the rest its body. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	multipart m;
	sn_error err = {0};
	const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
	size_t n = line ? (size_t)(line - data) : size, skip = line ? n + 1 : n;
	char *type = malloc(n + 1);
	char *body = malloc(size - skip ? size - skip : 1); /* exactly as long, so that a sanitizer sees a read past the end */
	FUZZ_PROMISE(type && body);
	memcpy(type, data, n);
	type[n] = 0;
	memcpy(body, data + skip, size - skip);
	if (multipart_parse(&m, type, body, size - skip, &err) == SN_OK) {
		const char *at = body;
		FUZZ_PROMISE(multipart_is_form(type) && m.n <= MULTIPART_MAX_PARTS);
		for (size_t i = 0; i < m.n; i++) {
			const multipart_part *p = &m.parts[i];
			size_t length = strlen(p->name);
			FUZZ_PROMISE(length > 0 && strspn(p->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.[]") == length);
			FUZZ_PROMISE(p->data >= at && p->size <= (size_t)(body + (size - skip) - p->data));
			at = p->data + p->size;
			for (size_t k = 0; k < i; k++)
				FUZZ_PROMISE(strcmp(m.parts[k].name, p->name) != 0 || p->name[length - 1] == ']');
		}
	} else {
		FUZZ_PROMISE(err.status != SN_OK && *err.text);
	}
	free(type);
	free(body);
	return 0;
}
