/* plugin.c - image-codec's side of the contract: life cycle, and "sn.decode/1" by a table of formats. See codec.h for the parts. */
#include <string.h>

#include "codec.h"

enum { LOG_LINES_PER_CALL = 8 };

void codec_log(decode_job *job, int32_t level, const char *text)
{
	if (job->n_logged++ < LOG_LINES_PER_CALL)
		kit_log(job->host, job->call, level, text);
}

typedef struct format {
	const char *type;
	bool (*begins)(const uint8_t *bytes, size_t n);
	sn_rc (*measure)(const uint8_t *bytes, size_t n, image_header *header, sn_fault *fault);
	sn_rc (*decode)(decode_job *job);
} format;

static bool begins_with(const uint8_t *bytes, size_t n, const char *magic, size_t length)
{
	return n >= length && memcmp(bytes, magic, length) == 0;
}

static bool begins_png(const uint8_t *b, size_t n) { return begins_with(b, n, "\x89PNG\r\n\x1a\n", 8); }
static bool begins_jpeg(const uint8_t *b, size_t n) { return begins_with(b, n, "\xff\xd8\xff", 3); }
static bool begins_webp(const uint8_t *b, size_t n) { return n >= 12 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0; }
static bool begins_gif(const uint8_t *b, size_t n) { return begins_with(b, n, "GIF87a", 6) || begins_with(b, n, "GIF89a", 6); }

static const format FORMATS[] = {
    {PNG_TYPE, begins_png, png_measure, png_decode},
    {JPEG_TYPE, begins_jpeg, jpeg_measure, jpeg_decode},
    {WEBP_TYPE, begins_webp, webp_measure, webp_decode},
    {GIF_TYPE, begins_gif, gif_measure, gif_decode},
};

static const format *format_find(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++)
		if (FORMATS[i].begins(bytes, n))
			return &FORMATS[i];
	return NULL;
}

static const char *sniff(const uint8_t *bytes, size_t n)
{
	const format *f = format_find(bytes, n);
	return f ? f->type : NULL;
}

static sn_rc read_header(const uint8_t *bytes, size_t n, image_header *header, sn_fault *fault)
{
	const format *f = format_find(bytes, n);
	if (f)
		return f->measure(bytes, n, header, fault);
	return kit_fail(fault, n ? SN_RC_UNSUPPORTED : SN_RC_INVALID, n ? "not a PNG, JPEG, WebP or GIF file" : "the file is empty");
}

/* The upright picture's shape, if it is within the limits. */
static sn_rc admit(const image_header *h, const sn_media_limits *limits, sn_media *media, sn_fault *fault)
{
	bool turned = h->orientation >= 5;
	uint32_t width = turned ? h->height : h->width, height = turned ? h->width : h->height;
	uint64_t pixels = (uint64_t)width * height, bytes;
	if (__builtin_mul_overflow(pixels, (uint64_t)3, &bytes) || bytes > SIZE_MAX / 2)
		return kit_fail(fault, SN_RC_TOO_LARGE, "the picture is too large");
	if (limits) {
		if ((limits->max_width && width > limits->max_width) || (limits->max_height && height > limits->max_height))
			return kit_fail(fault, SN_RC_TOO_LARGE, "the picture is wider or higher than allowed");
		if ((limits->max_pixels && pixels > limits->max_pixels) || (limits->max_bytes && bytes > limits->max_bytes))
			return kit_fail(fault, SN_RC_TOO_LARGE, "the picture has more pixels than allowed");
		if (limits->max_channels && h->channels > limits->max_channels)
			return kit_fail(fault, SN_RC_TOO_LARGE, "the picture has more channels than allowed");
	}
	if (h->work_bytes > CODEC_WORK_CAP)
		return kit_fail(fault, SN_RC_TOO_LARGE, "the picture needs more memory to decode than allowed");
	media->kind = SN_MEDIA_IMAGE;
	media->width = width;
	media->height = height;
	media->n_frames = 1;
	media->rate = 0;
	media->n_samples = 0;
	media->bytes = bytes;
	media->timestamps = NULL;
	return SN_RC_OK;
}

static sn_rc measure(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits,
                     sn_media *media, sn_fault *fault)
{
	(void)instance;
	(void)call;
	image_header header;
	sn_rc rc = read_header(bytes, n, &header, fault);
	return rc == SN_RC_OK ? admit(&header, limits, media, fault) : rc;
}

static sn_rc decode(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits,
                    sn_media *media, sn_fault *fault)
{
	image_header header;
	sn_media shape = {.size = sizeof shape};
	sn_rc rc = read_header(bytes, n, &header, fault);
	if (rc == SN_RC_OK)
		rc = admit(&header, limits, &shape, fault);
	if (rc != SN_RC_OK)
		return rc;
	if (!media->samples || media->width != shape.width || media->height != shape.height || media->bytes < shape.bytes)
		return kit_fail(fault, SN_RC_INTERNAL, "the media is not as measured");

	decode_job job = {.host = instance,
	                  .call = call,
	                  .bytes = bytes,
	                  .n = n,
	                  .header = &header,
	                  .max_scans = limits ? limits->max_scans : 0,
	                  .rgb = media->samples,
	                  .fault = fault};
	rc = format_find(bytes, n)->decode(&job);
	if (rc == SN_RC_OK)
		codec_log(&job, SN_HOST_INFO, "decoded");
	return rc;
}

static const sn_ext_decode DECODE = {
    .size = sizeof DECODE,
    .kind = SN_MEDIA_IMAGE,
    .kind_name = "image",
    .media_types = PNG_TYPE " " JPEG_TYPE " " WEBP_TYPE " " GIF_TYPE,
    .sniff = sniff,
    .measure = measure,
    .decode = decode,
    .aliases = "image/jpg=" JPEG_TYPE " image/pjpeg=" JPEG_TYPE " image/x-png=" PNG_TYPE,
};

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	return kit_host_init(instance, "image-codec", KIT_MEMORY, host, fault);
}

static const void *extension(const char *id)
{
	if (strcmp(id, SN_EXT_DECODE) == 0)
		return &DECODE;
	return strcmp(id, SN_EXT_WRITE) == 0 ? &CODEC_WRITE : NULL;
}

static const sn_plugin PLUGIN = {
    .size = sizeof PLUGIN,
    .instance_size = sizeof(kit_host),
    .id = "image-codec",
    .version = "1.1.0",
    .license = "libpng-2.0 AND IJG AND BSD-3-Clause AND MIT",
    .summary = "reads PNG, JPEG, WebP and GIF pictures, upright and on white; writes PNG and JPEG",
    .init = init,
    .load = kit_load_nothing,
    .fini = kit_fini_nothing,
    .extension = extension,
    .extensions = SN_EXT_DECODE " " SN_EXT_WRITE,
};

KIT_PLUGINS(&PLUGIN);
