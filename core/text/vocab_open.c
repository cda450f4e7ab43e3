/* vocab_open.c - from a file's tables to a vocab: every id and size in them is checked here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"
#include "text/vocab_inside.h"

#define MAX_TOKENS ((size_t)1 << 22)
#define MAX_MERGES ((size_t)1 << 23)
#define MAX_TOKEN_BYTES 4096
#define MAX_VOCAB_BYTES ((size_t)1 << 28)

static sn_status no_memory(sn_error *err)
{
	return error_set(err, SN_ERR_NOMEM, "vocabulary: out of memory");
}

/* ---- checks ---- */

static bool is_byte_level(const vocab_config *c)
{
	return !strcmp(c->model, "gpt2");
}

static token_type type_of(const vocab_config *c, size_t i)
{
	return c->types ? (token_type)c->types[i] : TOKEN_NORMAL;
}

/* Written by templates only, found in trusted text only, shown to nobody. */
static bool is_control(const vocab_config *c, size_t i)
{
	return type_of(c, i) == TOKEN_CONTROL || type_of(c, i) == TOKEN_UNKNOWN;
}

static sn_status check_id(const char *name, int32_t id, size_t n, sn_error *err)
{
	if (id < -1 || (id >= 0 && (size_t)id >= n))
		return error_set(err, SN_ERR_INVALID, "vocabulary: %s id %d is outside 0..%zu", name, (int)id, n - 1);
	return SN_OK;
}

static sn_status check_ids(const vocab_config *c, sn_error *err)
{
	sn_status s = check_id("bos", c->bos, c->n_tokens, err);
	s = s ? s : check_id("eos", c->eos, c->n_tokens, err);
	s = s ? s : check_id("eot", c->eot, c->n_tokens, err);
	s = s ? s : check_id("unknown", c->unk, c->n_tokens, err);
	s = s || !c->add_last ? s : check_id("last", c->last, c->n_tokens, err);
	for (size_t i = 0; i < c->n_eog && !s; i++)
		s = c->eog[i] < 0 ? error_set(err, SN_ERR_INVALID, "vocabulary: end of generation id %d is negative", (int)c->eog[i])
		                  : check_id("end of generation", c->eog[i], c->n_tokens, err);
	return s;
}

static sn_status check_tokens(const vocab_config *c, sn_error *err)
{
	size_t total = 0;
	for (size_t i = 0; i < c->n_tokens; i++) {
		if (c->tokens[i].n == 0)
			return error_set(err, SN_ERR_INVALID, "vocabulary: token %zu is empty", i);
		if (c->tokens[i].n > MAX_TOKEN_BYTES || (total += c->tokens[i].n) > MAX_VOCAB_BYTES)
			return error_set(err, SN_ERR_INVALID, "vocabulary: token %zu is too long", i);
		if (c->types && (c->types[i] < TOKEN_NORMAL || c->types[i] > TOKEN_BYTE))
			return error_set(err, SN_ERR_INVALID, "vocabulary: token %zu has unknown type %d", i, (int)c->types[i]);
		if (c->scores && !isfinite(c->scores[i]))
			return error_set(err, SN_ERR_INVALID, "vocabulary: token %zu has no finite score", i);
	}
	return SN_OK;
}

static sn_status check_model(const vocab_config *c, sn_error *err)
{
	bool pieces = c->model && (!strcmp(c->model, "llama") || !strcmp(c->model, "bpe"));
	if (!pieces && (!c->model || strcmp(c->model, "gpt2")))
		return error_set(err, SN_ERR_UNSUPPORTED, "vocabulary: tokenizer model '%.64s' is not supported; this build has: gpt2, llama",
		                 c->model ? c->model : "");
	if (!pieces && !pretokenizer_find(c->pre))
		return error_set(err, SN_ERR_UNSUPPORTED,
		                 "vocabulary: pre-tokenizer '%.64s' is not supported; this build has: gpt-2, smollm, llama-bpe, qwen2, and what equals them",
		                 c->pre ? c->pre : "");
	if ((pieces && !strcmp(c->model, "llama")) != (c->scores != NULL))
		return error_set(err, SN_ERR_INVALID, "vocabulary: tokenizer model '%s' %s scores", c->model, c->scores ? "has no use for" : "needs");
	return SN_OK;
}

