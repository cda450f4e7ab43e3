/* ogg.c - Ogg pages, and what the pages of a Vorbis or Opus stream say.
 *
 * One logical stream a file. Every page's CRC, number and flags are checked from the first to the last; Opus packets tell their
 * own length, so that positions are checked as well: libsndfile believes them. */
#include <sndfile.h>
#include <string.h>

#include "codec.h"

enum { PAGE_HEADER = 27, CONTINUED = 1, FIRST = 2, LAST = 4, OPUS_RATE = 48000, OPUS_MAX_PACKET = 5760, VORBIS_IDENT = 30 };
enum { MAX_SETUP = 1 << 20 }; /* bytes of a Vorbis setup packet; encoders write a few thousand */

/* What libvorbis may take for codebooks. */
#define VORBIS_WORK_CAP ((uint64_t)64 << 20)

static const char *const EARLY = "the Ogg file ends early", *const DAMAGED = "the Ogg file is damaged";

/* ---- pages ---- */

void ogg_crc_init(ogg_crc *crc)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i << 24;
		for (int k = 0; k < 8; k++)
			v = v << 1 ^ (v & 0x80000000u ? 0x04C11DB7u : 0);
		crc->table[i] = v;
	}
}

uint32_t ogg_crc_of(const ogg_crc *crc, const uint8_t *page, size_t n)
{
	uint32_t v = 0;
	for (size_t i = 0; i < n; i++)
		v = v << 8 ^ crc->table[v >> 24 ^ (i >= 22 && i < 26 ? 0 : page[i])];
	return v;
}

static bool page_begins(const uint8_t *p, size_t n) { return n >= PAGE_HEADER && memcmp(p, "OggS", 4) == 0 && p[4] == 0; }

bool ogg_page_whole(const uint8_t *p, size_t n)
{
	size_t size = PAGE_HEADER;
	if (n < PAGE_HEADER || n - PAGE_HEADER < p[26])
		return false;
	for (uint32_t i = 0; i < p[26]; i++)
		size += 1u + p[PAGE_HEADER + i];
	return n >= size;
}

bool ogg_page_read(const ogg_crc *crc, const uint8_t *p, size_t n, ogg_page *page)
{
	if (!page_begins(p, n) || n - PAGE_HEADER < p[26])
		return false;
	*page = (ogg_page){.continued = p[5] & CONTINUED, .first = p[5] & FIRST, .last = p[5] & LAST, .granule = u64_le(p + 6),
	                   .serial = u32_le(p + 14), .sequence = u32_le(p + 18), .n_lacing = p[26]};
	page->lacing = (uint8_t *)p + PAGE_HEADER;
	page->body = page->lacing + page->n_lacing;
	for (uint32_t i = 0; i < page->n_lacing; i++)
		page->n_body += page->lacing[i];
	page->size = PAGE_HEADER + page->n_lacing + page->n_body;
	return page->size <= n && ogg_crc_of(crc, p, page->size) == u32_le(p + 22);
}

/* ---- streams ---- */

typedef enum codec_of { NEITHER, VORBIS, OPUS } codec_of;

static codec_of ident(const uint8_t *p, size_t n)
{
	if (n >= 7 && memcmp(p, "\1vorbis", 7) == 0)
		return VORBIS;
	return n >= 8 && memcmp(p, "OpusHead", 8) == 0 ? OPUS : NEITHER;
}

bool ogg_begins(const uint8_t *b, size_t n)
{
	return page_begins(b, n) && b[5] & FIRST && n > PAGE_HEADER + (size_t)b[26] &&
	       ident(b + PAGE_HEADER + b[26], n - PAGE_HEADER - b[26]) != NEITHER;
}

/* Samples at 48 kHz of an Opus packet whose first two bytes are known (RFC 6716, 3.1); 0: it is damaged. */
static uint32_t opus_samples(const uint8_t head[2], size_t size)
{
	static const uint16_t silk[] = {480, 960, 1920, 2880}, celt[] = {120, 240, 480, 960};
	if (size < 1)
		return 0;
	uint32_t config = head[0] >> 3, code = head[0] & 3;
	uint32_t frame = config < 12 ? silk[config & 3] : config < 16 ? (config & 1 ? 960 : 480) : celt[config & 3];
	uint32_t count = code == 0 ? 1 : code < 3 ? 2 : size < 2 ? 0 : head[1] & 63;
	return frame * count <= OPUS_MAX_PACKET ? frame * count : 0;
}

