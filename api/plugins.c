/* plugins.c - GET /v1/plugins: what was found in the plugin folder, and why something was refused */
#include "api.h"

#define MAX_LISTED 256

void plugins_endpoint(request *r)
{
	static const struct { const char *name; size_t field; } texts[] = {
		{"id", offsetof(sn_plugin_info, id)},
		{"version", offsetof(sn_plugin_info, version)},
		{"file", offsetof(sn_plugin_info, file)},
		{"state", offsetof(sn_plugin_info, state)},
		{"reason", offsetof(sn_plugin_info, reason)},
		{"extensions", offsetof(sn_plugin_info, extensions)},
		{"media_types", offsetof(sn_plugin_info, media_types)},
	};
	sn_plugin_info list[MAX_LISTED];
	size_t n = sn_engine_plugins(r->api->engine, list, MAX_LISTED);
	out_buf o = {0};
	out_text(&o, "{\"object\":\"list\",\"data\":[");
	for (size_t i = 0; i < n && i < MAX_LISTED; i++) {
		out_text(&o, i ? ",{\"object\":\"plugin\"" : "{\"object\":\"plugin\"");
		for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) {
			const char *text = *(const char *const *)((const char *)&list[i] + texts[j].field);
			out_fmt(&o, ",\"%s\":", texts[j].name);
			out_json_text(&o, text ? text : "");
		}
		out_fmt(&o, ",\"calls\":%llu,\"failures\":%llu}", (unsigned long long)list[i].calls, (unsigned long long)list[i].failures);
	}
	out_text(&o, "]}");
	http_send_out(r->x, "application/json", &o);
	out_fini(&o);
}
