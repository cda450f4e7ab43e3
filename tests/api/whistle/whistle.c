/* whistle.c - a speaker for the tests of the API: any language model that has letters as tokens speaks through it, a letter being a whistle
 * of 20 ms. What is said means nothing; how it is served is what any speaker gets. The file beside the model has keys only:
 *
 *   general.architecture = "whistle"
 *   whistle.fails_at     the frame of a stream in which the sound breaks down; missing: none
 *   whistle.frames       at most so many in an utterance
 *   whistle.skills       1: it can be told a language, follows instructions and has a recording to speak like: as far as they change its
 *                        prompt. Of a recording it makes one row, of how often it crosses zero
 *   whistle.width        values of that row: as many as in the model's embeddings
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <sensorium/ext/encode.h>
#include <sensorium/ext/plan.h>
#include <sensorium/ext/speak.h>
#include <sensorium/ext/synth.h>
#include <sensorium/host/weights.h>
#include <sensorium/plugin.h>

enum { RATE = 24000, FRAME = RATE / 50, CODES = 58 /* A to z */ };

static const sn_voice VOICES[] = {{"high", "high", "en"}, {"low", "low", ""}};
static const sn_speak_piece PROMPT[] = {{.what = SN_SPEAK_TRUSTED, .text = "<|im_start|>"}, {.what = SN_SPEAK_VOICE}, {.what = SN_SPEAK_PLAIN, .text = ": "},
                                        {.what = SN_SPEAK_TEXT}};
static const sn_speak_language LANGUAGES[] = {{"english", "en"}, {"german", "de-DE"}};
static const char *const TOLD[] = {" (in english)", " (in german)"};
static const sn_speak_slot SLOT = {.first_token = "A", .n = CODES};
static const char *const ENDS[] = {"<|im_end|>"};

typedef struct whistle {
	const sn_host *host;
	sn_speaker about;
	sn_synth_info info;
	uint32_t fails_at; /* UINT32_MAX: never */
	uint32_t width;
} whistle;

typedef struct stream {
	double phase;
} stream;

typedef struct job {
	sn_synth_chunk *chunks;
	uint32_t n, done;
} job;

static const sn_host_weights *weights_of(const sn_host *host) { return host->service(host, SN_HOST_WEIGHTS); }

static int32_t probe(const sn_host *host, const sn_model *model)
{
	const char *architecture = weights_of(host)->get_str(model, "general.architecture");
	return architecture && strcmp(architecture, "whistle") == 0 ? 100 : 0;
}

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	(void)fault;
	*(whistle *)instance = (whistle){.host = host};
	return SN_RC_OK;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	whistle *w = instance;
	uint32_t frames = 40, skills = 0;
	(void)fault;
	w->fails_at = UINT32_MAX;
	weights_of(w->host)->get_u32(model, "whistle.fails_at", &w->fails_at);
	weights_of(w->host)->get_u32(model, "whistle.frames", &frames);
	weights_of(w->host)->get_u32(model, "whistle.skills", &skills);
	weights_of(w->host)->get_u32(model, "whistle.width", &w->width);
	w->about = (sn_speaker){.size = sizeof w->about, .n_voices = 2, .voices = VOICES, .prompt = PROMPT, .n_pieces = 4, .slots = &SLOT, .n_slots = 1,
	                        .end_tokens = ENDS, .n_end_tokens = 1, .max_text = 80, .max_frames = frames, .temperature = 1, .top_p = 1,
	                        .repetition_penalty = 1, .languages = LANGUAGES, .n_languages = skills ? 2 : 0, .instructions = skills ? 1 : 0,
	                        .reference = skills ? 1 : 0};
	w->info = (sn_synth_info){.size = sizeof w->info, .rate = RATE, .n_codes = 1, .frame_samples = FRAME, .first_frames = 2, .chunk_frames = 5,
	                          .max_frames = 100000, .max_streams = 8, .stream_bytes = sizeof(stream)};
	return SN_RC_OK;
}

