/* main.c - picks the command. The only place that exits. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "json.h"

static int run_command(command cmd, const options *o, sn_log *log)
{
	switch (cmd) {
	case CMD_SERVE: return cmd_serve(o, log);
	case CMD_RUN: return cmd_run(o, log);
	case CMD_SPEAK: return cmd_speak(o, log);
	case CMD_BENCH: return cmd_bench(o, log);
	case CMD_INSPECT: return cmd_inspect(o, log);
	case CMD_ARCHITECTURES: return cmd_architectures(o, log);
	case CMD_PLUGINS: return cmd_plugins(o, log);
	case CMD_VERSION: return cmd_version(o, log);
	}
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	sn_json_init();
	command cmd;
	options o;
	sn_error err;
	sn_log *log;
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)) {
		options_usage(stdout);
		return EXIT_FINE;
	}
	if (argc == 2 && strcmp(argv[1], CODEC_HELPER) == 0) /* not for users: engine_open_from names it */
		return sn_codec_helper();
	if (argc < 2 || !command_find(strcmp(argv[1], "--version") == 0 ? "version" : argv[1], &cmd)) {
		options_usage(stderr);
		return EXIT_USAGE;
	}
	int bad = options_parse(&o, cmd, argc - 2, argv + 2, &err);
	if (!bad && o.help) {
		options_help(cmd, stdout);
		return EXIT_FINE;
	}
	const sn_log_config config = {
		.level = bad ? SN_LOG_INFO : o.level,
		.json = !bad && o.log_format && strcmp(o.log_format, "json") == 0,
		.fd = STDERR_FILENO,
	};
	if (sn_log_open(&log, &config, NULL) != SN_OK) {
		fputs("sensorium: no memory for the log\n", stderr);
		return EXIT_FAILED;
	}
	int rc;
	if (bad) {
		sn_log_write(log, SN_LOG_ERROR, "start", NULL, "%s", err.text);
		rc = EXIT_USAGE;
	} else if (sodium_init() < 0) {
		sn_log_write(log, SN_LOG_ERROR, "start", NULL, "no source of randomness");
		rc = EXIT_FAILED;
	} else {
		rc = run_command(cmd, &o, log);
	}
	if (rc == EXIT_STUCK)
		_exit(rc);
	sn_log_close(&log);
	return rc;
}
