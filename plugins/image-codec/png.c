/* png.c - PNG through libpng.
 *
 * Every depth and colour type becomes 8-bit RGB, or RGBA where the file has alpha (a channel, a palette's alpha or one
 * transparent colour) for canvas.c to put on white. 16-bit samples keep their high byte, also grey ones (where Pillow's
 * conversion to RGB clips at 255 instead and shows white). Gamma and colour profiles are ignored knowingly, as the
 * reference image processors ignore them. Of an animation the default image is read; other chunks are skipped unread,
 * but for the orientation in eXIf.
 *
 * Interlaced files are read pass by pass, each pass's pixels going to their places, so that one row is all the memory.
 */
#include <png.h>
#include <setjmp.h>
#include <string.h>

#include "canvas.h"
#include "codec.h"
#include "orientation.h"

enum { SIGNATURE = 8, CHUNK_OVERHEAD = 12, IHDR_END = SIGNATURE + CHUNK_OVERHEAD + 13, CHUNK_CAP = 8000000, ADAM7_PASSES = 7 };

/* One file being read. It outlives the function that calls setjmp, so that its members are sound after a jump. */
typedef struct reader {
	decode_job *job;
	size_t at;
	jmp_buf fail;
	sn_rc rc;
	const char *text;
	png_structp png;
	png_infop info;
	uint8_t *row; /* one row, [width][channels] */
} reader;

