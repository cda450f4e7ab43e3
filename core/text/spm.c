#include "text/spm.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/spelling.h"
#include "text/unicode.h"

#define BLANK 0x2581u
#define BLANK_UTF8 "\xE2\x96\x81"
#define MAX_PIECE_BYTES 512 /* every split of a piece is looked up: long ones would take quadratic time */
#define MAX_SPLITS ((size_t)1 << 23)

/* ---- characters ---- */

static spm_char *char_slot(const spm *s, uint32_t cp)
{
	size_t i = (cp * 0x9E3779B1u >> 8) & s->mask;
	while (s->chars[i].cp != cp && s->chars[i].cp != SPM_NO_CHAR)
		i = (i + 1) & s->mask;
	return &s->chars[i];
}

static int32_t char_id(const spm *s, uint32_t cp)
{
	const spm_char *c = char_slot(s, cp);
	return c->cp == cp ? c->id : -1;
}

static bool chars_alloc(spm *s, size_t slots)
{
	spm_char *old = s->chars;
	size_t n_old = old ? s->mask + 1 : 0;
	s->chars = reallocarray(NULL, slots, sizeof *s->chars);
	if (!s->chars) {
		s->chars = old;
		return false;
	}
	s->mask = slots - 1;
	for (size_t i = 0; i < slots; i++)
		s->chars[i].cp = SPM_NO_CHAR;
	for (size_t i = 0; i < n_old; i++)
		if (old[i].cp != SPM_NO_CHAR)
			*char_slot(s, old[i].cp) = old[i];
	free(old);
	return true;
}

/* The character gets this id, or the next one beyond the vocabulary if id is -1, unless it has one. */
static bool char_add(spm *s, uint32_t cp, int32_t id)
{
	if (2 * (s->n_chars + 1) > s->mask && !chars_alloc(s, 2 * (s->mask + 1)))
		return false;
	spm_char *c = char_slot(s, cp);
	if (c->cp == cp)
		return true;
	if (id < 0) {
		uint32_t *grown = s->n_extra % 64 ? s->extra : reallocarray(s->extra, s->n_extra + 64, sizeof *grown);
		if (!grown)
			return false;
		s->extra = grown;
		s->extra[s->n_extra] = cp;
		id = (int32_t)(s->n_tokens + s->n_extra++);
	}
	*c = (spm_char){cp, id};
	s->n_chars++;
	return true;
}

/* Characters of the spelling; 0 if it is not UTF-8. */
static size_t count_chars(str t)
{
	size_t count = 0;
	uint32_t cp;
	for (size_t i = 0; i < t.n; count++) {
		int len = utf8_decode(t.p + i, t.n - i, &cp);
		if (len <= 0)
			return 0;
		i += (size_t)len;
	}
	return count;
}

static bool blank_after_other(str t)
{
	bool other = false;
	for (size_t i = 0; i < t.n; i++) {
		bool blank = t.n - i >= 3 && !memcmp(t.p + i, BLANK_UTF8, 3);
		if (blank && other)
			return true;
		other |= !blank;
		i += blank ? 2 : 0;
	}
	return false;
}

static sn_status read_chars(spm *s, const vocab_config *c, const bool *mergeable, bool extra, sn_error *err)
{
	uint32_t cp = 0;
	bool ok = chars_alloc(s, 1024);
	s->cut_blanks = true;
	for (size_t i = 0; ok && i < c->n_tokens; i++) {
		if (!mergeable[i])
			continue;
		if (count_chars(c->tokens[i]) == 1 && utf8_decode(c->tokens[i].p, c->tokens[i].n, &cp) > 0)
			ok = char_add(s, cp, (int32_t)i);
		s->cut_blanks &= !blank_after_other(c->tokens[i]);
	}
	for (size_t i = 0; ok && extra && i < c->n_tokens; i++) {
		str t = c->tokens[i];
		if (!mergeable[i] || count_chars(t) < 2)
			continue;
		for (size_t k = 0; ok && k < t.n; k += (size_t)utf8_decode(t.p + k, t.n - k, &cp))
			ok = utf8_decode(t.p + k, t.n - k, &cp) > 0 && char_add(s, cp, -1);
	}
	return ok ? SN_OK : error_set(err, SN_ERR_NOMEM, "vocabulary: out of memory");
}

/* ---- byte tokens ---- */

int spm_byte_of(str t)
{
	static const char digits[] = "0123456789ABCDEF";
	if (t.n != 6 || memcmp(t.p, "<0x", 3) || t.p[5] != '>')
		return -1;
	const char *hi = memchr(digits, t.p[3], 16), *lo = memchr(digits, t.p[4], 16);
	return hi && lo ? (int)((hi - digits) * 16 + (lo - digits)) : -1;
}

