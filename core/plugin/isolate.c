#include "plugin/isolate.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

enum {
	MAX_IDLE = 64,
	MAX_CALLS = 1024, /* of one helper: what a codec may leave behind does not add up for ever */
	START_MS = 30000,
	BURST = 16,       /* helpers that may be started at once ... */
	START_EVERY_MS = 500, /* ... and how soon there may be one more: files that kill decoders must not keep the machine busy with starts */
	MAX_LINES = 64,   /* of the log, a call */
	SPARE_MS = 2000,  /* that a codec which watches its own deadline has beyond it */
};

typedef struct isolate_helper {
	pid_t pid;
	int socket;
	size_t n_plugins; /* of the host's list, when it was started */
	uint32_t calls;
	uint64_t serial;
} helper;

struct isolate {
	plugin_host *host;
	const char *program;
	const char *const *argv;
	uint32_t timeout_ms;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t starter;
	helper *idle[MAX_IDLE];
	size_t n_idle, wanted;
	uint64_t n_failed; /* starts */
	double credit, credit_at;
	bool stop, has_starter;
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

/* A packet before the deadline. 1: there is one; 0: none in time; -1: the other side has gone, or sends something else. */
static int receive(int socket, wire_answer *a, double until)
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

static void log_line(const isolate *x, const char *request_id, wire_answer *a)
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
	int got = greet(x, hp) ? receive(hp->socket, &a, until) : -1;
	for (int lines = 0; got == 1 && a.kind == WIRE_LOG && lines < MAX_LINES; lines++) {
		log_line(x, NULL, &a);
		got = receive(hp->socket, &a, until);
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
		if (!hp)
			x->n_failed++;
		else if (x->n_idle < MAX_IDLE)
			x->idle[x->n_idle++] = hp;
		else
			bury(hp);
		pthread_cond_broadcast(&x->changed);
	}
	pthread_mutex_unlock(&x->lock);
	return NULL;
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

/* One that knows the plugin; NULL if there is none and none may, or can, be started. */
static helper *take(isolate *x, const plugin *p)
{
	helper *hp = NULL;
	pthread_mutex_lock(&x->lock);
	uint64_t failed = x->n_failed;
	bool asked = false;
	for (;;) {
		while (x->n_idle && !hp) {
			hp = x->idle[--x->n_idle];
			bool knows = false;
			for (size_t i = 0; i < hp->n_plugins && !knows; i++)
				knows = x->host->plugins[i] == p;
			if (!knows || hp->calls >= MAX_CALLS) {
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
	pthread_mutex_unlock(&x->lock);
	return hp;
}

static void give(isolate *x, helper *hp)
{
	pthread_mutex_lock(&x->lock);
	bool kept = x->n_idle < MAX_IDLE;
	if (kept)
		x->idle[x->n_idle++] = hp;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
	if (!kept)
		bury(hp);
}

sn_status isolate_open(isolate **out, plugin_host *h, const char *program, const char *const *argv, uint32_t timeout_ms, sn_error *err)
{
	isolate *x = calloc(1, sizeof *x);
	if (!x)
		return error_set(err, SN_ERR_NOMEM, "no memory for codec helpers");
	x->host = h;
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

void isolate_close(isolate **xp)
{
	isolate *x = *xp;
	*xp = NULL;
	if (!x)
		return;
	pthread_mutex_lock(&x->lock);
	x->stop = true;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
	if (x->has_starter)
		pthread_join(x->starter, NULL);
	while (x->n_idle)
		bury(x->idle[--x->n_idle]);
	pthread_cond_destroy(&x->changed);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

/* ---- one call ---- */

/* A file in memory whose size nobody changes; written: with these bytes, which nobody changes either. */
static int memory_file(const void *bytes, size_t n, bool written)
{
	int fd = memfd_create("media", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	bool ok = ftruncate(fd, (off_t)n) == 0;
	for (size_t at = 0; ok && written && at < n;) {
		ssize_t done = write(fd, (const char *)bytes + at, n - at);
		ok = done > 0 || (done < 0 && errno == EINTR);
		at += done > 0 ? (size_t)done : 0;
	}
	if (ok && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (written ? F_SEAL_WRITE : 0)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool fetch_part(int room, void *to, size_t n, size_t from)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = pread(room, (char *)to + at, n - at, (off_t)(from + at));
		if (got == 0 || (got < 0 && errno != EINTR))
			return false;
		at += got > 0 ? (size_t)got : 0;
	}
	return true;
}

static bool put_part(int room, const void *from, size_t n, size_t to)
{
	for (size_t at = 0; at < n;) {
		ssize_t done = pwrite(room, (const char *)from + at, n - at, (off_t)(to + at));
		if (done == 0 || (done < 0 && errno != EINTR))
			return false;
		at += done > 0 ? (size_t)done : 0;
	}
	return true;
}

static bool send_call(const helper *hp, wire_call *c, int file, int room)
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec part = {c, sizeof *c};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	struct cmsghdr *files = CMSG_FIRSTHDR(&m);
	files->cmsg_level = SOL_SOCKET;
	files->cmsg_type = SCM_RIGHTS;
	files->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(files), (int[]){file, room}, 2 * sizeof(int));
	return sendmsg(hp->socket, &m, MSG_NOSIGNAL) == sizeof *c;
}

/* Processor time that it may take from now on: who spins while nobody waits for it ends as well. */
static void limit_time(const helper *hp, uint32_t ms)
{
	clockid_t clock;
	struct timespec used = {0, 0};
	if (clock_getcpuclockid(hp->pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
		return;
	const struct rlimit l = {(rlim_t)used.tv_sec + ms / 1000 + 2, RLIM_INFINITY};
	prlimit(hp->pid, RLIMIT_CPU, &l, NULL);
}

static const char *cause(int status)
{
	if (!WIFSIGNALED(status))
		return "it ended";
	switch (WTERMSIG(status)) {
	case SIGSYS: return "it asked for what no decoder needs of the system: files, network, processes";
	case SIGSEGV: case SIGBUS: return "it read or wrote memory that is not its own";
	case SIGABRT: return "it gave up";
	case SIGXCPU: return "it took too long";
	case SIGKILL: return "it was killed";
	default: return "it crashed";
	}
}

static sn_rc died(codec_run *r, bool late, sn_fault *fault)
{
	int status = bury(r->helper);
	r->helper = NULL;
	log_warn(r->host->log, "codec", r->call->request_id, "%s failed on a file: %s", r->p->desc->id, late ? "it took too long" : cause(status));
	return host_fault(fault, HOST_RC_DIED, SN_BLAME_INPUT, "the decoder failed on this file");
}

/* Hands on the lines of the log, up to the answer of this call. As receive. */
static int await(codec_run *r, wire_answer *a, double until)
{
	for (int lines = 0;;) {
		int got = receive(r->helper->socket, a, until);
		if (got != 1 || (a->kind == WIRE_DONE && a->serial == r->helper->serial))
			return got;
		if (a->kind != WIRE_LOG)
			return -1;
		if (lines++ < MAX_LINES)
			log_line(r->host->isolate, r->call->request_id, a);
	}
}

/* What the helper says is believed no more than a plugin is: pointers are ours, texts end. */
static bool accept_answer(wire_answer *a, const wire_call *c, const wire_out *out, int room, const wire_room *at, sn_fault *fault)
{
	if (a->rc != SN_RC_OK) {
		uint32_t size = fault->size;
		*fault = a->done.fault;
		fault->size = size;
		fault->text[sizeof fault->text - 1] = 0;
		return true;
	}
	if ((out->samples && !fetch_part(room, out->samples, (size_t)c->n_samples, 0)) ||
	    (out->times && !fetch_part(room, out->times, (size_t)c->n_times * sizeof(double), at->times)))
		return false;
	if (out->media) {
		sn_media made = a->done.media;
		made.samples = out->media->samples;
		made.timestamps = out->media->timestamps;
		memcpy(made.hash, out->media->hash, sizeof made.hash);
		*out->media = made;
	}
	if (out->info)
		*out->info = a->done.info;
	return true;
}

sn_rc isolate_call(codec_run *r, wire_call *c, const wire_out *out, sn_fault *fault)
{
	isolate *x = r->host->isolate;
	wire_room at;
	wire_answer a;
	if (r->file < 0)
		r->file = memory_file(r->bytes, r->n, true);
	int room = r->file >= 0 && wire_room_of(c, &at) ? memory_file(NULL, at.size, false) : -1;
	if (room < 0 || (out->frames && !put_part(room, out->frames, (size_t)c->n_frames * sizeof(uint32_t), at.frames))) {
		if (room >= 0)
			close(room);
		return host_fault(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory to decode the media");
	}
	if (!r->helper)
		r->helper = take(x, r->p);
	if (!r->helper) {
		close(room);
		return host_fault(fault, HOST_RC_BUSY, SN_BLAME_RESOURCE, "no decoder is free at the moment");
	}
	uint32_t ms = c->clip.max_ms && c->clip.max_ms < x->timeout_ms ? c->clip.max_ms + SPARE_MS : x->timeout_ms;
	c->serial = ++r->helper->serial;
	c->n_bytes = r->n;
	c->media.samples = c->media.timestamps = NULL;
	c->wish.frames = NULL;
	snprintf(c->plugin, sizeof c->plugin, "%s", r->p->desc->id);
	r->helper->calls++;
	limit_time(r->helper, ms);
	int got = send_call(r->helper, c, r->file, room) ? await(r, &a, clock_ms() + ms) : -1;
	sn_rc rc = got == 1 && accept_answer(&a, c, out, room, &at, fault) ? a.rc : died(r, got == 0, fault);
	close(room);
	return rc;
}

void isolate_done(codec_run *r)
{
	if (r->file >= 0)
		close(r->file);
	if (r->helper)
		give(r->host->isolate, r->helper);
	r->file = -1;
	r->helper = NULL;
}
