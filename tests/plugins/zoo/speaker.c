/* speaker.c - a speaker as small as one can be, in the bad habits whose names begin with ZOO_SPEAKS (-DZOO=HABIT). ZOO_SPEAKS has none.
 *
 * A frame has 2 codes and 4 samples: sample k of frame t is (s[t - 1] + 2 s[t] + 3 s[t + 1]) / 100 + k, s being the sum of a frame's
 * codes, 0 before the first frame and behind the last. So it looks a frame ahead, and carries two sums. A unit is a stream. */
#include <stdio.h>
#include <string.h>

#include <sensorium/ext/speak.h>
#include <sensorium/ext/synth.h>

#include "zoo.h"

#define IS(habit) (ZOO == ZOO_##habit)

enum { CODES = 2, SAMPLES = 4, DELAY = 1, MAX_FRAMES = 20, MAX_STREAMS = 4 };

typedef struct animal {
	const sn_host_ops *ops;
} animal;

typedef struct stream {
	float before, last; /* sums of the two last frames */
} stream;

typedef struct job {
	sn_synth_chunk *chunks;
	uint32_t n, next;
	sn_tensor sound; /* [MAX_FRAMES + DELAY][SAMPLES] */
} job;

static sn_rc fail(sn_fault *fault, sn_rc code, const char *text)
{
	fault->code = code;
	fault->blame = SN_BLAME_PLUGIN;
	snprintf(fault->text, sizeof fault->text, "%s", text);
	return code;
}

static sn_rc plan(const void *instance, uint32_t n_streams, uint32_t n_frames, uint32_t *n_units, uint64_t *state_bytes, sn_fault *fault)
{
	(void)instance;
	if (!IS(SPEAKS_WITHOUT_LIMITS) && (!n_streams || n_streams > MAX_STREAMS || !n_frames || n_frames > MAX_FRAMES))
		return fail(fault, SN_RC_INTERNAL, "not such a job");
	*n_units = n_streams ? n_streams : 1;
	*state_bytes = sizeof(job) + (MAX_FRAMES + DELAY) * SAMPLES * sizeof(float);
	return SN_RC_OK;
}

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, sn_synth_chunk *chunks, uint32_t n, sn_fault *fault)
{
	const animal *a = instance;
	job *j = state;
	(void)call;
	j->chunks = chunks;
	j->n = n;
	return a->ops->alloc(ctx, MAX_FRAMES + DELAY, SAMPLES, &j->sound, fault);
}

static float sum_of(const sn_synth_chunk *c, uint32_t frame)
{
	return (float)(c->codes[frame * CODES] + c->codes[frame * CODES + 1]);
}

/* What can be said of a stream by now, into pcm through a tensor. */
static sn_rc speak(const animal *a, job *j, sn_ops_ctx *ctx, sn_synth_chunk *c, sn_fault *fault)
{
	stream *s = c->stream;
	float sound[(MAX_FRAMES + DELAY) * SAMPLES], sums[MAX_FRAMES + 3];
	uint32_t n = 0, at = 0;
	bool started = c->first_frame > 0;
	sums[n++] = IS(SPEAKS_OF_CHUNKS) ? 0 : s->before;
	if (started)
		sums[n++] = s->last;
	for (uint32_t i = 0; i < c->n_frames; i++)
		sums[n++] = sum_of(c, i);
	s->before = sums[n - 2];
	s->last = sums[n - 1];
	if (c->last && !IS(SPEAKS_TOO_LITTLE))
		sums[n++] = 0;
	for (uint32_t i = 1; i + 1 < n; i++)
		for (uint32_t k = 0; k < SAMPLES; k++)
			sound[at++] = (sums[i - 1] + 2 * sums[i] + 3 * sums[i + 1]) / 100 + (float)k + (IS(SPEAKS_OF_COMPANY) && j->n > 1 ? 0.001f : 0);
	c->n_samples = at;
	if (at == 0)
		return SN_RC_OK;
	sn_tensor rows = a->ops->rows(&j->sound, 0, at / SAMPLES);
	sn_rc rc = a->ops->write(ctx, &rows, sound, fault);
	if (rc == SN_RC_OK && !IS(SPEAKS_UNFILLED))
		rc = a->ops->read(ctx, &rows, c->pcm, fault);
	if (IS(SPEAKS_BESIDE))
		c->pcm[-1] = 0;
	if (IS(SPEAKS_OVER_CODES))
		((int32_t *)(uintptr_t)c->codes)[0] = 0;
	if (IS(SPEAKS_TOO_MUCH))
		c->n_samples++;
	return rc;
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, sn_fault *fault)
{
	job *j = state;
	(void)call;
	for (*units_done = 0; *units_done < max_units && j->next < j->n; ++*units_done, j->next++) {
		sn_rc rc = speak(instance, j, ctx, &j->chunks[j->next], fault);
		if (rc != SN_RC_OK)
			return rc;
	}
	return j->next < j->n ? SN_RC_AGAIN : SN_RC_END;
}

