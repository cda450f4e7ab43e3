#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "models_json.h"

typedef enum option_kind {
	OPT_TEXT,   /* const char * */
	OPT_LIST,   /* const char *[], followed by its count */
	OPT_UINT,   /* uint64_t */
	OPT_SIZE,   /* uint64_t, bytes with K, M, G */
	OPT_REAL,   /* double */
	OPT_ON,     /* bool, no value */
	OPT_OFF     /* bool, no value, clears */
} option_kind;

typedef struct option_row {
	const char *name;
	option_kind kind;
	size_t field;
	unsigned commands;
	const char *value;    /* what help calls it */
	const char *fallback; /* parsed like a given one; NULL: none */
	double min, max;
	const char *help;
} option_row;

#define FIELD(name) offsetof(options, name)
#define ENGINE (CMD_SERVE | CMD_RUN | CMD_SPEAK | CMD_BENCH)
#define PLAN (ENGINE | CMD_INSPECT)
#define ANY (ENGINE | CMD_INSPECT | CMD_ARCHITECTURES | CMD_PLUGINS | CMD_VERSION)
#define U32 4294967295.0
#define DEFAULT_MEDIA 16

static const option_row table[] = {
	{"--host", OPT_TEXT, FIELD(host), CMD_SERVE, "ADDRESS", "127.0.0.1", 0, 0, "address to listen on; other than loopback needs a key"},
	{"--port", OPT_UINT, FIELD(port), CMD_SERVE, "N", "8000", 0, 65535, "0: any free port, printed when ready"},
	{"--api-key", OPT_TEXT, FIELD(api_key), CMD_SERVE, "@FILE|env:NAME", NULL, 0, 0,
	 "where the keys are, one a line; never the key itself. SENSORIUM_API_KEY is read too"},
	{"--api-key-file", OPT_TEXT, FIELD(api_key_file), CMD_SERVE, "FILE", NULL, 0, 0, "same as --api-key @FILE; mode 0600"},
	{"--admin-api-key", OPT_TEXT, FIELD(admin_api_key), CMD_SERVE, "@FILE|env:NAME", NULL, 0, 0,
	 "keys that may also add plugins (POST /v1/plugins); without it nobody may"},
	{"--ssl-certfile", OPT_TEXT, FIELD(ssl_certfile), CMD_SERVE, "FILE", NULL, 0, 0,
	 "serve https with this certificate (PEM, then its chain); TLS 1.2 or later"},
	{"--ssl-keyfile", OPT_TEXT, FIELD(ssl_keyfile), CMD_SERVE, "FILE", NULL, 0, 0, "its private key (PEM, without password); mode 0600"},
	{"--served-model-name", OPT_TEXT, FIELD(served_model_name), CMD_SERVE, "NAME", NULL, 0, 0, "what clients call the model"},
	{"--model", OPT_LIST, FIELD(models), CMD_SERVE, "NAME=PATH", NULL, 0, OPTIONS_MAX_LIST, "one more model, under that name; may be repeated, beside MODEL or without it"},
	{"--mmproj", OPT_LIST, FIELD(mmproj), PLAN, "[NAME=]FILE", NULL, 0, OPTIONS_MAX_LIST,
	 "a media tower of a .gguf file, one a kind of media; without NAME of MODEL, or of the only --model"},
	{"--model-vocoder", OPT_LIST, FIELD(mmproj), PLAN, "[NAME=]FILE", NULL, 0, OPTIONS_MAX_LIST,
	 "the same, for the file that makes sound of what a speaking model says"},
	{"--speaker", OPT_TEXT, FIELD(speaker), CMD_SERVE, "NAME", NULL, 0, 0, "the model that speaks what the others answer, where a chat asks for audio"},
	{"--chat-template", OPT_LIST, FIELD(chat_template), CMD_SERVE | CMD_RUN, "[NAME=]FILE", NULL, 0, OPTIONS_MAX_LIST,
	 "Jinja file instead of the model's own; NAME as for --mmproj"},
	{"--pooling", OPT_LIST, FIELD(pooling), CMD_SERVE | CMD_INSPECT, "[NAME=]HOW", NULL, 0, OPTIONS_MAX_LIST,
	 "how embeddings are made of a text's rows: last, mean or cls; without it as the model says, or last"},
	{"--plugin-dir", OPT_TEXT, FIELD(plugin_dir), PLAN | CMD_PLUGINS, "DIR", NULL, 0, 0,
	 "absolute; default: plugins beside the program, else ../lib/sensorium/plugins"},
	{"--isolate-codecs", OPT_TEXT, FIELD(isolate_codecs), CMD_SERVE, "auto|on|off", "auto", 0, 0,
	 "decode media in sandboxed processes; auto: when listening beyond loopback"},
	{"--max-model-len", OPT_UINT, FIELD(max_model_len), PLAN, "N", "0", 0, U32, "tokens of context; 0: the model's own"},
	{"--max-num-seqs", OPT_UINT, FIELD(max_num_seqs), CMD_SERVE | CMD_BENCH | CMD_INSPECT, "N", "64", 1, 1024, "sequences in one step"},
	{"--max-num-batched-tokens", OPT_UINT, FIELD(max_num_batched_tokens), PLAN, "N", "512", 1, 65536, "rows in one step"},
	{"--max-queued-requests", OPT_UINT, FIELD(max_queued_requests), CMD_SERVE | CMD_INSPECT, "N", "128", 1, 1024, "waiting requests; more get 429"},
	{"--kv-cache-dtype", OPT_TEXT, FIELD(kv_cache_dtype), PLAN, "TYPE", "auto", 0, 0, "stored keys and values: f32, f16, bf16, q8_0 or fp8; auto: f32 for models in F32, else f16"},
	{"--kv-cache-memory", OPT_SIZE, FIELD(kv_cache_memory), PLAN, "BYTES", "0", 0, 0, "the page pool, e.g. 512M; 0: the engine's default"},
	{"--memory-limit", OPT_SIZE, FIELD(memory_limit), PLAN, "BYTES", "0", 0, 0, "weights, tables, buffers, plugins and pages together; 0: no limit"},
	{"--enable-prefix-caching", OPT_OFF, FIELD(no_prefix_caching), CMD_SERVE | CMD_RUN, NULL, NULL, 0, 0, "keep pages of earlier prompts (the default)"},
	{"--no-enable-prefix-caching", OPT_ON, FIELD(no_prefix_caching), CMD_SERVE | CMD_RUN, NULL, NULL, 0, 0, "do not"},
	{"--threads", OPT_UINT, FIELD(threads), PLAN, "N", "0", 0, 1024, "compute threads; 0: the cores this process may use"},
	{"--limit-mm-per-prompt", OPT_TEXT, FIELD(limit_mm), CMD_SERVE, "KIND=N,...", "image=16,video=4", 0, 0, "media of one request, at most 64; 16 of a kind that is not named"},
	{"--allowed-local-media-path", OPT_TEXT, FIELD(allowed_local_media_path), CMD_SERVE, "DIR", NULL, 0, 0,
	 "read file: URLs inside this folder; else none are read"},
	{"--allowed-media-domains", OPT_TEXT, FIELD(allowed_media_domains), CMD_SERVE, "LIST", NULL, 0, 0,
	 "fetch http: and https: URLs of HOST or HOST:PORT,...; else none are fetched"},
	{"--request-timeout", OPT_UINT, FIELD(request_timeout_s), CMD_SERVE, "SECONDS", "600", 0, 86400, "one request in all; 0: no limit"},
	{"--queue-timeout", OPT_UINT, FIELD(queue_timeout_s), CMD_SERVE, "SECONDS", "0", 0, 86400,
	 "until the first row of a request is computed; 0: no limit of its own"},
	{"--header-timeout", OPT_UINT, FIELD(header_timeout_s), CMD_SERVE, "SECONDS", "15", 1, 3600, "until the headers are complete"},
	{"--body-timeout", OPT_UINT, FIELD(body_timeout_s), CMD_SERVE, "SECONDS", "60", 1, 3600, "until the body is complete"},
	{"--write-timeout", OPT_UINT, FIELD(write_timeout_s), CMD_SERVE, "SECONDS", "30", 1, 3600, "for a client that does not read"},
	{"--keep-alive-timeout", OPT_UINT, FIELD(keep_alive_timeout_s), CMD_SERVE, "SECONDS", "5", 1, 3600, "between two requests of a connection"},
	{"--step-timeout", OPT_REAL, FIELD(step_timeout_s), CMD_SERVE, "SECONDS", "30", 0.05, 3600,
	 "watchdog: a longer step turns readiness off, one of ten times that ends the process"},
	{"--shutdown-timeout", OPT_UINT, FIELD(shutdown_timeout_s), CMD_SERVE, "SECONDS", "30", 0, 86400, "for running requests after SIGTERM"},
	{"--image", OPT_LIST, FIELD(images), CMD_RUN | CMD_BENCH, "FILE", NULL, 0, OPTIONS_MAX_LIST, "a picture; may be repeated"},
	{"--audio", OPT_LIST, FIELD(audio), CMD_RUN, "FILE", NULL, 0, OPTIONS_MAX_LIST, "a recording; may be repeated"},
	{"--video", OPT_LIST, FIELD(videos), CMD_RUN, "FILE", NULL, 0, OPTIONS_MAX_LIST, "a clip; may be repeated"},
	{"-o", OPT_TEXT, FIELD(output), CMD_SPEAK, "FILE", NULL, 0, 0, "where the sound goes: .wav, .flac, .mp3, .opus, .ogg or .pcm"},
	{"--model", OPT_TEXT, FIELD(model), CMD_SPEAK, "MODEL", NULL, 0, 0, "the same as MODEL"},
	{"--voice", OPT_TEXT, FIELD(voice), CMD_SPEAK, "NAME", NULL, 0, 0, "one of the model's voices; without it the voice default"},
	{"--language", OPT_TEXT, FIELD(language), CMD_SPEAK, "NAME", NULL, 0, 0, "a language that the model can be told; without it the voice's own, or the model finds out"},
	{"--instructions", OPT_TEXT, FIELD(instructions), CMD_SPEAK, "TEXT", NULL, 0, 0, "how it is to be said, where the model follows instructions"},
	{"--reference", OPT_TEXT, FIELD(reference), CMD_SPEAK, "FILE", NULL, 0, 0, "a recording in whose voice it is to be said, where the model can; then without --voice"},
	{"--speed", OPT_REAL, FIELD(speed), CMD_SPEAK, "X", "1", 0.25, 4, "so much faster, at the same pitch"},
	{"--temperature", OPT_REAL, FIELD(speech_temperature), CMD_SPEAK, "T", "-1", -1, 2, "below 0: the model's own"},
	{"--check", OPT_TEXT, FIELD(check), CMD_PLUGINS, "FILE", NULL, 0, 0, "does this plugin keep the contract? Exit code 0 if all checks pass"},
	{"--model", OPT_TEXT, FIELD(check_model), CMD_PLUGINS, "FILE", NULL, 0, 0, "check: a model file that its encoders claim"},
	{"--sample", OPT_LIST, FIELD(samples), CMD_PLUGINS, "FILE", NULL, 0, OPTIONS_MAX_LIST, "check: a file that its codecs read; may be repeated"},
	{"--only", OPT_TEXT, FIELD(only), CMD_PLUGINS, "CHECK", NULL, 0, 0, "check: this one alone, in this process (for a debugger)"},
	{"--time-limit", OPT_UINT, FIELD(time_limit_s), CMD_PLUGINS, "SECONDS", "60", 1, 3600, "check: of each of them"},
	{"--max-tokens", OPT_UINT, FIELD(max_tokens), CMD_RUN, "N", "0", 0, U32, "0: the rest of the context"},
	{"--temperature", OPT_REAL, FIELD(temperature), CMD_RUN, "T", "0", 0, 2, "0: always the likeliest token"},
	{"--seed", OPT_UINT, FIELD(seed), CMD_RUN | CMD_SPEAK, "N", "0", 0, 9007199254740992.0, "of the sampler"},
	{"--prompt-lengths", OPT_TEXT, FIELD(prompt_lengths), CMD_BENCH, "N,...", "128,512", 0, 0, "tokens of each prompt"},
	{"--batch-sizes", OPT_TEXT, FIELD(batch_sizes), CMD_BENCH, "N,...", "1,4,16", 0, 0, "sequences at once"},
	{"--output-len", OPT_UINT, FIELD(output_len), CMD_BENCH, "N", "64", 1, 1048576, "tokens generated by each sequence"},
	{"--rounds", OPT_UINT, FIELD(rounds), CMD_BENCH, "N", "3", 1, 99, "of which the median is told"},
	{"--json", OPT_ON, FIELD(json), CMD_BENCH | CMD_PLUGINS | CMD_INSPECT, NULL, NULL, 0, 0, "JSON instead of a table"},
	{"--tensors", OPT_ON, FIELD(tensors), CMD_INSPECT, NULL, NULL, 0, 0, "list every key and tensor of the file as well"},
	{"--log-level", OPT_TEXT, FIELD(log_level), ENGINE | CMD_PLUGINS, "debug|info|warn|error", "info", 0, 0, "lines below it are dropped"},
	{"--log-format", OPT_TEXT, FIELD(log_format), ENGINE | CMD_PLUGINS, "text|json", "text", 0, 0, "one line an event, on stderr"},
	{"--help", OPT_ON, FIELD(help), ANY, NULL, NULL, 0, 0, "this text"},
};

