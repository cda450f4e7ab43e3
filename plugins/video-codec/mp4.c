/* mp4.c - the boxes of an MP4 or QuickTime file, before libavformat reads them.
 *
 * Its tables claim sizes: one sample size for 2^32 samples takes no byte of the file and gigabytes of an index. So each table that is
 * read must be as large as it says, and what it stands for is counted against MAX_PACKETS. Tracks of codecs that are not read
 * here, boxes that are of no use here (tags, encryption, compressed headers, items of still pictures) and what nobody has heard of are
 * hidden: libavformat gets to see them as "free". A track whose bytes are in another file is refused.
 *
 *   moov: mvhd mvex/trex trak: tkhd edts/elst mdia: mdhd hdlr minf: dinf/dref stbl: stsd stts ctts stss stps stsc stsz stz2 stco co64
 *   moof: mfhd traf: tfhd tfdt trun
 */
#include <string.h>

#include "container.h"

enum { MAX_EDITS = 64, MAX_CHUNKED = 1 << 29 };

typedef struct box {
	const uint8_t *p; /* content, [n] */
	size_t n, at;     /* at: of its four letters in the file */
	uint32_t type;
} box;

#define FOUR(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

typedef struct walk {
	const uint8_t *bytes;
	patches *hide;
	sn_fault *fault;
	uint32_t n_tracks, n_kept;
	uint64_t n_samples;  /* of all tables */
	bool moov;
	const char *unread; /* how a track is coded that is not read */
	/* the track that is being walked */
	uint64_t samples, edits, most_chunk, n_chunks;
	bool sound, keep, one_each; /* one_each: each sample lasts one tick: PCM, whose index is by chunks */
} walk;

static sn_rc damaged(walk *w) { return kit_fail(w->fault, SN_RC_INVALID, "the file is damaged"); }
static sn_rc too_many(walk *w) { return kit_fail(w->fault, SN_RC_TOO_LARGE, "the file has more samples than allowed"); }

/* The next box of [*p, end). *got false: no more. A last one of the file may go to its end. */
static sn_rc next_box(walk *w, const uint8_t **p, const uint8_t *end, bool outermost, box *b, bool *got)
{
	size_t left = (size_t)(end - *p), head = 8;
	*got = left >= 8;
	if (!*got)
		return SN_RC_OK; /* fewer bytes than a box has: QuickTime ends lists so */
	uint64_t size = u32_be(*p);
	*b = (box){.type = u32_be(*p + 4), .at = (size_t)(*p + 4 - w->bytes)};
	if (size == 1) {
		head = 16;
		if (left < 16)
			return damaged(w);
		size = u64_be(*p + 8);
	} else if (size == 0) {
		if (!outermost)
			return *got = false, SN_RC_OK;
		size = left;
	}
	if (size < head)
		return damaged(w);
	if (size > left)
		return outermost ? kit_fail(w->fault, SN_RC_INVALID, "the file ends early") : damaged(w);
	b->p = *p + head;
	b->n = (size_t)size - head;
	*p += size;
	return SN_RC_OK;
}

static sn_rc hide_box(walk *w, const box *b)
{
	if (w->hide->n == MAX_PATCHES)
		return kit_fail(w->fault, SN_RC_UNSUPPORTED, "the file has too many boxes that are not read");
	w->hide->at[w->hide->n++] = b->at;
	return SN_RC_OK;
}

/* A table: version and flags, its count at `at`, entries of `each` bytes behind it. False: they are not there. */
static bool table(const box *b, size_t offset, uint64_t each, uint32_t *count)
{
	if (b->n < offset + 4)
		return false;
	*count = u32_be(b->p + offset);
	return *count * each <= b->n - offset - 4;
}

/* Runs of samples: the sum of the first numbers of entries of 8 bytes. */
static sn_rc runs(walk *w, const box *b)
{
	uint32_t count;
	uint64_t sum = 0;
	if (!table(b, 4, 8, &count))
		return damaged(w);
	for (uint32_t i = 0; i < count; i++)
		sum += u32_be(b->p + 8 + (size_t)i * 8);
	if (w->sound && b->type == FOUR('s', 't', 't', 's') && count == 1 && u32_be(b->p + 12) == 1)
		w->one_each = true;
	else if (sum > MAX_PACKETS)
		return too_many(w);
	return SN_RC_OK;
}