static sn_status read_bytes(spm *s, const vocab_config *c, sn_error *err)
{
	memset(s->byte_id, -1, sizeof s->byte_id);
	bool any = false;
	for (size_t i = 0; i < c->n_tokens; i++) {
		if (!c->types || c->types[i] != TOKEN_BYTE)
			continue;
		int byte = spm_byte_of(c->tokens[i]);
		if (byte < 0)
			return error_set(err, SN_ERR_INVALID, "vocabulary: byte token %zu is not spelled <0x00> to <0xFF>", i);
		if (s->byte_id[byte] >= 0)
			return error_set(err, SN_ERR_INVALID, "vocabulary: tokens %d and %zu are the same byte", (int)s->byte_id[byte], i);
		s->byte_id[byte] = (int32_t)i;
		any = true;
	}
	if (!any && s->unk < 0)
		return error_set(err, SN_ERR_INVALID, "vocabulary: neither byte tokens nor an unknown token: some text would have no tokens");
	return SN_OK;
}

/* ---- merges by score ---- */

typedef struct split {
	int32_t left, right, id;
	uint32_t rank;
} split;

typedef struct splits {
	split *at;
	size_t n, cap;
} splits;

static sn_status splits_push(splits *l, split x, sn_error *err)
{
	if (l->n == MAX_SPLITS)
		return error_set(err, SN_ERR_INVALID, "vocabulary: its tokens merge in more than %zu ways", MAX_SPLITS);
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 4096;
		split *grown = reallocarray(l->at, cap, sizeof *grown);
		if (!grown)
			return error_set(err, SN_ERR_NOMEM, "vocabulary: out of memory");
		l->at = grown;
		l->cap = cap;
	}
	l->at[l->n++] = x;
	return SN_OK;
}

static int compare_scores(const void *a, const void *b, void *ctx)
{
	const float *scores = ctx;
	int32_t i = *(const int32_t *)a, k = *(const int32_t *)b;
	return scores[i] != scores[k] ? (scores[i] < scores[k] ? 1 : -1) : (i > k) - (i < k);
}

/* rank[i]: how many different scores are better than that of token i. */
static uint32_t *score_ranks(const float *scores, size_t n)
{
	int32_t *order = reallocarray(NULL, n, sizeof *order);
	uint32_t *rank = reallocarray(NULL, n, sizeof *rank), next = 0;
	if (order && rank) {
		for (size_t i = 0; i < n; i++)
			order[i] = (int32_t)i;
		qsort_r(order, n, sizeof *order, compare_scores, (void *)(uintptr_t)scores);
		for (size_t i = 0; i < n; i++)
			rank[order[i]] = i && scores[order[i]] == scores[order[i - 1]] ? next : (next = (uint32_t)i);
	} else {
		free(rank);
		rank = NULL;
	}
	free(order);
	return rank;
}

/* A token's id, or that of a character that is none; -1. */
static int32_t part_id(const spm *s, const spelling_index *x, str part)
{
	uint32_t cp;
	if (part.n <= 4 && utf8_decode(part.p, part.n, &cp) == (int)part.n)
		return char_id(s, cp);
	return spelling_find(x, part);
}

static sn_status split_token(const spm *s, const spelling_index *x, splits *l, size_t i, uint32_t rank, sn_error *err)
{
	str t = x->tokens[i];
	uint32_t cp;
	sn_status st = SN_OK;
	size_t at = (size_t)utf8_decode(t.p, t.n, &cp);
	while (at < t.n && !st) {
		int32_t left = part_id(s, x, (str){t.p, at}), right = left < 0 ? -1 : part_id(s, x, (str){t.p + at, t.n - at});
		if (right >= 0)
			st = splits_push(l, (split){left, right, (int32_t)i, rank}, err);
		at += (size_t)utf8_decode(t.p + at, t.n - at, &cp);
	}
	return st;
}

static sn_status merges_by_score(const spm *s, const vocab_config *c, const bool *mergeable, bpe_table *merges, sn_error *err)
{
	spelling_index x;
	splits l = {0};
	sn_status st = SN_OK;
	uint32_t *rank = score_ranks(c->scores, c->n_tokens);
	if (!spelling_index_init(&x, c->tokens, c->n_tokens, mergeable) || !rank)
		st = error_set(err, SN_ERR_NOMEM, "vocabulary: out of memory");
	for (size_t i = 0; i < c->n_tokens && !st; i++) {
		if (!mergeable[i] || count_chars(c->tokens[i]) < 2 || spelling_find(&x, c->tokens[i]) != (int32_t)i)
			continue;
		if (c->tokens[i].n > MAX_PIECE_BYTES)
			st = error_set(err, SN_ERR_INVALID, "vocabulary: token %zu is longer than %d bytes", i, MAX_PIECE_BYTES);
		else
			st = split_token(s, &x, &l, i, rank[i], err);
	}
	if (!st && !bpe_table_init(merges, l.n))
		st = error_set(err, SN_ERR_NOMEM, "vocabulary: out of memory");
	for (size_t i = 0; i < l.n && !st; i++)
		bpe_table_put(merges, l.at[i].left, l.at[i].right, l.at[i].rank, l.at[i].id);
	spelling_index_fini(&x);
	free(l.at);
	free(rank);
	return st;
}

