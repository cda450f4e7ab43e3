/* container.h - which container a file is, told without any library. See codec.h for the parts. */
#ifndef VIDEO_CODEC_CONTAINER_H
#define VIDEO_CODEC_CONTAINER_H

#include <kit.h>

enum { MAX_PATCHES = 64 };

/* A file's four bytes that libavformat gets to see as "free". */
typedef struct patches {
	size_t at[MAX_PATCHES]; /* ascending */
	size_t n;
} patches;

typedef struct container {
	const char *video_type, *audio_type; /* MIME; NULL: it has no such */
	const char *demuxer;                 /* libavformat's short name; NULL: libwebp */
	bool (*begins)(const uint8_t *bytes, size_t n);
	/* Is its outermost layer whole, and within what is read here? Nothing is allocated. */
	sn_rc (*check)(const uint8_t *bytes, size_t n, patches *hide, sn_fault *fault);
} container;

/* By the first 64 bytes; NULL: none. */
const container *container_find(const uint8_t *bytes, size_t n);
sn_rc mp4_check(const uint8_t *bytes, size_t n, patches *hide, sn_fault *fault);

static inline uint32_t u32_be(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }
static inline uint64_t u64_be(const uint8_t *p) { return (uint64_t)u32_be(p) << 32 | u32_be(p + 4); }
static inline uint32_t u32_le(const uint8_t *p) { return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0]; }

#endif