static void fini(void *instance) { (void)instance; }
static const sn_speaker *describe_speaker(const void *instance) { return &((const whistle *)instance)->about; }
static const sn_synth_info *describe_synth(const void *instance) { return &((const whistle *)instance)->info; }

/* <|im_start|>VOICE (in LANGUAGE) [INSTRUCTIONS]: TEXT, the row of a recording instead of a voice. */
static sn_rc compose(const void *instance, const sn_speak_ask *ask, sn_speak_prompt *out, sn_fault *fault)
{
	(void)instance;
	*out = (sn_speak_prompt){.size = sizeof *out};
	if (ask->has_reference && ask->language == 2) {
		fault->code = SN_RC_UNSUPPORTED;
		fault->blame = SN_BLAME_INPUT;
		snprintf(fault->text, sizeof fault->text, "it does not speak german in the voice of a recording");
		return SN_RC_UNSUPPORTED;
	}
	out->pieces[out->n_pieces++] = PROMPT[0];
	out->pieces[out->n_pieces++] = ask->has_reference ? (sn_speak_piece){.what = SN_SPEAK_REFERENCE} : PROMPT[1];
	if (ask->language)
		out->pieces[out->n_pieces++] = (sn_speak_piece){.what = SN_SPEAK_PLAIN, .text = TOLD[ask->language - 1]};
	if (ask->has_instructions) {
		out->pieces[out->n_pieces++] = (sn_speak_piece){.what = SN_SPEAK_PLAIN, .text = " ["};
		out->pieces[out->n_pieces++] = (sn_speak_piece){.what = SN_SPEAK_INSTRUCTIONS};
		out->pieces[out->n_pieces++] = (sn_speak_piece){.what = SN_SPEAK_PLAIN, .text = "]"};
	}
	out->pieces[out->n_pieces++] = PROMPT[2];
	out->pieces[out->n_pieces++] = PROMPT[3];
	return SN_RC_OK;
}

static sn_rc plan(const void *instance, uint32_t n_streams, uint32_t n_frames, uint32_t *n_units, uint64_t *state_bytes, sn_fault *fault)
{
	(void)instance, (void)n_frames, (void)fault;
	*n_units = n_streams;
	*state_bytes = sizeof(job);
	return SN_RC_OK;
}

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, sn_synth_chunk *chunks, uint32_t n, sn_fault *fault)
{
	(void)instance, (void)call, (void)ctx, (void)fault;
	*(job *)state = (job){chunks, n, 0};
	return SN_RC_OK;
}

static void make_sound(sn_synth_chunk *c)
{
	stream *s = c->stream;
	for (uint32_t f = 0; f < c->n_frames; f++)
		for (uint32_t i = 0; i < FRAME; i++) {
			c->pcm[f * FRAME + i] = 0.4f * (float)sin(s->phase);
			s->phase += 2 * 3.14159265358979 * (300 + 20 * c->codes[f]) / RATE;
		}
	c->n_samples = c->n_frames * FRAME;
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, sn_fault *fault)
{
	const whistle *w = instance;
	job *j = state;
	(void)call, (void)ctx;
	for (*units_done = 0; *units_done < max_units && j->done < j->n; ++*units_done) {
		sn_synth_chunk *c = &j->chunks[j->done++];
		if (w->fails_at >= c->first_frame && w->fails_at < c->first_frame + c->n_frames) {
			fault->code = SN_RC_INTERNAL;
			fault->blame = SN_BLAME_PLUGIN;
			snprintf(fault->text, sizeof fault->text, "the whistle broke");
			return SN_RC_INTERNAL;
		}
		make_sound(c);
	}
	return j->done == j->n ? SN_RC_END : SN_RC_AGAIN;
}

static void end(void *instance, void *state) { (void)instance, (void)state; }

/* ---- recordings to speak like ---- */

typedef struct ear {
	float pitch;
} ear;

static const char *marker(const void *instance) { (void)instance; return "<whistle>"; }
static const char *row_token(const void *instance) { (void)instance; return NULL; }
static uint32_t row_dim(const void *instance) { return ((const whistle *)instance)->width; }
static uint32_t media_rate(const void *instance) { (void)instance; return 16000; }

