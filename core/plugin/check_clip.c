/* check_clip.c - "sn.clip/1" under `plugins --check`: clips looked at and read twice, frames alone and together, wishes that make no sense,
 * limits at their edges, a deadline, garbage. Input ends at a forbidden page and is read-only; what is written to ends at one too. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/check.h"

enum { TRIED = 8, THREADS = 4, ROUNDS = 4, LARGE = 1200, SLOW_MS = 200, SLACK_MS = 1500 };

/* What garbage may claim. */
static const sn_clip_limits SMALL = {.size = sizeof SMALL, .max_ms = 5000, .max_width = 4096, .max_height = 4096, .max_pixels = 1 << 20,
                                     .max_track_frames = 10000, .max_seconds = 3600, .max_bytes = 1 << 26, .max_frames = 256};
static const sn_clip_limits NONE = {.size = sizeof NONE};

/* ---- calls ---- */

static bool refusal(life *l, const char *call, sn_rc rc, const sn_fault *fault)
{
	return check_fault(l->c, call, rc, fault) &&
	       (rc != SN_RC_INTERNAL || check_fails(l->c, "a file is blamed on the plugin itself (SN_RC_INTERNAL): %.200s", fault->text));
}

static sn_rc look(life *l, const guarded *in, const sn_clip_limits *limits, sn_clip_info *info, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	*info = (sn_clip_info){.size = sizeof *info};
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = l->clip->look(l->instance, NULL, in->p, in->n, limits, info, fault);
	check_leave(l->c->host);
	return rc;
}

/* Frames as they were asked for, and when they are shown. */
typedef struct reading {
	guarded samples, times;
	sn_media media;
} reading;

static void reading_close(reading *r)
{
	guarded_close(&r->samples);
	guarded_close(&r->times);
}

static double time_of(const reading *r, uint32_t i)
{
	double t;
	memcpy(&t, r->times.p + i * sizeof t, sizeof t);
	return t;
}

static sn_rc read_once(life *l, const guarded *in, const sn_clip_limits *limits, const sn_clip_info *info, const sn_clip_wish *wish, uint8_t fill,
                       reading *out, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	*out = (reading){.media = {.size = sizeof out->media}};
	if (!sn_clip_shape(info, wish, &out->media) || !guarded_open(&out->samples, out->media.bytes) ||
	    !guarded_open(&out->times, wish->n_frames * sizeof(double))) {
		check_fails(l->c, "no memory for the frames");
		return SN_RC_NOMEM;
	}
	memset(out->samples.p, fill, out->samples.n);
	memset(out->times.p, 0xFF, out->times.n); /* NaN */
	out->media.samples = out->samples.p;
	out->media.timestamps = (double *)(void *)out->times.p;
	const sn_media before = out->media;
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = l->clip->read(l->instance, NULL, in->p, in->n, limits, wish, &out->media, fault);
	check_leave(l->c->host);
	if (!guarded_intact(&out->samples) || !guarded_intact(&out->times))
		check_fails(l->c, "read wrote before its samples or timestamps");
	if (memcmp(&before, &out->media, sizeof before) != 0)
		check_fails(l->c, "read changed the shape that it was asked for");
	return rc;
}

/* ---- what look and times say ---- */

static bool believable(life *l, const sn_clip_info *i, const sn_clip_limits *limits)
{
	if (!i->width || !i->height || !i->n_frames || !isfinite(i->seconds) || i->seconds < 0 || !isfinite(i->fps) || i->fps < 0 || i->has_sound > 1)
		return check_fails(l->c, "look saw a clip without frames or size, or of no length");
	if (i->width > limits->max_width || i->height > limits->max_height || (uint64_t)i->width * i->height > limits->max_pixels ||
	    i->n_frames > limits->max_track_frames || i->seconds > limits->max_seconds)
		return check_fails(l->c, "look accepted a file over a limit");
	return true;
}

static sn_rc ask_times(life *l, const guarded *in, uint32_t n, guarded *out, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	check_enter(l->c->host, IN_ANY);
	sn_rc rc = l->clip->times(l->instance, NULL, in->p, in->n, &NONE, (double *)(void *)out->p, n, fault);
	check_leave(l->c->host);
	return rc;
}

