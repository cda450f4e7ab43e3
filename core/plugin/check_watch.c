/* check_watch.c - "sn.watch/1" under `plugins --check`: of clips of many kinds, described and not there, which frames are chosen, how they are
 * resized and what text is put around them; then the rows of groups of the size that it asked for. What it fills ends at a forbidden page. */
#include <stdlib.h>
#include <string.h>

#include "plugin/check.h"

enum { MOST = 1000, MAX_TEXT = 1 << 20, MAX_SIDE = 1 << 16, MAX_MARKER = 256, GROUPS_TRIED = 2 };

static const sn_clip_info CLIPS[] = {
    {.size = sizeof *CLIPS, .width = 64, .height = 48, .n_frames = 1},
    {.size = sizeof *CLIPS, .width = 1, .height = 1, .n_frames = 1, .seconds = 0.04, .fps = 25},
    {.size = sizeof *CLIPS, .width = 320, .height = 240, .n_frames = 2, .seconds = 7000, .fps = 2 / 7000.0},
    {.size = sizeof *CLIPS, .width = 321, .height = 177, .n_frames = 90, .seconds = 3.003, .fps = 29.97},
    {.size = sizeof *CLIPS, .width = 1080, .height = 1920, .n_frames = 300, .seconds = 10, .fps = 30, .has_sound = 1},
    {.size = sizeof *CLIPS, .width = 1920, .height = 1080, .n_frames = 10000, .seconds = 10000 / 24.0, .fps = 24},
    {.size = sizeof *CLIPS, .width = 7, .height = 999, .n_frames = 1 << 20, .seconds = 7200, .fps = (1 << 20) / 7200.0},
    {.size = sizeof *CLIPS, .width = 16384, .height = 1, .n_frames = 5, .seconds = 0, .fps = 0},
};
enum { N_CLIPS = sizeof CLIPS / sizeof *CLIPS };

static const sn_watch_options OPTIONS[] = {
    {.size = sizeof *OPTIONS},
    {.size = sizeof *OPTIONS, .fps = 2},
    {.size = sizeof *OPTIONS, .fps = 1000, .max_frames = 3},
    {.size = sizeof *OPTIONS, .fps = 1e-300},
    {.size = sizeof *OPTIONS, .fps = 0.5, .max_frames = 1},
    {.size = sizeof *OPTIONS, .max_frames = UINT32_MAX, .fps = 1e300},
    {.size = sizeof *OPTIONS, .start = 1, .end = 2.5},
    {.size = sizeof *OPTIONS, .start = 0.01},
    {.size = sizeof *OPTIONS, .start = 1e300},
    {.size = sizeof *OPTIONS, .end = 1e-300},
};
enum { N_OPTIONS = sizeof OPTIONS / sizeof *OPTIONS };

/* A clip as it was sampled. */
typedef struct sampled {
	const sn_clip_info *info;
	const sn_watch_options *options;
	sn_watch_sample sample;
	uint32_t frames[MOST];
} sampled;

/* ---- sample ---- */

/* frames [cap], which end at a forbidden page. */
static sn_rc ask_sample(life *l, const sn_clip_info *info, const sn_watch_options *o, uint32_t cap, sampled *out, sn_fault *fault)
{
	guarded frames = {0};
	*fault = (sn_fault){.size = sizeof *fault};
	*out = (sampled){.info = info, .options = o, .sample = {.size = sizeof out->sample}};
	if (!guarded_open(&frames, cap * sizeof(uint32_t))) {
		check_fails(l->c, "no memory for the frames");
		return SN_RC_NOMEM;
	}
	memset(frames.p, 0xFF, frames.n);
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = l->watch->sample(l->instance, NULL, info, o, cap, (uint32_t *)(void *)frames.p, &out->sample, fault);
	check_leave(l->c->host);
	if (!guarded_intact(&frames))
		check_fails(l->c, "%s: sample wrote before its frames", l->d->id);
	memcpy(out->frames, frames.p, frames.n);
	guarded_close(&frames);
	return rc;
}

static bool check_chosen(life *l, const sampled *s, uint32_t cap)
{
	const sn_watch_sample *c = &s->sample;
	if (!c->n_frames || c->n_frames > cap || !c->group || c->n_frames % c->group)
		return check_fails(l->c, "%s: sample chose %u frames in groups of %u, of at most %u", l->d->id, c->n_frames, c->group, cap);
	if (s->options->max_frames && c->n_frames > ((uint64_t)s->options->max_frames / c->group + 1) * c->group)
		return check_fails(l->c, "%s: sample chose %u frames where %u were allowed", l->d->id, c->n_frames, s->options->max_frames);
	for (uint32_t i = 0; i < c->n_frames; i++)
		if (s->frames[i] >= s->info->n_frames || (i && s->frames[i] < s->frames[i - 1]))
			return check_fails(l->c, "%s: sample chose frame %u of %u at place %u: not there, or not in order", l->d->id, s->frames[i],
			                   s->info->n_frames, i + 1);
	if (c->n_steps > SN_CLIP_MAX_STEPS)
		return check_fails(l->c, "%s: sample wants %u resizes", l->d->id, c->n_steps);
	for (uint32_t i = 0; i < c->n_steps; i++)
		if (!c->steps[i].width || !c->steps[i].height || c->steps[i].width > MAX_SIDE || c->steps[i].height > MAX_SIDE ||
		    c->steps[i].filter > SN_CLIP_LANCZOS3_TORCH)
			return check_fails(l->c, "%s: sample wants frames of %u x %u by filter %u", l->d->id, c->steps[i].width, c->steps[i].height, c->steps[i].filter);
	return true;
}

