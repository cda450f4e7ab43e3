#include "formats/hf_pipeline.h"

#include <string.h>

#include "base/error.h"
#include "text/pretokenize.h"

#define FILE_NAME "tokenizer.json"
#define BLANK "\xE2\x96\x81"

enum { MAX_STAGES = 8 };

typedef struct stages {
	const json_t *at[MAX_STAGES];
	size_t n;
} stages;

static sn_status refuse(sn_error *err, const char *part, const char *what)
{
	return error_set(err, SN_ERR_UNSUPPORTED, FILE_NAME ": %s %.300s is not supported", part, what);
}

/* A component, or a Sequence of them: a list of what is not a Sequence. */
static sn_status flatten(stages *s, const json_t *j, const char *part, const char *members, sn_error *err)
{
	const char *type = json_get_string(j, "type");
	if (!j || json_is_null(j))
		return SN_OK;
	if (!type)
		return error_set(err, SN_ERR_INVALID, FILE_NAME ": %s has no type", part);
	if (strcmp(type, "Sequence")) {
		if (s->n == MAX_STAGES)
			return error_set(err, SN_ERR_UNSUPPORTED, FILE_NAME ": %s has more than %d stages", part, MAX_STAGES);
		s->at[s->n++] = j;
		return SN_OK;
	}
	const json_t *list = json_object_get(j, members), *item;
	sn_status st = json_is_array(list) ? SN_OK : error_set(err, SN_ERR_INVALID, FILE_NAME ": %s: Sequence without %s", part, members);
	size_t i;
	json_array_foreach(list, i, item)
		st = st ? st : flatten(s, item, part, members, err);
	return st;
}

static bool is(const json_t *j, const char *key, const char *value)
{
	const char *s = json_get_string(j, key);
	return s && !strcmp(s, value);
}

/* Replace and Split name what they look for as {"String": ...} or {"Regex": ...}. */
static const char *pattern(const json_t *j, const char *kind)
{
	return json_get_string(json_object_get(j, "pattern"), kind);
}

static bool looks_for(const json_t *j, const char *string)
{
	const char *s = pattern(j, "String");
	return s && !strcmp(s, string);
}

/* ---- normalizer ---- */

static sn_status read_normalizer(hf_pipeline *p, const json_t *root, sn_error *err)
{
	stages s = {0};
	sn_status st = flatten(&s, json_object_get(root, "normalizer"), "normalizer", "normalizers", err);
	for (size_t i = 0; i < s.n && !st; i++) {
		const json_t *j = s.at[i];
		if (is(j, "type", "NFC"))
			p->nfc = true;
		else if (is(j, "type", "Prepend") && is(j, "prepend", BLANK) && !p->prepend)
			p->prepend = true;
		else if (is(j, "type", "Replace") && looks_for(j, " ") && is(j, "content", BLANK))
			p->replace = true;
		else
			st = refuse(err, "normalizer", json_get_string(j, "type"));
	}
	return st;
}

/* ---- pre_tokenizer ---- */

static sn_status read_metaspace(hf_pipeline *p, const json_t *j, sn_error *err)
{
	const char *scheme = json_get_string(j, "prepend_scheme");
	if (!scheme)
		scheme = json_get_bool(j, "add_prefix_space", true) ? "always" : "never";
	p->metaspace = true;
	p->split_blanks = json_get_bool(j, "split", true);
	if (!is(j, "replacement", BLANK))
		return refuse(err, "pre_tokenizer", "Metaspace with another replacement than U+2581");
	if (!strcmp(scheme, "always"))
		p->prefix = VOCAB_PREFIX_UNLESS_BLANK;
	else if (!strcmp(scheme, "first"))
		p->prefix = VOCAB_PREFIX_START;
	else if (strcmp(scheme, "never"))
		return refuse(err, "pre_tokenizer: Metaspace with prepend_scheme", scheme);
	return SN_OK;
}

static sn_status read_split(const json_t *j, const char **name, sn_error *err)
{
	const char *regex = pattern(j, "Regex");
	bool invert = json_get_bool(j, "invert", false); /* to remove what does not match: there is nothing, these match whatever comes */
	if (!regex || !is(j, "behavior", invert ? "Removed" : "Isolated"))
		return refuse(err, "pre_tokenizer", "Split of this behavior");
	*name = pretokenizer_of_regex(regex);
	return *name ? SN_OK : refuse(err, "pre_tokenizer: Split on", regex);
}

/* [Split] ByteLevel without a regular expression, or [Digits] ByteLevel with gpt-2's. */
static sn_status read_byte_level(hf_pipeline *p, const stages *s, sn_error *err)
{
	const json_t *last = s->at[s->n - 1], *first = s->n == 2 ? s->at[0] : NULL;
	bool regex = json_get_bool(last, "use_regex", true);
	if (json_get_bool(last, "add_prefix_space", true))
		return refuse(err, "pre_tokenizer", "ByteLevel with add_prefix_space");
	if (s->n == 1 && regex)
		p->pre = "gpt-2";
	else if (first && regex && is(first, "type", "Digits") && json_get_bool(first, "individual_digits", false))
		p->pre = "smollm";
	else if (first && !regex && is(first, "type", "Split"))
		return read_split(first, &p->pre, err);
	else
		return refuse(err, "pre_tokenizer", "ByteLevel after these stages");
	return SN_OK;
}