/* times: all frames', for the other checks; closed by the caller. */
static bool check_times(life *l, const guarded *in, const sn_clip_info *info, guarded *times)
{
	sn_fault fault;
	if (!guarded_open(times, info->n_frames * sizeof(double)))
		return check_fails(l->c, "no memory for the times");
	memset(times->p, 0xFF, times->n);
	sn_rc rc = ask_times(l, in, info->n_frames, times, &fault);
	if (rc != SN_RC_OK)
		return check_fails(l->c, "times fails after a look: %.200s", fault.text);
	if (!guarded_intact(times))
		return check_fails(l->c, "times wrote before its room");
	double last = 0;
	for (uint32_t i = 0; i < info->n_frames; i++) {
		double t;
		memcpy(&t, times->p + i * sizeof t, sizeof t);
		if (!isfinite(t) || t < last)
			return check_fails(l->c, "times: frame %u of %u at %g, behind one at %g", i, info->n_frames, t, last);
		last = t;
	}
	return true;
}

/* ---- frames ---- */

static sn_clip_wish wish_of(const uint32_t *frames, uint32_t n, uint32_t width, uint32_t height)
{
	sn_clip_wish w = {.size = sizeof w, .n_frames = n, .frames = frames};
	if (width) {
		w.n_steps = 2;
		w.steps[0] = (sn_clip_step){.width = 2 * width, .height = height, .filter = SN_CLIP_LANCZOS3};
		w.steps[1] = (sn_clip_step){.width = width, .height = height, .filter = SN_CLIP_BICUBIC};
	}
	return w;
}

/* Some of them, from the first to the last. */
static uint32_t spread(const sn_clip_info *info, uint32_t frames[TRIED])
{
	uint32_t n = info->n_frames < TRIED ? info->n_frames : TRIED;
	for (uint32_t i = 0; i < n; i++)
		frames[i] = n > 1 ? (uint32_t)((uint64_t)i * (info->n_frames - 1) / (n - 1)) : 0;
	return n;
}

static bool read_well(life *l, const guarded *in, const sn_clip_info *info, const sn_clip_wish *wish, uint8_t fill, reading *out)
{
	sn_fault fault;
	sn_rc rc = read_once(l, in, &NONE, info, wish, fill, out, &fault);
	return !check_failed(l->c) && (rc == SN_RC_OK || check_fails(l->c, "a sample's frames are refused with %d: %.200s", rc, fault.text));
}

/* A frame read by itself, and asked for twice, is the one that was read among others. */
static bool same_alone(life *l, const guarded *in, const sn_clip_info *info, const uint32_t *frames, const reading *all, uint32_t i)
{
	const uint32_t twice[2] = {frames[i], frames[i]};
	const sn_clip_wish wish = wish_of(twice, 2, 0, 0);
	const size_t bytes = (size_t)(all->media.bytes / all->media.n_frames);
	reading r = {0};
	bool ok = read_well(l, in, info, &wish, 0x55, &r);
	if (ok && memcmp(r.samples.p, r.samples.p + bytes, bytes) != 0)
		ok = check_fails(l->c, "frame %u asked for twice is not the same", frames[i]);
	if (ok && memcmp(r.samples.p, all->samples.p + i * bytes, bytes) != 0)
		ok = check_fails(l->c, "frame %u read alone is another than among others", frames[i]);
	if (ok && (time_of(&r, 0) != time_of(all, i) || time_of(&r, 1) != time_of(all, i)))
		ok = check_fails(l->c, "frame %u read alone is shown at another time", frames[i]);
	reading_close(&r);
	return ok;
}

static bool check_frames(life *l, const guarded *in, const sn_clip_info *info, const guarded *times, uint32_t width, uint32_t height)
{
	uint32_t frames[TRIED], n = spread(info, frames);
	const sn_clip_wish wish = wish_of(frames, n, width, height);
	reading a = {0}, b = {0};
	bool ok = read_well(l, in, info, &wish, 0x00, &a) && read_well(l, in, info, &wish, 0xFF, &b);
	if (ok && memcmp(a.samples.p, b.samples.p, a.samples.n) != 0)
		ok = check_fails(l->c, "reading twice gave other frames, or left some of them unfilled");
	for (uint32_t i = 0; ok && i < n; i++) {
		double t;
		memcpy(&t, times->p + frames[i] * sizeof t, sizeof t);
		if (time_of(&a, i) != t)
			ok = check_fails(l->c, "frame %u is read at %g, and shown at %g as times has it", frames[i], time_of(&a, i), t);
	}
	for (uint32_t i = 0; ok && !width && i < n; i++)
		ok = same_alone(l, in, info, frames, &a, i);
	reading_close(&a);
	reading_close(&b);
	return ok;
}

