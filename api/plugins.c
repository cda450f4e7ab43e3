/* plugins.c - GET /v1/plugins: what was found in the plugin folder, and why something was refused.
 * POST /v1/plugins {"file": "name.so"}: one more, from the same folder, by an admin's key. */
#include <string.h>

#include "api.h"
#include "fault.h"
#include "json.h"
#include "plugins.h"

#define MAX_LISTED 256

static void numbers_render(out_buf *o, const sn_plugin_info *p)
{
	const struct { const char *name; uint64_t value; } numbers[] = {
	    {"models", p->models}, {"calls", p->calls}, {"failures", p->failures}, {"media_bytes", p->media_bytes}};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		out_fmt(o, ",\"%s\":%llu", numbers[i].name, (unsigned long long)numbers[i].value);
	if (!p->max_bytes) {
		out_text(o, ",\"limits\":null");
		return;
	}
	out_fmt(o, ",\"limits\":{\"side\":%u,\"frames\":%u,\"seconds\":%u,\"pixels\":%llu,\"samples\":%llu,\"decoded_bytes\":%llu}", p->max_side,
	        p->max_frames, p->max_seconds, (unsigned long long)p->max_pixels, (unsigned long long)p->max_samples, (unsigned long long)p->max_bytes);
}

static void plugin_render(out_buf *o, const sn_plugin_info *p)
{
	const struct { const char *name, *text; } texts[] = {
	    {"id", p->id}, {"version", p->version}, {"license", p->license}, {"summary", p->summary}, {"file", p->file}, {"state", p->state},
	    {"reason", p->reason}, {"extensions", p->extensions}, {"kind", p->kind}, {"media_types", p->media_types}};
	out_text(o, "{\"object\":\"plugin\"");
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		out_fmt(o, ",\"%s\":", texts[i].name);
		out_json_text(o, texts[i].text ? texts[i].text : "");
	}
	numbers_render(o, p);
	out_text(o, "}");
}

/* file NULL: all of them. */
static void send_list(request *r, const char *file)
{
	sn_plugin_info list[MAX_LISTED];
	size_t n = sn_engine_plugins(r->api->engine, list, MAX_LISTED), sent = 0;
	out_buf o = {0};
	out_text(&o, "{\"object\":\"list\",\"data\":[");
	for (size_t i = 0; i < n && i < MAX_LISTED; i++) {
		if (file && strcmp(list[i].file, file) != 0)
			continue;
		if (sent++)
			out_text(&o, ",");
		plugin_render(&o, &list[i]);
	}
	out_text(&o, "]}");
	http_send_out(r->x, "application/json", &o);
	out_fini(&o);
}

void plugins_endpoint(request *r)
{
	send_list(r, NULL);
}

typedef struct plugin_body { const char *file; } plugin_body;

static const field fields[] = {
	{.name = "file", .kind = FIELD_NAME, .offset = offsetof(plugin_body, file), .required = true, .doc = "The plain name of a file in the plugin folder."},
};

const field_table plugin_fields = FIELD_TABLE(fields);

static int parse_file(char *out, size_t cap, const char *data, size_t size, sn_error *err)
{
	const field_table *tables[] = {&plugin_fields};
	plugin_body body = {0};
	void *into[] = {&body};
	json_t *root;
	int rc = body_parse(&root, data, size, err);
	if (rc != SN_OK)
		return rc;
	rc = fields_parse(root, tables, into, 1, err);
	if (rc == SN_OK && strlen(body.file) >= cap)
		rc = body_wants(err, "file", "the plain name of a file in the plugin folder");
	else if (rc == SN_OK)
		memcpy(out, body.file, strlen(body.file) + 1);
	json_decref(root);
	return rc;
}

void plugins_add_endpoint(request *r)
{
	char file[256];
	const char *data;
	size_t size;
	sn_error err;
	int rc = r->is_admin ? http_read_body(r->x, &data, &size, &err)
	                     : fault_set(&err, FAULT_FORBIDDEN, NULL, "adding plugins needs a key of --admin-api-key");
	if (rc == SN_OK)
		rc = parse_file(file, sizeof file, data, size, &err);
	if (rc == SN_OK && !atomic_load(&r->api->loaded))
		rc = fault_set(&err, SN_ERR_DRAINING, NULL, "the model is still loading");
	if (rc == SN_OK)
		rc = sn_engine_add_plugin(r->api->engine, file, &err);
	if (rc == SN_OK)
		send_list(r, file);
	else
		http_send_error(r->x, &err);
}
