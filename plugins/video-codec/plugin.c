/* plugin.c - video-codec's side of the contract: its two descriptors, their life, and what is known without FFmpeg. See codec.h for the parts. */
#include <string.h>

#include "backend.h"
#include "container.h"

/* ---- the clip ---- */

static const char *sniff_video(const uint8_t *bytes, size_t n)
{
	const container *c = container_find(bytes, n);
	return c ? c->video_type : NULL;
}

static sn_rc look(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *limits, sn_clip_info *info,
                  sn_fault *fault)
{
	const backend *b;
	KIT_TRY(backend_of(instance, call, &b, fault));
	return b->clip->look(instance, call, bytes, n, limits, info, fault);
}

static sn_rc times(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *limits, double *seconds,
                   uint32_t n_frames, sn_fault *fault)
{
	const backend *b;
	KIT_TRY(backend_of(instance, call, &b, fault));
	return b->clip->times(instance, call, bytes, n, limits, seconds, n_frames, fault);
}

static sn_rc read(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_clip_limits *limits, const sn_clip_wish *wish,
                  sn_media *media, sn_fault *fault)
{
	const backend *b;
	KIT_TRY(backend_of(instance, call, &b, fault));
	return b->clip->read(instance, call, bytes, n, limits, wish, media, fault);
}

static const sn_ext_clip CLIP = {
    .size = sizeof CLIP,
    .kind_name = "video",
    .media_types = "video/mp4 video/quicktime video/webm video/x-matroska video/x-msvideo video/mp2t image/gif image/apng image/webp",
    .aliases = "video/x-m4v=video/mp4 application/mp4=video/mp4 video/mov=video/quicktime video/quicktime=video/mp4 video/mp4=video/quicktime "
               "video/matroska=video/x-matroska video/mkv=video/x-matroska video/avi=video/x-msvideo video/vnd.avi=video/x-msvideo "
               "image/png=image/apng",
    .sniff = sniff_video,
    .look = look,
    .times = times,
    .read = read,
};

static sn_rc bound(void *instance, const sn_call *call, const sn_media *media, const sn_write_options *options, uint64_t *bytes, sn_fault *fault)
{
	const backend *b;
	KIT_TRY(backend_of(instance, call, &b, fault));
	return b->write->bound(instance, call, media, options, bytes, fault);
}

static sn_rc write(void *instance, const sn_call *call, const sn_media *media, const sn_write_options *options, uint8_t *out, uint64_t capacity,
                   uint64_t *n, sn_fault *fault)
{
	const backend *b;
	*n = 0;
	KIT_TRY(backend_of(instance, call, &b, fault));
	return b->write->write(instance, call, media, options, out, capacity, n, fault);
}

static const sn_ext_write CLIP_FILE = {
    .size = sizeof CLIP_FILE,
    .kind = SN_MEDIA_VIDEO,
    .kind_name = "video",
    .media_types = "video/mp4 video/webm",
    .bound = bound,
    .write = write,
};

/* ---- its sound ---- */

static const char *sniff_track(const uint8_t *bytes, size_t n)
{
	const container *c = container_find(bytes, n);
	return c ? c->audio_type : NULL;
}

static sn_rc measure(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits, sn_media *media,
                     sn_fault *fault)
{
	const backend *b;
	KIT_TRY(backend_of(instance, call, &b, fault));
	return b->track->measure(instance, call, bytes, n, limits, media, fault);
}

static sn_rc decode(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits, sn_media *media,
                    sn_fault *fault)
{
	const backend *b;
	KIT_TRY(backend_of(instance, call, &b, fault));
	return b->track->decode(instance, call, bytes, n, limits, media, fault);
}

static const sn_ext_decode TRACK_FILE = {
    .size = sizeof TRACK_FILE,
    .kind = SN_MEDIA_AUDIO,
    .kind_name = "audio",
    .media_types = "audio/mp4 audio/aac audio/webm audio/x-matroska audio/x-msvideo audio/mp2t",
    .sniff = sniff_track,
    .measure = measure,
    .decode = decode,
    .aliases = "audio/m4a=audio/mp4 audio/x-m4a=audio/mp4 audio/mp4a-latm=audio/mp4 video/mp4=audio/mp4 application/mp4=audio/mp4 "
               "video/quicktime=audio/mp4 video/x-m4v=audio/mp4 audio/aacp=audio/aac audio/x-aac=audio/aac video/webm=audio/webm "
               "audio/matroska=audio/x-matroska video/x-matroska=audio/x-matroska video/matroska=audio/x-matroska "
               "video/x-msvideo=audio/x-msvideo video/avi=audio/x-msvideo video/mp2t=audio/mp2t audio/quicktime=audio/mp4 "
               /* endings of file names, as clients give them for the format */
               "audio/mov=audio/mp4 audio/mkv=audio/x-matroska audio/mka=audio/x-matroska audio/avi=audio/x-msvideo audio/ts=audio/mp2t",
};

/* ---- life ---- */

static sn_rc init_video(void *instance, const sn_host *host, sn_fault *fault)
{
	return kit_host_init(&((video *)instance)->host, "video-codec", KIT_MEMORY, host, fault);
}

static sn_rc init_track(void *instance, const sn_host *host, sn_fault *fault)
{
	return kit_host_init(&((video *)instance)->host, "video-codec-sound", KIT_MEMORY, host, fault);
}

static const void *extension_video(const char *id)
{
	if (strcmp(id, SN_EXT_CLIP) == 0)
		return &CLIP;
	return strcmp(id, SN_EXT_WRITE) == 0 ? &CLIP_FILE : NULL;
}

static const void *extension_track(const char *id) { return strcmp(id, SN_EXT_DECODE) == 0 ? &TRACK_FILE : NULL; }

#define LICENSE "GPL-2.0-or-later AND LGPL-2.1-or-later AND BSD-3-Clause" /* Debian's FFmpeg is built with x264 */

static const sn_plugin VIDEO = {
    .size = sizeof VIDEO,
    .instance_size = sizeof(video),
    .id = "video-codec",
    .version = "1.0.0",
    .license = LICENSE,
    .summary = "reads frames of MP4, QuickTime, WebM, Matroska, AVI, MPEG-TS, GIF, APNG and WebP, upright and on white; writes MP4 and WebM",
    .init = init_video,
    .load = kit_load_nothing,
    .fini = kit_fini_nothing,
    .extension = extension_video,
    .extensions = SN_EXT_CLIP " " SN_EXT_WRITE,
};

static const sn_plugin TRACK = {
    .size = sizeof TRACK,
    .instance_size = sizeof(video),
    .id = "video-codec-sound",
    .version = "1.0.0",
    .license = LICENSE,
    .summary = "reads the sound of MP4, QuickTime, WebM, Matroska, AVI, MPEG-TS and AAC files as one channel at any rate",
    .init = init_track,
    .load = kit_load_nothing,
    .fini = kit_fini_nothing,
    .extension = extension_track,
    .extensions = SN_EXT_DECODE,
};

KIT_PLUGINS(&VIDEO, &TRACK);
