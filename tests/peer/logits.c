/* logits.c - what architectures.py and kv_types.py compare with: logits of a text model, over a pipe.
 *
 *   logits PATH ISA CHUNK COMPANY STEPS MAX_LEN [POSITIONS [KV]]
 *
 * ISA: 0 the best that the machine has, 1 plain C, 2 AVX2, 3 AVX-512. CHUNK: rows of a step. COMPANY: each step also has a row of each of so
 * many other sequences, whose logits nobody asks for. MAX_LEN: the longest sequence, 0: the model's context.
 * POSITIONS 1: where the prompt's rows stand comes with them; what follows stands behind the farthest.
 * KV: how K and V are stored, an sn_kv_dtype; without it float32.
 * In, once: uint32 n, n ids and, if so, uint32 [n][3]; for each id that is -1 a float32 row [n_embd] that stands in its place.
 * Out: float32 [n + STEPS][n_vocab], then int32 [STEPS], the greedy continuation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/forward.h"

enum { MAX_ROWS = 4096, MAX_COMPANY = 15 };

static int fail(const char *why)
{
	fprintf(stderr, "%s\n", why);
	return 2;
}

struct machine {
	model *m;
	ops o;
	forward_buffers fb;
	page_pool *pages;
	kv_seq kv[1 + MAX_COMPANY];
	uint32_t n_company;
	const uint32_t (*at)[3]; /* of the prompt's n_at rows; NULL: one by one */
	uint32_t n_at, behind;   /* position behind them */
	void *media;         /* rows in the media type */
	uint32_t *media_row; /* of each id: its row there */
};

static size_t media_bytes(const model *m) { return m->h.n_embd * kn_kv_bytes(kv_stored_as(media_type(m->kv.groups[0].type))); }

/* The rows of all ids that are -1. */
static bool read_media(struct machine *w, const int32_t *ids, uint32_t n)
{
	uint32_t count = 0;
	w->media_row = calloc(n, sizeof *w->media_row);
	for (uint32_t i = 0; w->media_row && i < n; i++)
		w->media_row[i] = ids[i] < 0 ? count++ : 0;
	size_t values = (size_t)count * w->m->h.n_embd;
	float *rows = calloc(values + 1, sizeof *rows);
	w->media = calloc(count + 1, media_bytes(w->m));
	bool read = rows && w->media && w->media_row && fread(rows, sizeof *rows, values, stdin) == values;
	if (read)
		switch (media_type(w->m->kv.groups[0].type)) {
		case KV_F16: w->o.k.store_f16(w->media, rows, values); break;
		case KV_BF16: w->o.k.store_bf16(w->media, rows, values); break;
		default: memcpy(w->media, rows, values * sizeof *rows); break;
		}
	free(rows);
	return read;
}

/* Rows first..first+n of the sequence; of each companion's, one. */
static void compute(struct machine *w, const int32_t *ids, uint32_t first, uint32_t n, uint32_t step)
{
	static int32_t all[MAX_ROWS];
	static uint32_t positions[MAX_ROWS], begin[MAX_ROWS], end[MAX_ROWS], out[MAX_ROWS];
	static int32_t beyond[MAX_ROWS][2];
	static const void *media[MAX_ROWS];
	batch_seq seqs[1 + MAX_COMPANY];
	uint32_t at = 0, half = w->n_company / 2;
	for (uint32_t s = 0; s <= w->n_company; s++) { /* it stands in the middle of them */
		bool own = s == half;
		uint32_t rows = own ? n : 1, from = own ? first : step;
		kv_seq *kv = &w->kv[own ? 0 : s < half ? s + 1 : s];
		kv_seq_extend(kv, from + rows);
		seqs[s] = (batch_seq){at, rows, from, kv};
		for (uint32_t i = 0; i < rows; i++, at++) {
			bool is_media = own && ids[i] < 0;
			media[at] = is_media ? (const uint8_t *)w->media + w->media_row[first + i] * media_bytes(w->m) : NULL;
			all[at] = is_media ? 0 : own ? ids[i] : (int32_t)((s * 31 + step * 7) % w->m->h.n_vocab);
			positions[at] = from + i;
			beyond[at][0] = beyond[at][1] = 0;
			if (own && w->at && from + i < w->n_at) {
				const uint32_t *p = w->at[from + i];
				positions[at] = p[0];
				beyond[at][0] = (int32_t)(p[1] - p[0]);
				beyond[at][1] = (int32_t)(p[2] - p[0]);
			} else if (own && w->at) {
				positions[at] = w->behind + from + i - w->n_at;
			}
			end[at] = from + i + 1;
			if (own)
				out[i] = at;
		}
	}
	forward(w->m, &w->o, &w->fb, page_pool_arena(w->pages),
	        &(batch){.n_rows = at, .n_seqs = w->n_company + 1, .n_out = n, .ids = all, .media = media, .positions = positions, .beyond = w->at ? beyond : NULL, .key_begin = begin,
	                 .key_end = end, .out_rows = out, .seqs = seqs});
	for (uint32_t s = 0; s <= w->n_company; s++)
		kv_seq_slide(seqs[s].kv == &w->kv[0] ? &w->kv[0] : (kv_seq *)seqs[s].kv, seqs[s].kv == &w->kv[0] ? first + n : step + 1);
	fwrite(w->fb.logits, sizeof *w->fb.logits, (size_t)n * w->m->h.n_vocab, stdout);
}

