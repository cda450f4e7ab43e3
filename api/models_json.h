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
} model_file;

typedef struct model_files {
	model_file list[MODELS_MAX];
	size_t n;
} model_files;

/* mmproj: of --mmproj, only for a .gguf file. SN_ERR_INVALID: bad command line; else the model is missing or refused. */
int model_files_find(model_files *out, const char *model, const char *mmproj, sn_error *err);
void model_files_fini(model_files *m);
/* The sample model: ../samples/model of the program, else ../share/sensorium/model. */
bool model_default_path(char *out, size_t cap);
/* The folder that holds the program, absolute. */
bool program_folder(char *out, size_t cap);

#endif
