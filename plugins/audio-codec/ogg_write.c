/* ogg_write.c - an Opus stream as libsndfile wrote it, made constant: its serial number is random, and its comments name the
 * libraries and their versions. All pages get one serial number; the comments become the empty ones that the format
 * demands (RFC 7845, 5.2); pages are numbered and summed anew. In place, page by page:
 * nothing becomes larger. */
#include <string.h>

#include "codec.h"

enum { PAGE_HEADER = 27, SERIAL = 1 };
#define IN_COMMENTS 0x80000000u /* of a step, whose other bits are the next page's number */

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

bool ogg_make_constant(uint8_t *p, size_t n, uint32_t *step, size_t *taken, size_t *made)
{
	ogg_crc crc;
	ogg_page page;
	uint32_t sequence = *step & ~IN_COMMENTS;
	bool comments = *step & IN_COMMENTS;
	*taken = *made = 0;
	if (!ogg_page_whole(p, n))
		return true;
	ogg_crc_init(&crc);
	if (!ogg_page_read(&crc, p, n, &page) || !page.n_lacing)
		return false;
	size_t size = *taken = *made = page.size;
	if (sequence == 1 || comments) { /* pages of the comments: the first one becomes all of them */
		comments = page.lacing[page.n_lacing - 1] == 255;
		*made = 0;
		if (sequence == 1) {
			if (size < PAGE_HEADER + 1 + sizeof TAGS)
				return false;
			memset(p + 6, 0, 8);
			p[26] = 1;
			p[27] = sizeof TAGS;
			memcpy(p + 28, TAGS, sizeof TAGS);
			*made = PAGE_HEADER + 1 + sizeof TAGS;
		}
	}
	if (*made)
		seal(&crc, p, *made, sequence++);
	*step = sequence | (comments ? IN_COMMENTS : 0);
	return true;
}

bool ogg_is_constant(uint32_t step) { return step > 2 && !(step & IN_COMMENTS); }