int main(int argc, char **argv)
{
	static const hash_key key;
	static const hash256 root;
	sn_error err = {0};
	pool *threads;
	struct machine w = {0};
	uint32_t n;
	if (argc < 7 || argc > 9 || pool_open(&threads, 2, &err))
		return fail("usage: logits PATH ISA CHUNK COMPANY STEPS MAX_LEN [POSITIONS [KV]]");
	uint32_t chunk = (uint32_t)atoi(argv[3]), steps = (uint32_t)atoi(argv[5]), longest = (uint32_t)atoi(argv[6]);
	w.n_company = (uint32_t)atoi(argv[4]);
	ops_init(&w.o, threads, (kn_isa)atoi(argv[2]));
	if (model_open(&w.m, argv[1], NULL, argc == 9 ? (sn_kv_dtype)atoi(argv[8]) : SN_KV_F32, &w.o, &err))
		return fail(err.text);
	if (longest)
		model_limit(w.m, longest);
	int32_t *ids = fread(&n, 4, 1, stdin) == 1 ? calloc((size_t)n + steps + 1, sizeof *ids) : NULL, *said = calloc((size_t)steps + 1, sizeof *said);
	if (!chunk || chunk + MAX_COMPANY > MAX_ROWS || w.n_company > MAX_COMPANY || !ids || !said || fread(ids, sizeof *ids, n, stdin) != n || !n)
		return fail("bad input");
	if (argc > 7 && atoi(argv[7])) {
		uint32_t (*at)[3] = calloc(n, sizeof *at);
		if (!at || fread(at, sizeof *at, n, stdin) != n)
			return fail("bad positions");
		for (uint32_t i = 0; i < 3 * n; i++)
			w.behind = at[i / 3][i % 3] >= w.behind ? at[i / 3][i % 3] + 1 : w.behind;
		w.at = (const uint32_t (*)[3])at;
		w.n_at = n;
	}
	if (!read_media(&w, ids, n))
		return fail("no rows of media");
	if (page_pool_open(&w.pages, 512u << 20, &err) || forward_reserve(&w.fb, w.m, chunk + MAX_COMPANY, chunk + MAX_COMPANY, &err))
		return fail("no memory");
	for (uint32_t s = 0; s <= w.n_company; s++)
		if (kv_seq_init(&w.kv[s], w.pages, &w.m->kv, n + steps + 1, &key, &root, &err))
			return fail(err.text);
	uint32_t step = 0, rows = 0;
	for (uint32_t r = 0; r < n; r += rows) {
		rows = n - r < chunk ? n - r : chunk;
		compute(&w, ids + r, r, rows, step++);
	}
	for (uint32_t s = 0; s < steps; s++, rows = 1) {
		const float *last = w.fb.logits + (size_t)(rows - 1) * w.m->h.n_vocab;
		for (uint32_t t = 1; t < w.m->h.n_vocab; t++)
			said[s] = last[t] > last[said[s]] ? (int32_t)t : said[s];
		compute(&w, &said[s], n + s, 1, step++);
	}
	fwrite(said, sizeof *said, steps, stdout);
	for (uint32_t s = 0; s <= w.n_company; s++)
		kv_seq_fini(&w.kv[s]);
	forward_free(&w.fb);
	page_pool_close(&w.pages);
	model_close(&w.m);
	ops_fini(&w.o);
	pool_close(&threads);
	free(w.media);
	free(w.media_row);
	free(ids);
	free(said);
	return 0;
}
