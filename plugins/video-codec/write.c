/* write.c - "sn.write/1": frames, and sound if there is some, to MP4 or WebM.
 *
 *   video/mp4   H.264 where the build of FFmpeg has x264, else MPEG-4; AAC
 *   video/webm  VP9, else VP8; Opus
 *
 * Pictures become YUV 4:2:0 by BT.709, limited range, and say so; H.264 of an odd side 4:4:4, since 4:2:0 cannot be so cut there.
 * Frames are shown when their timestamps say, or at an even rate. The same media give the same bytes: one thread, no time and no
 * version anywhere (x264 puts one into the stream: it is taken out). */
#include <math.h>
#include <string.h>

#include <libavcodec/bsf.h>
#include <libavutil/cpu.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>

#include <resample.h>

#include "codec.h"

enum { IO_BYTES = 32768, DEFAULT_QUALITY = 75, MAX_QUALITY = 100, SOUND_BLOCK = 4096, FRAME_BYTES = 8192, HEAD_BYTES = 1 << 17, SPARE = 256 };

typedef struct format {
	const char *type, *muxer;
	const char *pictures[2]; /* encoders, the first that there is */
	const char *sound;
	AVRational tick;         /* of frames that have timestamps */
	uint32_t max_side;
} format;

static const format FORMATS[] = {
    {"video/mp4", "mp4", {"libx264", "mpeg4"}, "aac", {1, 90000}, 8190},
    {"video/webm", "webm", {"libvpx-vp9", "libvpx"}, "libopus", {1, 1000}, 16383},
};

static const format *format_find(const char *type)
{
	for (size_t i = 0; type && i < sizeof FORMATS / sizeof *FORMATS; i++)
		if (strcmp(FORMATS[i].type, type) == 0)
			return &FORMATS[i];
	return NULL;
}

typedef struct track {
	AVCodecContext *enc;
	AVStream *st;
	AVBSFContext *filter; /* NULL: packets go as they are */
	bool over;
} track;

typedef struct writer {
	const kit_host *host;
	const sn_call *call;
	sn_fault *fault;
	const format *as;
	const sn_media *media, *sound;
	double fps;
	uint32_t quality;
	/* the file */
	uint8_t *out; /* [capacity] */
	uint64_t capacity, n, at;
	bool full;
	AVFormatContext *mux;
	AVIOContext *io;
	AVPacket *packet;
	AVFrame *frame;
	track pictures, samples;
	struct SwsContext *sws;
	uint8_t *picture; /* one frame and some bytes: libswscale reads beyond the last pixel */
	uint32_t next_frame;
	/* sound on its way */
	sn_resampler resampler;
	float *room;       /* [room_cap], resampled and not yet encoded: [room_n] */
	size_t room_n, room_cap;
	uint64_t taken, encoded; /* samples in, out */
	bool flushed;
} writer;

static const sn_media *sound_of(const sn_write_options *o) { return o->size >= sizeof *o ? o->sound : NULL; }
static double fps_of(const sn_write_options *o) { return o->size >= sizeof *o && o->fps != 0 ? o->fps : 25; }

/* ---- what may be written ---- */

static sn_rc check_sound(const sn_media *s, sn_fault *fault)
{
	if (s->kind != SN_MEDIA_AUDIO || !s->samples || !sn_media_sound(s))
		return kit_fail(fault, SN_RC_INVALID, "the sound is not one channel of samples");
	if (s->rate < 8000 || s->rate > 192000)
		return kit_fail(fault, SN_RC_INVALID, "rates below 8 kHz and above 192 kHz are not written");
	for (uint64_t i = 0; i < s->n_samples; i++)
		if (!isfinite(((const float *)s->samples)[i]))
			return kit_fail(fault, SN_RC_INVALID, "the sound has samples that are not finite numbers");
	return SN_RC_OK;
}

