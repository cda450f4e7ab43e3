/* models_json.h - what MODEL on the command line means: a .gguf file, a folder with models.json, one with model.gguf (and,
 * for each kind of media, a tower in mmproj*.gguf), or a Hugging Face directory (config.json). The list may come from a download, so its names are trusted with nothing:
 *   {"models":[{"name":"x","files":{"model":"model.gguf","mmproj":"mmproj.gguf"},"roles":["chat","vision"]}]}
 * `mmproj` may be a list of names. `"speaker":"y"` beside `files` names the model of the list that speaks what x answers.
 */
#ifndef API_MODELS_JSON_H
#define API_MODELS_JSON_H

#include "core.h"

#define MODELS_MAX 16

typedef struct model_file {
	char *name, *path;                /* malloc'ed */
	char *mmproj[SN_MAX_MODALITIES];  /* malloc'ed, [n_mmproj]: which of them fit together is the engine's to say */
	size_t n_mmproj;
	char *chat_template;              /* a file, malloc'ed; NULL: the model's own */
	sn_pooling pooling;
	char *speaker;                    /* the model that speaks what this one says, malloc'ed; NULL: none is named */
	bool takes_mmproj;                /* --mmproj goes with it: a .gguf file by itself, or a Hugging Face directory */
} model_file;

typedef struct model_files {
	model_file list[MODELS_MAX];
	size_t n;
} model_files;

/* model: MODEL's value; NULL: the sample model. */
int model_files_find(model_files *out, const char *model, sn_error *err);
void model_files_fini(model_files *m);
/* Gives f one more tower. path: malloc'ed, f's from now on even if that fails; errors call it `what`. */
int model_file_add_mmproj(model_file *f, char *path, const char *what, sn_error *err);
/* A name is shown to clients and goes into URLs and metrics. name: [n] */
bool model_name_is_plain(const char *name, size_t n);
/* The sample model: ../samples/model of the program, else ../share/sensorium/model. */
bool model_default_path(char *out, size_t cap);
/* The folder that holds the program, absolute. */
bool program_folder(char *out, size_t cap);

#endif