static const struct { const char *name; command cmd; const char *args, *help; } commands[] = {
	{"serve", CMD_SERVE, "[MODEL]", "serve MODEL (a .gguf file, or a folder) over HTTP"},
	{"run", CMD_RUN, "[MODEL] [--image|--audio|--video FILE]... QUESTION", "ask once, print the answer"},
	{"speak", CMD_SPEAK, "[MODEL] TEXT -o FILE", "say TEXT into a file"},
	{"bench", CMD_BENCH, "[MODEL] [--image FILE]...", "measure prompt and generation speed, and the time of a picture"},
	{"inspect", CMD_INSPECT, "MODEL", "describe a model file or folder, and the memory that serving it takes"},
	{"architectures", CMD_ARCHITECTURES, "", "which models run, from which files, with which weights"},
	{"plugins", CMD_PLUGINS, "", "list the plugins and say why one was refused; or check one"},
	{"version", CMD_VERSION, "", "print the version"},
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

bool command_find(const char *name, command *out)
{
	for (size_t i = 0; i < COUNT(commands); i++) {
		if (strcmp(name, commands[i].name) == 0) {
			*out = commands[i].cmd;
			return true;
		}
	}
	return false;
}

void options_usage(FILE *to)
{
	fputs("usage: sensorium COMMAND [OPTION]...\n\n", to);
	for (size_t i = 0; i < COUNT(commands); i++)
		fprintf(to, "  %-8s %-42s %s\n", commands[i].name, commands[i].args, commands[i].help);
	fputs("\n`sensorium COMMAND --help` lists a command's options.\n\n"
	      "exit codes: 0 fine, 1 failed, 2 bad command line or configuration, 3 model missing or refused,\n"
	      "            4 port in use, 5 the engine stopped answering\n", to);
}

void options_help(command cmd, FILE *to)
{
	for (size_t i = 0; i < COUNT(commands); i++)
		if (commands[i].cmd == cmd)
			fprintf(to, "usage: sensorium %s [OPTION]... %s\n%s\n\n", commands[i].name, commands[i].args, commands[i].help);
	for (const option_row *r = table; r < table + COUNT(table); r++) {
		if (!(r->commands & cmd))
			continue;
		char left[64];
		snprintf(left, sizeof left, "%s%s%s", r->name, r->value ? " " : "", r->value ? r->value : "");
		bool show = r->fallback && strcmp(r->fallback, "0") != 0;
		fprintf(to, "  %-34s %s%s%s%s\n", left, r->help, show ? " [" : "", show ? r->fallback : "", show ? "]" : "");
	}
}

static bool parse_uint(const char *text, bool bytes, uint64_t *out)
{
	char *end;
	errno = 0;
	unsigned long long v = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || errno)
		return false;
	unsigned shift = 0;
	if (bytes && *end) {
		const char *units = "KMG", *u = strchr(units, toupper((unsigned char)*end));
		if (!u)
			return false;
		shift = 10 * (unsigned)(u - units + 1);
		end++;
	}
	*out = (uint64_t)v << shift;
	return *end == 0 && (*out >> shift) == v;
}

