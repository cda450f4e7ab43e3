/* flac.c - the header of a FLAC file, and its last frame.
 *
 * libFLAC gets STREAMINFO and the frames; all other metadata is left out. The length is taken from the last frame: its header has
 * the number of its first sample, and its CRC proves that it is whole. STREAMINFO may say the same, or nothing (0, as an encoder
 * writes into a pipe). */
#include <sndfile.h>
#include <string.h>

#include "codec.h"

enum { MAGIC = 4, BLOCK_HEADER = 4, STREAMINFO = 34, BLOCK_LAST = 0x80, ID3V1 = 128, MAX_FRAME_HEADER = 16 };
enum { CRC_BUDGET = 64 << 20 }; /* bytes over which the search for the last frame may compute CRCs */

static const char *const EARLY = "the FLAC file ends early";

bool flac_begins(const uint8_t *b, size_t n) { return n >= MAGIC && memcmp(b, "fLaC", MAGIC) == 0; }

static uint8_t crc8(const uint8_t *p, size_t n)
{
	uint8_t crc = 0;
	for (; n; n--, p++) {
		crc ^= *p;
		for (int k = 0; k < 8; k++)
			crc = (uint8_t)(crc << 1 ^ (crc & 0x80 ? 0x07 : 0));
	}
	return crc;
}

static void crc16_init(uint16_t table[256])
{
	for (unsigned i = 0; i < 256; i++) {
		unsigned crc = i << 8;
		for (int k = 0; k < 8; k++)
			crc = crc << 1 ^ (crc & 0x8000 ? 0x8005 : 0);
		table[i] = (uint16_t)crc;
	}
}

static uint16_t crc16(const uint16_t table[256], const uint8_t *p, size_t n)
{
	uint16_t crc = 0;
	for (; n; n--, p++)
		crc = (uint16_t)(crc << 8 ^ table[crc >> 8 ^ *p]);
	return crc;
}

/* A number as FLAC codes it, in the manner of UTF-8 but up to 36 bits. Its size, 0 if it is none. */
static size_t coded_number(const uint8_t *p, size_t n, uint64_t *number)
{
	size_t more = 0;
	if (n == 0 || *p == 0xFF)
		return 0;
	while (more < 8 && *p & 0x80 >> more)
		more++;
	if (more == 1 || n < (more ? more : 1))
		return 0;
	*number = more ? *p & ((1u << (7 - more)) - 1) : *p;
	for (size_t i = 1; i < more; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 0;
		*number = *number << 6 | (p[i] & 0x3F);
	}
	return more ? more : 1;
}

/* A frame's header at p, whose own CRC fits. *end: the sample after its last; fixed: the size of all blocks but the last. */
static bool frame_header(const uint8_t *p, size_t n, uint32_t fixed, uint64_t *end)
{
	if (n < 6 || p[0] != 0xFF || (p[1] & 0xFE) != 0xF8)
		return false;
	uint32_t size_code = p[2] >> 4, rate_code = p[2] & 15, block = 0;
	if (!size_code || rate_code == 15 || p[3] >> 4 > 10 || p[3] & 1)
		return false;
	uint64_t number = 0;
	size_t at = 4, taken = coded_number(p + at, n - at, &number);
	if (!taken)
		return false;
	at += taken;
	size_t size_bytes = size_code == 6 ? 1 : size_code == 7 ? 2 : 0, rate_bytes = rate_code == 12 ? 1 : rate_code > 12 ? 2 : 0;
	if (n - at < size_bytes + rate_bytes + 1)
		return false;
	if (size_bytes)
		block = (size_bytes == 1 ? p[at] : (uint32_t)p[at] << 8 | p[at + 1]) + 1;
	else
		block = size_code == 1 ? 192 : size_code < 6 ? 576u << (size_code - 2) : 256u << (size_code - 8);
	at += size_bytes + rate_bytes;
	if (crc8(p, at) != p[at])
		return false;
	*end = (p[1] & 1 ? number : number * fixed) + block;
	return true;
}

