/* json.c - a client's body: JSON, the fields of chat and of completions, messages, data: URLs inside them. Each again while one
 * allocation fails: what is told then is that, and nothing is said of the body. */
#include <fcntl.h>

#include "chat_parse.h"
#include "completion_parse.h"
#include "fuzz.h"
#include "json.h"
#include "poor.h"

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

static int parse_chat(const uint8_t *data, size_t size, const chat_limits *limits)
{
	chat_body body;
	sn_error err = {0};
	int status = chat_body_parse(&body, (const char *)data, size, limits, &err);
	if (status == SN_OK) {
		FUZZ_PROMISE(body.chat.n_messages > 0);
		chat_body_fini(&body);
	} else {
		FUZZ_PROMISE(err.status == (sn_status)status && *err.text);
	}
	return status;
}

static int parse_completion(const uint8_t *data, size_t size)
{
	completion_body completion;
	sn_error err = {0};
	int status = completion_body_parse(&completion, (const char *)data, size, &err);
	if (status == SN_OK) {
		FUZZ_PROMISE(completion.n_prompts > 0 && completion.n_prompts <= MAX_PROMPTS);
		for (size_t i = 0; i < completion.n_prompts; i++)
			FUZZ_PROMISE(completion.prompts[i].text || completion.prompts[i].n_ids > 0);
		completion_body_fini(&completion);
	} else {
		FUZZ_PROMISE(err.status == (sn_status)status && *err.text);
	}
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static options o;
	static sn_engine *engine;
	sn_error err = {0};
	if (!engine) {
		sn_json_init();
		FUZZ_PROMISE(options_parse(&o, CMD_SERVE, 0, NULL, &err) == SN_OK);
		engine = engine_without_anything(&o);
	}
	const chat_limits limits = {.options = &o, .media_bytes = 1 << 20, .engine = engine};
	unsigned n = poor_choice(data, size, 60);
	int rich = parse_chat(data, size, &limits);
	poor_begin(n);
	int poor = parse_chat(data, size, &limits);
	FUZZ_PROMISE(poor_end() ? poor == SN_ERR_NOMEM : poor == rich);
	rich = parse_completion(data, size);
	poor_begin(n);
	poor = parse_completion(data, size);
	FUZZ_PROMISE(poor_end() ? poor == SN_ERR_NOMEM : poor == rich);
	return 0;
}
