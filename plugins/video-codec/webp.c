/* webp.c - WebP, moving or not, by libwebp's own animation decoder: FFmpeg 5 reads still ones only. Each frame is drawn upon the one
 * before; the background colour that a file may name is not used, as browsers and Pillow do not use it: it is white here. */
#include <string.h>

#include <webp/demux.h>

#include "codec.h"

static const char *const DAMAGED = "the WebP file is damaged";

static sn_rc parse(input *in, const sn_clip_limits *limits, WebPDemuxer **out, sn_clip_info *info)
{
	const WebPData data = {in->bytes, in->n};
	WebPDemuxer *d = *out = WebPDemux(&data);
	WebPIterator at;
	uint64_t ms = 0;
	if (!d)
		return kit_fail(in->fault, SN_RC_INVALID, "%s", DAMAGED);
	*info = (sn_clip_info){.size = info->size, .width = WebPDemuxGetI(d, WEBP_FF_CANVAS_WIDTH), .height = WebPDemuxGetI(d, WEBP_FF_CANVAS_HEIGHT),
	                       .n_frames = WebPDemuxGetI(d, WEBP_FF_FRAME_COUNT)};
	bool ok = info->n_frames && WebPDemuxGetFrame(d, 1, &at);
	if (ok) {
		do
			ms += at.duration > 0 ? (uint64_t)at.duration : 0;
		while (WebPDemuxNextFrame(&at));
		WebPDemuxReleaseIterator(&at);
	}
	info->seconds = (double)ms / 1000;
	info->fps = ms ? info->n_frames / info->seconds : 0;
	return ok ? admit(info, limits, in->fault) : kit_fail(in->fault, SN_RC_INVALID, "%s", DAMAGED);
}

sn_rc webp_look(input *in, const sn_clip_limits *limits, sn_clip_info *info)
{
	WebPDemuxer *d;
	sn_rc rc = parse(in, limits, &d, info);
	WebPDemuxDelete(d);
	return rc;
}

sn_rc webp_times(input *in, const sn_clip_limits *limits, double *seconds, uint32_t n)
{
	WebPDemuxer *d;
	WebPIterator at;
	sn_clip_info info = {.size = sizeof info};
	uint64_t ms = 0;
	uint32_t i = 0;
	sn_rc rc = parse(in, limits, &d, &info);
	if (rc == SN_RC_OK && n != info.n_frames)
		rc = kit_fail(in->fault, SN_RC_INTERNAL, "the clip is not as it was looked at");
	if (rc == SN_RC_OK && WebPDemuxGetFrame(d, 1, &at)) {
		do {
			seconds[i++] = (double)ms / 1000;
			ms += at.duration > 0 ? (uint64_t)at.duration : 0;
		} while (i < n && WebPDemuxNextFrame(&at));
		WebPDemuxReleaseIterator(&at);
	}
	WebPDemuxDelete(d);
	return rc;
}

static sn_rc draw(input *in, WebPAnimDecoder *d, painter *p, const sn_clip_wish *wish, sn_media *media)
{
	const size_t bytes = (size_t)(media->bytes / wish->n_frames);
	uint32_t next = 0;
	int before = 0, until;
	uint8_t *rgba;
	for (uint32_t i = 0; next < wish->n_frames; i++, before = until) {
		if (clock_over(&in->clock))
			return input_refuse(in, AVERROR_EXIT, "");
		if (!WebPAnimDecoderGetNext(d, &rgba, &until))
			return kit_fail(in->fault, SN_RC_INVALID, "%s", DAMAGED);
		for (; next < wish->n_frames && wish->frames[next] == i; next++) {
			KIT_TRY(painter_rgba(p, rgba, (uint8_t *)media->samples + bytes * next));
			media->timestamps[next] = before / 1000.0;
		}
	}
	return SN_RC_OK;
}

sn_rc webp_read(input *in, const sn_clip_limits *limits, const sn_clip_wish *wish, sn_media *media)
{
	const WebPData data = {in->bytes, in->n};
	sn_clip_info info = {.size = sizeof info};
	WebPDemuxer *demux;
	painter p = {0};
	sn_rc rc = parse(in, limits, &demux, &info);
	WebPDemuxDelete(demux);
	if (rc == SN_RC_OK)
		rc = admit_wish(&info, limits, wish, media, in->fault);
	if (rc == SN_RC_OK)
		rc = painter_init(&p, in, info.width, info.height, 1, wish);
	if (rc == SN_RC_OK) {
		WebPAnimDecoderOptions options;
		WebPAnimDecoder *d = WebPAnimDecoderOptionsInit(&options) ? (options.use_threads = 0, WebPAnimDecoderNew(&data, &options)) : NULL;
		rc = d ? draw(in, d, &p, wish, media) : kit_fail(in->fault, SN_RC_INVALID, "%s", DAMAGED);
		WebPAnimDecoderDelete(d);
	}
	painter_fini(&p);
	return rc;
}