static sn_rc sizes(walk *w, const box *b)
{
	uint32_t count, bits = 0, one = 0;
	if (b->n < 12)
		return damaged(w);
	if (b->type == FOUR('s', 't', 's', 'z'))
		one = u32_be(b->p + 4);
	else
		bits = b->p[7];
	if (!table(b, 8, 0, &count) || (b->type == FOUR('s', 't', 's', 'z') && !one && !table(b, 8, 4, &count)))
		return damaged(w);
	if (bits && ((bits != 4 && bits != 8 && bits != 16) || ((uint64_t)count * bits + 7) / 8 > b->n - 12))
		return damaged(w);
	w->samples += count;
	return SN_RC_OK;
}

static sn_rc chunks(walk *w, const box *b)
{
	uint32_t count;
	if (!table(b, 4, 12, &count))
		return damaged(w);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t each = u32_be(b->p + 8 + (size_t)i * 12 + 4);
		w->most_chunk = each > w->most_chunk ? each : w->most_chunk;
	}
	return SN_RC_OK;
}

static const struct {
	char type[5];
	bool sound;
} READ[] = {
    {"avc1", 0}, {"avc2", 0}, {"avc3", 0}, {"avc4", 0}, {"hvc1", 0}, {"hev1", 0}, {"dvh1", 0}, {"dvhe", 0}, {"vp08", 0}, {"vp09", 0},
    {"av01", 0}, {"mp4v", 0}, {"jpeg", 0}, {"mjpg", 0}, {"mp4a", 1}, {".mp3", 1}, {"Opus", 1}, {"fLaC", 1}, {"alac", 1}, {"ac-3", 1},
    {"ec-3", 1}, {"sowt", 1}, {"twos", 1}, {"lpcm", 1}, {"in24", 1}, {"in32", 1}, {"fl32", 1}, {"ulaw", 1}, {"alaw", 1}, {"raw ", 1},
};

/* Those whose names are known, so that a refusal can tell. */
static const struct {
	char type[5], name[20];
} UNREAD[] = {
    {"mjp2", "JPEG 2000"}, {"iamf", "IAMF"}, {"apcn", "ProRes"}, {"apch", "ProRes"}, {"apcs", "ProRes"}, {"apco", "ProRes"}, {"ap4h", "ProRes"},
    {"encv", "encrypted pictures"}, {"enca", "encrypted sound"}, {"s263", "H.263"}, {"SVQ3", "Sorenson Video"}, {"vvc1", "VVC"}, {"samr", "AMR"},
    {"ac-4", "AC-4"}, {"mhm1", "MPEG-H"}, {"tx3g", "text"}, {"wvtt", "text"}, {"stpp", "text"},
};

/* All descriptions of a track must be of codecs that are read. */
static sn_rc descriptions(walk *w, const box *b)
{
	uint32_t count;
	const uint8_t *p = b->p + 8, *end = b->p + b->n;
	if (!table(b, 4, 8, &count))
		return damaged(w);
	w->keep = count > 0 && count <= 8;
	for (uint32_t i = 0; i < count && w->keep; i++) {
		box e;
		bool got, known = false;
		KIT_TRY(next_box(w, &p, end, false, &e, &got));
		for (size_t k = 0; got && k < sizeof READ / sizeof *READ; k++)
			known |= e.type == u32_be((const uint8_t *)READ[k].type) && READ[k].sound == w->sound;
		w->keep = known;
		for (size_t k = 0; !known && got && k < sizeof UNREAD / sizeof *UNREAD; k++)
			if (e.type == u32_be((const uint8_t *)UNREAD[k].type))
				w->unread = UNREAD[k].name;
	}
	return SN_RC_OK;
}

/* Where a track's bytes are: in this file, or else it is refused. */
static sn_rc references(walk *w, const box *b)
{
	uint32_t count;
	const uint8_t *p = b->p + 8, *end = b->p + b->n;
	if (!table(b, 4, 12, &count))
		return damaged(w);
	for (uint32_t i = 0; i < count; i++) {
		box e;
		bool got;
		KIT_TRY(next_box(w, &p, end, false, &e, &got));
		if (!got || e.n < 4)
			return damaged(w);
		if (!(e.p[3] & 1) && e.n > 4)
			return kit_fail(w->fault, SN_RC_UNSUPPORTED, "the file refers to other files");
	}
	return SN_RC_OK;
}

static sn_rc handler(walk *w, const box *b)
{
	if (b->n >= 12)
		w->sound = u32_be(b->p + 8) == FOUR('s', 'o', 'u', 'n');
	return SN_RC_OK;
}

