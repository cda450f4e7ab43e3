#include "engine/speaker.h"

#include <stdlib.h>
#include <strings.h>

#include "base/error.h"
#include "engine/synth.h"
#include "model/depth.h"
#include "plugin/speaker_problem.h"

int32_t speaker_token(const vocab *v, const char *text)
{
	int32_t id = vocab_find(v, str_of(text)), *ids = NULL;
	size_t n = 0;
	if (id < 0 && text_encode(v, text, strlen(text), false, false, &ids, &n, NULL) == SN_OK && n == 1)
		id = ids[0];
	free(ids);
	return id;
}

static sn_status lacks(const speaker *s, const model *m, const char *text, sn_error *err)
{
	return error_set(err, SN_ERR_INVALID, "%s: the vocabulary of %s lacks the token \"%.64s\"", s->voc->model->file->name, m->file->name, text);
}

static sn_status find_slots(speaker *s, const model *m, sn_error *err)
{
	size_t n_vocab = vocab_size(m->vocab) < m->h.n_vocab ? vocab_size(m->vocab) : m->h.n_vocab;
	for (uint32_t i = 0; i < s->about->n_slots; i++) {
		const sn_speak_slot *slot = &s->about->slots[i];
		int32_t first = speaker_token(m->vocab, slot->first_token);
		if (first < 0)
			return lacks(s, m, slot->first_token, err);
		if (slot->n > n_vocab || (size_t)first > n_vocab - slot->n || (uint32_t)first < m->h.first_logit)
			return error_set(err, SN_ERR_INVALID, "%s: the vocabulary of %s has no room for %u codes from the token \"%.64s\" on",
			                 s->voc->model->file->name, m->file->name, slot->n, slot->first_token);
		s->slots[i] = (token_range){first, slot->n};
	}
	return SN_OK;
}

static int by_id(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	return (x > y) - (x < y);
}

/* A token that ends an utterance is no code of the slot in whose place it comes. */
static sn_status find_ends(speaker *s, const model *m, sn_error *err)
{
	const token_range *first = &s->slots[0];
	for (uint32_t i = 0; i < s->about->n_end_tokens; i++) {
		int32_t id = speaker_token(m->vocab, s->about->end_tokens[i]);
		if (id < (int32_t)m->h.first_logit || (uint32_t)id >= m->h.n_vocab)
			return lacks(s, m, s->about->end_tokens[i], err);
		if (id >= first->first && (uint32_t)(id - first->first) < first->n)
			return error_set(err, SN_ERR_INVALID, "%s: the end token \"%.64s\" is a code as well", s->voc->model->file->name, s->about->end_tokens[i]);
		s->ends[i] = id;
	}
	qsort(s->ends, s->about->n_end_tokens, sizeof *s->ends, by_id);
	return SN_OK;
}

/* And languages. */
static void list_voices(speaker *s)
{
	const sn_speaker *a = s->about;
	s->voices[s->n_voices++] = (sn_voice_info){"default", a->voices[0].language};
	for (uint32_t i = strcmp(a->voices[0].name, "default") == 0; i < a->n_voices; i++)
		s->voices[s->n_voices++] = (sn_voice_info){a->voices[i].name, a->voices[i].language};
	for (uint32_t i = 0; i < a->n_languages; i++)
		s->languages[i] = (sn_speech_language){a->languages[i].name, a->languages[i].code};
}

/* From the first to the last token that it can sample. */
static void find_head_rows(speaker *s, const model *m)
{
	int32_t first = s->ends[0], last = s->ends[s->about->n_end_tokens - 1];
	for (uint32_t i = 0; i < s->about->n_slots; i++) {
		int32_t end = s->slots[i].first + (int32_t)s->slots[i].n - 1;
		first = s->slots[i].first < first ? s->slots[i].first : first;
		last = end > last ? end : last;
	}
	s->head_first = (uint32_t)first - m->h.first_logit;
	s->head_n = (uint32_t)(last - first) + 1;
}

/* What the model's file says is never to be sampled must not be what the speaker samples. */
static sn_status check_suppressed(const speaker *s, const model *m, sn_error *err)
{
	static const char key[] = "tokenizer.ggml.suppress_tokens";
	const file_key *k = file_key_find(m->file, key);
	for (uint64_t i = 0; k && k->type == FILE_ARRAY && k->elem_type != FILE_STRING && i < k->n; i++) {
		double id = file_number(k, i);
		bool said = false;
		for (uint32_t e = 0; e < s->about->n_end_tokens; e++)
			said |= id == s->ends[e];
		for (uint32_t t = 0; t < s->about->n_slots; t++)
			said |= id >= s->slots[t].first && id < (double)s->slots[t].first + s->slots[t].n;
		if (said)
			return error_set(err, SN_ERR_INVALID, "%s: key %s: token %.0f is a code or an end of %s", m->file->name, key, id, s->voc->model->file->name);
	}
	return SN_OK;
}

/* A model speaks, and says what is predicted of a frame. */
static sn_status check_model(const speaker *s, const model *m, sn_error *err)
{
	const char *name = s->voc->model->file->name;
	uint32_t n = m->depth ? m->depth->n_codes : 0, values = m->depth ? m->depth->n_values : 0;
	if (m->h.n_cross)
		return error_set(err, SN_ERR_INVALID, "%s: %s writes recordings down, it has no voice", name, m->file->name);
	if (n != s->about->n_predicted || (n && values != s->about->n_values))
		return error_set(err, SN_ERR_INVALID, "%s: it counts on %u predicted codes of %u values in a frame, %s has %u of %u", name, s->about->n_predicted,
		                 s->about->n_values, m->file->name, n, values);
	return SN_OK;
}

