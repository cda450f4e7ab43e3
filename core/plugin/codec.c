#include "plugin/codec.h"

#include "plugin/isolate.h"

codec_run codec_begin(plugin_host *h, plugin *p, const sn_call *call, const void *bytes, size_t n)
{
	return (codec_run){.host = h, .p = p, .call = call, .bytes = bytes, .n = n, .file = -1};
}

void codec_end(codec_run *r, bool trusted)
{
	isolate_done(r, trusted);
}

sn_rc codec_measure(codec_run *r, const sn_media_limits *limits, sn_media *media, sn_fault *fault)
{
	if (r->host->isolate)
		return isolate_call(r, &(wire_call){.op = WIRE_MEASURE, .limits = *limits, .media = *media}, &(wire_out){.media = media}, fault);
	return r->p->decode->measure(r->p->instance, r->call, r->bytes, r->n, limits, media, fault);
}

sn_rc codec_decode(codec_run *r, const sn_media_limits *limits, sn_media *media, sn_fault *fault)
{
	if (r->host->isolate)
		return isolate_call(r, &(wire_call){.op = WIRE_DECODE, .n_samples = media->bytes, .limits = *limits, .media = *media},
		                    &(wire_out){.media = media, .samples = media->samples}, fault);
	return r->p->decode->decode(r->p->instance, r->call, r->bytes, r->n, limits, media, fault);
}

sn_rc codec_look(codec_run *r, const sn_clip_limits *limits, sn_clip_info *info, sn_fault *fault)
{
	if (r->host->isolate)
		return isolate_call(r, &(wire_call){.op = WIRE_LOOK, .clip = *limits, .info = *info}, &(wire_out){.info = info}, fault);
	return r->p->clip->look(r->p->instance, r->call, r->bytes, r->n, limits, info, fault);
}

sn_rc codec_times(codec_run *r, const sn_clip_limits *limits, double *seconds, uint32_t n_frames, sn_fault *fault)
{
	if (r->host->isolate)
		return isolate_call(r, &(wire_call){.op = WIRE_TIMES, .n_times = n_frames, .clip = *limits}, &(wire_out){.times = seconds}, fault);
	return r->p->clip->times(r->p->instance, r->call, r->bytes, r->n, limits, seconds, n_frames, fault);
}

sn_rc codec_read(codec_run *r, const sn_clip_limits *limits, const sn_clip_wish *wish, sn_media *media, sn_fault *fault)
{
	if (r->host->isolate)
		return isolate_call(r,
		                    &(wire_call){.op = WIRE_READ, .n_times = wish->n_frames, .n_frames = wish->n_frames, .n_samples = media->bytes,
		                                 .clip = *limits, .wish = *wish, .media = *media},
		                    &(wire_out){.media = media, .samples = media->samples, .times = media->timestamps, .frames = wish->frames}, fault);
	return r->p->clip->read(r->p->instance, r->call, r->bytes, r->n, limits, wish, media, fault);
}
