/* codec.h - what the parts of audio-codec share.
 *
 *   plugin.c                the contract: life cycle, sniff, measure, decode; limits; mixing to mono, resampling
 *   wav.c flac.c ogg.c mp3.c  one container each: a header parser of our own (measure); MP3's decoder, too
 *   vorbis.c                what a Vorbis stream's codebooks will take
 *   source.c                libsndfile over bytes in memory
 *   writer.c ogg_write.c    the types that are written
 *   write.c write_stream.c  sn.write/1: whole files, and streams
 *
 * A file is read by our parser before a library sees a byte: it decides the format, finds where the sound is and how long it is,
 * and leaves everything else (tags, pictures, cue points, chunks of every kind) out of what libsndfile is given. libsndfile must
 * then agree on format, subtype, channels and rate, and give exactly as many frames as the parser said.
 *
 * Which ends are ends, and which are missing:
 *   WAV   a data size of 0xFFFFFFFF, 0 or 0x7FFFF000 and above is what programs write that cannot seek back (ffmpeg, sox, arecord into
 *         a pipe): the sound goes to the end of the file. Any other size that the file does not have is an early end. Chunks
 *         after the sound are ignored.
 *   FLAC  the last frame's own number and length must be what the header says, if it says a length at all, and its CRC must fit.
 *   Ogg   pages are counted and checked to the one that says that it is the last. Opus: every page's position must be what its
 *         packets add up to. A recording without that last page is an early end, and so is a stream cut out of another.
 *   MP3   has no length that can be relied on: frames are counted, each must be whole. Where an Info, Xing or VBRI frame tells their
 *         number there must be as many; what LAME, ffmpeg or another says about its delay and padding is cut off. A file
 *         without such a frame that was cut exactly between two frames cannot be told from a shorter one.
 *         Free-format and layers 1 and 2 are not read. Tags before and after (ID3, APE, Lyrics3) are skipped.
 */
#ifndef AUDIO_CODEC_H
#define AUDIO_CODEC_H

#include <kit.h>

#include <sensorium/ext/decode.h>
#include <sensorium/ext/write.h>
#include <sensorium/media.h>

/* Rates that are decoded from, to, and written, in Hz. */
enum { MIN_RATE = 8000, MAX_RATE = 192000, MAX_CHANNELS = 64 };

/* One file's header: what it is, and what libsndfile is given of it: `prefix`, then bytes [start, start + n). */
typedef struct audio_header {
	uint32_t rate, channels; /* as they will be decoded */
	uint64_t frames;         /* samples of each channel, exactly */
	uint64_t skip;           /* MP3: so many come before the first that counts */
	int format;              /* libsndfile's SF_FORMAT_ */
	bool raw;                /* samples without any header: libsndfile is told what they are */
	bool library_counts;     /* Vorbis: frames is libsndfile's own count, from the last page */
	size_t start, n;
	size_t n_prefix;
	uint8_t prefix[42];
} audio_header;

typedef struct audio_input {
	const kit_host *host;
	const sn_call *call;
	const uint8_t *bytes; /* [n] */
	size_t n;
	sn_fault *fault;
} audio_input;


/* Header parsers. Nothing outside bytes is read; but for a Vorbis stream's setup, nothing is allocated. */
sn_rc wav_measure(const audio_input *in, audio_header *h);
sn_rc flac_measure(const audio_input *in, audio_header *h);
sn_rc ogg_measure(const audio_input *in, audio_header *h);
sn_rc mp3_measure(const audio_input *in, audio_header *h);

/* Whether they begin so; n may be anything. */
bool wav_begins(const uint8_t *bytes, size_t n);
bool flac_begins(const uint8_t *bytes, size_t n);
bool ogg_begins(const uint8_t *bytes, size_t n); /* with a Vorbis or Opus stream */
bool mp3_begins(const uint8_t *bytes, size_t n); /* with a frame or an ID3 tag */

