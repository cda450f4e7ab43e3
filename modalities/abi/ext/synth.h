/* ext/synth.h - "sn.synth/1": frames of codes become sound, chunk by chunk, many streams at once.
 *
 * A stream is one utterance. Its memory is the host's: stream_bytes, zeroed = opened; what the plugin carries from chunk to chunk
 * (a convolution's last rows, keys and values, an overlap) is in there, so a stream may be dropped at any time without a call.
 * The borders of chunks are fixed by the description, never by load: chunk 0 has first_frames frames, every later one
 * chunk_frames, the last one what is left. So the sound of a stream is the same however it is scheduled, and put together it is,
 * sample for sample, what one chunk over the whole would give.
 *
 *   host: plan(n_streams, n_frames)               units and bytes of a job over so many streams, each with a chunk of so many frames
 *   host: begin(state, ctx, chunks)               borrows codes until END
 *   host: step(state, ctx, max_units)          -> AGAIN, with *units_done <= max_units; or END: every chunk's pcm and n_samples are set
 *   host: end(state)                              after END, or instead of further steps; then the streams of the job are dropped
 *
 * A decoder with look-ahead gives fewer samples than it got frames, and the rest with the stream's last chunk. A stream gives
 * frames * frame_samples samples in all. What a stream's samples are must not depend on which others are in the job.
 * A decoder that must see the whole utterance says offline: there is one chunk of all frames.
 */
#ifndef SENSORIUM_EXT_SYNTH_H
#define SENSORIUM_EXT_SYNTH_H

#include "../host/ops.h"

#define SN_EXT_SYNTH "sn.synth/1"

/* Instance data, valid until fini. */
typedef struct sn_synth_info {
	uint32_t size;
	uint32_t rate;          /* Hz, mono */
	uint32_t n_codes;       /* of a frame */
	uint32_t frame_samples;
	uint32_t first_frames, chunk_frames; /* at least 1 */
	uint32_t delay_frames;  /* look-ahead: after k frames of a stream that goes on, at least (k - delay_frames) * frame_samples samples have come */
	uint32_t max_frames;    /* of a stream */
	uint32_t max_streams;   /* of a job; at least 1 */
	uint32_t offline;       /* 1: see above; then first_frames = max_frames */
	uint64_t stream_bytes;
} sn_synth_info;

typedef struct sn_synth_chunk {
	void *stream;         /* aligned like malloc's memory */
	const int32_t *codes; /* [n_frames][n_codes], each below its slot's n */
	uint32_t n_frames;    /* the same in all chunks of a job */
	uint32_t first_frame; /* of the stream: 0, or where the chunk before ended */
	uint32_t last;        /* 1: the stream ends here */
	uint32_t n_samples;   /* set by the plugin */
	float *pcm;           /* [capacity] */
	uint64_t capacity;    /* (n_frames + delay_frames) * frame_samples */
} sn_synth_chunk;

typedef struct sn_ext_synth {
	uint32_t size;
	uint32_t reserved;
	const sn_synth_info *(*describe)(const void *instance); /* never NULL. [any] */
	/* n_streams: 1 to max_streams, n_frames: 1 to max_frames; others are refused. state_bytes: of the job's state, and, separately,
	 * of the tensors it may take from ops; as in sn_media_plan. [any] */
	sn_rc (*plan)(const void *instance, uint32_t n_streams, uint32_t n_frames, uint32_t *n_units, uint64_t *state_bytes, sn_fault *fault);
	/* chunks: [n], the host's until end; state: zeroed. Takes tensors from ops. [step] */
	sn_rc (*begin)(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, sn_synth_chunk *chunks, uint32_t n, sn_fault *fault);
	sn_rc (*step)(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, sn_fault *fault);
	void (*end)(void *instance, void *state); /* [step] */
} sn_ext_synth;

#endif
