/* orientation.c - see orientation.h. TIFF: byte order, 42, offset of a directory of 12-byte entries. */
#include "orientation.h"

#include <stdbool.h>
#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_BYTE = 1, TYPE_SHORT = 3, TYPE_LONG = 4 };

static uint32_t u16_at(const uint8_t *p, bool big) { return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0]; }

static uint32_t u32_at(const uint8_t *p, bool big)
{
	return big ? u16_at(p, big) << 16 | u16_at(p + 2, big) : u16_at(p + 2, big) << 16 | u16_at(p, big);
}

uint32_t tiff_orientation(const uint8_t *tiff, size_t n)
{
	if (n < 8 || (memcmp(tiff, "II", 2) != 0 && memcmp(tiff, "MM", 2) != 0))
		return 1;
	bool big = tiff[0] == 'M';
	size_t directory = u32_at(tiff + 4, big);
	if (u16_at(tiff + 2, big) != 42 || directory > n || n - directory < 2)
		return 1;

	uint32_t entries = u16_at(tiff + directory, big);
	const uint8_t *entry = tiff + directory + 2;
	for (size_t left = n - directory - 2; entries && left >= 12; entries--, left -= 12, entry += 12) {
		if (u16_at(entry, big) != TAG_ORIENTATION)
			continue;
		uint32_t type = u16_at(entry + 2, big), value;
		if (u32_at(entry + 4, big) != 1)
			return 1;
		if (type == TYPE_SHORT)
			value = u16_at(entry + 8, big);
		else if (type == TYPE_LONG)
			value = u32_at(entry + 8, big);
		else if (type == TYPE_BYTE)
			value = entry[8];
		else
			return 1;
		return value >= 1 && value <= 8 ? value : 1;
	}
	return 1;
}