/* Chosen: SN_RC_OK. Refused: as it may be refused. again: room for a second choice. */
static bool check_sample(life *l, const sn_clip_info *info, const sn_watch_options *o, sampled *out, sampled *again, sn_rc *rc)
{
	sn_fault fault;
	*rc = ask_sample(l, info, o, MOST, out, &fault);
	if (check_failed(l->c))
		return false;
	if (*rc != SN_RC_OK)
		return check_fault(l->c, "sample", *rc, &fault) && (*rc == SN_RC_INVALID || *rc == SN_RC_TOO_LARGE || *rc == SN_RC_NOMEM ||
		                                                   check_fails(l->c, "%s: sample refuses a clip with %d", l->d->id, *rc));
	if (!check_chosen(l, out, MOST))
		return false;
	const uint32_t n = out->sample.n_frames;
	if (ask_sample(l, info, o, n, again, &fault) != SN_RC_OK || memcmp(&again->sample, &out->sample, sizeof again->sample) != 0 ||
	    memcmp(again->frames, out->frames, n * sizeof *again->frames) != 0)
		return check_fails(l->c, "%s: sample chose otherwise when asked again, with room for just these frames", l->d->id);
	sn_rc few = n > 1 ? ask_sample(l, info, o, n - 1, again, &fault) : SN_RC_TOO_LARGE;
	if (n > 1 && few != SN_RC_TOO_LARGE)
		return check_fails(l->c, "%s: sample gives %d where there is no room for its frames, not SN_RC_TOO_LARGE", l->d->id, few);
	return n == 1 || check_fault(l->c, "sample", few, &fault);
}

/* ---- layout ---- */

typedef struct told {
	guarded text, holes;
} told;

static void told_close(told *t)
{
	guarded_close(&t->text);
	guarded_close(&t->holes);
}

static bool lay_out(life *l, const sn_watch_clip *clip, uint8_t fill, told *out)
{
	const uint32_t n = clip->sample->n_frames / clip->sample->group;
	uint32_t size = 0;
	sn_fault fault = {.size = sizeof fault};
	*out = (told){0};
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = l->watch->layout(l->instance, NULL, clip, NULL, &size, NULL, &fault);
	check_leave(l->c->host);
	if (rc == SN_RC_NOMEM && check_host_starved(l->c->host))
		return false;
	if (rc != SN_RC_OK || size > MAX_TEXT)
		return check_fails(l->c, "%s: layout wants %u bytes of text, or failed with %d: %.200s", l->d->id, size, rc, fault.text);
	if (!guarded_open(&out->text, size) || !guarded_open(&out->holes, n * sizeof(uint32_t)))
		return check_fails(l->c, "no memory for the text");
	memset(out->text.p, fill, size);
	memset(out->holes.p, 0xFF, out->holes.n);
	uint32_t said = size;
	check_enter(l->c->host, IN_ANY);
	rc = l->watch->layout(l->instance, NULL, clip, (char *)out->text.p, &said, (uint32_t *)(void *)out->holes.p, &fault);
	check_leave(l->c->host);
	if (rc == SN_RC_NOMEM && check_host_starved(l->c->host))
		return false;
	if (rc != SN_RC_OK || said != size)
		return check_fails(l->c, "%s: layout wrote %u bytes of the %u that it had asked for, or failed with %d: %.200s", l->d->id, said, size, rc, fault.text);
	if (!guarded_intact(&out->text) || !guarded_intact(&out->holes))
		return check_fails(l->c, "%s: layout wrote beside its text or holes", l->d->id);
	uint32_t last = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at;
		memcpy(&at, out->holes.p + i * sizeof at, sizeof at);
		if (at < last || at > size)
			return check_fails(l->c, "%s: hole %u of %u is at byte %u of %u, behind one at %u", l->d->id, i + 1, n, at, size, last);
		last = at;
	}
	return !size || !memchr(out->text.p, 0, size) || check_fails(l->c, "%s: the clip's text holds a NUL, or was not filled", l->d->id);
}

