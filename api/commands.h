/* commands.h - one function per command; each returns an exit code. Only main exits. */
#ifndef API_COMMANDS_H
#define API_COMMANDS_H

#include "core.h"
#include "models_json.h"
#include "options.h"

enum exit_code {
	EXIT_FINE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,   /* command line or configuration */
	EXIT_MODEL = 3,   /* missing or refused */
	EXIT_PORT = 4,    /* in use */
	EXIT_STUCK = 5    /* the engine stopped answering: nothing can be torn down any more */
};

int cmd_serve(const options *o, sn_log *log);
int cmd_run(const options *o, sn_log *log);
int cmd_speak(const options *o, sn_log *log);
int cmd_inspect(const options *o, sn_log *log);
int cmd_architectures(const options *o, sn_log *log);
int cmd_plugins(const options *o, sn_log *log);
int cmd_bench(const options *o, sn_log *log);
int cmd_version(const options *o, sn_log *log);

/* Steps that several commands share (model_choice.c, cmd_run.c). Each logs its reason and returns an exit code. */
int model_files_from(model_files *out, const options *o, sn_log *log);
/* isolated: codecs in processes of their own, which are this program with the one argument CODEC_HELPER. */
#define CODEC_HELPER "codec-helper"
/* plugins: [cap] room for the folder's path, which *out then borrows, as it does what o holds. */
int engine_config_from(sn_engine_config *out, char *plugins, size_t cap, const options *o, bool isolated, sn_log *log);
int engine_open_from(sn_engine **out, const options *o, bool isolated, sn_log *log);
int engine_load_from(sn_engine *engine, const model_files *files, const options *o, sn_log *log);
/* The whole file, NUL-terminated after its size bytes; NULL with errno set. */
char *file_read(const char *path, size_t max_bytes, size_t *size);

#endif