/* The walk over all pages of a file. */
typedef struct walk {
	const audio_input *in;
	audio_header *h;
	codec_of codec;
	uint32_t serial, sequence;
	uint64_t n_packets;       /* complete ones */
	size_t packet;            /* bytes so far of the one that is being put together */
	uint8_t head[2];          /* its first */
	uint64_t samples;         /* Opus: of all packets so far */
	uint64_t granule;         /* of the last page on which a packet ended */
	uint32_t preskip;
	uint8_t *setup;           /* Vorbis: the third packet, [n_setup] */
	size_t n_setup;
	bool ended;
} walk;

static sn_rc read_vorbis(walk *w, const uint8_t *p, size_t n)
{
	if (n != VORBIS_IDENT || u32_le(p + 7) != 0 || !(p[29] & 1))
		return kit_fail(w->in->fault, SN_RC_INVALID, DAMAGED);
	w->h->channels = p[11];
	w->h->rate = u32_le(p + 12);
	w->h->format = SF_FORMAT_OGG | SF_FORMAT_VORBIS;
	w->h->library_counts = true;
	return SN_RC_OK;
}

static sn_rc read_opus(walk *w, const uint8_t *p, size_t n)
{
	if (n < 19 || p[8] > 15)
		return kit_fail(w->in->fault, n < 19 ? SN_RC_INVALID : SN_RC_UNSUPPORTED, n < 19 ? DAMAGED : "Opus of this version is not read");
	uint32_t family = p[18];
	if (family > 1)
		return kit_fail(w->in->fault, SN_RC_UNSUPPORTED, "Opus with this arrangement of channels is not read");
	if (n != (family ? 21u + p[9] : 19u) || p[9] == 0 || p[9] > (family ? 8 : 2))
		return kit_fail(w->in->fault, SN_RC_INVALID, DAMAGED);
	w->h->channels = p[9];
	w->h->rate = OPUS_RATE;
	w->h->format = SF_FORMAT_OGG | SF_FORMAT_OPUS;
	w->preskip = u16_le(p + 10);
	return SN_RC_OK;
}

/* A piece of a packet; ends: its last. */
static sn_rc take(walk *w, const uint8_t *p, size_t n, bool ends)
{
	for (size_t i = 0; i < n && w->packet + i < 2; i++)
		w->head[w->packet + i] = p[i];
	if (w->codec == VORBIS && w->n_packets == 2) {
		if (n > MAX_SETUP - w->n_setup)
			return kit_fail(w->in->fault, SN_RC_TOO_LARGE, "the Vorbis stream's setup is larger than allowed");
		memcpy(w->setup + w->n_setup, p, n);
		w->n_setup += n;
	}
	w->packet += n;
	if (!ends)
		return SN_RC_OK;
	if (w->codec == OPUS && w->n_packets >= 2) {
		uint32_t samples = opus_samples(w->head, w->packet);
		if (!samples)
			return kit_fail(w->in->fault, SN_RC_INVALID, DAMAGED);
		w->samples += samples;
	}
	if (w->codec == VORBIS && w->n_packets == 2) {
		uint64_t bytes;
		if (!vorbis_setup_bytes(w->setup, w->n_setup, &bytes))
			return kit_fail(w->in->fault, SN_RC_INVALID, DAMAGED);
		if (bytes > VORBIS_WORK_CAP)
			return kit_fail(w->in->fault, SN_RC_TOO_LARGE, "the Vorbis stream needs more memory to decode than allowed");
	}
	w->n_packets++;
	w->packet = 0;
	return SN_RC_OK;
}

/* Positions of Opus pages: what their packets add up to; less on the last one, which so cuts the end off. */
static bool position_fits(walk *w, const ogg_page *page, bool packet_ended, uint64_t before)
{
	if (!packet_ended) /* no position, or no progress */
		return page->granule == UINT64_MAX || page->granule == w->granule;
	bool fits = true;
	if (w->codec == OPUS && w->n_packets > 2)
		fits = page->granule == w->samples || (page->last && page->granule < w->samples && page->granule >= before);
	else if (w->codec == VORBIS && w->n_packets > 3)
		fits = page->granule >= w->granule && page->granule <= INT64_MAX;
	w->granule = page->granule;
	return fits;
}

