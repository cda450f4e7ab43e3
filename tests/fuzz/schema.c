/* schema.c - a client's JSON Schema: refused with the reason, or a grammar that core takes or refuses; never more than a few times its size. */
#include <stdbool.h>

#include "fuzz.h"
#include "grammar/grammar.h"
#include "json.h"
#include "schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	sn_error err = {0};
	json_t *root;
	if (!begun)
		sn_json_init();
	begun = true;
	if (body_parse(&root, (const char *)data, size, &err) != SN_OK)
		return 0;
	out_buf text = {0};
	int rc = schema_grammar(root, "response_format", &text, &err);
	if (rc == SN_OK) {
		grammar *g = NULL;
		sn_status st = grammar_open(&g, (str){text.data, text.size}, &err);
		FUZZ_PROMISE(st == SN_OK || st == SN_ERR_UNSUPPORTED); /* what is written for core is a grammar, if maybe too large */
		grammar_close(&g);
	} else {
		FUZZ_PROMISE(*err.text);
	}
	out_fini(&text);
	json_decref(root);
	return 0;
}
