/* clip.c - "sn.clip/1" behind its sniff: what a clip is, when its frames are shown, and the frames that are wanted. See codec.h for the parts. */
#include <string.h>

#include "codec.h"

/* ---- limits ---- */

sn_rc admit(const sn_clip_info *info, const sn_clip_limits *l, sn_fault *fault)
{
	uint64_t pixels = (uint64_t)info->width * info->height;
	if (!info->width || !info->height)
		return kit_fail(fault, SN_RC_INVALID, "the clip's pictures have no size");
	if (info->width > MAX_SIDE || info->height > MAX_SIDE || pixels > MAX_PIXELS ||
	    (l && ((l->max_width && info->width > l->max_width) || (l->max_height && info->height > l->max_height) ||
	           (l->max_pixels && pixels > l->max_pixels))))
		return kit_fail(fault, SN_RC_TOO_LARGE, "the clip's pictures are larger than allowed");
	if (l && l->max_track_frames && info->n_frames > l->max_track_frames)
		return kit_fail(fault, SN_RC_TOO_LARGE, "the clip has more frames than allowed");
	if (l && l->max_seconds && info->seconds > l->max_seconds)
		return kit_fail(fault, SN_RC_TOO_LARGE, "the clip is longer than allowed");
	return SN_RC_OK;
}

sn_rc admit_wish(const sn_clip_info *info, const sn_clip_limits *l, const sn_clip_wish *wish, const sn_media *media, sn_fault *fault)
{
	sn_media shape = {.size = sizeof shape};
	if (wish->size < sizeof *wish || !wish->frames || wish->n_steps > SN_CLIP_MAX_STEPS || !painter_fits(wish, info->width, info->height) ||
	    !sn_clip_shape(info, wish, &shape))
		return kit_fail(fault, SN_RC_INVALID, "the wish asks for no frames, or for sizes that cannot be");
	for (uint32_t i = 0; i < wish->n_frames; i++)
		if (wish->frames[i] >= info->n_frames || (i && wish->frames[i] < wish->frames[i - 1]))
			return kit_fail(fault, SN_RC_INVALID, "the wish asks for frames that are not there, or not in their order");
	if (l && ((l->max_frames && wish->n_frames > l->max_frames) || (l->max_bytes && shape.bytes > l->max_bytes)))
		return kit_fail(fault, SN_RC_TOO_LARGE, "more frames are asked for than allowed");
	if (!media->samples || !media->timestamps || media->kind != shape.kind || media->width != shape.width || media->height != shape.height ||
	    media->n_frames != shape.n_frames || media->bytes != shape.bytes)
		return kit_fail(fault, SN_RC_INTERNAL, "the media is not of the shape that was asked for");
	return SN_RC_OK;
}

/* ---- one clip ---- */

typedef struct clip {
	input in;
	scan scan;
	sn_clip_info info;
} clip;

static sn_rc begin(clip *c, void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *l, sn_fault *fault)
{
	*c = (clip){.in = {.host = instance, .call = call, .bytes = bytes, .n = n, .fault = fault, .max_pixels = MAX_PIXELS}};
	if (l && l->max_pixels && l->max_pixels < MAX_PIXELS)
		c->in.max_pixels = l->max_pixels;
	clock_start(&c->in.clock, l ? l->max_ms : 0);
	c->info.size = sizeof c->info;
	c->in.type = container_find(bytes, n);
	if (!c->in.type || !c->in.type->video_type)
		return kit_fail(fault, n ? SN_RC_UNSUPPORTED : SN_RC_INVALID, n ? "not a clip of a type that is read here" : "the file is empty");
	return c->in.type->check(bytes, n, &c->in.hide, fault);
}

static sn_rc no_picture(const clip *c)
{
	if (c->in.unread)
		return kit_fail(c->in.fault, SN_RC_UNSUPPORTED, "the clip's pictures are coded as %s, which is not read here", c->in.unread);
	return kit_fail(c->in.fault, SN_RC_INVALID, "the file has no moving pictures");
}

