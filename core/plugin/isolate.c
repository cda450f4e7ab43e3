#include "plugin/isolate.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/isolate_pool.h"

enum { SPARE_MS = 2000 /* that a codec which watches its own deadline has beyond it */ };

/* ---- what goes there ---- */

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

/* ---- what comes back ---- */

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
	isolate *x = r->host->isolate;
	int status = helper_end(x, r->helper);
	r->helper = NULL;
	if (helper_ending(x))
		return host_fault(fault, HOST_RC_ENDING, SN_BLAME_RESOURCE, "the server is shutting down");
	log_warn(x->host->log, "codec", r->call->request_id, "%s failed on a file: %s", r->p->desc->id, late ? "it took too long" : cause(status));
	return host_fault(fault, HOST_RC_DIED, SN_BLAME_INPUT, "the decoder failed on this file");
}

/* An answer to an earlier call came before that of this one: the file of that call had taken the helper over. */
enum { STALE = -2 };

/* Hands on the lines of the log, up to the answer of this call. As helper_receive, or STALE. */
static int await(codec_run *r, wire_answer *a, double until)
{
	for (int lines = 0;;) {
		int got = helper_receive(r->helper->socket, a, until);
		if (got != 1 || (a->kind == WIRE_DONE && a->serial == r->helper->serial))
			return got;
		if (a->kind == WIRE_DONE && a->serial < r->helper->serial)
			return STALE;
		if (a->kind != WIRE_LOG)
			return -1;
		if (lines++ < MAX_LINES)
			helper_log(r->host->isolate, r->call->request_id, a);
	}
}

/* What the helper says is believed no more than a plugin is: pointers and sizes of structs are ours, texts end, and shapes are checked by who
 * asked. What it made is a copy before anybody looks at it. */
static bool accept_answer(wire_answer *a, const wire_call *c, const wire_out *out, int room, const wire_room *at, sn_fault *fault)
{
	if (a->rc <= HOST_RC_ENDING) /* those are the host's own */
		return false;
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
		made.size = out->media->size;
		made.samples = out->media->samples;
		made.timestamps = out->media->timestamps;
		memcpy(made.hash, out->media->hash, sizeof made.hash);
		*out->media = made;
	}
	if (out->info) {
		a->done.info.size = out->info->size;
		*out->info = a->done.info;
	}
	return true;
}

static sn_rc nobody_free(isolate *x, sn_fault *fault)
{
	if (helper_ending(x))
		return host_fault(fault, HOST_RC_ENDING, SN_BLAME_RESOURCE, "the server is shutting down");
	return host_fault(fault, HOST_RC_BUSY, SN_BLAME_RESOURCE, "no decoder is free at the moment");
}

/* One helper's try. False: it was another file's before this was, and another helper is to try. */
static bool attempt(codec_run *r, wire_call *c, const wire_out *out, int room, const wire_room *at, sn_rc *rc, sn_fault *fault)
{
	isolate *x = r->host->isolate;
	wire_answer a;
	if (!r->helper)
		r->helper = helper_take(x, r->p);
	if (!r->helper) {
		*rc = nobody_free(x, fault);
		return true;
	}
	uint32_t ms = c->clip.max_ms && c->clip.max_ms < x->timeout_ms ? c->clip.max_ms + SPARE_MS : x->timeout_ms;
	c->serial = ++r->helper->serial;
	r->helper->calls++;
	helper_limit_time(r->helper, ms);
	int got = send_call(r->helper, c, r->file, room) ? await(r, &a, clock_ms() + ms) : -1;
	if (got == STALE && r->helper->calls > 1) {
		log_warn(x->host->log, "codec", r->call->request_id, "a codec helper answers what it is not asked: another takes its place");
		helper_end(x, r->helper);
		r->helper = NULL;
		return false;
	}
	*rc = got == 1 && accept_answer(&a, c, out, room, at, fault) ? a.rc : died(r, got == 0, fault);
	return true;
}

sn_rc isolate_call(codec_run *r, wire_call *c, const wire_out *out, sn_fault *fault)
{
	wire_room at;
	sn_rc rc;
	if (r->file < 0)
		r->file = memory_file(r->bytes, r->n, true);
	c->n_bytes = r->n;
	c->media.samples = c->media.timestamps = NULL;
	c->wish.frames = NULL;
	snprintf(c->plugin, sizeof c->plugin, "%s", r->p->desc->id);
	for (;;) { /* a new helper has nothing stale to say */
		int room = r->file >= 0 && wire_room_of(c, &at) ? memory_file(NULL, at.size, false) : -1;
		bool ready = room >= 0 && (!out->frames || put_part(room, out->frames, (size_t)c->n_frames * sizeof(uint32_t), at.frames));
		bool done = !ready || attempt(r, c, out, room, &at, &rc, fault);
		if (room >= 0)
			close(room);
		if (!ready)
			return host_fault(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory to decode the media");
		if (done)
			return rc;
	}
}

void isolate_done(codec_run *r, bool trusted)
{
	if (r->file >= 0)
		close(r->file);
	if (r->helper && trusted)
		helper_give(r->host->isolate, r->helper);
	else if (r->helper)
		helper_end(r->host->isolate, r->helper);
	r->file = -1;
	r->helper = NULL;
}
