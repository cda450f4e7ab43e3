/* jpeg_write.c - RGB pictures to JPEG through libjpeg(-turbo): baseline, standard tables, JFIF header. Chroma is halved
 * both ways below quality 90 and kept from there on, as ImageMagick does. libjpeg's own memory is a few rows. */
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include <jerror.h>

#include "codec.h"

enum { FULL_CHROMA_FROM = 90, MEMORY_BOUND = 1 << 24, SPILL = 64 };

/* One file being written. It outlives the function that calls setjmp, so that its members are sound after a jump. */
typedef struct writer {
	struct jpeg_compress_struct lib;
	struct jpeg_error_mgr errors;
	struct jpeg_destination_mgr to;
	write_job *job;
	jmp_buf fail;
	sn_rc rc;
	const char *text;
	bool full;
	uint8_t spill[SPILL];
} writer;

/* A block of 64 coefficients costs at most 64 x (16 bits of code + 11 of value), each byte may need a stuffed zero: 432
 * bytes; three components, not subsampled. libjpeg-turbo counts the same way with less (tjBufSize). */
uint64_t jpeg_bound(uint32_t width, uint32_t height)
{
	uint64_t blocks = (((uint64_t)width + 15) / 16) * (((uint64_t)height + 15) / 16) * 4;
	return blocks * 3 * 432 + 2048;
}

static void on_error(j_common_ptr lib)
{
	writer *w = (writer *)lib;
	lib->err->output_message(lib);
	if (lib->err->msg_code == JERR_OUT_OF_MEMORY) {
		w->rc = SN_RC_NOMEM;
		w->text = "no memory to write the picture";
	}
	longjmp(w->fail, 1);
}

static void on_message(j_common_ptr lib)
{
	writer *w = (writer *)lib;
	char text[JMSG_LENGTH_MAX];
	lib->err->format_message(lib, text);
	kit_log(w->job->host, w->job->call, SN_HOST_WARN, text);
}

static void on_begin(j_compress_ptr lib)
{
	writer *w = (writer *)lib;
	w->to.next_output_byte = w->job->out;
	w->to.free_in_buffer = w->job->capacity;
}

static void out_of_room(writer *w)
{
	w->rc = SN_RC_TOO_LARGE;
	w->text = "the file is larger than allowed";
	longjmp(w->fail, 1);
}

/* libjpeg asks when its room is used up, also when nothing more follows: only a byte that goes to spill is too many. */
static boolean on_full(j_compress_ptr lib)
{
	writer *w = (writer *)lib;
	if (w->full)
		out_of_room(w);
	w->full = true;
	w->to.next_output_byte = w->spill;
	w->to.free_in_buffer = SPILL;
	return TRUE;
}

static void on_end(j_compress_ptr lib)
{
	writer *w = (writer *)lib;
	if (w->full && w->to.free_in_buffer < SPILL)
		out_of_room(w);
	w->job->n = w->full ? w->job->capacity : w->job->capacity - w->to.free_in_buffer;
}

/* Everything that may jump. */
static void write_picture(writer *w)
{
	struct jpeg_compress_struct *lib = &w->lib;
	const write_job *job = w->job;
	jpeg_create_compress(lib);
	lib->mem->max_memory_to_use = MEMORY_BOUND;
	lib->dest = &w->to;
	lib->image_width = job->width;
	lib->image_height = job->height;
	lib->input_components = 3;
	lib->in_color_space = JCS_RGB;
	jpeg_set_defaults(lib);
	jpeg_set_quality(lib, (int)job->quality, TRUE);
	lib->comp_info[0].h_samp_factor = lib->comp_info[0].v_samp_factor = job->quality < FULL_CHROMA_FROM ? 2 : 1;
	jpeg_start_compress(lib, TRUE);
	while (lib->next_scanline < job->height) {
		JSAMPROW row = (JSAMPROW)(uintptr_t)(job->rgb + (size_t)lib->next_scanline * job->width * 3); /* libjpeg only reads it */
		jpeg_write_scanlines(lib, &row, 1);
	}
	jpeg_finish_compress(lib);
}

static bool run_guarded(writer *w)
{
	if (setjmp(w->fail))
		return false;
	write_picture(w);
	return true;
}

sn_rc jpeg_write(write_job *job)
{
	writer w = {.job = job, .rc = SN_RC_INTERNAL, .text = "the JPEG file could not be written"};
	if (!job->capacity)
		return kit_fail(job->fault, SN_RC_TOO_LARGE, "the file is larger than allowed");
	w.lib.err = jpeg_std_error(&w.errors);
	w.errors.error_exit = on_error;
	w.errors.output_message = on_message;
	w.to.init_destination = on_begin;
	w.to.empty_output_buffer = on_full;
	w.to.term_destination = on_end;
	bool done = run_guarded(&w);
	jpeg_destroy_compress(&w.lib);
	return done ? SN_RC_OK : kit_fail(job->fault, w.rc, "%s", w.text);
}
