/* cmd_plugins.c - `sensorium plugins`: what lies in the folder, and what was refused for which reason; and, with --check FILE,
 * whether a plugin keeps the contract. Each check runs in a process of its own, this program again with --only CHECK, so
 * that a crash or a hang is a result like any other. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "out.h"

#define MAX_LISTED 256
#define MAX_ARGS (16 + 2 * OPTIONS_MAX_LIST)
#define MAX_LINE 1024

static const char *text(const char *s)
{
	return s ? s : "";
}

static int list(const options *o, sn_log *log)
{
	sn_plugin_info list[MAX_LISTED];
	sn_engine *engine;
	int rc = engine_open_from(&engine, o, false, log);
	if (rc != EXIT_FINE)
		return rc;
	size_t n = sn_engine_plugins(engine, list, MAX_LISTED);
	for (size_t i = 0; i < n && i < MAX_LISTED; i++) {
		const sn_plugin_info *p = &list[i];
		printf("%-16s %-8s %-8s %-28s %s%s%s\n", text(p->id), text(p->version), text(p->state), text(p->file), text(p->extensions),
		       *text(p->media_types) ? "  media: " : "", text(p->media_types));
		if (*text(p->summary))
			printf("%-16s %s (%s)\n", "", p->summary, text(p->license));
		if (*text(p->reason))
			printf("%-16s refused: %s\n", "", p->reason);
	}
	if (n == 0)
		puts("no plugins found");
	sn_engine_close(&engine);
	return EXIT_FINE;
}

/* ---- one check, in this process ---- */

static const char *const verdicts[] = {
    [SN_CHECK_PASS] = "pass", [SN_CHECK_FAIL] = "FAIL", [SN_CHECK_NOT_DONE] = "not done", [SN_CHECK_NOT_APPLICABLE] = "-"};

static bool is_good(sn_check_verdict v)
{
	return v == SN_CHECK_PASS || v == SN_CHECK_NOT_APPLICABLE;
}

/* The line that run_here would have printed. In a signal handler: no stdio. */
static void tell_crash(const sn_check_result *r)
{
	char line[sizeof r->text + 3] = {(char)('0' + r->verdict), '\t'};
	size_t n = strnlen(r->text, sizeof r->text);
	memcpy(line + 2, r->text, n);
	line[n + 2] = '\n';
	for (size_t at = 0; at < n + 3;) {
		ssize_t done = write(STDOUT_FILENO, line + at, n + 3 - at);
		if (done <= 0)
			return;
		at += (size_t)done;
	}
}

static int run_here(const options *o, const char *file, sn_log *log)
{
	const sn_check_config config = {.file = file, .model = o->check_model, .samples = o->samples, .n_samples = (size_t)o->n_samples, .log = log,
	                                .on_crash = tell_crash};
	const struct rlimit none = {0, 0};
	sn_check_result result;
	setrlimit(RLIMIT_CORE, &none); /* a crash is expected often enough */
	sn_check_run(&config, o->only, &result);
	printf("%d\t%s\n", (int)result.verdict, result.text);
	return fflush(stdout) == 0 && is_good(result.verdict) ? EXIT_FINE : EXIT_FAILED;
}

/* ---- all of them, each in its own ---- */

static pid_t spawn_check(const options *o, char *file, const char *name, int *out)
{
	char *args[MAX_ARGS], program[] = "/proc/self/exe";
	size_t n = 0;
	int ends[2];
	pid_t pid = -1;
	posix_spawn_file_actions_t actions;
	const char *const fixed[] = {"sensorium", "plugins", "--check", file, "--only", name, "--log-level", "error"};
	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
		args[n++] = (char *)(uintptr_t)fixed[i];
	if (o->check_model) {
		args[n++] = (char *)(uintptr_t)"--model";
		args[n++] = (char *)(uintptr_t)o->check_model;
	}
	for (uint64_t i = 0; i < o->n_samples; i++) {
		args[n++] = (char *)(uintptr_t)"--sample";
		args[n++] = (char *)(uintptr_t)o->samples[i];
	}
	args[n] = NULL;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	if (posix_spawn(&pid, program, &actions, NULL, args, environ) != 0)
		pid = -1;
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (pid < 0)
		close(ends[0]);
	else
		*out = ends[0];
	return pid;
}

