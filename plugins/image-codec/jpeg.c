/* jpeg.c - JPEG through libjpeg(-turbo).
 *
 * Baseline, extended and progressive files of 8 bits, Huffman or arithmetic; grey, YCbCr, RGB, CMYK and YCCK. Four
 * components are taken as Adobe writes them, inverted, and turned to RGB by the formula of Pillow's convert("RGB").
 * Colour profiles are ignored knowingly, as the reference image processors ignore them.
 *
 * A file whose entropy-coded data is damaged or ends early is refused where libjpeg would only warn and pad with grey.
 */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "canvas.h"
#include "codec.h"
#include "orientation.h"

enum {
	MARKER_SOI = 0xD8, MARKER_EOI = 0xD9, MARKER_SOS = 0xDA, MARKER_TEM = 0x01, MARKER_RST0 = 0xD0, MARKER_RST7 = 0xD7,
	MARKER_SOF0 = 0xC0, MARKER_SOF15 = 0xCF, MARKER_DHT = 0xC4, MARKER_JPG = 0xC8, MARKER_DAC = 0xCC, MARKER_APP1 = 0xE1,
};

/* One file being read. It outlives the function that calls setjmp, so that its members are sound after a jump. */
typedef struct reader {
	struct jpeg_decompress_struct lib;
	struct jpeg_error_mgr errors;
	struct jpeg_progress_mgr progress;
	decode_job *job;
	jmp_buf fail;
	sn_rc rc;
	const char *text;
} reader;

static bool is_frame(int marker)
{
	return marker >= MARKER_SOF0 && marker <= MARKER_SOF15 && marker != MARKER_DHT && marker != MARKER_JPG && marker != MARKER_DAC;
}

static uint64_t blocks_of(uint32_t pixels, uint32_t factor, uint32_t most)
{
	uint64_t blocks = ((uint64_t)pixels * factor + 8 * most - 1) / (8 * most);
	return (blocks + factor - 1) / factor * factor;
}

/* Of all components, two bytes each, blocks rounded up to the MCU as libjpeg does; 0 if a sampling factor is wrong. */
static uint64_t coefficient_bytes(const uint8_t *segment, const image_header *h)
{
	uint32_t most_x = 1, most_y = 1;
	uint64_t blocks = 0;
	for (uint32_t i = 0; i < h->channels; i++) {
		uint32_t x = segment[9 + 3 * i] >> 4, y = segment[9 + 3 * i] & 15;
		if (x < 1 || x > 4 || y < 1 || y > 4)
			return 0;
		most_x = x > most_x ? x : most_x;
		most_y = y > most_y ? y : most_y;
	}
	for (uint32_t i = 0; i < h->channels; i++)
		blocks += blocks_of(h->width, segment[9 + 3 * i] >> 4, most_x) * blocks_of(h->height, segment[9 + 3 * i] & 15, most_y);
	return blocks * 128;
}

/* SOF: length, precision, height, width, components. */
static sn_rc parse_frame(int marker, const uint8_t *segment, size_t length, image_header *header, sn_fault *fault)
{
	int kind = marker - MARKER_SOF0;
	if (length < 8 || length < 8 + 3 * (size_t)segment[7])
		return kit_fail(fault, SN_RC_INVALID, "the JPEG header is wrong");
	if ((kind != 0 && kind != 1 && kind != 2 && kind != 9 && kind != 10) || segment[2] != 8)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "JPEG files of this kind (lossless, hierarchical or over 8 bits) are not read");
	header->height = (uint32_t)segment[3] << 8 | segment[4];
	header->width = (uint32_t)segment[5] << 8 | segment[6];
	header->channels = segment[7];
	header->many_scans = kind == 2 || kind == 10;
	if (!header->width || !header->height)
		return kit_fail(fault, SN_RC_INVALID, "the JPEG header gives an impossible size");
	if (header->channels != 1 && header->channels != 3 && header->channels != 4)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "JPEG files with this number of components are not read");
	header->work_bytes = coefficient_bytes(segment, header);
	return header->work_bytes ? SN_RC_OK : kit_fail(fault, SN_RC_INVALID, "the JPEG header is wrong");
}

sn_rc jpeg_measure(const uint8_t *bytes, size_t n, image_header *header, sn_fault *fault)
{
	bool have_frame = false, have_exif = false;
	*header = (image_header){.orientation = 1};
	for (size_t at = 2;;) {
		while (at < n && bytes[at] != 0xFF) /* garbage between segments: the library warns and skips it too */
			at++;
		while (at < n && bytes[at] == 0xFF)
			at++;
		if (at >= n)
			return kit_fail(fault, SN_RC_INVALID, "the JPEG file ends early");
		int marker = bytes[at++];
		if (marker == 0 || marker == MARKER_TEM || (marker >= MARKER_RST0 && marker <= MARKER_RST7))
			continue;
		if (marker == MARKER_SOI || marker == MARKER_EOI)
			return kit_fail(fault, SN_RC_INVALID, "the JPEG file has no picture");
		if (n - at < 2)
			return kit_fail(fault, SN_RC_INVALID, "the JPEG file ends early");
		const uint8_t *segment = bytes + at; /* begins with its length, which counts itself */
		size_t length = (size_t)segment[0] << 8 | segment[1];
		if (length < 2)
			return kit_fail(fault, SN_RC_INVALID, "the JPEG header is wrong");
		if (length > n - at)
			return kit_fail(fault, SN_RC_INVALID, "the JPEG file ends early");
		at += length;

		if (marker == MARKER_SOS) {
			if (!have_frame)
				return kit_fail(fault, SN_RC_INVALID, "the JPEG file has no picture");
			if (length >= 3 && segment[2] < header->channels)
				header->many_scans = true;
			if (!header->many_scans)
				header->work_bytes = 0; /* one MCU row at a time */
			return SN_RC_OK;
		}
		if (is_frame(marker)) {
			if (have_frame)
				return kit_fail(fault, SN_RC_INVALID, "the JPEG file has two frames");
			sn_rc rc = parse_frame(marker, segment, length, header, fault);
			if (rc != SN_RC_OK)
				return rc;
			have_frame = true;
		}
		if (marker == MARKER_APP1 && !have_exif && length >= 8 && memcmp(segment + 2, "Exif\0\0", 6) == 0) {
			header->orientation = tiff_orientation(segment + 8, length - 8);
			have_exif = true;
		}
	}
}

