/* synth_case.h - what tests of speakers share: a plugin on the real host with a miniature of tests/golden/speak, streams of codes, and the
 * promises that every decoder keeps. */
#ifndef TESTS_SYNTH_CASE_H
#define TESTS_SYNTH_CASE_H

#include "gguf_bytes.h"

#include "plugin/host.h"

/* Names of files under GOLDEN_DIR: NAME.gguf, NAME-FRAMES.codes, NAME-FRAMES.f32. */
typedef struct synth_case {
	const char *name; /* the plugin's id, too */
	uint32_t frame_samples, n_codes, n_lengths, lengths[8]; /* the last length is the longest */
} synth_case;

enum { MOST_FRAMES = 40, MOST_SAMPLES = MOST_FRAMES * 24 };

typedef struct served {
	const synth_case *is;
	pool *threads;
	ops o;
	plugin_host *host;
	const sn_plugin *d;
	const sn_ext_synth *synth;
	const sn_ext_speak *speak;
	struct sn_model model;
	void *instance;
} served;

/* What load returns; the fault is in synth_fault. */
sn_rc serve(served *s, const synth_case *is, const char *path, size_t n_threads, kn_isa cap);
void dismiss(served *s);
extern sn_fault synth_fault;
const char *miniature(const synth_case *is); /* the path of its file */

/* cmocka tests; *state is the synth_case. */
void its_sound_is_the_references(void **state);
void chunks_and_units_change_no_sample(void **state);
void company_changes_no_sample(void **state);
void jobs_that_cannot_be_are_refused(void **state);

#endif
