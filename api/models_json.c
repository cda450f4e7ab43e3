#include "models_json.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "json.h"

#define MAX_LIST_BYTES (1 << 20)

bool program_folder(char *out, size_t cap)
{
	ssize_t n = readlink("/proc/self/exe", out, cap - 1);
	if (n <= 0)
		return false;
	out[n] = 0;
	*strrchr(out, '/') = 0;
	return true;
}

bool model_default_path(char *out, size_t cap)
{
	static const char *const places[] = {"../samples/model", "../share/sensorium/model"};
	char folder[PATH_MAX];
	struct stat st;
	if (!program_folder(folder, sizeof folder))
		return false;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		int n = snprintf(out, cap, "%s/%s", folder, places[i]);
		if (n > 0 && (size_t)n < cap && stat(out, &st) == 0 && S_ISDIR(st.st_mode))
			return true;
	}
	return false;
}

static int missing(sn_error *err, const char *what)
{
	return fault_set(err, SN_ERR_NOT_FOUND, NULL, "%s: %s", what, strerror(errno));
}

int model_file_add_mmproj(model_file *f, char *path, const char *what, sn_error *err)
{
	if (f->n_mmproj == SN_MAX_MODALITIES) {
		free(path);
		return fault_set(err, SN_ERR_INVALID, NULL, "%s: more than %d towers for the model %s", what, SN_MAX_MODALITIES, f->name);
	}
	f->mmproj[f->n_mmproj++] = path;
	return SN_OK;
}

static int add(model_files *m, const char *name, char *path, sn_error *err)
{
	model_file *f = &m->list[m->n++]; /* callers keep n below MODELS_MAX */
	*f = (model_file){.name = strdup(name), .path = path};
	return f->name && f->path ? SN_OK : fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the model's name");
}

bool model_name_is_plain(const char *name, size_t n)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:";
	return n > 0 && n <= 128 && strspn(name, plain) >= n;
}

static bool name_is_plain(const char *name) { return model_name_is_plain(name, strlen(name)); }

/* The real path of a file, which errors call `what`. It must lie in the folder: no "..", no absolute path, no symlink that leads out. */
static int path_inside(char **out, const char *folder, const char *file, const char *what, sn_error *err)
{
	char joined[PATH_MAX], real_folder[PATH_MAX], real[PATH_MAX];
	if (file[0] == '/')
		return fault_set(err, SN_ERR_INVALID, NULL, "%s is an absolute path", what);
	for (const char *p = file; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
		if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == 0))
			return fault_set(err, SN_ERR_INVALID, NULL, "%s leaves the folder with ..", what);
	int n = snprintf(joined, sizeof joined, "%s/%s", folder, file);
	if (!*file || n < 0 || (size_t)n >= sizeof joined)
		return fault_set(err, SN_ERR_INVALID, NULL, "%s is empty or too long", what);
	if (!realpath(folder, real_folder) || !realpath(joined, real)) {
		int why = errno;
		return fault_set(err, SN_ERR_NOT_FOUND, NULL, "%s: %s", what, strerror(why));
	}
	size_t k = strlen(real_folder);
	if (strncmp(real, real_folder, k) != 0 || (k > 1 && real[k] != '/'))
		return fault_set(err, SN_ERR_INVALID, NULL, "%s is a symlink that leaves the folder", what);
	*out = strdup(real);
	return *out ? SN_OK : fault_set(err, SN_ERR_NOMEM, NULL, "no memory for a path");
}

/* One more tower for the model that was added last. */
static int add_tower(model_files *m, const char *folder, const char *file, const char *what, sn_error *err)
{
	char *path = NULL;
	int rc = path_inside(&path, folder, file, what, err);
	return rc == SN_OK ? model_file_add_mmproj(&m->list[m->n - 1], path, what, err) : rc;
}

/* files.mmproj: a file's name, or a list of names, one a kind of media. */
static int add_towers(model_files *m, const char *folder, const json_t *mmproj, sn_error *err)
{
	size_t n = json_is_array(mmproj) ? json_array_size(mmproj) : mmproj ? 1 : 0;
	int rc = SN_OK;
	for (size_t i = 0; i < n && rc == SN_OK; i++) {
		const char *file = body_plain_string(json_is_array(mmproj) ? json_array_get(mmproj, i) : mmproj);
		rc = file ? add_tower(m, folder, file, "models.json: files.mmproj", err)
		          : fault_set(err, SN_ERR_INVALID, NULL, "models.json: files.mmproj must be a file name or a list of file names");
	}
	return rc;
}

static int add_entry(model_files *m, const char *folder, const json_t *entry, sn_error *err)
{
	const json_t *files = json_object_get(entry, "files");
	const char *name = body_plain_string(json_object_get(entry, "name"));
	const char *file = body_plain_string(json_object_get(files, "model"));
	const json_t *speaker = json_object_get(entry, "speaker");
	char *path = NULL;
	if (!name || !name_is_plain(name))
		return fault_set(err, SN_ERR_INVALID, NULL, "models.json: a name is made of 1 to 128 letters, digits and . _ - :");
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->list[i].name, name) == 0)
			return fault_set(err, SN_ERR_INVALID, NULL, "models.json: two models have one name");
	if (!file)
		return fault_set(err, SN_ERR_INVALID, NULL, "models.json: files.model must be a file name");
	int rc = path_inside(&path, folder, file, "models.json: files.model", err);
	if (rc == SN_OK)
		rc = add(m, name, path, err);
	if (rc == SN_OK && speaker && !body_plain_string(speaker))
		rc = fault_set(err, SN_ERR_INVALID, NULL, "models.json: speaker must be the name of a model");
	if (rc == SN_OK && speaker && !(m->list[m->n - 1].speaker = strdup(json_string_value(speaker))))
		rc = fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the model's name");
	return rc == SN_OK ? add_towers(m, folder, json_object_get(files, "mmproj"), err) : rc;
}

