#include "form.h"

#include <string.h>

#include "fault.h"
#include "json.h"

/* What a custom field takes that is not text. */
static bool takes_json(const field *f)
{
	static const char integer[] = "{\"type\":\"integer\"", number[] = "{\"type\":\"number\"";
	switch (f->kind) {
	case FIELD_REAL:
	case FIELD_INT:
	case FIELD_UINT:
	case FIELD_BOOL:
	case FIELD_ONLY:
		return true;
	case FIELD_CUSTOM:
		return strncmp(f->schema, integer, sizeof integer - 1) == 0 || strncmp(f->schema, number, sizeof number - 1) == 0;
	case FIELD_NAME:
	case FIELD_TEXT:
	case FIELD_TEXT_MAP:
	case FIELD_FILE:
		break;
	}
	return false;
}

static json_t *truth(const multipart_part *p)
{
	static const struct { const char *text; bool value; } words[] = {{"True", true}, {"False", false}, {"1", true}, {"0", false}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (p->size == strlen(words[i].text) && memcmp(p->data, words[i].text, p->size) == 0)
			return json_boolean(words[i].value);
	return NULL;
}

/* One value as JSON; what does not look like what the field takes stays text, which the field then refuses. NULL: not UTF-8, or no memory. */
static json_t *value_of(const field *f, const multipart_part *p)
{
	json_t *v = NULL;
	if (p->size == 0)
		return json_null();
	if (f->kind == FIELD_BOOL)
		v = truth(p);
	if (!v && takes_json(f) && p->size <= 64)
		v = json_read(p->data, p->size, JSON_DECODE_ANY, NULL);
	if (sn_json_starved())
		return NULL;
	if (v && !json_is_number(v) && !json_is_boolean(v)) { /* the rest of JSON is text here */
		json_decref(v);
		v = NULL;
	}
	return v ? v : json_stringn(p->data, p->size);
}

static const field *find(const char *name, const field_table *const *tables, size_t n, size_t *table)
{
	for (*table = 0; *table < n; ++*table)
		for (size_t i = 0; i < tables[*table]->n; i++)
			if (strcmp(tables[*table]->fields[i].name, name) == 0)
				return &tables[*table]->fields[i];
	return NULL;
}

/* name[key]: an object's member, which no field here has. */
static int refuse_unknown(const multipart_part *p, const field_table *const *tables, size_t n, sn_error *err)
{
	char base[MULTIPART_NAME_SIZE];
	size_t t, size = strcspn(p->name, "[");
	memcpy(base, p->name, size);
	base[size] = 0;
	if (p->name[size] && find(base, tables, n, &t))
		return fault_set(err, SN_ERR_UNSUPPORTED, base, "%s takes no object here", base);
	return fault_set(err, SN_ERR_INVALID, p->name, "the request has an unknown field");
}

static int add(json_t *root, const field *f, const multipart_part *p, sn_error *err)
{
	bool is_list = p->name[strlen(p->name) - 1] == ']';
	json_t *v = f->kind == FIELD_FILE ? json_true() : is_list ? json_stringn(p->data, p->size) : value_of(f, p);
	if (!v)
		return sn_json_starved() ? fault_set(err, SN_ERR_NOMEM, p->name, "no memory for the body")
		                            : fault_set(err, SN_ERR_INVALID, p->name, "%s is not valid UTF-8", p->name);
	json_t *list = is_list ? json_object_get(root, p->name) : NULL;
	int failed = 0;
	if (is_list && !list)
		failed = json_object_set_new(root, p->name, list = json_array());
	if (!failed)
		failed = is_list ? json_array_append_new(list, v) : json_object_set_new(root, p->name, v);
	else
		json_decref(v);
	return failed ? fault_set(err, SN_ERR_NOMEM, p->name, "no memory for the body") : SN_OK;
}

int form_parse(const multipart *form, const field_table *const *tables, void *const *into, size_t n, json_t **root, sn_error *err)
{
	sn_json_watch();
	int rc = (*root = json_object()) ? SN_OK : fault_set(err, SN_ERR_NOMEM, NULL, "no memory for the body");
	for (size_t i = 0; i < form->n && rc == SN_OK; i++) {
		const multipart_part *p = &form->parts[i];
		size_t t;
		const field *f = find(p->name, tables, n, &t);
		if (!f) {
			rc = refuse_unknown(p, tables, n, err);
		} else if (p->has_filename && f->kind != FIELD_FILE) {
			rc = fault_set(err, SN_ERR_INVALID, p->name, "%s is not a file", p->name);
		} else {
			if (f->kind == FIELD_FILE)
				*(form_file *)((char *)into[t] + f->offset) = (form_file){p->data, p->size};
			rc = add(*root, f, p, err);
		}
	}
	return rc == SN_OK ? fields_parse(*root, tables, into, n, err) : rc;
}
