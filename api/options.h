/* options.h - the command line. Flags, defaults and help come from the one table in options.c. */
#ifndef API_OPTIONS_H
#define API_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core.h"

#define OPTIONS_MAX_LIST 16

typedef struct options {
	const char *model;       /* positional; NULL: the sample model */
	const char *question;    /* run: what is asked; speak: what is said */
	const char *output, *voice, *language, *instructions, *reference; /* speak */
	double speed, speech_temperature;
	const char *speaker;     /* serve */
	const char *models[OPTIONS_MAX_LIST]; /* NAME=PATH */
	uint64_t n_models;
	const char *mmproj[OPTIONS_MAX_LIST]; /* FILE or NAME=FILE, as model_choice.h tells them apart */
	uint64_t n_mmproj;
	const char *chat_template[OPTIONS_MAX_LIST]; /* likewise */
	uint64_t n_chat_template;
	const char *pooling[OPTIONS_MAX_LIST]; /* likewise */
	uint64_t n_pooling;
	const char *images[OPTIONS_MAX_LIST];
	uint64_t n_images;
	const char *audio[OPTIONS_MAX_LIST];
	uint64_t n_audio;
	const char *videos[OPTIONS_MAX_LIST];
	uint64_t n_videos;
	const char *prompt_lengths, *batch_sizes; /* bench */
	uint64_t output_len, rounds;
	const char *check, *only, *check_model; /* plugins */
	const char *samples[OPTIONS_MAX_LIST];
	uint64_t n_samples, time_limit_s;
	bool json, tensors;

	const char *host, *admin_api_key, *api_key, *api_key_file, *served_model_name, *plugin_dir;
	const char *ssl_certfile, *ssl_keyfile;
	const char *isolate_codecs; /* auto, on or off */
	const char *kv_cache_dtype, *log_level, *log_format, *limit_mm, *allowed_local_media_path, *allowed_media_domains;
	uint64_t port, max_model_len, max_num_seqs, max_num_batched_tokens, kv_cache_memory, memory_limit, threads;
	uint64_t max_queued_requests, max_tokens, seed;
	uint64_t queue_timeout_s, request_timeout_s, header_timeout_s, body_timeout_s, write_timeout_s, keep_alive_timeout_s, shutdown_timeout_s;
	double temperature, step_timeout_s;
	bool no_prefix_caching, has_seed, help;

	sn_log_level level;  /* from log_level */
	sn_kv_dtype kv_dtype; /* from kv_cache_dtype */
} options;

typedef enum command { CMD_SERVE = 1, CMD_RUN = 2, CMD_INSPECT = 4, CMD_PLUGINS = 8, CMD_VERSION = 16, CMD_BENCH = 32, CMD_SPEAK = 64, CMD_ARCHITECTURES = 128 } command;

/* argv[0] is the first word after the command. Strings are borrowed from argv. */
int options_parse(options *o, command cmd, int argc, char **argv, sn_error *err);
/* How many media of a kind one request may hold, by --limit-mm-per-prompt. */
uint32_t options_media_limit(const options *o, const char *kind);
void options_usage(FILE *to);
void options_help(command cmd, FILE *to);
bool command_find(const char *name, command *out);

#endif
