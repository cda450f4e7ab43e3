/* codec_case.h - what the tests of the codecs share: the plugin on a fake host, and the whole decode
 * conversation. One plugin a program. */
#ifndef TESTS_CODEC_CASE_H
#define TESTS_CODEC_CASE_H

#include <sensorium/ext/decode.h>
#include <sensorium/ext/write.h>

#include "byte_buf.h"
#include "fake_host.h"

typedef struct codec_case {
	fake_host host;
	const sn_plugin *plugin;
	const sn_ext_decode *decode;
	const sn_ext_write *write;
	void *instance;
	uint32_t rate; /* at which sound is wanted; 0: its own */
} codec_case;

extern codec_case codec;
extern const sn_media_limits LIMITS;

/* cmocka group fixtures. */
int codec_open(void **state);
int codec_close(void **state);

/* measure, allocate, decode. On OK media->samples is malloc'ed. Whatever happens, the plugin gives its memory back. */
sn_rc decode(const uint8_t *bytes, size_t n, const sn_media_limits *limits, sn_media *media, sn_fault *fault);
sn_rc decode_code(const uint8_t *bytes, size_t n); /* within LIMITS; the samples are dropped */

/* The lines of a golden table: cuts the next one off *at, skipping comments; NULL after the last. */
char *next_line(char **at);

#endif
