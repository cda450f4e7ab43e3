/* plugin_engine.h - an engine with the miniature of tests/golden/engine and a plugin folder of the test's own making. */
#ifndef TESTS_PLUGIN_ENGINE_H
#define TESTS_PLUGIN_ENGINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core.h"

enum { MINI_DIM = 64, MINI_VOCAB = 272 };

/* A folder under /tmp that goes with folder_close. */
typedef struct folder {
	char path[64];
} folder;

void folder_open(folder *f);
void folder_add(const folder *f, const char *from, const char *as); /* as NULL: under its own name */
void folder_close(folder *f);

sn_engine *mini_open(const char *plugin_dir, sn_log *log, sn_engine_config c); /* fails the test if it does not start */

/* One question with one medium before it; NULL kind: text alone. */
typedef struct question {
	const char *kind;
	const void *data;
	size_t size;
	const char *text;
	uint32_t max_tokens;
} question;

typedef struct reply {
	sn_status status;
	sn_error error;
	sn_usage usage;
	uint32_t n;
	int32_t ids[64];
	float logprobs[64][1 + SN_MAX_TOP_LOGPROBS];
	float logits[MINI_VOCAB]; /* of the last step */
} reply;

sn_status mini_submit(sn_engine *e, const question *q, sn_request **r, sn_error *err);
void mini_ask(sn_engine *e, const question *q, reply *out);
void mini_wait(sn_request *r, reply *out);
/* The listing's entry of that id; fails the test if there is none. */
sn_plugin_info mini_plugin(sn_engine *e, const char *id);

#endif
