/* cmd_inspect.c - `sensorium inspect FILE` */
#include "commands.h"

int cmd_inspect(const options *o, sn_log *log)
{
	sn_error err;
	if (sn_inspect(o->file, stdout, &err) != SN_OK) {
		sn_log_write(log, SN_LOG_ERROR, "inspect", NULL, "%s", err.text);
		return EXIT_MODEL;
	}
	return fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED;
}
