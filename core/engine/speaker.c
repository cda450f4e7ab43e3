#include "engine/speaker.h"

#include <stdlib.h>
#include <strings.h>

#include "base/error.h"
#include "engine/synth.h"

/* A special token by its spelling, or a text that is one token. */
static int32_t find_token(const vocab *v, const char *text)
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
		int32_t first = find_token(m->vocab, slot->first_token);
		if (first < 0)
			return lacks(s, m, slot->first_token, err);
		if (slot->n > n_vocab || (size_t)first > n_vocab - slot->n)
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
		int32_t id = find_token(m->vocab, s->about->end_tokens[i]);
		if (id < 0 || (uint32_t)id >= m->h.n_vocab)
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

/* An utterance must fit the model: some prompt, a frame and its end. */
static sn_status check_model(const speaker *s, const model *m, sn_error *err)
{
	if (m->h.n_cross)
		return error_set(err, SN_ERR_INVALID, "%s: %s writes recordings down, it has no voice", s->voc->model->file->name, m->file->name);
	return SN_OK;
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
	list_voices(s);
	s->rules = (token_rules){.slots = s->slots, .n_slots = a->n_slots, .ends = s->ends, .n_ends = a->n_end_tokens, .no_stamps = -1};
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
