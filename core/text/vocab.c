#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "text/normalize.h"
#include "text/vocab_inside.h"

/* ---- encoding ---- */

typedef struct encoder {
	const vocab *v;
	bpe_work work;
	id_list ids;
	buf normal; /* the plain text that is being cut, normalized */
} encoder;

static bool encode_piece(encoder *e, const char *p, size_t n)
{
	const vocab *v = e->v;
	int32_t whole = v->whole ? spelling_find(&v->whole_index, (str){p, n}) : -1;
	if (whole >= 0)
		return id_list_push(&e->ids, whole);
	if (!bpe_begin(&e->work, n))
		return false;
	for (size_t i = 0; i < n; i++) {
		int32_t id = v->byte_id[(unsigned char)p[i]];
		bool again = v->fuse_unk && id == v->unk && e->work.n_symbols && e->work.symbols[e->work.n_symbols - 1].id == id;
		if (id >= 0 && !again)
			bpe_push(&e->work, id);
	}
	if (e->work.n_symbols == 0)
		return true;
	if (!bpe_merge_all(&v->merges, &e->work))
		return false;
	for (uint32_t i = 0; i != BPE_END; i = e->work.symbols[i].next)
		if (!id_list_push(&e->ids, e->work.symbols[i].id))
			return false;
	return true;
}

static bool encode_plain(encoder *e, str t, bool at_start)
{
	if (t.n == 0)
		return true;
	if (!e->v->pre)
		return spm_encode(&e->v->spm, &e->v->merges, &e->work, t, at_start, &e->ids);
	while (t.n) {
		size_t n = pretokenizer_next(e->v->pre, t.p, t.n);
		if (!encode_piece(e, t.p, n))
			return false;
		t.p += n;
		t.n -= n;
	}
	return true;
}

static bool replace_blanks(str t, buf *out)
{
	for (const char *blank; (blank = memchr(t.p, ' ', t.n)); t = (str){blank + 1, t.n - (size_t)(blank + 1 - t.p)}) {
		buf_append(out, t.p, (size_t)(blank - t.p));
		buf_append(out, "\xE2\x96\x81", 3);
	}
	return buf_append(out, t.p, t.n);
}

/* Text without early special tokens: normalized, the late ones cut out. They lose the marks of trust if anything is
 * normalized; then none of them may need trust, which the reader of tokenizer.json sees to. */
static bool encode_late(encoder *e, const marked_text *text, size_t begin, size_t end)
{
	const vocab *v = e->v;
	special_walk walk = {.set = &v->late, .text = {text->bytes.p, end}, .trusted = text->trusted, .n_trusted = text->n_trusted, .at = begin};
	bool rewrite = v->nfc || (v->replace_late && v->late.n);
	if (begin == end)
		return true;
	if (rewrite) {
		str t = {text->bytes.p + begin, end - begin};
		e->normal.n = 0;
		if (!(v->nfc ? normalize_nfc(t, &e->normal) : replace_blanks(t, &e->normal)))
			return false;
		walk = (special_walk){.set = &v->late, .text = {e->normal.p, e->normal.n}};
	}
	size_t plain = walk.at, at;
	const special *t;
	while ((t = special_next(&walk, &at))) {
		if (!encode_plain(e, (str){walk.text.p + plain, at - plain}, begin == 0 && plain == 0) || !id_list_push(&e->ids, t->id))
			return false;
		plain = walk.at;
	}
	return encode_plain(e, (str){walk.text.p + plain, walk.text.n - plain}, begin == 0 && plain == 0);
}

static bool encode_marked(encoder *e, const marked_text *text)
{
	special_walk walk = {.set = &e->v->special, .text = {text->bytes.p, text->bytes.n}, .trusted = text->trusted, .n_trusted = text->n_trusted};
	size_t plain = 0, at;
	const special *t;
	while ((t = special_next(&walk, &at))) {
		if (!encode_late(e, text, plain, at) || !id_list_push(&e->ids, t->id))
			return false;
		plain = walk.at;
	}
	return encode_late(e, text, plain, text->bytes.n);
}

sn_status vocab_encode(const vocab *v, const marked_text *text, int32_t **ids, size_t *n, sn_error *err)
{
	encoder e = {.v = v};
	*ids = NULL;
	*n = 0;
	if (text->bytes.n >= UINT32_MAX)
		return error_set(err, SN_ERR_TOO_LARGE, "text is too long to tokenize");
	bool ok = text->bytes.n == 0 || encode_marked(&e, text);
	bpe_work_fini(&e.work);
	buf_fini(&e.normal);
	if (!ok) {
		free(e.ids.at);
		return error_set(err, SN_ERR_NOMEM, "out of memory while tokenizing");
	}
	*ids = e.ids.at;
	*n = e.ids.n;
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
	return is_token(v, id) && v->flags[id] & TOKEN_FLAG_CONTROL;
}

bool vocab_is_eog(const vocab *v, int32_t id)
{
	return is_token(v, id) && v->flags[id] & TOKEN_FLAG_EOG;
}

int32_t vocab_find(const vocab *v, str spelling)
{
	const special *t = special_find(&v->special, spelling);
	t = t ? t : special_find(&v->late, spelling);
	return t ? t->id : -1;
}

size_t vocab_size(const vocab *v) { return v->n_tokens; }
size_t vocab_longest(const vocab *v) { return v->longest; }
bool vocab_strips_blank(const vocab *v) { return v->strip_blank; }
int32_t vocab_bos(const vocab *v) { return v->bos; }
int32_t vocab_eos(const vocab *v) { return v->eos; }
int32_t vocab_unk(const vocab *v) { return v->unk; }
bool vocab_adds_bos(const vocab *v) { return v->add_bos; }
int32_t vocab_last(const vocab *v) { return v->last; }
