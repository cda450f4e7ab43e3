/* What became of clips, remembered: the same file at the same options is not read again as long as the rows of all its frames are kept.
 *
 * A note is where the groups (and the sound) stand in the prompt and under which keys their rows are; it lies in the media cache among these
 * rows, counts as they do, and goes as they go. Its key is of all that its content hangs on: the file's bytes, the type that was declared, the
 * options, who watches, who hears, and who may share caches. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/prompt.h"

struct noted {
	hash256 key; /* of the rows */
	encoder *enc;
	sn_media_plan plan;
	bool group, follows, has_positions;
};

/* Behind it in one block: holes of all media, then their rows' positions, then their text. */
struct clip_note {
	uint32_t n;
	bool sound_ignored;
	struct noted media[];
};

/* Where each of the three is, medium by medium. */
struct behind {
	sn_hole *holes;
	sn_position *positions;
	char *text;
};

static struct behind behind_of(const struct clip_note *note)
{
	size_t n_holes = 0, n_rows = 0;
	for (uint32_t i = 0; i < note->n; i++) {
		n_holes += note->media[i].plan.n_holes;
		n_rows += note->media[i].has_positions ? note->media[i].plan.n_rows : 0;
	}
	sn_hole *holes = (sn_hole *)(note->media + note->n);
	sn_position *positions = (sn_position *)(holes + n_holes);
	return (struct behind){holes, positions, (char *)(positions + n_rows)};
}

static void step_behind(struct behind *b, const struct noted *m)
{
	b->holes += m->plan.n_holes;
	b->positions += m->has_positions ? m->plan.n_rows : 0;
	b->text += m->plan.text_size;
}

hash256 clip_note_key(const sn_request *r, const encoder *watcher, const encoder *ear, const sn_part *part, const sn_watch_options *o)
{
	static const char domain[16] = "clip note";
	const char *mime = part->mime ? part->mime : "";
	hasher h;
	hash_begin(&h, &r->engine->key);
	hash_add(&h, domain, sizeof domain);
	hash_u64(&h, watcher->id);
	hash_u64(&h, ear ? ear->id + 1 : 0);
	hash_add(&h, &r->salt, sizeof r->salt);
	hash_u64(&h, o->max_frames);
	hash_add(&h, &o->fps, sizeof o->fps);
	hash_add(&h, &o->start, sizeof o->start);
	hash_add(&h, &o->end, sizeof o->end);
	hash_add(&h, mime, strlen(mime) + 1);
	hash_add(&h, part->data, part->size);
	return hash_end(&h);
}

/* ---- remember ---- */

void clip_note_keep(sn_request *r, const hash256 *key, const struct placed *placed, uint32_t first, bool sound_ignored)
{
	const uint32_t n = r->n_media - first;
	size_t bytes = sizeof(struct clip_note) + n * sizeof(struct noted);
	for (uint32_t i = 0; i < n; i++)
		bytes += placed[i].plan.n_holes * sizeof(sn_hole) + (placed[i].positions ? placed[i].plan.n_rows * sizeof(sn_position) : 0) + placed[i].plan.text_size;
	struct clip_note *note = calloc(1, bytes);
	if (!note) /* it is read again then */
		return;
	note->n = n;
	note->sound_ignored = sound_ignored;
	for (uint32_t i = 0; i < n; i++) {
		const struct placed *p = &placed[i];
		note->media[i] = (struct noted){r->media_keys[first + i], p->enc, p->plan, p->group, p->follows, p->positions != NULL};
	}
	struct behind to = behind_of(note);
	for (uint32_t i = 0; i < n; i++) {
		const struct placed *p = &placed[i];
		memcpy(to.holes, p->holes, p->plan.n_holes * sizeof *to.holes);
		memcpy(to.text, p->text, p->plan.text_size);
		if (p->positions)
			memcpy(to.positions, p->positions, p->plan.n_rows * sizeof *to.positions);
		step_behind(&to, &note->media[i]);
	}
	media_cache_keep(&r->engine->cache, key, note, bytes);
}

/* ---- recall ---- */

/* Who shares the note may come and go; what is placed is the request's. */
static bool place_noted(sn_request *r, const struct clip_note *note, struct placed *placed)
{
	struct behind from = behind_of(note);
	for (uint32_t i = 0; i < note->n; i++) {
		const struct noted *m = &note->media[i];
		char *own_text = arena_alloc(r->mem, (size_t)m->plan.text_size + 1);
		sn_hole *own_holes = arena_array(r->mem, m->plan.n_holes, sizeof *own_holes);
		sn_position *own_positions = m->has_positions ? arena_array(r->mem, m->plan.n_rows, sizeof *own_positions) : NULL;
		if (!own_text || !own_holes || (m->has_positions && !own_positions))
			return false;
		memcpy(own_text, from.text, m->plan.text_size);
		memcpy(own_holes, from.holes, m->plan.n_holes * sizeof *own_holes);
		if (own_positions)
			memcpy(own_positions, from.positions, m->plan.n_rows * sizeof *own_positions);
		placed[i] = (struct placed){.enc = m->enc, .text = own_text, .holes = own_holes, .plan = m->plan, .positions = own_positions,
		                            .group = m->group, .follows = m->follows};
		step_behind(&from, m);
	}
	return true;
}

/* All rows of it, referenced as r's next media, or none. */
static bool take_rows(sn_request *r, const struct clip_note *note)
{
	media_cache *c = &r->engine->cache;
	const uint32_t first = r->n_media;
	for (uint32_t i = 0; i < note->n; i++) {
		r->media_keys[first + i] = note->media[i].key;
		r->media[first + i] = media_cache_find(c, &note->media[i].key);
		if (r->media[first + i])
			continue;
		while (i--)
			media_cache_unref(c, &r->media[first + i]);
		return false;
	}
	r->n_media += note->n;
	return true;
}

bool clip_note_recall(sn_request *r, const hash256 *key, struct placed *placed)
{
	sn_engine *e = r->engine;
	media_entry *entry = media_cache_find(&e->cache, key);
	const struct clip_note *note = entry ? (const struct clip_note *)(const void *)entry->rows : NULL;
	bool known = note && note->n <= MAX_MEDIA - r->n_media && place_noted(r, note, placed) && take_rows(r, note);
	if (known) {
		r->video_sound_ignored |= note->sound_ignored;
		metric_add(&e->metrics, M_CLIP_HITS, 1);
		metric_add(&e->metrics, M_MEDIA_HITS, note->n);
		log_info(e->log, "media", r->id, "a clip that was read before, %u media of it are kept", note->n);
	}
	media_cache_unref(&e->cache, &entry);
	return known;
}
