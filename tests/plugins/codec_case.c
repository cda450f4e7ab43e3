/* codec_case.c - see codec_case.h. Which codec: CODEC_FILE. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_case.h"

codec_case codec;

const sn_media_limits LIMITS = {.size = sizeof(sn_media_limits), .max_width = 65535, .max_height = 65535, .max_pixels = 40u << 20,
                                .max_bytes = 3ull * (40u << 20), .max_scans = 100, .max_channels = 8};

int codec_open(void **state)
{
	(void)state;
	fake_host_init(&codec.host);
	const sn_plugin_list *list = fake_load_plugin(CODEC_FILE);
	const sn_stamp mine = SN_PLUGIN_STAMP;
	assert_memory_equal(&list->stamp, &mine, sizeof mine);
	assert_int_equal(list->n_plugins, 1);
	codec.plugin = list->plugins[0];
	codec.decode = codec.plugin->extension(SN_EXT_DECODE);
	codec.write = codec.plugin->extension(SN_EXT_WRITE);
	assert_string_equal(codec.plugin->extensions, SN_EXT_DECODE " " SN_EXT_WRITE);
	assert_null(codec.plugin->extension("sn.nonsense/1"));
	codec.instance = calloc(1, codec.plugin->instance_size);
	sn_fault fault = {.size = sizeof fault};
	assert_int_equal(codec.plugin->init(codec.instance, &codec.host.host, &fault), SN_RC_OK);
	assert_int_equal(codec.plugin->load(codec.instance, NULL, &fault), SN_RC_OK);
	return 0;
}

int codec_close(void **state)
{
	(void)state;
	codec.plugin->fini(codec.instance);
	free(codec.instance);
	assert_int_equal(codec.host.held, 0);
	return 0;
}

sn_rc decode(const uint8_t *bytes, size_t n, const sn_media_limits *limits, sn_media *media, sn_fault *fault)
{
	*media = (sn_media){.size = sizeof *media, .rate = codec.rate};
	*fault = (sn_fault){.size = sizeof *fault};
	sn_rc rc = codec.decode->measure(codec.instance, NULL, bytes, n, limits, media, fault);
	if (rc == SN_RC_OK) {
		assert_true(sn_media_sound(media));
		media->samples = malloc(media->bytes);
		rc = codec.decode->decode(codec.instance, NULL, bytes, n, limits, media, fault);
		if (rc != SN_RC_OK) {
			free(media->samples);
			media->samples = NULL;
		}
	}
	if (rc != SN_RC_OK) {
		assert_int_equal(fault->code, rc);
		assert_true(fault->text[0] && !strstr(fault->text, "0x") && !strchr(fault->text, '/'));
	}
	assert_int_equal(codec.host.held, 0);
	return rc;
}

sn_rc decode_code(const uint8_t *bytes, size_t n)
{
	sn_media media;
	sn_fault fault;
	sn_rc rc = decode(bytes, n, &LIMITS, &media, &fault);
	free(media.samples);
	return rc;
}

char *next_line(char **at)
{
	for (;;) {
		char *line = *at, *end = strchr(line, '\n');
		if (!end)
			return NULL;
		*end = 0;
		*at = end + 1;
		if (*line != '#')
			return line;
	}
}
