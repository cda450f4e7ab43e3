/* gguf_bytes.h - a small writer of GGUF files, which can also write what no honest writer would. */
#ifndef SN_TESTS_GGUF_BYTES_H
#define SN_TESTS_GGUF_BYTES_H

#include "scratch.h"

#include "formats/model_file.h"

typedef struct gguf {
	uint32_t version, alignment;
	uint64_t n_tensors, n_keys;
	bytes keys, infos, data;
	uint64_t header_bytes; /* known after gguf_write */
} gguf;

static inline void key_head(gguf *g, const char *name, uint32_t type)
{
	put_str(&g->keys, name);
	put32(&g->keys, type);
	g->n_keys++;
}

static inline void key_u32(gguf *g, const char *name, uint32_t v) { key_head(g, name, FILE_U32); put32(&g->keys, v); }
static inline void key_f32(gguf *g, const char *name, float v) { key_head(g, name, FILE_F32); put(&g->keys, &v, 4); }
static inline void key_str(gguf *g, const char *name, const char *v) { key_head(g, name, FILE_STRING); put_str(&g->keys, v); }

static inline void key_array(gguf *g, const char *name, uint32_t elem_type, uint64_t n)
{
	key_head(g, name, FILE_ARRAY);
	put32(&g->keys, elem_type);
	put64(&g->keys, n);
}

static inline void info_at(gguf *g, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type, uint64_t offset)
{
	put_str(&g->infos, name);
	put32(&g->infos, n_dims);
	for (uint32_t d = 0; d < n_dims && d < 8; d++)
		put64(&g->infos, ne[d]);
	put32(&g->infos, type);
	put64(&g->infos, offset);
	g->n_tensors++;
}

static inline void pad(bytes *b, uint64_t to)
{
	while (b->n % to)
		put(b, "", 1);
}

/* A tensor as writers lay it out, its bytes drawn from a counter. */
static inline void tensor(gguf *g, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type)
{
	const storage_type *s = storage_type_find(type);
	uint64_t n = 1;
	for (uint32_t d = 0; d < n_dims; d++)
		n *= ne[d];
	pad(&g->data, g->alignment);
	info_at(g, name, n_dims, ne, type, g->data.n);
	for (uint64_t i = 0; i < n / s->block * s->block_bytes; i++)
		put(&g->data, &(uint8_t){(uint8_t)(i % 60)}, 1); /* as floats, too: small and finite */
}

static inline gguf gguf_new(void)
{
	return (gguf){.version = 3, .alignment = 32};
}

static inline bytes gguf_bytes(gguf *g)
{
	bytes f = {0};
	put(&f, "GGUF", 4);
	put32(&f, g->version);
	put64(&f, g->n_tensors);
	put64(&f, g->n_keys);
	put(&f, g->keys.p, g->keys.n);
	put(&f, g->infos.p, g->infos.n);
	g->header_bytes = f.n;
	pad(&f, g->alignment);
	put(&f, g->data.p, g->data.n);
	free(g->keys.p);
	free(g->infos.p);
	free(g->data.p);
	return f;
}

#endif
