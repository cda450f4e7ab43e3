#include "formats/hf_pieces.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "formats/hf_file.h"

#define FILE_NAME "tokenizer.model"
#define CONFIG "tokenizer_config.json"
enum { MAX_PIECES = 1 << 20 };

/* ---- protobuf ---- */

typedef struct wire {
	const uint8_t *p, *end;
} wire;

/* A field; of one with a length its bytes, else its number. */
typedef struct field {
	uint32_t number, kind; /* 0 varint, 1 and 5 fixed, 2 bytes */
	uint64_t v;
	wire bytes;
} field;

static bool varint(wire *w, uint64_t *out)
{
	*out = 0;
	for (int shift = 0; shift < 64 && w->p < w->end; shift += 7) {
		uint8_t b = *w->p++;
		*out |= (uint64_t)(b & 0x7F) << shift;
		if (b < 0x80)
			return true;
	}
	return false;
}

/* The next one. False at the end, *broken if that is not where it should be. */
static bool next_field(wire *w, field *f, bool *broken)
{
	uint64_t tag, n;
	if (w->p == w->end)
		return false;
	*broken = true;
	if (!varint(w, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
		return false;
	*f = (field){.number = (uint32_t)(tag >> 3), .kind = tag & 7};
	if (f->kind == 0) {
		*broken = !varint(w, &f->v);
		return !*broken;
	}
	n = f->kind == 1 ? 8 : f->kind == 5 ? 4 : 0;
	if ((!n && (f->kind != 2 || !varint(w, &n))) || n > (uint64_t)(w->end - w->p))
		return false;
	if (f->kind != 2)
		memcpy(&f->v, w->p, n);
	f->bytes = (wire){w->p, w->p + n};
	w->p += n;
	*broken = false;
	return true;
}

/* ---- the model ---- */

typedef struct reader {
	arena *mem;
	sn_error *err;
	vocab_config *c;
	str *tokens; /* [c->n_tokens] */
	int32_t *types;
	float *scores;
	size_t n_pieces;
	bool bpe, prefix, normalized, cut_blanks;
} reader;

static sn_status broken(const reader *r)
{
	return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": not a SentencePiece model: it breaks off, or is no protobuf");
}

static sn_status no_memory(const reader *r)
{
	return error_set(r->err, SN_ERR_NOMEM, FILE_NAME ": no memory for its vocabulary");
}

/* GGUF has the blanks of user-defined ones as blanks, and so has text when such are looked for. */
static str spelled(const reader *r, wire text, int32_t type)
{
	char *to = arena_strndup(r->mem, (const char *)text.p, (size_t)(text.end - text.p));
	size_t n = 0;
	for (const uint8_t *p = text.p; to && p < text.end;) {
		bool blank = type == TOKEN_USER_DEFINED && text.end - p >= 3 && memcmp(p, "\xE2\x96\x81", 3) == 0;
		to[n++] = blank ? ' ' : (char)*p;
		p += blank ? 3 : 1;
	}
	if (to)
		to[n] = 0;
	return (str){to, n};
}

static sn_status read_piece(reader *r, wire w, size_t at)
{
	field f;
	bool bad = false;
	wire text = {0};
	r->types[at] = TOKEN_NORMAL;
	while (next_field(&w, &f, &bad)) {
		if (f.number == 1 && f.kind == 2)
			text = f.bytes;
		else if (f.number == 2 && f.kind == 5)
			memcpy(&r->scores[at], &f.v, sizeof r->scores[at]);
		else if (f.number == 3 && f.kind == 0)
			r->types[at] = f.v >= TOKEN_NORMAL && f.v <= TOKEN_BYTE ? (int32_t)f.v : 0;
	}
	if (bad)
		return broken(r);
	if (text.p == text.end || !r->types[at] || !isfinite(r->scores[at]))
		return error_set(r->err, SN_ERR_INVALID, FILE_NAME ": piece %zu has no text, no type or no score", at);
	r->tokens[at] = spelled(r, text, r->types[at]);
	return r->tokens[at].p ? SN_OK : no_memory(r);
}

static void set_id(int32_t *out, uint64_t v, size_t n)
{
	*out = v < n ? (int32_t)v : -1; /* it says -1 where there is none: as a varint the largest number */
}

/* trainer_spec: what kind of model, and its named tokens. */
static sn_status read_trainer(reader *r, wire w)
{
	field f;
	bool bad = false;
	while (next_field(&w, &f, &bad)) {
		if (f.kind != 0)
			continue;
		switch (f.number) {
		case 3: r->bpe = f.v == 2; break;
		case 24:
			if (f.v)
				return error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": blanks behind words (treat_whitespace_as_suffix) are not supported");
			break;
		case 40: set_id(&r->c->unk, f.v, r->n_pieces); break;
		case 41: set_id(&r->c->bos, f.v, r->n_pieces); break;
		case 42: set_id(&r->c->eos, f.v, r->n_pieces); break;
		default: break;
		}
	}
	return bad ? broken(r) : SN_OK;
}

