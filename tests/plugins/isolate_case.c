#include "isolate_case.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const HELPER[] = {"sensorium", "codec-helper", NULL};

void gate_open(gate *t, const char *dir, bool isolated, uint32_t timeout_ms)
{
	static const hash_key key = {0};
	sn_error err = {0};
	*t = (gate){.log_path = "/tmp/sn-log-XXXXXX"};
	t->log_fd = mkstemp(t->log_path);
	assert_true(t->log_fd >= 0);
	assert_int_equal(sn_log_open(&t->log, &(sn_log_config){.level = SN_LOG_WARN, .fd = t->log_fd}, &err), SN_OK);
	assert_int_equal(pool_open(&t->threads, 1, &err), SN_OK);
	assert_int_equal(plugin_host_open(&t->host, dir, 64 << 20, t->threads, t->log, &err), SN_OK);
	if (isolated && isolate_open(&t->host->isolate, t->host, &t->metrics, PROGRAM, HELPER, timeout_ms, &err))
		fail_msg("%s", err.text);
	media_gate_init(&t->g, t->host, &t->metrics, t->log, &key, 512u << 20, 2);
}

int count_children(pid_t *one)
{
	int n = 0;
	struct dirent *e;
	DIR *d = opendir("/proc");
	while (d && (e = readdir(d))) {
		char path[300];
		int pid = atoi(e->d_name), parent = 0;
		snprintf(path, sizeof path, "/proc/%.200s/stat", e->d_name);
		FILE *f = pid ? fopen(path, "re") : NULL;
		if (f && fscanf(f, "%*d (%*[^)]) %*c %d", &parent) == 1 && parent == getpid()) {
			n++;
			*one = pid;
		}
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return n;
}

int count_files(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

void gate_close(gate *t)
{
	pid_t left = 0;
	assert_int_equal(t->g.held, 0);
	assert_int_equal(t->g.slots, 2);
	media_gate_fini(&t->g);
	plugin_host_close(&t->host);
	pool_close(&t->threads);
	sn_log_close(&t->log);
	close(t->log_fd);
	unlink(t->log_path);
	assert_int_equal(count_children(&left), 0);
	assert_true(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

const char *log_text(const gate *t)
{
	static char text[1 << 16];
	ssize_t n = pread(t->log_fd, text, sizeof text - 1, 0);
	text[n > 0 ? n : 0] = 0;
	return text;
}

bool log_has(const gate *t, const char *words)
{
	return strstr(log_text(t), words);
}

sn_status pass(gate *t, const char *kind, const void *bytes, size_t n, uint32_t rate, sn_media *m, sn_error *err)
{
	const sn_part part = {.kind = SN_PART_MEDIA, .kind_name = kind, .data = bytes, .size = n};
	*err = (sn_error){0};
	return media_gate_decode(&t->g, &part, rate, "request-7", m, err);
}

plugin *find(gate *t, const char *id)
{
	for (size_t i = 0; i < plugin_count(t->host); i++)
		if (t->host->plugins[i]->desc && strcmp(t->host->plugins[i]->desc->id, id) == 0)
			return t->host->plugins[i];
	fail_msg("no plugin %s", id);
	return NULL;
}

const char *animal(const char *name)
{
	static _Thread_local char path[512];
	snprintf(path, sizeof path, ZOO_DIR "/zoo_%s.so", name);
	return path;
}

void canary_open(canary *c)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof at;
	strcpy(c->path, "/tmp/sn-canary-XXXXXX");
	close(mkstemp(c->path));
	c->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(c->listener, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(c->listener, 8), 0);
	assert_int_equal(getsockname(c->listener, (struct sockaddr *)&at, &n), 0);
	snprintf(c->port, sizeof c->port, "%d", ntohs(at.sin_port));
}

bool canary_touched(const canary *c)
{
	struct stat st;
	struct pollfd p = {.fd = c->listener, .events = POLLIN};
	return stat(c->path, &st) != 0 || st.st_size != 0 || poll(&p, 1, 0) != 0;
}

void canary_close(canary *c)
{
	close(c->listener);
	unlink(c->path);
}
