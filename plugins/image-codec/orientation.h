/* orientation.h - the orientation that a camera wrote beside the pixels. */
#ifndef IMAGE_CODEC_ORIENTATION_H
#define IMAGE_CODEC_ORIENTATION_H

#include <stddef.h>
#include <stdint.h>

/* Tag 0x0112 of a TIFF structure's first directory: 1 to 8; 1 if absent or malformed (EXIF is a hint, not the picture). */
uint32_t tiff_orientation(const uint8_t *tiff, size_t n);

#endif
