/* input.c - libavformat over bytes in memory.
 *
 * The demuxer is ours to name, decoders are named one by one, and whatever asks for another file or protocol gets a refusal. What
 * libavformat may read before it has made up its mind is limited (probesize, analyzeduration), and so are tracks, pictures and time:
 * the clock is asked at each read, by the library's own interrupt callback, and between packets. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>

#include "codec.h"

enum { IO_BYTES = 32768, PROBE_BYTES = 1 << 20, PROBE_US = 2000000 };

/* ---- the clock ---- */

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void clock_start(clock_limit *c, uint32_t ms)
{
	*c = (clock_limit){.end = ms ? now() + ms * 1000000ull : 0};
}

bool clock_over(clock_limit *c)
{
	c->over |= c->end && now() >= c->end;
	return c->over;
}

/* ---- decoders ---- */

static const struct {
	enum AVCodecID id;
	const char *name;
} DECODERS[] = {
    {AV_CODEC_ID_H264, "h264"}, {AV_CODEC_ID_HEVC, "hevc"}, {AV_CODEC_ID_VP8, "vp8"}, {AV_CODEC_ID_VP9, "vp9"},
    {AV_CODEC_ID_AV1, "libdav1d"}, {AV_CODEC_ID_AV1, "libaom-av1"}, {AV_CODEC_ID_MPEG4, "mpeg4"}, {AV_CODEC_ID_MJPEG, "mjpeg"},
    {AV_CODEC_ID_GIF, "gif"}, {AV_CODEC_ID_APNG, "apng"},
    {AV_CODEC_ID_AAC, "aac"}, {AV_CODEC_ID_MP3, "mp3float"}, {AV_CODEC_ID_OPUS, "libopus"}, {AV_CODEC_ID_OPUS, "opus"},
    {AV_CODEC_ID_VORBIS, "vorbis"}, {AV_CODEC_ID_FLAC, "flac"}, {AV_CODEC_ID_ALAC, "alac"}, {AV_CODEC_ID_AC3, "ac3"},
    {AV_CODEC_ID_EAC3, "eac3"}, {AV_CODEC_ID_PCM_S16LE, "pcm_s16le"}, {AV_CODEC_ID_PCM_S16BE, "pcm_s16be"},
    {AV_CODEC_ID_PCM_S24LE, "pcm_s24le"}, {AV_CODEC_ID_PCM_S24BE, "pcm_s24be"}, {AV_CODEC_ID_PCM_S32LE, "pcm_s32le"},
    {AV_CODEC_ID_PCM_S32BE, "pcm_s32be"}, {AV_CODEC_ID_PCM_F32LE, "pcm_f32le"}, {AV_CODEC_ID_PCM_F32BE, "pcm_f32be"},
    {AV_CODEC_ID_PCM_U8, "pcm_u8"}, {AV_CODEC_ID_PCM_MULAW, "pcm_mulaw"}, {AV_CODEC_ID_PCM_ALAW, "pcm_alaw"},
};

/* The same, as libavformat takes it. */
#define WHITELIST                                                                                                        \
	"h264,hevc,vp8,vp9,libdav1d,libaom-av1,mpeg4,mjpeg,gif,apng,aac,mp3float,libopus,opus,vorbis,flac,alac,ac3,eac3,"        \
	"pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_u8,pcm_mulaw,pcm_alaw"

static const AVCodec *decoder_of(enum AVCodecID id)
{
	for (size_t i = 0; i < sizeof DECODERS / sizeof *DECODERS; i++) {
		const AVCodec *c = DECODERS[i].id == id ? avcodec_find_decoder_by_name(DECODERS[i].name) : NULL;
		if (c)
			return c;
	}
	return NULL;
}

/* ---- bytes ---- */

/* Four letters of hidden boxes are read as "free". */
static void cover(const input *in, uint8_t *out, size_t from, size_t n)
{
	for (size_t i = 0; i < in->hide.n; i++)
		for (size_t k = 0; k < 4; k++)
			if (in->hide.at[i] + k >= from && in->hide.at[i] + k - from < n)
				out[in->hide.at[i] + k - from] = (uint8_t)"free"[k];
}

/* A broadcast's packets with the names of its programs are read as filling: libavformat would have iconv load the tables of whatever characters
 * they are said to be in. */
static void cover_names(const input *in, uint8_t *out, size_t from, size_t n)
{
	enum { PACKET = 188, NAMES = 0x11, FILLING = 0x1FFF };
	if (strcmp(in->type->demuxer, "mpegts") != 0)
		return;
	for (size_t p = from / PACKET * PACKET; p < from + n && in->n - p >= 3; p += PACKET) {
		const uint8_t *b = in->bytes + p;
		if (((uint32_t)(b[1] & 0x1F) << 8 | b[2]) != NAMES)
			continue;
		for (size_t k = 1; k < 3; k++)
			if (p + k >= from && p + k - from < n)
				out[p + k - from] |= (uint8_t)(FILLING >> (k == 1 ? 8 : 0));
	}
}