static uint32_t u32_at(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

/* The orientation of the first eXIf chunk, wherever it stands. */
static uint32_t find_orientation(const uint8_t *bytes, size_t n)
{
	size_t at = SIGNATURE;
	while (n - at >= CHUNK_OVERHEAD) {
		uint32_t length = u32_at(bytes + at);
		if (length > n - at - CHUNK_OVERHEAD || memcmp(bytes + at + 4, "IEND", 4) == 0)
			return 1;
		if (memcmp(bytes + at + 4, "eXIf", 4) == 0)
			return tiff_orientation(bytes + at + 8, length);
		at += CHUNK_OVERHEAD + length;
	}
	return 1;
}

sn_rc png_measure(const uint8_t *bytes, size_t n, image_header *header, sn_fault *fault)
{
	static const uint8_t CHANNELS[7] = {[0] = 1, [2] = 3, [3] = 1, [4] = 2, [6] = 4};
	static const uint8_t DEPTHS[7] = {[0] = 1 | 2 | 4 | 8 | 16, [2] = 8 | 16, [3] = 1 | 2 | 4 | 8, [4] = 8 | 16, [6] = 8 | 16};
	if (n < IHDR_END)
		return kit_fail(fault, SN_RC_INVALID, "the PNG file ends early");
	const uint8_t *ihdr = bytes + SIGNATURE + 8; /* width, height, depth, colour, compression, filter, interlace */
	uint8_t depth = ihdr[8], colour = ihdr[9];
	if (u32_at(bytes + SIGNATURE) != 13 || memcmp(bytes + SIGNATURE + 4, "IHDR", 4) != 0)
		return kit_fail(fault, SN_RC_INVALID, "the PNG file does not begin with its header");
	if (colour > 6 || !CHANNELS[colour] || (depth & (depth - 1)) || !(DEPTHS[colour] & depth) || ihdr[10] || ihdr[11] || ihdr[12] > 1)
		return kit_fail(fault, SN_RC_INVALID, "the PNG header is wrong");
	*header = (image_header){.width = u32_at(ihdr),
	                         .height = u32_at(ihdr + 4),
	                         .channels = CHANNELS[colour],
	                         .orientation = find_orientation(bytes, n),
	                         .interlaced = ihdr[12] == 1};
	if (!header->width || !header->height || header->width > INT32_MAX || header->height > INT32_MAX)
		return kit_fail(fault, SN_RC_INVALID, "the PNG header gives an impossible size");
	return SN_RC_OK;
}

static void on_error(png_structp png, const char *message)
{
	reader *r = png_get_error_ptr(png);
	codec_log(r->job, SN_HOST_WARN, message);
	longjmp(r->fail, 1);
}

static void on_warning(png_structp png, const char *message)
{
	reader *r = png_get_error_ptr(png);
	codec_log(r->job, SN_HOST_DEBUG, message);
}

static png_voidp on_alloc(png_structp png, png_alloc_size_t bytes)
{
	reader *r = png_get_mem_ptr(png);
	void *p = kit_alloc(r->job->host, bytes);
	if (!p) {
		r->rc = SN_RC_NOMEM;
		r->text = "no memory to decode the picture";
	}
	return p;
}

static void on_free(png_structp png, png_voidp p)
{
	reader *r = png_get_mem_ptr(png);
	kit_free(r->job->host, p);
}

static void on_read(png_structp png, png_bytep out, size_t n)
{
	reader *r = png_get_io_ptr(png);
	if (n > r->job->n - r->at) {
		r->text = "the PNG file ends early";
		png_error(png, "read past the end");
	}
	memcpy(out, r->job->bytes + r->at, n);
	r->at += n;
}

static void set_limits(png_structp png, const image_header *h)
{
	png_set_user_limits(png, h->width, h->height);
	png_set_chunk_cache_max(png, 128);
	png_set_chunk_malloc_max(png, CHUNK_CAP);
	png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
	/* Keep IHDR, PLTE, tRNS, IDAT, IEND; skip every other chunk without inflating it. */
	png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
}

/* Everything that may jump. */
static void read_picture(reader *r)
{
	const image_header *h = r->job->header;
	set_limits(r->png, h);
	png_set_read_fn(r->png, r, on_read);
	png_read_info(r->png, r->info);
	if (png_get_image_width(r->png, r->info) != h->width || png_get_image_height(r->png, r->info) != h->height)
		png_error(r->png, "size differs from the measured one");

	png_set_expand(r->png);
	png_set_strip_16(r->png);
	png_set_gray_to_rgb(r->png);
	png_read_update_info(r->png, r->info); /* without png_set_interlace_handling: passes come as they are stored */
	uint32_t channels = png_get_channels(r->png, r->info);
	size_t row_bytes = png_get_rowbytes(r->png, r->info);
	if ((channels != 3 && channels != 4) || png_get_bit_depth(r->png, r->info) != 8 || row_bytes != (size_t)h->width * channels)
		png_error(r->png, "unexpected row layout");
	r->row = png_malloc(r->png, row_bytes);

	canvas c = canvas_open(r->job->rgb, h->width, h->height, h->orientation);
	if (!h->interlaced)
		for (uint32_t y = 0; y < h->height; y++) {
			png_read_row(r->png, r->row, NULL);
			canvas_put(&c, 0, 1, y, r->row, h->width, channels);
		}
	for (int pass = 0; h->interlaced && pass < ADAM7_PASSES; pass++) {
		uint32_t cols = PNG_PASS_COLS(h->width, pass), rows = PNG_PASS_ROWS(h->height, pass);
		for (uint32_t y = 0; cols && y < rows; y++) {
			png_read_row(r->png, r->row, NULL);
			canvas_put(&c, PNG_PASS_START_COL(pass), PNG_PASS_COL_OFFSET(pass), PNG_ROW_FROM_PASS_ROW(y, pass), r->row, cols, channels);
		}
	}
	png_read_end(r->png, NULL);
}

static bool run_guarded(reader *r)
{
	if (setjmp(r->fail))
		return false;
	r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, on_error, on_warning, r, on_alloc, on_free);
	r->info = r->png ? png_create_info_struct(r->png) : NULL;
	if (!r->info)
		return false;
	read_picture(r);
	return true;
}

sn_rc png_decode(decode_job *job)
{
	reader r = {.job = job, .rc = SN_RC_INVALID, .text = "the PNG file is damaged"};
	bool done = run_guarded(&r);
	if (r.row)
		png_free(r.png, r.row);
	png_destroy_read_struct(r.png ? &r.png : NULL, r.info ? &r.info : NULL, NULL);
	return done ? SN_RC_OK : kit_fail(job->fault, r.rc, "%s", r.text);
}
