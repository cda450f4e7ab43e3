/* tokenize.c - what the peers compare with: token ids of one vocabulary, over a pipe.
 *
 *   tokenize PATH            PATH: a GGUF file or a Hugging Face directory
 *
 * In: records of uint32 kind | n << 2, then n bytes (kind 0: a client's text, 1: a template's, 2: ids, 4 bytes each, to
 * decode). Out: uint32 n and n ids, or n bytes. Little-endian. With "time" as a second argument: reads one text to the end
 * and prints the seconds that encoding took. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/error.h"
#include "model/model_vocab.h"
#include "text/detok.h"

static vocab *open_path(const char *path, sn_error *err)
{
	struct stat s;
	arena *tmp = arena_open(0);
	model_file dir = {.name = "directory", .from_hf = true, .dir = path}, *f = &dir;
	vocab *v = NULL;
	bool is_dir = !stat(path, &s) && S_ISDIR(s.st_mode);
	if (is_dir || !model_file_open(&f, path, err))
		model_vocab_open(&v, f, UINT32_MAX, tmp, err);
	if (!is_dir && f)
		model_file_close(&f);
	arena_close(&tmp);
	return v;
}

static void put(const void *p, size_t n, size_t count)
{
	uint32_t head = (uint32_t)count;
	fwrite(&head, 4, 1, stdout);
	fwrite(p, 1, n, stdout);
	fflush(stdout);
}

static void decode(const vocab *v, const int32_t *ids, size_t n)
{
	detok d;
	buf out;
	buf_init(&out, 0);
	detok_init(&d, v);
	for (size_t i = 0; i < n; i++)
		detok_push(&d, ids[i], &out);
	detok_flush(&d, &out);
	put(out.p, out.n, out.n);
	buf_fini(&out);
}

static void encode(const vocab *v, const char *p, size_t n, bool trusted)
{
	marked_text m;
	int32_t *ids;
	size_t n_ids;
	sn_error err = {0};
	marked_init(&m, 0);
	marked_append(&m, p, n, trusted);
	if (vocab_encode(v, &m, &ids, &n_ids, &err))
		exit(3);
	put(ids, n_ids * sizeof *ids, n_ids);
	free(ids);
	marked_fini(&m);
}

static int time_encoding(const vocab *v)
{
	marked_text m;
	int32_t *ids;
	size_t n_ids, n;
	char chunk[65536];
	struct timespec a, b;
	marked_init(&m, 0);
	while ((n = fread(chunk, 1, sizeof chunk, stdin)))
		marked_append(&m, chunk, n, false);
	clock_gettime(CLOCK_MONOTONIC, &a);
	sn_status st = vocab_encode(v, &m, &ids, &n_ids, NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%.6f %zu\n", (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec), n_ids);
	free(ids);
	marked_fini(&m);
	return st ? 3 : 0;
}

int main(int argc, char **argv)
{
	sn_error err = {0};
	vocab *v = argc > 1 ? open_path(argv[1], &err) : NULL;
	if (!v) {
		fprintf(stderr, "%s\n", err.text);
		return 2;
	}
	if (argc > 2)
		return time_encoding(v);
	for (uint32_t head; fread(&head, 4, 1, stdin) == 1;) {
		size_t n = head >> 2;
		char *p = malloc(n + 1);
		if (!p || fread(p, 1, n, stdin) != n)
			return 3;
		if ((head & 3) == 2)
			decode(v, (const int32_t *)p, n / 4);
		else
			encode(v, p, n, head & 1);
		free(p);
	}
	vocab_close(&v);
	return 0;
}
