/* isolate_helper.c - the other side of isolate.c: loads the codecs, gives up everything else, then answers calls until the server has gone. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "plugin/isolate.h"

enum { SCRATCH = 768 << 20 /* bytes that a decode may take beside what it makes */, MAPPED = 256 << 20 /* of file, beside what it makes */ };

typedef struct inside {
	plugin_host *host;
	pool *threads;
	uint64_t serial;
} inside;

static bool answer(const wire_answer *a)
{
	return send(SN_CODEC_HELPER_FD, a, sizeof *a, MSG_NOSIGNAL) == sizeof *a;
}

/* A plugin's line, for the one log. */
static void say(void *ctx, int32_t level, const char *topic, const char *text)
{
	(void)ctx;
	wire_answer a = {.kind = WIRE_LOG};
	a.line.level = level;
	snprintf(a.line.topic, sizeof a.line.topic, "%s", topic);
	snprintf(a.line.text, sizeof a.line.text, "%s", text);
	answer(&a);
}

static bool load(inside *in, const wire_hello *hello)
{
	char name[WIRE_FILE_NAME];
	sn_error err;
	if (pool_open(&in->threads, 1, &err) || plugin_host_open(&in->host, NULL, (size_t)hello->budget, in->threads, NULL, &err))
		return false;
	in->host->say = say;
	in->host->dir = arena_strndup(in->host->mem, hello->dir, strnlen(hello->dir, sizeof hello->dir - 1));
	while (in->host->dir && recv(SN_CODEC_HELPER_FD, name, sizeof name, 0) == sizeof name) {
		name[sizeof name - 1] = 0;
		if (!*name)
			return true;
		if (plugin_host_add(in->host, name, &err)) /* the others may still do */
			say(NULL, SN_LOG_ERROR, "codec", err.text);
	}
	return false;
}

/* ---- a call ---- */

static ssize_t receive(wire_call *c, int files[2])
{
	union {
		char bytes[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = {c, sizeof *c};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	ssize_t n;
	do
		n = recvmsg(SN_CODEC_HELPER_FD, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	const struct cmsghdr *got = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	if (!got || got->cmsg_type != SCM_RIGHTS || got->cmsg_len != CMSG_LEN(2 * sizeof(int)))
		return n > 0 ? -1 : n;
	memcpy(files, CMSG_DATA(got), 2 * sizeof(int));
	return n;
}

/* Of no bytes a pointer all the same. */
static void *map(int fd, size_t n, int protection, int how)
{
	void *p = mmap(NULL, n ? n : 1, protection, n ? how : MAP_PRIVATE | MAP_ANONYMOUS, n ? fd : -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static plugin *find(const plugin_host *h, const char *id)
{
	for (size_t i = 0; i < plugin_count(h); i++)
		if (h->plugins[i]->desc && h->plugins[i]->instance && strcmp(h->plugins[i]->desc->id, id) == 0)
			return h->plugins[i];
	return NULL;
}

static sn_rc run(codec_run *r, wire_call *c, uint8_t *room, const wire_room *at, wire_answer *a)
{
	sn_fault *fault = &a->done.fault;
	sn_media *media = &a->done.media;
	*media = c->media;
	a->done.info = c->info;
	media->samples = c->n_samples ? room : NULL;
	switch (c->op) {
	case WIRE_MEASURE: return codec_measure(r, &c->limits, media, fault);
	case WIRE_DECODE: return codec_decode(r, &c->limits, media, fault);
	case WIRE_LOOK: return codec_look(r, &c->clip, &a->done.info, fault);
	case WIRE_TIMES: return codec_times(r, &c->clip, (double *)(void *)(room + at->times), c->n_times, fault);
	default: break;
	}
	c->wish.frames = (const uint32_t *)(const void *)(room + at->frames);
	media->timestamps = (double *)(void *)(room + at->times);
	return codec_read(r, &c->clip, &c->wish, media, fault);
}

static bool serve(inside *in, wire_call *c, const int files[2])
{
	wire_answer a = {.kind = WIRE_DONE, .serial = c->serial, .rc = SN_RC_INTERNAL};
	wire_room at = {0};
	plugin *p = find(in->host, c->plugin);
	bool fits = wire_room_of(c, &at);
	uint8_t *bytes = fits ? map(files[0], (size_t)c->n_bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE) : NULL;
	uint8_t *room = fits ? map(files[1], at.size, PROT_READ | PROT_WRITE, MAP_SHARED) : NULL;
	a.done.fault.size = sizeof a.done.fault;
	if (!p) {
		host_fault(&a.done.fault, a.rc, SN_BLAME_PLUGIN, "this codec did not start in its process");
	} else if (!bytes || !room) {
		a.rc = host_fault(&a.done.fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory to decode the media");
	} else {
		codec_run r = codec_begin(in->host, p, NULL, bytes, (size_t)c->n_bytes);
		a.rc = run(&r, c, room, &at, &a);
		codec_end(&r, true);
	}
	if (a.rc == SN_RC_NOMEM) /* there is as much the next time */
		a.rc = host_fault(&a.done.fault, SN_RC_TOO_LARGE, SN_BLAME_INPUT, "the file needs more memory than a decoder may take");
	if (bytes)
		munmap(bytes, c->n_bytes ? (size_t)c->n_bytes : 1);
	if (room)
		munmap(room, at.size ? at.size : 1);
	close(files[0]);
	close(files[1]);
	return answer(&a);
}

/* It ends with the server, and was not too late to. */
static bool follow(const wire_hello *hello)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == hello->parent;
}

static bool begin(inside *in)
{
	wire_hello *hello = calloc(1, sizeof *hello);
	const char *why = NULL;
	bool ok = hello && recv(SN_CODEC_HELPER_FD, hello, sizeof *hello, 0) == sizeof *hello && hello->size == sizeof *hello && follow(hello) &&
	          load(in, hello);
	if (ok && !isolate_drop_root())
		say(NULL, SN_LOG_INFO, "codec", "a codec helper stays root: it may not become nobody here");
	ok = ok && follow(hello); /* another user's process has forgotten it */
	if (ok)
		why = isolate_cage(SCRATCH, MAPPED + (size_t)hello->budget, hello->life_s);
	free(hello);
	if (why)
		say(NULL, SN_LOG_ERROR, "codec", why);
	return ok && !why && answer(&(wire_answer){.kind = WIRE_READY});
}

int sn_codec_helper(void)
{
	inside in = {0};
	wire_call c;
	int files[2];
	close_range(SN_CODEC_HELPER_FD + 1, ~0u, 0);
	if (!begin(&in))
		return 1;
	while (receive(&c, files) == sizeof c)
		if (c.plugin[sizeof c.plugin - 1] || !serve(&in, &c, files))
			return 1;
	return 0; /* the system takes what it holds */
}
