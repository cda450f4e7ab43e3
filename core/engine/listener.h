/* listener.h - who listens to a speech while it is made, as the engine imagines them: playback begins with the first sample, stops
 * where the next one is not there, and goes on when it comes. From this follow the slack that schedule() reads and the figures that
 * a speech leaves behind: time to first audio, real-time factor, underrun.
 *
 * Shared by the utterances of a speech; owners on any thread, all else on the engine thread, until the last owner lets go. */
#ifndef SN_ENGINE_LISTENER_H
#define SN_ENGINE_LISTENER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/metrics.h"

enum { SPEECH_FLIGHT = 2 }; /* utterances of a speech that are under way at once */

typedef struct listener {
	atomic_int owners;
	metrics *metrics;
	double rate;          /* samples a ms */
	double t_words;       /* ms; the first words came; 0: none yet. Set before the first utterance */
	double t_begin;       /* a first row was computed; 0: none yet */
	double t_play;        /* where playback would have begun if it had never stopped; 0: nothing to play yet */
	double t_last;        /* last samples */
	double waited_ms;     /* for samples, since playback began */
	uint32_t first;       /* utterances before it are over, and their samples in n_before */
	uint64_t n_before, n_given[SPEECH_FLIGHT]; /* of utterance i at i % SPEECH_FLIGHT */
	bool whole;           /* it was spoken to its end; set by its consumer */
} listener;

/* NULL: no memory. rate: Hz. */
listener *listener_new(metrics *m, uint32_t rate);
listener *listener_ref(listener *l);
void listener_unref(listener **l); /* the last one leaves the figures */

/* Utterance i has arrived; i - SPEECH_FLIGHT is over. */
void listener_expect(listener *l, uint32_t i);
/* ms until there is nothing to play; below 0: for so long there was nothing. 0 before the first sample. */
double listener_slack(const listener *l, uint32_t i, double now);
/* n more samples of utterance i, whose words were there at t_words. n_unread: that its reader has not taken yet, before these. */
void listener_give(listener *l, uint32_t i, uint32_t n, uint64_t n_unread, double t_words, double now);

#endif
