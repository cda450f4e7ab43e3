/* frames.c - packets to wanted frames, in one pass over the file.
 *
 * What lies between two wanted frames is decoded only as far as it must be: when the decoder holds nothing that is still wanted, packets
 * are dropped up to the last place before the next wanted frame where decoding may begin (scan.c), and there the decoder starts anew.
 * So nothing depends on how well a container can seek. Pictures to which no other refers are not decoded if nobody wants them.
 *
 * A frame is known by the time at which it is shown; where packets do not tell it, by how many came before, and then nothing is
 * left out. A wanted frame that is damaged, or that never comes, fails the clip. */
#include <stdlib.h>
#include <string.h>

#include "codec.h"

typedef struct reader {
	input *in;
	const scan *s;
	painter *painter;
	const sn_clip_wish *wish;
	sn_media *media;
	AVCodecContext *dec;
	AVFrame *frame;
	uint32_t next;    /* of the wish: what has not come yet */
	uint32_t packet;  /* how many have been seen */
	uint32_t drop_to; /* packets before this one are dropped */
	uint32_t n_out;   /* frames that the decoder has given */
} reader;

static sn_rc damaged(reader *r) { return kit_fail(r->in->fault, SN_RC_INVALID, "the clip's pictures are damaged, or not all there"); }

static bool done(const reader *r) { return r->next == r->wish->n_frames; }

/* The index of the frame that is shown then, or n_frames. */
static uint32_t frame_at(const scan *s, int64_t pts)
{
	uint32_t low = 0, high = s->n_frames;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (s->frames[middle].pts < pts)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->n_frames && s->frames[low].pts == pts ? low : s->n_frames;
}

static bool is_wanted(const reader *r, uint32_t index)
{
	uint32_t low = r->next, high = r->wish->n_frames;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (r->wish->frames[middle] < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->wish->n_frames && r->wish->frames[low] == index;
}

/* How far packets may be dropped: the next wanted frame, and so all that are, can be decoded from there. */
static void plan_drop(reader *r)
{
	const scan *s = r->s;
	if (s->by_order || done(r))
		return;
	const shown *target = &s->frames[r->wish->frames[r->next]];
	uint32_t low = 0, high = s->n_entries;
	while (low < high) { /* entries up to the target's packet */
		uint32_t middle = low + (high - low) / 2;
		if (s->entries[middle].packet <= target->packet)
			low = middle + 1;
		else
			high = middle;
	}
	while (low && s->entries[low - 1].pts > target->pts)
		low--;
	if (low && s->entries[low - 1].packet > r->packet) {
		r->drop_to = s->entries[low - 1].packet;
		avcodec_flush_buffers(r->dec);
	}
}

static sn_rc take_frame(reader *r)
{
	const AVFrame *f = r->frame;
	uint32_t index = r->s->by_order ? r->n_out : frame_at(r->s, f->pts);
	r->n_out++;
	if (index == r->s->n_frames || done(r) || r->wish->frames[r->next] > index)
		return SN_RC_OK;
	if (r->wish->frames[r->next] < index || f->decode_error_flags || f->flags & AV_FRAME_FLAG_CORRUPT)
		return damaged(r);
	const size_t bytes = (size_t)(r->media->bytes / r->wish->n_frames);
	uint8_t *out = (uint8_t *)r->media->samples + bytes * r->next;
	KIT_TRY(painter_frame(r->painter, f, out));
	r->media->timestamps[r->next] = scan_time(r->in, r->s, index);
	for (r->next++; !done(r) && r->wish->frames[r->next] == index; r->next++) { /* asked for again */
		memcpy(out + bytes, out, bytes);
		out += bytes;
		r->media->timestamps[r->next] = r->media->timestamps[r->next - 1];
	}
	return SN_RC_OK;
}

/* Everything that the decoder has ready. */
static sn_rc take_frames(reader *r)
{
	while (!done(r)) {
		int error = avcodec_receive_frame(r->dec, r->frame);
		if (error == AVERROR(EAGAIN) || error == AVERROR_EOF)
			return SN_RC_OK;
		if (error == AVERROR(ENOMEM) || clock_over(&r->in->clock))
			return input_refuse(r->in, error, "the clip cannot be decoded");
		if (error < 0)
			continue; /* of another frame; a wanted one will be missed */
		sn_rc rc = take_frame(r);
		av_frame_unref(r->frame);
		if (rc != SN_RC_OK)
			return rc;
	}
	return SN_RC_OK;
}

static sn_rc feed(reader *r, AVPacket *p)
{
	if (!r->s->by_order && p) {
		uint32_t index = frame_at(r->s, p->pts);
		r->dec->skip_frame = index < r->s->n_frames && is_wanted(r, index) ? AVDISCARD_DEFAULT : AVDISCARD_NONREF;
	}
	int error = avcodec_send_packet(r->dec, p);
	if (error == AVERROR(ENOMEM))
		return input_refuse(r->in, error, "the clip cannot be decoded");
	return take_frames(r);
}

static sn_rc run(reader *r, AVPacket *p)
{
	for (bool end = false; !done(r) && !end;) {
		sn_rc rc = input_packet(r->in, p, &end);
		if (rc == SN_RC_OK && end)
			rc = feed(r, NULL);
		else if (rc == SN_RC_OK && p->stream_index == r->in->picture->index) {
			plan_drop(r);
			if (r->packet++ >= r->drop_to)
				rc = feed(r, p);
		}
		av_packet_unref(p);
		if (rc != SN_RC_OK)
			return rc;
	}
	return done(r) ? SN_RC_OK : damaged(r);
}

sn_rc frames_read(input *in, const scan *s, painter *paint, const sn_clip_wish *wish, sn_media *media)
{
	reader r = {.in = in, .s = s, .painter = paint, .wish = wish, .media = media};
	AVPacket *p = av_packet_alloc();
	r.frame = av_frame_alloc();
	if (in->sound)
		in->sound->discard = AVDISCARD_ALL;
	in->sound = NULL;
	sn_rc rc = p && r.frame ? input_decoder(in, in->picture, &r.dec) : kit_fail(in->fault, SN_RC_NOMEM, "no memory to decode the clip");
	if (rc == SN_RC_OK)
		rc = run(&r, p);
	avcodec_free_context(&r.dec);
	av_frame_free(&r.frame);
	av_packet_free(&p);
	return rc;
}
