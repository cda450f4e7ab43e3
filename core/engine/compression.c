#include "engine/compression.h"

#include <stdlib.h>
#include <zlib.h>

float compression_ratio(const void *text, size_t size)
{
	uLongf n = compressBound(size);
	Bytef *out = size ? malloc(n) : NULL;
	float ratio = out && compress(out, &n, text, size) == Z_OK ? (float)((double)size / (double)n) : 0;
	free(out);
	return ratio;
}