/* ---- wishes that make no sense ---- */

static bool refused(life *l, const guarded *in, const sn_clip_info *info, const sn_clip_wish *wish, const char *what)
{
	reading r = {0};
	sn_fault fault;
	sn_rc rc = read_once(l, in, &NONE, info, wish, 0, &r, &fault);
	bool ok = !check_failed(l->c) && (rc != SN_RC_OK || check_fails(l->c, "a wish for %s is granted", what)) && refusal(l, "read", rc, &fault);
	reading_close(&r);
	return ok;
}

static bool check_wishes(life *l, const guarded *in, const sn_clip_info *info)
{
	const uint32_t behind[1] = {info->n_frames}, far[1] = {UINT32_MAX}, back[2] = {1, 0}, zero[1] = {0};
	sn_clip_wish filter = wish_of(zero, 1, 8, 8);
	filter.steps[1].filter = 1000;
	const sn_clip_wish a = wish_of(behind, 1, 8, 8), b = wish_of(far, 1, 8, 8), c = wish_of(back, 2, 8, 8);
	return refused(l, in, info, &a, "a frame behind the last one") && refused(l, in, info, &b, "a frame far behind the last one") &&
	       (info->n_frames < 2 || refused(l, in, info, &c, "frames in descending order")) && refused(l, in, info, &filter, "a filter that there is not");
}

/* ---- limits ---- */

/* Exactly at the file's value, then one below it. */
static bool held_by_look(life *l, const guarded *in, const char *name, const sn_clip_limits *at, const sn_clip_limits *below)
{
	sn_clip_info info;
	sn_fault fault;
	if (look(l, in, at, &info, &fault) != SN_RC_OK)
		return check_fails(l->c, "%s exactly at the file's value is refused: %.200s", name, fault.text);
	sn_rc rc = look(l, in, below, &info, &fault);
	if (rc == SN_RC_OK)
		return check_fails(l->c, "%s below the file's value is not held by look", name);
	return rc == SN_RC_TOO_LARGE ? check_fault(l->c, "look", rc, &fault) : check_fails(l->c, "%s is refused with %d, not SN_RC_TOO_LARGE", name, rc);
}

static bool held_by_read(life *l, const guarded *in, const sn_clip_info *info, const char *name, const sn_clip_limits *at, const sn_clip_limits *below)
{
	const uint32_t frames[2] = {0, 0};
	const sn_clip_wish wish = wish_of(frames, 2, 8, 8);
	reading r = {0};
	sn_fault fault;
	bool ok = read_once(l, in, at, info, &wish, 0, &r, &fault) == SN_RC_OK || check_fails(l->c, "%s exactly at the wish is refused: %.200s", name, fault.text);
	reading_close(&r);
	r = (reading){0};
	sn_rc rc = ok ? read_once(l, in, below, info, &wish, 0, &r, &fault) : SN_RC_OK;
	if (ok && rc != SN_RC_TOO_LARGE)
		ok = check_fails(l->c, "%s below the wish gives %d, not SN_RC_TOO_LARGE", name, rc);
	reading_close(&r);
	return ok && check_fault(l->c, "read", rc, &fault);
}

static bool check_clip_limits(life *l, const guarded *in, const sn_clip_info *i)
{
	sn_clip_limits at[6], below[6];
	for (int k = 0; k < 6; k++)
		at[k] = below[k] = NONE;
	at[0].max_width = i->width, below[0].max_width = i->width - 1;
	at[1].max_height = i->height, below[1].max_height = i->height - 1;
	at[2].max_pixels = (uint64_t)i->width * i->height, below[2].max_pixels = at[2].max_pixels - 1;
	at[3].max_track_frames = i->n_frames, below[3].max_track_frames = i->n_frames - 1;
	at[4].max_frames = 2, below[4].max_frames = 1;
	at[5].max_bytes = 2 * 8 * 8 * 3, below[5].max_bytes = at[5].max_bytes - 1;
	return (i->width < 2 || held_by_look(l, in, "max_width", &at[0], &below[0])) && (i->height < 2 || held_by_look(l, in, "max_height", &at[1], &below[1])) &&
	       (at[2].max_pixels < 2 || held_by_look(l, in, "max_pixels", &at[2], &below[2])) &&
	       (i->n_frames < 2 || held_by_look(l, in, "max_track_frames", &at[3], &below[3])) && held_by_read(l, in, i, "max_frames", &at[4], &below[4]) &&
	       held_by_read(l, in, i, "max_bytes", &at[5], &below[5]);
}

