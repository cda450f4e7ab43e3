/* compression.h - how much shorter zlib makes a text: an answer that repeats itself gives itself away. */
#ifndef SN_ENGINE_COMPRESSION_H
#define SN_ENGINE_COMPRESSION_H

#include <stddef.h>

/* Bytes as they are for each byte that zlib makes of them at its default level; 0 for no text, and without memory. */
float compression_ratio(const void *text, size_t size);

#endif
