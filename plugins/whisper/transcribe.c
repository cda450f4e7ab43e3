/* transcribe.c - "sn.transcribe/1": what Whisper was trained to be told, from the model file's keys, and where recordings are cut.
 *
 * A window is cut in its last 5 seconds, at the quietest 0.2 s: pauses between phrases are longer than that and come more often, and
 * a window that is at least 25 s long costs at most a fifth more encoder runs than a full one. Reference: openai/whisper,
 * whisper/{tokenizer,decoding}.py; transformers, generation_config.json.
 */
#include <string.h>

#include <quiet.h>

#include "whisper.h"

enum { MAX_LANGUAGES = 1024, MAX_IDS = 65536, CODE = 16, SEARCH_MS = 5000, QUIET_MS = 200, STAMP_MS = 20 };

/* The transcriber's arrays in one block. */
typedef struct tables {
	sn_language languages[MAX_LANGUAGES];
	char codes[MAX_LANGUAGES][CODE];
	uint32_t heads[MAX_LANGUAGES][2];
	int32_t ids[]; /* suppress, then begin_suppress */
} tables;

static sn_rc count_ids(const whisper *w, const sn_model *model, const char *key, uint32_t *n, sn_fault *fault)
{
	*n = w->host.weights->get_i32_array(model, key, NULL, 0);
	return *n <= MAX_IDS ? SN_RC_OK : kit_fail(fault, SN_RC_INVALID, "%s: %u numbers: more than %d", key, *n, MAX_IDS);
}

static sn_rc read_ids(const whisper *w, const sn_model *model, const char *key, int32_t *out, uint32_t n, sn_fault *fault)
{
	w->host.weights->get_i32_array(model, key, out, n);
	for (uint32_t i = 0; i < n; i++)
		if (out[i] < 0)
			return kit_fail(fault, SN_RC_INVALID, "%s[%u] = %d: not a token", key, i, out[i]);
	return SN_RC_OK;
}

/* "<|en|>" -> "en" */
static sn_rc read_languages(whisper *w, const sn_model *model, tables *t, sn_fault *fault)
{
	static const char KEY[] = "whisper.languages";
	const char *token;
	uint32_t n = 0;
	for (; (token = w->host.weights->get_str_at(model, KEY, n)); n++) {
		size_t length = strlen(token);
		if (n == MAX_LANGUAGES)
			return kit_fail(fault, SN_RC_INVALID, "%s: more than %d", KEY, MAX_LANGUAGES);
		if (length < 5 || length - 4 >= CODE || memcmp(token, "<|", 2) != 0 || memcmp(token + length - 2, "|>", 2) != 0)
			return kit_fail(fault, SN_RC_INVALID, "%s[%u] is not spelt <|code|>", KEY, n);
		memcpy(t->codes[n], token + 2, length - 4);
		t->languages[n] = (sn_language){.code = t->codes[n], .token = token};
	}
	w->transcriber.languages = t->languages;
	w->transcriber.n_languages = n;
	return SN_RC_OK;
}

static sn_rc read_heads(whisper *w, const sn_model *model, tables *t, sn_fault *fault)
{
	static const char KEY[] = "whisper.alignment_heads";
	int32_t pairs[2 * MAX_LANGUAGES];
	uint32_t n = w->host.weights->get_i32_array(model, KEY, pairs, 2 * MAX_LANGUAGES), layers = 0, heads = 0;
	w->host.weights->get_u32(model, "whisper.block_count", &layers);
	w->host.weights->get_u32(model, "whisper.attention.head_count", &heads);
	if (n % 2 || n > 2 * MAX_LANGUAGES)
		return kit_fail(fault, SN_RC_INVALID, "%s: %u numbers: must be pairs, at most %d", KEY, n, MAX_LANGUAGES);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t end = i % 2 ? heads : layers;
		if (pairs[i] < 0 || (uint32_t)pairs[i] >= end)
			return kit_fail(fault, SN_RC_INVALID, "%s[%u] = %d: the decoder has %u layers of %u heads", KEY, i, pairs[i], layers, heads);
		t->heads[i / 2][i % 2] = (uint32_t)pairs[i];
	}
	w->transcriber.alignment_heads = t->heads;
	w->transcriber.n_alignment_heads = n / 2;
	return SN_RC_OK;
}

