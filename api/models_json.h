/* models_json.h - what MODEL on the command line means: a .gguf file, a folder with models.json, one with model.gguf (and
 * mmproj*.gguf), or a Hugging Face directory (config.json). The list may come from a download, so its names are trusted with nothing:
 *   {"models":[{"name":"x","files":{"model":"model.gguf","mmproj":"mmproj.gguf"},"roles":["chat","vision"]}]}
 */
#ifndef API_MODELS_JSON_H
#define API_MODELS_JSON_H

#include "core.h"

#define MODELS_MAX 16

typedef struct model_file {
	char *name, *path, *mmproj; /* malloc'ed; mmproj may be NULL */
	char *chat_template;        /* a file, malloc'ed; NULL: the model's own */
	bool is_file;               /* a .gguf file by itself, which --mmproj goes with */
} model_file;

typedef struct model_files {
	model_file list[MODELS_MAX];
	size_t n;
} model_files;

/* model: MODEL's value; NULL: the sample model. */
int model_files_find(model_files *out, const char *model, sn_error *err);
void model_files_fini(model_files *m);
/* A name is shown to clients and goes into URLs and metrics. name: [n] */
bool model_name_is_plain(const char *name, size_t n);
/* The sample model: ../samples/model of the program, else ../share/sensorium/model. */
bool model_default_path(char *out, size_t cap);
/* The folder that holds the program, absolute. */
bool program_folder(char *out, size_t cap);

#endif