/* A call that takes long is given a quarter of that. What takes no time at all cannot be tried. */
static bool check_deadline(life *l, const guarded *in, const sn_clip_info *info)
{
	uint32_t n = info->n_frames < 64 ? info->n_frames : 64, *frames = calloc(n, sizeof *frames);
	sn_clip_wish wish = wish_of(frames, n, 8, 8);
	reading r = {0};
	sn_fault fault;
	for (uint32_t i = 0; frames && i < n; i++)
		frames[i] = i;
	wish.steps[0] = (sn_clip_step){.width = LARGE, .height = LARGE, .filter = SN_CLIP_LANCZOS3};
	double began = clock_ms();
	bool ok = frames && read_well(l, in, info, &wish, 0, &r);
	double whole = clock_ms() - began;
	reading_close(&r);
	if (ok && whole > SLOW_MS && n > 4) {
		const sn_clip_limits limits = {.size = sizeof limits, .max_ms = (uint32_t)(whole / 4)};
		r = (reading){0};
		began = clock_ms();
		sn_rc rc = read_once(l, in, &limits, info, &wish, 0, &r, &fault);
		double took = clock_ms() - began;
		if (!check_failed(l->c) && (rc != SN_RC_TOO_LARGE || took > whole * 3 / 4 + SLACK_MS))
			check_fails(l->c, "max_ms %u, where %.0f are needed, gives %d after %.0f ms", limits.max_ms, whole, rc, took);
		ok = !check_failed(l->c) && check_fault(l->c, "read", rc, &fault);
		reading_close(&r);
	}
	free(frames);
	return ok;
}

/* ---- garbage ---- */

static void try_garbage(life *l, guarded *in)
{
	sn_clip_info info;
	sn_fault fault;
	guarded_seal(in);
	l->clip->sniff(in->p, in->n < 64 ? in->n : 64);
	sn_rc rc = look(l, in, &SMALL, &info, &fault);
	if (rc != SN_RC_OK) {
		refusal(l, "look", rc, &fault);
	} else if (believable(l, &info, &SMALL)) {
		const uint32_t ends[2] = {0, info.n_frames - 1};
		const sn_clip_wish wish = wish_of(ends, 2, 8, 8);
		reading r = {0};
		rc = read_once(l, in, &SMALL, &info, &wish, 0, &r, &fault);
		if (rc != SN_RC_OK && !check_failed(l->c))
			refusal(l, "read", rc, &fault);
		reading_close(&r);
	}
	guarded_unseal(in);
}

/* ---- the checks ---- */

static bool claims(life *l, const guarded *in)
{
	size_t head = in->n < 64 ? in->n : 64;
	guarded first;
	const char *type = NULL;
	if (guarded_open(&first, head)) { /* sniff sees no more than this */
		memcpy(first.p, in->p, head);
		guarded_seal(&first);
		type = l->clip->sniff(first.p, head);
		guarded_close(&first);
	}
	return type && (check_in_words(l->clip->media_types, type) || check_fails(l->c, "sniff gave %.60s, which is not among its media_types", type));
}

static bool clip_of(life *l, guarded *in)
{
	sn_clip_info info, again;
	sn_fault fault;
	guarded times = {0};
	guarded_seal(in);
	sn_rc rc = look(l, in, &NONE, &info, &fault);
	bool ok = rc == SN_RC_OK || check_fails(l->c, "a sample is refused with %d: %.200s", rc, fault.text);
	const sn_clip_limits any = {.max_width = UINT32_MAX, .max_height = UINT32_MAX, .max_pixels = UINT64_MAX, .max_track_frames = UINT32_MAX, .max_seconds = UINT32_MAX};
	ok = ok && believable(l, &info, &any);
	if (ok && (look(l, in, &SMALL, &again, &fault) != SN_RC_OK || memcmp(&info, &again, sizeof info) != 0))
		ok = check_fails(l->c, "looking twice, once with limits, saw another clip");
	ok = ok && check_times(l, in, &info, &times) && check_frames(l, in, &info, &times, 0, 0) && check_frames(l, in, &info, &times, 24, 16) &&
	     check_wishes(l, in, &info) && check_clip_limits(l, in, &info) && check_deadline(l, in, &info);
	guarded_close(&times);
	guarded_unseal(in);
	return ok;
}

