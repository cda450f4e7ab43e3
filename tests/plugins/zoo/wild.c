/* wild.c - a codec for pictures, sounds and clips whose files say what it does when, as if they had taken it over:
 *
 *   "SNWILD1 WHEN WHAT WHERE\n"     WHEN: measure, decode, look, times, read (in its middle), never
 *
 * and what it forges goes to the server past the helper it runs in. Without a deed it makes a grey picture, a second of silence, a clip of
 * eight frames. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "plugin/codec.h"
#include "plugin/isolate_wire.h"

#include <sensorium/host/log.h>

#define MAGIC "SNWILD1 "

enum { WIDTH = 32, HEIGHT = 24, FRAMES = 8, RATE = 16000, HELPER = 3 };

typedef struct wild {
	const sn_host *host;
	const sn_host_log *log;
} wild;

typedef struct deed {
	char when[16], what[32], where[200];
} deed;

static uint64_t n_calls; /* of this process: a helper's calls are numbered */

static deed read_deed(const uint8_t *bytes, size_t n)
{
	deed d = {"", "", ""};
	char text[256] = "";
	memcpy(text, bytes, n < sizeof text ? n : sizeof text - 1);
	sscanf(text, MAGIC "%15s %31s %199[^\n]", d.when, d.what, d.where);
	return d;
}

/* ---- deeds ---- */

static void nap(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_APPEND);
	if (fd >= 0 && write(fd, "x", 1) == 1)
		close(fd);
}

static void connect_port(const char *port)
{
	const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
		close(fd);
}

static void tell(const void *packet, size_t n)
{
	if (send(HELPER, packet, n, MSG_NOSIGNAL) < 0)
		return;
}

static void hand_over_files(const void *packet, size_t n)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec part = {(void *)(uintptr_t)packet, n};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), (int[]){1}, sizeof(int));
	if (sendmsg(HELPER, &m, MSG_NOSIGNAL) < 0)
		return;
}

/* Answers that no helper gives. */
static void forge(const deed *d)
{
	static uint8_t page[32768];
	wire_answer a = {.kind = WIRE_DONE, .serial = *d->where ? strtoull(d->where, NULL, 10) : n_calls, .rc = SN_RC_OK};
	const char *what = d->what + strlen("forge-");
	memset(page, 0x41, sizeof page);
	if (strcmp(what, "kind") == 0)
		a.kind = 99;
	else if (strcmp(what, "ready") == 0)
		a.kind = WIRE_READY;
	else if (strcmp(what, "serial") == 0)
		a.serial = UINT64_MAX;
	else if (strcmp(what, "busy") == 0)
		a.rc = HOST_RC_BUSY;
	else if (strcmp(what, "ending") == 0)
		a.rc = HOST_RC_ENDING;
	else if (strcmp(what, "code") == 0)
		a.rc = 12345;
	else if (strcmp(what, "fault") == 0) {
		a.rc = SN_RC_INVALID;
		memset(&a.done.fault, 0x9b, sizeof a.done.fault);
	} else if (strcmp(what, "junk") == 0) {
		memset(&a.done, 0x41, sizeof a.done);
	} else if (strcmp(what, "shape") == 0) { /* consistent, and larger than all memory */
		a.done.media = (sn_media){.size = 1, .kind = SN_MEDIA_IMAGE, .width = 4000000000u, .height = 1000000000u, .n_frames = 1};
		a.done.media.bytes = 3ull * 4000000000u * 1000000000u;
	} else if (strcmp(what, "pointers") == 0) { /* right in all else: believed */
		a.done.media = (sn_media){.size = 7, .kind = SN_MEDIA_IMAGE, .width = WIDTH, .height = HEIGHT, .n_frames = 1, .bytes = WIDTH * HEIGHT * 3};
		a.done.media.samples = page;
		a.done.media.timestamps = NULL;
		memset(a.done.media.hash, 0x41, sizeof a.done.media.hash);
	} else if (strcmp(what, "clip") == 0) {
		a.done.info = (sn_clip_info){.size = 1, .width = UINT32_MAX, .height = UINT32_MAX, .n_frames = UINT32_MAX, .seconds = -1, .fps = NAN};
	} else if (strcmp(what, "lines") == 0) {
		a.kind = WIRE_LOG;
		memset(&a.line, '\n', sizeof a.line);
		for (int i = 0; i < 10000; i++)
			tell(&a, sizeof a);
		return;
	}
	if (strcmp(what, "short") == 0)
		tell(&a, 3);
	else if (strcmp(what, "empty") == 0)
		tell(&a, 0);
	else if (strcmp(what, "long") == 0)
		tell(page, sizeof page);
	else if (strcmp(what, "files") == 0)
		for (int i = 0; i < 100; i++)
			hand_over_files(&a, sizeof a);
	else
		tell(&a, sizeof a);
}

