/* cmd_version.c - `sensorium version` */
#include "commands.h"

int cmd_version(const options *o, sn_log *log)
{
	(void)o;
	(void)log;
	puts("sensorium " SN_VERSION);
	return EXIT_FINE;
}