static int read_bytes(void *opaque, uint8_t *out, int size)
{
	input *in = opaque;
	if (in->format && in->format->nb_streams > in->most_streams)
		in->most_streams = in->format->nb_streams;
	if (clock_over(&in->clock))
		return AVERROR_EXIT;
	size_t n = size > 0 ? (size_t)size : 0;
	n = n < in->n - in->at ? n : in->n - in->at;
	if (n == 0)
		return AVERROR_EOF;
	memcpy(out, in->bytes + in->at, n);
	cover(in, out, in->at, n);
	cover_names(in, out, in->at, n);
	in->at += n;
	return (int)n;
}

static int64_t seek(void *opaque, int64_t offset, int whence)
{
	input *in = opaque;
	if (whence & AVSEEK_SIZE)
		return (int64_t)in->n;
	whence &= ~AVSEEK_FORCE;
	int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int64_t)in->at : (int64_t)in->n;
	if (offset < -base || offset > (int64_t)in->n - base)
		return AVERROR(EINVAL);
	in->at = (size_t)(base + offset);
	return (int64_t)in->at;
}

static int refuse_file(AVFormatContext *s, AVIOContext **pb, const char *url, int flags, AVDictionary **options)
{
	(void)s, (void)url, (void)flags, (void)options;
	*pb = NULL;
	return AVERROR(EPERM);
}

static int interrupted(void *opaque) { return clock_over(opaque); }

/* ---- opening ---- */

sn_rc input_refuse(input *in, int error, const char *why)
{
	char text[AV_ERROR_MAX_STRING_SIZE] = "";
	if (in->clock.over)
		return kit_fail(in->fault, SN_RC_TOO_LARGE, "decoding takes longer than allowed");
	if (in->most_streams >= MAX_STREAMS + 1)
		return kit_fail(in->fault, SN_RC_TOO_LARGE, "the file has more tracks than allowed");
	if (error == AVERROR(ENOMEM) && errno == ENOMEM) /* it says the same of sizes that it does not even ask malloc for */
		return kit_fail(in->fault, SN_RC_NOMEM, "no memory to decode the clip");
	av_strerror(error, text, sizeof text);
	kit_logf(in->host, in->call, SN_HOST_WARN, "%s: %s", why, text);
	return kit_fail(in->fault, SN_RC_INVALID, "%s", why);
}

static sn_rc no_memory(input *in) { return kit_fail(in->fault, SN_RC_NOMEM, "no memory to decode the clip"); }

static bool is_still(const AVStream *st) { return st->disposition & AV_DISPOSITION_ATTACHED_PIC; }

/* Tracks that cannot be chosen are not even looked at. */
static sn_rc sift(input *in)
{
	for (unsigned i = 0; i < in->format->nb_streams; i++) {
		AVStream *st = in->format->streams[i];
		const AVCodecParameters *par = st->codecpar;
		bool picture = par->codec_type == AVMEDIA_TYPE_VIDEO, known = decoder_of(par->codec_id);
		if (picture && !is_still(st) && !known)
			in->unread = avcodec_get_name(par->codec_id);
		if ((picture && is_still(st)) || !known || (!picture && par->codec_type != AVMEDIA_TYPE_AUDIO))
			st->discard = AVDISCARD_ALL;
		if (picture && st->discard != AVDISCARD_ALL && par->width > 0 && par->height > 0 &&
		    (par->width > MAX_SIDE || par->height > MAX_SIDE || (uint64_t)par->width * (uint64_t)par->height > in->max_pixels))
			return kit_fail(in->fault, SN_RC_TOO_LARGE, "the clip's pictures are larger than allowed");
	}
	return SN_RC_OK;
}

/* The first track of each kind. */
static void choose(input *in)
{
	for (unsigned i = 0; i < in->format->nb_streams; i++) {
		AVStream *st = in->format->streams[i];
		bool usable = st->discard != AVDISCARD_ALL;
		if (usable && st->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !in->picture)
			in->picture = st;
		else if (usable && st->codecpar->codec_type == AVMEDIA_TYPE_AUDIO && !in->sound && st->codecpar->sample_rate > 0)
			in->sound = st;
		else
			st->discard = AVDISCARD_ALL;
	}
}

/* What the codec contexts with which libavformat finds out more are told. */
static bool set_limits(const input *in, AVDictionary **options)
{
	char pixels[24];
	snprintf(pixels, sizeof pixels, "%llu", (unsigned long long)in->max_pixels);
	return av_dict_set(options, "max_pixels", pixels, 0) >= 0 && av_dict_set(options, "max_samples", "1048576", 0) >= 0 &&
	       av_dict_set(options, "threads", "1", 0) >= 0;
}