static void act(const wild *w, const sn_call *call, const char *when, const deed *d)
{
	volatile uint64_t spins = 0;
	if (strcmp(d->when, when) != 0)
		return;
	if (w->log)
		w->log->write(w->host, call, SN_HOST_WARN, "wild", d->what);
	if (strcmp(d->what, "crash") == 0)
		*(volatile int *)(uintptr_t)(8 + spins) = 1;
	else if (strcmp(d->what, "abort") == 0)
		abort();
	else if (strcmp(d->what, "leave") == 0)
		_exit(0);
	while (strcmp(d->what, "spin") == 0)
		spins++;
	if (strcmp(d->what, "sleep") == 0)
		nap(atol(d->where));
	else if (strcmp(d->what, "open") == 0)
		open_file(d->where);
	else if (strcmp(d->what, "peek") == 0 && open(d->where, O_RDONLY) >= 0) /* that it did shows */
		abort();
	else if (strcmp(d->what, "connect") == 0)
		connect_port(d->where);
	else if (strcmp(d->what, "hang-up") == 0)
		close(HELPER);
	else if (strcmp(d->what, "root") == 0 && setuid(0) != 0)
		return;
	else if (strncmp(d->what, "forge-", 6) == 0)
		forge(d);
	while (strcmp(d->what, "memory") == 0)
		memset(malloc(1 << 24), 1, 1 << 24);
}

/* ---- pictures and sounds ---- */

static const char *magic(const uint8_t *bytes, size_t n, const char *type)
{
	return n >= strlen(MAGIC) && memcmp(bytes, MAGIC, strlen(MAGIC)) == 0 ? type : NULL;
}

static const char *sniff_picture(const uint8_t *bytes, size_t n) { return magic(bytes, n, "image/x-wild"); }
static const char *sniff_sound(const uint8_t *bytes, size_t n) { return magic(bytes, n, "audio/x-wild"); }
static const char *sniff_clip(const uint8_t *bytes, size_t n) { return magic(bytes, n, "video/x-wild"); }

static sn_rc measure_picture(void *w, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *l, sn_media *m, sn_fault *fault)
{
	(void)l, (void)fault;
	const deed d = read_deed(bytes, n);
	n_calls++;
	act(w, call, "measure", &d);
	m->kind = SN_MEDIA_IMAGE;
	m->width = WIDTH;
	m->height = HEIGHT;
	m->n_frames = 1;
	m->bytes = WIDTH * HEIGHT * 3;
	return SN_RC_OK;
}

static sn_rc measure_sound(void *w, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *l, sn_media *m, sn_fault *fault)
{
	(void)l, (void)fault;
	const deed d = read_deed(bytes, n);
	n_calls++;
	act(w, call, "measure", &d);
	m->kind = SN_MEDIA_AUDIO;
	m->rate = m->rate ? m->rate : RATE;
	m->n_samples = m->rate;
	m->bytes = m->n_samples * sizeof(float);
	return SN_RC_OK;
}

