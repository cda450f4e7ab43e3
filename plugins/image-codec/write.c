/* write.c - "sn.write/1": canonical pictures to PNG or JPEG files. What is not such a picture, type or quality is refused
 * by name before a library is entered. */
#include <string.h>

#include "codec.h"

enum { DEFAULT_QUALITY = 90, MAX_SIDE_JPEG = 65500, MAX_SIDE_PNG = INT32_MAX };

typedef struct writer {
	const char *type;
	uint32_t max_side;
	uint64_t (*bound)(uint32_t width, uint32_t height);
	sn_rc (*write)(write_job *job);
} writer;

static const writer WRITERS[] = {
    {PNG_TYPE, MAX_SIDE_PNG, png_bound, png_write},
    {JPEG_TYPE, MAX_SIDE_JPEG, jpeg_bound, jpeg_write},
};

static const writer *writer_find(const char *type)
{
	for (size_t i = 0; type && i < sizeof WRITERS / sizeof *WRITERS; i++)
		if (strcmp(WRITERS[i].type, type) == 0)
			return &WRITERS[i];
	return NULL;
}

static sn_rc check(const sn_media *media, const sn_write_options *options, const writer **out, sn_fault *fault)
{
	uint64_t pixels, bytes;
	*out = writer_find(options->media_type);
	if (!*out)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "files of this type are not written");
	if (options->quality > 100)
		return kit_fail(fault, SN_RC_INVALID, "the quality is above 100");
	if (media->kind != SN_MEDIA_IMAGE || media->n_frames != 1 || !media->width || !media->height || !media->samples)
		return kit_fail(fault, SN_RC_INVALID, "not one picture");
	pixels = (uint64_t)media->width * media->height;
	if (__builtin_mul_overflow(pixels, (uint64_t)3, &bytes) || bytes != media->bytes)
		return kit_fail(fault, SN_RC_INVALID, "the picture's samples are not width x height x 3 bytes");
	if (media->width > (*out)->max_side || media->height > (*out)->max_side || bytes > SIZE_MAX / 16)
		return kit_fail(fault, SN_RC_TOO_LARGE, "the picture is larger than files of this type can be");
	return SN_RC_OK;
}

static sn_rc bound(void *instance, const sn_call *call, const sn_media *media, const sn_write_options *options, uint64_t *bytes,
                   sn_fault *fault)
{
	(void)instance;
	(void)call;
	const writer *w;
	sn_rc rc = check(media, options, &w, fault);
	*bytes = rc == SN_RC_OK ? w->bound(media->width, media->height) : 0;
	return rc;
}

static sn_rc write(void *instance, const sn_call *call, const sn_media *media, const sn_write_options *options, uint8_t *out,
                   uint64_t capacity, uint64_t *n, sn_fault *fault)
{
	const writer *w;
	sn_rc rc = check(media, options, &w, fault);
	*n = 0;
	if (rc != SN_RC_OK)
		return rc;
	write_job job = {.host = instance,
	                 .call = call,
	                 .rgb = media->samples,
	                 .width = media->width,
	                 .height = media->height,
	                 .quality = options->quality ? options->quality : DEFAULT_QUALITY,
	                 .out = out,
	                 .capacity = capacity > SIZE_MAX ? SIZE_MAX : (size_t)capacity,
	                 .fault = fault};
	rc = w->write(&job);
	if (rc == SN_RC_OK)
		*n = job.n;
	return rc;
}

const sn_ext_write CODEC_WRITE = {
    .size = sizeof CODEC_WRITE,
    .kind = SN_MEDIA_IMAGE,
    .kind_name = "image",
    .media_types = PNG_TYPE " " JPEG_TYPE,
    .bound = bound,
    .write = write,
};
