/* prompt.h - what the ways to a prompt share (rows.c): prompt.c's conversations and completions, window.c's windows. */
#ifndef SN_ENGINE_PROMPT_H
#define SN_ENGINE_PROMPT_H

#include "engine/engine.h"

enum { MAX_PROMPT_BYTES = 64 << 20 };

/* One medium as it will stand in the prompt. */
struct placed {
	encoder *enc;
	char *text;      /* framing, trusted */
	sn_hole *holes;
	sn_media_plan plan;
	sn_position *positions; /* [plan.n_rows], or NULL: as tokens */
	bool group;      /* frames of a clip */
	bool follows;    /* and not its first, or its sound: it stands behind the medium before it, without a marker of its own */
};

/* watch.c: the frames of a clip, as r's next media: placed[r->n_media] and those behind it, [MAX_MEDIA] in all. */
sn_status clip_place(sn_request *r, encoder *enc, const sn_part *part, struct placed *placed, sn_error *err);

/* clip_notes.c: the same clip at the same options again. ear: who hears its sound, or NULL. Recall: r's next media, as clip_place leaves them;
 * false: the clip has to be read. Keep: r's media from `first` on. */
hash256 clip_note_key(const sn_request *r, const encoder *watcher, const encoder *ear, const sn_part *part, const sn_watch_options *o);
bool clip_note_recall(sn_request *r, const hash256 *key, struct placed *placed);
void clip_note_keep(sn_request *r, const hash256 *key, const struct placed *placed, uint32_t first, bool sound_ignored);

/* Plans a decoded medium, and has it encoded unless the cache has it: r's next one. The caller made sure that there is room. */
sn_status medium_place(sn_request *r, encoder *enc, const sn_media *media, uint32_t max_rows, struct placed *p, sn_error *err);

/* Zeroed but for blame, n_cross and max; rows is the owner's to free. */
struct row_list {
	seq_row *rows;
	const char *blame;
	uint32_t n_cross; /* positions of rows behind so many are counted from there */
	uint32_t n, cap, max;
	uint32_t next;    /* position behind them */
};

/* They are of the vocabulary. */
sn_status rows_check_ids(const sn_request *r, const int32_t *ids, size_t n, sn_error *err);
sn_status rows_add_ids(struct row_list *l, const int32_t *ids, size_t n, sn_error *err);
/* Tokenizing costs memory by the byte: what cannot fit whatever its tokens are is not tokenized. */
sn_status rows_check_fits(const sn_request *r, const struct row_list *l, size_t bytes, sn_error *err);
sn_status rows_add_text(sn_request *r, struct row_list *l, const marked_text *prompt, sn_error *err);
/* positions: of these n, from where a token in the first one's place would stand; NULL: one behind the other. */
sn_status rows_add_hole(sn_request *r, struct row_list *l, int32_t id, uint32_t media, uint32_t first, uint32_t n, const sn_position *positions,
                        bool both_ways, sn_error *err);

#endif