static sn_rc edits(walk *w, const box *b)
{
	uint32_t count;
	if (!table(b, 4, b->n && b->p[0] == 1 ? 20 : 12, &count))
		return damaged(w);
	w->edits += count;
	return SN_RC_OK;
}

static sn_rc offsets(walk *w, const box *b)
{
	uint32_t count;
	if (!table(b, 4, b->type == FOUR('c', 'o', '6', '4') ? 8 : 4, &count))
		return damaged(w);
	w->n_chunks += count;
	return SN_RC_OK;
}

static sn_rc words(walk *w, const box *b)
{
	uint32_t count;
	return table(b, 4, 4, &count) ? SN_RC_OK : damaged(w);
}

static sn_rc fragment_run(walk *w, const box *b)
{
	if (b->n < 8)
		return damaged(w);
	uint32_t flags = u32_be(b->p) & 0xFFFFFF, count = u32_be(b->p + 4);
	uint64_t each = 4ull * (!!(flags & 0x100) + !!(flags & 0x200) + !!(flags & 0x400) + !!(flags & 0x800));
	if (count * each > b->n - 8)
		return damaged(w);
	w->n_samples += count;
	return w->n_samples > MAX_PACKETS ? too_many(w) : SN_RC_OK;
}

static sn_rc as_it_is(walk *w, const box *b) { return (void)w, (void)b, SN_RC_OK; }

/* ---- the tree: in each kind of box, who may stand, and what is looked at ---- */

typedef struct rule {
	char type[5];
	sn_rc (*look)(walk *w, const box *b);
	const struct rule *inside; /* up to one without a type; NULL: it holds no boxes */
} rule;

static const rule STBL[] = {{"stsd", descriptions, NULL}, {"stts", runs, NULL}, {"ctts", runs, NULL}, {"stss", words, NULL},
                            {"stps", words, NULL}, {"stsc", chunks, NULL}, {"stsz", sizes, NULL}, {"stz2", sizes, NULL},
                            {"stco", offsets, NULL}, {"co64", offsets, NULL}, {"cslg", as_it_is, NULL}, {"sdtp", as_it_is, NULL},
                            {"", NULL, NULL}};
static const rule DINF[] = {{"dref", references, NULL}, {"", NULL, NULL}};
static const rule MINF[] = {{"vmhd", as_it_is, NULL}, {"smhd", as_it_is, NULL}, {"hdlr", as_it_is, NULL}, {"dinf", NULL, DINF},
                            {"stbl", NULL, STBL}, {"", NULL, NULL}};
static const rule MDIA[] = {{"mdhd", as_it_is, NULL}, {"hdlr", handler, NULL}, {"elng", as_it_is, NULL}, {"minf", NULL, MINF}, {"", NULL, NULL}};
static const rule EDTS[] = {{"elst", edits, NULL}, {"", NULL, NULL}};
static const rule TRAK[] = {{"tkhd", as_it_is, NULL}, {"edts", NULL, EDTS}, {"mdia", NULL, MDIA}, {"", NULL, NULL}};
static const rule MVEX[] = {{"mehd", as_it_is, NULL}, {"trex", as_it_is, NULL}, {"", NULL, NULL}};
static const rule TRAF[] = {{"tfhd", as_it_is, NULL}, {"tfdt", as_it_is, NULL}, {"trun", fragment_run, NULL}, {"", NULL, NULL}};
static const rule MOOF[] = {{"mfhd", as_it_is, NULL}, {"traf", NULL, TRAF}, {"", NULL, NULL}};

static bool is_free(uint32_t type)
{
	return type == FOUR('f', 'r', 'e', 'e') || type == FOUR('s', 'k', 'i', 'p') || type == FOUR('w', 'i', 'd', 'e');
}

static const rule *find(const rule *rules, uint32_t type)
{
	while (rules->type[0] && u32_be((const uint8_t *)rules->type) != type)
		rules++;
	return rules->type[0] ? rules : NULL;
}

static sn_rc walk_inside(walk *w, const uint8_t *p, size_t n, const rule *rules)
{
	const uint8_t *end = p + n;
	for (bool got = true; got;) {
		box b;
		KIT_TRY(next_box(w, &p, end, false, &b, &got));
		const rule *r = got ? find(rules, b.type) : NULL;
		if (r && r->look)
			KIT_TRY(r->look(w, &b));
		if (r && r->inside)
			KIT_TRY(walk_inside(w, b.p, b.n, r->inside)); /* as deep as the rules, no deeper */
		if (got && !r && !is_free(b.type))
			KIT_TRY(hide_box(w, &b));
	}
	return SN_RC_OK;
}

