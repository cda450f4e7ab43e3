/* writer.c - see writer.h. WAV, FLAC and PCM have 16 bits: x becomes round(32768 x), clipped, so that what was read from 16 bits is
 * written as it was. Opus and MP3 know some rates only; other sound is resampled to the next higher one. Their quality goes from
 * the lowest bit rate (1) to the highest (100); the default is what speech needs. FLAC loses its comments and Opus its
 * random serial number, so that the same sound gives the same bytes; MP3 keeps the four letters by which decoders know the
 * encoder's delay, and LAME's filling.
 *
 * libsndfile writes every header first, and over it again when it closes the file. Of a file that comes bit by bit the first
 * one counts: FLAC's then has no length and no sum, as an encoder writes it into a pipe; in place of MP3's, which is empty, an Info
 * frame is put that tells LAME's delay and nothing else. */
#include "writer.h"

#include <math.h>
#include <string.h>

enum { FLAC_HEAD = 42, MP3_HEADER = 4, MP3_SIDE_MPEG1 = 21, MP3_SIDE_MPEG2 = 13, LAME_DELAY = 576, INFO_BYTES = 8 + 24 };

static const uint32_t OPUS_RATES[] = {8000, 12000, 16000, 24000, 48000, 0};
static const uint32_t MP3_RATES[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 0};

/* ---- bounds: n samples at the file's rate ---- */

static uint64_t pcm_bound(uint64_t n, uint32_t rate) { return (void)rate, n * 2; }
static uint64_t wav_bound(uint64_t n, uint32_t rate) { return (void)rate, WAV_HEADER + n * 2; }

/* No frame is larger than its samples as they are and 32 bytes; there are at least 192 samples in all frames but the last. */
static uint64_t flac_bound(uint64_t n, uint32_t rate) { return (void)rate, n * 2 + (n / 192 + 1) * 32 + 65536; }

/* Packets of 20 ms, each at most 1,275 bytes and on a page of its own. Two more come out of the encoder's delay, and the last is shortened. */
static uint64_t opus_bound(uint64_t n, uint32_t rate) { return (n / (rate / 50) + 4) * (1275 + 6 + 27) + 4096; }

/* Frames of at most 1,441 bytes for 1,152 samples, or half of both. */
static uint64_t mp3_bound(uint64_t n, uint32_t rate) { return (void)rate, (n / 576 + 8) * 721 + 16384; }

/* ---- the sink ---- */

static bool sink_reserve(sink *s, uint64_t end)
{
	if (end <= s->start || end - s->start <= s->capacity)
		return true;
	if (!s->grows)
		return !(s->full = true);
	size_t want = s->capacity ? s->capacity : 16384;
	while (want < end - s->start && want <= SIZE_MAX / 4)
		want *= 2;
	uint8_t *more = want < end - s->start ? NULL : kit_alloc(s->grows, want);
	if (!more)
		return !(s->full = s->starved = true);
	if (s->out)
		memcpy(more, s->out, sink_held(s));
	kit_free(s->grows, s->out);
	s->out = more;
	s->capacity = want;
	return true;
}

void sink_write(sink *s, const void *p, size_t n)
{
	size_t lost = s->at < s->start ? (size_t)(s->start - s->at) : 0; /* of something that is gone */
	lost = lost < n ? lost : n;
	if (s->full || n == 0 || !sink_reserve(s, s->at + n))
		return;
	if (lost < n)
		memcpy(s->out + (s->at + lost - s->start), (const uint8_t *)p + lost, n - lost);
	s->at += n;
	s->n = s->n > s->at ? s->n : s->at;
}

void sink_drop(sink *s, size_t n)
{
	if (n == 0)
		return;
	memmove(s->out, s->out + n, sink_held(s) - n);
	s->start += n;
}

void sink_fini(sink *s)
{
	kit_free(s->grows, s->out);
	*s = (sink){.grows = s->grows};
}

/* ---- libsndfile's side ---- */

static sf_count_t length(void *user) { return (sf_count_t)((const sink *)user)->n; }
static sf_count_t tell(void *user) { return (sf_count_t)((const sink *)user)->at; }

static sf_count_t seek(sf_count_t offset, int whence, void *user)
{
	sink *s = user;
	sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (sf_count_t)s->at : (sf_count_t)s->n;
	if (offset < -base || offset > (sf_count_t)s->n - base)
		return -1;
	s->at = (uint64_t)(base + offset);
	return (sf_count_t)s->at;
}

static sf_count_t read_bytes(void *p, sf_count_t count, void *user)
{
	sink *s = user;
	size_t n = count > 0 && s->at >= s->start ? (size_t)count : 0;
	n = n < s->n - s->at ? n : (size_t)(s->n - s->at);
	memcpy(p, s->out + (s->at - s->start), n);
	s->at += n;
	return (sf_count_t)n;
}

