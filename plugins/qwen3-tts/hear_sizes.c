/* hear_sizes.c - the tensors of what hears whom to speak like, under llama.cpp's names; their shapes tell its sizes. */
#include <stdio.h>

#include "qwen3_tts.h"

typedef struct reader {
	kit_binder b;
	tts *s;
} reader;

/* The dimension `at` of a convolution's weights [out][in][taps]. */
static uint32_t size_of(reader *r, const char *name, uint32_t at, uint32_t max)
{
	uint64_t shape[4] = {0};
	uint32_t n = r->b.weights->shape(r->b.model, name, shape);
	if (n == 2)
		shape[2] = 1;
	if (r->b.rc != SN_RC_OK)
		return 1;
	if (n < 2 || n > 3 || shape[at] < 1 || shape[at] > max)
		r->b.rc = kit_fail(r->b.fault, SN_RC_INVALID, "tensor %s is missing, no convolution, or %llu is not from 1 to %u", name,
		                   (unsigned long long)shape[at], max);
	return r->b.rc == SN_RC_OK ? (uint32_t)shape[at] : 1;
}

static uint32_t count(const reader *r, const char *format, uint32_t first, uint32_t max) __attribute__((format(printf, 2, 0)));
static uint32_t count(const reader *r, const char *format, uint32_t first, uint32_t max)
{
	char name[64];
	uint64_t unused[4];
	uint32_t n = 0;
	while (n <= max && snprintf(name, sizeof name, format, first + n) > 0 && r->b.weights->shape(r->b.model, name, unused))
		n++;
	return n;
}

static void read_sizes(reader *r)
{
	spk *e = &r->s->ear;
	const uint32_t most = 8192;
	e->bins = size_of(r, "a.conv1d.0.weight", 1, most);
	e->channels = size_of(r, "a.conv1d.0.weight", 0, most);
	e->stem_taps = size_of(r, "a.conv1d.0.weight", 2, 15);
	e->squeezed = size_of(r, "a.blk.1.se_conv1.weight", 0, most);
	e->taps = size_of(r, "a.blk.1.res2.0.weight", 2, 15);
	e->joined = size_of(r, "a.conv_out.weight", 0, most);
	e->attended = size_of(r, "a.asp_tdnn.weight", 0, most);
	e->dim = size_of(r, "mm.a.fc.weight", 0, 1 << 16);
	e->n_blocks = count(r, "a.blk.%u.conv_pw1.weight", 1, SPK_MAX_BLOCKS);
	e->scale = 1 + count(r, "a.blk.1.res2.%u.weight", 0, SPK_MAX_SCALE);
	if (r->b.rc == SN_RC_OK && (e->n_blocks < 1 || e->n_blocks > SPK_MAX_BLOCKS || e->scale > SPK_MAX_SCALE || e->channels % e->scale || e->bins != MEL_BINS ||
	                            e->stem_taps % 2 == 0 || e->taps % 2 == 0))
		r->b.rc = kit_fail(r->b.fault, SN_RC_INVALID, "a speaker encoder of %u blocks, %u channels in %u parts, %u bins (%d are known), %u and %u taps", e->n_blocks,
		                   e->channels, e->scale, e->bins, MEL_BINS, e->stem_taps, e->taps);
}

/* A recording is mirrored at its ends by as many frames as a convolution looks at there. */
static void read_dilations(reader *r)
{
	spk *e = &r->s->ear;
	int32_t list[SPK_MAX_BLOCKS];
	uint32_t n = r->b.weights->get_i32_array(r->b.model, "clip.audio.dilations", list, SPK_MAX_BLOCKS), most = e->stem_taps / 2;
	if (r->b.rc == SN_RC_OK && n && n != e->n_blocks)
		r->b.rc = kit_fail(r->b.fault, SN_RC_INVALID, "clip.audio.dilations: %u of them for %u blocks", n, e->n_blocks);
	for (uint32_t i = 0; i < e->n_blocks && r->b.rc == SN_RC_OK; i++) {
		int32_t d = n ? list[i] : (int32_t)i + 2; /* as published */
		if (d < 1 || d > 64)
			r->b.rc = kit_fail(r->b.fault, SN_RC_INVALID, "clip.audio.dilations[%u] = %d: must be 1 to 64", i, d);
		e->blocks[i].dilation = (uint32_t)d;
		most = (uint32_t)d * (e->taps / 2) > most ? (uint32_t)d * (e->taps / 2) : most;
	}
	e->least = (most + 1) * MEL_HOP;
	e->least = e->least > MEL_PAD ? e->least : MEL_PAD + 1;
}

static void bind_block(reader *r, uint32_t i)
{
	spk *e = &r->s->ear;
	spk_block *b = &e->blocks[i];
	const uint64_t c = e->channels, part = c / e->scale;
	const struct { const char *name; const sn_weight **at; uint64_t n_out, n_in; } all[] = {
	    {"conv_pw1", &b->tdnn1, c, c}, {"conv_pw2", &b->tdnn2, c, c}, {"se_conv1", &b->squeeze, e->squeezed, c}, {"se_conv2", &b->excite, c, e->squeezed}};
	char name[64];
	for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
		snprintf(name, sizeof name, "a.blk.%u.%s", i + 1, all[k].name);
		*all[k].at = kit_bind_linear(&r->b, name, true, all[k].n_out, all[k].n_in);
	}
	for (uint32_t k = 0; k + 1 < e->scale; k++) {
		snprintf(name, sizeof name, "a.blk.%u.res2.%u", i + 1, k);
		b->parts[k] = kit_bind_conv1d(&r->b, name, part, part, e->taps);
	}
}

sn_rc tts_bind_ear(tts *s, const sn_model *model, sn_fault *fault)
{
	reader r = {{s->host.weights, model, fault, SN_RC_OK}, s};
	spk *e = &s->ear;
	uint64_t unused[4];
	*e = (spk){0};
	if (!s->host.weights->shape(model, "a.conv1d.0.weight", unused))
		return SN_RC_OK;
	read_sizes(&r);
	read_dilations(&r);
	if (r.b.rc != SN_RC_OK)
		return r.b.rc;
	e->stem = kit_bind_conv1d(&r.b, "a.conv1d.0", e->channels, e->bins, e->stem_taps);
	for (uint32_t i = 0; i < e->n_blocks && r.b.rc == SN_RC_OK; i++)
		bind_block(&r, i);
	e->join = kit_bind_linear(&r.b, "a.conv_out", true, e->joined, (uint64_t)e->n_blocks * e->channels);
	e->tdnn = kit_bind_linear(&r.b, "a.asp_tdnn", true, e->attended, 3 * (uint64_t)e->joined);
	e->attention = kit_bind_linear(&r.b, "a.asp_attn", true, e->joined, e->attended);
	e->out = kit_bind_linear(&r.b, "mm.a.fc", true, e->dim, 2 * (uint64_t)e->joined);
	mel_init(&s->mel);
	return r.b.rc;
}
