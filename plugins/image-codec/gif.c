/* gif.c - the first frame of a GIF through giflib.
 *
 * The canvas is the logical screen, or larger where the first frame leaves it. What the frame does not cover is
 * transparent, so white, if the frame has a transparent colour, else the palette's first colour. Without any palette
 * indices are shades of grey; indices past a palette's end are black. All as Pillow shows such files.
 *
 * The blocks are walked here to the file's end, so that a file cut anywhere is refused; giflib unpacks the one frame.
 */
#include <string.h>

#include <gif_lib.h>

#include "canvas.h"
#include "codec.h"

enum { SCREEN_END = 13, IMAGE_BLOCK = 9, EXTENSION = 0x21, IMAGE = 0x2C, TRAILER = 0x3B, GRAPHIC_CONTROL = 0xF9 };
enum { FLAG_PALETTE = 0x80, FLAG_INTERLACED = 0x40, FLAG_TRANSPARENT = 0x01 };

static const char *const EARLY = "the GIF file ends early", *const DAMAGED = "the GIF file is damaged";

typedef struct cursor {
	const uint8_t *at;
	size_t left;
} cursor;

static uint32_t u16_at(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

/* The next n bytes, or NULL. */
static const uint8_t *take(cursor *c, size_t n)
{
	if (c->left < n)
		return NULL;
	c->at += n;
	c->left -= n;
	return c->at - n;
}

static bool skip_palette(cursor *c, uint8_t flags)
{
	return !(flags & FLAG_PALETTE) || take(c, (size_t)3 << ((flags & 7) + 1));
}

/* Sub-blocks: a size and so many bytes each; size 0 ends them. */
static bool skip_blocks(cursor *c)
{
	const uint8_t *size;
	while ((size = take(c, 1)) && *size)
		if (!take(c, *size))
			return false;
	return size != NULL;
}

static bool parse_extension(cursor *c, int32_t *transparent)
{
	const uint8_t *label = take(c, 1);
	if (label && *label == GRAPHIC_CONTROL && c->left >= 5 && c->at[0] >= 4)
		*transparent = c->at[1] & FLAG_TRANSPARENT ? c->at[4] : -1;
	return label && skip_blocks(c);
}

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

sn_rc gif_measure(const uint8_t *bytes, size_t n, image_header *h, sn_fault *fault)
{
	*h = (image_header){.orientation = 1, .channels = 3, .transparent = -1};
	cursor c = {bytes, n};
	int32_t transparent = -1;
	const uint8_t *screen = take(&c, SCREEN_END), *kind;
	if (!screen || !skip_palette(&c, screen[10]))
		return kit_fail(fault, SN_RC_INVALID, EARLY);
	for (bool found = false; (kind = take(&c, 1));) {
		const uint8_t *image;
		if (*kind == TRAILER)
			return found ? SN_RC_OK : kit_fail(fault, SN_RC_INVALID, "the GIF file has no picture");
		if (*kind == EXTENSION) {
			if (!parse_extension(&c, &transparent))
				break;
			continue;
		}
		if (*kind != IMAGE)
			return kit_fail(fault, SN_RC_INVALID, DAMAGED);
		if (!(image = take(&c, IMAGE_BLOCK)) || !skip_palette(&c, image[8]) || !take(&c, 1) || !skip_blocks(&c))
			break;
		if (found)
			continue;
		found = true;
		h->left = u16_at(image);
		h->top = u16_at(image + 2);
		h->frame_width = u16_at(image + 4);
		h->frame_height = u16_at(image + 6);
		h->interlaced = image[8] & FLAG_INTERLACED;
		h->transparent = transparent;
		h->width = larger(u16_at(screen + 6), h->left + h->frame_width);
		h->height = larger(u16_at(screen + 8), h->top + h->frame_height);
		if (!h->frame_width || !h->frame_height)
			return kit_fail(fault, SN_RC_INVALID, "the GIF header gives an impossible size");
	}
	return kit_fail(fault, SN_RC_INVALID, EARLY);
}

static int on_read(GifFileType *gif, GifByteType *out, int n)
{
	cursor *c = gif->UserData;
	size_t got = (size_t)n < c->left ? (size_t)n : c->left;
	memcpy(out, c->at, got);
	take(c, got);
	return (int)got;
}

/* Moves to the first picture. */
static bool find_picture(GifFileType *gif)
{
	for (;;) {
		GifRecordType kind;
		GifByteType *block;
		int label;
		if (DGifGetRecordType(gif, &kind) == GIF_ERROR)
			return false;
		if (kind == IMAGE_DESC_RECORD_TYPE)
			return DGifGetImageDesc(gif) != GIF_ERROR;
		if (kind != EXTENSION_RECORD_TYPE || DGifGetExtension(gif, &label, &block) == GIF_ERROR)
			return false;
		while (block)
			if (DGifGetExtensionNext(gif, &block) == GIF_ERROR)
				return false;
	}
}

/* RGBA of each index. */
static void fill_colours(const GifFileType *gif, int32_t transparent, uint8_t colours[256][4])
{
	const ColorMapObject *map = gif->Image.ColorMap ? gif->Image.ColorMap : gif->SColorMap;
	for (int i = 0; i < 256; i++) {
		GifColorType rgb = {(GifByteType)i, (GifByteType)i, (GifByteType)i};
		if (map)
			rgb = i < map->ColorCount ? map->Colors[i] : (GifColorType){0, 0, 0};
		const uint8_t colour[4] = {rgb.Red, rgb.Green, rgb.Blue, i == transparent ? 0 : 255};
		memcpy(colours[i], colour, 4);
	}
}

/* row: [width][4]. Rows come in the file's order: four passes where the frame is interlaced. */
static bool read_rows(GifFileType *gif, const image_header *h, const canvas *to, uint8_t colours[256][4], uint8_t *row)
{
	static const uint32_t BEGIN[] = {0, 4, 2, 1, 0}, STEP[] = {8, 8, 4, 2, 1};
	uint8_t *indices = row + (size_t)h->frame_width * 3; /* turned into colours from the left, each index read before it is overwritten */
	for (uint32_t pass = h->interlaced ? 0 : 4; pass < (h->interlaced ? 4u : 5u); pass++)
		for (uint32_t y = BEGIN[pass]; y < h->frame_height; y += STEP[pass]) {
			if (DGifGetLine(gif, indices, (int)h->frame_width) == GIF_ERROR)
				return false;
			for (uint32_t x = 0; x < h->frame_width; x++)
				memcpy(row + (size_t)x * 4, colours[indices[x]], 4);
			canvas_put(to, h->left, 1, h->top + y, row, h->frame_width, 4);
		}
	return true;
}

static void fill_canvas(const decode_job *job, const uint8_t colour[4])
{
	const image_header *h = job->header;
	size_t n = (size_t)h->width * h->height;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < 3; k++)
			job->rgb[i * 3 + k] = h->transparent >= 0 ? 255 : colour[k];
}