static int option_set(options *o, const option_row *r, const char *value, sn_error *err)
{
	void *field = (char *)o + r->field;
	uint64_t n;
	double d;
	char *end;
	switch (r->kind) {
	case OPT_TEXT:
		*(const char **)field = value;
		return SN_OK;
	case OPT_LIST: {
		uint64_t *count = (uint64_t *)((const char **)field + OPTIONS_MAX_LIST);
		if ((double)*count >= r->max)
			return fault_set(err, SN_ERR_INVALID, NULL, "%s: more than %.0f", r->name, r->max);
		((const char **)field)[(*count)++] = value;
		return SN_OK;
	}
	case OPT_UINT:
		if (!parse_uint(value, false, &n) || (double)n < r->min || (double)n > r->max)
			return fault_set(err, SN_ERR_INVALID, NULL, "%s: needs a number from %.0f to %.0f", r->name, r->min, r->max);
		*(uint64_t *)field = n;
		return SN_OK;
	case OPT_SIZE:
		if (!parse_uint(value, true, &n))
			return fault_set(err, SN_ERR_INVALID, NULL, "%s: needs bytes, such as 512M or 2G", r->name);
		*(uint64_t *)field = n;
		return SN_OK;
	case OPT_REAL:
		d = strtod(value, &end);
		if (!*value || *end || !(d >= r->min && d <= r->max))
			return fault_set(err, SN_ERR_INVALID, NULL, "%s: needs a number from %g to %g", r->name, r->min, r->max);
		*(double *)field = d;
		return SN_OK;
	case OPT_ON:
	case OPT_OFF:
		break;
	}
	*(bool *)field = r->kind == OPT_ON;
	return SN_OK;
}

