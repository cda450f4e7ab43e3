/* model_choice.c - which models a command line asks for: MODEL, each --model NAME=PATH, and whose --mmproj, --chat-template
 * and --pooling are.
 *
 * MODEL comes first, so that it is the one that requests without `model` get; the sample model only stands in if no model is named at
 * all. Of a folder of several models NAME is the first; the others keep the names that the folder gives them. NAME=FILE belongs to the model of that name. A plain FILE belongs to MODEL, or to the only --model: where it could be
 * anybody's, it is refused. (A plain FILE whose own name begins like NAME= is written ./NAME=.)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fault.h"

/* The first of what was found gets another name, also where the others of its folder mean it. */
static int rename_first(model_files *found, const char *name, size_t name_size, sn_error *err)
{
	char *old = found->list[0].name;
	int rc = (found->list[0].name = strndup(name, name_size)) ? SN_OK : fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the model's name");
	for (size_t i = 0; i < found->n && rc == SN_OK; i++) {
		model_file *f = &found->list[i];
		if (!f->speaker || strcmp(f->speaker, old) != 0)
			continue;
		free(f->speaker);
		if (!(f->speaker = strdup(found->list[0].name)))
			rc = fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the model's name");
	}
	free(old);
	return rc;
}

/* Takes over what was found, under its own names, or the first one under another. */
static int merge(model_files *out, model_files *found, const char *name, size_t name_size, sn_error *err)
{
	int rc = rename_first(found, name, name_size, err);
	for (size_t i = 0; i < found->n && rc == SN_OK; i++) {
		for (size_t k = 0; k < out->n && rc == SN_OK; k++)
			if (strcmp(out->list[k].name, found->list[i].name) == 0)
				rc = fault_set(err, SN_ERR_INVALID, NULL, "two models are called %s; --model NAME=PATH gives one another name", out->list[k].name);
		if (rc == SN_OK && out->n == MODELS_MAX)
			rc = fault_set(err, SN_ERR_INVALID, NULL, "more than %d models", MODELS_MAX);
		if (rc == SN_OK) {
			out->list[out->n++] = found->list[i];
			found->list[i] = (model_file){0};
		}
	}
	model_files_fini(found);
	return rc;
}

/* Whose the value is, and the file in it; NULL if that cannot be said. n_model: how many models MODEL is. */
static model_file *owner(model_files *m, size_t n_model, const char *value, const char **file)
{
	const char *equals = strchr(value, '=');
	for (size_t i = 0; equals && i < m->n; i++) {
		size_t n = (size_t)(equals - value);
		if (strlen(m->list[i].name) == n && memcmp(m->list[i].name, value, n) == 0) {
			*file = equals + 1;
			return &m->list[i];
		}
	}
	*file = value;
	return n_model == 1 || m->n == 1 ? &m->list[0] : NULL;
}

static int add_mmproj(model_file *f, const char *file, sn_error *err)
{
	if (!f->takes_mmproj)
		return fault_set(err, SN_ERR_INVALID, NULL, "--mmproj goes with a .gguf file or a Hugging Face directory, not with a folder that names its towers itself");
	char *path = realpath(file, NULL);
	if (!path)
		return fault_set(err, SN_ERR_NOT_FOUND, NULL, "--mmproj: %s", strerror(errno));
	return model_file_add_mmproj(f, path, "--mmproj", err);
}

static int add_chat_template(model_file *f, const char *file, sn_error *err)
{
	if (f->chat_template)
		return fault_set(err, SN_ERR_INVALID, NULL, "--chat-template: two for the model %s", f->name);
	f->chat_template = strdup(file);
	return f->chat_template ? SN_OK : fault_set(err, SN_ERR_NOMEM, NULL, "no memory for a path");
}

static int add_pooling(model_file *f, const char *how, sn_error *err)
{
	static const struct { const char *name; sn_pooling pooling; } hows[] = {{"last", SN_POOLING_LAST}, {"mean", SN_POOLING_MEAN}, {"cls", SN_POOLING_CLS}};
	if (f->pooling != SN_POOLING_AUTO)
		return fault_set(err, SN_ERR_INVALID, NULL, "--pooling: two for the model %s", f->name);
	for (size_t i = 0; i < sizeof hows / sizeof *hows; i++)
		if (strcmp(how, hows[i].name) == 0)
			f->pooling = hows[i].pooling;
	return f->pooling != SN_POOLING_AUTO ? SN_OK : fault_set(err, SN_ERR_INVALID, NULL, "--pooling: needs last, mean or cls");
}

static int share_out(model_files *m, size_t n_model, const char *option, const char *const *values, uint64_t n,
                     int (*give)(model_file *, const char *, sn_error *), sn_error *err)
{
	for (uint64_t i = 0; i < n; i++) {
		const char *file;
		model_file *f = owner(m, n_model, values[i], &file);
		if (!f)
			return fault_set(err, SN_ERR_INVALID, NULL, "%s: there are several models; NAME=FILE says whose it is", option);
		int rc = give(f, file, err);
		if (rc != SN_OK)
			return rc;
	}
	return SN_OK;
}

static int choose(model_files *out, const options *o, sn_error *err)
{
	model_files found;
	int rc = SN_OK;
	if (o->model || !o->n_models)
		rc = model_files_find(out, o->model, err);
	size_t n_model = out->n;
	for (uint64_t i = 0; i < o->n_models && rc == SN_OK; i++) {
		size_t n = strcspn(o->models[i], "="); /* options_parse has checked the form */
		rc = model_files_find(&found, o->models[i] + n + 1, err);
		if (rc == SN_OK)
			rc = merge(out, &found, o->models[i], n, err);
	}
	if (rc == SN_OK)
		rc = share_out(out, n_model, "--mmproj", o->mmproj, o->n_mmproj, add_mmproj, err);
	if (rc == SN_OK)
		rc = share_out(out, n_model, "--chat-template", o->chat_template, o->n_chat_template, add_chat_template, err);
	if (rc == SN_OK)
		rc = share_out(out, n_model, "--pooling", o->pooling, o->n_pooling, add_pooling, err);
	if (rc == SN_OK && o->served_model_name && out->n != 1)
		rc = fault_set(err, SN_ERR_INVALID, NULL, "--served-model-name: there is more than one model; --model NAME=PATH names each");
	return rc;
}

int model_files_from(model_files *out, const options *o, sn_log *log)
{
	sn_error err;
	*out = (model_files){0};
	if (choose(out, o, &err) == SN_OK)
		return EXIT_FINE;
	sn_log_write(log, SN_LOG_ERROR, "start", NULL, "%s", err.text);
	model_files_fini(out);
	return EXIT_MODEL;
}