sn_status spm_init(spm *s, const vocab_config *c, const bool *mergeable, bpe_table *merges, sn_error *err)
{
	bool by_score = c->scores != NULL;
	*s = (spm){.n_tokens = c->n_tokens, .unk = c->unk_for_missing ? c->unk : -1, .fuse_unk = c->fuse_unk, .prefix = c->prefix,
	           .every_blank = c->split_blanks};
	sn_status st = read_bytes(s, c, err);
	st = st ? st : read_chars(s, c, mergeable, by_score, err);
	if (st)
		return st;
	s->blank_symbols = char_id(s, BLANK) >= 0 ? 1 : 3;
	return by_score ? merges_by_score(s, c, mergeable, merges, err) : SN_OK;
}

void spm_fini(spm *s)
{
	free(s->chars);
	free(s->extra);
	s->chars = NULL;
	s->extra = NULL;
}

/* ---- encoding ---- */

/* Length of the blank that p[0..n) starts with: as typed, or as vocabularies spell it; 0 if there is none. */
static size_t blank_at(const char *p, size_t n)
{
	if (n && *p == ' ')
		return 1;
	return n >= 3 && !memcmp(p, BLANK_UTF8, 3) ? 3 : 0;
}

/* Where the first part ends that may be merged on its own. after_blank: a prefix is put before p. */
static size_t part_end(const spm *s, str t, bool after_blank)
{
	size_t i = 0, blank;
	if (!s->cut_blanks && !s->every_blank)
		return t.n;
	if (s->every_blank)
		i = after_blank ? 0 : blank_at(t.p, t.n);
	else
		while ((blank = blank_at(t.p + i, t.n - i)))
			i += blank;
	while (i < t.n && !blank_at(t.p + i, t.n - i))
		i++;
	return i;
}

/* The tokens of a character that has none of its own, pushed by one of the two: bytes, else the unknown token. */
static size_t fallback(const spm *s, const char *p, size_t len, int32_t ids[4])
{
	for (size_t k = 0; k < len; k++) {
		ids[k] = s->byte_id[(unsigned char)p[k]];
		if (ids[k] < 0) {
			ids[0] = s->unk;
			return s->unk >= 0;
		}
	}
	return len;
}

static void spell(const spm *s, bpe_work *w, str t)
{
	for (size_t i = 0; i < t.n;) {
		uint32_t cp;
		int32_t ids[4];
		size_t len = blank_at(t.p + i, t.n - i);
		int got = len ? 1 : utf8_decode(t.p + i, t.n - i, &cp);
		if (len)
			cp = BLANK;
		else
			len = got > 0 ? (size_t)got : 1;
		int32_t id = got > 0 ? char_id(s, cp) : -1;
		size_t n = id >= 0 ? 0 : cp == BLANK && got > 0 ? fallback(s, BLANK_UTF8, 3, ids) : fallback(s, t.p + i, len, ids);
		if (id >= 0)
			bpe_push(w, id);
		for (size_t k = 0; k < n; k++)
			bpe_push(w, ids[k]);
		i += len;
	}
}

static bool put(const spm *s, id_list *out, int32_t id, bool *unknown)
{
	bool again = s->fuse_unk && *unknown && id == s->unk;
	*unknown = id == s->unk;
	return again || id_list_push(out, id);
}

static bool put_symbols(const spm *s, const bpe_work *w, id_list *out, bool *unknown)
{
	bool ok = true;
	for (uint32_t i = 0; ok && i != BPE_END; i = w->symbols[i].next) {
		int32_t id = w->symbols[i].id, ids[4];
		if ((size_t)id < s->n_tokens) {
			ok = put(s, out, id, unknown);
			continue;
		}
		char utf8[4];
		size_t n = fallback(s, utf8, utf8_encode(s->extra[(size_t)id - s->n_tokens], utf8), ids);
		for (size_t k = 0; ok && k < n; k++)
			ok = put(s, out, ids[k], unknown);
	}
	return ok;
}

bool spm_encode(const spm *s, const bpe_table *merges, bpe_work *w, str text, bool at_start, id_list *out)
{
	bool blank = blank_at(text.p, text.n), unknown = false;
	bool prefix = s->prefix == VOCAB_PREFIX_ALWAYS || (s->prefix == VOCAB_PREFIX_UNLESS_BLANK && !blank) ||
	              (s->prefix == VOCAB_PREFIX_START && at_start && !blank);
	while (text.n || prefix) {
		size_t n = part_end(s, text, prefix);
		if (n > UINT32_MAX / 4 || !bpe_begin(w, s->blank_symbols * (n + 1)))
			return false;
		if (prefix)
			spell(s, w, STR(BLANK_UTF8));
		prefix = false;
		spell(s, w, (str){text.p, n});
		unknown &= !s->every_blank;
		if (w->n_symbols && !(bpe_merge_all(merges, w) && put_symbols(s, w, out, &unknown)))
			return false;
		text.p += n;
		text.n -= n;
	}
	return true;
}
