/* synth.h - vocoders' jobs: chunks of one length of as many utterances as there are, through one run of a model's vocoder, in slices.
 * Each vocoder has one job at a time. Until its first slice a job is only gathered: whoever becomes ready joins it.
 *
 * A run that fails with several utterances in it is undone, and each is tried by itself: so one that its plugin cannot decode takes
 * nobody with it. Of a job that runs, who has ended is no longer told anything; when all have, it is dropped. Engine thread. */
#ifndef SN_ENGINE_SYNTH_H
#define SN_ENGINE_SYNTH_H

#include "engine/utterance.h"

/* NULL: no memory. */
struct synth_job *synth_open(void);
void synth_close(struct synth_job **job);

/* Looks after those who speak: ends who has nothing left to be decoded, drops jobs that nobody waits for, and gathers those that
 * can run: e->synths, which jobs[] describes. Returns how many. */
uint32_t synth_gather(sn_engine *e, sched_job *jobs, double now);
/* One slice, at most `units` units, as media_job_step. */
void synth_step(sn_engine *e, struct synth_job *job, uint32_t units, double budget_ms);

#endif