static sn_status read_normalizer(reader *r, wire w)
{
	field f;
	bool bad = false;
	while (next_field(&w, &f, &bad)) {
		if (f.number == 2 && f.kind == 2)
			r->normalized = f.bytes.p != f.bytes.end;
		else if (f.number == 3 && f.kind == 0)
			r->prefix = f.v != 0;
		else if (f.number == 4 && f.kind == 0)
			r->cut_blanks = f.v != 0;
		else if (f.number == 5 && f.kind == 0 && !f.v)
			return error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": blanks that stay as they are (escape_whitespaces false) are not supported");
	}
	return bad ? broken(r) : SN_OK;
}

static sn_status refuse_kinds(const reader *r)
{
	if (!r->bpe)
		return error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": only BPE models are supported");
	if (r->normalized)
		return error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": text that is normalized (precompiled_charsmap) is not supported");
	if (r->cut_blanks)
		return error_set(r->err, SN_ERR_UNSUPPORTED, FILE_NAME ": blanks that are cut (remove_extra_whitespaces) are not supported");
	return SN_OK;
}

static sn_status read_model(reader *r, wire all)
{
	field f;
	bool bad = false;
	size_t at = 0;
	sn_status st = SN_OK;
	for (wire w = all; next_field(&w, &f, &bad);)
		r->n_pieces += f.number == 1 && f.kind == 2;
	if (bad || !r->n_pieces || r->n_pieces > MAX_PIECES)
		return broken(r);
	r->tokens = arena_array(r->mem, r->n_pieces, sizeof *r->tokens);
	r->types = arena_array(r->mem, r->n_pieces, sizeof *r->types);
	r->scores = arena_array(r->mem, r->n_pieces, sizeof *r->scores);
	if (!r->tokens || !r->types || !r->scores)
		return no_memory(r);
	set_id(&r->c->unk, 0, r->n_pieces);
	set_id(&r->c->bos, 1, r->n_pieces);
	set_id(&r->c->eos, 2, r->n_pieces);
	r->prefix = r->cut_blanks = true;
	for (wire w = all; !st && next_field(&w, &f, &bad);)
		if (f.kind == 2)
			st = f.number == 1 ? read_piece(r, f.bytes, at++) : f.number == 2 ? read_trainer(r, f.bytes) : f.number == 3 ? read_normalizer(r, f.bytes) : SN_OK;
	return st ? st : refuse_kinds(r);
}

/* ---- tokenizer_config.json ---- */

