/* talker_lanes.h - a plugin for the talker of talker_kit.h: it speaks with two lanes, its sound is its codes, and it hears whom it is to
 * speak like. */
#ifndef SN_TESTS_TALKER_LANES_H
#define SN_TESTS_TALKER_LANES_H

#include "engine_kit.h"
#include "talker_kit.h"

enum { FRAME = N_PREDICTED + 1, MAX_FRAMES = 24, N_ENDS = 3, RATE = 1000 };

static const sn_speak_slot SLOT = {.first_token = "<|codec_0|>", .n = N_CODES - 1};
static const char *const ENDS[N_ENDS] = {"<|codec_eos_token|>", "<|codec_39|>", "<|codec_44|>"};
static const sn_voice VOICES[] = {{"ann", "<|spk_ann|>", ""}, {"bo", "<|spk_bo|>", ""}};
static const sn_speak_language LANGUAGES[] = {{"english", "en"}};
static sn_speaker ABOUT;
static sn_synth_info INFO;
static bool streams;               /* the words flow */
static const char *pad = "<tts_pad>";

static void describe_again(void)
{
	ABOUT = (sn_speaker){.size = sizeof ABOUT, .n_voices = 2, .voices = VOICES, .slots = &SLOT, .n_slots = 1, .end_tokens = ENDS, .n_end_tokens = 1,
	                     .max_text = 100, .max_frames = MAX_FRAMES, .temperature = 1, .top_p = 1, .repetition_penalty = 1.05f, .n_predicted = N_PREDICTED,
	                     .languages = LANGUAGES, .n_languages = 1, .instructions = 1, .predictor_temperature = 0.9f, .predictor_top_p = 0.9f,
	                     .predictor_top_k = 20, .n_values = N_VALUES};
	INFO = (sn_synth_info){.size = sizeof INFO, .rate = RATE, .n_codes = FRAME, .frame_samples = FRAME, .first_frames = 1, .chunk_frames = 4,
	                       .max_frames = 1000, .max_streams = 8};
	streams = true;
	pad = "<tts_pad>";
}

static sn_rc compose(const void *instance, const sn_speak_ask *ask, sn_speak_prompt *out, sn_fault *fault)
{
	(void)instance;
	uint32_t n = 0;
	if (ask->has_instructions && ask->language) {
		*fault = (sn_fault){.size = sizeof *fault, .code = SN_RC_UNSUPPORTED, .blame = SN_BLAME_INPUT};
		snprintf(fault->text, sizeof fault->text, "not both");
		return SN_RC_UNSUPPORTED;
	}
	if (ask->has_instructions) {
		out->pieces[n++] = (sn_speak_piece){.what = SN_SPEAK_TRUSTED, .text = "<|im_start|>"};
		out->pieces[n++] = (sn_speak_piece){.what = SN_SPEAK_INSTRUCTIONS};
		out->pieces[n++] = (sn_speak_piece){.what = SN_SPEAK_PLAIN, .text = "x"};
	}
	out->pieces[n++] = (sn_speak_piece){.what = SN_SPEAK_TRUSTED, .text = "<|im_start|>a"};
	if (ask->language)
		out->pieces[n++] = (sn_speak_piece){.what = SN_SPEAK_TRUSTED, .text = "<tts_pad>", .with = "<|codec_language_english|>"};
	if (ask->has_reference)
		out->pieces[n++] = (sn_speak_piece){.what = SN_SPEAK_REFERENCE, .with = "<tts_pad>"};
	else
		out->pieces[n++] = (sn_speak_piece){.what = SN_SPEAK_TRUSTED, .text = "<|codec_think|>", .with = VOICES[ask->voice].prompt};
	out->pieces[n++] = (sn_speak_piece){.what = SN_SPEAK_TEXT, .most = streams ? 1 : 0, .with = "<|codec_bos|>"};
	out->n_pieces = n;
	out->flow_end = streams ? "<tts_text_eod>" : pad;
	out->flow_rest = pad;
	return SN_RC_OK;
}

static const sn_speaker *speak_describe(const void *instance)
{
	(void)instance;
	return &ABOUT;
}

static const sn_synth_info *synth_describe(const void *instance)
{
	(void)instance;
	return &INFO;
}

static sn_rc synth_plan(const void *instance, uint32_t n_streams, uint32_t n_frames, uint32_t *n_units, uint64_t *state_bytes, sn_fault *fault)
{
	(void)instance, (void)fault, (void)n_streams, (void)n_frames;
	*n_units = 1;
	*state_bytes = sizeof(sn_synth_chunk *) + sizeof(uint32_t);
	return SN_RC_OK;
}

