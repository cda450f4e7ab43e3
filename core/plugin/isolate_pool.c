#include "plugin/isolate_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

enum {
	MAX_CALLS = 1024, /* of one helper: what a codec may leave behind does not add up for ever */
	START_MS = 30000,
	BURST = 16,       /* helpers that may be started at once ... */
	START_EVERY_MS = 500, /* ... and how soon there may be one more: files that kill decoders must not keep the machine busy with starts */
};

/* ---- a helper's life ---- */

/* Ends it and says what had ended it before, if anything had. */
static int bury(helper *hp)
{
	int status = 0;
	kill(hp->pid, SIGKILL);
	while (waitpid(hp->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(hp->socket);
	free(hp);
	return status;
}

static void count_failure(const isolate *x)
{
	if (x->metrics)
		metric_add(x->metrics, M_HELPERS_FAILED, 1);
}

int helper_receive(int socket, wire_answer *a, double until)
{
	for (;;) {
		struct pollfd p = {.fd = socket, .events = POLLIN};
		int left = clock_left_ms(until), ready = left ? poll(&p, 1, left) : 0;
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return ready;
		ssize_t n = recv(socket, a, sizeof *a, MSG_DONTWAIT | MSG_TRUNC); /* files that came along would be dropped */
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		return n == sizeof *a ? 1 : -1;
	}
}

/* Nothing of what the server knows; what the loader and sanitizers listen to. */
static void environment(const char *out[8])
{
	static const char *const kept[] = {"LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS="};
	size_t n = 0;
	for (char **e = environ; e && *e; e++)
		for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
			if (strncmp(*e, kept[i], strlen(kept[i])) == 0 && n < 7)
				out[n++] = *e;
	out[n] = NULL;
}

static pid_t spawn(const isolate *x, int socket)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	const char *env[8];
	pid_t pid = -1;
	environment(env);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_adddup2(&actions, socket, SN_CODEC_HELPER_FD);
	for (int fd = 0; fd < SN_CODEC_HELPER_FD; fd++)
		posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setpgroup(&attr, 0); /* what a terminal sends to the server is not for it */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	if (posix_spawn(&pid, x->program, &actions, &attr, (char *const *)(uintptr_t)x->argv, (char *const *)(uintptr_t)env) != 0)
		pid = -1;
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

/* Which codecs to load. */
static bool greet(const isolate *x, helper *hp)
{
	const plugin_host *h = x->host;
	char name[WIRE_FILE_NAME] = "";
	wire_hello *hello = calloc(1, sizeof *hello);
	if (!hello)
		return false;
	hello->size = sizeof *hello;
	hello->parent = getpid();
	hello->budget = h->budget;
	hello->life_s = LIFE_S + x->timeout_ms / 1000;
	snprintf(hello->dir, sizeof hello->dir, "%s", h->dir);
	bool ok = send(hp->socket, hello, sizeof *hello, MSG_NOSIGNAL) == sizeof *hello;
	free(hello);
	for (size_t i = 0; i < hp->n_plugins && ok; i++) {
		if (!h->plugins[i]->instance || strcmp(name, h->plugins[i]->file) == 0)
			continue;
		snprintf(name, sizeof name, "%s", h->plugins[i]->file);
		ok = send(hp->socket, name, sizeof name, MSG_NOSIGNAL) == sizeof name;
	}
	memset(name, 0, sizeof name);
	return ok && send(hp->socket, name, sizeof name, MSG_NOSIGNAL) == sizeof name;
}

void helper_log(const isolate *x, const char *request_id, wire_answer *a)
{
	int32_t level = a->line.level < SN_LOG_DEBUG ? SN_LOG_DEBUG : a->line.level > SN_LOG_ERROR ? SN_LOG_ERROR : a->line.level;
	a->line.topic[WIRE_TOPIC - 1] = a->line.text[WIRE_TEXT - 1] = 0;
	sn_log_write(x->host->log, (sn_log_level)level, a->line.topic, request_id, "%s", a->line.text);
}

/* [starter] */
static helper *start(isolate *x)
{
	int ends[2];
	const struct timeval patience = {10, 0};
	wire_answer a;
	helper *hp = calloc(1, sizeof *hp);
	if (!hp || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
		free(hp);
		return NULL;
	}
	setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	hp->socket = ends[0];
	hp->n_plugins = plugin_count(x->host);
	hp->pid = spawn(x, ends[1]);
	close(ends[1]);
	if (hp->pid < 0) {
		log_error(x->host->log, "codec", NULL, "a codec helper cannot be started");
		close(hp->socket);
		free(hp);
		return NULL;
	}
	double until = clock_ms() + START_MS;
	int got = greet(x, hp) ? helper_receive(hp->socket, &a, until) : -1;
	for (int lines = 0; got == 1 && a.kind == WIRE_LOG && lines < MAX_LINES; lines++) {
		helper_log(x, NULL, &a);
		got = helper_receive(hp->socket, &a, until);
	}
	if (got == 1 && a.kind == WIRE_READY) {
		log_debug(x->host->log, "codec", NULL, "codec helper %ld", (long)hp->pid);
		return hp;
	}
	log_error(x->host->log, "codec", NULL, got == 0 ? "a codec helper did not start in time" : "a codec helper ended while it started");
	bury(hp);
	return NULL;
}

static void *starter(void *arg)
{
	isolate *x = arg;
	pthread_mutex_lock(&x->lock);
	while (!x->stop) {
		if (!x->wanted) {
			pthread_cond_wait(&x->changed, &x->lock);
			continue;
		}
		x->wanted--;
		pthread_mutex_unlock(&x->lock);
		helper *hp = start(x);
		pthread_mutex_lock(&x->lock);
		if (!hp) {
			x->n_failed++;
			count_failure(x);
		} else if (x->n_idle < HELPERS_MAX && !x->stop) {
			x->idle[x->n_idle++] = hp;
		} else {
			bury(hp);
		}
		pthread_cond_broadcast(&x->changed);
	}
	pthread_mutex_unlock(&x->lock);
	return NULL;
}

/* ---- processor time ---- */

static double seconds_used(const helper *hp)
{
	clockid_t clock;
	struct timespec used = {0, 0};
	if (clock_getcpuclockid(hp->pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
		return 0;
	return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

/* Where that is not allowed (a server that is root without CAP_SYS_RESOURCE), the limit of its whole life remains. */
void helper_limit_time(const helper *hp, uint32_t ms)
{
	struct rlimit l;
	if (prlimit(hp->pid, RLIMIT_CPU, NULL, &l) != 0)
		return;
	rlim_t soft = (rlim_t)seconds_used(hp) + ms / 1000 + 2;
	l.rlim_cur = soft < l.rlim_max ? soft : l.rlim_max;
	prlimit(hp->pid, RLIMIT_CPU, &l, NULL);
}

/* ---- the pool ---- */

static bool may_start(isolate *x)
{
	double now = clock_ms(), more = x->credit + (now - x->credit_at) / START_EVERY_MS;
	x->credit = more < BURST ? more : BURST;
	x->credit_at = now;
	if (x->credit < 1)
		return false;
	x->credit -= 1;
	return true;
}

/* Who waits for a call says nothing, and is still there: one that was killed meanwhile costs nobody a request. */
static bool is_quiet(const isolate *x, const helper *hp)
{
	struct pollfd p = {.fd = hp->socket, .events = POLLIN};
	if (poll(&p, 1, 0) <= 0)
		return true;
	log_warn(x->host->log, "codec", NULL, "a codec helper ended, or spoke, while it had nothing to do");
	count_failure(x);
	return false;
}

static bool may_serve(const isolate *x, const helper *hp, const plugin *p)
{
	bool knows = false;
	for (size_t i = 0; i < hp->n_plugins && !knows; i++)
		knows = x->host->plugins[i] == p;
	return is_quiet(x, hp) && knows && hp->calls < MAX_CALLS && seconds_used(hp) < LIFE_S;
}

helper *helper_take(isolate *x, const plugin *p)
{
	helper *hp = NULL;
	pthread_mutex_lock(&x->lock);
	uint64_t failed = x->n_failed;
	bool asked = false;
	while (!x->stop && x->n_lent < HELPERS_MAX) {
		while (x->n_idle && !hp) {
			hp = x->idle[--x->n_idle];
			if (!may_serve(x, hp, p)) {
				bury(hp);
				hp = NULL;
			}
		}
		if (hp || (asked && x->n_failed != failed) || (!asked && !may_start(x)))
			break;
		if (!asked)
			x->wanted++;
		asked = true;
		pthread_cond_broadcast(&x->changed);
		pthread_cond_wait(&x->changed, &x->lock);
	}
	if (hp)
		x->lent[x->n_lent++] = hp;
	pthread_mutex_unlock(&x->lock);
	return hp;
}

/* Its process is there until this is done: nobody else's gets its number, and the end's signal. */
static void unlend(isolate *x, const helper *hp)
{
	for (size_t i = 0; i < x->n_lent; i++)
		if (x->lent[i] == hp) {
			x->lent[i] = x->lent[--x->n_lent];
			return;
		}
}

void helper_give(isolate *x, helper *hp)
{
	pthread_mutex_lock(&x->lock);
	unlend(x, hp);
	bool kept = x->n_idle < HELPERS_MAX && !x->stop;
	if (kept)
		x->idle[x->n_idle++] = hp;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
	if (!kept)
		bury(hp);
}

int helper_end(isolate *x, helper *hp)
{
	pthread_mutex_lock(&x->lock);
	unlend(x, hp);
	if (!x->stop)
		count_failure(x);
	pthread_mutex_unlock(&x->lock);
	return bury(hp);
}

bool helper_ending(isolate *x)
{
	pthread_mutex_lock(&x->lock);
	bool stop = x->stop;
	pthread_mutex_unlock(&x->lock);
	return stop;
}

sn_status isolate_open(isolate **out, plugin_host *h, metrics *m, const char *program, const char *const *argv, uint32_t timeout_ms, sn_error *err)
{
	isolate *x = calloc(1, sizeof *x);
	if (!x)
		return error_set(err, SN_ERR_NOMEM, "no memory for codec helpers");
	x->host = h;
	x->metrics = m;
	x->program = program;
	x->argv = argv;
	x->timeout_ms = timeout_ms;
	x->credit = BURST;
	x->credit_at = clock_ms();
	x->wanted = 1;
	pthread_mutex_init(&x->lock, NULL);
	pthread_cond_init(&x->changed, NULL);
	x->has_starter = pthread_create(&x->starter, NULL, starter, x) == 0;
	pthread_mutex_lock(&x->lock);
	while (x->has_starter && !x->n_idle && !x->n_failed)
		pthread_cond_wait(&x->changed, &x->lock);
	bool started = x->n_idle > 0;
	pthread_mutex_unlock(&x->lock);
	if (started) {
		log_info(h->log, "codec", NULL, "codecs run in processes of their own");
		*out = x;
		return SN_OK;
	}
	isolate_close(&x);
	return error_set(err, SN_ERR_UNSUPPORTED, "codecs cannot be isolated here: no helper process could be started (--isolate-codecs off runs them in the server)");
}

void isolate_end(isolate *x)
{
	if (!x)
		return;
	pthread_mutex_lock(&x->lock);
	x->stop = true;
	for (size_t i = 0; i < x->n_lent; i++)
		kill(x->lent[i]->pid, SIGKILL);
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
}

void isolate_close(isolate **xp)
{
	isolate *x = *xp;
	*xp = NULL;
	if (!x)
		return;
	isolate_end(x);
	if (x->has_starter)
		pthread_join(x->starter, NULL);
	while (x->n_idle)
		bury(x->idle[--x->n_idle]);
	pthread_cond_destroy(&x->changed);
	pthread_mutex_destroy(&x->lock);
	free(x);
}
