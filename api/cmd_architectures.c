/* cmd_architectures.c - `sensorium architectures` */
#include "commands.h"

int cmd_architectures(const options *o, sn_log *log)
{
	(void)o;
	(void)log;
	sn_architectures(stdout);
	return fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED;
}
