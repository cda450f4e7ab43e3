/* ffmpeg.c - what ffmpeg.so shows of itself. */
#include <libavutil/log.h>

#include "backend.h"
#include "codec.h"

/* The libraries' messages go nowhere: the callback is theirs, one for the process, and knows neither host nor call. */
static void say_nothing(void *who, int level, const char *format, va_list args)
{
	(void)who, (void)level, (void)format, (void)args;
}

SN_EXPORT const backend *video_backend(void)
{
	static const backend all = {&CLIP_READ, &TRACK_DECODE, &CLIP_WRITE};
	av_log_set_callback(say_nothing);
	return &all;
}