static sn_rc walk_track(walk *w, const box *b)
{
	size_t hidden = w->hide->n;
	w->samples = w->edits = w->most_chunk = w->n_chunks = 0;
	w->sound = w->keep = w->one_each = false;
	KIT_TRY(walk_inside(w, b->p, b->n, TRAK));
	if (++w->n_tracks > 64)
		return kit_fail(w->fault, SN_RC_TOO_LARGE, "the file has more tracks than allowed");
	if (!w->keep) {
		w->hide->n = hidden; /* the whole of it goes */
		return hide_box(w, b);
	}
	if (++w->n_kept > MAX_STREAMS)
		return kit_fail(w->fault, SN_RC_TOO_LARGE, "the file has more tracks than allowed");
	uint64_t chunked;
	if (w->edits > MAX_EDITS || __builtin_mul_overflow(w->most_chunk, w->n_chunks, &chunked))
		return too_many(w);
	if (w->one_each && w->sound) /* read by chunks */
		return chunked > MAX_CHUNKED ? too_many(w) : SN_RC_OK;
	w->n_samples += w->samples * (w->edits ? w->edits : 1);
	return w->samples > MAX_PACKETS || w->n_samples > MAX_PACKETS ? too_many(w) : SN_RC_OK;
}

static sn_rc walk_moov(walk *w, const box *moov)
{
	const uint8_t *p = moov->p, *end = moov->p + moov->n;
	for (bool got = true; got;) {
		box b;
		KIT_TRY(next_box(w, &p, end, false, &b, &got));
		if (!got)
			break;
		if (b.type == FOUR('t', 'r', 'a', 'k'))
			KIT_TRY(walk_track(w, &b));
		else if (b.type == FOUR('m', 'v', 'e', 'x'))
			KIT_TRY(walk_inside(w, b.p, b.n, MVEX));
		else if (b.type != FOUR('m', 'v', 'h', 'd') && !is_free(b.type))
			KIT_TRY(hide_box(w, &b));
	}
	w->moov = true;
	return SN_RC_OK;
}

sn_rc mp4_check(const uint8_t *bytes, size_t n, patches *hide, sn_fault *fault)
{
	walk w = {.bytes = bytes, .hide = hide, .fault = fault};
	const uint8_t *p = bytes, *end = bytes + n;
	for (bool got = true; got;) {
		box b;
		KIT_TRY(next_box(&w, &p, end, true, &b, &got));
		if (!got)
			break;
		switch (b.type) {
		case FOUR('m', 'o', 'o', 'v'):
			if (w.moov)
				return kit_fail(fault, SN_RC_INVALID, "the file is damaged");
			KIT_TRY(walk_moov(&w, &b));
			break;
		case FOUR('m', 'o', 'o', 'f'): {
			size_t hidden = hide->n;
			KIT_TRY(walk_inside(&w, b.p, b.n, MOOF));
			hide->n = hidden; /* what fragments hold beside is small and skipped; there are too many to hide */
			break;
		}
		case FOUR('f', 't', 'y', 'p'):
		case FOUR('s', 't', 'y', 'p'):
		case FOUR('m', 'd', 'a', 't'):
		case FOUR('s', 'i', 'd', 'x'):
		case FOUR('m', 'f', 'r', 'a'):
			break;
		default:
			if (!is_free(b.type) && (!w.moov || b.type == FOUR('m', 'e', 't', 'a') || b.type == FOUR('u', 'u', 'i', 'd')) && hide->n < MAX_PATCHES)
				KIT_TRY(hide_box(&w, &b));
		}
	}
	if (!w.moov)
		return kit_fail(fault, SN_RC_INVALID, "the file ends early");
	if (!w.n_kept && w.unread)
		return kit_fail(fault, SN_RC_UNSUPPORTED, "the file's track is coded as %s, which is not read here", w.unread);
	if (!w.n_kept)
		return kit_fail(fault, w.n_tracks ? SN_RC_UNSUPPORTED : SN_RC_INVALID,
		                w.n_tracks ? "the file's tracks are coded in ways that are not read here" : "the file has no tracks");
	return SN_RC_OK;
}
