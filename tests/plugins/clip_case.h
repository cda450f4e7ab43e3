/* clip_case.h - what the tests of video-codec share: both descriptors on a fake host, clips made by its own writer from frames that tell
 * their number, and the whole conversations. */
#ifndef TESTS_CLIP_CASE_H
#define TESTS_CLIP_CASE_H

#include <sensorium/ext/clip.h>
#include <sensorium/ext/decode.h>
#include <sensorium/ext/write.h>

#include "byte_buf.h"
#include "fake_host.h"

typedef struct clip_case {
	fake_host host;
	const sn_ext_clip *clip;
	const sn_ext_write *write;
	const sn_ext_decode *sound;
	void *instance, *sound_instance;
} clip_case;

extern clip_case clips;
extern const sn_clip_limits CLIP_LIMITS;
extern const sn_media_limits SOUND_LIMITS;

int clips_open(void **state);
int clips_close(void **state);

/* Frame i of a clip: its number in 16 fields, light or dark, on a ground of two colours. */
void draw_number(uint8_t *rgb, uint32_t width, uint32_t height, uint32_t number);
uint32_t read_number(const uint8_t *rgb, uint32_t width, uint32_t height);

/* A clip of n frames, numbered; times NULL: at fps; with so many seconds of sound at 16 kHz, that is quiet but for the second half of each
 * second. */
byte_buf make_clip(const char *type, uint32_t width, uint32_t height, uint32_t n, double fps, const double *times, double seconds);
bool is_loud(double t);

/* The conversations. Whatever happens the plugin gives its memory back, and faults are fit to be shown. */
sn_rc look_at(const uint8_t *bytes, size_t n, const sn_clip_limits *l, sn_clip_info *info, sn_fault *fault);
/* On OK media's samples and timestamps are malloc'ed. */
sn_rc read_from(const uint8_t *bytes, size_t n, const sn_clip_limits *l, const sn_clip_wish *wish, sn_media *media, sn_fault *fault);
sn_rc hear(const uint8_t *bytes, size_t n, uint32_t rate, sn_media *media, sn_fault *fault);
/* Everything that there is to ask of bytes, within limits; the first refusal. */
sn_rc try_all(const uint8_t *bytes, size_t n);
void media_drop(sn_media *m);
void drop(byte_buf *b);

#endif