static sn_rc check(const sn_media *m, const sn_write_options *o, const format **as, sn_fault *fault)
{
	*as = format_find(o->media_type);
	if (!*as)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "files of this type are not written");
	if (o->quality > MAX_QUALITY)
		return kit_fail(fault, SN_RC_INVALID, "the quality is above 100");
	if (m->kind != SN_MEDIA_VIDEO || !m->samples || !sn_media_sound(m))
		return kit_fail(fault, SN_RC_INVALID, "not frames of width x height x 3 bytes");
	if (m->width > (*as)->max_side || m->height > (*as)->max_side || (uint64_t)m->width * m->height > MAX_PIXELS || m->bytes > SIZE_MAX / 16)
		return kit_fail(fault, SN_RC_TOO_LARGE, "the frames are larger than files of this type can be");
	if (!(fps_of(o) >= 0.001 && fps_of(o) <= 1000))
		return kit_fail(fault, SN_RC_INVALID, "the frame rate is not within 0.001 and 1000");
	for (uint32_t i = 0; m->timestamps && i < m->n_frames; i++)
		if (!(m->timestamps[i] >= 0 && m->timestamps[i] < 1e6) || (i && m->timestamps[i] < m->timestamps[i - 1] + 0.001))
			return kit_fail(fault, SN_RC_INVALID, "the timestamps do not ascend by a millisecond or more");
	return sound_of(o) ? check_sound(sound_of(o), fault) : SN_RC_OK;
}

static sn_rc bound(void *instance, const sn_call *call, const sn_media *media, const sn_write_options *options, uint64_t *bytes, sn_fault *fault)
{
	(void)instance, (void)call;
	const format *as;
	sn_rc rc = check(media, options, &as, fault);
	const sn_media *s = sound_of(options);
	/* No encoder makes twice as much of a picture as it was; small ones are all header. Of sound, neither, at 48 kHz. */
	*bytes = rc != SN_RC_OK ? 0 : media->bytes * 2 + (uint64_t)media->n_frames * FRAME_BYTES + HEAD_BYTES;
	if (rc == SN_RC_OK && s)
		*bytes += (s->n_samples * (s->rate < 48000 ? 48000 / s->rate + 1 : 1) + 48000) * 4;
	return rc;
}

/* ---- the file ---- */

#if LIBAVFORMAT_VERSION_MAJOR >= 61
static int on_write(void *opaque, const uint8_t *p, int size)
#else
static int on_write(void *opaque, uint8_t *p, int size)
#endif
{
	writer *w = opaque;
	if (size < 0 || (uint64_t)size > w->capacity - w->at) {
		w->full = true;
		return AVERROR(ENOSPC);
	}
	memcpy(w->out + w->at, p, (size_t)size);
	w->at += (uint64_t)size;
	w->n = w->at > w->n ? w->at : w->n;
	return size;
}

static int64_t on_seek(void *opaque, int64_t offset, int whence)
{
	writer *w = opaque;
	if (whence & AVSEEK_SIZE)
		return (int64_t)w->n;
	int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int64_t)w->at : (int64_t)w->n;
	if (offset < -base || offset > (int64_t)w->n - base)
		return AVERROR(EINVAL);
	w->at = (uint64_t)(base + offset);
	return (int64_t)w->at;
}

static int refuse_file(AVFormatContext *s, AVIOContext **pb, const char *url, int flags, AVDictionary **options)
{
	(void)s, (void)url, (void)flags, (void)options;
	*pb = NULL;
	return AVERROR(EPERM);
}

static sn_rc refuse(writer *w, int error, const char *why)
{
	char text[AV_ERROR_MAX_STRING_SIZE] = "";
	if (w->full)
		return kit_fail(w->fault, SN_RC_TOO_LARGE, "the file is larger than allowed");
	if (error == AVERROR(ENOMEM))
		return kit_fail(w->fault, SN_RC_NOMEM, "no memory to write the clip");
	av_strerror(error, text, sizeof text);
	kit_logf(w->host, w->call, SN_HOST_WARN, "%s: %s", why, text);
	return kit_fail(w->fault, SN_RC_INTERNAL, "%s", why);
}

static sn_rc no_memory(writer *w) { return refuse(w, AVERROR(ENOMEM), ""); }

/* ---- encoders ---- */

