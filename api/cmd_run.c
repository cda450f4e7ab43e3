/* cmd_run.c - `sensorium run [MODEL] [--image|--audio|--video FILE]... QUESTION`: one question in this process, the answer on stdout.
 * Also the steps from options to a loaded engine, which serve takes too. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"

#define MAX_MEDIA_BYTES (32u << 20)
#define MAX_TEMPLATE_BYTES (1u << 20)

char *file_read(const char *path, size_t max_bytes, size_t *size)
{
	FILE *f = fopen(path, "rbe");
	char *text = NULL;
	struct stat st;
	if (!f)
		return NULL;
	if (fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size <= max_bytes)
		text = malloc((size_t)st.st_size + 1);
	else
		errno = EFBIG;
	if (text) {
		*size = fread(text, 1, (size_t)st.st_size, f);
		text[*size] = 0;
	}
	fclose(f);
	return text;
}

/* plugins beside the program (a build tree), else where an installation puts them. */
static bool plugin_folder(char *out, size_t cap, const options *o)
{
	char program[PATH_MAX];
	struct stat st;
	if (o->plugin_dir)
		return realpath(o->plugin_dir, out) != NULL;
	if (!program_folder(program, sizeof program))
		return false;
	static const char *const places[] = {"plugins", "../lib/sensorium/plugins"};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		char joined[PATH_MAX];
		int n = snprintf(joined, sizeof joined, "%s/%s", program, places[i]);
		if (n > 0 && (size_t)n < sizeof joined && stat(joined, &st) == 0 && realpath(joined, out))
			return strlen(out) < cap;
	}
	return false;
}

int engine_config_from(sn_engine_config *out, char *plugins, size_t cap, const options *o, bool isolated, sn_log *log)
{
	static const char *const helper[] = {"sensorium", CODEC_HELPER, NULL};
	bool found = plugin_folder(plugins, cap, o);
	if (!found && o->plugin_dir) {
		sn_log_write(log, SN_LOG_ERROR, "start", NULL, "--plugin-dir: %s", strerror(errno));
		return EXIT_USAGE;
	}
	*out = (sn_engine_config){
		.log = log,
		.plugin_dir = found ? plugins : NULL,
		.kv_cache_memory = (size_t)o->kv_cache_memory,
		.memory_limit = (size_t)o->memory_limit,
		.threads = (uint32_t)o->threads,
		.max_num_seqs = (uint32_t)o->max_num_seqs,
		.max_num_batched_tokens = (uint32_t)o->max_num_batched_tokens,
		.max_queued_requests = (uint32_t)o->max_queued_requests,
		.max_model_len = (uint32_t)o->max_model_len,
		.step_timeout_ms = (uint32_t)(o->step_timeout_s * 1000),
		.queue_timeout_ms = (uint32_t)(o->queue_timeout_s * 1000),
		.no_prefix_caching = o->no_prefix_caching,
		.kv_dtype = o->kv_dtype,
		.codec_helper = isolated ? "/proc/self/exe" : NULL,
		.codec_helper_argv = helper,
	};
	return EXIT_FINE;
}