void check_clips(check *c)
{
	static const garbage g = {.random = 100, .cuts = 80, .damaged = 120, .try = try_garbage};
	uint64_t seed = 2;
	size_t used = 0;
	for (uint32_t d = 0; d < c->list->n_plugins && !check_failed(c); d++) {
		life l = {0};
		if (!c->list->plugins[d]->extension(SN_EXT_CLIP))
			continue;
		bool started = life_start(&l, c, c->list->plugins[d]);
		size_t held = check_host_held(c->host);
		if (started)
			random_files(&l, &g, NULL, &seed);
		for (size_t i = 0; started && i < c->config->n_samples && !check_failed(c); i++) {
			guarded in = {0};
			if (sample_guarded(c, i, &in) && claims(&l, &in) && clip_of(&l, &in)) {
				used++;
				random_files(&l, &g, &in, &seed);
				damaged_files(&l, &g, &in, &seed);
			}
			guarded_close(&in);
		}
		if (started && !check_failed(c) && check_host_held(c->host) != held)
			check_fails(c, "%s: %zu bytes are left behind by its calls", l.d->id, check_host_held(c->host) - held);
		if (l.instance)
			life_close(&l);
	}
	if (!check_failed(c) && used == 0)
		check_lacks(c, "give --sample FILE: a clip that the codec reads");
	if (!check_failed(c))
		snprintf(c->out->text, sizeof c->out->text, "%zu clip%s", used, used == 1 ? "" : "s");
}

/* ---- for the checks of memory and threads ---- */

bool check_pass_clips(life *l)
{
	for (size_t i = 0; i < l->c->config->n_samples && !check_failed(l->c); i++) {
		guarded in = {0};
		if (sample_guarded(l->c, i, &in) && claims(l, &in))
			try_garbage(l, &in);
		guarded_close(&in);
	}
	return !check_failed(l->c);
}

typedef struct reader {
	life *l;
	const guarded *in;
	const sn_clip_info *info;
	const sn_clip_wish *wish;
	const reading *first; /* what one thread alone made of it */
	bool differs;
} reader;

static void *read_again(void *arg)
{
	reader *d = arg;
	for (int k = 0; k < ROUNDS && !d->differs; k++) {
		reading r = {0};
		sn_fault fault;
		d->differs = read_once(d->l, d->in, &NONE, d->info, d->wish, 0, &r, &fault) != SN_RC_OK ||
		             memcmp(r.samples.p, d->first->samples.p, r.samples.n) != 0;
		reading_close(&r);
	}
	return NULL;
}

void check_threads_clips(life *l)
{
	for (size_t i = 0; i < l->c->config->n_samples && !check_failed(l->c); i++) {
		guarded in = {0};
		reader d[THREADS];
		pthread_t threads[THREADS];
		reading first = {0};
		sn_clip_info info;
		sn_fault fault;
		uint32_t frames[TRIED];
		int n = 0;
		if (sample_guarded(l->c, i, &in) && claims(l, &in) && look(l, &in, &NONE, &info, &fault) == SN_RC_OK) {
			const sn_clip_wish wish = wish_of(frames, spread(&info, frames), 16, 16);
			bool ok = read_once(l, &in, &NONE, &info, &wish, 0, &first, &fault) == SN_RC_OK;
			for (; ok && n < THREADS; n++) {
				d[n] = (reader){l, &in, &info, &wish, &first, false};
				if (pthread_create(&threads[n], NULL, read_again, &d[n]) != 0)
					break;
			}
			for (int k = 0; k < n; k++) {
				pthread_join(threads[k], NULL);
				if (d[k].differs)
					check_fails(l->c, "%s: several threads at once read other frames than one alone", l->d->id);
			}
		}
		reading_close(&first);
		guarded_close(&in);
	}
}