static sn_status check_config(const vocab_config *c, sn_error *err)
{
	sn_status s = check_model(c, err);
	if (s)
		return s;
	if (c->n_tokens == 0 || c->n_tokens > MAX_TOKENS)
		return error_set(err, SN_ERR_INVALID, "vocabulary: %zu tokens, expected 1 to %zu", c->n_tokens, MAX_TOKENS);
	if (c->n_merges > MAX_MERGES)
		return error_set(err, SN_ERR_INVALID, "vocabulary: %zu merges, at most %zu", c->n_merges, MAX_MERGES);
	s = check_ids(c, err);
	return s ? s : check_tokens(c, err);
}

/* ---- the byte alphabet: every byte has a printable character, as GPT-2 chose them ---- */

enum { ALPHABET_END = 324 };

static bool byte_is_itself(unsigned b)
{
	return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
}

static void alphabet_init(int16_t byte_of[ALPHABET_END], uint32_t char_of[256])
{
	unsigned others = 256;
	memset(byte_of, -1, ALPHABET_END * sizeof *byte_of);
	for (unsigned b = 0; b < 256; b++) {
		char_of[b] = byte_is_itself(b) ? b : others++;
		byte_of[char_of[b]] = (int16_t)b;
	}
}

/* Undoes the alphabet; a spelling with a character outside it stands for itself, as in Hugging Face's decoder. */
static size_t alphabet_bytes(const int16_t byte_of[ALPHABET_END], str spelling, char *out, bool *in_alphabet)
{
	size_t n = 0;
	*in_alphabet = true;
	for (size_t i = 0; i < spelling.n;) {
		uint32_t cp;
		int len = utf8_decode(spelling.p + i, spelling.n - i, &cp);
		if (len <= 0 || cp >= ALPHABET_END || byte_of[cp] < 0) {
			*in_alphabet = false;
			memcpy(out, spelling.p, spelling.n);
			return spelling.n;
		}
		out[n++] = (char)byte_of[cp];
		i += (size_t)len;
	}
	return n;
}

/* ---- tokens ---- */

/* SentencePiece: U+2581 is a blank, a byte token its byte. */
static size_t piece_bytes(token_type type, str spelling, char *out)
{
	size_t n = 0;
	if (type == TOKEN_BYTE && spm_byte_of(spelling) >= 0) {
		*out = (char)spm_byte_of(spelling);
		return 1;
	}
	for (size_t i = 0; i < spelling.n; i++) {
		bool blank = spelling.n - i >= 3 && !memcmp(spelling.p + i, "\xE2\x96\x81", 3);
		out[n++] = blank ? ' ' : spelling.p[i];
		i += blank ? 2 : 0;
	}
	return n;
}

static sn_status copy_tokens(vocab *v, const vocab_config *c, const int16_t byte_of[ALPHABET_END], sn_error *err)
{
	size_t total = 0, at = 0;
	for (size_t i = 0; i < c->n_tokens; i++)
		total += c->tokens[i].n;
	v->n_tokens = c->n_tokens;
	v->bytes = malloc(total);
	v->begin = reallocarray(NULL, c->n_tokens + 1, sizeof *v->begin);
	v->flags = calloc(c->n_tokens, 1);
	if (c->ignore_merges)
		v->whole = calloc(c->n_tokens, sizeof *v->whole);
	if (!v->bytes || !v->begin || !v->flags || (c->ignore_merges && !v->whole))
		return no_memory(err);
	for (size_t i = 0; i < c->n_tokens; i++) {
		token_type type = type_of(c, i);
		str s = c->tokens[i];
		char *out = v->bytes + at;
		bool in_alphabet = false;
		v->begin[i] = (uint32_t)at;
		if (is_control(c, i) || (type != TOKEN_NORMAL && v->pre))
			memcpy(out, s.p, s.n), at += s.n;
		else
			at += v->pre ? alphabet_bytes(byte_of, s, out, &in_alphabet) : piece_bytes(type, s, out);
		if (v->whole && in_alphabet)
			v->whole[i] = (str){out, (size_t)(v->bytes + at - out)};
		if (is_control(c, i))
			v->flags[i] |= TOKEN_FLAG_CONTROL;
		if (s.n > v->longest)
			v->longest = s.n;
	}
	v->begin[c->n_tokens] = (uint32_t)at;
	return SN_OK;
}

