/* webp.c - WebP through libwebp.
 *
 * Lossy, lossless and with alpha, plain or in the extended container. Of an animation the first frame is read, standing
 * where it belongs on its canvas; what it leaves free is transparent, so white, or black in a file that says that it has
 * no alpha (as Pillow shows it). Whether alpha counts is what the container says: the ALPHA flag of the extended form,
 * else the lossless header's bit. Colour profiles are ignored knowingly, as for the other formats.
 *
 * The container is walked here and libwebp gets the one frame's chunks only: no animation, profile or metadata of the
 * file's choosing reaches it.
 */
#include <string.h>

#include <webp/decode.h>

#include "canvas.h"
#include "codec.h"
#include "orientation.h"

enum { RIFF_HEADER = 12, CHUNK_HEADER = 8, VP8X_SIZE = 10, ANMF_SIZE = 16, VP8_HEADER = 10, VP8L_HEADER = 5 };
enum { FLAG_ANIMATION = 0x02, FLAG_EXIF = 0x08, FLAG_ALPHA = 0x10 };

/* libwebp's own memory of a lossless plane: 4 bytes a pixel, and some for its transforms. */
enum { LOSSLESS_BYTES_PER_PIXEL = 5 };

static const char *const EARLY = "the WebP file ends early", *const WRONG = "the WebP header is wrong";