/* Tokens that are special there, and those behind the model's. */
static sn_status read_added(reader *r, const json_t *decoder)
{
	const char *key;
	json_t *one;
	size_t n = r->n_pieces, max = n + json_object_size(decoder);
	str *tokens = arena_array(r->mem, max, sizeof *tokens);
	int32_t *types = arena_array(r->mem, max, sizeof *types);
	float *scores = arena_array(r->mem, max, sizeof *scores);
	if (!tokens || !types || !scores)
		return no_memory(r);
	memcpy(tokens, r->tokens, n * sizeof *tokens);
	memcpy(types, r->types, n * sizeof *types);
	memcpy(scores, r->scores, n * sizeof *scores);
	json_object_foreach((json_t *)(uintptr_t)decoder, key, one) {
		const char *content = json_get_string(one, "content");
		char *end;
		long long id = strtoll(key, &end, 10);
		if (!content || !*content || *end || id < 0 || (uint64_t)id >= max)
			return error_set(r->err, SN_ERR_INVALID, CONFIG ": added token %s has no text, or an id that leaves a gap", hf_show(key).s);
		bool more = (size_t)id >= n;
		if (more ? tokens[id].p != NULL : !str_eq(tokens[id], str_of(content)))
			return error_set(r->err, SN_ERR_INVALID, CONFIG ": added token %s is not the one in " FILE_NAME, hf_show(key).s);
		static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
		for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
			if (json_get_bool(one, flags[i], false))
				return error_set(r->err, SN_ERR_UNSUPPORTED, CONFIG ": added token %s with %s is not supported without tokenizer.json", hf_show(content).s, flags[i]);
		tokens[id] = str_of(content);
		if (more || types[id] != TOKEN_UNKNOWN)
			types[id] = json_get_bool(one, "special", false) ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
		r->n_pieces = (size_t)id >= r->n_pieces ? (size_t)id + 1 : r->n_pieces;
	}
	for (size_t i = n; i < r->n_pieces; i++)
		if (!tokens[i].p)
			return error_set(r->err, SN_ERR_INVALID, CONFIG ": no added token has the id %zu", i);
	r->tokens = tokens;
	r->types = types;
	r->scores = scores;
	return SN_OK;
}

static sn_status read_named(const reader *r, const json_t *config, const char *key, int32_t *out)
{
	const json_t *v = json_object_get(config, key);
	const char *name = json_is_object(v) ? json_get_string(v, "content") : json_string_value(v);
	if (!name)
		return SN_OK;
	for (size_t i = 0; i < r->n_pieces; i++)
		if (str_eq(r->tokens[i], str_of(name))) {
			*out = (int32_t)i;
			return SN_OK;
		}
	return error_set(r->err, SN_ERR_INVALID, CONFIG ": %s '%s' is not in the vocabulary", key, hf_show(name).s);
}

static sn_status read_config(reader *r, const char *dir)
{
	const json_t *config = NULL;
	sn_error why;
	sn_status st = hf_file_json(&config, r->mem, dir, CONFIG, &why);
	if (st && st != SN_ERR_NOT_FOUND)
		return error_set(r->err, st, "%s", why.text);
	st = json_get(config, "added_tokens_decoder") ? read_added(r, json_get(config, "added_tokens_decoder")) : SN_OK;
	if (!st)
		st = read_named(r, config, "bos_token", &r->c->bos);
	if (!st)
		st = read_named(r, config, "eos_token", &r->c->eos);
	if (!st)
		st = read_named(r, config, "unk_token", &r->c->unk);
	r->c->add_bos = json_get_bool(config, "add_bos_token", true) && r->c->bos >= 0;
	if (!st && json_get_bool(config, "add_eos_token", false))
		st = error_set(r->err, SN_ERR_UNSUPPORTED, CONFIG ": add_eos_token is not supported");
	return st;
}

sn_status hf_pieces_read(vocab_config *out, arena *mem, const char *dir, sn_error *err)
{
	reader r = {.mem = mem, .err = err, .c = out};
	char *text;
	size_t n;
	sn_status st = hf_file_text(&text, &n, mem, dir, FILE_NAME, err);
	if (st)
		return st;
	*out = (vocab_config){.model = "llama", .eot = -1, .unk_for_missing = true, .fuse_unk = true};
	st = read_model(&r, (wire){(const uint8_t *)text, (const uint8_t *)text + n});
	if (!st)
		st = read_config(&r, dir);
	out->tokens = r.tokens;
	out->types = r.types;
	out->scores = r.scores;
	out->n_tokens = r.n_pieces;
	out->prefix = r.prefix ? VOCAB_PREFIX_ALWAYS : VOCAB_PREFIX_NONE;
	out->strip_blank = r.prefix;
	return st;
}
