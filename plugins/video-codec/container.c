/* container.c - the table of containers, and their outermost layers: is the file whole, as far as it can tell? MP4 has its own file.
 *
 * The demuxer comes from this table and is handed to libavformat, which so never guesses: playlists, scripts and images
 * that name other files are not in it. */
#include <string.h>

#include "container.h"

enum { TS_PACKET = 188, TS_SYNC = 0x47, ADTS_HEADER = 7, ID3V1 = 128 };

#define GIF_VIDEO "image/gif"
#define APNG_VIDEO "image/apng"
#define WEBP_VIDEO "image/webp"
#define MP4_VIDEO "video/mp4"
#define MOV_VIDEO "video/quicktime"
#define WEBM_VIDEO "video/webm"
#define MKV_VIDEO "video/x-matroska"
#define AVI_VIDEO "video/x-msvideo"
#define TS_VIDEO "video/mp2t"

static bool at(const uint8_t *b, size_t n, size_t offset, const char *magic, size_t length)
{
	return n >= offset + length && memcmp(b + offset, magic, length) == 0;
}

static sn_rc early(sn_fault *fault) { return kit_fail(fault, SN_RC_INVALID, "the file ends early"); }
static sn_rc damaged(sn_fault *fault) { return kit_fail(fault, SN_RC_INVALID, "the file is damaged"); }

/* ---- MP4 and QuickTime ---- */

static bool qt_begins(const uint8_t *b, size_t n)
{
	static const char kinds[][5] = {"moov", "mdat", "wide", "pnot"}; /* what files from before ftyp begin with */
	if (at(b, n, 4, "ftypqt  ", 8))
		return true;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (at(b, n, 4, kinds[i], 4))
			return true;
	return false;
}

static bool mp4_begins(const uint8_t *b, size_t n) { return at(b, n, 4, "ftyp", 4) && !qt_begins(b, n); }

/* ---- Matroska and WebM ---- */

/* An EBML number of 1 to 8 bytes; raw: with its length bit (an ID). *unknown: all of its bits are set. Its size, 0: none. */
static size_t ebml_number(const uint8_t *b, size_t n, bool raw, uint64_t *v, bool *unknown)
{
	size_t size = 1;
	if (n == 0 || !b[0])
		return 0;
	while (!(b[0] & 0x80 >> (size - 1)))
		size++;
	if (size > n || (raw && size > 4))
		return 0;
	*v = raw ? b[0] : b[0] & (0xFFu >> size);
	for (size_t i = 1; i < size; i++)
		*v = *v << 8 | b[i];
	*unknown = !raw && *v == (1ull << 7 * size) - 1;
	return size;
}

/* An element's header at *i, whose content follows. */
static bool ebml_element(const uint8_t *b, size_t n, size_t *i, uint64_t *id, uint64_t *size, bool *unknown)
{
	size_t k = ebml_number(b + *i, n - *i, true, id, unknown);
	*i += k;
	size_t m = k ? ebml_number(b + *i, n - *i, false, size, unknown) : 0;
	*i += m;
	return m;
}

/* The document's type stands in the first element; that is within 64 bytes in all files that are met. */
static const char *ebml_type(const uint8_t *b, size_t n)
{
	uint64_t id, size;
	bool unknown;
	size_t i = 0;
	if (!at(b, n, 0, "\x1A\x45\xDF\xA3", 4) || !ebml_element(b, n, &i, &id, &size, &unknown))
		return NULL;
	size_t end = size < n - i ? i + (size_t)size : n;
	while (ebml_element(b, end, &i, &id, &size, &unknown) && size <= end - i) {
		if (id == 0x4282 && at(b, end, i, "webm", 4))
			return WEBM_VIDEO;
		if (id == 0x4282)
			return at(b, end, i, "matroska", 8) ? MKV_VIDEO : NULL;
		i += (size_t)size;
	}
	return NULL;
}

static bool webm_begins(const uint8_t *b, size_t n)
{
	const char *type = ebml_type(b, n);
	return type && strcmp(type, WEBM_VIDEO) == 0;
}

static bool mkv_begins(const uint8_t *b, size_t n)
{
	const char *type = ebml_type(b, n);
	return type && strcmp(type, MKV_VIDEO) == 0;
}

static sn_rc ebml_check(const uint8_t *b, size_t n, patches *hide, sn_fault *fault)
{
	(void)hide;
	uint64_t id, size;
	bool unknown;
	size_t i = 0;
	while (i < n) {
		if (!ebml_element(b, n, &i, &id, &size, &unknown))
			return early(fault);
		if (id == 0x18538067) /* the segment: a live recording's size is not known */
			return unknown || size <= n - i ? SN_RC_OK : early(fault);
		if (unknown)
			return damaged(fault);
		if (size > n - i)
			return early(fault);
		i += (size_t)size;
	}
	return early(fault);
}

/* ---- RIFF ---- */

static bool avi_begins(const uint8_t *b, size_t n) { return at(b, n, 0, "RIFF", 4) && at(b, n, 8, "AVI ", 4); }
static bool webp_begins(const uint8_t *b, size_t n) { return at(b, n, 0, "RIFF", 4) && at(b, n, 8, "WEBP", 4); }

static sn_rc riff_check(const uint8_t *b, size_t n, patches *hide, sn_fault *fault)
{
	(void)hide;
	if (n < 12 || u32_le(b + 4) < 4 || u32_le(b + 4) > n - 8)
		return early(fault);
	return SN_RC_OK;
}

/* ---- GIF: its blocks to the trailer ---- */