static uint32_t u16_at(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t u24_at(const uint8_t *p) { return u16_at(p) | (uint32_t)p[2] << 16; }
static uint32_t u32_at(const uint8_t *p) { return u24_at(p) | (uint32_t)p[3] << 24; }

/* A run of chunks: what is left of it. */
typedef struct chunks {
	const uint8_t *at;
	size_t left;
} chunks;

typedef struct chunk {
	const uint8_t *begin; /* its header */
	const uint8_t *data;  /* [n] */
	size_t n;
} chunk;

static bool is_kind(const chunk *c, const char *kind) { return memcmp(c->begin, kind, 4) == 0; }

/* The next chunk, all of it there; padded to an even size, but for the last one. */
static bool next_chunk(chunks *from, chunk *out)
{
	if (from->left < CHUNK_HEADER)
		return false;
	size_t n = u32_at(from->at + 4);
	if (n > from->left - CHUNK_HEADER)
		return false;
	*out = (chunk){from->at, from->at + CHUNK_HEADER, n};
	size_t step = CHUNK_HEADER + n + (n & 1);
	step = step > from->left ? from->left : step;
	from->at += step;
	from->left -= step;
	return true;
}

/* VP8 or VP8L: the size, and whether its header has alpha. */
static sn_rc parse_bitstream(const chunk *c, uint32_t *width, uint32_t *height, bool *alpha, sn_fault *fault)
{
	if (is_kind(c, "VP8L")) {
		if (c->n < VP8L_HEADER || c->data[0] != 0x2F)
			return kit_fail(fault, SN_RC_INVALID, WRONG);
		uint32_t bits = u32_at(c->data + 1);
		*width = (bits & 0x3FFF) + 1;
		*height = (bits >> 14 & 0x3FFF) + 1;
		*alpha = bits >> 28 & 1;
		return SN_RC_OK;
	}
	if (c->n < VP8_HEADER || (c->data[0] & 1) || memcmp(c->data + 3, "\x9D\x01\x2A", 3) != 0)
		return kit_fail(fault, SN_RC_INVALID, WRONG);
	*width = u16_at(c->data + 6) & 0x3FFF;
	*height = u16_at(c->data + 8) & 0x3FFF;
	*alpha = false;
	return *width && *height ? SN_RC_OK : kit_fail(fault, SN_RC_INVALID, "the WebP header gives an impossible size");
}

/* The chunks of one frame begin at `first`: [ALPH] VP8, or VP8L. Fills frame, its size and what it costs. */
static sn_rc parse_frame(chunk first, chunks rest, image_header *h, bool *alpha, sn_fault *fault)
{
	chunk image = first;
	uint64_t pixels;
	if (is_kind(&first, "ALPH") && (!next_chunk(&rest, &image) || !is_kind(&image, "VP8 ")))
		return kit_fail(fault, SN_RC_INVALID, WRONG);
	if (!is_kind(&image, "VP8 ") && !is_kind(&image, "VP8L"))
		return kit_fail(fault, SN_RC_INVALID, "the WebP file has no picture");
	sn_rc rc = parse_bitstream(&image, &h->frame_width, &h->frame_height, alpha, fault);
	if (rc != SN_RC_OK)
		return rc;
	pixels = (uint64_t)h->frame_width * h->frame_height;
	h->frame = first.begin;
	h->frame_bytes = (size_t)(image.data + image.n - first.begin);
	h->work_bytes = is_kind(&image, "VP8L") || is_kind(&first, "ALPH") ? pixels * LOSSLESS_BYTES_PER_PIXEL : 0;
	return SN_RC_OK;
}

/* ANMF: place and size in canvas pixels, duration, flags; then the frame's chunks. */
static sn_rc parse_animation_frame(const chunk *c, image_header *h, sn_fault *fault)
{
	chunk first;
	bool alpha;
	if (c->n < ANMF_SIZE)
		return kit_fail(fault, SN_RC_INVALID, WRONG);
	h->left = u24_at(c->data) * 2;
	h->top = u24_at(c->data + 3) * 2;
	chunks inner = {c->data + ANMF_SIZE, c->n - ANMF_SIZE};
	if (!next_chunk(&inner, &first))
		return kit_fail(fault, SN_RC_INVALID, EARLY);
	sn_rc rc = parse_frame(first, inner, h, &alpha, fault);
	if (rc == SN_RC_OK && (h->frame_width != u24_at(c->data + 6) + 1 || h->frame_height != u24_at(c->data + 9) + 1))
		rc = kit_fail(fault, SN_RC_INVALID, WRONG);
	return rc;
}

/* Behind VP8X: the picture or the first frame of an animation, and the orientation, wherever they stand. */
static sn_rc parse_extended(const chunk *vp8x, chunks rest, image_header *h, sn_fault *fault)
{
	uint32_t flags = vp8x->data[0];
	bool found = false, exif = false, alpha;
	h->width = u24_at(vp8x->data + 4) + 1;
	h->height = u24_at(vp8x->data + 7) + 1;
	h->channels = flags & FLAG_ALPHA ? 4 : 3;
	while (rest.left) {
		chunk c;
		sn_rc rc = SN_RC_OK;
		if (!next_chunk(&rest, &c))
			return kit_fail(fault, SN_RC_INVALID, EARLY);
		if (is_kind(&c, "EXIF") && (flags & FLAG_EXIF) && !exif) {
			size_t prefix = c.n >= 6 && memcmp(c.data, "Exif\0\0", 6) == 0 ? 6 : 0;
			h->orientation = tiff_orientation(c.data + prefix, c.n - prefix);
			exif = true;
		} else if (is_kind(&c, "ANMF") && (flags & FLAG_ANIMATION) && !found) {
			rc = parse_animation_frame(&c, h, fault);
			found = true;
		} else if ((is_kind(&c, "ALPH") || is_kind(&c, "VP8 ") || is_kind(&c, "VP8L")) && !(flags & FLAG_ANIMATION) && !found) {
			rc = parse_frame(c, rest, h, &alpha, fault);
			if (rc == SN_RC_OK && (h->frame_width != h->width || h->frame_height != h->height))
				rc = kit_fail(fault, SN_RC_INVALID, WRONG);
			found = true;
		}
		if (rc != SN_RC_OK)
			return rc;
	}
	if (!found)
		return kit_fail(fault, SN_RC_INVALID, "the WebP file has no picture");
	if ((uint64_t)h->left + h->frame_width > h->width || (uint64_t)h->top + h->frame_height > h->height)
		return kit_fail(fault, SN_RC_INVALID, "a frame of the WebP file leaves its canvas");
	return SN_RC_OK;
}

sn_rc webp_measure(const uint8_t *bytes, size_t n, image_header *header, sn_fault *fault)
{
	*header = (image_header){.orientation = 1};
	size_t riff = n < RIFF_HEADER ? 0 : u32_at(bytes + 4);
	if (n < RIFF_HEADER || riff > n - 8)
		return kit_fail(fault, SN_RC_INVALID, EARLY);
	if (riff < 4)
		return kit_fail(fault, SN_RC_INVALID, WRONG);
	chunks rest = {bytes + RIFF_HEADER, riff - 4}; /* what follows the container is not of the picture */
	chunk first;
	if (!next_chunk(&rest, &first))
		return kit_fail(fault, SN_RC_INVALID, EARLY);
	if (is_kind(&first, "VP8X"))
		return first.n < VP8X_SIZE ? kit_fail(fault, SN_RC_INVALID, WRONG) : parse_extended(&first, rest, header, fault);
	if (is_kind(&first, "ALPH"))
		return kit_fail(fault, SN_RC_INVALID, WRONG);
	bool alpha = false;
	sn_rc rc = parse_frame(first, rest, header, &alpha, fault);
	header->width = header->frame_width;
	header->height = header->frame_height;
	header->channels = alpha ? 4 : 3;
	return rc;
}

static sn_rc why(VP8StatusCode code, sn_fault *fault)
{
	switch (code) {
	case VP8_STATUS_OUT_OF_MEMORY:
		return kit_fail(fault, SN_RC_NOMEM, "no memory to decode the picture");
	case VP8_STATUS_UNSUPPORTED_FEATURE:
		return kit_fail(fault, SN_RC_UNSUPPORTED, "WebP files with this feature are not read");
	case VP8_STATUS_NOT_ENOUGH_DATA:
		return kit_fail(fault, SN_RC_INVALID, EARLY);
	default:
		return kit_fail(fault, SN_RC_INVALID, "the WebP file is damaged");
	}
}

/* The frame into pixels, [frame_height][frame_width][channels]. */
static sn_rc decode_frame(decode_job *job, uint8_t *pixels)
{
	const image_header *h = job->header;
	size_t stride = (size_t)h->frame_width * h->channels;
	WebPDecoderConfig config;
	if (!WebPInitDecoderConfig(&config))
		return kit_fail(job->fault, SN_RC_INTERNAL, "libwebp is of another version");
	config.output.colorspace = h->channels == 4 ? MODE_RGBA : MODE_RGB;
	config.output.is_external_memory = 1;
	config.output.u.RGBA = (WebPRGBABuffer){.rgba = pixels, .stride = (int)stride, .size = stride * h->frame_height};
	VP8StatusCode code = WebPDecode(h->frame, h->frame_bytes, &config);
	bool same = (uint32_t)config.output.width == h->frame_width && (uint32_t)config.output.height == h->frame_height;
	WebPFreeDecBuffer(&config.output);
	if (code != VP8_STATUS_OK)
		return why(code, job->fault);
	return same ? SN_RC_OK : kit_fail(job->fault, SN_RC_INVALID, WRONG);
}

sn_rc webp_decode(decode_job *job)
{
	const image_header *h = job->header;
	bool whole = h->frame_width == h->width && h->frame_height == h->height;
	if (whole && h->channels == 3 && h->orientation == 1)
		return decode_frame(job, job->rgb);
	size_t stride = (size_t)h->frame_width * h->channels;
	uint8_t *pixels = kit_alloc(job->host, stride * h->frame_height);
	if (!pixels)
		return kit_fail(job->fault, SN_RC_NOMEM, "no memory to decode the picture");
	sn_rc rc = decode_frame(job, pixels);
	if (rc == SN_RC_OK) {
		canvas to = canvas_open(job->rgb, h->width, h->height, h->orientation);
		if (!whole)
			memset(job->rgb, h->channels == 4 ? 255 : 0, (size_t)h->width * h->height * 3);
		for (uint32_t y = 0; y < h->frame_height; y++)
			canvas_put(&to, h->left, 1, h->top + y, pixels + y * stride, h->frame_width, h->channels);
	}
	kit_free(job->host, pixels);
	return rc;
}