/* Opens and counts; libavformat's part of a look. */
static sn_rc survey(clip *c, const sn_clip_limits *l)
{
	KIT_TRY(input_open(&c->in));
	if (!c->in.picture)
		return no_picture(c);
	const AVStream *st = c->in.picture;
	bool turned = track_orientation(st) >= 5;
	c->info.width = (uint32_t)(turned ? st->codecpar->height : st->codecpar->width);
	c->info.height = (uint32_t)(turned ? st->codecpar->width : st->codecpar->height);
	KIT_TRY(admit(&c->info, l, c->in.fault));
	KIT_TRY(scan_file(&c->in, &c->scan, l && l->max_track_frames ? l->max_track_frames : MAX_PACKETS));
	const scan *s = &c->scan;
	if (!s->n_frames)
		return no_picture(c);
	c->info.n_frames = s->n_frames;
	c->info.seconds = s->end - s->begin;
	c->info.fps = c->info.seconds > 0 ? s->n_frames / c->info.seconds : 0;
	c->info.has_sound = s->has_sound;
	return admit(&c->info, l, c->in.fault);
}

static void end(clip *c)
{
	scan_free(&c->in, &c->scan);
	input_close(&c->in);
}

static sn_rc look(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *limits, sn_clip_info *info,
                  sn_fault *fault)
{
	clip c;
	sn_rc rc = begin(&c, instance, call, bytes, n, limits, fault);
	if (rc == SN_RC_OK)
		rc = c.in.type->demuxer ? survey(&c, limits) : webp_look(&c.in, limits, &c.info);
	if (rc == SN_RC_OK)
		memcpy(info, &c.info, info->size < sizeof c.info ? info->size : sizeof c.info);
	end(&c);
	return rc;
}

static sn_rc times(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *limits, double *seconds,
                   uint32_t n_frames, sn_fault *fault)
{
	clip c;
	sn_rc rc = begin(&c, instance, call, bytes, n, limits, fault);
	if (rc == SN_RC_OK && !c.in.type->demuxer)
		rc = webp_times(&c.in, limits, seconds, n_frames);
	else if (rc == SN_RC_OK && (rc = survey(&c, limits)) == SN_RC_OK) {
		if (n_frames != c.info.n_frames)
			rc = kit_fail(fault, SN_RC_INTERNAL, "the clip is not as it was looked at");
		for (uint32_t i = 0; rc == SN_RC_OK && i < n_frames; i++)
			seconds[i] = scan_time(&c.in, &c.scan, i);
	}
	end(&c);
	return rc;
}

static sn_rc read_frames(clip *c, const sn_clip_limits *limits, const sn_clip_wish *wish, sn_media *media)
{
	painter p = {0};
	KIT_TRY(survey(c, limits));
	KIT_TRY(admit_wish(&c->info, limits, wish, media, c->in.fault));
	input_close(&c->in); /* again from the beginning, as if nothing had been read */
	KIT_TRY(input_open(&c->in));
	if (!c->in.picture)
		return no_picture(c);
	const AVCodecParameters *par = c->in.picture->codecpar;
	sn_rc rc = painter_init(&p, &c->in, (uint32_t)par->width, (uint32_t)par->height, track_orientation(c->in.picture), wish);
	if (rc == SN_RC_OK)
		rc = frames_read(&c->in, &c->scan, &p, wish, media);
	painter_fini(&p);
	return rc;
}

static sn_rc read(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *limits, const sn_clip_wish *wish,
                  sn_media *media, sn_fault *fault)
{
	clip c;
	sn_rc rc = begin(&c, instance, call, bytes, n, limits, fault);
	if (rc == SN_RC_OK)
		rc = c.in.type->demuxer ? read_frames(&c, limits, wish, media) : webp_read(&c.in, limits, wish, media);
	end(&c);
	if (rc == SN_RC_OK)
		kit_log(instance, call, SN_HOST_INFO, "decoded");
	return rc;
}

const sn_ext_clip CLIP_READ = {.size = sizeof CLIP_READ, .kind_name = "video", .look = look, .times = times, .read = read};
