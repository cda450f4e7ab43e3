/* ogg_write.c - an Opus stream as libsndfile wrote it, made constant: its serial number is random, and its comments name the
 * libraries and their versions. All pages get one serial number; the comments become the empty ones that the format
 * demands (RFC 7845, 5.2); pages are numbered and summed anew. In place: nothing becomes larger. */
#include <string.h>

#include "codec.h"

enum { PAGE_HEADER = 27, SERIAL = 1 };

static const uint8_t TAGS[] = {'O', 'p', 'u', 's', 'T', 'a', 'g', 's', 0, 0, 0, 0, 0, 0, 0, 0};

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* The page of [size] bytes at p as number `sequence`. */
static void seal(const ogg_crc *crc, uint8_t *p, size_t size, uint32_t sequence)
{
	put32(p + 14, SERIAL);
	put32(p + 18, sequence);
	put32(p + 22, ogg_crc_of(crc, p, size));
}

size_t ogg_make_constant(uint8_t *bytes, size_t n)
{
	ogg_crc crc;
	ogg_page page;
	uint32_t sequence = 0;
	size_t to = 0;
	bool comments = false;
	ogg_crc_init(&crc);
	for (size_t at = 0, size; at < n; at += size) {
		if (!ogg_page_read(&crc, bytes + at, n - at, &page) || !page.n_lacing)
			return 0;
		size = page.size;
		if (sequence == 1 || comments) { /* pages of the comments: the first one becomes all of them */
			comments = page.lacing[page.n_lacing - 1] == 255;
			if (sequence > 1)
				continue;
			if (size < PAGE_HEADER + 1 + sizeof TAGS)
				return 0;
			memmove(bytes + to, bytes + at, PAGE_HEADER);
			memset(bytes + to + 6, 0, 8);
			bytes[to + 26] = 1;
			bytes[to + 27] = sizeof TAGS;
			memcpy(bytes + to + 28, TAGS, sizeof TAGS);
			seal(&crc, bytes + to, PAGE_HEADER + 1 + sizeof TAGS, sequence++);
			to += PAGE_HEADER + 1 + sizeof TAGS;
			continue;
		}
		memmove(bytes + to, bytes + at, size);
		seal(&crc, bytes + to, size, sequence++);
		to += size;
	}
	return sequence > 2 && !comments ? to : 0;
}