int engine_open_from(sn_engine **out, const options *o, bool isolated, sn_log *log)
{
	sn_engine_config config;
	char plugins[PATH_MAX];
	sn_error err;
	int rc = engine_config_from(&config, plugins, sizeof plugins, o, isolated, log);
	if (rc != EXIT_FINE)
		return rc;
	if (sn_engine_open(out, &config, &err) == SN_OK)
		return EXIT_FINE;
	sn_log_write(log, SN_LOG_ERROR, "start", NULL, "%s", err.text);
	return err.status == SN_ERR_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

static int load(sn_engine *engine, const model_file *f, const char *name, sn_log *log)
{
	sn_error err;
	size_t size;
	char *source = f->chat_template ? file_read(f->chat_template, MAX_TEMPLATE_BYTES, &size) : NULL;
	if (f->chat_template && !source) {
		sn_log_write(log, SN_LOG_ERROR, "start", NULL, "--chat-template: %s", strerror(errno));
		return EXIT_USAGE;
	}
	const sn_model_config config = {name, f->path, (const char *const *)f->mmproj, f->n_mmproj, source, f->pooling};
	sn_status rc = sn_engine_load(engine, &config, &err);
	free(source);
	if (rc == SN_OK)
		return EXIT_FINE;
	sn_log_write(log, SN_LOG_ERROR, "start", NULL, "the model was refused: %s", err.text);
	return EXIT_MODEL;
}

int engine_load_from(sn_engine *engine, const model_files *files, const options *o, sn_log *log)
{
	sn_error err;
	int rc = EXIT_FINE;
	for (size_t i = 0; i < files->n && rc == EXIT_FINE; i++)
		rc = load(engine, &files->list[i], o->served_model_name ? o->served_model_name : files->list[i].name, log);
	if (rc != EXIT_FINE)
		return rc;
	if (sn_engine_start(engine, &err) != SN_OK) {
		sn_log_write(log, SN_LOG_ERROR, "start", NULL, "%s", err.text);
		return EXIT_FAILED;
	}
	return EXIT_FINE;
}

static int print_answer(sn_request *request, sn_log *log)
{
	sn_event ev;
	for (;;) {
		switch (sn_request_next(request, 1000, &ev)) {
		case SN_EVENT_NONE:
		case SN_EVENT_CHOICE_DONE: /* there is one choice: DONE follows */
			break;
		case SN_EVENT_TEXT:
			fwrite(ev.text, 1, ev.size, stdout);
			fflush(stdout);
			break;
		case SN_EVENT_DONE:
			putchar('\n');
			return fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED;
		case SN_EVENT_ERROR:
			sn_log_write(log, SN_LOG_ERROR, "run", NULL, "%s", ev.error.text);
			return EXIT_FAILED;
		}
	}
}

/* A model that transcribes has no chat: it is given the recording, and the question as words that are likely in it. */
static int transcribe(sn_engine *engine, const options *o, sn_log *log)
{
	sn_error err;
	size_t size = 0;
	sn_transcript *transcript = NULL;
	sn_transcript_event ev = {.kind = SN_TRANSCRIPT_NONE};
	const bool one = o->n_audio == 1 && !o->n_images && !o->n_videos;
	char *data = one ? file_read(o->audio[0], MAX_MEDIA_BYTES, &size) : NULL;
	if (!data) {
		sn_log_write(log, SN_LOG_ERROR, "run", NULL, "--audio: %s", one ? strerror(errno) : "this model writes down one recording");
		return EXIT_USAGE;
	}
	const sn_transcription t = {.request_id = "run", .part = {.kind = SN_PART_MEDIA, .kind_name = "audio", .data = data, .size = size}, .prompt = o->question,
	                            .prompt_size = strlen(o->question), .temperature = (float)o->temperature, .seed = o->seed, .has_seed = o->has_seed};
	int rc = sn_transcript_submit(engine, &t, &transcript, &err);
	free(data);
	while (rc == SN_OK && ev.kind != SN_TRANSCRIPT_DONE && ev.kind != SN_TRANSCRIPT_ERROR) {
		if (sn_transcript_next(transcript, 1000, &ev) == SN_TRANSCRIPT_SEGMENT) {
			fwrite(ev.segment.text, 1, ev.segment.size, stdout);
			fflush(stdout);
		}
	}
	if (rc != SN_OK || ev.kind == SN_TRANSCRIPT_ERROR)
		sn_log_write(log, SN_LOG_ERROR, "run", NULL, "%s", rc != SN_OK ? err.text : ev.error.text);
	else
		putchar('\n');
	if (transcript)
		sn_transcript_close(&transcript);
	return rc == SN_OK && ev.kind == SN_TRANSCRIPT_DONE && fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED;
}

typedef struct media {
	sn_part parts[3 * OPTIONS_MAX_LIST + 1]; /* media first, then the question */
	size_t n;
} media;

/* Reads files of one option behind those that are there. */
static int media_add(media *m, const char *option, const char *kind, const char *const *paths, uint64_t n, sn_log *log)
{
	for (uint64_t i = 0; i < n; i++) {
		size_t size = 0;
		char *data = file_read(paths[i], MAX_MEDIA_BYTES, &size);
		if (!data) {
			sn_log_write(log, SN_LOG_ERROR, "run", NULL, "%s: %s", option, strerror(errno));
			return EXIT_USAGE;
		}
		m->parts[m->n++] = (sn_part){.kind = SN_PART_MEDIA, .kind_name = kind, .data = data, .size = size};
	}
	return EXIT_FINE;
}

static void media_fini(media *m)
{
	for (size_t i = 0; i < m->n; i++)
		free((char *)m->parts[i].data);
	m->n = 0;
}

static int ask(sn_engine *engine, const options *o, sn_log *log)
{
	const sn_model_info *models;
	if (sn_engine_models(engine, &models) && models[0].transcribes)
		return transcribe(engine, o, log);
	media m = {.n = 0};
	sn_error err;
	sn_request *request = NULL;
	int rc = media_add(&m, "--image", "image", o->images, o->n_images, log);
	if (rc == EXIT_FINE)
		rc = media_add(&m, "--audio", "audio", o->audio, o->n_audio, log);
	if (rc == EXIT_FINE)
		rc = media_add(&m, "--video", "video", o->videos, o->n_videos, log);
	m.parts[m.n] = (sn_part){.kind = SN_PART_TEXT, .data = o->question, .size = strlen(o->question)};
	const sn_message message = {.role = "user", .parts = m.parts, .n_parts = m.n + 1, .is_string = m.n == 0};
	sn_chat chat = {.request_id = "run", .messages = &message, .n_messages = 1};
	sn_sampling_init(&chat.sampling);
	chat.sampling.temperature = (float)o->temperature;
	chat.sampling.max_tokens = (uint32_t)o->max_tokens;
	chat.sampling.seed = o->seed;
	chat.sampling.has_seed = o->has_seed;
	if (rc == EXIT_FINE && sn_chat_submit(engine, &chat, &request, &err) != SN_OK) {
		sn_log_write(log, SN_LOG_ERROR, "run", NULL, "%s", err.text);
		rc = EXIT_FAILED;
	}
	media_fini(&m);
	if (request) {
		rc = print_answer(request, log);
		sn_request_close(&request);
	}
	return rc;
}

int cmd_run(const options *o, sn_log *log)
{
	model_files files;
	sn_engine *engine = NULL;
	int rc = model_files_from(&files, o, log);
	if (rc == EXIT_FINE)
		rc = engine_open_from(&engine, o, false, log);
	if (rc == EXIT_FINE)
		rc = engine_load_from(engine, &files, o, log);
	if (rc == EXIT_FINE)
		rc = ask(engine, o, log);
	if (engine)
		sn_engine_close(&engine);
	model_files_fini(&files);
	return rc;
}