static size_t edit_distance(const char *a, size_t na, const char *b)
{
	size_t nb = strlen(b), row[64];
	if (nb >= COUNT(row))
		return 64;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[nb];
}

static int unknown_option(command cmd, const char *given, size_t size, sn_error *err)
{
	const option_row *near = NULL;
	size_t best = 5;
	for (const option_row *r = table; r < table + COUNT(table); r++) {
		size_t d = size < 64 ? edit_distance(given, size, r->name) : best;
		if ((r->commands & cmd) && d < best) {
			best = d;
			near = r;
		}
	}
	if (near)
		return fault_set(err, SN_ERR_INVALID, NULL, "unknown option %.*s; did you mean %s?", (int)size, given, near->name);
	return fault_set(err, SN_ERR_INVALID, NULL, "unknown option %.40s; see --help", given);
}

static const option_row *option_find(command cmd, const char *name, size_t size)
{
	for (const option_row *r = table; r < table + COUNT(table); r++)
		if ((r->commands & cmd) && strlen(r->name) == size && memcmp(r->name, name, size) == 0)
			return r;
	return NULL;
}

static int positionals_set(options *o, command cmd, const char **words, size_t n, sn_error *err)
{
	if (o->help)
		return SN_OK;
	size_t most = cmd == CMD_RUN || cmd == CMD_SPEAK ? 2 : cmd == CMD_SERVE || cmd == CMD_BENCH || cmd == CMD_INSPECT ? 1 : 0;
	if (n > most)
		return fault_set(err, SN_ERR_INVALID, NULL, "too many arguments; see --help");
	if ((cmd == CMD_SERVE || cmd == CMD_BENCH) && n)
		o->model = words[0];
	if (cmd == CMD_RUN || cmd == CMD_SPEAK) {
		if (!n)
			return fault_set(err, SN_ERR_INVALID, NULL, cmd == CMD_RUN ? "run needs a question" : "speak needs a text");
		if (n == 2 && o->model)
			return fault_set(err, SN_ERR_INVALID, NULL, "MODEL and --model are the same: one of them is too many");
		o->question = words[n - 1];
		o->model = n == 2 ? words[0] : o->model;
	}
	if (cmd == CMD_INSPECT) {
		if (!n)
			return fault_set(err, SN_ERR_INVALID, NULL, "inspect needs a model");
		o->model = words[0];
	}
	return SN_OK;
}

