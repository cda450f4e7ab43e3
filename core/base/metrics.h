/* metrics.h - the metrics of one engine: counters, gauges and histograms in one table, rendered as Prometheus text.
 * Counters are atomics: any thread adds, any thread renders. Label sets are fixed here, so they are bounded. */
#ifndef SN_BASE_METRICS_H
#define SN_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

/* id, kind, name, label ("" none), help */
#define METRIC_TABLE(X)                                                                                                  \
	X(RUNNING, gauge, "num_requests_running", "", "requests with computed rows")                                         \
	X(WAITING, gauge, "num_requests_waiting", "", "requests waiting for pages, media or their turn")                     \
	X(PAGES_TOTAL, gauge, "kv_pages_total", "", "pages of the pool")                                                     \
	X(PAGES_FREE, gauge, "kv_pages_free", "", "pages that no running sequence holds (cached ones included)")             \
	X(PAGES_CACHED, gauge, "kv_pages_cached", "", "unreferenced pages kept as prefix cache")                             \
	X(MEMORY_WEIGHTS, gauge, "memory_bytes", "part=\"weights\"", "planned before it is taken, as --memory-limit counts it") \
	X(MEMORY_TABLES, gauge, "memory_bytes", "part=\"tables\"", "")                                                       \
	X(MEMORY_BUFFERS, gauge, "memory_bytes", "part=\"buffers\"", "")                                                     \
	X(MEMORY_PLUGINS, gauge, "memory_bytes", "part=\"plugins\"", "")                                                     \
	X(MEMORY_POOL, gauge, "memory_bytes", "part=\"pool\"", "")                                                           \
	X(PROMPT_TOKENS, counter, "prompt_tokens_total", "", "prompt rows of accepted requests")                             \
	X(GENERATION_TOKENS, counter, "generation_tokens_total", "", "tokens sampled")                                       \
	X(PREFIX_QUERIES, counter, "prefix_cache_queries_total", "", "prompt rows looked up in the prefix cache")            \
	X(PREFIX_HITS, counter, "prefix_cache_hits_total", "", "prompt rows found there")                                    \
	X(PREEMPTIONS, counter, "num_preemptions_total", "", "sequences preempted for want of pages")                        \
	X(STEPS, counter, "steps_total", "", "steps of the engine")                                                          \
	X(ROWS, counter, "rows_total", "", "rows computed")                                                                  \
	X(MAX_SEQS, gauge, "step_sequences_max", "", "most sequences seen in one step")                                      \
	X(ENCODER_RUNS, counter, "encoder_runs_total", "", "media encoded")                                                  \
	X(ENCODER_UNITS, counter, "encoder_units_total", "", "units of encoder work done")                                   \
	X(MEDIA_HITS, counter, "media_cache_hits_total", "", "media whose rows were there already")                          \
	X(CLIP_HITS, counter, "clip_cache_hits_total", "", "clips of which everything was there, so that they were not read")  \
	X(MEDIA_BYTES, gauge, "media_cache_bytes", "", "bytes of encoder rows kept, and of what is noted about clips")       \
	X(DECODES, counter, "media_decodes_total", "", "files that entered a codec")                                         \
	X(MEDIA_REFUSED, counter, "media_refused_total", "", "files that the media gate refused")                            \
	X(HELPERS_FAILED, counter, "codec_helpers_failed_total", "", "codec helpers that crashed, hung, lied, were killed or did not start") \
	X(OK_STOP, counter, "request_success_total", "finished_reason=\"stop\"", "requests that ended well")                 \
	X(OK_LENGTH, counter, "request_success_total", "finished_reason=\"length\"", "")                                     \
	X(CANCELLED, counter, "request_cancelled_total", "", "requests dropped by their client")                             \
	X(FAILED, counter, "request_failed_total", "", "requests that ended with an error event")                            \
	X(REJECTED, counter, "request_rejected_total", "", "requests refused for a full queue")                              \
	X(SYNTH_JOBS, counter, "synth_jobs_total", "", "vocoder runs, each over a chunk of one or more utterances")          \
	X(SYNTH_STREAMS, counter, "synth_streams_total", "", "utterances in them")                                           \
	X(SYNTH_MAX, gauge, "synth_streams_max", "", "most utterances seen in one vocoder run")                              \
	X(SYNTH_UNITS, counter, "synth_units_total", "", "units of vocoder work done")

/* Seconds that add up, kept in microseconds. */
#define METRIC_SECONDS(X)                                                                                                \
	X(AUDIO, "audio_seconds_total", "sound made")                                                                        \
	X(UNDERRUN, "audio_underrun_seconds_total", "that listeners would have waited for sound, once theirs had begun")

#define METRIC_HISTOGRAMS(X)                                                                                             \
	X(TTFT, "time_to_first_token_seconds", "submit to first token")                                                      \
	X(ITL, "inter_token_latency_seconds", "token to token")                                                              \
	X(E2E, "e2e_request_latency_seconds", "submit to end")                                                               \
	X(STEP, "step_seconds", "one step of the engine")                                                                    \
	X(SLICE, "job_slice_seconds", "one slice of encoder or vocoder work")                                                \
	X(TTFA, "time_to_first_audio_seconds", "first words to first sound of a speech")                                     \
	X(RTF, "speech_real_time_factor", "seconds that a speech took, from its first row to its last sound, for each second of it") \
	X(UNDERRUN, "speech_underrun_seconds", "that the listener to one speech would have waited, once it had begun")

enum metric_id {
#define X(id, kind, name, label, help) M_##id,
	METRIC_TABLE(X)
#undef X
#define X(id, name, help) S_##id,
	METRIC_SECONDS(X)
#undef X
	M_COUNT
};

enum histogram_id {
#define X(id, name, help) H_##id,
	METRIC_HISTOGRAMS(X)
#undef X
	H_COUNT
};

enum { METRIC_BUCKETS = 16 };

typedef struct metrics {
	atomic_uint_fast64_t value[M_COUNT];
	struct {
		atomic_uint_fast64_t bucket[METRIC_BUCKETS + 1];
		atomic_uint_fast64_t sum_us;
	} histogram[H_COUNT];
} metrics;

static inline void metric_add(metrics *m, enum metric_id id, uint64_t n)
{
	atomic_fetch_add_explicit(&m->value[id], n, memory_order_relaxed);
}

static inline void metric_set(metrics *m, enum metric_id id, uint64_t n)
{
	atomic_store_explicit(&m->value[id], n, memory_order_relaxed);
}

static inline uint64_t metric_get(const metrics *m, enum metric_id id)
{
	return atomic_load_explicit(&m->value[id], memory_order_relaxed);
}

void metric_observe(metrics *m, enum histogram_id id, double ms);
void metrics_render(const metrics *m, FILE *out);

#endif