static const AVCodec *picture_encoder(const format *as)
{
	const AVCodec *c = avcodec_find_encoder_by_name(as->pictures[0]);
	return c ? c : avcodec_find_encoder_by_name(as->pictures[1]);
}

static sn_rc open_encoder(writer *w, track *t, AVDictionary *options)
{
	AVCodecContext *c = t->enc;
	if (w->mux->oformat->flags & AVFMT_GLOBALHEADER)
		c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	c->flags |= AV_CODEC_FLAG_BITEXACT;
	c->thread_count = 1;
	int error = avcodec_open2(c, c->codec, &options);
	av_dict_free(&options);
	if (error < 0)
		return refuse(w, error, "the encoder does not take the clip");
	t->st = avformat_new_stream(w->mux, NULL);
	if (!t->st)
		return no_memory(w);
	t->st->time_base = c->time_base;
	error = avcodec_parameters_from_context(t->st->codecpar, c);
	return error < 0 ? refuse(w, error, "the encoder does not take the clip") : SN_RC_OK;
}

/* x264 tells its version and settings in an SEI unit; these carry nothing else here. */
static sn_rc drop_version(writer *w)
{
	track *t = &w->pictures;
	int error = av_bsf_list_parse_str("filter_units=remove_types=6", &t->filter);
	if (error >= 0)
		error = avcodec_parameters_copy(t->filter->par_in, t->st->codecpar);
	if (error >= 0) {
		t->filter->time_base_in = t->enc->time_base;
		error = av_bsf_init(t->filter);
	}
	return error < 0 ? refuse(w, error, "the encoder does not take the clip") : SN_RC_OK;
}

/* x264 164 (Debian 12's) comes to other bytes with AVX-512, by memory that it never wrote. */
static bool has_avx512(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return av_get_cpu_flags() & AV_CPU_FLAG_AVX512;
#else
	return false;
#endif
}

static sn_rc open_pictures(writer *w)
{
	const AVCodec *codec = picture_encoder(w->as);
	if (!codec)
		return kit_fail(w->fault, SN_RC_UNSUPPORTED, "this build of FFmpeg has no encoder for such files");
	AVCodecContext *c = w->pictures.enc = avcodec_alloc_context3(codec);
	AVDictionary *o = NULL;
	const bool h264 = codec->id == AV_CODEC_ID_H264, odd = (w->media->width | w->media->height) & 1;
	if (!c)
		return no_memory(w);
	c->width = (int)w->media->width;
	c->height = (int)w->media->height;
	c->pix_fmt = h264 && odd ? AV_PIX_FMT_YUV444P : AV_PIX_FMT_YUV420P;
	c->colorspace = AVCOL_SPC_BT709;
	c->color_primaries = AVCOL_PRI_BT709;
	c->color_trc = AVCOL_TRC_BT709;
	c->color_range = AVCOL_RANGE_MPEG;
	c->framerate = av_d2q(w->fps, 100000);
	c->time_base = w->media->timestamps ? w->as->tick : av_inv_q(c->framerate);
	double q = w->quality / 100.0;
	int error = 0;
	if (h264) {
		error = av_dict_set_int(&o, "crf", (int64_t)(45 - 33 * q), 0);
		error |= av_dict_set(&o, "preset", "veryfast", 0);
		if (has_avx512())
			error |= av_dict_set(&o, "x264-params", "asm=AVX2", 0);
	} else if (codec->id == AV_CODEC_ID_MPEG4) {
		c->flags |= AV_CODEC_FLAG_QSCALE;
		c->global_quality = FF_QP2LAMBDA * (int)(31 - 29 * q);
		if (w->media->timestamps)
			c->time_base = (AVRational){1, 1000}; /* its clock has 16 bits */
	} else {
		error = av_dict_set_int(&o, "crf", (int64_t)(60 - 50 * q), 0);
		error |= av_dict_set(&o, "deadline", "good", 0) | av_dict_set(&o, "cpu-used", "5", 0);
		error |= av_dict_set(&o, "lag-in-frames", "16", 0) | av_dict_set(&o, "auto-alt-ref", "1", 0);
		c->bit_rate = codec->id == AV_CODEC_ID_VP8 ? 100000000 : 0; /* VP8: the most that its quality may cost */
	}
	if (error < 0)
		return av_dict_free(&o), no_memory(w);
	KIT_TRY(open_encoder(w, &w->pictures, o));
	w->pictures.st->avg_frame_rate = c->framerate;
	w->sws = sws_getContext(c->width, c->height, AV_PIX_FMT_RGB24, c->width, c->height, c->pix_fmt,
	                        SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP | SWS_BITEXACT, NULL, NULL, NULL);
	w->picture = kit_alloc(w->host, (size_t)c->width * (size_t)c->height * 3 + SPARE);
	if (!w->sws || !w->picture)
		return no_memory(w);
	sws_setColorspaceDetails(w->sws, sws_getCoefficients(SWS_CS_DEFAULT), 1, sws_getCoefficients(SWS_CS_ITU709), 0, 0, 1 << 16, 1 << 16);
	return h264 ? drop_version(w) : SN_RC_OK;
}

