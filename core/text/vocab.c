#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "text/bpe.h"
#include "text/pretokenize.h"
#include "text/unicode.h"

#define MAX_TOKENS ((size_t)1 << 22)
#define MAX_MERGES ((size_t)1 << 23)
#define MAX_TOKEN_BYTES 4096
#define MAX_VOCAB_BYTES ((size_t)1 << 28)

enum { FLAG_CONTROL = 1, FLAG_EOG = 2, FLAG_SPECIAL = 4 };

struct vocab {
	size_t n_tokens;
	char *bytes;       /* all tokens' bytes, one after the other */
	uint32_t *begin;   /* [n_tokens + 1] into bytes */
	uint8_t *flags;    /* [n_tokens] */
	int32_t *special;  /* [n_special] ids of special tokens, sorted by their bytes, then id */
	size_t n_special;
	const pretokenizer *pre;
	bpe_table bpe;
	int32_t bos, eos, eot, unk;
	bool add_bos;
};

/* ---- the byte alphabet: every byte has a printable character, as GPT-2 chose them ---- */

static bool byte_is_itself(unsigned b)
{
	return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
}

static void alphabet_init(int16_t byte_of[324], uint32_t char_of[256])
{
	unsigned others = 256;
	memset(byte_of, -1, 324 * sizeof *byte_of);
	for (unsigned b = 0; b < 256; b++) {
		char_of[b] = byte_is_itself(b) ? b : others++;
		byte_of[char_of[b]] = (int16_t)b;
	}
}

/* Undoes the alphabet; a spelling with a character outside it stands for itself, as in Hugging Face's decoder. */
static size_t spelling_bytes(const int16_t byte_of[324], str spelling, char *out)
{
	size_t n = 0;
	for (size_t i = 0; i < spelling.n;) {
		uint32_t cp;
		int len = utf8_decode(spelling.p + i, spelling.n - i, &cp);
		if (len <= 0 || cp >= 324 || byte_of[cp] < 0) {
			memcpy(out, spelling.p, spelling.n);
			return spelling.n;
		}
		out[n++] = (char)byte_of[cp];
		i += (size_t)len;
	}
	return n;
}

/* ---- spelling -> id, needed only while opening ---- */

typedef struct spelling_index {
	const str *tokens;
	int32_t *slot; /* [mask + 1] id or -1 */
	size_t mask;
} spelling_index;

static size_t spelling_hash(str s)
{
	uint64_t h = 0xCBF29CE484222325u;
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001B3u;
	return (size_t)(h ^ h >> 32);
}

static int32_t *index_slot(const spelling_index *x, str s)
{
	size_t i = spelling_hash(s) & x->mask;
	while (x->slot[i] >= 0 && !str_eq(x->tokens[x->slot[i]], s))
		i = (i + 1) & x->mask;
	return &x->slot[i];
}

static bool index_init(spelling_index *x, const str *tokens, size_t n)
{
	size_t slots = 16;
	while (slots < 2 * n)
		slots *= 2;
	*x = (spelling_index){tokens, reallocarray(NULL, slots, sizeof *x->slot), slots - 1};
	if (!x->slot)
		return false;
	memset(x->slot, -1, slots * sizeof *x->slot);
	for (size_t i = 0; i < n; i++) {
		int32_t *slot = index_slot(x, tokens[i]);
		if (*slot < 0)
			*slot = (int32_t)i;
	}
	return true;
}

/* ---- opening ---- */

static sn_status check_id(const char *name, int32_t id, size_t n, sn_error *err)
{
	if (id < -1 || (id >= 0 && (size_t)id >= n))
		return error_set(err, SN_ERR_INVALID, "vocabulary: %s id %d is outside 0..%zu", name, (int)id, n - 1);
	return SN_OK;
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
	}
	return SN_OK;
}