static bool gif_begins(const uint8_t *b, size_t n) { return at(b, n, 0, "GIF87a", 6) || at(b, n, 0, "GIF89a", 6); }

static size_t gif_palette(uint8_t flags) { return flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0; }

static bool gif_blocks(const uint8_t *b, size_t n, size_t *i)
{
	while (*i < n && b[*i])
		*i += 1 + (size_t)b[*i];
	return ++*i <= n;
}

static sn_rc gif_check(const uint8_t *b, size_t n, patches *hide, sn_fault *fault)
{
	(void)hide;
	bool picture = false;
	if (n < 13)
		return early(fault);
	for (size_t i = 13 + gif_palette(b[10]); i < n;) {
		uint8_t kind = b[i++];
		if (kind == 0x3B)
			return picture ? SN_RC_OK : kit_fail(fault, SN_RC_INVALID, "the file has no pictures");
		if (kind != 0x21 && kind != 0x2C)
			return damaged(fault);
		picture |= kind == 0x2C;
		if (kind == 0x2C && n - i < 10)
			return early(fault);
		i += kind == 0x21 ? 1 : 9 + gif_palette(b[i + 8]) + 1;
		if (i > n || !gif_blocks(b, n, &i))
			return early(fault);
	}
	return early(fault);
}

/* ---- APNG: its chunks to the last ---- */

/* A picture that moves says so at its beginning; all others are left to codecs for pictures. */
static bool apng_begins(const uint8_t *b, size_t n)
{
	bool moves = false;
	if (!at(b, n, 0, "\x89PNG\r\n\x1a\n", 8))
		return false;
	for (size_t i = 8; !moves && i < n && n - i >= 8; i += 12 + (size_t)u32_be(b + i))
		moves = at(b, n, i + 4, "acTL", 4);
	return moves;
}

static sn_rc apng_check(const uint8_t *b, size_t n, patches *hide, sn_fault *fault)
{
	(void)hide;
	for (size_t i = 8; n - i >= 12;) {
		uint32_t size = u32_be(b + i);
		if (size > n - i - 12)
			return early(fault);
		if (memcmp(b + i + 4, "IEND", 4) == 0)
			return SN_RC_OK;
		i += 12 + (size_t)size;
	}
	return early(fault);
}

/* ---- MPEG transport stream ---- */

/* Of the first packet alone: its header makes sense, and it is one that streams begin with, or at least not text. */
static bool ts_begins(const uint8_t *b, size_t n)
{
	if (n < 64 || b[0] != TS_SYNC || b[1] & 0x80 || b[3] & 0xC0 || !(b[3] & 0x30))
		return false;
	uint32_t pid = (uint32_t)(b[1] & 0x1F) << 8 | b[2];
	bool text = true;
	for (size_t i = 1; i < 64; i++)
		text &= b[i] >= 9 && b[i] < 0x7F;
	return pid <= 0x14 || pid == 0x1FFF || !text;
}

static sn_rc ts_check(const uint8_t *b, size_t n, patches *hide, sn_fault *fault)
{
	(void)hide;
	for (size_t i = 0; i < n && i < 64 * TS_PACKET; i += TS_PACKET)
		if (b[i] != TS_SYNC)
			return damaged(fault);
	return n < TS_PACKET ? early(fault) : SN_RC_OK;
}

/* ---- ADTS ---- */

static size_t adts_frame(const uint8_t *b, size_t n)
{
	if (n < ADTS_HEADER || b[0] != 0xFF || (b[1] & 0xF6) != 0xF0 || (b[2] >> 2 & 15) > 12)
		return 0;
	size_t size = (size_t)(b[3] & 3) << 11 | (size_t)b[4] << 3 | b[5] >> 5;
	return size >= ADTS_HEADER + (b[1] & 1 ? 0 : 2) ? size : 0;
}

static bool adts_begins(const uint8_t *b, size_t n) { return adts_frame(b, n) != 0; }

static sn_rc adts_check(const uint8_t *b, size_t n, patches *hide, sn_fault *fault)
{
	(void)hide;
	for (size_t i = 0, size; i < n; i += size) {
		size = adts_frame(b + i, n - i);
		if (!size)
			return (n - i == ID3V1 && at(b, n, i, "TAG", 3)) ? SN_RC_OK : n - i < ADTS_HEADER ? early(fault) : damaged(fault);
		if (size > n - i)
			return early(fault);
	}
	return SN_RC_OK;
}

/* ---- all ---- */

static const container CONTAINERS[] = {
    {MP4_VIDEO, "audio/mp4", "mov", mp4_begins, mp4_check},
    {MOV_VIDEO, "audio/mp4", "mov", qt_begins, mp4_check},
    {WEBM_VIDEO, "audio/webm", "matroska", webm_begins, ebml_check},
    {MKV_VIDEO, "audio/x-matroska", "matroska", mkv_begins, ebml_check},
    {AVI_VIDEO, "audio/x-msvideo", "avi", avi_begins, riff_check},
    {GIF_VIDEO, NULL, "gif", gif_begins, gif_check},
    {APNG_VIDEO, NULL, "apng", apng_begins, apng_check},
    {WEBP_VIDEO, NULL, NULL, webp_begins, riff_check},
    {NULL, "audio/aac", "aac", adts_begins, adts_check},
    {TS_VIDEO, "audio/mp2t", "mpegts", ts_begins, ts_check}, /* last: it has the least to go by */
};

const container *container_find(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < sizeof CONTAINERS / sizeof *CONTAINERS; i++)
		if (CONTAINERS[i].begins(bytes, n < 64 ? n : 64))
			return &CONTAINERS[i];
	return NULL;
}