/* The rate that the file will have: the next that its codec knows, or the highest. */
static uint32_t sound_rate(const format *as, uint32_t rate)
{
	static const uint32_t OPUS[] = {8000, 12000, 16000, 24000, 48000, 0}, AAC[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 0};
	const uint32_t *r = strcmp(as->sound, "aac") == 0 ? AAC : OPUS;
	while (*r < rate && r[1])
		r++;
	return *r;
}

static sn_rc open_sound(writer *w)
{
	const AVCodec *codec = avcodec_find_encoder_by_name(w->as->sound);
	if (!codec)
		return kit_fail(w->fault, SN_RC_UNSUPPORTED, "this build of FFmpeg has no encoder for the sound of such files");
	AVCodecContext *c = w->samples.enc = avcodec_alloc_context3(codec);
	if (!c)
		return no_memory(w);
	uint32_t rate = sound_rate(w->as, w->sound->rate);
	c->sample_rate = (int)rate;
	c->sample_fmt = strcmp(w->as->sound, "aac") == 0 ? AV_SAMPLE_FMT_FLTP : AV_SAMPLE_FMT_FLT;
	c->ch_layout = (AVChannelLayout)AV_CHANNEL_LAYOUT_MONO;
	c->time_base = (AVRational){1, c->sample_rate};
	c->bit_rate = 32000 + 64000 * (int64_t)w->quality / MAX_QUALITY;
	KIT_TRY(open_encoder(w, &w->samples, NULL));
	uint64_t most;
	if (c->frame_size <= 0 || !sn_resample_count(SOUND_BLOCK, w->sound->rate, rate, &most))
		return kit_fail(w->fault, SN_RC_INTERNAL, "the encoder does not take the sound");
	w->room_cap = (size_t)most + 65536 + (size_t)c->frame_size;
	w->room = kit_alloc(w->host, w->room_cap * sizeof *w->room);
	return w->room && sn_resampler_init(&w->resampler, w->sound->rate, rate) ? SN_RC_OK : no_memory(w);
}

/* ---- frames and samples into packets ---- */

static sn_rc put_packet(writer *w, track *t)
{
	AVPacket *p = w->packet;
	p->stream_index = t->st->index;
	av_packet_rescale_ts(p, t->enc->time_base, t->st->time_base);
	int error = av_interleaved_write_frame(w->mux, p);
	return error < 0 || w->full ? refuse(w, error, "the file cannot be written") : SN_RC_OK;
}

/* All that the encoder, and what filters behind it, have ready. */
static sn_rc drain(writer *w, track *t, int64_t duration)
{
	for (;;) {
		int error = avcodec_receive_packet(t->enc, w->packet);
		if (error == AVERROR(EAGAIN))
			return SN_RC_OK;
		if (error == AVERROR_EOF) {
			t->over = true;
			return SN_RC_OK;
		}
		if (error < 0)
			return refuse(w, error, "the clip cannot be encoded");
		if (w->packet->duration <= 0)
			w->packet->duration = duration;
		if (t->filter) { /* one in, one out */
			error = av_bsf_send_packet(t->filter, w->packet);
			if (error >= 0)
				error = av_bsf_receive_packet(t->filter, w->packet);
			if (error < 0)
				return refuse(w, error, "the clip cannot be encoded");
		}
		KIT_TRY(put_packet(w, t));
	}
}