/* The sample after the last of the frame that ends at `end`. False: none ends there. */
static bool last_frame(const uint8_t *b, size_t start, size_t end, size_t most, uint32_t fixed, uint64_t *samples)
{
	uint16_t table[256];
	size_t budget = CRC_BUDGET;
	crc16_init(table);
	for (size_t n = 8; n <= end - start && n <= most; n++) {
		const uint8_t *p = b + end - n;
		if (!frame_header(p, n, fixed, samples))
			continue;
		if (budget < n)
			return false;
		budget -= n;
		if (crc16(table, p, n) == 0)
			return true;
	}
	return false;
}

/* Past the blocks before the frames. False: one of them is not there. */
static bool skip_blocks(const uint8_t *b, size_t n, size_t *at)
{
	for (bool last = false; !last;) {
		if (n - *at < BLOCK_HEADER)
			return false;
		last = b[*at] & BLOCK_LAST;
		size_t size = u32_be(b + *at) & 0xFFFFFF;
		*at += BLOCK_HEADER;
		if (size > n - *at)
			return false;
		*at += size;
	}
	return true;
}

/* The format's block as the only one, with the number of samples that there are. */
static void write_prefix(audio_header *h, const uint8_t *b, uint64_t samples)
{
	h->n_prefix = MAGIC + BLOCK_HEADER + STREAMINFO;
	memcpy(h->prefix, b, h->n_prefix);
	h->prefix[MAGIC] = BLOCK_LAST;
	uint8_t *total = h->prefix + MAGIC + BLOCK_HEADER + 13;
	total[0] = (uint8_t)((total[0] & 0xF0) | (uint8_t)(samples >> 32));
	for (int i = 1; i < 5; i++)
		total[i] = (uint8_t)(samples >> (32 - 8 * i));
}

sn_rc flac_measure(const audio_input *in, audio_header *h)
{
	const uint8_t *b = in->bytes, *info = b + MAGIC + BLOCK_HEADER;
	size_t at = MAGIC, end = in->n;
	if (in->n < MAGIC + BLOCK_HEADER + STREAMINFO)
		return kit_fail(in->fault, SN_RC_INVALID, EARLY);
	if ((b[4] & ~BLOCK_LAST) != 0 || (u32_be(b + 4) & 0xFFFFFF) != STREAMINFO)
		return kit_fail(in->fault, SN_RC_INVALID, "the FLAC file does not begin with its format");
	if (!skip_blocks(b, in->n, &at))
		return kit_fail(in->fault, SN_RC_INVALID, EARLY);
	uint32_t fixed = u32_be(info) & 0xFFFF, largest = u32_be(info + 7) >> 8, packed = u32_be(info + 10);
	uint32_t bits = (packed >> 4 & 31) + 1;
	uint64_t said = (uint64_t)(packed & 15) << 32 | u32_be(info + 14), samples;
	h->rate = packed >> 12;
	h->channels = (packed >> 9 & 7) + 1;
	if (bits != 8 && bits != 16 && bits != 24)
		return kit_fail(in->fault, SN_RC_UNSUPPORTED, "of FLAC files only 8, 16 and 24 bits are read");
	if (end - at >= ID3V1 && memcmp(b + end - ID3V1, "TAG", 3) == 0)
		end -= ID3V1;
	size_t most = largest ? largest : ((size_t)fixed + 16) * h->channels * 5 + MAX_FRAME_HEADER + 64;
	if (!last_frame(b, at, end, most, fixed, &samples))
		return kit_fail(in->fault, SN_RC_INVALID, EARLY);
	if (said && said != samples)
		return kit_fail(in->fault, SN_RC_INVALID, said > samples ? EARLY : "the FLAC file is longer than it says");
	if (samples >> 36)
		return kit_fail(in->fault, SN_RC_INVALID, "the FLAC file is damaged");
	h->frames = samples;
	h->format = SF_FORMAT_FLAC | (bits == 8 ? SF_FORMAT_PCM_S8 : bits == 16 ? SF_FORMAT_PCM_16 : SF_FORMAT_PCM_24);
	h->start = at;
	h->n = end - at;
	write_prefix(h, b, samples);
	return SN_RC_OK;
}