static int find_out(input *in)
{
	unsigned n = in->format->nb_streams;
	AVDictionary *options[MAX_STREAMS + 1] = {NULL};
	bool ok = n <= MAX_STREAMS;
	for (unsigned i = 0; ok && i < n; i++)
		ok = set_limits(in, &options[i]);
	int error = ok ? avformat_find_stream_info(in->format, n ? options : NULL) : AVERROR(ENOMEM);
	for (unsigned i = 0; i < n && i <= MAX_STREAMS; i++)
		av_dict_free(&options[i]);
	return error;
}

static bool prepare(input *in)
{
	uint8_t *buffer = av_malloc(IO_BYTES);
	in->io = buffer ? avio_alloc_context(buffer, IO_BYTES, 0, in, read_bytes, NULL, seek) : NULL;
	if (!in->io)
		return av_free(buffer), false;
	AVFormatContext *f = in->format = avformat_alloc_context();
	if (!f)
		return false;
	f->pb = in->io;
	f->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
	f->io_open = refuse_file;
	f->interrupt_callback = (AVIOInterruptCB){interrupted, &in->clock};
	f->probesize = PROBE_BYTES;
	f->max_analyze_duration = PROBE_US;
	f->max_streams = MAX_STREAMS + 1; /* one more, so that too many show */
	f->error_recognition = 0;
	return av_opt_set(f, "codec_whitelist", WHITELIST, 0) >= 0 && av_opt_set(f, "format_whitelist", in->type->demuxer, 0) >= 0 &&
	       av_opt_set(f, "protocol_whitelist", "none", 0) >= 0;
}

sn_rc input_open(input *in)
{
	const AVInputFormat *demuxer = av_find_input_format(in->type->demuxer);
	errno = 0;
	in->at = 0;
	in->picture = in->sound = NULL;
	if (!demuxer)
		return kit_fail(in->fault, SN_RC_UNSUPPORTED, "this build of FFmpeg does not read such files");
	if (!prepare(in))
		return no_memory(in);
	if (clock_over(&in->clock))
		return input_refuse(in, AVERROR_EXIT, "");
	AVFormatContext *f = in->format;
	int error = avformat_open_input(&f, NULL, demuxer, NULL);
	if (error < 0) {
		in->format = NULL; /* gone */
		return input_refuse(in, error, "the file cannot be read");
	}
	in->most_streams = f->nb_streams > in->most_streams ? f->nb_streams : in->most_streams;
	if (f->nb_streams > MAX_STREAMS)
		return kit_fail(in->fault, SN_RC_TOO_LARGE, "the file has more tracks than allowed");
	KIT_TRY(sift(in));
	if ((error = find_out(in)) < 0)
		return input_refuse(in, error, "the file cannot be read");
	KIT_TRY(sift(in));
	choose(in);
	return SN_RC_OK;
}

void input_close(input *in)
{
	if (in->format)
		avformat_close_input(&in->format);
	if (in->io) {
		av_freep(&in->io->buffer);
		avio_context_free(&in->io);
	}
	in->picture = in->sound = NULL;
}

sn_rc input_packet(input *in, AVPacket *p, bool *end)
{
	for (;;) {
		int error = av_read_frame(in->format, p);
		*end = error == AVERROR_EOF;
		if (*end && !clock_over(&in->clock))
			return SN_RC_OK;
		if (error < 0 || clock_over(&in->clock))
			return input_refuse(in, error, "the file is damaged");
		const AVStream *st = in->format->streams[p->stream_index];
		if ((st == in->picture || st == in->sound) && p->size > 0) {
			if (!(p->flags & AV_PKT_FLAG_CORRUPT) || strcmp(in->type->demuxer, "mpegts") == 0)
				return SN_RC_OK;
			av_packet_unref(p);
			return input_refuse(in, AVERROR_INVALIDDATA, "the file ends early");
		}
		av_packet_unref(p);
	}
}

sn_rc input_decoder(input *in, const AVStream *st, AVCodecContext **out)
{
	const AVCodec *codec = decoder_of(st->codecpar->codec_id);
	AVCodecContext *c = *out = codec ? avcodec_alloc_context3(codec) : NULL;
	if (!codec)
		return kit_fail(in->fault, SN_RC_UNSUPPORTED, "this build of FFmpeg has no decoder for the track");
	AVDictionary *options = NULL;
	int error = c ? avcodec_parameters_to_context(c, st->codecpar) : AVERROR(ENOMEM);
	if (error >= 0 && !set_limits(in, &options))
		error = AVERROR(ENOMEM);
	if (error >= 0) {
		c->pkt_timebase = st->time_base;
		error = avcodec_open2(c, codec, &options);
	}
	av_dict_free(&options);
	if (error >= 0)
		return SN_RC_OK;
	avcodec_free_context(out);
	return input_refuse(in, error, "the track cannot be decoded");
}