/* Stamps run to the end of a window; a file may have none. */
static sn_rc read_stamps(whisper *w, const sn_model *model, sn_fault *fault)
{
	sn_transcriber *d = &w->transcriber;
	uint32_t most = w->config.n_ctx + 1;
	w->host.weights->get_u32(model, "whisper.stamps", &d->n_stamps);
	if (d->n_stamps > most)
		return kit_fail(fault, SN_RC_INVALID, "whisper.stamps = %u: a window has %u", d->n_stamps, most);
	d->max_first_stamp = d->n_stamps;
	w->host.weights->get_u32(model, "whisper.max_initial_timestamp_index", &d->max_first_stamp);
	if (d->max_first_stamp > d->n_stamps)
		d->max_first_stamp = d->n_stamps;
	if (d->n_stamps) {
		d->step_ms = STAMP_MS;
		d->first_stamp = "<|0.00|>";
		d->no_stamps = "<|notimestamps|>";
	}
	return SN_RC_OK;
}

sn_rc whisper_read_transcriber(whisper *w, const sn_model *model, sn_fault *fault)
{
	static const char SUPPRESS[] = "whisper.suppress_tokens", BEGIN[] = "whisper.begin_suppress_tokens", CONTEXT[] = "whisper.context_length";
	uint32_t n_suppress, n_begin, context = 0;
	if (!w->config.family->own_file)
		return SN_RC_OK;
	if (!w->host.weights->get_u32(model, CONTEXT, &context) || context < 16 || context > 65536)
		return kit_fail(fault, SN_RC_INVALID, "%s = %u: must be 16 to 65536", CONTEXT, context);
	if (count_ids(w, model, SUPPRESS, &n_suppress, fault) != SN_RC_OK || count_ids(w, model, BEGIN, &n_begin, fault) != SN_RC_OK)
		return SN_RC_INVALID;
	kit_free(&w->host, w->tables);
	tables *t = w->tables = kit_alloc(&w->host, sizeof *t + ((size_t)n_suppress + n_begin) * sizeof(int32_t));
	if (!t)
		return kit_fail(fault, SN_RC_NOMEM, "no memory for the transcriber's tables");
	/* Half of the context is for what came before, half for the answer: as the reference divides it. */
	w->transcriber = (sn_transcriber){.size = sizeof w->transcriber, .max_previous = context / 2 - 1, .max_tokens = context / 2,
	                                  .previous = "<|startofprev|>", .opening = "<|startoftranscript|>", .suppress = t->ids,
	                                  .n_suppress = n_suppress, .begin_suppress = t->ids + n_suppress, .n_begin_suppress = n_begin,
	                                  .no_speech = w->host.weights->get_str(model, "whisper.no_speech_token")};
	sn_rc rc = read_ids(w, model, SUPPRESS, t->ids, n_suppress, fault);
	if (rc == SN_RC_OK)
		rc = read_ids(w, model, BEGIN, t->ids + n_suppress, n_begin, fault);
	if (rc == SN_RC_OK)
		rc = read_languages(w, model, t, fault);
	if (rc == SN_RC_OK)
		rc = read_heads(w, model, t, fault);
	if (rc == SN_RC_OK)
		rc = read_stamps(w, model, fault);
	if (w->transcriber.n_languages) { /* a model of one language is told neither it nor the task */
		w->transcriber.transcribe = "<|transcribe|>";
		w->transcriber.translate = "<|translate|>";
	}
	return rc;
}

static const sn_transcriber *describe(const void *instance)
{
	const whisper *w = instance;
	return w->loaded && w->config.family->own_file ? &w->transcriber : NULL;
}

static uint64_t cut(const void *instance, const sn_media *media, uint64_t first)
{
	const whisper *w = instance;
	uint64_t window = whisper_window_samples(&w->config), search = (uint64_t)SEARCH_MS * SN_LOGMEL_RATE / 1000;
	if (!w->loaded || first >= media->n_samples || media->n_samples - first <= window)
		return media->n_samples;
	if (search > window / 2)
		search = window / 2;
	return sn_quiet_place(media->samples, first + window - search, first + window, QUIET_MS * SN_LOGMEL_RATE / 1000);
}

const sn_ext_transcribe whisper_transcribe_ext = {.size = sizeof whisper_transcribe_ext, .describe = describe, .cut = cut};
