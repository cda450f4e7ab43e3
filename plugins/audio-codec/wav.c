/* wav.c - the headers of WAV and RF64 files: 8, 16, 24 and 32 bit PCM, 32 and 64 bit floats, A-law and mu-law, plain or
 * extensible. libsndfile gets the samples alone, as raw data: its reader of chunks is never entered. */
#include <sndfile.h>
#include <string.h>

#include "codec.h"

enum { TAG_PCM = 1, TAG_FLOAT = 3, TAG_ALAW = 6, TAG_MULAW = 7, TAG_EXTENSIBLE = 0xFFFE };
enum { RIFF_HEADER = 12, CHUNK_HEADER = 8, FMT_BYTES = 16, FMT_EXTENSIBLE = 40, DS64_BYTES = 24 };

/* Sizes from here on are placeholders for "not known yet". */
#define UNKNOWN_FROM 0x7FFFF000u

static const char *const EARLY = "the WAV file ends early";

bool wav_begins(const uint8_t *b, size_t n)
{
	return n >= RIFF_HEADER && (memcmp(b, "RIFF", 4) == 0 || memcmp(b, "RF64", 4) == 0) && memcmp(b + 8, "WAVE", 4) == 0;
}

static int subtype_of(uint32_t tag, uint32_t bytes)
{
	static const int pcm[] = {0, SF_FORMAT_PCM_U8, SF_FORMAT_PCM_16, SF_FORMAT_PCM_24, SF_FORMAT_PCM_32};
	if (tag == TAG_PCM)
		return bytes <= 4 ? pcm[bytes] : 0;
	if (tag == TAG_FLOAT)
		return bytes == 4 ? SF_FORMAT_FLOAT : bytes == 8 ? SF_FORMAT_DOUBLE : 0;
	if (bytes != 1)
		return 0;
	return tag == TAG_ALAW ? SF_FORMAT_ALAW : tag == TAG_MULAW ? SF_FORMAT_ULAW : 0;
}

/* *width: bytes of a frame. */
static sn_rc parse_fmt(const uint8_t *f, size_t n, audio_header *h, uint32_t *width, sn_fault *fault)
{
	static const uint8_t guid_end[] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71};
	if (n < FMT_BYTES)
		return kit_fail(fault, SN_RC_INVALID, "the WAV file's format is too short");
	uint32_t tag = u16_le(f), bits = u16_le(f + 14), bytes;
	h->channels = u16_le(f + 2);
	h->rate = u32_le(f + 4);
	*width = u16_le(f + 12);
	if (tag == TAG_EXTENSIBLE) {
		if (n < FMT_EXTENSIBLE)
			return kit_fail(fault, SN_RC_INVALID, "the WAV file's format is too short");
		if (memcmp(f + 26, guid_end, sizeof guid_end) != 0)
			return kit_fail(fault, SN_RC_UNSUPPORTED, "WAV files of this kind are not read");
		tag = u16_le(f + 24);
	}
	if (!h->channels || !*width || *width % h->channels)
		return kit_fail(fault, SN_RC_INVALID, "the WAV file has no channels, or its frames do not divide into them");
	bytes = *width / h->channels;
	if (tag != TAG_PCM && tag != TAG_FLOAT && tag != TAG_ALAW && tag != TAG_MULAW)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "of WAV files only PCM, float, A-law and mu-law are read");
	h->format = subtype_of(tag, bytes);
	if (!h->format || !bits || (bits + 7) / 8 != bytes)
		return kit_fail(fault, h->format ? SN_RC_INVALID : SN_RC_UNSUPPORTED, "WAV samples of this many bits are not read");
	h->format |= SF_FORMAT_RAW | SF_ENDIAN_LITTLE;
	return SN_RC_OK;
}

/* What the data chunk has: said, of `left` bytes that there are. riff: what the whole file is said to have after its first 8 bytes. */
static sn_rc data_size(uint64_t said, size_t left, uint64_t riff, size_t at, uint32_t width, size_t *n, sn_fault *fault)
{
	bool unknown = said > left ? said >= UNKNOWN_FROM : said == 0 && (riff < UNKNOWN_FROM ? riff + 8 <= at : true);
	if (unknown && left % width)
		return kit_fail(fault, SN_RC_INVALID, EARLY);
	if (!unknown && said > left)
		return kit_fail(fault, SN_RC_INVALID, EARLY);
	*n = unknown ? left : (size_t)said;
	return SN_RC_OK;
}

sn_rc wav_measure(const audio_input *in, audio_header *h)
{
	const uint8_t *b = in->bytes;
	uint64_t riff = u32_le(b + 4), data64 = 0;
	uint32_t width = 0;
	bool large = b[1] == 'F';
	size_t at = RIFF_HEADER;
	for (;;) {
		if (in->n - at < CHUNK_HEADER)
			return kit_fail(in->fault, SN_RC_INVALID, width ? "the WAV file has no sound" : EARLY);
		const uint8_t *chunk = b + at;
		uint64_t size = u32_le(chunk + 4);
		at += CHUNK_HEADER;
		if (memcmp(chunk, "data", 4) == 0) {
			sn_rc rc = width ? data_size(large && size == UINT32_MAX ? data64 : size, in->n - at, riff, at, width, &h->n, in->fault)
			                 : kit_fail(in->fault, SN_RC_INVALID, "the WAV file's sound comes before its format");
			if (rc != SN_RC_OK)
				return rc;
			break;
		}
		if (size > in->n - at)
			return kit_fail(in->fault, SN_RC_INVALID, EARLY);
		if (memcmp(chunk, "fmt ", 4) == 0) {
			sn_rc rc = parse_fmt(b + at, (size_t)size, h, &width, in->fault);
			if (rc != SN_RC_OK)
				return rc;
		}
		if (large && memcmp(chunk, "ds64", 4) == 0 && size >= DS64_BYTES) {
			riff = u64_le(b + at);
			data64 = u64_le(b + at + 8);
		}
		at += (size_t)size + (size & 1 && size < in->n - at);
	}
	h->raw = true;
	h->start = at;
	h->frames = h->n / width;
	h->n = (size_t)h->frames * width;
	return SN_RC_OK;
}