static sn_rc take_page(walk *w, const ogg_page *page)
{
	uint64_t before = w->samples, packets = w->n_packets;
	const uint8_t *at = page->body;
	if (page->first != (w->sequence == 0) || page->serial != w->serial)
		return kit_fail(w->in->fault, SN_RC_UNSUPPORTED, "of Ogg files only those with one stream are read");
	if (page->sequence != w->sequence++ || page->continued != (w->packet > 0))
		return kit_fail(w->in->fault, SN_RC_INVALID, DAMAGED);
	for (uint32_t i = 0; i < page->n_lacing;) {
		size_t n = 0;
		bool ends = false;
		while (i < page->n_lacing && !ends) {
			ends = page->lacing[i] < 255;
			n += page->lacing[i++];
		}
		sn_rc rc = take(w, at, n, ends);
		if (rc != SN_RC_OK)
			return rc;
		at += n;
	}
	/* The first packet has its page to itself; so have the other headers, together. */
	uint64_t headers = w->codec == OPUS ? 2 : 3;
	if ((packets == 0 && (w->n_packets != 1 || w->packet)) || (packets < headers && w->n_packets + (w->packet > 0) > headers))
		return kit_fail(w->in->fault, SN_RC_INVALID, DAMAGED);
	if (!position_fits(w, page, w->n_packets > packets, before))
		return kit_fail(w->in->fault, SN_RC_INVALID, "the Ogg file's positions are not those of its sound");
	w->ended = page->last;
	return SN_RC_OK;
}

static sn_rc begin(walk *w, const ogg_page *page)
{
	w->serial = page->serial;
	w->codec = ident(page->body, page->n_body);
	if (w->codec == VORBIS)
		return read_vorbis(w, page->body, page->n_body);
	if (w->codec == OPUS)
		return read_opus(w, page->body, page->n_body);
	return kit_fail(w->in->fault, SN_RC_UNSUPPORTED, "of Ogg files only Vorbis and Opus are read");
}

static sn_rc walk_pages(walk *w)
{
	ogg_crc crc;
	ogg_page page;
	ogg_crc_init(&crc);
	for (size_t at = 0; at < w->in->n; at += page.size) {
		const uint8_t *p = w->in->bytes + at;
		if (!ogg_page_read(&crc, p, w->in->n - at, &page)) {
			size_t left = w->in->n - at;
			bool cut = left < PAGE_HEADER || (page_begins(p, left) && (left - PAGE_HEADER < p[26] || page.size > left));
			return kit_fail(w->in->fault, SN_RC_INVALID, cut ? EARLY : DAMAGED);
		}
		if (w->ended)
			return kit_fail(w->in->fault, SN_RC_UNSUPPORTED, "of Ogg files only those with one stream are read");
		sn_rc rc = at == 0 ? begin(w, &page) : SN_RC_OK;
		if (rc == SN_RC_OK)
			rc = take_page(w, &page);
		if (rc != SN_RC_OK)
			return rc;
	}
	if (!w->ended || w->packet)
		return kit_fail(w->in->fault, SN_RC_INVALID, EARLY);
	return SN_RC_OK;
}

sn_rc ogg_measure(const audio_input *in, audio_header *h)
{
	walk w = {.in = in, .h = h};
	w.setup = kit_alloc(in->host, MAX_SETUP);
	if (!w.setup)
		return kit_fail(in->fault, SN_RC_NOMEM, "no memory to read the Ogg file's header");
	sn_rc rc = walk_pages(&w);
	kit_free(in->host, w.setup);
	if (rc != SN_RC_OK)
		return rc;
	uint64_t begins = w.codec == OPUS ? w.preskip : 0;
	if (w.n_packets < (w.codec == OPUS ? 3 : 4) || w.granule <= begins)
		return kit_fail(in->fault, SN_RC_INVALID, "the Ogg file has no sound");
	h->n = in->n;
	h->frames = w.granule - begins;
	return SN_RC_OK;
}
