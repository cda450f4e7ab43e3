/* decode.c - what whisper_directories.py compares with: an encoder-decoder's token ids and logits, over a pipe.
 *
 *   decode DIRECTORY ISA         ISA: 0 the best that the machine has, 1 plain C, 2 AVX2, 3 AVX-512
 *
 * In, for each window: uint32 n and a prompt of n bytes, special tokens spelt out, then the encoder's rows, float32 [n_cross][width].
 * Out: uint32 n, n ids, then float32 [n][n_vocab]. Little-endian. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/forward.h"

enum { MAX_ROWS = 512 };

static int fail(const char *why)
{
	fprintf(stderr, "%s\n", why);
	return 2;
}

static void compute(model *m, ops *o, forward_buffers *fb, page_pool *pages, const float *rows, const int32_t *ids, uint32_t n)
{
	static const hash_key key;
	static const hash256 root;
	uint32_t n_cross = m->h.n_cross, positions[MAX_ROWS], begin[MAX_ROWS] = {0}, end[MAX_ROWS], out[MAX_ROWS];
	const void *none[MAX_ROWS] = {0}, **media = malloc(n_cross * sizeof *media);
	kv_seq kv;
	kv_seq_init(&kv, pages, &m->kv, n_cross + n, &key, &root, NULL);
	kv_seq_extend(&kv, n_cross + n);
	for (uint32_t i = 0; i < n_cross; i++)
		media[i] = rows + (size_t)i * m->h.n_embd;
	for (uint32_t i = 0; i < n; i++) {
		out[i] = positions[i] = i;
		end[i] = i + 1;
	}
	batch_seq cross = {0, n_cross, 0, &kv}, seq = {0, n, 0, &kv};
	forward(m, o, fb, page_pool_arena(pages),
	        &(batch){.n_rows = n, .n_seqs = 1, .n_out = n, .n_cross_rows = n_cross, .n_cross_seqs = 1, .cross_media = media, .cross_seqs = &cross,
	                 .ids = ids, .media = none, .positions = positions, .key_begin = begin, .key_end = end, .out_rows = out, .seqs = &seq});
	kv_seq_fini(&kv);
	free(media);
}

int main(int argc, char **argv)
{
	sn_error err = {0};
	pool *threads;
	ops o;
	model *m;
	page_pool *pages;
	forward_buffers fb = {0};
	if (argc != 3 || pool_open(&threads, 2, &err))
		return fail("usage: decode DIRECTORY ISA");
	ops_init(&o, threads, (kn_isa)atoi(argv[2]));
	if (model_open(&m, argv[1], NULL, SN_KV_F32, &o, &err))
		return fail(err.text);
	if (m->h.n_cross == 0 || page_pool_open(&pages, 512u << 20, &err) ||
	    forward_reserve(&fb, m, m->h.n_cross + MAX_ROWS, MAX_ROWS, &err))
		return fail("not an encoder-decoder, or no memory");
	size_t values = (size_t)m->h.n_cross * m->h.n_embd;
	float *rows = malloc(values * sizeof *rows);
	for (uint32_t n; fread(&n, 4, 1, stdin) == 1;) {
		char text[4096];
		marked_text prompt;
		int32_t *ids;
		size_t n_ids;
		if (n > sizeof text || fread(text, 1, n, stdin) != n || fread(rows, sizeof *rows, values, stdin) != values)
			return fail("bad input");
		marked_init(&prompt, 0);
		marked_append(&prompt, text, n, true);
		if (vocab_encode(m->vocab, &prompt, &ids, &n_ids, &err) || n_ids > MAX_ROWS || n_ids > m->h.n_context)
			return fail("bad prompt");
		compute(m, &o, &fb, pages, rows, ids, (uint32_t)n_ids);
		n = (uint32_t)n_ids;
		fwrite(&n, 4, 1, stdout);
		fwrite(ids, sizeof *ids, n, stdout);
		fwrite(fb.logits, sizeof *fb.logits, (size_t)n * m->h.n_vocab, stdout);
		fflush(stdout);
		free(ids);
		marked_fini(&prompt);
	}
	free(rows);
	forward_free(&fb);
	page_pool_close(&pages);
	model_close(&m);
	ops_fini(&o);
	pool_close(&threads);
	return 0;
}