static sn_rc plan_row(const void *instance, const sn_call *call, const sn_media *media, sn_media_plan *out, sn_fault *fault)
{
	(void)instance, (void)call;
	if (media->n_samples < 1600) {
		fault->code = SN_RC_INVALID;
		fault->blame = SN_BLAME_INPUT;
		snprintf(fault->text, sizeof fault->text, "the recording is shorter than a tenth of a second");
		return SN_RC_INVALID;
	}
	out->n_rows = out->n_holes = out->n_units = 1;
	out->state_bytes = sizeof(ear);
	return SN_RC_OK;
}

static sn_rc layout_row(const void *instance, const sn_call *call, const sn_media *media, const sn_media_plan *p, char *text, sn_hole *holes,
                        sn_fault *fault)
{
	(void)instance, (void)call, (void)media, (void)p, (void)text, (void)fault;
	holes[0] = (sn_hole){0, 1};
	return SN_RC_OK;
}

static sn_rc hear(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, const sn_media *media, const sn_media_plan *p, sn_fault *fault)
{
	const float *pcm = media->samples;
	uint64_t crossings = 0;
	(void)instance, (void)call, (void)ctx, (void)p, (void)fault;
	for (uint64_t i = 1; i < media->n_samples; i++)
		crossings += (pcm[i - 1] < 0) != (pcm[i] < 0);
	((ear *)state)->pitch = (float)crossings * (float)media->rate / (float)media->n_samples;
	return SN_RC_OK;
}

static sn_rc make_row(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, float *rows,
                      sn_fault *fault)
{
	(void)call, (void)ctx, (void)max_units, (void)fault;
	for (uint32_t i = 0; i < ((const whistle *)instance)->width; i++)
		rows[i] = 0.5f * sinf(((const ear *)state)->pitch * 0.01f * (float)(i + 1));
	*units_done = 1;
	return SN_RC_END;
}

static const sn_ext_plan PLAN = {.size = sizeof PLAN, .kind = SN_MEDIA_AUDIO, .kind_name = "audio", .marker = marker, .row_token = row_token,
                                 .row_dim = row_dim, .plan = plan_row, .layout = layout_row, .media_rate = media_rate};
static const sn_ext_encode ENCODE = {.size = sizeof ENCODE, .begin = hear, .step = make_row, .end = end};
static const sn_ext_speak SPEAK = {.size = sizeof SPEAK, .describe = describe_speaker, .compose = compose};
static const sn_ext_synth SYNTH = {.size = sizeof SYNTH, .describe = describe_synth, .plan = plan, .begin = begin, .step = step, .end = end};

static const void *extension(const char *id)
{
	static const struct {
		const char *id;
		const void *extension;
	} all[] = {{SN_EXT_SPEAK, &SPEAK}, {SN_EXT_SYNTH, &SYNTH}, {SN_EXT_PLAN, &PLAN}, {SN_EXT_ENCODE, &ENCODE}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(id, all[i].id) == 0)
			return all[i].extension;
	return NULL;
}

static const sn_plugin PLUGIN = {
    .size = sizeof PLUGIN,
    .instance_size = sizeof(whistle),
    .id = "whistle",
    .version = "1.0.0",
    .license = "MIT",
    .summary = "speaks in whistles, for tests",
    .probe = probe,
    .init = init,
    .load = load,
    .fini = fini,
    .extension = extension,
    .extensions = SN_EXT_SPEAK " " SN_EXT_SYNTH " " SN_EXT_PLAN " " SN_EXT_ENCODE,
};

static const sn_plugin *const PLUGINS[] = {&PLUGIN};
static const sn_plugin_list LIST = {.stamp = SN_PLUGIN_STAMP, .n_plugins = 1, .plugins = PLUGINS};

SN_EXPORT const sn_plugin_list *sn_plugin_entry_1(void) { return &LIST; }