sn_status speaker_compose(const speaker *s, const sn_speak_ask *ask, sn_speak_prompt *out, sn_error *err)
{
	plugin *p = s->voc->p;
	sn_fault fault = {.size = sizeof fault};
	*out = (sn_speak_prompt){.size = sizeof *out};
	if (!speak_compose(p->speak)) {
		out->n_pieces = s->about->n_pieces;
		memcpy(out->pieces, s->about->prompt, out->n_pieces * sizeof *out->pieces);
		return SN_OK;
	}
	sn_rc rc = speak_compose(p->speak)(s->voc->instance, ask, out, &fault);
	const char *why = rc == SN_RC_OK ? prompt_problem(out, ask) : NULL;
	if (rc != SN_RC_OK)
		return fault_to_error(p, rc, &fault, err);
	return why ? plugin_broke(p, err, "what it composed is not right: %s", why) : SN_OK;
}

static sn_status check_token(const speaker *s, const model *m, const char *text, sn_error *err)
{
	int32_t id = text ? speaker_token(m->vocab, text) : 0;
	return id < 0 || (uint32_t)id >= m->h.n_vocab ? lacks(s, m, text, err) : SN_OK;
}

static sn_status check_prompt(const speaker *s, const model *m, const sn_speak_ask *ask, sn_error *err)
{
	sn_speak_prompt p;
	sn_status st = speaker_compose(s, ask, &p, err);
	if (st == SN_ERR_UNSUPPORTED) /* a wish that cannot be had: nothing to check */
		return SN_OK;
	for (uint32_t i = 0; i < p.n_pieces && !st; i++)
		st = check_token(s, m, p.pieces[i].with, err);
	if (!st)
		st = check_token(s, m, p.flow_end, err);
	return st ? st : check_token(s, m, p.flow_rest, err);
}

/* Each voice and each language once: a token that the vocabulary lacks shows before anyone asks. */
static sn_status check_prompts(const speaker *s, const model *m, sn_error *err)
{
	sn_status st = SN_OK;
	for (uint32_t i = 0; i < s->about->n_voices && !st; i++)
		st = check_prompt(s, m, &(sn_speak_ask){.size = sizeof(sn_speak_ask), .voice = i}, err);
	for (uint32_t i = 1; i <= s->about->n_languages && !st; i++)
		st = check_prompt(s, m, &(sn_speak_ask){.size = sizeof(sn_speak_ask), .language = i}, err);
	return st;
}

sn_status speaker_open(speaker **out, vocoder *voc, const model *m, sn_error *err)
{
	const sn_speaker *a = voc->about;
	speaker *s = calloc(1, sizeof *s);
	*out = NULL;
	if (s) {
		s->slots = calloc(a->n_slots, sizeof *s->slots);
		s->ends = calloc(a->n_end_tokens, sizeof *s->ends);
		s->voices = calloc((size_t)a->n_voices + 1, sizeof *s->voices);
		s->languages = calloc((size_t)a->n_languages + 1, sizeof *s->languages);
		s->job = synth_open();
	}
	if (!s || !s->slots || !s->ends || !s->voices || !s->languages || !s->job) {
		speaker_close(&s);
		return error_set(err, SN_ERR_NOMEM, "no memory for a speaker");
	}
	s->voc = voc;
	s->about = a;
	s->info = voc->info;
	s->max_text = a->max_text;
	sn_status st = check_model(s, m, err);
	if (!st)
		st = find_slots(s, m, err);
	if (!st)
		st = find_ends(s, m, err);
	if (!st)
		st = check_suppressed(s, m, err);
	if (!st)
		st = check_prompts(s, m, err);
	if (!st)
		find_head_rows(s, m);
	list_voices(s);
	s->rules = (token_rules){.slots = s->slots, .n_slots = a->n_slots, .ends = s->ends, .n_ends = a->n_end_tokens,
	                         .min_frames = a->min_frames, .no_stamps = -1};
	if (st)
		speaker_close(&s);
	*out = s;
	return st;
}

void speaker_close(speaker **sp)
{
	speaker *s = *sp;
	*sp = NULL;
	if (!s)
		return;
	synth_close(&s->job);
	free(s->slots);
	free(s->ends);
	free(s->voices);
	free(s->languages);
	free(s);
}

uint32_t speaker_voice(const speaker *s, const char *name)
{
	if (!name || strcmp(name, "default") == 0)
		return 0;
	for (uint32_t i = 0; i < s->about->n_voices; i++)
		if (strcmp(s->about->voices[i].name, name) == 0)
			return i;
	return UINT32_MAX;
}

uint32_t speaker_language(const speaker *s, const char *name)
{
	if (!name)
		return 0;
	for (uint32_t i = 0; i < s->about->n_languages; i++)
		if (strcasecmp(s->languages[i].name, name) == 0 || strcasecmp(s->languages[i].code, name) == 0)
			return i + 1;
	return UINT32_MAX;
}

int32_t speaker_code(const speaker *s, uint32_t i, int32_t t)
{
	const token_range *slot = &s->slots[i % s->about->n_slots];
	return t >= slot->first && (uint32_t)(t - slot->first) < slot->n ? t - slot->first : -1;
}