static double frame_time(const writer *w, uint32_t i) { return w->media->timestamps ? w->media->timestamps[i] : i / w->fps; }

static int64_t frame_pts(const writer *w, uint32_t i)
{
	const AVRational tick = w->pictures.enc->time_base;
	return w->media->timestamps ? llrint(w->media->timestamps[i] / av_q2d(tick)) : (int64_t)i;
}

/* In ticks: what a frame lasts on average. */
static int64_t frame_duration(const writer *w)
{
	uint32_t n = w->media->n_frames;
	if (!w->media->timestamps)
		return 1;
	return n > 1 ? (frame_pts(w, n - 1) - frame_pts(w, 0)) / (n - 1) : llrint(1 / (w->fps * av_q2d(w->pictures.enc->time_base)));
}

static sn_rc put_frame(writer *w)
{
	track *t = &w->pictures;
	const bool last = w->next_frame == w->media->n_frames;
	int error = 0;
	if (!last) {
		const size_t row = (size_t)w->media->width * 3, size = row * w->media->height;
		const uint8_t *rows[4] = {memcpy(w->picture, (const uint8_t *)w->media->samples + size * w->next_frame, size)};
		const int stride[4] = {(int)row};
		AVFrame *f = w->frame;
		av_frame_unref(f);
		f->width = t->enc->width;
		f->height = t->enc->height;
		f->format = t->enc->pix_fmt;
		f->colorspace = AVCOL_SPC_BT709;
		f->color_range = AVCOL_RANGE_MPEG;
		f->quality = t->enc->global_quality;
		f->pts = frame_pts(w, w->next_frame);
		error = av_frame_get_buffer(f, 0);
		if (error < 0 || sws_scale(w->sws, rows, stride, 0, f->height, f->data, f->linesize) != f->height)
			return no_memory(w);
		w->next_frame++;
	}
	error = avcodec_send_frame(t->enc, last ? NULL : w->frame);
	if (error < 0)
		return refuse(w, error, "the clip cannot be encoded");
	return drain(w, t, frame_duration(w));
}

/* At least one encoder's frame of samples in the room, or all that are left. */
static sn_rc gather(writer *w)
{
	while (!w->flushed && w->room_n < (size_t)w->samples.enc->frame_size) {
		size_t got;
		bool ok;
		if (w->taken < w->sound->n_samples) {
			uint64_t left = w->sound->n_samples - w->taken;
			size_t n = left < SOUND_BLOCK ? (size_t)left : SOUND_BLOCK;
			ok = sn_resampler_push(&w->resampler, (const float *)w->sound->samples + w->taken, n, w->room + w->room_n, w->room_cap - w->room_n, &got);
			w->taken += n;
		} else {
			ok = sn_resampler_flush(&w->resampler, w->room + w->room_n, w->room_cap - w->room_n, &got);
			w->flushed = true;
		}
		if (!ok)
			return kit_fail(w->fault, SN_RC_INTERNAL, "the sound could not be resampled");
		w->room_n += got;
	}
	return SN_RC_OK;
}

static sn_rc put_samples(writer *w)
{
	track *t = &w->samples;
	AVFrame *f = w->frame;
	KIT_TRY(gather(w));
	size_t n = w->room_n < (size_t)t->enc->frame_size ? w->room_n : (size_t)t->enc->frame_size;
	int error = 0;
	if (n) {
		av_frame_unref(f);
		f->nb_samples = (int)n;
		f->format = t->enc->sample_fmt;
		f->sample_rate = t->enc->sample_rate;
		f->pts = (int64_t)w->encoded;
		error = av_channel_layout_copy(&f->ch_layout, &t->enc->ch_layout);
		if (error >= 0)
			error = av_frame_get_buffer(f, 0);
		if (error < 0)
			return no_memory(w);
		memcpy(f->data[0], w->room, n * sizeof *w->room);
		memmove(w->room, w->room + n, (w->room_n - n) * sizeof *w->room);
		w->room_n -= n;
		w->encoded += n;
	}
	error = avcodec_send_frame(t->enc, n ? f : NULL);
	if (error < 0)
		return refuse(w, error, "the sound cannot be encoded");
	return drain(w, t, t->enc->frame_size);
}

