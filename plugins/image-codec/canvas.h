/* canvas.h - puts stored pixels where they belong in an upright RGB picture, on white where they are transparent. */
#ifndef IMAGE_CODEC_CANVAS_H
#define IMAGE_CODEC_CANVAS_H

#include <stddef.h>
#include <stdint.h>

typedef struct canvas {
	uint8_t *origin;     /* the upright pixel of stored (0, 0) */
	ptrdiff_t dx, dy;    /* bytes in the upright picture per stored column and row */
} canvas;

/* orientation: 1 to 8 as in EXIF; from 5 on the upright picture is height wide and width high. */
canvas canvas_open(uint8_t *rgb, uint32_t width, uint32_t height, uint32_t orientation);

/* Stored pixels (x + i * step, y), i < n: pixels is [n][channels], channels 3 or 4 (straight alpha, 255 = opaque). */
void canvas_put(const canvas *c, uint32_t x, uint32_t step, uint32_t y, const uint8_t *pixels, uint32_t n, uint32_t channels);

#endif
