/* mp3.c - the frames of an MP3 file, counted one by one, and decoded by libmpg123.
 *
 * libsndfile decodes MP3 with libmpg123 as well, but lets it write to stderr about every damaged frame of a client's, and takes
 * its guess at a length for the truth. Here it gets one frame after the other, and nothing else of the file. What is damaged inside
 * a frame it makes silence of. */
#include <mpg123.h>
#include <sndfile.h>
#include <string.h>

#include "codec.h"

enum { ID3_HEADER = 10, FRAME_HEADER = 4, DECODER_DELAY = 529 };

static const char *const EARLY = "the MP3 file ends early", *const DAMAGED = "the MP3 file is damaged";

typedef struct frame {
	uint32_t version;  /* 0: MPEG 1, 1: MPEG 2, 2: MPEG 2.5 */
	uint32_t rate, channels, samples;
	size_t bytes, side; /* side: from the frame's begin to what a decoder would read after the side information */
} frame;

static bool frame_read(const uint8_t *p, size_t n, frame *f)
{
	static const uint16_t kbps[2][15] = {{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	                                     {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}};
	static const uint32_t rates[3] = {44100, 48000, 32000};
	if (n < FRAME_HEADER || p[0] != 0xFF || (p[1] & 0xE0) != 0xE0)
		return false;
	uint32_t version = p[1] >> 3 & 3, layer = p[1] >> 1 & 3, bitrate = p[2] >> 4, rate = p[2] >> 2 & 3;
	if (version == 1 || layer != 1 || bitrate == 0 || bitrate == 15 || rate == 3)
		return false;
	f->version = version == 3 ? 0 : version == 2 ? 1 : 2;
	f->rate = rates[rate] >> f->version;
	f->channels = p[3] >> 6 == 3 ? 1 : 2;
	f->samples = f->version ? 576 : 1152;
	f->bytes = (f->version ? 72000u : 144000u) * kbps[f->version != 0][bitrate] / f->rate + (p[2] >> 1 & 1);
	f->side = FRAME_HEADER + (f->version ? (f->channels == 1 ? 9 : 17) : (f->channels == 1 ? 17 : 32));
	return true;
}

size_t mp3_frame_bytes(const uint8_t *p, size_t n)
{
	frame f;
	return frame_read(p, n, &f) ? f.bytes : 0;
}

static bool same_stream(const frame *a, const frame *b)
{
	return a->version == b->version && a->rate == b->rate && a->channels == b->channels;
}

/* The size of an ID3v2 tag at p; 0: there is none. */
static size_t id3_size(const uint8_t *p, size_t n)
{
	if (n < ID3_HEADER || memcmp(p, "ID3", 3) != 0 || p[3] == 0xFF || p[4] == 0xFF || (p[6] | p[7] | p[8] | p[9]) & 0x80)
		return 0;
	size_t size = (size_t)p[6] << 21 | (size_t)p[7] << 14 | (size_t)p[8] << 7 | p[9];
	return ID3_HEADER + size + (p[5] & 0x10 ? ID3_HEADER : 0);
}

/* Is what is left behind the last frame nothing but tags, or zeros? */
static bool trailer(const uint8_t *p, size_t n)
{
	if ((n >= 3 && memcmp(p, "TAG", 3) == 0) || (n >= 8 && memcmp(p, "APETAGEX", 8) == 0) || (n >= 11 && memcmp(p, "LYRICSBEGIN", 11) == 0))
		return true;
	while (n && !*p)
		p++, n--;
	return n == 0;
}

bool mp3_begins(const uint8_t *b, size_t n)
{
	frame f;
	return (n >= ID3_HEADER && id3_size(b, n) > 0) || frame_read(b, n, &f);
}

/* What an Info, Xing or VBRI frame tells. */
typedef struct info {
	bool found;
	uint64_t frames, bytes; /* 0: not told */
	uint32_t delay, padding;
	bool gapless;
} info;

static info info_read(const uint8_t *p, const frame *f)
{
	info i = {0};
	const uint8_t *tag = p + f->side, *end = p + f->bytes;
	const uint8_t *vbri = p + FRAME_HEADER + 32;
	if ((size_t)(end - p) >= f->side + 8 && (memcmp(tag, "Info", 4) == 0 || memcmp(tag, "Xing", 4) == 0)) {
		uint32_t flags = u32_be(tag + 4);
		i.found = true;
		tag += 8;
		if (flags & 1 && end - tag >= 4)
			i.frames = u32_be(tag);
		tag += flags & 1 ? 4 : 0;
		if (flags & 2 && end - tag >= 4)
			i.bytes = u32_be(tag);
		tag += (flags & 2 ? 4 : 0) + (flags & 4 ? 100 : 0) + (flags & 8 ? 4 : 0);
		if (end - tag >= 24 && (memcmp(tag, "LAME", 4) == 0 || memcmp(tag, "Lavf", 4) == 0 || memcmp(tag, "Lavc", 4) == 0)) {
			i.gapless = true;
			i.delay = (uint32_t)tag[21] << 4 | tag[22] >> 4;
			i.padding = (tag[22] & 15u) << 8 | tag[23];
		}
	} else if (end - vbri >= 18 && memcmp(vbri, "VBRI", 4) == 0) {
		i.found = true;
		i.frames = u32_be(vbri + 14);
	}
	return i;
}

static sn_rc cut_gaps(const audio_input *in, audio_header *h, const info *i, uint64_t n_frames, uint32_t samples)
{
	uint64_t total = n_frames * samples, begin = 0, end = total;
	if (i->gapless) {
		begin = i->delay + DECODER_DELAY;
		if (i->frames == n_frames && i->padding > DECODER_DELAY)
			end = total - (i->padding - DECODER_DELAY < total ? i->padding - DECODER_DELAY : total);
	}
	if (begin >= end)
		return kit_fail(in->fault, SN_RC_INVALID, "the MP3 file has no sound");
	h->skip = begin;
	h->frames = end - begin;
	return SN_RC_OK;
}

/* Frames from *at on, with tags between them, to what follows the last one. */
static sn_rc count_frames(const audio_input *in, const frame *first, size_t *at, uint64_t *n_frames)
{
	frame f;
	for (size_t size; *at < in->n; *at += size) {
		const uint8_t *b = in->bytes + *at;
		size_t left = in->n - *at;
		if (frame_read(b, left, &f)) {
			if (!same_stream(&f, first))
				return kit_fail(in->fault, SN_RC_UNSUPPORTED, "the MP3 file changes its rate or channels");
			size = f.bytes;
			++*n_frames;
		} else if (!(size = id3_size(b, left))) {
			if (trailer(b, left))
				break;
			return kit_fail(in->fault, SN_RC_INVALID, left < FRAME_HEADER ? EARLY : DAMAGED);
		}
		if (size > left)
			return kit_fail(in->fault, SN_RC_INVALID, EARLY);
	}
	return SN_RC_OK;
}

sn_rc mp3_measure(const audio_input *in, audio_header *h)
{
	const uint8_t *b = in->bytes;
	size_t at = 0, n = in->n, size;
	uint64_t n_frames = 0;
	frame first;
	info i = {0};
	while ((size = id3_size(b + at, n - at))) {
		if (size > n - at)
			return kit_fail(in->fault, SN_RC_INVALID, EARLY);
		at += size;
	}
	while (at < n && !b[at]) /* padding behind a tag */
		at++;
	if (!frame_read(b + at, n - at, &first))
		return n - at < FRAME_HEADER ? kit_fail(in->fault, SN_RC_INVALID, EARLY)
		                             : kit_fail(in->fault, SN_RC_UNSUPPORTED, "the tag is not followed by an MPEG layer 3 frame");
	if (first.bytes > n - at)
		return kit_fail(in->fault, SN_RC_INVALID, EARLY);
	i = info_read(b + at, &first);
	size_t told = at;
	at += i.found ? first.bytes : 0;
	h->start = at;
	sn_rc rc = count_frames(in, &first, &at, &n_frames);
	if (rc != SN_RC_OK)
		return rc;
	h->n = at - h->start;
	/* Some count the frame that tells as well. */
	if (n_frames + 1 < i.frames || (n_frames + 1 == i.frames && n - told < i.bytes))
		return kit_fail(in->fault, SN_RC_INVALID, EARLY);
	h->rate = first.rate;
	h->channels = first.channels;
	h->format = SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III;
	return n_frames ? cut_gaps(in, h, &i, n_frames, first.samples) : kit_fail(in->fault, SN_RC_INVALID, EARLY);
}

/* ---- decoding ---- */

bool mp3_open(source *s)
{
	int error = MPG123_OK;
	mpg123_handle *mh = mpg123_new(NULL, &error);
	s->mp3 = mh;
	return mh && mpg123_param(mh, MPG123_REMOVE_FLAGS, MPG123_GAPLESS | MPG123_AUTO_RESAMPLE, 0) == MPG123_OK &&
	       mpg123_param(mh, MPG123_ADD_FLAGS, MPG123_QUIET | MPG123_FORCE_FLOAT | MPG123_IGNORE_INFOFRAME | MPG123_NO_READAHEAD, 0) == MPG123_OK &&
	       mpg123_param(mh, MPG123_RVA, MPG123_RVA_OFF, 0) == MPG123_OK && mpg123_format_none(mh) == MPG123_OK &&
	       mpg123_format(mh, (long)s->header->rate, (int)s->header->channels, MPG123_ENC_FLOAT_32) == MPG123_OK && mpg123_open_feed(mh) == MPG123_OK;
}

/* The next frame of the window into the decoder; the window holds nothing but frames and tags. False: there is none. */
static bool feed_frame(source *s)
{
	const uint8_t *p = s->bytes + s->header->start;
	frame f;
	while (s->at < s->header->n) {
		size_t left = s->header->n - s->at, size = id3_size(p + s->at, left);
		bool is_frame = frame_read(p + s->at, left, &f);
		if (is_frame)
			size = f.bytes;
		if (!size || size > left || (is_frame && mpg123_feed(s->mp3, p + s->at, size) != MPG123_OK))
			return false;
		s->at += size;
		if (is_frame)
			return true;
	}
	return false;
}

bool mp3_read(source *s, float *out, size_t n, size_t *got)
{
	const size_t width = s->header->channels * sizeof *out;
	*got = 0;
	while (*got < n) {
		size_t bytes = 0;
		int rc = mpg123_read(s->mp3, out + *got * s->header->channels, (n - *got) * width, &bytes);
		*got += bytes / width;
		if (rc == MPG123_NEED_MORE && !feed_frame(s))
			return true;
		if (rc != MPG123_OK && rc != MPG123_NEED_MORE && rc != MPG123_NEW_FORMAT)
			return false;
	}
	return true;
}

void mp3_close(source *s)
{
	if (s->mp3)
		mpg123_delete(s->mp3);
	s->mp3 = NULL;
}
