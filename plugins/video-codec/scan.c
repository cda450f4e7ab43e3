/* scan.c - all packets of a file, none decoded: which frames there are, when they are shown, where decoding may begin, and how long
 * the sound is.
 *
 * A frame is a packet that is shown: not one that an edit list leaves out, not a VP8 or VP9 frame that is only referred to, and not a
 * picture before the first that can be decoded alone (a recording that begins in the middle). Frames are ordered by the time at
 * which they are shown. Where packets do not tell that, or tell one time twice, the decoder's order counts and nothing is left out.
 *
 * Decoding may begin at a packet if all that is shown later can be decoded from there, to the same bytes: a key frame; of H.264 an IDR
 * picture (others may be the beginning of a gradual refresh), of HEVC a random access picture. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"

/* ---- what a packet holds ---- */

/* Does a NAL unit of which `wanted` says so stand in the packet? Units are behind start codes, or behind their sizes. */
static bool has_unit(const AVCodecParameters *par, const AVPacket *p, size_t size_at, bool (*wanted)(uint8_t first))
{
	const uint8_t *b = p->data, *end = b + p->size;
	bool sized = par->extradata_size > (int)size_at && par->extradata[0] == 1;
	size_t n_size = sized ? (par->extradata[size_at] & 3u) + 1 : 0;
	while (sized && (size_t)(end - b) > n_size) {
		uint64_t size = 0;
		for (size_t i = 0; i < n_size; i++)
			size = size << 8 | b[i];
		b += n_size;
		if (wanted(*b))
			return true;
		if (size == 0 || size >= (uint64_t)(end - b))
			break;
		b += size;
	}
	for (; !sized && end - b > 3; b++)
		if (b[0] == 0 && b[1] == 0 && b[2] == 1 && wanted(b[3]))
			return true;
	return false;
}

static bool is_idr(uint8_t first) { return (first & 31) == 5; }
static bool is_random_access(uint8_t first) { return (first >> 1 & 63) >= 16 && (first >> 1 & 63) <= 21; }

static bool is_entry(const AVCodecParameters *par, const AVPacket *p)
{
	if (!(p->flags & AV_PKT_FLAG_KEY))
		return false;
	switch (par->codec_id) {
	case AV_CODEC_ID_H264: return has_unit(par, p, 4, is_idr);
	case AV_CODEC_ID_HEVC: return has_unit(par, p, 21, is_random_access);
	case AV_CODEC_ID_VP8:
	case AV_CODEC_ID_VP9:
	case AV_CODEC_ID_AV1:
	case AV_CODEC_ID_MPEG4:
	case AV_CODEC_ID_MJPEG: return true;
	default: return false; /* GIF and APNG: a frame is drawn upon the one before */
	}
}

/* Frames that are only there to be referred to. A VP9 packet of several frames ends with an index, and shows one. */
static bool is_hidden(const AVCodecParameters *par, const AVPacket *p)
{
	uint8_t first = p->data[0], last = p->data[p->size - 1];
	if (par->codec_id == AV_CODEC_ID_VP8)
		return !(first & 0x10);
	if (par->codec_id != AV_CODEC_ID_VP9 || first >> 6 != 2 || (last & 0xE0) == 0xC0)
		return false;
	uint32_t at = (first & 0x30) == 0x30 ? 5 : 4; /* bits; the third profile has one more */
	bool existing = first >> (7 - at) & 1, shown_bit = first >> (7 - at - 2) & 1;
	return !existing && !shown_bit;
}

/* ---- sound ---- */

/* How long the packet's sound is, in samples of the track, without what the decoder leaves out, and when that begins. *skip: what it
 * still has to leave out, which may be more than one packet. */