static long long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What the process wrote, up to its end. False if it went on for too long. */
static bool read_line(int fd, char line[MAX_LINE], long long ms)
{
	size_t n = 0;
	long long until = now_ms() + ms;
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		long long left = until - now_ms();
		int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			break;
		ssize_t got = read(fd, line + n, MAX_LINE - 1 - n);
		if (got <= 0) {
			line[n] = 0;
			return true;
		}
		n += n + (size_t)got < MAX_LINE - 1 ? (size_t)got : 0;
	}
	line[n] = 0;
	return false;
}

static void run_apart(const options *o, char *file, const char *name, sn_check_result *result)
{
	char line[MAX_LINE];
	int out = -1, status = 0;
	*result = (sn_check_result){.verdict = SN_CHECK_FAIL};
	pid_t pid = spawn_check(o, file, name, &out);
	if (pid < 0) {
		snprintf(result->text, sizeof result->text, "the process for this check could not be started");
		return;
	}
	bool ended = read_line(out, line, (long long)o->time_limit_s * 1000);
	if (!ended)
		kill(pid, SIGKILL);
	close(out);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	char *tab = strchr(line, '\t'), *end = tab ? strchr(tab, '\n') : NULL;
	bool whole = ended && end && tab == line + 1 && line[0] >= '0' && line[0] <= '3';
	sn_check_verdict verdict = whole ? (sn_check_verdict)(line[0] - '0') : SN_CHECK_FAIL;
	bool exited = whole && WIFEXITED(status) && WEXITSTATUS(status) == (is_good(verdict) ? EXIT_FINE : EXIT_FAILED);
	bool explained = whole && verdict == SN_CHECK_FAIL && !(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FINE); /* by tell_crash */
	if (exited || explained) {
		*end = 0;
		result->verdict = verdict;
		snprintf(result->text, sizeof result->text, "%.470s", tab + 1);
	} else if (!ended) {
		snprintf(result->text, sizeof result->text, "it hangs: no end after %llu s", (unsigned long long)o->time_limit_s);
	} else if (WIFSIGNALED(status)) {
		snprintf(result->text, sizeof result->text, "it crashes: %s%s", strsignal(WTERMSIG(status)),
		         WTERMSIG(status) == SIGSEGV ? " (memory that is not its own, or the forbidden page beside what it was given)" : "");
	} else {
		snprintf(result->text, sizeof result->text, "its process ended with code %d and without a result", WEXITSTATUS(status));
	}
}

static void render_json(out_buf *b, const char *name, const char *meaning, const sn_check_result *r, bool first)
{
	static const char *const words[] = {"pass", "fail", "not_done", "not_applicable"};
	out_text(b, first ? "{\"name\":" : ",{\"name\":");
	out_json_text(b, name);
	out_text(b, ",\"verdict\":");
	out_json_text(b, words[r->verdict]);
	out_text(b, ",\"meaning\":");
	out_json_text(b, meaning);
	out_text(b, ",\"text\":");
	out_json_text(b, r->text);
	out_text(b, "}");
}

static int check(const options *o, char *file)
{
	out_buf json = {0};
	size_t n = sn_check_count(), good = 0;
	out_text(&json, "{\"file\":");
	out_json_text(&json, file);
	out_text(&json, ",\"checks\":[");
	for (size_t i = 0; i < n; i++) {
		sn_check_result r;
		run_apart(o, file, sn_check_name(i), &r);
		good += is_good(r.verdict);
		render_json(&json, sn_check_name(i), sn_check_meaning(i), &r, i == 0);
		if (!o->json) {
			printf("%-12s %-9s %s\n", sn_check_name(i), verdicts[r.verdict], *r.text ? r.text : sn_check_meaning(i));
			fflush(stdout);
		}
	}
	out_text(&json, good == n ? "],\"passed\":true}\n" : "],\"passed\":false}\n");
	if (o->json && !json.failed)
		fwrite(json.data, 1, json.size, stdout);
	out_fini(&json);
	return good == n ? EXIT_FINE : EXIT_FAILED;
}

int cmd_plugins(const options *o, sn_log *log)
{
	if (!o->check)
		return list(o, log);
	char *file = realpath(o->check, NULL);
	if (!file) {
		sn_log_write(log, SN_LOG_ERROR, "start", NULL, "--check: %s", strerror(errno));
		return EXIT_USAGE;
	}
	int rc = o->only ? run_here(o, file, log) : check(o, file);
	free(file);
	return rc;
}
