/* json.c - a client's body: JSON, the fields of chat and of completions, messages, data: URLs inside them. */
#include <fcntl.h>

#include "chat_parse.h"
#include "completion_parse.h"
#include "fuzz.h"

/* An engine without models and plugins, for the questions that parsing asks. */
static sn_engine *engine_without_anything(const options *o)
{
	sn_engine *engine = NULL;
	sn_log *log = NULL;
	sn_error err;
	const sn_log_config quiet = {.level = SN_LOG_ERROR, .fd = open("/dev/null", O_WRONLY | O_CLOEXEC)};
	FUZZ_PROMISE(sn_log_open(&log, &quiet, &err) == SN_OK);
	const sn_engine_config config = {.log = log, .kv_cache_memory = 1 << 20, .threads = 1, .max_num_seqs = o->max_num_seqs};
	FUZZ_PROMISE(sn_engine_open(&engine, &config, &err) == SN_OK);
	return engine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static options o;
	static sn_engine *engine;
	chat_body body;
	sn_error err = {0};
	if (!engine) {
		FUZZ_PROMISE(options_parse(&o, CMD_SERVE, 0, NULL, &err) == SN_OK);
		engine = engine_without_anything(&o);
	}
	const chat_limits limits = {.options = &o, .media_bytes = 1 << 20, .engine = engine};
	if (chat_body_parse(&body, (const char *)data, size, &limits, &err) == SN_OK) {
		FUZZ_PROMISE(body.chat.n_messages > 0);
		chat_body_fini(&body);
	} else {
		FUZZ_PROMISE(err.status != SN_OK && *err.text);
	}
	completion_body completion;
	if (completion_body_parse(&completion, (const char *)data, size, &err) == SN_OK) {
		FUZZ_PROMISE(completion.n_prompts > 0 && completion.n_prompts <= MAX_PROMPTS);
		for (size_t i = 0; i < completion.n_prompts; i++)
			FUZZ_PROMISE(completion.prompts[i].text || completion.prompts[i].n_ids > 0);
		completion_body_fini(&completion);
	} else {
		FUZZ_PROMISE(err.status != SN_OK && *err.text);
	}
	return 0;
}
