/* backend.h - what video-codec.so asks of video-codec/ffmpeg.so, the half that needs FFmpeg.
 *
 * FFmpeg brings more than a hundred libraries: 45 ms and 24 MiB of a process that may never see a clip, and constructors that end the
 * process where they get no memory. So they come with the first file that is theirs, once it is sure that there is memory for them.
 */
#ifndef VIDEO_CODEC_BACKEND_H
#define VIDEO_CODEC_BACKEND_H

#include <stdatomic.h>

#include <kit.h>

#include <sensorium/ext/clip.h>
#include <sensorium/ext/decode.h>
#include <sensorium/ext/write.h>

/* The extensions as ffmpeg.so has them: functions only. Their instance is a kit_host. */
typedef struct backend {
	const sn_ext_clip *clip;
	const sn_ext_decode *track;
	const sn_ext_write *write;
} backend;

/* ffmpeg.so's one symbol. The same each time. [any] */
const backend *video_backend(void);

/* An instance of either plugin. */
typedef struct video {
	kit_host host; /* first: ffmpeg.so knows no more of it */
	_Atomic(const backend *) backend; /* NULL: not opened yet */
} video;

/* Opens ffmpeg.so unless it is open. SN_RC_NOMEM: no memory for it; SN_RC_UNSUPPORTED: it, or a library of it, is not there. [any] */
sn_rc backend_of(video *v, const sn_call *call, const backend **out, sn_fault *fault);

#endif
