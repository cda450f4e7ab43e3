#include "engine/transcriber.h"

#include <stdlib.h>

#include "base/error.h"

enum { MAX_LANGUAGES = 1024, MAX_LIST = 1 << 16, MAX_ALIGNED = 1024 };

static sn_status find(const transcriber *t, const vocab *v, const char *text, int32_t *out, sn_error *err)
{
	*out = text ? vocab_find(v, str_of(text)) : -1;
	if (text && *out < 0)
		return error_set(err, SN_ERR_INVALID, "%s: the vocabulary lacks the token \"%.64s\"", encoder_file(t->enc)->name, text);
	return SN_OK;
}

static sn_status check_sizes(const transcriber *t, const model *m, sn_error *err)
{
	const sn_transcriber *a = t->about;
	const char *wrong = NULL;
	if (a->size < sizeof *a || !a->opening || !a->max_tokens || t->end < 0)
		wrong = "it lacks an opening, an end or a length";
	else if (a->n_languages > MAX_LANGUAGES || (a->n_languages && (!a->languages || !a->transcribe)))
		wrong = "its languages";
	else if (a->n_suppress > MAX_LIST || a->n_begin_suppress > MAX_LIST || (a->n_suppress && !a->suppress) || (a->n_begin_suppress && !a->begin_suppress))
		wrong = "its lists of suppressed tokens";
	else if (a->first_stamp && (!a->n_stamps || !a->step_ms))
		wrong = "its stamps";
	else if (a->n_alignment_heads > MAX_ALIGNED || (a->n_alignment_heads && (!a->alignment_heads || !a->first_stamp)))
		wrong = "its alignment heads";
	for (uint32_t i = 0; !wrong && i < a->n_languages; i++)
		if (!a->languages[i].code || !*a->languages[i].code || strnlen(a->languages[i].code, 16) > 15 || !a->languages[i].token)
			wrong = "a language without code or token";
	for (uint32_t i = 0; !wrong && i < a->n_alignment_heads; i++)
		if (a->alignment_heads[i][0] >= m->h.n_layers || a->alignment_heads[i][1] >= m->h.n_head)
			wrong = "an alignment head that the model does not have";
	return wrong ? error_set(err, SN_ERR_INVALID, "%s: what its encoder says of transcriptions does not fit: %s", m->file->name, wrong) : SN_OK;
}

static int by_id(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	return (x > y) - (x < y);
}

static sn_status find_languages(transcriber *t, const vocab *v, sn_error *err)
{
	uint32_t n = t->about->n_languages;
	t->languages = calloc((size_t)n + 1, sizeof *t->languages);
	t->any_language = calloc((size_t)n + 1, sizeof *t->any_language);
	if (!t->languages || !t->any_language)
		return error_set(err, SN_ERR_NOMEM, "no memory for languages");
	sn_status st = SN_OK;
	for (uint32_t i = 0; i < n && !st; i++)
		st = find(t, v, t->about->languages[i].token, &t->languages[i], err);
	memcpy(t->any_language, t->languages, n * sizeof *t->languages);
	qsort(t->any_language, n, sizeof *t->any_language, by_id);
	return st;
}

static sn_status find_tokens(transcriber *t, const vocab *v, sn_error *err)
{
	const sn_transcriber *a = t->about;
	const struct { const char *text; int32_t *id; } texts[] = {
	    {a->previous, &t->previous},   {a->opening, &t->opening},         {a->transcribe, &t->transcribe}, {a->translate, &t->translate},
	    {a->no_stamps, &t->no_stamps}, {a->first_stamp, &t->first_stamp}, {a->no_speech, &t->no_speech},
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		sn_status st = find(t, v, texts[i].text, texts[i].id, err);
		if (st)
			return st;
	}
	if (t->first_stamp >= 0 && (t->first_stamp <= t->end || a->n_stamps > vocab_size(v) - (size_t)t->first_stamp))
		return error_set(err, SN_ERR_INVALID, "%s: the vocabulary has no room for %u stamps behind text", encoder_file(t->enc)->name, a->n_stamps);
	return find_languages(t, v, err);
}

sn_status transcriber_open(transcriber **out, encoder *enc, const model *m, sn_error *err)
{
	const sn_ext_transcribe *ext = enc->p->transcribe;
	const sn_transcriber *about = ext ? ext->describe(enc->instance) : NULL;
	*out = NULL;
	if (!about)
		return SN_OK;
	transcriber *t = calloc(1, sizeof *t);
	if (!t)
		return error_set(err, SN_ERR_NOMEM, "no memory for an encoder");
	*t = (transcriber){.about = about, .ext = ext, .enc = enc, .end = vocab_eos(m->vocab)};
	sn_status st = check_sizes(t, m, err);
	if (!st)
		st = find_tokens(t, m->vocab, err);
	if (st)
		transcriber_close(&t);
	*out = t;
	return st;
}

void transcriber_close(transcriber **tp)
{
	transcriber *t = *tp;
	if (!t)
		return;
	free(t->languages);
	free(t->any_language);
	free(t);
	*tp = NULL;
}

token_rules transcriber_rules(const transcriber *t, bool stamps)
{
	const sn_transcriber *a = t->about;
	token_rules r = {.suppress = a->suppress, .n_suppress = a->n_suppress, .begin_suppress = a->begin_suppress,
	                 .n_begin_suppress = a->n_begin_suppress, .no_stamps = -1};
	if (stamps && t->first_stamp >= 0) {
		r.first_stamp = t->first_stamp;
		r.no_stamps = t->no_stamps;
		r.end = t->end;
		r.max_first = a->max_first_stamp >= a->n_stamps ? UINT32_MAX : a->max_first_stamp;
	}
	return r;
}

token_rules transcriber_language_rules(const transcriber *t)
{
	return (token_rules){.only = t->any_language, .n_only = t->about->n_languages, .no_stamps = -1};
}

uint32_t transcriber_language(const transcriber *t, const char *code)
{
	uint32_t i = 0;
	while (i < t->about->n_languages && strcmp(t->about->languages[i].code, code) != 0)
		i++;
	return i;
}

uint32_t transcriber_language_of(const transcriber *t, int32_t token)
{
	uint32_t i = 0;
	while (i < t->about->n_languages && t->languages[i] != token)
		i++;
	return i;
}
