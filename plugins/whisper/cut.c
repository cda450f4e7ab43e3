/* cut.c - what becomes of a clip: frames, blocks, windows, rows, units of work. Arithmetic on sizes alone.
 *
 *   real frames of n samples: ceil(n / 160), at least the family's; where silence is encoded like sound, whole blocks
 *   rows of v real frames: (v + 1) / 2; then halved, or a stack's rows together
 *   Ultravox:     blocks of 30 s, the last one as long as it is; its rows up to a whole stack are computed if it is not the only one
 *   Voxtral:      blocks of 30 s, all of them whole
 *   Qwen2-Audio:  pieces of 30 s, each a clip of its own: the reference takes one and drops the rest, here the rest is heard
 *   Qwen2.5-Omni: blocks of 2 s, the last one shorter
 */
#include "whisper.h"

enum { FAR_SAMPLES = 300 * SN_LOGMEL_RATE };
static const uint64_t MAX_SAMPLES = (uint64_t)1 << 32; /* 74 hours */

whisper_units whisper_cut_units(const whisper_config *c)
{
	double e = c->embd, stacked = e * c->stack;
	uint32_t rows = c->block * c->blocks_per_window, out = c->family->means ? rows / 2 : (rows + c->stack - 1) / c->stack;
	whisper_units u;
	u.conv1 = kit_unit_rows(UNIT_FLOP, 2 * WHISPER_TAPS * e * c->n_mels, 2 * c->block);
	u.conv2 = kit_unit_rows(UNIT_FLOP, 2 * WHISPER_TAPS * e * e, c->block);
	u.qkv = kit_unit_rows(UNIT_FLOP, 2 * e * 3 * e, rows);
	u.mix = kit_unit_rows(UNIT_FLOP, 4.0 * c->block * e + 2 * e * e + 4 * e * c->ff, rows);
	u.project = kit_unit_rows(UNIT_FLOP, c->hidden ? 2 * stacked * c->hidden + 2.0 * c->hidden * c->row_dim : 2 * e * c->row_dim, out);
	return u;
}

static uint32_t at_most(uint64_t a, uint32_t b)
{
	return a < b ? (uint32_t)a : b;
}

uint64_t whisper_window_samples(const whisper_config *c)
{
	return (uint64_t)2 * c->n_ctx * SN_LOGMEL_HOP;
}

/* Real frames of a block: its part of the clip's, or its piece's own. */
static uint32_t real_frames(const whisper_config *c, const whisper_cut *cut, uint32_t block)
{
	uint32_t f = 2 * c->block, v = at_most(cut->frames - (uint64_t)block * f, f);
	return c->family->pieces && v < c->family->min_frames ? at_most(c->family->min_frames, f) : v;
}

whisper_block whisper_block_of(const whisper_config *c, const whisper_cut *cut, uint32_t block)
{
	uint32_t f = 2 * c->block, v = real_frames(c, cut, block);
	bool edge = c->family->tail == TAIL_EDGE || (c->family->tail == TAIL_ZEROS && cut->n_blocks == 1);
	whisper_block b = {.keys = (v + 1) / 2};
	b.rows = b.keys;
	if (c->family->tail == TAIL_ZEROS && !edge)
		b.rows = at_most(((uint64_t)b.keys + c->stack - 1) / c->stack * c->stack, c->block);
	b.conv = at_most(2 * (uint64_t)b.rows, edge ? v : f);
	b.mel = c->family->tail == TAIL_SILENCE ? at_most((uint64_t)v + 2, f) : v;
	return b;
}

whisper_window whisper_window_of(const whisper *w, const whisper_cut *cut, uint32_t window)
{
	const whisper_config *c = &w->config;
	const whisper_units *u = &w->units;
	whisper_window r = {.first = window * c->blocks_per_window};
	r.n_blocks = at_most(cut->n_blocks - r.first, c->blocks_per_window);
	for (uint32_t b = r.first; b < r.first + r.n_blocks; b++) {
		whisper_block block = whisper_block_of(c, cut, b);
		r.rows += block.rows;
		r.units += kit_parts(block.conv, u->conv1) + kit_parts(block.rows, u->conv2);
	}
	r.out = c->family->means ? r.rows / 2 : kit_parts(r.rows, c->stack);
	r.units += c->layers * (kit_parts(r.rows, u->qkv) + kit_parts(r.rows, u->mix)) + kit_parts(r.out, u->project);
	return r;
}

bool whisper_cut_clip(const whisper_config *c, uint64_t n, whisper_cut *cut)
{
	uint64_t f = (uint64_t)2 * c->block, window = whisper_window_samples(c), hop = SN_LOGMEL_HOP;
	if (n == 0 || n > MAX_SAMPLES)
		return false;
	*cut = (whisper_cut){.n = n, .frames = (n + hop - 1) / hop};
	if (cut->frames < c->family->min_frames)
		cut->frames = c->family->min_frames;
	if (c->family->whole)
		cut->frames = (cut->frames + f - 1) / f * f;
	cut->n_blocks = (uint32_t)((cut->frames + f - 1) / f);
	cut->n_windows = kit_parts(cut->n_blocks, c->blocks_per_window);
	if (c->family->single && cut->n_blocks > 1)
		return false;
	if (c->family->pad == PAD_HOPS)
		cut->n_padded = cut->frames * hop;
	else if (c->family->pad == PAD_FAR)
		cut->n_padded = (n + FAR_SAMPLES - 1) / FAR_SAMPLES * FAR_SAMPLES;
	else
		cut->n_padded = c->family->pieces ? window : (n + window - 1) / window * window;

	const whisper sizes = {.config = *c, .units = {1, 1, 1, 1, 1}};
	uint64_t rows = (uint64_t)(cut->n_windows - 1) * whisper_window_of(&sizes, cut, 0).out + whisper_window_of(&sizes, cut, cut->n_windows - 1).out;
	cut->n_rows = (uint32_t)rows;
	return rows > 0 && rows <= UINT32_MAX;
}

uint64_t whisper_count_units(const whisper *w, const whisper_cut *cut)
{
	return (uint64_t)(cut->n_windows - 1) * whisper_window_of(w, cut, 0).units + whisper_window_of(w, cut, cut->n_windows - 1).units;
}
