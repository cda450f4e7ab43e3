/* picture.c - one decoded picture becomes upright, opaque RGB at its own size, and then what the wish's steps make of it.
 *
 * libswscale converts and nothing else: at the size that there is, chroma interpolated both ways, with accurate rounding, by the stream's
 * own matrix and range (BT.601 and limited where it names none, as FFmpeg has it). It makes planes: for packed RGB it would take each
 * chroma row for two, and be slower. Sizes are changed by modalities/image, which rounds as the reference image
 * processors do. */
#include <stdlib.h>
#include <string.h>

#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include <resize.h>

#include "codec.h"

enum { SPARE = 256, SWS_FLAGS = SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_BITEXACT };

/* ---- orientation ---- */

static const int32_t *display_matrix(const AVStream *st)
{
#if LIBAVFORMAT_VERSION_MAJOR >= 61
	const AVPacketSideData *d = av_packet_side_data_get(st->codecpar->coded_side_data, st->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
	return d && d->size >= 9 * sizeof(int32_t) ? (const int32_t *)(const void *)d->data : NULL;
#else
	size_t size = 0;
	const uint8_t *d = av_stream_get_side_data(st, AV_PKT_DATA_DISPLAYMATRIX, &size);
	return d && size >= 9 * sizeof(int32_t) ? (const int32_t *)(const void *)d : NULL;
#endif
}

/* A stored (p, q) is shown at (a p + c q, b p + d q): the nearest of the eight ways that keep pixels whole. */
uint32_t track_orientation(const AVStream *st)
{
	const int32_t *m = display_matrix(st);
	if (!m)
		return 1;
	int64_t a = m[0], b = m[1], c = m[3], d = m[4];
	if (llabs(a) + llabs(d) >= llabs(b) + llabs(c))
		return a >= 0 ? (d >= 0 ? 1 : 4) : d >= 0 ? 2 : 3;
	return b >= 0 ? (c >= 0 ? 5 : 6) : c >= 0 ? 8 : 7;
}

/* src [height][width][3] -> out, upright. */
static void turn(const uint8_t *src, uint32_t width, uint32_t height, uint32_t orientation, uint8_t *out)
{
	/* Do stored columns become upright rows? Is the upright x (then y) counted from the far end? */
	static const struct {
		uint8_t transpose, far_x, far_y;
	} TABLE[9] = {{0, 0, 0}, {0, 0, 0}, {0, 1, 0}, {0, 1, 1}, {0, 0, 1}, {1, 0, 0}, {1, 1, 0}, {1, 1, 1}, {1, 0, 1}};
	bool t = TABLE[orientation].transpose;
	size_t wide = t ? height : width, high = t ? width : height;
	ptrdiff_t right = TABLE[orientation].far_x ? -3 : 3, down = (TABLE[orientation].far_y ? -3 : 3) * (ptrdiff_t)wide;
	ptrdiff_t dx = t ? down : right, dy = t ? right : down;
	uint8_t *origin = out + (right < 0 ? (wide - 1) * 3 : 0) + (down < 0 ? (high - 1) * wide * 3 : 0);
	for (uint32_t y = 0; y < height; y++) {
		uint8_t *to = origin + (ptrdiff_t)y * dy;
		for (uint32_t x = 0; x < width; x++, src += 3, to += dx) {
			to[0] = src[0];
			to[1] = src[1];
			to[2] = src[2];
		}
	}
}

/* RGBA to RGB on white, in place, from the left. */
static void flatten(uint8_t *p, size_t pixels)
{
	const uint8_t *in = p;
	for (size_t i = 0; i < pixels; i++, in += 4, p += 3) {
		uint32_t a = in[3];
		for (int k = 0; k < 3; k++) {
			uint32_t v = in[k] * a + 255 * (255 - a) + 128;
			p[k] = (uint8_t)((v + (v >> 8)) >> 8);
		}
	}
}

/* ---- a painter's memory ---- */

bool painter_fits(const sn_clip_wish *wish, uint32_t width, uint32_t height)
{
	size_t bytes;
	for (uint32_t i = 0; i < wish->n_steps; i++) {
		const sn_clip_step *s = &wish->steps[i];
		if (s->filter > SN_CLIP_LANCZOS3_TORCH || s->width > MAX_SIDE || s->height > MAX_SIDE || (uint64_t)s->width * s->height > MAX_PIXELS ||
		    !sn_resize_scratch(width, height, s->width, s->height, (sn_filter)s->filter, &bytes))
			return false;
		width = s->width;
		height = s->height;
	}
	return true;
}

static bool allocate(painter *p, uint32_t width, uint32_t height)
{
	const kit_host *host = p->in->host;
	const sn_clip_wish *wish = p->wish;
	size_t scratch = 0, step[2] = {0}, bytes;
	for (uint32_t i = 0; i < wish->n_steps; i++) {
		const sn_clip_step *s = &wish->steps[i];
		sn_resize_scratch(width, height, s->width, s->height, (sn_filter)s->filter, &bytes);
		scratch = bytes > scratch ? bytes : scratch;
		width = s->width;
		height = s->height;
		bytes = (size_t)width * height * 3;
		if (i + 1 < wish->n_steps)
			step[i % 2] = bytes > step[i % 2] ? bytes : step[i % 2];
	}
	p->native = kit_alloc(host, (size_t)p->width * p->height * 4 + SPARE);
	p->stride = ((size_t)p->width + SN_PLANE_SPARE + 63) / 64 * 64;
	p->planes = kit_alloc(host, 3 * p->stride * p->height + SPARE);
	p->upright = p->orientation != 1 ? kit_alloc(host, (size_t)p->width * p->height * 3) : NULL;
	p->scratch = scratch ? kit_alloc(host, scratch) : NULL;
	for (int i = 0; i < 2; i++)
		p->step[i] = step[i] ? kit_alloc(host, step[i]) : NULL;
	return p->native && p->planes && (p->upright || p->orientation == 1) && (p->scratch || !scratch) && (p->step[0] || !step[0]) && (p->step[1] || !step[1]);
}

sn_rc painter_init(painter *p, input *in, uint32_t width, uint32_t height, uint32_t orientation, const sn_clip_wish *wish)
{
	*p = (painter){.in = in, .width = width, .height = height, .orientation = orientation, .wish = wish, .sws_format = AV_PIX_FMT_NONE};
	bool turned = orientation >= 5;
	if (!allocate(p, turned ? height : width, turned ? width : height))
		return kit_fail(in->fault, SN_RC_NOMEM, "no memory to decode the clip");
	return SN_RC_OK;
}

void painter_fini(painter *p)
{
	if (!p->in)
		return;
	const kit_host *host = p->in->host;
	sws_freeContext(p->sws);
	kit_free(host, p->native);
	kit_free(host, p->planes);
	kit_free(host, p->upright);
	kit_free(host, p->scratch);
	kit_free(host, p->step[0]);
	kit_free(host, p->step[1]);
	*p = (painter){0};
}

/* ---- pictures ---- */

/* The upright frame, then the steps, the last of them into out. planar: it is in p->planes, as GBR, else in p->native. */
static void finish(painter *p, bool planar, uint8_t *out)
{
	uint32_t width = p->orientation >= 5 ? p->height : p->width, height = p->orientation >= 5 ? p->width : p->height;
	const size_t plane = p->stride * p->height;
	const uint8_t *const rgb[3] = {p->planes + 2 * plane, p->planes, p->planes + plane};
	const uint8_t *from = p->native;
	if (planar && (p->upright || !p->wish->n_steps)) {
		sn_resize_planes(rgb, p->stride, p->width, p->height, p->native, p->width, p->height, SN_FILTER_BILINEAR, NULL, NULL);
		planar = false;
	}
	if (p->upright) {
		turn(p->native, p->width, p->height, p->orientation, p->upright);
		from = p->upright;
	}
	if (!p->wish->n_steps)
		memcpy(out, from, (size_t)width * height * 3);
	for (uint32_t i = 0; i < p->wish->n_steps; i++) {
		const sn_clip_step *s = &p->wish->steps[i];
		uint8_t *to = i + 1 < p->wish->n_steps ? p->step[i % 2] : out;
		if (planar && i == 0)
			sn_resize_planes(rgb, p->stride, width, height, to, s->width, s->height, (sn_filter)s->filter, p->native, p->scratch);
		else
			sn_resize_rgb(from, width, height, to, s->width, s->height, (sn_filter)s->filter, p->scratch);
		from = to;
		width = s->width;
		height = s->height;
	}
}

static int matrix_of(int space)
{
	switch (space) {
	case AVCOL_SPC_BT709: return SWS_CS_ITU709;
	case AVCOL_SPC_FCC: return SWS_CS_FCC;
	case AVCOL_SPC_SMPTE240M: return SWS_CS_SMPTE240M;
	case AVCOL_SPC_BT2020_NCL:
	case AVCOL_SPC_BT2020_CL: return SWS_CS_BT2020;
	default: return SWS_CS_ITU601;
	}
}

/* The converter for frames like this one. */
static bool convert_like(painter *p, const AVFrame *f, bool alpha)
{
	int space = matrix_of(f->colorspace), range = f->color_range == AVCOL_RANGE_JPEG;
	if (p->sws && p->sws_format == f->format && p->sws_space == space && p->sws_range == range)
		return true;
	sws_freeContext(p->sws);
	p->sws_format = f->format;
	p->sws_space = space;
	p->sws_range = range;
	p->sws = sws_getContext(f->width, f->height, f->format, f->width, f->height, alpha ? AV_PIX_FMT_RGBA : AV_PIX_FMT_GBRP, SWS_FLAGS, NULL, NULL, NULL);
	if (!p->sws)
		return false;
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
	if (!(d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL))) {
		range |= f->format == AV_PIX_FMT_YUVJ420P || f->format == AV_PIX_FMT_YUVJ422P || f->format == AV_PIX_FMT_YUVJ444P ||
		         f->format == AV_PIX_FMT_YUVJ440P || f->format == AV_PIX_FMT_YUVJ411P;
		sws_setColorspaceDetails(p->sws, sws_getCoefficients(space), range, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
	}
	return true;
}

sn_rc painter_frame(painter *p, const AVFrame *f, uint8_t *out)
{
	const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
	if (f->width != (int)p->width || f->height != (int)p->height)
		return kit_fail(p->in->fault, SN_RC_UNSUPPORTED, "the clip's pictures are not all of one size");
	bool alpha = d && d->flags & (AV_PIX_FMT_FLAG_ALPHA | AV_PIX_FMT_FLAG_PAL);
	if (!d || d->flags & AV_PIX_FMT_FLAG_HWACCEL || !convert_like(p, f, alpha))
		return kit_fail(p->in->fault, SN_RC_UNSUPPORTED, "pictures in this format are not read");
	const size_t plane = p->stride * p->height;
	uint8_t *packed[4] = {p->native}, *planes[4] = {p->planes, p->planes + plane, p->planes + 2 * plane};
	int wide[4] = {(int)p->width * 4}, narrow[4] = {(int)p->stride, (int)p->stride, (int)p->stride};
	if (sws_scale(p->sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, alpha ? packed : planes, alpha ? wide : narrow) != f->height)
		return kit_fail(p->in->fault, SN_RC_NOMEM, "no memory to decode the clip");
	if (alpha)
		flatten(p->native, (size_t)p->width * p->height);
	finish(p, !alpha, out);
	return SN_RC_OK;
}

sn_rc painter_rgba(painter *p, const uint8_t *rgba, uint8_t *out)
{
	memcpy(p->native, rgba, (size_t)p->width * p->height * 4);
	flatten(p->native, (size_t)p->width * p->height);
	finish(p, false, out);
	return SN_RC_OK;
}