static int from_list(model_files *m, const char *folder, const char *list_path, sn_error *err)
{
	int fd = open(list_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0 && errno == ELOOP)
		return fault_set(err, SN_ERR_INVALID, NULL, "models.json: a symlink; a model's files must lie in its folder");
	FILE *f = fd < 0 ? NULL : fdopen(fd, "rb");
	if (!f) {
		if (fd >= 0)
			close(fd);
		return missing(err, "models.json");
	}
	char *text = malloc(MAX_LIST_BYTES + 1);
	size_t size = text ? fread(text, 1, MAX_LIST_BYTES + 1, f) : 0;
	json_t *root = NULL;
	fclose(f);
	int rc = size > MAX_LIST_BYTES || !text ? fault_set(err, SN_ERR_INVALID, NULL, "models.json: larger than 1 MiB")
	                                        : body_parse(&root, text, size, err);
	free(text);
	if (rc != SN_OK)
		return fault_set(err, SN_ERR_INVALID, NULL, "models.json: not a JSON object that can be read");
	const json_t *models = json_object_get(root, "models");
	size_t n = json_array_size(models);
	if (n == 0 || n > MODELS_MAX)
		rc = fault_set(err, SN_ERR_INVALID, NULL, "models.json: needs a list `models` of 1 to %d entries", MODELS_MAX);
	for (size_t i = 0; i < n && rc == SN_OK; i++)
		rc = add_entry(m, folder, json_array_get(models, i), err);
	json_decref(root);
	return rc;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* A folder without a list: model.gguf and its towers, each mmproj*.gguf by name, or a Hugging Face directory, which is opened whole. */
static int from_folder(model_files *m, const char *folder, sn_error *err)
{
	char real[PATH_MAX], pattern[PATH_MAX + 16], *path = NULL;
	glob_t found = {0};
	if (!realpath(folder, real))
		return missing(err, "the model folder");
	const char *name = name_is_plain(base_name(real)) ? base_name(real) : "model";
	snprintf(pattern, sizeof pattern, "%s/model.gguf", real);
	if (access(pattern, R_OK) != 0) {
		snprintf(pattern, sizeof pattern, "%s/config.json", real);
		if (access(pattern, R_OK) != 0)
			return fault_set(err, SN_ERR_NOT_FOUND, NULL, "the model folder holds neither models.json nor model.gguf nor config.json");
		int added = add(m, name, strdup(real), err);
		m->list[m->n - 1].takes_mmproj = true;
		return added;
	}
	snprintf(pattern, sizeof pattern, "%s/mmproj*.gguf", real);
	int globbed = glob(pattern, 0, NULL, &found);
	int rc = path_inside(&path, real, "model.gguf", "model.gguf", err);
	if (rc == SN_OK)
		rc = add(m, name, path, err);
	for (size_t i = 0; globbed == 0 && i < found.gl_pathc && rc == SN_OK; i++)
		rc = add_tower(m, real, base_name(found.gl_pathv[i]), "mmproj*.gguf", err);
	globfree(&found);
	return rc;
}

/* Of a model in several files the first is named, NAME-00001-of-00003: the model is called NAME. */
static void drop_part(char *name)
{
	const size_t n = strlen(name), suffix = sizeof "-00001-of-00003" - 1;
	unsigned parts;
	int end = 0;
	if (n > suffix && sscanf(name + n - suffix, "-00001-of-%5u%n", &parts, &end) == 1 && (size_t)end == suffix)
		name[n - suffix] = 0;
}

static int from_file(model_files *m, const char *file, sn_error *err)
{
	char name[129], *path;
	snprintf(name, sizeof name, "%.128s", base_name(file));
	char *dot = strrchr(name, '.');
	if (!dot || strcmp(dot, ".gguf") != 0)
		return fault_set(err, SN_ERR_NOT_FOUND, NULL, "the model is neither a folder nor a .gguf file");
	*dot = 0;
	drop_part(name);
	if (!(path = realpath(file, NULL)))
		return missing(err, "the model file");
	int rc = add(m, name_is_plain(name) ? name : "model", path, err);
	m->list[m->n - 1].takes_mmproj = true;
	return rc;
}

int model_files_find(model_files *out, const char *model, sn_error *err)
{
	char fallback[PATH_MAX], list[PATH_MAX];
	struct stat st;
	*out = (model_files){0};
	if (!model && !model_default_path(fallback, sizeof fallback))
		return fault_set(err, SN_ERR_INVALID, NULL, "no MODEL was given and the sample model is not beside the program");
	model = model ? model : fallback;
	if (stat(model, &st) != 0)
		return missing(err, "the model");
	int rc, n = snprintf(list, sizeof list, "%s/models.json", model);
	if (!S_ISDIR(st.st_mode))
		rc = from_file(out, model, err);
	else if (n > 0 && (size_t)n < sizeof list && access(list, F_OK) == 0)
		rc = from_list(out, model, list, err);
	else
		rc = from_folder(out, model, err);
	if (rc != SN_OK)
		model_files_fini(out);
	return rc;
}

void model_files_fini(model_files *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->list[i].name);
		free(m->list[i].path);
		for (size_t k = 0; k < m->list[i].n_mmproj; k++)
			free(m->list[i].mmproj[k]);
		free(m->list[i].chat_template);
		free(m->list[i].speaker);
	}
	*m = (model_files){0};
}