static sn_rc decode(void *w, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *l, sn_media *m, sn_fault *fault)
{
	(void)l, (void)fault;
	const deed d = read_deed(bytes, n);
	n_calls++;
	memset(m->samples, 0, m->bytes / 2);
	act(w, call, "decode", &d);
	memset(m->samples, m->kind == SN_MEDIA_IMAGE ? 0x80 : 0, m->bytes);
	return SN_RC_OK;
}

static const sn_ext_decode PICTURE = {.size = sizeof PICTURE, .kind = SN_MEDIA_IMAGE, .kind_name = "image", .media_types = "image/x-wild",
                                      .sniff = sniff_picture, .measure = measure_picture, .decode = decode};
static const sn_ext_decode SOUND = {.size = sizeof SOUND, .kind = SN_MEDIA_AUDIO, .kind_name = "audio", .media_types = "audio/x-wild",
                                    .sniff = sniff_sound, .measure = measure_sound, .decode = decode};

/* ---- clips ---- */

static sn_rc look(void *w, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *l, sn_clip_info *info, sn_fault *fault)
{
	(void)l, (void)fault;
	const deed d = read_deed(bytes, n);
	n_calls++;
	act(w, call, "look", &d);
	*info = (sn_clip_info){.size = info->size, .width = WIDTH, .height = HEIGHT, .n_frames = FRAMES, .seconds = 8, .fps = 1};
	return SN_RC_OK;
}

static sn_rc times(void *w, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *l, double *seconds, uint32_t n_frames,
                   sn_fault *fault)
{
	(void)l, (void)fault;
	const deed d = read_deed(bytes, n);
	n_calls++;
	act(w, call, "times", &d);
	for (uint32_t i = 0; i < n_frames; i++)
		seconds[i] = i;
	return SN_RC_OK;
}

static sn_rc read_frames(void *w, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *l, const sn_clip_wish *wish,
                         sn_media *m, sn_fault *fault)
{
	(void)l, (void)fault;
	const deed d = read_deed(bytes, n);
	n_calls++;
	memset(m->samples, 0x80, m->bytes / 2);
	act(w, call, "read", &d);
	memset(m->samples, 0x80, m->bytes);
	for (uint32_t i = 0; i < wish->n_frames; i++)
		m->timestamps[i] = wish->frames[i];
	return SN_RC_OK;
}

static const sn_ext_clip CLIP = {.size = sizeof CLIP, .kind_name = "video", .media_types = "video/x-wild", .sniff = sniff_clip, .look = look,
                                 .times = times, .read = read_frames};

/* ---- life ---- */

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	wild *w = instance;
	(void)fault;
	w->host = host;
	w->log = host->service(host, SN_HOST_LOG);
	return SN_RC_OK;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	(void)instance, (void)model, (void)fault;
	return SN_RC_OK;
}

static void fini(void *instance) { (void)instance; }

static const void *of_picture(const char *id) { return strcmp(id, SN_EXT_DECODE) == 0 ? &PICTURE : NULL; }
static const void *of_sound(const char *id) { return strcmp(id, SN_EXT_DECODE) == 0 ? &SOUND : NULL; }
static const void *of_clip(const char *id) { return strcmp(id, SN_EXT_CLIP) == 0 ? &CLIP : NULL; }

#define WILD(name, ext, find)                                                                                            \
	{                                                                                                                    \
		.size = sizeof(sn_plugin), .instance_size = sizeof(wild), .id = name, .version = "1.0.0", .license = "MIT",        \
		.summary = "does what its files say", .init = init, .load = load, .fini = fini, .extension = find, .extensions = ext \
	}

static const sn_plugin PLUGINS[] = {WILD("wild-picture", SN_EXT_DECODE, of_picture), WILD("wild-sound", SN_EXT_DECODE, of_sound),
                                    WILD("wild-clip", SN_EXT_CLIP, of_clip)};
static const sn_plugin *const ALL[] = {&PLUGINS[0], &PLUGINS[1], &PLUGINS[2]};
static const sn_plugin_list LIST = {.stamp = SN_PLUGIN_STAMP, .n_plugins = 3, .plugins = ALL};

SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void)
{
	return &LIST;
}