/* NAME=PATH; names are told apart here, what they lead to by model_choice.c. */
static int check_models(const options *o, sn_error *err)
{
	for (uint64_t i = 0; i < o->n_models; i++) {
		size_t n = strcspn(o->models[i], "=");
		if (!o->models[i][n] || !o->models[i][n + 1] || !model_name_is_plain(o->models[i], n))
			return fault_set(err, SN_ERR_INVALID, NULL, "--model: needs NAME=PATH, NAME made of 1 to 128 letters, digits and . _ - :");
		for (uint64_t k = 0; k < i; k++)
			if (strncmp(o->models[k], o->models[i], n + 1) == 0)
				return fault_set(err, SN_ERR_INVALID, NULL, "--model: two models are called %.*s", (int)n, o->models[i]);
	}
	return SN_OK;
}

static int check_words(options *o, sn_error *err)
{
	static const char *const levels[] = {"debug", "info", "warn", "error"};
	static const char *const dtypes[] = {[SN_KV_AUTO] = "auto", [SN_KV_F16] = "f16", [SN_KV_F32] = "f32", [SN_KV_BF16] = "bf16",
	                                     [SN_KV_Q8_0] = "q8_0", [SN_KV_FP8] = "fp8"};
	bool level_known = false, dtype_known = false;
	for (unsigned i = 0; o->log_level && i < COUNT(levels); i++) {
		if (strcmp(o->log_level, levels[i]) == 0) {
			o->level = (sn_log_level)i;
			level_known = true;
		}
	}
	if (o->log_level && !level_known)
		return fault_set(err, SN_ERR_INVALID, NULL, "--log-level: needs debug, info, warn or error");
	if (o->log_format && strcmp(o->log_format, "text") != 0 && strcmp(o->log_format, "json") != 0)
		return fault_set(err, SN_ERR_INVALID, NULL, "--log-format: needs text or json");
	for (unsigned i = 0; o->kv_cache_dtype && i < COUNT(dtypes); i++) {
		if (strcmp(o->kv_cache_dtype, dtypes[i]) == 0) {
			o->kv_dtype = (sn_kv_dtype)i;
			dtype_known = true;
		}
	}
	if (o->kv_cache_dtype && !dtype_known)
		return fault_set(err, SN_ERR_INVALID, NULL, "--kv-cache-dtype: needs auto, f32, f16, bf16, q8_0 or fp8");
	const char *isolate = o->isolate_codecs;
	if (isolate && strcmp(isolate, "auto") != 0 && strcmp(isolate, "on") != 0 && strcmp(isolate, "off") != 0)
		return fault_set(err, SN_ERR_INVALID, NULL, "--isolate-codecs: needs auto, on or off");
	for (const char *at = o->limit_mm; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		char *end;
		size_t name = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789-_");
		bool ok = name > 0 && name < SN_KIND_SIZE && at[name] == '=' && isdigit((unsigned char)at[name + 1]);
		unsigned long n = ok ? strtoul(at + name + 1, &end, 10) : 0;
		if (!ok || (*end && *end != ',') || n > SN_MAX_MEDIA)
			return fault_set(err, SN_ERR_INVALID, NULL, "--limit-mm-per-prompt: needs image=N or KIND=N,KIND=N, N from 0 to %d", SN_MAX_MEDIA);
	}
	return check_models(o, err);
}

