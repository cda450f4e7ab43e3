/* idefics3.h - how Idefics3 and SmolVLM cut a picture: sizes, crops, pixels.
 *
 *   picture --Lanczos--> longest edge = L --Lanczos--> sides up to multiples of P --> rows x cols crops of P x P, row-major
 *                                                              `--Lanczos--> P x P: the global picture, last
 *   no splitting, or one crop would do:                --Lanczos--> P x P, the global picture alone
 *
 * Sizes are computed as the reference's Python computes them: aspect in double, truncation, odd sides made even.
 * Reference: Hugging Face transformers, Idefics3ImageProcessor and SmolVLMImageProcessor, Pillow backend.
 */
#ifndef SENSORIUM_IMAGE_IDEFICS3_H
#define SENSORIUM_IMAGE_IDEFICS3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sn_idefics3_cut {
	uint32_t in_w, in_h;
	uint32_t fit_w, fit_h;   /* after the longest edge was fitted */
	uint32_t grid_w, grid_h; /* after the second resize: cols * P, rows * P, or P, P */
	uint32_t rows, cols;     /* 0, 0: the global picture alone */
	uint32_t n_images;       /* rows * cols + 1 */
	uint32_t side;           /* P */
} sn_idefics3_cut;

/* longest: L; side: P, both 1..65536. False if a size is out of range. */
bool sn_idefics3_plan(uint32_t width, uint32_t height, uint32_t longest, uint32_t side, bool splitting, sn_idefics3_cut *cut);

/* Bytes of pixels that sn_idefics3_run leaves: the grid, then the global picture if there is a grid. False on overflow. */
bool sn_idefics3_bytes(const sn_idefics3_cut *cut, size_t *pixels, size_t *scratch);

/* rgb [in_h][in_w][3] -> pixels. scratch: 64-byte aligned, sizes as asked above. */
void sn_idefics3_run(const sn_idefics3_cut *cut, const uint8_t *rgb, uint8_t *pixels, void *scratch);

/* Image i of n_images inside pixels: its first byte, and the bytes between its rows. */
const uint8_t *sn_idefics3_image(const sn_idefics3_cut *cut, const uint8_t *pixels, uint32_t i, size_t *stride);

#endif
