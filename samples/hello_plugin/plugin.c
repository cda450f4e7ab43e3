/* plugin.c - the one exported symbol, and what both plugins share. */
#include <stdio.h>

#include "table.h"

sn_rc table_fail(sn_fault *fault, sn_rc code, const char *text)
{
	fault->code = code;
	fault->retryable = code == SN_RC_NOMEM;
	fault->blame = code == SN_RC_NOMEM ? SN_BLAME_RESOURCE : code == SN_RC_INTERNAL ? SN_BLAME_PLUGIN : SN_BLAME_INPUT;
	snprintf(fault->text, sizeof fault->text, "%s", text);
	return code;
}

static const sn_plugin *const PLUGINS[] = {&table_codec, &table_encoder};
static const sn_plugin_list LIST = {.stamp = SN_PLUGIN_STAMP, .n_plugins = 2, .plugins = PLUGINS};

SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void) { return &LIST; }