static sn_rc synth_begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, sn_synth_chunk *chunks, uint32_t n, sn_fault *fault)
{
	(void)instance, (void)call, (void)ctx, (void)fault;
	memcpy(state, &chunks, sizeof chunks);
	memcpy((char *)state + sizeof chunks, &n, sizeof n);
	return SN_RC_OK;
}

static sn_rc synth_run(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, sn_fault *fault)
{
	(void)instance, (void)call, (void)ctx, (void)max_units, (void)fault;
	sn_synth_chunk *chunks;
	uint32_t n;
	memcpy(&chunks, state, sizeof chunks);
	memcpy(&n, (char *)state + sizeof chunks, sizeof n);
	for (uint32_t i = 0; i < n; i++) {
		chunks[i].n_samples = chunks[i].n_frames * FRAME;
		for (uint32_t s = 0; s < chunks[i].n_samples; s++)
			chunks[i].pcm[s] = (float)chunks[i].codes[s] / 64;
	}
	*units_done = 1;
	return SN_RC_END;
}

static void synth_end(void *instance, void *state)
{
	(void)instance, (void)state;
}

/* ---- and that hears whom it is to speak like: sums of what it hears ---- */

static atomic_uint n_heard;

static const char *plan_marker(const void *instance)
{
	(void)instance;
	return "<recording>";
}

static uint32_t plan_row_dim(const void *instance)
{
	(void)instance;
	return T_WIDTH;
}

static uint32_t plan_rate(const void *instance)
{
	(void)instance;
	return 8000;
}

static sn_rc plan_one_row(const void *instance, const sn_call *call, const sn_media *media, sn_media_plan *plan, sn_fault *fault)
{
	(void)instance, (void)call, (void)media, (void)fault;
	plan->n_rows = plan->n_holes = plan->n_units = 1;
	plan->state_bytes = T_WIDTH * sizeof(float);
	return SN_RC_OK;
}

static sn_rc plan_layout(const void *instance, const sn_call *call, const sn_media *media, const sn_media_plan *plan, char *text, sn_hole *holes,
                         sn_fault *fault)
{
	(void)instance, (void)call, (void)media, (void)plan, (void)text, (void)fault;
	holes[0] = (sn_hole){.n_rows = 1};
	return SN_RC_OK;
}

static sn_rc hear_begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, const sn_media *media, const sn_media_plan *plan,
                        sn_fault *fault)
{
	(void)instance, (void)call, (void)ctx, (void)plan, (void)fault;
	atomic_fetch_add(&n_heard, 1);
	for (uint64_t i = 0; i < media->n_samples; i++)
		((float *)state)[i % T_WIDTH] += ((const float *)media->samples)[i];
	return SN_RC_OK;
}

static sn_rc hear_step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, float *rows,
                       sn_fault *fault)
{
	(void)instance, (void)call, (void)ctx, (void)max_units, (void)fault;
	memcpy(rows, state, T_WIDTH * sizeof *rows);
	*units_done = 1;
	return SN_RC_END;
}

static const sn_ext_plan PLAN = {.size = sizeof PLAN, .kind = SN_MEDIA_AUDIO, .kind_name = "audio", .marker = plan_marker, .row_dim = plan_row_dim,
                                 .plan = plan_one_row, .layout = plan_layout, .media_rate = plan_rate};
static const sn_ext_encode ENCODE = {.size = sizeof ENCODE, .begin = hear_begin, .step = hear_step, .end = synth_end};

static int32_t speak_probe(const sn_host *host, const sn_model *m)
{
	(void)host, (void)m;
	return 1000;
}

static sn_rc speak_init(void *instance, const sn_host *host, sn_fault *fault)
{
	(void)instance, (void)host, (void)fault;
	return SN_RC_OK;
}

static sn_rc speak_load(void *instance, const sn_model *m, sn_fault *fault)
{
	(void)instance, (void)m, (void)fault;
	return SN_RC_OK;
}

static void speak_fini(void *instance)
{
	(void)instance;
}

static const sn_ext_speak SPEAK = {.size = sizeof SPEAK, .describe = speak_describe, .compose = compose};
static const sn_ext_synth SYNTH = {.size = sizeof SYNTH, .describe = synth_describe, .plan = synth_plan, .begin = synth_begin, .step = synth_run,
                                   .end = synth_end};

static const void *extension(const char *id)
{
	return strcmp(id, SN_EXT_SPEAK) == 0 ? (const void *)&SPEAK : strcmp(id, SN_EXT_SYNTH) == 0 ? (const void *)&SYNTH : NULL;
}

static const sn_plugin DESC = {.size = sizeof DESC, .instance_size = 8, .id = "lanes", .version = "1", .probe = speak_probe, .init = speak_init,
                               .load = speak_load, .fini = speak_fini, .extension = extension};

#endif
