/* codec.h - what the parts of video-codec share.
 *
 * video-codec.so, without FFmpeg:
 *
 *   plugin.c     the contract: two descriptors, life cycle, sniffing
 *   backend.c    video-codec/ffmpeg.so, opened when the first file comes
 *   container.c  which container it is, and whether its outermost layer is whole: before a library sees a byte
 *   mp4.c        the same for MP4 and QuickTime, box by box: tracks that may be read, tables that are what they claim
 *
 * video-codec/ffmpeg.so, with the last two of these:
 *
 *   clip.c       "sn.clip/1"
 *   input.c      libavformat over bytes in memory: the one demuxer, allowed decoders, no protocol, limits, deadline
 *   scan.c       all packets of a file, none decoded: the frames in the order that they are shown, where decoding can begin,
 *                how long the sound is
 *   frames.c     packets -> wanted frames
 *   picture.c    one decoded picture -> upright RGB -> resized
 *   webp.c       animated WebP, by libwebp (FFmpeg 5 has no decoder for it)
 *   sound.c      "sn.decode/1" of kind "audio", the second descriptor's: sound tracks
 *   write.c      "sn.write/1": MP4 and WebM
 *
 * What decoders hold for themselves (reference pictures) is asked of malloc, not of the host's budget: MAX_PIXELS bounds it.
 * The libraries' own messages are dropped: they quote files, and their callback knows no call. What failed is logged by us.
 *
 * Which ends are missing: MP4 by its boxes, WebM and Matroska by the size of the segment, AVI and WebP by that of the RIFF, GIF
 * by its trailer, APNG by IEND, ADTS by frames. A transport stream, or a Matroska file without that size (a live recording),
 * that was cut cannot be told from a shorter one.
 */
#ifndef VIDEO_CODEC_H
#define VIDEO_CODEC_H

#include "container.h"

#include <libavformat/avformat.h>
#include <libavcodec/avcodec.h>

#include <sensorium/ext/clip.h>
#include <sensorium/ext/decode.h>
#include <sensorium/ext/write.h>

enum {
	MAX_STREAMS = 8,
	MAX_PIXELS = 4096 * 2304, /* of a picture: 17 of them and more are held while H.264 is decoded */
	MAX_SIDE = 16384,
	MAX_PACKETS = 1 << 22, /* of a file */
};

/* ---- one call over one file ---- */

typedef struct clock_limit {
	uint64_t end; /* ns, of the monotonic clock; 0: none */
	bool over;
} clock_limit;

void clock_start(clock_limit *c, uint32_t ms); /* 0: no limit */
bool clock_over(clock_limit *c);

typedef struct input {
	const kit_host *host;
	const sn_call *call;
	const uint8_t *bytes; /* [n] */
	size_t n, at;
	const container *type;
	patches hide;
	uint64_t max_pixels;
	double max_sound; /* s: counting ends where there is more, 0: where it makes no sense any more */
	clock_limit clock;
	sn_fault *fault;
	AVFormatContext *format;
	AVIOContext *io;
	AVStream *picture, *sound; /* the tracks that are read, NULL: none */
	unsigned most_streams;
	const char *unread;        /* the codec of a picture track that is not read, NULL: none */
} input;

/* Opens the demuxer and chooses tracks; all others are discarded. After a failure only input_close is legal. */
sn_rc input_open(input *in);
/* The next packet of a chosen track. *end: there is none. */
sn_rc input_packet(input *in, AVPacket *p, bool *end);
void input_close(input *in);
/* The decoder of a track, opened, one thread. */
sn_rc input_decoder(input *in, const AVStream *st, AVCodecContext **out);
/* A failed call of the libraries, as a fault; logs what they say. */
sn_rc input_refuse(input *in, int error, const char *why);

/* ---- what a file has ---- */

typedef struct shown {
	int64_t pts; /* in the track's time base */
	uint32_t packet; /* of the picture track, in the file's order */
} shown;

typedef struct entry {
	int64_t pts;
	uint32_t packet;
} entry;

typedef struct scan {
	shown *frames; /* [n_frames], as they are shown */
	uint32_t n_frames, cap_frames;
	entry *entries; /* [n_entries], ascending: decoding may begin here, for all that is shown later */
	uint32_t n_entries, cap_entries;
	uint32_t n_packets;
	bool by_order; /* packets do not tell when they are shown: the decoder's order counts, and everything is decoded */
	double zero, begin, end; /* s, of the container's clock: time 0; the picture track's */
	bool has_sound;
	double sound_begin;
	uint64_t n_sound; /* samples at the track's own rate, from the first that is heard */
} scan;

/* What is counted. max_frames 0: no cap. */
sn_rc scan_file(input *in, scan *s, uint32_t max_frames);
void scan_free(const input *in, scan *s);
double scan_time(const input *in, const scan *s, uint32_t frame); /* s, from time 0 */

/* ---- pictures ---- */

typedef struct painter {
	input *in;
	uint32_t width, height;   /* as decoded */
	uint32_t orientation;     /* 1 to 8, as in EXIF */
	const sn_clip_wish *wish;
	struct SwsContext *sws;
	int sws_format, sws_space, sws_range;
	uint8_t *native; /* [height][width][3 or 4] and some more bytes */
	uint8_t *planes; /* [3][height][stride], green, blue, red, and some more bytes */
	size_t stride;
	uint8_t *upright;
	uint8_t *step[2];
	void *scratch;
} painter;

/* Allocates for pictures of this size, before orientation; wish has been checked by painter_fits. */
sn_rc painter_init(painter *p, input *in, uint32_t width, uint32_t height, uint32_t orientation, const sn_clip_wish *wish);
bool painter_fits(const sn_clip_wish *wish, uint32_t upright_width, uint32_t upright_height);
void painter_fini(painter *p);
/* out: one frame of the wish's shape. */
sn_rc painter_frame(painter *p, const AVFrame *f, uint8_t *out);
sn_rc painter_rgba(painter *p, const uint8_t *rgba, uint8_t *out); /* [height][width][4] */

uint32_t track_orientation(const AVStream *st);

/* ---- conversations ---- */

sn_rc frames_read(input *in, const scan *s, painter *paint, const sn_clip_wish *wish, sn_media *media);

sn_rc webp_look(input *in, const sn_clip_limits *limits, sn_clip_info *info);
sn_rc webp_times(input *in, const sn_clip_limits *limits, double *seconds, uint32_t n);
sn_rc webp_read(input *in, const sn_clip_limits *limits, const sn_clip_wish *wish, sn_media *media);
/* The limits on a clip of this size and length; wish NULL: only these. */
sn_rc admit(const sn_clip_info *info, const sn_clip_limits *limits, sn_fault *fault);
sn_rc admit_wish(const sn_clip_info *info, const sn_clip_limits *limits, const sn_clip_wish *wish, const sn_media *media, sn_fault *fault);

/* Without sniff, and what the host compares names with: plugin.c has these. */
extern const sn_ext_clip CLIP_READ;
extern const sn_ext_decode TRACK_DECODE;
extern const sn_ext_write CLIP_WRITE;

#endif