static sn_status check_config(const vocab_config *c, sn_error *err)
{
	if (!c->model || strcmp(c->model, "gpt2"))
		return error_set(err, SN_ERR_UNSUPPORTED, "vocabulary: tokenizer model '%.64s' is not supported; this build has: gpt2",
		                 c->model ? c->model : "");
	if (!pretokenizer_find(c->pre))
		return error_set(err, SN_ERR_UNSUPPORTED, "vocabulary: pre-tokenizer '%.64s' is not supported; this build has: gpt-2, smollm",
		                 c->pre ? c->pre : "");
	if (c->n_tokens == 0 || c->n_tokens > MAX_TOKENS)
		return error_set(err, SN_ERR_INVALID, "vocabulary: %zu tokens, expected 1 to %zu", c->n_tokens, MAX_TOKENS);
	if (c->n_merges > MAX_MERGES)
		return error_set(err, SN_ERR_INVALID, "vocabulary: %zu merges, at most %zu", c->n_merges, MAX_MERGES);
	sn_status s = check_id("bos", c->bos, c->n_tokens, err);
	s = s ? s : check_id("eos", c->eos, c->n_tokens, err);
	s = s ? s : check_id("eot", c->eot, c->n_tokens, err);
	s = s ? s : check_id("unknown", c->unk, c->n_tokens, err);
	return s ? s : check_tokens(c, err);
}

static bool type_is_special(int32_t type)
{
	return type == TOKEN_CONTROL || type == TOKEN_USER_DEFINED;
}

static sn_status copy_tokens(vocab *v, const vocab_config *c, const int16_t byte_of[324], sn_error *err)
{
	size_t total = 0;
	for (size_t i = 0; i < c->n_tokens; i++)
		total += c->tokens[i].n;
	v->bytes = malloc(total);
	v->begin = reallocarray(NULL, c->n_tokens + 1, sizeof *v->begin);
	v->flags = calloc(c->n_tokens, 1);
	v->special = reallocarray(NULL, c->n_tokens, sizeof *v->special);
	if (!v->bytes || !v->begin || !v->flags || !v->special)
		return error_set(err, SN_ERR_NOMEM, "vocabulary: out of memory");
	size_t at = 0;
	for (size_t i = 0; i < c->n_tokens; i++) {
		int32_t type = c->types ? c->types[i] : TOKEN_NORMAL;
		str s = c->tokens[i];
		v->begin[i] = (uint32_t)at;
		if (type == TOKEN_NORMAL) {
			at += spelling_bytes(byte_of, s, v->bytes + at);
		} else {
			memcpy(v->bytes + at, s.p, s.n);
			at += s.n;
		}
		if (type_is_special(type)) {
			v->flags[i] |= FLAG_SPECIAL;
			v->special[v->n_special++] = (int32_t)i;
		}
		if (type == TOKEN_CONTROL)
			v->flags[i] |= FLAG_CONTROL;
	}
	v->begin[c->n_tokens] = (uint32_t)at;
	v->n_tokens = c->n_tokens;
	return SN_OK;
}

static sn_status index_merges(vocab *v, const vocab_config *c, const spelling_index *x, sn_error *err)
{
	char joined[2 * MAX_TOKEN_BYTES];
	for (size_t i = 0; i < c->n_merges; i++) {
		str m = c->merges[i];
		const char *space = m.n > 1 ? memchr(m.p + 1, ' ', m.n - 1) : NULL;
		size_t left = space ? (size_t)(space - m.p) : 0;
		size_t right = space ? m.n - left - 1 : 0;
		if (left == 0 || right == 0 || left > MAX_TOKEN_BYTES || right > MAX_TOKEN_BYTES)
			return error_set(err, SN_ERR_INVALID, "vocabulary: merge %zu is not 'left right'", i);
		memcpy(joined, m.p, left);
		memcpy(joined + left, space + 1, right);
		int32_t l = *index_slot(x, (str){m.p, left}), r = *index_slot(x, (str){space + 1, right});
		int32_t both = *index_slot(x, (str){joined, left + right});
		if (l < 0 || r < 0 || both < 0)
			return error_set(err, SN_ERR_INVALID, "vocabulary: merge %zu names a token that is not there", i);
		bpe_table_put(&v->bpe, l, r, (uint32_t)i, both);
	}
	return SN_OK;
}