/* <|...|> and its full-width form: written by templates only, whatever its type. */
static bool looks_like_control(str s)
{
	str full_open = STR("<\xEF\xBD\x9C"), full_close = STR("\xEF\xBD\x9C>");
	return (s.n > 4 && !memcmp(s.p, "<|", 2) && !memcmp(s.p + s.n - 2, "|>", 2)) ||
	       (s.n > 8 && !memcmp(s.p, full_open.p, full_open.n) && !memcmp(s.p + s.n - full_close.n, full_close.p, full_close.n));
}

/* What opens and closes calls, their results and thinking: of Qwen, SmolLM3 and Mistral, whose authors do not always declare it as control. */
static bool is_mark(str s)
{
	static const char *const marks[] = {
		"<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>", "[THINK]", "[/THINK]", "[TOOL_CALLS]", "[ARGS]",
		"[CALL_ID]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
	};
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (str_eq(s, str_of(marks[i])))
			return true;
	return false;
}

/* A late token's spelling in normalized text: at most three times as long. */
static str late_spelling(vocab *v, str s, size_t *used)
{
	if (!v->replace_late || !memchr(s.p, ' ', s.n))
		return s;
	char *out = v->late_bytes + *used;
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != ' ') {
			out[n++] = s.p[i];
			continue;
		}
		memcpy(out + n, "\xE2\x96\x81", 3);
		n += 3;
	}
	*used += n;
	return (str){out, n};
}

/* The spellings to find lie in late_bytes: GGUF's user-defined pieces of SentencePiece are not what vocab_token gives. */
static sn_status collect_specials(vocab *v, const vocab_config *c, sn_error *err)
{
	size_t n[2] = {0}, bytes = 0, used = 0;
	for (size_t i = 0; i < c->n_tokens; i++) {
		if (!is_control(c, i) && type_of(c, i) != TOKEN_USER_DEFINED)
			continue;
		n[c->late && c->late[i]]++;
		bytes += 3 * c->tokens[i].n;
	}
	special *first = reallocarray(NULL, n[0] + 1, sizeof *first), *late = reallocarray(NULL, n[1] + 1, sizeof *late);
	v->late_bytes = malloc(bytes + 1);
	if (!first || !late || !v->late_bytes) {
		free(first);
		free(late);
		return no_memory(err);
	}
	n[0] = n[1] = 0;
	for (size_t i = 0; i < c->n_tokens; i++) {
		if (!is_control(c, i) && type_of(c, i) != TOKEN_USER_DEFINED)
			continue;
		str s = {v->late_bytes + used, c->tokens[i].n};
		memcpy(v->late_bytes + used, c->tokens[i].p, s.n);
		used += s.n;
		bool is_late = c->late && c->late[i], keeps_trust = !is_late || (!v->nfc && !v->replace_late);
		special x = {s, (int32_t)i, is_control(c, i) || looks_like_control(s) || (keeps_trust && is_mark(s)), c->rstrip && c->rstrip[i]};
		if (is_late) {
			x.spelling = late_spelling(v, s, &used);
			late[n[1]++] = x;
		} else {
			first[n[0]++] = x;
		}
	}
	special_set_init(&v->special, first, n[0]);
	special_set_init(&v->late, late, n[1]);
	return SN_OK;
}

/* ---- merges ---- */