static uint64_t sound_samples(const AVStream *st, const AVPacket *p, uint64_t *skip, double *at)
{
	size_t size = 0;
	const uint8_t *told = av_packet_get_side_data(p, AV_PKT_DATA_SKIP_SAMPLES, &size);
	const int rate = st->codecpar->sample_rate;
	int64_t n = av_get_audio_frame_duration2(st->codecpar, p->size), lasts = av_rescale_q(p->duration, st->time_base, (AVRational){1, rate});
	if (n <= 0 || (p->duration > 0 && lasts * 10 < n * 9)) /* the last one may be shorter */
		n = lasts;
	else if (lasts * 2 > n * 3) /* AAC that has twice as many as its profile says */
		n *= 2;
	n = n > 0 ? n : 0;
	bool full = told && size >= 8;
	*skip = full && u32_le(told) ? u32_le(told) : *skip;
	uint64_t front = *skip < (uint64_t)n ? *skip : (uint64_t)n, back = full ? u32_le(told + 4) : 0;
	*skip -= front;
	*at = p->pts == AV_NOPTS_VALUE ? NAN : (double)p->pts * av_q2d(st->time_base) + (double)front / rate;
	n -= (int64_t)front;
	return (uint64_t)n > back ? (uint64_t)n - back : 0;
}

/* ---- the tables ---- */

/* Room for one more of `each` bytes. */
static bool grow(const input *in, void **list, uint32_t n, uint32_t *cap, size_t each)
{
	if (n < *cap)
		return true;
	uint32_t want = *cap ? *cap * 2 : 256;
	void *more = kit_alloc(in->host, want * each);
	if (!more)
		return false;
	if (*list)
		memcpy(more, *list, n * each);
	kit_free(in->host, *list);
	*list = more;
	*cap = want;
	return true;
}

static int by_time(const void *a, const void *b)
{
	const shown *x = a, *y = b;
	return x->pts != y->pts ? (x->pts < y->pts ? -1 : 1) : x->packet < y->packet ? -1 : x->packet > y->packet;
}

typedef struct counting {
	input *in;
	scan *s;
	uint32_t max_frames;
	bool heard;         /* sound has begun, and ends, s of the container's clock */
	double begin, end;
	uint64_t skip;      /* samples that the decoder has still to leave out */
	uint32_t n_sound_packets;
	bool untimed, key; /* a packet does not say when it is shown; a key frame has come */
	int64_t first_key; /* shown at */
	int64_t end_pts; /* where the last of the frames ends that say how long they are shown */
} counting;

static sn_rc count_picture(counting *c, const AVPacket *p)
{
	scan *s = c->s;
	const AVCodecParameters *par = c->in->picture->codecpar;
	uint32_t packet = s->n_packets++;
	int64_t pts = p->pts != AV_NOPTS_VALUE ? p->pts : p->dts;
	bool key = p->flags & AV_PKT_FLAG_KEY;
	if (s->n_packets > MAX_PACKETS)
		return kit_fail(c->in->fault, SN_RC_TOO_LARGE, "the clip has more frames than allowed");
	c->untimed |= p->pts == AV_NOPTS_VALUE;
	if (!c->key && !key && par->codec_id != AV_CODEC_ID_GIF && par->codec_id != AV_CODEC_ID_APNG)
		return SN_RC_OK;
	if (!c->key)
		c->first_key = pts;
	c->key = true;
	if (is_entry(par, p)) {
		if (!grow(c->in, (void **)&s->entries, s->n_entries, &s->cap_entries, sizeof *s->entries))
			return kit_fail(c->in->fault, SN_RC_NOMEM, "no memory to decode the clip");
		s->entries[s->n_entries++] = (entry){pts, packet};
	}
	if (p->flags & AV_PKT_FLAG_DISCARD || is_hidden(par, p) || (!c->untimed && pts < c->first_key))
		return SN_RC_OK;
	if (c->max_frames && s->n_frames == c->max_frames)
		return kit_fail(c->in->fault, SN_RC_TOO_LARGE, "the clip has more frames than allowed");
	if (!grow(c->in, (void **)&s->frames, s->n_frames, &s->cap_frames, sizeof *s->frames))
		return kit_fail(c->in->fault, SN_RC_NOMEM, "no memory to decode the clip");
	s->frames[s->n_frames++] = (shown){pts, packet};
	int64_t end;
	if (p->duration > 0 && !__builtin_add_overflow(pts, p->duration, &end) && end > c->end_pts)
		c->end_pts = end;
	return SN_RC_OK;
}