static sf_count_t write_bytes(const void *p, sf_count_t count, void *user)
{
	sink *s = user;
	sink_write(s, p, count > 0 ? (size_t)count : 0);
	return s->full ? 0 : count;
}

/* ---- what is done to finished files, and to parts of them ---- */

/* The size of "fLaC" and all metadata; 0: not all of it is there, or it does not begin with STREAMINFO (*wrong). */
static size_t flac_metadata(const uint8_t *b, size_t n, bool *wrong)
{
	size_t at = 4;
	*wrong = n >= FLAC_HEAD && (memcmp(b, "fLaC", 4) != 0 || (b[4] & 0x7F) != 0);
	for (bool last = n < FLAC_HEAD || *wrong; !last;) {
		if (n - at < 4)
			return 0;
		last = b[at] & 0x80;
		size_t size = u32_be(b + at) & 0xFFFFFF;
		if (size > n - at - 4)
			return 0;
		at += 4 + size;
	}
	return n < FLAC_HEAD || *wrong ? 0 : at;
}

/* fLaC, STREAMINFO as the only metadata, frames. */
static bool flac_touch(sink *s)
{
	bool wrong;
	size_t head = flac_metadata(s->out, sink_held(s), &wrong);
	if (!head)
		return false;
	s->out[4] |= 0x80;
	memmove(s->out + FLAC_HEAD, s->out + head, sink_held(s) - head);
	s->n -= head - FLAC_HEAD;
	return true;
}

static bool settle_all(sink *raw, sink *ready)
{
	sink_write(ready, raw->out, sink_held(raw));
	sink_drop(raw, sink_held(raw));
	return true;
}

static bool flac_settle(sink *raw, sink *ready, uint32_t *step)
{
	bool wrong = false;
	size_t head = *step ? 0 : flac_metadata(raw->out, sink_held(raw), &wrong);
	if (head) {
		raw->out[4] |= 0x80;
		sink_write(ready, raw->out, FLAC_HEAD);
		sink_drop(raw, head);
		*step = 1;
	}
	return *step ? settle_all(raw, ready) : !wrong;
}

static bool opus_touch(sink *s)
{
	uint32_t step = 0;
	size_t from = 0, to = 0, taken, made;
	while (from < sink_held(s)) {
		if (!ogg_make_constant(s->out + from, sink_held(s) - from, &step, &taken, &made) || !taken)
			return false;
		memmove(s->out + to, s->out + from, made);
		from += taken;
		to += made;
	}
	s->n = s->start + to;
	return ogg_is_constant(step);
}

static bool opus_settle(sink *raw, sink *ready, uint32_t *step)
{
	size_t taken, made;
	while (sink_held(raw)) {
		if (!ogg_make_constant(raw->out, sink_held(raw), step, &taken, &made))
			return false;
		if (!taken)
			break;
		sink_write(ready, raw->out, made);
		sink_drop(raw, taken);
	}
	return true;
}

/* The frame of LAME's own header is empty until the file is closed, when nobody can change it any more. */
static bool mp3_settle(sink *raw, sink *ready, uint32_t *step)
{
	static const char version[9] = "LAME";
	if (!*step) {
		if (sink_held(raw) < MP3_HEADER)
			return true;
		size_t size = mp3_frame_bytes(raw->out, sink_held(raw)), side = (raw->out[1] >> 3 & 3) == 3 ? MP3_SIDE_MPEG1 : MP3_SIDE_MPEG2; /* mono */
		if (size && sink_held(raw) < size)
			return true;
		for (size_t i = MP3_HEADER; i < size; i++)
			if (raw->out[i])
				return false;
		if (size < side + INFO_BYTES)
			return false;
		uint8_t *tag = raw->out + side;
		memcpy(tag, "Info", 4);
		memcpy(tag + 8, version, sizeof version);
		tag[8 + 21] = LAME_DELAY >> 4;
		tag[8 + 22] = LAME_DELAY << 4 & 0xFF;
		*step = 1;
	}
	return settle_all(raw, ready);
}

static const writer WRITERS[] = {
    {WAV_TYPE, 0, 0, NULL, wav_bound, NULL, NULL},
    {FLAC_TYPE, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 0, NULL, flac_bound, flac_touch, flac_settle},
    {OGG_TYPE, SF_FORMAT_OGG | SF_FORMAT_OPUS, 25, OPUS_RATES, opus_bound, opus_touch, opus_settle},
    {MP3_TYPE, SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III, 33, MP3_RATES, mp3_bound, NULL, mp3_settle},
    {PCM_TYPE, 0, 0, NULL, pcm_bound, NULL, NULL},
};