/* Whichever is behind. */
static sn_rc put_all(writer *w)
{
	while (!w->pictures.over || (w->sound && !w->samples.over)) {
		double heard = w->sound ? (double)w->encoded / w->samples.enc->sample_rate : 0;
		bool sound = w->sound && !w->samples.over &&
		             (w->pictures.over || w->next_frame == w->media->n_frames || heard <= frame_time(w, w->next_frame));
		KIT_TRY(sound ? put_samples(w) : put_frame(w));
	}
	return SN_RC_OK;
}

/* ---- a whole file ---- */

static sn_rc open_file(writer *w)
{
	const AVOutputFormat *o = av_guess_format(w->as->muxer, NULL, NULL);
	uint8_t *buffer = o ? av_malloc(IO_BYTES) : NULL;
	if (!o)
		return kit_fail(w->fault, SN_RC_UNSUPPORTED, "this build of FFmpeg does not write such files");
	w->io = buffer ? avio_alloc_context(buffer, IO_BYTES, 1, w, NULL, on_write, on_seek) : NULL;
	if (!w->io)
		return av_free(buffer), no_memory(w);
	w->packet = av_packet_alloc();
	w->frame = av_frame_alloc();
	if (!w->packet || !w->frame || avformat_alloc_output_context2(&w->mux, o, NULL, NULL) < 0)
		return no_memory(w);
	w->mux->pb = w->io;
	w->mux->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
	w->mux->io_open = refuse_file;
	return SN_RC_OK;
}

static sn_rc write_all(writer *w)
{
	KIT_TRY(open_file(w));
	KIT_TRY(open_pictures(w));
	if (w->sound)
		KIT_TRY(open_sound(w));
	int error = avformat_write_header(w->mux, NULL);
	if (error < 0 || w->full)
		return refuse(w, error, "the file cannot be written");
	sn_rc rc = put_all(w);
	error = av_write_trailer(w->mux); /* also after a failure: it releases what the muxer holds */
	if (rc == SN_RC_OK && (error < 0 || w->full))
		rc = refuse(w, error, "the file cannot be written");
	avio_flush(w->io);
	return rc == SN_RC_OK && (w->full || w->io->error < 0) ? refuse(w, w->io->error, "the file cannot be written") : rc;
}

static void track_free(track *t)
{
	avcodec_free_context(&t->enc);
	av_bsf_free(&t->filter);
}

static sn_rc write(void *instance, const sn_call *call, const sn_media *media, const sn_write_options *options, uint8_t *out, uint64_t capacity,
                   uint64_t *n, sn_fault *fault)
{
	writer w = {.host = instance, .call = call, .fault = fault, .media = media, .sound = sound_of(options), .out = out, .capacity = capacity};
	sn_rc rc = check(media, options, &w.as, fault);
	*n = 0;
	if (rc != SN_RC_OK)
		return rc;
	w.fps = fps_of(options);
	w.quality = options->quality ? options->quality : DEFAULT_QUALITY;
	rc = write_all(&w);
	track_free(&w.pictures);
	track_free(&w.samples);
	avformat_free_context(w.mux);
	if (w.io)
		av_freep(&w.io->buffer);
	avio_context_free(&w.io);
	av_packet_free(&w.packet);
	av_frame_free(&w.frame);
	sws_freeContext(w.sws);
	sn_resampler_fini(&w.resampler);
	kit_free(w.host, w.room);
	kit_free(w.host, w.picture);
	if (rc == SN_RC_OK)
		*n = w.n;
	return rc;
}

const sn_ext_write CLIP_WRITE = {.size = sizeof CLIP_WRITE, .kind = SN_MEDIA_VIDEO, .kind_name = "video", .bound = bound, .write = write};
