#include "pairing.h"

#include <string.h>

#include "fault.h"

static const sn_model_info *find(const api *a, const char *name)
{
	const sn_model_info *models;
	size_t n = sn_engine_models(a->engine, &models);
	for (size_t i = 0; i < n && name; i++)
		if (strcmp(models[i].name, name) == 0)
			return &models[i];
	return NULL;
}

/* Whom the model's file names, else whom the command line does. */
static const char *named(const api *a, const char *model)
{
	for (size_t i = 0; i < a->files.n; i++)
		if (a->files.list[i].speaker && strcmp(a->files.list[i].name, model) == 0)
			return a->files.list[i].speaker;
	return a->options->speaker;
}

const sn_model_info *pairing_speaker(const api *a, const char *model)
{
	const sn_model_info *own = find(a, model);
	const sn_model_info *other = own && own->speaks ? own : find(a, named(a, model));
	return other && other->speaks ? other : NULL;
}

static int check_one(const api *a, const char *what, const char *name, sn_error *err)
{
	const sn_model_info *m = find(a, name);
	if (name && !m)
		return fault_set(err, SN_ERR_INVALID, NULL, "%s: there is no model called %.128s", what, name);
	if (name && !m->speaks)
		return fault_set(err, SN_ERR_INVALID, NULL, "%s: the model %.128s does not speak", what, name);
	return SN_OK;
}

int pairing_check(const api *a, sn_error *err)
{
	int rc = check_one(a, "--speaker", a->options->speaker, err);
	for (size_t i = 0; i < a->files.n && rc == SN_OK; i++)
		rc = check_one(a, "models.json: speaker", a->files.list[i].speaker, err);
	return rc;
}