sn_rc gif_decode(decode_job *job)
{
	const image_header *h = job->header;
	cursor from = {job->bytes, job->n};
	uint8_t colours[256][4];
	int error = 0, ignored;
	bool done = false;
	GifFileType *gif = NULL;
	uint8_t *row = kit_alloc(job->host, (size_t)h->frame_width * 4);
	if (!row)
		return kit_fail(job->fault, SN_RC_NOMEM, "no memory to decode the picture");
	gif = DGifOpen(&from, on_read, &error);
	if (gif && find_picture(gif) && (uint32_t)gif->Image.Width == h->frame_width && (uint32_t)gif->Image.Height == h->frame_height) {
		canvas to = canvas_open(job->rgb, h->width, h->height, h->orientation);
		fill_colours(gif, h->transparent, colours);
		if (h->frame_width != h->width || h->frame_height != h->height)
			fill_canvas(job, colours[0]);
		done = read_rows(gif, h, &to, colours, row);
	}
	if (gif) {
		error = gif->Error;
		DGifCloseFile(gif, &ignored);
	}
	kit_free(job->host, row);
	if (done)
		return SN_RC_OK;
	if (error == D_GIF_ERR_NOT_ENOUGH_MEM)
		return kit_fail(job->fault, SN_RC_NOMEM, "no memory to decode the picture");
	return kit_fail(job->fault, SN_RC_INVALID, DAMAGED);
}