static sn_status merge_of_words(const spelling_index *x, str m, size_t i, vocab_merge *out, sn_error *err)
{
	char joined[2 * MAX_TOKEN_BYTES];
	const char *space = m.n > 1 ? memchr(m.p + 1, ' ', m.n - 1) : NULL;
	size_t left = space ? (size_t)(space - m.p) : 0;
	size_t right = space ? m.n - left - 1 : 0;
	if (left == 0 || right == 0 || left > MAX_TOKEN_BYTES || right > MAX_TOKEN_BYTES)
		return error_set(err, SN_ERR_INVALID, "vocabulary: merge %zu is not 'left right'", i);
	memcpy(joined, m.p, left);
	memcpy(joined + left, space + 1, right);
	*out = (vocab_merge){spelling_find(x, (str){m.p, left}), spelling_find(x, (str){space + 1, right}),
	                     spelling_find(x, (str){joined, left + right})};
	if (out->left < 0 || out->right < 0 || out->joined < 0)
		return error_set(err, SN_ERR_INVALID, "vocabulary: merge %zu names a token that is not there", i);
	return SN_OK;
}

/* Of a pair that comes twice the better rank counts in "left right" lists, as in llama.cpp; ids come from tokenizer.json,
 * where the last one would: refused. */
static sn_status index_merges(vocab *v, const vocab_config *c, const spelling_index *x, const bool *mergeable, sn_error *err)
{
	if (!bpe_table_init(&v->merges, c->n_merges))
		return no_memory(err);
	sn_status s = SN_OK;
	for (size_t i = 0; i < c->n_merges && !s; i++) {
		vocab_merge m;
		if (c->merge_ids) {
			m = c->merge_ids[i];
			if (m.left < 0 || m.right < 0 || m.joined < 0 || (size_t)m.left >= c->n_tokens || (size_t)m.right >= c->n_tokens ||
			    (size_t)m.joined >= c->n_tokens)
				s = error_set(err, SN_ERR_INVALID, "vocabulary: merge %zu names a token that is not there", i);
		} else {
			s = merge_of_words(x, c->merges[i], i, &m, err);
		}
		if (!s && mergeable[m.joined] && !bpe_table_put(&v->merges, m.left, m.right, (uint32_t)i, m.joined) && c->merge_ids)
			s = error_set(err, SN_ERR_INVALID, "vocabulary: merge %zu is there twice", i);
	}
	return s;
}

static sn_status index_byte_level(vocab *v, const vocab_config *c, const uint32_t char_of[256], const bool *mergeable, sn_error *err)
{
	spelling_index x;
	if (!spelling_index_init(&x, c->tokens, c->n_tokens, NULL))
		return no_memory(err);
	for (unsigned b = 0; b < 256; b++) {
		char utf8[4];
		v->byte_id[b] = spelling_find(&x, (str){utf8, utf8_encode(char_of[b], utf8)});
		if (v->byte_id[b] < 0 && c->unk_for_missing)
			v->byte_id[b] = c->unk;
	}
	sn_status s = index_merges(v, c, &x, mergeable, err);
	if (!s && v->whole && !spelling_index_init(&v->whole_index, v->whole, c->n_tokens, mergeable))
		s = no_memory(err);
	spelling_index_fini(&x);
	return s;
}

static sn_status index_tokens(vocab *v, const vocab_config *c, const uint32_t char_of[256], sn_error *err)
{
	bool *mergeable = malloc(c->n_tokens);
	if (!mergeable)
		return no_memory(err);
	for (size_t i = 0; i < c->n_tokens; i++) {
		token_type type = type_of(c, i);
		mergeable[i] = c->scores ? type == TOKEN_NORMAL || type == TOKEN_USER_DEFINED : !is_control(c, i);
	}
	sn_status s = v->pre ? index_byte_level(v, c, char_of, mergeable, err) : spm_init(&v->spm, c, mergeable, &v->merges, err);
	if (!s && !v->pre && !c->scores)
		s = c->merge_ids || !c->n_merges ? index_merges(v, c, NULL, mergeable, err)
		                                 : error_set(err, SN_ERR_INVALID, "vocabulary: tokenizer model 'bpe' needs merges as ids");
	free(mergeable);
	return s;
}

/* How much text one token can stand for; text that has no tokens at all can be of any length. */
static void measure(vocab *v, const vocab_config *c)
{
	bool lost = v->fuse_unk && c->unk_for_missing;
	for (int b = 0; b < 256 && v->pre; b++)
		lost |= v->byte_id[b] < 0;
	bool all_bytes = !v->pre;
	for (int b = 0; b < 256 && all_bytes; b++)
		all_bytes = v->spm.byte_id[b] >= 0;
	if (lost && !all_bytes)
		v->longest = SIZE_MAX;
	else if (c->nfc)
		v->longest *= 3; /* U+1FEF and U+212A, three bytes, become one */
}