static sn_status index_bpe(vocab *v, const vocab_config *c, const uint32_t char_of[256], sn_error *err)
{
	spelling_index x;
	sn_status s = SN_OK;
	if (!index_init(&x, c->tokens, c->n_tokens) || !bpe_table_init(&v->bpe, c->n_merges))
		s = error_set(err, SN_ERR_NOMEM, "vocabulary: out of memory");
	for (unsigned b = 0; !s && b < 256; b++) {
		char utf8[4];
		v->bpe.byte_id[b] = *index_slot(&x, (str){utf8, utf8_encode(char_of[b], utf8)});
	}
	s = s ? s : index_merges(v, c, &x, err);
	free(x.slot);
	return s;
}

static int compare_special(const void *a, const void *b, void *ctx)
{
	const vocab *v = ctx;
	int32_t ia = *(const int32_t *)a, ib = *(const int32_t *)b;
	str sa = vocab_token(v, ia), sb = vocab_token(v, ib);
	int order = memcmp(sa.p, sb.p, sa.n < sb.n ? sa.n : sb.n);
	if (order)
		return order;
	return sa.n != sb.n ? (sa.n < sb.n ? -1 : 1) : (ia > ib) - (ia < ib);
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
		v->flags[id] = (uint8_t)(on ? v->flags[id] | FLAG_EOG : v->flags[id] & ~FLAG_EOG);
}

static void find_eog(vocab *v)
{
	for (size_t i = 0; i < sizeof eog_spellings / sizeof *eog_spellings; i++)
		mark_eog(v, vocab_find(v, str_of(eog_spellings[i])), true);
	for (size_t i = 0; i < sizeof eog_exceptions / sizeof *eog_exceptions; i++)
		if (vocab_find(v, str_of(eog_exceptions[i][0])) >= 0 && (i > 0 || vocab_find(v, STR("<|call|>")) >= 0))
			mark_eog(v, vocab_find(v, str_of(eog_exceptions[i][1])), false);
	mark_eog(v, v->eos, true);
	mark_eog(v, v->eot, true);
}

sn_status vocab_open(vocab **out, const vocab_config *c, sn_error *err)
{
	int16_t byte_of[324];
	uint32_t char_of[256];
	*out = NULL;
	sn_status s = check_config(c, err);
	if (s)
		return s;
	vocab *v = calloc(1, sizeof *v);
	if (!v)
		return error_set(err, SN_ERR_NOMEM, "vocabulary: out of memory");
	v->pre = pretokenizer_find(c->pre);
	v->bos = c->bos;
	v->eos = c->eos;
	v->eot = c->eot;
	v->unk = c->unk;
	v->add_bos = c->add_bos;
	alphabet_init(byte_of, char_of);
	s = copy_tokens(v, c, byte_of, err);
	s = s ? s : index_bpe(v, c, char_of, err);
	if (s) {
		vocab_close(&v);
		return s;
	}
	qsort_r(v->special, v->n_special, sizeof *v->special, compare_special, v);
	find_eog(v);
	*out = v;
	return SN_OK;
}

void vocab_close(vocab **v)
{
	if (!*v)
		return;
	bpe_table_fini(&(*v)->bpe);
	free((*v)->bytes);
	free((*v)->begin);
	free((*v)->flags);
	free((*v)->special);
	free(*v);
	*v = NULL;
}

/* ---- special tokens in text ---- */

/* First index in [lo, hi) of the sorted special tokens whose byte at `depth` is at least `byte`; all in the range
 * share the bytes before, and those that end at depth come first. */