const writer *writer_find(const char *type)
{
	for (size_t i = 0; type && i < sizeof WRITERS / sizeof *WRITERS; i++)
		if (strcmp(WRITERS[i].type, type) == 0)
			return &WRITERS[i];
	return NULL;
}

uint32_t writer_rate(const writer *w, uint32_t rate)
{
	const uint32_t *r = w->rates;
	if (!r)
		return rate;
	while (*r < rate && r[1])
		r++;
	return *r;
}

/* ---- samples ---- */

int16_t sample_to_16(float x)
{
	float v = rintf(x * 32768);
	return v > 32767 ? 32767 : v < -32768 ? -32768 : (int16_t)v;
}

bool samples_finite(const float *x, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (!isfinite(x[i]))
			return false;
	return true;
}

void sink_write_16(sink *s, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint16_t v = (uint16_t)sample_to_16(x[i]);
		sink_write(s, (uint8_t[]){(uint8_t)v, (uint8_t)(v >> 8)}, 2);
	}
}

void sink_write_wav_header(sink *s, uint32_t rate, uint32_t bytes)
{
	uint8_t h[WAV_HEADER] = "RIFF....WAVEfmt \20\0\0\0\1\0\1\0........\2\0\20\0data";
	const uint32_t riff = bytes == UINT32_MAX ? bytes : bytes + WAV_HEADER - 8;
	const struct { size_t at; uint32_t v; } words[] = {{4, riff}, {24, rate}, {28, rate * 2}, {40, bytes}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		for (int k = 0; k < 4; k++)
			h[words[i].at + (size_t)k] = (uint8_t)(words[i].v >> 8 * k);
	sink_write(s, h, sizeof h);
}

bool writer_block_room(uint32_t rate, uint32_t file_rate, size_t *cap)
{
	uint64_t n;
	/* A block may come out with what the resampler held back of the one before: 64 Ki samples are more than it ever does. */
	if (!sn_resample_count(WRITE_BLOCK, rate, file_rate, &n) || (n += 65536) > SIZE_MAX / 8)
		return false;
	*cap = (size_t)n;
	return true;
}

bool writer_feed(const writer *w, SNDFILE *file, const float *x, size_t n, int16_t *ints)
{
	if (w->format != (SF_FORMAT_FLAC | SF_FORMAT_PCM_16))
		return sf_writef_float(file, x, (sf_count_t)n) == (sf_count_t)n;
	for (size_t i = 0; i < n; i++)
		ints[i] = sample_to_16(x[i]);
	return sf_writef_short(file, ints, (sf_count_t)n) == (sf_count_t)n;
}

/* ---- opening ---- */

/* libsndfile's level for an MP3: the way down from its highest to its lowest bit rate. Not so far that a frame cannot hold LAME's
 * Info tag any more: without it nobody would know how much silence the encoder put before and behind the sound. */
static double mp3_level(uint32_t rate, double quality)
{
	double most = rate >= 32000 ? 320 : rate >= 16000 ? 160 : 64, least = rate >= 32000 ? 32 : 8;
	double info = rate >= 32000 ? 177.0 * rate / 144000 : 169.0 * rate / 72000; /* kbit/s of a frame that holds the tag */
	double kbps = least + (most - least) * quality;
	info = ceil(info / 8) * 8 + 0.25; /* bit rates this low are multiples of 8; libsndfile cuts the fraction off */
	kbps = kbps < info ? info : kbps;
	return (most - kbps) / (most - least);
}

static bool set_quality(const writer *w, SNDFILE *file, uint32_t rate, uint32_t asked)
{
	double quality = (double)(asked ? asked : w->default_quality) / MAX_QUALITY;
	bool mp3 = (w->format & SF_FORMAT_TYPEMASK) == SF_FORMAT_MPEG;
	double level = mp3 ? mp3_level(rate, quality) : 1 - quality;
	int mode = SF_BITRATE_MODE_CONSTANT;
	if (!w->default_quality)
		return true;
	if (sf_command(file, SFC_SET_COMPRESSION_LEVEL, &level, sizeof level) != SF_TRUE)
		return false;
	/* The level first: the mode is refused without one. */
	return !mp3 || sf_command(file, SFC_SET_BITRATE_MODE, &mode, sizeof mode) == SF_TRUE;
}

SNDFILE *writer_open(const writer *w, sink *s, uint32_t rate, uint32_t quality)
{
	SF_INFO info = {.samplerate = (int)rate, .channels = 1, .format = w->format};
	SF_VIRTUAL_IO io = {length, seek, read_bytes, write_bytes, tell};
	SNDFILE *file = sf_open_virtual(&io, SFM_WRITE, &info, s);
	if (file && !set_quality(w, file, rate, quality)) {
		sf_close(file);
		file = NULL;
	}
	return file;
}
