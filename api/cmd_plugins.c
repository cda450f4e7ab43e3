/* cmd_plugins.c - `sensorium plugins`: what lies in the folder, and what was refused for which reason */
#include "commands.h"

#define MAX_LISTED 256

static const char *text(const char *s)
{
	return s ? s : "";
}

int cmd_plugins(const options *o, sn_log *log)
{
	sn_plugin_info list[MAX_LISTED];
	sn_engine *engine;
	int rc = engine_open_from(&engine, o, log);
	if (rc != EXIT_FINE)
		return rc;
	size_t n = sn_engine_plugins(engine, list, MAX_LISTED);
	for (size_t i = 0; i < n && i < MAX_LISTED; i++) {
		const sn_plugin_info *p = &list[i];
		printf("%-16s %-8s %-8s %-28s %s%s%s\n", text(p->id), text(p->version), text(p->state), text(p->file), text(p->extensions),
		       *text(p->media_types) ? "  media: " : "", text(p->media_types));
		if (*text(p->reason))
			printf("%-16s refused: %s\n", "", p->reason);
	}
	if (n == 0)
		puts("no plugins found");
	sn_engine_close(&engine);
	return EXIT_FINE;
}