static void on_error(j_common_ptr lib)
{
	reader *r = (reader *)lib;
	lib->err->output_message(lib);
	if (lib->err->msg_code == JERR_OUT_OF_MEMORY) {
		r->rc = SN_RC_NOMEM;
		r->text = "no memory to decode the picture";
	} else if (lib->err->msg_code == JERR_NO_BACKING_STORE) { /* past max_memory_to_use */
		r->rc = SN_RC_TOO_LARGE;
		r->text = "the JPEG file needs more memory than its size justifies";
	}
	longjmp(r->fail, 1);
}

static void on_message(j_common_ptr lib)
{
	reader *r = (reader *)lib;
	char text[JMSG_LENGTH_MAX];
	lib->err->format_message(lib, text);
	codec_log(r->job, SN_HOST_WARN, text);
}

/* level < 0: a warning, after which libjpeg would go on with made-up data, except for a few that change no pixel. */
static void on_warning(j_common_ptr lib, int level)
{
	if (level >= 0)
		return;
	switch (lib->err->msg_code) {
	case JWRN_EXTRANEOUS_DATA:
	case JWRN_ADOBE_XFORM:
	case JWRN_JFIF_MAJOR:
		on_message(lib);
		return;
	case JWRN_JPEG_EOF:
		((reader *)lib)->text = "the JPEG file ends early";
		break;
	default:
		break;
	}
	on_error(lib);
}

static void on_progress(j_common_ptr lib)
{
	reader *r = (reader *)lib;
	if (r->job->max_scans && (uint32_t)r->lib.input_scan_number > r->job->max_scans) {
		r->rc = SN_RC_TOO_LARGE;
		r->text = "the JPEG file has too many scans";
		longjmp(r->fail, 1);
	}
}

/* What admission counted, and some for rows, tables and the like: at most 65,535 wide, 4 channels, 32 rows. */
static long memory_bound(const image_header *h) { return (long)(h->work_bytes + ((uint64_t)1 << 24)); }

static inline uint8_t mul255(uint32_t a, uint32_t b)
{
	uint32_t t = a * b + 128;
	return (uint8_t)(((t >> 8) + t) >> 8);
}

/* In place: [n][4] inverted CMYK -> [n][3] RGB. */
static void cmyk_to_rgb(uint8_t *row, uint32_t n)
{
	const uint8_t *in = row;
	for (uint8_t *out = row; n; n--, in += 4, out += 3) {
		uint8_t c = in[0], m = in[1], y = in[2], k = in[3];
		out[0] = (uint8_t)(k - mul255(255u - c, k));
		out[1] = (uint8_t)(k - mul255(255u - m, k));
		out[2] = (uint8_t)(k - mul255(255u - y, k));
	}
}

/* Everything that may jump. */
static void read_picture(reader *r)
{
	const image_header *h = r->job->header;
	struct jpeg_decompress_struct *lib = &r->lib;
	jpeg_create_decompress(lib);
	lib->mem->max_memory_to_use = memory_bound(h);
	lib->progress = &r->progress;
	jpeg_mem_src(lib, r->job->bytes, (unsigned long)r->job->n);
	jpeg_read_header(lib, TRUE);
	if (lib->image_width != h->width || lib->image_height != h->height || (uint32_t)lib->num_components != h->channels)
		longjmp(r->fail, 1);
	lib->out_color_space = h->channels == 4 ? JCS_CMYK : JCS_RGB;
	jpeg_start_decompress(lib);
	if (lib->output_width != h->width || lib->output_height != h->height || (uint32_t)lib->output_components != (h->channels == 4 ? 4 : 3))
		longjmp(r->fail, 1);

	canvas c = canvas_open(r->job->rgb, h->width, h->height, h->orientation);
	JSAMPARRAY row = lib->mem->alloc_sarray((j_common_ptr)lib, JPOOL_IMAGE, h->width * (uint32_t)lib->output_components, 1);
	while (lib->output_scanline < h->height) {
		uint32_t y = lib->output_scanline;
		if (jpeg_read_scanlines(lib, row, 1) != 1)
			longjmp(r->fail, 1);
		if (h->channels == 4)
			cmyk_to_rgb(row[0], h->width);
		canvas_put(&c, 0, 1, y, row[0], h->width, 3);
	}
	jpeg_finish_decompress(lib);
}

static bool run_guarded(reader *r)
{
	if (setjmp(r->fail))
		return false;
	read_picture(r);
	return true;
}

sn_rc jpeg_decode(decode_job *job)
{
	reader r = {.job = job, .rc = SN_RC_INVALID, .text = "the JPEG file is damaged"};
	r.lib.err = jpeg_std_error(&r.errors);
	r.errors.error_exit = on_error;
	r.errors.emit_message = on_warning;
	r.errors.output_message = on_message;
	r.progress.progress_monitor = on_progress;
	bool done = run_guarded(&r);
	jpeg_destroy_decompress(&r.lib);
	return done ? SN_RC_OK : kit_fail(job->fault, r.rc, "%s", r.text);
}