static void end(void *instance, void *state)
{
	(void)instance, (void)state;
}

static const sn_synth_info INFO = {.size = sizeof INFO, .rate = 8000, .n_codes = CODES, .frame_samples = SAMPLES, .first_frames = 2, .chunk_frames = 3,
                                   .delay_frames = DELAY, .max_frames = MAX_FRAMES, .max_streams = MAX_STREAMS,
                                   .stream_bytes = sizeof(stream)};
static const sn_voice VOICES[] = {{.name = IS(SPEAKS_OF_NOBODY) ? "Some Body" : "somebody", .prompt = "", .language = "en"}};
static const sn_speak_piece PROMPT[] = {{.what = IS(SPEAKS_NO_WORDS) ? SN_SPEAK_PLAIN : SN_SPEAK_TEXT, .text = ""}};
static const sn_speak_slot SLOTS[CODES] = {{.first_token = "<a>", .n = 100}, {.first_token = "<b>", .n = 7}};
static const char *const ENDS[] = {"<end>"};
static const sn_speaker SPEAKER = {.size = sizeof SPEAKER, .n_voices = 1, .voices = VOICES, .prompt = PROMPT, .slots = SLOTS, .end_tokens = ENDS,
                                   .n_pieces = 1, .n_slots = CODES, .n_end_tokens = 1, .max_text = 100, .max_frames = MAX_FRAMES,
                                   .temperature = 1, .top_p = 1, .repetition_penalty = 1};

static const sn_synth_info *describe_synth(const void *instance)
{
	(void)instance;
	return &INFO;
}

static const sn_speaker *describe_speaker(const void *instance)
{
	(void)instance;
	return IS(SPEAKS_NOT_OF_ITSELF) ? NULL : &SPEAKER;
}

static const sn_ext_speak SPEAK = {.size = sizeof SPEAK, .describe = describe_speaker};
static const sn_ext_synth SYNTH = {.size = sizeof SYNTH, .describe = describe_synth, .plan = plan, .begin = begin, .step = step, .end = end};

static int32_t probe(const sn_host *host, const sn_model *model)
{
	(void)host, (void)model;
	return 100;
}

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	animal *a = instance;
	a->ops = host->service(host, SN_HOST_OPS);
	return a->ops ? SN_RC_OK : fail(fault, SN_RC_INTERNAL, "no ops");
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	(void)instance, (void)model, (void)fault;
	return SN_RC_OK;
}

static void fini(void *instance)
{
	(void)instance;
}

static const void *extension(const char *id)
{
	if (strcmp(id, SN_EXT_SYNTH) == 0)
		return IS(SPEAKS_WITHOUT_SOUND) ? NULL : &SYNTH;
	return strcmp(id, SN_EXT_SPEAK) == 0 ? &SPEAK : NULL;
}

static const sn_plugin PLUGIN = {.size = sizeof PLUGIN, .instance_size = sizeof(animal), .id = "small-speaker", .version = "1.0.0", .license = "MIT",
                                 .summary = "sums of codes as sound", .probe = probe, .init = init, .load = load, .fini = fini,
                                 .extension = extension, .extensions = SN_EXT_SPEAK " " SN_EXT_SYNTH};
static const sn_plugin *const PLUGINS[] = {&PLUGIN};
static const sn_plugin_list LIST = {.stamp = SN_PLUGIN_STAMP, .n_plugins = 1, .plugins = PLUGINS};

SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void) { return &LIST; }