static sn_status read_pre_tokenizer(hf_pipeline *p, const json_t *root, sn_error *err)
{
	stages s = {0};
	sn_status st = flatten(&s, json_object_get(root, "pre_tokenizer"), "pre_tokenizer", "pretokenizers", err);
	if (st || s.n == 0)
		return st;
	if (is(s.at[s.n - 1], "type", "ByteLevel"))
		return read_byte_level(p, &s, err);
	if (s.n == 1 && is(s.at[0], "type", "Metaspace"))
		return read_metaspace(p, s.at[0], err);
	/* Gemma's: there are no blanks left to split at. */
	if (s.n == 1 && is(s.at[0], "type", "Split") && p->replace && looks_for(s.at[0], " "))
		return SN_OK;
	for (size_t i = 0; i < s.n; i++)
		if (is(s.at[i], "type", "Split") && pattern(s.at[i], "Regex") && !pretokenizer_of_regex(pattern(s.at[i], "Regex")))
			return refuse(err, "pre_tokenizer: Split on", pattern(s.at[i], "Regex"));
	return refuse(err, "pre_tokenizer", json_get_string(s.at[s.n - 1], "type"));
}

/* ---- post_processor ---- */

/* {"SpecialToken": {"id": name}} or {"Sequence": {"id": "A"}}. */
static const char *template_part(const json_t *part, const char *kind)
{
	return json_get_string(json_object_get(part, kind), "id");
}

static bool is_one_token(const json_t *template, const char *name)
{
	return json_array_size(json_object_get(json_object_get(json_object_get(template, "special_tokens"), name), "ids")) == 1;
}

static sn_status read_template(hf_pipeline *p, const json_t *j, sn_error *err)
{
	const json_t *single = json_object_get(j, "single");
	size_t n = json_array_size(single);
	const char *first = template_part(json_array_get(single, 0), "SpecialToken");
	const char *text = template_part(json_array_get(single, first ? 1 : 0), "Sequence");
	/* A model that writes down recordings is given tokens around its text by who asks it, a language among them. */
	if (first && !strcmp(first, "<|startoftranscript|>"))
		return SN_OK;
	if (!text || strcmp(text, "A"))
		return refuse(err, "post_processor", "TemplateProcessing of this form");
	const size_t behind = first ? 2 : 1;
	const char *last = template_part(json_array_get(single, behind), "SpecialToken");
	if (n > behind + 1 || (n > behind && !last))
		return refuse(err, "post_processor: TemplateProcessing that appends", "more than one token");
	if (first && (p->bos || !is_one_token(j, first)))
		return refuse(err, "post_processor", "TemplateProcessing with several leading tokens");
	if (last && (p->last || !is_one_token(j, last)))
		return refuse(err, "post_processor", "TemplateProcessing that appends several tokens");
	p->bos = first ? first : p->bos;
	p->last = last ? last : p->last;
	return SN_OK;
}

static sn_status read_post_processor(hf_pipeline *p, const json_t *root, sn_error *err)
{
	stages s = {0};
	sn_status st = flatten(&s, json_object_get(root, "post_processor"), "post_processor", "processors", err);
	for (size_t i = 0; i < s.n && !st; i++) {
		if (is(s.at[i], "type", "TemplateProcessing"))
			st = read_template(p, s.at[i], err);
		else if (!is(s.at[i], "type", "ByteLevel"))
			st = refuse(err, "post_processor", json_get_string(s.at[i], "type"));
	}
	return st;
}

/* ---- decoder ---- */

static bool strips_one_blank(const json_t *j)
{
	int64_t start = 0, stop = 0;
	return is(j, "type", "Strip") && is(j, "content", " ") && json_get_int(j, "start", &start) && json_get_int(j, "stop", &stop) &&
	       start == 1 && stop == 0;
}

static sn_status read_decoder(hf_pipeline *p, const json_t *root, sn_error *err)
{
	stages s = {0};
	sn_status st = flatten(&s, json_object_get(root, "decoder"), "decoder", "decoders", err);
	if (st)
		return st;
	if (p->pre)
		return s.n == 1 && is(s.at[0], "type", "ByteLevel")
		           ? SN_OK
		           : refuse(err, "decoder", s.n ? json_get_string(s.at[0], "type") : "null");
	size_t i = 0;
	if (i < s.n && is(s.at[i], "type", "Replace") && looks_for(s.at[i], BLANK) && is(s.at[i], "content", " "))
		i++;
	else
		return refuse(err, "decoder", s.n ? json_get_string(s.at[0], "type") : "null");
	if (i < s.n && is(s.at[i], "type", "ByteFallback"))
		i++, p->byte_fallback = true;
	if (i < s.n && is(s.at[i], "type", "Fuse"))
		i++;
	if (i < s.n && strips_one_blank(s.at[i]))
		i++, p->strip_blank = true;
	return i == s.n ? SN_OK : refuse(err, "decoder", json_get_string(s.at[i], "type"));
}

sn_status hf_pipeline_read(hf_pipeline *p, const json_t *root, sn_error *err)
{
	*p = (hf_pipeline){.prefix = VOCAB_PREFIX_NONE};
	sn_status st = read_normalizer(p, root, err);
	st = st ? st : read_pre_tokenizer(p, root, err);
	st = st ? st : read_post_processor(p, root, err);
	st = st ? st : read_decoder(p, root, err);
	if (st)
		return st;
	if (p->pre)
		return p->prepend || p->replace ? refuse(err, "normalizer", "Prepend or Replace before ByteLevel") : SN_OK;
	if (p->nfc)
		return refuse(err, "normalizer", "NFC without ByteLevel");
	if (p->metaspace ? p->prepend : !p->replace)
		return refuse(err, "pre_tokenizer", "neither ByteLevel nor U+2581 for blanks, or a prefix twice,");
	if (p->prepend)
		p->prefix = VOCAB_PREFIX_ALWAYS;
	return SN_OK;
}
