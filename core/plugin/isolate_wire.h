/* isolate_wire.h - what a server and its codec helpers say to each other: packets of a socket whose two ends are one program.
 *
 *   server: wire_hello, then the names of plugin files, one a packet, the last one empty     helper: wire_answer (READY)
 *   server: wire_call, with the file's bytes and room for what is made, as memory files      helper: wire_answer (LOG)..., (DONE)
 *
 * The room holds [n_samples] bytes, then [n_times] doubles, then [n_frames] indices; both latter parts aligned to 8. */
#ifndef SN_PLUGIN_ISOLATE_WIRE_H
#define SN_PLUGIN_ISOLATE_WIRE_H

#include <limits.h>

#include "plugin/host.h"

enum { WIRE_FILE_NAME = 128, WIRE_ID = 64, WIRE_TOPIC = 64, WIRE_TEXT = 1024, LIFE_S = 600 /* processor time after which another one takes its place */ };

typedef struct wire_hello {
	uint32_t size; /* sizeof(wire_hello) */
	int32_t parent;
	uint64_t budget; /* of sn.host.memory */
	uint64_t life_s; /* processor time of its whole life */
	char dir[PATH_MAX];
} wire_hello;

enum wire_op { WIRE_MEASURE, WIRE_DECODE, WIRE_LOOK, WIRE_TIMES, WIRE_READ };

typedef struct wire_call {
	uint32_t op;
	uint32_t n_times, n_frames;
	uint64_t serial, n_bytes, n_samples;
	char plugin[WIRE_ID];
	sn_media_limits limits;
	sn_clip_limits clip;
	sn_clip_wish wish;
	sn_media media;
	sn_clip_info info;
} wire_call;

enum wire_kind { WIRE_READY = 1, WIRE_LOG, WIRE_DONE };

typedef struct wire_answer {
	uint32_t kind;
	int32_t rc;     /* DONE */
	uint64_t serial; /* of the call */
	union {
		struct {
			sn_fault fault;
			sn_media media;
			sn_clip_info info;
		} done;
		struct {
			int32_t level;
			char topic[WIRE_TOPIC], text[WIRE_TEXT];
		} line;
	};
} wire_answer;

/* Where the parts of the room lie; false: too large to be one. */
typedef struct wire_room {
	size_t times, frames, size;
} wire_room;

static inline bool wire_room_of(const wire_call *c, wire_room *r)
{
	uint64_t at = c->n_samples;
	if (at > SIZE_MAX / 4)
		return false;
	r->times = (size_t)(at + 7) / 8 * 8;
	r->frames = r->times + (size_t)c->n_times * sizeof(double);
	r->size = r->frames + (size_t)c->n_frames * sizeof(uint32_t);
	return true;
}

#endif