static size_t special_bound(const vocab *v, size_t lo, size_t hi, size_t depth, unsigned byte)
{
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		str s = vocab_token(v, v->special[mid]);
		if (s.n > depth && (unsigned char)s.p[depth] >= byte)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* The longest special token that p[0..n) starts with, or -1. */
static int32_t special_prefix(const vocab *v, const char *p, size_t n)
{
	size_t lo = 0, hi = v->n_special;
	int32_t best = -1;
	for (size_t depth = 0; depth < n && lo < hi; depth++) {
		unsigned byte = (unsigned char)p[depth];
		lo = special_bound(v, lo, hi, depth, byte);
		hi = special_bound(v, lo, hi, depth, byte + 1);
		if (lo < hi && vocab_token(v, v->special[lo]).n == depth + 1)
			best = v->special[lo];
	}
	return best;
}

int32_t vocab_find(const vocab *v, str spelling)
{
	int32_t id = special_prefix(v, spelling.p, spelling.n);
	return id >= 0 && str_eq(vocab_token(v, id), spelling) ? id : -1;
}

/* ---- encoding ---- */

static bool encode_plain(const vocab *v, bpe_work *w, const char *p, size_t n, id_list *out)
{
	while (n) {
		size_t piece = pretokenizer_next(v->pre, p, n);
		if (!bpe_encode(&v->bpe, w, p, piece, out))
			return false;
		p += piece;
		n -= piece;
	}
	return true;
}

/* Cuts at the special tokens inside trusted ranges; what lies between, of whatever origin, is one run of plain text. */
static bool encode_marked(const vocab *v, bpe_work *w, const marked_text *text, id_list *out)
{
	const char *p = text->bytes.p;
	size_t plain = 0;
	for (size_t r = 0; r < text->n_trusted; r++) {
		size_t end = text->trusted[r].end;
		for (size_t i = text->trusted[r].begin; i < end;) {
			int32_t id = special_prefix(v, p + i, end - i);
			if (id < 0) {
				i++;
				continue;
			}
			if (!encode_plain(v, w, p + plain, i - plain, out) || !id_list_push(out, id))
				return false;
			plain = i += vocab_token(v, id).n;
		}
	}
	return encode_plain(v, w, p + plain, text->bytes.n - plain, out);
}

sn_status vocab_encode(const vocab *v, const marked_text *text, int32_t **ids, size_t *n, sn_error *err)
{
	id_list list = {0};
	bpe_work work = {0};
	*ids = NULL;
	*n = 0;
	if (text->bytes.n >= UINT32_MAX)
		return error_set(err, SN_ERR_TOO_LARGE, "text is too long to tokenize");
	bool ok = text->bytes.n == 0 || encode_marked(v, &work, text, &list);
	bpe_work_fini(&work);
	if (!ok) {
		free(list.at);
		return error_set(err, SN_ERR_NOMEM, "out of memory while tokenizing");
	}
	*ids = list.at;
	*n = list.n;
	return SN_OK;
}

/* ---- tokens ---- */

static bool is_token(const vocab *v, int32_t id)
{
	return id >= 0 && (size_t)id < v->n_tokens;
}

str vocab_token(const vocab *v, int32_t id)
{
	if (!is_token(v, id))
		return (str){"", 0};
	return (str){v->bytes + v->begin[id], v->begin[id + 1] - v->begin[id]};
}

bool vocab_is_control(const vocab *v, int32_t id)
{
	return is_token(v, id) && v->flags[id] & FLAG_CONTROL;
}

bool vocab_is_eog(const vocab *v, int32_t id)
{
	return is_token(v, id) && v->flags[id] & FLAG_EOG;
}

size_t vocab_longest(const vocab *v)
{
	size_t longest = 1;
	for (size_t i = 0; i < v->n_tokens; i++)
		if (v->begin[i + 1] - v->begin[i] > longest)
			longest = v->begin[i + 1] - v->begin[i];
	return longest;
}

size_t vocab_size(const vocab *v) { return v->n_tokens; }
int32_t vocab_bos(const vocab *v) { return v->bos; }
int32_t vocab_eos(const vocab *v) { return v->eos; }
int32_t vocab_unk(const vocab *v) { return v->unk; }
bool vocab_adds_bos(const vocab *v) { return v->add_bos; }
