/* canvas.c - see canvas.h. Each of the eight orientations is an origin and two strides. */
#include "canvas.h"

#include <string.h>

canvas canvas_open(uint8_t *rgb, uint32_t width, uint32_t height, uint32_t orientation)
{
	/* Is the upright x (then y) counted from the far end? Do stored columns become upright rows? */
	static const struct {
		uint8_t transpose, far_x, far_y;
	} TABLE[9] = {{0, 0, 0}, {0, 0, 0}, {0, 1, 0}, {0, 1, 1}, {0, 0, 1}, {1, 0, 0}, {1, 1, 0}, {1, 1, 1}, {1, 0, 1}};
	uint32_t t = TABLE[orientation].transpose;
	size_t wide = t ? height : width, high = t ? width : height;
	ptrdiff_t right = TABLE[orientation].far_x ? -3 : 3;
	ptrdiff_t down = (TABLE[orientation].far_y ? -3 : 3) * (ptrdiff_t)wide;

	canvas c = {.origin = rgb, .dx = t ? down : right, .dy = t ? right : down};
	if (right < 0)
		c.origin += (wide - 1) * 3;
	if (down < 0)
		c.origin += (high - 1) * wide * 3;
	return c;
}

/* v over white with weight a / 255, rounded to nearest. */
static inline uint8_t on_white(uint32_t v, uint32_t a)
{
	uint32_t t = v * a + 255 * (255 - a) + 128;
	return (uint8_t)((t + (t >> 8)) >> 8);
}

void canvas_put(const canvas *c, uint32_t x, uint32_t step, uint32_t y, const uint8_t *pixels, uint32_t n, uint32_t channels)
{
	uint8_t *to = c->origin + (ptrdiff_t)x * c->dx + (ptrdiff_t)y * c->dy;
	ptrdiff_t stride = c->dx * (ptrdiff_t)step;
	if (channels == 3 && stride == 3) {
		memcpy(to, pixels, (size_t)n * 3);
		return;
	}
	for (uint32_t i = 0; i < n; i++, pixels += channels) {
		uint8_t *p = to + (ptrdiff_t)i * stride;
		uint32_t a = channels == 4 ? pixels[3] : 255;
		p[0] = on_white(pixels[0], a);
		p[1] = on_white(pixels[1], a);
		p[2] = on_white(pixels[2], a);
	}
}
