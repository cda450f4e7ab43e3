/* resize.h - antialiased separable resampling of u8 RGB, bit for bit as Pillow's Image.resize does it, or as PyTorch does.
 *
 * The horizontal pass runs first and is rounded to u8, then the vertical one (Pillow 13 and later: the other way round where many more
 * rows than columns go away); a pass whose dimension does not change is skipped. Weights are made in double and normalised to sum 1.
 * Pillow cuts them to 22 fractional bits; PyTorch (interpolate of u8 with antialias, on a processor) to as many, of 22, as leave the
 * largest of an axis within 16 bits.
 * References: Pillow, libImaging/Resample.c; PyTorch, aten/src/ATen/native/cpu/UpSampleKernel.cpp. No allocation: the caller
 * brings the scratch memory.
 */
#ifndef SENSORIUM_IMAGE_RESIZE_H
#define SENSORIUM_IMAGE_RESIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sn_filter { SN_FILTER_BILINEAR = 0, SN_FILTER_BICUBIC = 1, SN_FILTER_LANCZOS3 = 2, SN_FILTER_LANCZOS3_TORCH = 3 } sn_filter;

#define SN_RESIZE_MAX_SIDE (1u << 20)
#define SN_PLANE_SPARE 16

/* Bytes of an RGB picture. False for an empty one, a side over SN_RESIZE_MAX_SIDE, or overflow. */
bool sn_rgb_bytes(uint32_t width, uint32_t height, size_t *bytes);

/* Scratch bytes that sn_resize_rgb needs, at least 1. False as above. */
bool sn_resize_scratch(uint32_t in_w, uint32_t in_h, uint32_t out_w, uint32_t out_h, sn_filter filter, size_t *bytes);

/* src [in_h][in_w][3] -> dst [out_h][out_w][3]. scratch: as asked above, aligned for double. Sizes have passed
 * sn_resize_scratch. src, dst and scratch do not overlap. */
void sn_resize_rgb(const uint8_t *src, uint32_t in_w, uint32_t in_h, uint8_t *dst, uint32_t out_w, uint32_t out_h,
                   sn_filter filter, void *scratch);

/* The same picture from three planes, red, green and blue: each [in_h][stride], readable for SN_PLANE_SPARE bytes more. woven:
 * [in_h][in_w][3], for filters that cannot begin with planes. */
void sn_resize_planes(const uint8_t *const src[3], size_t stride, uint32_t in_w, uint32_t in_h, uint8_t *dst, uint32_t out_w, uint32_t out_h,
                      sn_filter filter, uint8_t *woven, void *scratch);

#endif
