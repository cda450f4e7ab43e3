/* vorbis.c - how much memory the codebooks of a Vorbis stream will take. A few hundred bytes of setup can ask libvorbis for
 * gigabytes (256 books of 2^24 entries), so they are read here first: Vorbis I specification, 3.2.1. */
#include <string.h>

#include "codec.h"

enum { ENTRY_BYTES = 24 }; /* code word, length, place in the decoding table: more than libvorbis takes an entry */

typedef struct bits {
	const uint8_t *p;
	size_t n;
	uint64_t at; /* in bits; past n * 8: the packet is too short */
} bits;

static uint32_t read(bits *b, uint32_t n)
{
	uint32_t v = 0;
	for (uint32_t i = 0; i < n; i++, b->at++)
		if (b->at >> 3 < b->n)
			v |= (uint32_t)(b->p[b->at >> 3] >> (b->at & 7) & 1) << i;
	return v;
}

static bool short_of(const bits *b) { return b->at > (uint64_t)b->n * 8; }

static uint32_t ilog(uint32_t v)
{
	uint32_t n = 0;
	for (; v; v >>= 1)
		n++;
	return n;
}

/* The most values a side of a lattice of `dim` dimensions with at most `entries` points. */
static uint32_t lattice_side(uint32_t entries, uint32_t dim)
{
	if (dim == 1)
		return entries;
	for (uint32_t side = 1;; side++) { /* at most 4,096 */
		uint64_t points = 1;
		for (uint32_t d = 0; d < dim && points <= entries; d++)
			points *= side + 1;
		if (points > entries)
			return side;
	}
}

static bool skip_lengths(bits *b, uint32_t entries)
{
	if (read(b, 1)) { /* ordered: how many there are of each length */
		uint32_t length = read(b, 5) + 1;
		for (uint32_t i = 0; i < entries; length++) {
			uint32_t n = read(b, ilog(entries - i));
			if (n > entries - i || length > 32 || short_of(b))
				return false;
			i += n;
		}
		return true;
	}
	bool sparse = read(b, 1);
	for (uint32_t i = 0; i < entries; i++) {
		if (!sparse || read(b, 1))
			read(b, 5);
		if (short_of(b))
			return false;
	}
	return true;
}

static bool skip_book(bits *b, uint64_t *bytes)
{
	if (read(b, 24) != 0x564342)
		return false;
	uint32_t dim = read(b, 16), entries = read(b, 24);
	if (!dim || !entries || !skip_lengths(b, entries))
		return false;
	*bytes += (uint64_t)entries * ENTRY_BYTES;
	uint32_t lookup = read(b, 4);
	if (lookup == 0)
		return !short_of(b);
	if (lookup > 2)
		return false;
	read(b, 32);
	read(b, 32);
	uint32_t value_bits = read(b, 4) + 1;
	read(b, 1);
	uint64_t values = lookup == 1 ? lattice_side(entries, dim) : (uint64_t)entries * dim;
	b->at += values * value_bits; /* at most 2^40 * 16 */
	*bytes += ((uint64_t)entries * dim + values) * sizeof(float);
	return !short_of(b);
}

bool vorbis_setup_bytes(const uint8_t *packet, size_t n, uint64_t *bytes)
{
	bits b = {packet, n, 7 * 8};
	*bytes = 0;
	if (n < 8 || memcmp(packet, "\5vorbis", 7) != 0)
		return false;
	for (uint32_t left = read(&b, 8) + 1; left; left--)
		if (!skip_book(&b, bytes))
			return false;
	return true;
}