/* ---- ends of generation ---- */

static const char *const eog_spellings[] = {
	"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
	"<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>",
	"<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>",
};

/* Two families use a spelling of the list in the middle of an answer. */
static const char *const eog_exceptions[][2] = {
	{"<|return|>", "<|end|>"}, /* with <|call|>: gpt-oss */
	{"<|tool_response>", "</s>"},
};

static void mark_eog(vocab *v, int32_t id, bool on)
{
	if (id >= 0)
		v->flags[id] = (uint8_t)(on ? v->flags[id] | TOKEN_FLAG_EOG : v->flags[id] & ~TOKEN_FLAG_EOG);
}

static void find_eog(vocab *v)
{
	for (size_t i = 0; i < sizeof eog_spellings / sizeof *eog_spellings; i++)
		mark_eog(v, vocab_find(v, str_of(eog_spellings[i])), true);
	for (size_t i = 0; i < sizeof eog_exceptions / sizeof *eog_exceptions; i++)
		if (vocab_find(v, str_of(eog_exceptions[i][0])) >= 0 && (i > 0 || vocab_find(v, STR("<|call|>")) >= 0))
			mark_eog(v, vocab_find(v, str_of(eog_exceptions[i][1])), false);
}

/* ---- open and close ---- */

sn_status vocab_open(vocab **out, const vocab_config *c, sn_error *err)
{
	int16_t byte_of[ALPHABET_END];
	uint32_t char_of[256];
	*out = NULL;
	sn_status s = check_config(c, err);
	if (s)
		return s;
	vocab *v = calloc(1, sizeof *v);
	if (!v)
		return no_memory(err);
	v->pre = is_byte_level(c) ? pretokenizer_find(c->pre) : NULL;
	v->bos = c->bos;
	v->eos = c->eos;
	v->eot = c->eot;
	v->unk = c->unk;
	v->last = c->add_last ? c->last : -1;
	v->add_bos = c->add_bos;
	v->nfc = c->nfc;
	v->fuse_unk = c->fuse_unk;
	v->replace_late = c->replace_late;
	v->strip_blank = c->strip_blank;
	alphabet_init(byte_of, char_of);
	s = copy_tokens(v, c, byte_of, err);
	s = s ? s : collect_specials(v, c, err);
	s = s ? s : index_tokens(v, c, char_of, err);
	if (s) {
		vocab_close(&v);
		return s;
	}
	measure(v, c);
	if (!c->eog)
		find_eog(v);
	for (size_t i = 0; i < c->n_eog; i++)
		mark_eog(v, c->eog[i], true);
	mark_eog(v, v->eos, true);
	mark_eog(v, v->eot, true);
	*out = v;
	return SN_OK;
}

size_t vocab_bytes(const vocab *v)
{
	size_t n = sizeof *v + v->begin[v->n_tokens] + v->n_tokens * (sizeof *v->begin + sizeof *v->flags);
	n += (v->special.n + v->late.n) * sizeof *v->special.at + v->spm.n_extra * sizeof *v->spm.extra;
	n += v->merges.at ? (v->merges.mask + 1) * sizeof *v->merges.at : 0;
	n += v->spm.chars ? (v->spm.mask + 1) * sizeof *v->spm.chars : 0;
	n += v->whole ? v->n_tokens * sizeof *v->whole : 0;
	return n + (v->whole_index.slot ? (v->whole_index.mask + 1) * sizeof *v->whole_index.slot : 0);
}

void vocab_close(vocab **out)
{
	vocab *v = *out;
	if (!v)
		return;
	bpe_table_fini(&v->merges);
	spelling_index_fini(&v->whole_index);
	special_set_fini(&v->special);
	special_set_fini(&v->late);
	spm_fini(&v->spm);
	free(v->whole);
	free(v->late_bytes);
	free(v->bytes);
	free(v->begin);
	free(v->flags);
	free(v);
	*out = NULL;
}