/* The setup packet of a Vorbis stream: what libvorbis will allocate for its codebooks. False: it is damaged. */
bool vorbis_setup_bytes(const uint8_t *packet, size_t n, uint64_t *bytes);

/* One file being decoded: by libsndfile, or an MP3 by libmpg123. */
typedef struct source {
	const audio_header *header;
	const uint8_t *bytes;
	size_t at; /* in prefix and window together */
	void *file, *mp3;
	uint64_t frames;
} source;

/* Opens and asks whether libsndfile agrees with the header. Fills frames: the header's, or libsndfile's if it counts. */
sn_rc source_open(source *s, const audio_input *in, const audio_header *h);
/* Interleaved frames [got][channels], at most n; 0: the end. */
sn_rc source_read(source *s, const audio_input *in, float *out, size_t n, size_t *got);
void source_close(source *s);

/* mp3.c, for source.c. */
bool mp3_open(source *s);
bool mp3_read(source *s, float *out, size_t n, size_t *got);
void mp3_close(source *s);
/* The size of the frame whose header stands at p, of which maybe not all is there; 0: it is none. */
size_t mp3_frame_bytes(const uint8_t *p, size_t n);

/* ogg_write.c: makes the first page of an Opus stream's [n] bytes say nothing of who wrote it and when: constant serial number, no
 * vendor, no tags. *taken: its size, 0 if it is not all there; *made: its new size, never larger, maybe 0. step: 0 at first. False:
 * it is not a page of such a stream. */
bool ogg_make_constant(uint8_t *p, size_t n, uint32_t *step, size_t *taken, size_t *made);
bool ogg_is_constant(uint32_t step); /* behind the last page: there was a whole stream */

/* Ogg pages, for reading and writing. */
typedef struct ogg_page {
	uint8_t *lacing, *body; /* of what was given to ogg_page_read */
	size_t size, n_body;
	uint32_t n_lacing, serial, sequence;
	uint64_t granule;
	bool continued, first, last;
} ogg_page;

typedef struct ogg_crc {
	uint32_t table[256];
} ogg_crc;

void ogg_crc_init(ogg_crc *crc);
uint32_t ogg_crc_of(const ogg_crc *crc, const uint8_t *page, size_t n); /* its own field counts as 0 */
/* As many bytes as the page's header at p tells are there; also true if it is none. */
bool ogg_page_whole(const uint8_t *p, size_t n);
/* A whole page whose CRC fits stands at p. */
bool ogg_page_read(const ogg_crc *crc, const uint8_t *p, size_t n, ogg_page *page);

static inline uint32_t u16_le(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static inline uint32_t u32_le(const uint8_t *p) { return u16_le(p) | u16_le(p + 2) << 16; }
static inline uint64_t u64_le(const uint8_t *p) { return u32_le(p) | (uint64_t)u32_le(p + 4) << 32; }
static inline uint32_t u32_be(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

/* Types, as the listings spell them. */
#define WAV_TYPE "audio/wav"
#define FLAC_TYPE "audio/flac"
#define OGG_TYPE "audio/ogg"
#define MP3_TYPE "audio/mpeg"
#define PCM_TYPE "audio/pcm"

/* write.c: the vtable of sn.write/1; its streams are in write_stream.c. */
extern const sn_ext_write CODEC_WRITE;
sn_rc write_stream_open(void *instance, const sn_call *call, const sn_write_stream_options *options, sn_write_stream **out, sn_fault *fault);
sn_rc write_stream_push(void *instance, const sn_call *call, sn_write_stream *s, const float *samples, uint64_t n, uint64_t *ready,
                        sn_fault *fault);
sn_rc write_stream_finish(void *instance, const sn_call *call, sn_write_stream *s, uint64_t *ready, sn_fault *fault);
uint64_t write_stream_take(void *instance, sn_write_stream *s, uint8_t *out, uint64_t capacity);
void write_stream_close(void *instance, sn_write_stream *s);

#endif