/* Sound that the decoder makes nothing of: Vorbis needs a packet to begin with, Opus has some that only warms up. */
static bool warms_up(counting *c, const AVCodecParameters *par)
{
	if (c->n_sound_packets++)
		return false;
	if (par->codec_id == AV_CODEC_ID_OPUS && par->extradata_size >= 12)
		c->skip = (uint64_t)par->extradata[10] | (uint64_t)par->extradata[11] << 8;
	return par->codec_id == AV_CODEC_ID_VORBIS;
}

static sn_rc count_sound(counting *c, const AVPacket *p)
{
	double at;
	bool none = warms_up(c, c->in->sound->codecpar);
	uint64_t n = sound_samples(c->in->sound, p, &c->skip, &at);
	if (none || p->flags & AV_PKT_FLAG_DISCARD || n == 0)
		return SN_RC_OK;
	if (isnan(at))
		at = c->heard ? c->end : 0;
	double until = at + (double)n / c->in->sound->codecpar->sample_rate;
	c->begin = c->heard ? c->begin : at;
	c->end = c->heard && c->end > until ? c->end : until;
	c->heard = true;
	return c->end - c->begin < (c->in->max_sound > 0 ? c->in->max_sound : 1e6) ? SN_RC_OK : kit_fail(c->in->fault, SN_RC_TOO_LARGE, "the sound is longer than allowed");
}

/* s, of the container's clock. */
static double at_pts(const AVStream *st, int64_t pts) { return (double)pts * st->time_base.num / st->time_base.den; }

/* Frames in the order in which they are shown, and the times of the whole. */
static void settle(counting *c)
{
	scan *s = c->s;
	uint32_t n = s->n_frames;
	if (n)
		qsort(s->frames, n, sizeof *s->frames, by_time);
	s->by_order = c->untimed;
	for (uint32_t i = 1; i < n; i++)
		s->by_order |= s->frames[i].pts == s->frames[i - 1].pts;
	if (n) {
		const double last = at_pts(c->in->picture, s->frames[n - 1].pts), end = at_pts(c->in->picture, c->end_pts);
		s->begin = at_pts(c->in->picture, s->frames[0].pts);
		s->end = end > last ? end : last + (n > 1 ? (last - s->begin) / (n - 1) : 0);
	}
	s->has_sound = c->heard;
	s->sound_begin = c->begin;
	s->n_sound = c->heard ? (uint64_t)llrint((c->end - c->begin) * c->in->sound->codecpar->sample_rate) : 0;
	s->zero = !n ? s->sound_begin : !s->has_sound || s->begin < s->sound_begin ? s->begin : s->sound_begin;
}

sn_rc scan_file(input *in, scan *s, uint32_t max_frames)
{
	AVPacket *p = av_packet_alloc();
	counting c = {.in = in, .s = s, .max_frames = max_frames, .end_pts = INT64_MIN};
	*s = (scan){0};
	sn_rc rc = p ? SN_RC_OK : kit_fail(in->fault, SN_RC_NOMEM, "no memory to decode the clip");
	for (bool end = false; rc == SN_RC_OK && !end;) {
		rc = input_packet(in, p, &end);
		if (rc == SN_RC_OK && !end)
			rc = in->picture && p->stream_index == in->picture->index ? count_picture(&c, p) : count_sound(&c, p);
		av_packet_unref(p);
	}
	av_packet_free(&p);
	if (rc == SN_RC_OK)
		settle(&c);
	else
		scan_free(in, s);
	return rc;
}

void scan_free(const input *in, scan *s)
{
	kit_free(in->host, s->frames);
	kit_free(in->host, s->entries);
	s->frames = NULL;
	s->entries = NULL;
}

double scan_time(const input *in, const scan *s, uint32_t frame)
{
	double t = at_pts(in->picture, s->frames[frame].pts) - s->zero;
	return t > 0 ? t : 0;
}
