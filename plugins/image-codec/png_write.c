/* png_write.c - RGB pictures to PNG through libpng: 8 bits, not interlaced, its default filters and compression, no
 * chunk but IHDR, IDAT and IEND. All memory is the host's. */
#include <png.h>
#include <setjmp.h>
#include <string.h>

#include "codec.h"

/* One file being written. It outlives the function that calls setjmp, so that its members are sound after a jump. */
typedef struct writer {
	write_job *job;
	jmp_buf fail;
	sn_rc rc;
	const char *text;
	png_structp png;
	png_infop info;
} writer;

/* deflateBound() for any setting is raw + 1/8 + 1/64; a frame of 12 bytes every 8,192 of them; the other chunks. */
uint64_t png_bound(uint32_t width, uint32_t height)
{
	uint64_t raw = ((uint64_t)width * 3 + 1) * height;
	return raw + (raw >> 3) + (raw >> 6) + (raw >> 9) + 1024;
}

static void on_error(png_structp png, const char *message)
{
	writer *w = png_get_error_ptr(png);
	kit_log(w->job->host, w->job->call, SN_HOST_WARN, message);
	longjmp(w->fail, 1);
}

static void on_warning(png_structp png, const char *message)
{
	writer *w = png_get_error_ptr(png);
	kit_log(w->job->host, w->job->call, SN_HOST_DEBUG, message);
}

static png_voidp on_alloc(png_structp png, png_alloc_size_t bytes)
{
	writer *w = png_get_mem_ptr(png);
	void *p = kit_alloc(w->job->host, bytes);
	if (!p) {
		w->rc = SN_RC_NOMEM;
		w->text = "no memory to write the picture";
	}
	return p;
}

static void on_free(png_structp png, png_voidp p)
{
	writer *w = png_get_mem_ptr(png);
	kit_free(w->job->host, p);
}

static void on_write(png_structp png, png_bytep bytes, size_t n)
{
	writer *w = png_get_io_ptr(png);
	write_job *job = w->job;
	if (n > job->capacity - job->n) {
		w->rc = SN_RC_TOO_LARGE;
		w->text = "the file is larger than allowed";
		png_error(png, "out of room");
	}
	memcpy(job->out + job->n, bytes, n);
	job->n += n;
}

static void on_flush(png_structp png) { (void)png; }

/* Everything that may jump. */
static void write_picture(writer *w)
{
	const write_job *job = w->job;
	png_set_user_limits(w->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
	png_set_write_fn(w->png, w, on_write, on_flush);
	png_set_IHDR(w->png, w->info, job->width, job->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
	             PNG_FILTER_TYPE_DEFAULT);
	png_write_info(w->png, w->info);
	for (uint32_t y = 0; y < job->height; y++)
		png_write_row(w->png, job->rgb + (size_t)y * job->width * 3);
	png_write_end(w->png, NULL);
}

static bool run_guarded(writer *w)
{
	if (setjmp(w->fail))
		return false;
	w->png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, w, on_error, on_warning, w, on_alloc, on_free);
	w->info = w->png ? png_create_info_struct(w->png) : NULL;
	if (!w->info)
		return false;
	write_picture(w);
	return true;
}

sn_rc png_write(write_job *job)
{
	writer w = {.job = job, .rc = SN_RC_INTERNAL, .text = "the PNG file could not be written"};
	bool done = run_guarded(&w);
	png_destroy_write_struct(w.png ? &w.png : NULL, w.info ? &w.info : NULL);
	return done ? SN_RC_OK : kit_fail(job->fault, w.rc, "%s", w.text);
}