static bool check_told(life *l, const sampled *s)
{
	const uint32_t n = s->sample.n_frames;
	double *seconds = calloc(n, sizeof *seconds);
	told a = {0}, b = {0};
	if (!seconds)
		return check_fails(l->c, "no memory for the times");
	for (uint32_t i = 0; i < n; i++)
		seconds[i] = s->info->fps > 0 ? s->frames[i] / s->info->fps : 0;
	const sn_watch_clip clip = {.size = sizeof clip, .info = s->info, .options = s->options, .sample = &s->sample, .frames = s->frames, .seconds = seconds};
	bool ok = lay_out(l, &clip, 0, &a) && lay_out(l, &clip, 'x', &b);
	if (ok && (a.text.n != b.text.n || memcmp(a.text.p, b.text.p, a.text.n) != 0 || memcmp(a.holes.p, b.holes.p, a.holes.n) != 0))
		ok = check_fails(l->c, "%s: layout gave another text when asked again, or left some of it unfilled", l->d->id);
	told_close(&a);
	told_close(&b);
	free(seconds);
	return ok;
}

/* ---- groups ---- */

/* Rows of one group of the size that was asked for, which is a medium of its own. */
static bool check_group(life *l, const sampled *s, uint8_t shade, size_t *used)
{
	const sn_clip_step *last = s->sample.n_steps ? &s->sample.steps[s->sample.n_steps - 1] : NULL;
	sn_media m = {.size = sizeof m, .kind = SN_MEDIA_VIDEO, .width = last ? last->width : s->info->width, .height = last ? last->height : s->info->height,
	              .n_frames = s->sample.group};
	sn_media_plan p = {.size = sizeof p};
	sn_fault fault = {.size = sizeof fault};
	size_t before = *used;
	m.bytes = (uint64_t)m.width * m.height * 3 * m.n_frames;
	uint8_t *samples = m.samples = malloc(m.bytes);
	if (!samples)
		return check_fails(l->c, "no memory for a group");
	for (uint64_t i = 0; i < m.bytes; i++)
		samples[i] = (uint8_t)(i / 3 % m.width * 200 / m.width + shade);
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = l->plan->plan(l->instance, NULL, &m, &p, &fault);
	check_leave(l->c->host);
	bool ok = true;
	if (rc != SN_RC_OK)
		ok = check_fails(l->c, "%s: a group of the size that it asked for is not planned: %.200s", l->d->id, fault.text);
	else if (p.n_holes != 1 || p.text_size)
		ok = check_fails(l->c, "%s: the plan of a group has text, or other than one hole", l->d->id);
	ok = ok && check_rows_of(l, &m, used);
	if (ok && *used == before)
		ok = check_fails(l->c, "%s: it does not take the groups that it asked for", l->d->id);
	free(samples);
	return ok;
}

/* ---- the check ---- */

static bool watch_all(life *l, sampled s[2], size_t *chosen, size_t *used)
{
	sn_rc rc;
	const char *marker = l->watch->marker(l->instance);
	if (!marker || !*marker || strlen(marker) > MAX_MARKER)
		return check_fails(l->c, "%s: clips have no marker, or a long one", l->d->id);
	for (size_t i = 0; i < N_CLIPS * N_OPTIONS; i++) {
		if (!check_sample(l, &CLIPS[i / N_OPTIONS], &OPTIONS[i % N_OPTIONS], &s[0], &s[1], &rc))
			return false;
		if (rc == SN_RC_OK && !check_told(l, &s[0]))
			return false;
		if (rc == SN_RC_OK && *used < GROUPS_TRIED && !check_group(l, &s[0], (uint8_t)(i * 20), used))
			return false;
		if (rc != SN_RC_OK && i % N_OPTIONS == 0)
			return check_fails(l->c, "%s: a clip of %u frames is refused as it is", l->d->id, CLIPS[i / N_OPTIONS].n_frames);
		*chosen += rc == SN_RC_OK;
	}
	return true;
}

void check_watches(check *c)
{
	size_t chosen = 0, used = 0;
	sampled *room = calloc(2, sizeof *room);
	if (!room)
		check_fails(c, "no memory for the frames");
	for (uint32_t d = 0; d < c->list->n_plugins && !check_failed(c); d++) {
		life l = {0};
		if (!c->list->plugins[d]->extension(SN_EXT_WATCH))
			continue;
		if (life_start(&l, c, c->list->plugins[d])) {
			size_t held = check_host_held(c->host);
			if (watch_all(&l, room, &chosen, &used) && check_host_held(c->host) != held)
				check_fails(c, "%s: %zu bytes are left behind by its calls", l.d->id, check_host_held(c->host) - held);
		}
		life_close(&l);
	}
	free(room);
	if (!check_failed(c))
		snprintf(c->out->text, sizeof c->out->text, "%zu clips", chosen);
}

bool check_pass_watcher(life *l)
{
	sampled *s = malloc(sizeof *s);
	sn_fault fault;
	if (!s)
		return check_fails(l->c, "no memory for the frames");
	sn_rc rc = ask_sample(l, &CLIPS[3], &OPTIONS[1], MOST, s, &fault);
	if (rc != SN_RC_OK)
		check_fault(l->c, "sample", rc, &fault);
	else if (check_chosen(l, s, MOST))
		check_told(l, s);
	free(s);
	return !check_failed(l->c);
}