uint32_t options_media_limit(const options *o, const char *kind)
{
	size_t n = strlen(kind);
	for (const char *at = o->limit_mm; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (strncmp(at, kind, n) == 0 && at[n] == '=')
			return (uint32_t)strtoul(at + n + 1, NULL, 10);
	return DEFAULT_MEDIA;
}

int options_parse(options *o, command cmd, int argc, char **argv, sn_error *err)
{
	const char *words[3];
	size_t n_words = 0;
	bool only_words = false;
	int rc = SN_OK;
	*o = (options){0};
	for (const option_row *r = table; r < table + COUNT(table) && rc == SN_OK; r++)
		if ((r->commands & cmd) && r->fallback)
			rc = option_set(o, r, r->fallback, err);
	for (int i = 0; i < argc && rc == SN_OK; i++) {
		const char *arg = argv[i], *equals = strchr(arg, '=');
		if (!only_words && strcmp(arg, "--") == 0) {
			only_words = true;
			continue;
		}
		if (only_words || arg[0] != '-' || !arg[1]) {
			if (n_words < COUNT(words))
				words[n_words++] = arg;
			continue;
		}
		size_t size = equals ? (size_t)(equals - arg) : strlen(arg);
		const option_row *r = option_find(cmd, arg, size);
		if (!r)
			return unknown_option(cmd, arg, size, err);
		if (r->kind == OPT_ON || r->kind == OPT_OFF) {
			if (equals)
				return fault_set(err, SN_ERR_INVALID, NULL, "%s takes no value", r->name);
			rc = option_set(o, r, NULL, err);
		} else if (equals || i + 1 < argc) {
			rc = option_set(o, r, equals ? equals + 1 : argv[++i], err);
			if (r->field == FIELD(seed))
				o->has_seed = true;
		} else {
			return fault_set(err, SN_ERR_INVALID, NULL, "%s needs %s", r->name, r->value);
		}
	}
	if (rc == SN_OK)
		rc = positionals_set(o, cmd, words, n_words, err);
	return rc == SN_OK ? check_words(o, err) : rc;
}
