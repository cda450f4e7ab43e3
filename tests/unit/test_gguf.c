/* test_gguf.c - promises of the GGUF reader: what it accepts is whole, what it refuses is named, and nothing in a file can
 * make it read outside. The second half asks the same of a model's meaning, through model_open. */
#include "unit.h"

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/model_file.h"
#include "model/model.h"

/* ---- a small writer ---- */

typedef struct bytes { uint8_t *p; size_t n, cap; } bytes;

static void put(bytes *b, const void *p, size_t n)
{
	if (b->n + n > b->cap) {
		b->cap = (b->n + n) * 2 + 256;
		b->p = realloc(b->p, b->cap);
	}
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
}

static void put32(bytes *b, uint32_t v) { put(b, &v, 4); }
static void put64(bytes *b, uint64_t v) { put(b, &v, 8); }

static void put_strn(bytes *b, const char *s, size_t n)
{
	put64(b, n);
	put(b, s, n);
}

static void put_str(bytes *b, const char *s) { put_strn(b, s, strlen(s)); }

typedef struct gguf {
	uint32_t version, alignment;
	uint64_t n_tensors, n_keys;
	bytes keys, infos, data;
	uint64_t header_bytes; /* known after gguf_write */
} gguf;

static void key_head(gguf *g, const char *name, uint32_t type)
{
	put_str(&g->keys, name);
	put32(&g->keys, type);
	g->n_keys++;
}

static void key_u32(gguf *g, const char *name, uint32_t v) { key_head(g, name, FILE_U32); put32(&g->keys, v); }
static void key_f32(gguf *g, const char *name, float v) { key_head(g, name, FILE_F32); put(&g->keys, &v, 4); }
static void key_str(gguf *g, const char *name, const char *v) { key_head(g, name, FILE_STRING); put_str(&g->keys, v); }

static void key_array(gguf *g, const char *name, uint32_t elem_type, uint64_t n)
{
	key_head(g, name, FILE_ARRAY);
	put32(&g->keys, elem_type);
	put64(&g->keys, n);
}

static void info_at(gguf *g, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type, uint64_t offset)
{
	put_str(&g->infos, name);
	put32(&g->infos, n_dims);
	for (uint32_t d = 0; d < n_dims && d < 8; d++)
		put64(&g->infos, ne[d]);
	put32(&g->infos, type);
	put64(&g->infos, offset);
	g->n_tensors++;
}

static void pad(bytes *b, uint64_t to)
{
	while (b->n % to)
		put(b, "", 1);
}

/* A tensor as writers lay it out, its bytes drawn from a counter. */
static void tensor(gguf *g, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type)
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

static gguf gguf_new(void)
{
	return (gguf){.version = 3, .alignment = 32};
}

static bytes gguf_bytes(gguf *g)
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

/* ---- files ---- */

static char DIR_PATH[] = "/tmp/test_gguf.XXXXXX", PATH[64];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(DIR_PATH))
		return -1;
	snprintf(PATH, sizeof PATH, "%s/odd.gguf", DIR_PATH);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(PATH);
	return rmdir(DIR_PATH);
}

static void save(const bytes *b)
{
	int fd = open(PATH, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, b->p, b->n), b->n);
	close(fd);
}

/* A refusal's text: names the file, shows no path and no pointer. */
static void check_text(const sn_error *err, const char *file)
{
	size_t n = strlen(file);
	if (strncmp(err->text, file, n) != 0 || err->text[n] != ':' || strchr(err->text, '/') || strstr(err->text, "0x") || strlen(err->text) < n + 8)
		fail_msg("not a clear refusal: %s", err->text);
}

static void refused(bytes b, const char *what, const char *expected)
{
	model_file *f = NULL;
	sn_error err = {0};
	save(&b);
	sn_status st = model_file_open(&f, PATH, &err);
	if (st == SN_OK)
		fail_msg("%s: was accepted", what);
	assert_null(f);
	assert_int_equal(st, err.status);
	check_text(&err, "odd.gguf");
	if (!strstr(err.text, expected))
		fail_msg("%s: \"%s\" does not say \"%s\"", what, err.text, expected);
	free(b.p);
}

static model_file *accepted(bytes b)
{
	model_file *f = NULL;
	sn_error err = {0};
	save(&b);
	if (model_file_open(&f, PATH, &err) != SN_OK)
		fail_msg("refused: %s", err.text);
	free(b.p);
	return f;
}

/* ---- what is accepted ---- */

static void values_of_every_type_come_back(void **state)
{
	(void)state;
	for (uint32_t version = 2; version <= 3; version++) {
		gguf g = gguf_new();
		g.version = version;
		key_head(&g, "u8", FILE_U8), put(&g.keys, &(uint8_t){200}, 1);
		key_head(&g, "i8", FILE_I8), put(&g.keys, &(int8_t){-3}, 1);
		key_head(&g, "u16", FILE_U16), put(&g.keys, &(uint16_t){60000}, 2);
		key_head(&g, "i16", FILE_I16), put(&g.keys, &(int16_t){-300}, 2);
		key_u32(&g, "u32", 4000000000u);
		key_head(&g, "i32", FILE_I32), put32(&g.keys, (uint32_t)-70000);
		key_f32(&g, "f32", 0.25f);
		key_head(&g, "yes", FILE_BOOL), put(&g.keys, "\1", 1);
		key_head(&g, "no", FILE_BOOL), put(&g.keys, "\0", 1);
		key_str(&g, "string", "hello");
		key_str(&g, "nothing", "");
		key_head(&g, "u64", FILE_U64), put64(&g.keys, UINT64_MAX);
		key_head(&g, "i64", FILE_I64), put64(&g.keys, (uint64_t)-5);
		key_head(&g, "f64", FILE_F64), put(&g.keys, &(double){-1.5}, 8);
		key_array(&g, "strings", FILE_STRING, 3), put_str(&g.keys, "a"), put_str(&g.keys, ""), put_strn(&g.keys, "b\0c", 3);
		key_array(&g, "ints", FILE_I16, 2), put(&g.keys, (int16_t[]){-7, 8}, 4);
		key_array(&g, "floats", FILE_F32, 2), put(&g.keys, (float[]){0.5f, 2}, 8);
		key_array(&g, "empty", FILE_U64, 0);
		key_array(&g, "bools", FILE_BOOL, 2), put(&g.keys, "\1\0", 2);
		model_file *f = accepted(gguf_bytes(&g));
		uint32_t u;
		float x;
		bool flag;
		str s, *strings;
		int32_t *ints;
		size_t n;
		assert_int_equal(f->version, version);
		assert_string_equal(f->name, "odd.gguf");
		assert_true(file_u32(f, "u8", &u) && u == 200);
		assert_true(file_u32(f, "u16", &u) && u == 60000);
		assert_true(file_u32(f, "u32", &u) && u == 4000000000u);
		assert_false(file_u32(f, "i8", &u) || file_u32(f, "i16", &u) || file_u32(f, "i32", &u) || file_u32(f, "i64", &u));
		assert_false(file_u32(f, "u64", &u) || file_u32(f, "f32", &u) || file_u32(f, "string", &u) || file_u32(f, "ints", &u) || file_u32(f, "absent", &u));
		assert_int_equal(u, 4000000000u); /* untouched */
		assert_true(file_number(file_key_find(f, "i8"), 0) == -3 && file_number(file_key_find(f, "i16"), 0) == -300);
		assert_true(file_number(file_key_find(f, "i32"), 0) == -70000 && file_number(file_key_find(f, "i64"), 0) == -5);
		assert_true(file_number(file_key_find(f, "u64"), 0) == (double)UINT64_MAX && file_number(file_key_find(f, "f64"), 0) == -1.5);
		assert_true(file_f32(f, "f32", &x) && x == 0.25f);
		assert_true(file_f32(f, "f64", &x) && x == -1.5f);
		assert_false(file_f32(f, "u32", &x) || file_f32(f, "floats", &x));
		assert_true(file_bool(f, "yes", &flag) && flag);
		assert_true(file_bool(f, "no", &flag) && !flag);
		assert_false(file_bool(f, "u8", &flag) || file_bool(f, "bools", &flag));
		assert_true(file_str(f, "string", &s) && str_eq(s, STR("hello")));
		assert_true(file_str(f, "nothing", &s) && s.n == 0);
		assert_false(file_str(f, "strings", &s) || file_str(f, "u8", &s));
		assert_int_equal(file_strings(f, "strings", f->mem, &strings, &n, NULL), SN_OK);
		assert_int_equal(n, 3);
		assert_true(str_eq(strings[0], STR("a")) && strings[1].n == 0 && str_eq(strings[2], STR("b\0c")));
		assert_int_equal(file_strings(f, "ints", f->mem, &strings, &n, NULL), SN_ERR_INVALID);
		assert_int_equal(file_i32s(f, "ints", f->mem, &ints, &n, NULL), SN_OK);
		assert_true(n == 2 && ints[0] == -7 && ints[1] == 8);
		assert_int_equal(file_i32s(f, "empty", f->mem, &ints, &n, NULL), SN_OK);
		assert_int_equal(n, 0);
		assert_int_equal(file_i32s(f, "floats", f->mem, &ints, &n, NULL), SN_ERR_INVALID);
		assert_true(file_number(file_key_find(f, "floats"), 1) == 2);
		assert_null(file_key_find(f, "absent"));
		assert_null(file_tensor_find(f, "absent"));
		model_file_close(&f);
		assert_null(f);
	}
}

static void tensors_come_back_where_they_were_put(void **state)
{
	(void)state;
	static const uint32_t alignments[] = {8, 32, 64, 4096};
	for (size_t a = 0; a < sizeof alignments / sizeof *alignments; a++) {
		gguf g = gguf_new();
		g.alignment = alignments[a];
		key_u32(&g, "general.alignment", g.alignment);
		tensor(&g, "zz.f32", 2, (uint64_t[]){3, 5}, 0);
		tensor(&g, "scalar", 1, (uint64_t[]){1}, 0);
		tensor(&g, "f16", 4, (uint64_t[]){2, 3, 4, 5}, 1);
		tensor(&g, "bf16", 3, (uint64_t[]){7, 1, 2}, 30);
		tensor(&g, "aa.q8", 2, (uint64_t[]){64, 3}, 8);
		model_file *f = accepted(gguf_bytes(&g));
		const struct { const char *name; uint64_t bytes; uint32_t n_dims, type; } want[] = {
		    {"zz.f32", 60, 2, 0}, {"scalar", 4, 1, 0}, {"f16", 240, 4, 1}, {"bf16", 28, 3, 30}, {"aa.q8", 204, 2, 8}};
		assert_int_equal(f->n_tensors, 5);
		for (int i = 0; i < 5; i++) {
			const file_tensor *t = file_tensor_find(f, want[i].name);
			assert_non_null(t);
			assert_int_equal(t->bytes, want[i].bytes);
			assert_int_equal(t->n_dims, want[i].n_dims);
			assert_int_equal(t->type, want[i].type);
			assert_int_equal((uintptr_t)t->data % alignments[a], 0);
			for (uint64_t k = 0; k < t->bytes; k++)
				assert_int_equal(t->data[k], k % 60);
			for (uint32_t d = t->n_dims; d < 4; d++)
				assert_int_equal(t->ne[d], 1);
		}
		model_file_close(&f);
	}
}

static void a_file_without_keys_or_tensors_is_whole(void **state)
{
	(void)state;
	gguf g = gguf_new();
	model_file *f = accepted(gguf_bytes(&g));
	assert_int_equal(f->n_keys + f->n_tensors, 0);
	model_file_close(&f);
}

/* ---- what is refused: one function an attack ---- */

static bytes with_head(const char *magic, uint32_t version, uint64_t n_tensors, uint64_t n_keys)
{
	bytes b = {0};
	put(&b, magic, 4);
	put32(&b, version);
	put64(&b, n_tensors);
	put64(&b, n_keys);
	put(&b, (uint8_t[64]){0}, 64);
	return b;
}

static void headers_that_lie_are_refused(void **state)
{
	(void)state;
	refused(with_head("GGUX", 3, 0, 0), "magic", "not a GGUF file");
	refused(with_head("FUGG", 3, 0, 0), "magic", "not a GGUF file");
	refused(with_head("GGUF", 0, 0, 0), "version 0", "version 0,");
	refused(with_head("GGUF", 1, 0, 0), "version 1", "version 1,");
	refused(with_head("GGUF", 4, 0, 0), "version 4", "version 4,");
	refused(with_head("GGUF", 0x03000000, 0, 0), "big-endian", "big-endian");
	refused(with_head("GGUF", 0x02000000, 0, 0), "big-endian", "big-endian");
	static const uint64_t counts[] = {UINT64_MAX, 1ull << 63, (1ull << 63) - 1, 1ull << 32, 100};
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		char says[64];
		snprintf(says, sizeof says, "%llu tensors", (unsigned long long)counts[i]);
		refused(with_head("GGUF", 3, counts[i], 0), "tensor count", says);
		snprintf(says, sizeof says, "%llu keys", (unsigned long long)counts[i]);
		refused(with_head("GGUF", 3, 0, counts[i]), "key count", says);
	}
}

/* A file with one key of these bytes, and 64 bytes after it. */
static bytes with_key(const void *p, size_t n)
{
	gguf g = gguf_new();
	put(&g.keys, p, n);
	g.n_keys = 1;
	put(&g.data, (uint8_t[64]){0}, 64);
	return gguf_bytes(&g);
}

static bytes with_key_name(const char *name, size_t n, uint64_t claimed)
{
	bytes k = {0};
	put64(&k, claimed);
	put(&k, name, n);
	put32(&k, FILE_U32);
	put32(&k, 1);
	bytes b = with_key(k.p, k.n);
	free(k.p);
	return b;
}

static void key_names_that_lie_are_refused(void **state)
{
	(void)state;
	refused(with_key_name("key", 3, UINT64_MAX), "name 2^64-1", "key 0");
	refused(with_key_name("key", 3, 1ull << 63), "name 2^63", "key 0");
	refused(with_key_name("key", 3, 4000), "name beyond the file", "key 0");
	refused(with_key_name("", 0, 0), "empty name", "key 0");
	refused(with_key_name("a\0b", 3, 3), "NUL in a name", "key 0");
	refused(with_key_name("a\nb", 3, 3), "newline in a name", "key 0");
	refused(with_key_name("a\x1b[2J", 5, 5), "escape in a name", "key 0");
	refused(with_key_name("a\x7f", 2, 2), "DEL in a name", "key 0");
	char *big = malloc(70000);
	memset(big, 'k', 70000);
	refused(with_key_name(big, 70000, 70000), "name of 70,000 bytes", "key 0");
	free(big);
	gguf g = gguf_new();
	key_u32(&g, "twice.over", 1);
	key_u32(&g, "other", 1);
	key_u32(&g, "twice.over", 2);
	refused(gguf_bytes(&g), "duplicate key", "key twice.over stands twice");
}

static bytes with_value(uint32_t type, const void *p, size_t n)
{
	bytes k = {0};
	put_str(&k, "some.key");
	put32(&k, type);
	put(&k, p, n);
	bytes b = with_key(k.p, k.n);
	free(k.p);
	return b;
}

static bytes with_array(uint32_t elem_type, uint64_t n)
{
	struct { uint32_t elem_type; uint64_t n; } __attribute__((packed)) head = {elem_type, n};
	return with_value(FILE_ARRAY, &head, sizeof head);
}

static void values_that_lie_are_refused(void **state)
{
	(void)state;
	refused(with_value(13, "", 0), "type 13", "some.key: unknown value type 13");
	refused(with_value(UINT32_MAX, "", 0), "type -1", "some.key: unknown value type -1");
	refused(with_array(FILE_TYPES, 1), "array of type 13", "some.key: unknown value type 13");
	refused(with_array(UINT32_MAX, 1), "array of type -1", "some.key: unknown value type -1");
	refused(with_array(FILE_ARRAY, 1), "array of arrays", "some.key: arrays of arrays");
	static const uint64_t sizes[] = {UINT64_MAX, 1ull << 63, (1ull << 62) + 1, 1ull << 61, 1ull << 32, 1000};
	for (uint32_t type = 0; type < FILE_TYPES; type++)
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			char says[64];
			snprintf(says, sizeof says, "some.key: %llu %s", (unsigned long long)sizes[i], type == FILE_STRING ? "strings" : "values");
			if (type != FILE_ARRAY)
				refused(with_array(type, sizes[i]), "array length", says);
		}
	refused(with_value(FILE_STRING, &(uint64_t){UINT64_MAX}, 8), "string 2^64-1", "some.key: a string");
	refused(with_value(FILE_STRING, &(uint64_t){1000}, 8), "string beyond the file", "some.key: a string");
	struct { uint32_t type; uint64_t n, len; } __attribute__((packed)) strings = {FILE_STRING, 2, UINT64_MAX};
	refused(with_value(FILE_ARRAY, &strings, sizeof strings), "string in array 2^64-1", "some.key: a string");
	refused(with_value(FILE_BOOL, "\2", 1), "bool 2", "some.key: 2 is not a bool");
	struct { uint32_t type; uint64_t n; uint8_t v[3]; } __attribute__((packed)) bools = {FILE_BOOL, 3, {1, 0, 255}};
	refused(with_value(FILE_ARRAY, &bools, sizeof bools), "bool 255 in array", "some.key: 255 is not a bool");
}

static bytes with_alignment(uint32_t type, uint64_t v, size_t n)
{
	gguf g = gguf_new();
	key_head(&g, "general.alignment", type);
	put(&g.keys, &v, n);
	tensor(&g, "t", 1, (uint64_t[]){8}, 0);
	return gguf_bytes(&g);
}

static void alignments_that_lie_are_refused(void **state)
{
	(void)state;
	static const uint32_t bad[] = {0, 1, 4, 13, 33, 1u << 21, 1u << 31, UINT32_MAX};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char says[64];
		snprintf(says, sizeof says, "general.alignment: %u is not", bad[i]);
		refused(with_alignment(FILE_U32, bad[i], 4), "alignment", says);
	}
	refused(with_alignment(FILE_U64, 32, 8), "alignment as u64", "general.alignment has type 10");
	refused(with_alignment(FILE_I32, 32, 4), "alignment as i32", "general.alignment has type 5");
	refused(with_alignment(FILE_STRING, 0, 8), "alignment as string", "general.alignment has type 8");
}

static bytes with_info(const char *name, size_t name_n, uint32_t n_dims, const uint64_t *ne, uint32_t type, uint64_t offset)
{
	gguf g = gguf_new();
	put_strn(&g.infos, name, name_n);
	put32(&g.infos, n_dims);
	for (uint32_t d = 0; d < n_dims && d < 8; d++)
		put64(&g.infos, ne[d]);
	put32(&g.infos, type);
	put64(&g.infos, offset);
	g.n_tensors = 1;
	put(&g.data, (uint8_t[256]){0}, 256);
	return gguf_bytes(&g);
}

static bytes with_dims(uint32_t n_dims, const uint64_t *ne, uint32_t type)
{
	return with_info("some.tensor", 11, n_dims, ne, type, 0);
}

static void tensors_that_lie_are_refused(void **state)
{
	(void)state;
	char big[300];
	memset(big, 't', sizeof big);
	refused(with_info(big, sizeof big, 1, (uint64_t[]){1}, 0, 0), "name of 300 bytes", "tensor 0");
	refused(with_info("", 0, 1, (uint64_t[]){1}, 0, 0), "empty name", "tensor 0");
	refused(with_info("a\0b", 3, 1, (uint64_t[]){1}, 0, 0), "NUL in a name", "tensor 0");
	refused(with_info("a\rb", 3, 1, (uint64_t[]){1}, 0, 0), "CR in a name", "tensor 0");

	refused(with_dims(0, NULL, 0), "no dimension", "some.tensor: 0 dimensions");
	refused(with_dims(5, (uint64_t[]){1, 1, 1, 1, 1}, 0), "5 dimensions", "some.tensor: 5 dimensions");
	refused(with_dims(1u << 31, (uint64_t[]){1, 1, 1, 1, 1, 1, 1, 1}, 0), "2^31 dimensions", "some.tensor: 2147483648 dimensions");
	refused(with_dims(1, (uint64_t[]){0}, 0), "dimension 0", "some.tensor: dimension 0 is 0");
	refused(with_dims(3, (uint64_t[]){4, 0, 4}, 0), "dimension 0", "some.tensor: dimension 1 is 0");
	refused(with_dims(2, (uint64_t[]){4, UINT64_MAX}, 0), "dimension -1", "some.tensor: dimension 1 is -1");
	refused(with_dims(1, (uint64_t[]){1ull << 63}, 0), "dimension 2^63", "some.tensor: dimension 0 is -9223372036854775808");
	refused(with_dims(2, (uint64_t[]){1ull << 32, 1ull << 32}, 0), "product 2^64", "some.tensor: dimension 1 is 4294967296");
	refused(with_dims(4, (uint64_t[]){1ull << 16, 1ull << 16, 1ull << 16, 1ull << 16}, 0), "product 2^64", "some.tensor: dimension 3");
	refused(with_dims(1, (uint64_t[]){INT64_MAX}, 0), "bytes beyond 2^64", "some.tensor: 9223372036854775807 values are too many");
	refused(with_dims(1, (uint64_t[]){INT64_MAX / 4}, 0), "bytes beyond the file", "some.tensor: 9223372036854775804 bytes");

	static const uint32_t types[] = {4, 5, 31, 32, 33, 36, 37, 38, 43, 1000, 1u << 31};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		char says[64];
		snprintf(says, sizeof says, "some.tensor: unknown storage type %d", (int32_t)types[i]);
		refused(with_dims(1, (uint64_t[]){32}, types[i]), "type", says);
	}
	refused(with_dims(1, (uint64_t[]){32}, UINT32_MAX), "type -1", "some.tensor: unknown storage type -1");
	refused(with_dims(2, (uint64_t[]){33, 32}, 8), "row of 33 in Q8_0", "some.tensor: rows of 33 values");
	refused(with_dims(2, (uint64_t[]){32, 8}, 12), "row of 32 in Q4_K", "some.tensor: rows of 32 values");

	refused(with_info("some.tensor", 11, 1, (uint64_t[]){4}, 0, 1), "offset 1", "some.tensor: offset 1,");
	refused(with_info("some.tensor", 11, 1, (uint64_t[]){4}, 0, 32), "offset past a gap", "some.tensor: offset 32,");
	refused(with_info("some.tensor", 11, 1, (uint64_t[]){4}, 0, UINT64_MAX - 31), "offset 2^64-32", "some.tensor: offset 18446744073709551584");
	refused(with_dims(1, (uint64_t[]){65}, 0), "one value beyond the file", "some.tensor: 260 bytes at offset 0 lie outside");
}

static void tensors_that_collide_are_refused(void **state)
{
	(void)state;
	gguf g = gguf_new(); /* the sum of these two sizes wraps to a small number */
	info_at(&g, "first", 1, (uint64_t[]){0x7FFFFFFFFFFFFFC0}, 24, 0);
	info_at(&g, "second", 1, (uint64_t[]){0x7FFFFFFFFFFFFFC0}, 24, 0x7FFFFFFFFFFFFFC0);
	put(&g.data, (uint8_t[256]){0}, 256);
	refused(gguf_bytes(&g), "sum of sizes", "first: 9223372036854775744 bytes");

	g = gguf_new();
	info_at(&g, "first", 1, (uint64_t[]){16}, 0, 0);
	info_at(&g, "second", 1, (uint64_t[]){16}, 0, 32);
	put(&g.data, (uint8_t[256]){0}, 256);
	refused(gguf_bytes(&g), "overlap", "second: offset 32, expected 64");

	g = gguf_new();
	tensor(&g, "same", 1, (uint64_t[]){16}, 0);
	tensor(&g, "other", 1, (uint64_t[]){16}, 0);
	tensor(&g, "same", 1, (uint64_t[]){8}, 0);
	refused(gguf_bytes(&g), "duplicate", "same stands twice");
}

/* ---- cut and flipped ---- */

static bytes sample_file(uint64_t *header_bytes)
{
	gguf g = gguf_new();
	key_u32(&g, "general.alignment", 32);
	key_str(&g, "general.architecture", "llama");
	key_f32(&g, "some.float", 1e-5f);
	key_array(&g, "tokens", FILE_STRING, 5);
	for (int i = 0; i < 5; i++)
		put_str(&g.keys, &"token"[i]);
	key_array(&g, "types", FILE_I32, 5), put(&g.keys, (int32_t[]){1, 2, 3, 4, 5}, 20);
	key_head(&g, "flag", FILE_BOOL), put(&g.keys, "\1", 1);
	key_head(&g, "wide", FILE_U64), put64(&g.keys, 1ull << 40);
	tensor(&g, "embed", 2, (uint64_t[]){64, 60}, 0);
	tensor(&g, "norm", 1, (uint64_t[]){64}, 0);
	tensor(&g, "half", 3, (uint64_t[]){8, 2, 3}, 1);
	tensor(&g, "quant", 2, (uint64_t[]){64, 4}, 8);
	bytes b = gguf_bytes(&g);
	*header_bytes = g.header_bytes;
	return b;
}

/* Everything that a reader may touch, is touched. */
static uint64_t touch(const model_file *f)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < f->n_tensors; i++) {
		const file_tensor *t = &f->tensors[i];
		assert_true(t->data >= f->map && t->bytes <= f->map_bytes && (size_t)(t->data - f->map) <= f->map_bytes - t->bytes);
		for (uint64_t k = 0; k < t->bytes; k++)
			sum += t->data[k];
	}
	for (size_t i = 0; i < f->n_keys; i++) {
		const file_key *k = &f->keys[i];
		char name[300];
		uint32_t u;
		float x;
		bool flag;
		str s, *strings;
		int32_t *ints;
		size_t n;
		if (k->name.n >= sizeof name)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)k->name.n, k->name.p);
		assert_ptr_equal(file_key_find(f, name), k);
		if (file_u32(f, name, &u))
			sum += u;
		if (file_f32(f, name, &x) || file_bool(f, name, &flag))
			sum++;
		if (file_str(f, name, &s))
			for (size_t c = 0; c < s.n; c++)
				sum += (uint8_t)s.p[c];
		if (file_strings(f, name, f->mem, &strings, &n, NULL) == SN_OK)
			for (size_t a = 0; a < n; a++)
				for (size_t c = 0; c < strings[a].n; c++)
					sum += (uint8_t)strings[a].p[c];
		if (file_i32s(f, name, f->mem, &ints, &n, NULL) == SN_OK)
			for (size_t a = 0; a < n; a++)
				sum += (uint32_t)ints[a];
		if (k->elem_type != FILE_STRING)
			for (uint64_t a = 0; a < k->n; a++)
				sum += isnan(file_number(k, a));
	}
	return sum;
}

static void a_file_cut_anywhere_is_refused(void **state)
{
	(void)state;
	uint64_t header;
	bytes b = sample_file(&header);
	for (size_t n = 0; n < b.n; n = n < header + 64 ? n + 1 : n + 4096 < b.n || n == b.n - 1 ? n + 4096 : b.n - 1) {
		model_file *f = NULL;
		sn_error err = {0};
		bytes cut = {b.p, n, n};
		save(&cut);
		if (model_file_open(&f, PATH, &err) == SN_OK)
			fail_msg("accepted at %zu of %zu bytes", n, b.n);
		check_text(&err, "odd.gguf");
	}
	model_file *f = accepted(b);
	model_file_close(&f);
}

static void ten_thousand_flipped_bits_never_reach_outside(void **state)
{
	(void)state;
	uint64_t header;
	bytes b = sample_file(&header);
	rng r = {32};
	uint32_t n_refused = 0;
	save(&b);
	int fd = open(PATH, O_WRONLY);
	assert_true(fd >= 0);
	for (int i = 0; i < 10000; i++) {
		uint32_t at[3], n = rng_between(&r, 1, 3); /* mostly in the header, where it matters */
		for (uint32_t k = 0; k < n; k++) {
			at[k] = rng_below(&r, rng_below(&r, 20) ? (uint32_t)header : (uint32_t)b.n);
			uint8_t flipped = b.p[at[k]] ^ (uint8_t)(1u << rng_below(&r, 8));
			assert_int_equal(pwrite(fd, &flipped, 1, at[k]), 1);
		}
		model_file *f = NULL;
		sn_error err = {0};
		if (model_file_open(&f, PATH, &err) == SN_OK) {
			touch(f);
			model_file_close(&f);
		} else {
			n_refused++;
			if (strncmp(err.text, "odd.gguf: ", 10) != 0)
				fail_msg("not a clear refusal: %s", err.text);
		}
		for (uint32_t k = 0; k < n; k++)
			assert_int_equal(pwrite(fd, b.p + at[k], 1, at[k]), 1);
	}
	close(fd);
	free(b.p);
	assert_in_range(n_refused, 1000, 9999);
}

static void what_is_not_a_regular_file_is_refused_without_waiting(void **state)
{
	(void)state;
	model_file *f = NULL;
	sn_error err = {0};
	unlink(PATH);
	assert_int_equal(model_file_open(&f, PATH, &err), SN_ERR_NOT_FOUND);
	check_text(&err, "odd.gguf");
	assert_int_equal(mkfifo(PATH, 0600), 0);
	assert_int_equal(model_file_open(&f, PATH, &err), SN_ERR_INVALID);
	check_text(&err, "odd.gguf");
	unlink(PATH);
	assert_int_equal(model_file_open(&f, DIR_PATH, &err), SN_ERR_INVALID);
	check_text(&err, strrchr(DIR_PATH, '/') + 1);
	save(&(bytes){0});
	assert_int_equal(model_file_open(&f, PATH, &err), SN_ERR_INVALID);
	check_text(&err, "odd.gguf");
	assert_null(f);
}

/* ---- meaning: a llama in miniature, and what is twisted in it ---- */

enum { HIDDEN = 32, FFN = 64, HEADS = 4, KV_HEADS = 2, VOCAB = 20 };

typedef struct twist {
	const char *name;     /* key or tensor */
	enum { KEEP, DROP, AS_U32, AS_I32, AS_U64, AS_F32, AS_STRING, AS_BOOL, AS_ARRAY, SHAPE, TYPE } how;
	double v;
	const char *s;        /* AS_STRING */
	const char *expected; /* beside the name */
} twist;

static const twist *TWIST;

/* Writes the twisted form of a key; false: write it as it is. */
static bool twisted(gguf *g, const char *name)
{
	const twist *t = TWIST;
	if (!t || strcmp(t->name, name))
		return false;
	switch (t->how) {
	case DROP: break;
	case AS_U32: key_u32(g, name, (uint32_t)t->v); break;
	case AS_I32: key_head(g, name, FILE_I32), put32(&g->keys, (uint32_t)(int32_t)t->v); break;
	case AS_U64: key_head(g, name, FILE_U64), put64(&g->keys, t->v < 0 ? UINT64_MAX : (uint64_t)t->v); break;
	case AS_F32: key_f32(g, name, (float)t->v); break;
	case AS_STRING: key_str(g, name, t->s); break;
	case AS_BOOL: key_head(g, name, FILE_BOOL), put(&g->keys, "\1", 1); break;
	case AS_ARRAY: key_array(g, name, FILE_U32, (uint64_t)t->v); for (int i = 0; i < t->v; i++) put32(&g->keys, 1); break;
	default: return false;
	}
	return true;
}

static void llama_u32(gguf *g, const char *name, uint32_t v) { if (!twisted(g, name)) key_u32(g, name, v); }
static void llama_f32(gguf *g, const char *name, float v) { if (!twisted(g, name)) key_f32(g, name, v); }
static void llama_str(gguf *g, const char *name, const char *v) { if (!twisted(g, name)) key_str(g, name, v); }

static void llama_tensor(gguf *g, const char *name, uint64_t n_in, uint64_t n_out)
{
	const twist *t = TWIST && !strcmp(TWIST->name, name) ? TWIST : NULL;
	if (t && t->how == DROP)
		return;
	if (t && t->how == SHAPE)
		n_in = (uint64_t)t->v;
	tensor(g, name, n_out ? 2 : 1, (uint64_t[]){n_in, n_out}, t && t->how == TYPE ? (uint32_t)t->v : 0);
}

static bytes llama(void)
{
	gguf g = gguf_new();
	llama_str(&g, "general.architecture", "llama");
	llama_u32(&g, "llama.block_count", 1);
	llama_u32(&g, "llama.embedding_length", HIDDEN);
	llama_u32(&g, "llama.feed_forward_length", FFN);
	llama_u32(&g, "llama.attention.head_count", HEADS);
	llama_u32(&g, "llama.attention.head_count_kv", KV_HEADS);
	llama_u32(&g, "llama.context_length", 256);
	llama_u32(&g, "llama.rope.dimension_count", HIDDEN / HEADS);
	llama_f32(&g, "llama.rope.freq_base", 10000);
	llama_f32(&g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	llama_str(&g, "tokenizer.ggml.model", "gpt2");
	llama_str(&g, "tokenizer.ggml.pre", "smollm");
	if (!twisted(&g, "tokenizer.ggml.tokens")) {
		uint64_t n = TWIST && !strcmp(TWIST->name, "n_tokens") ? (uint64_t)TWIST->v : VOCAB;
		key_array(&g, "tokenizer.ggml.tokens", FILE_STRING, n);
		for (uint64_t i = 0; i < n; i++)
			put_strn(&g.keys, (char[]){(char)('A' + i)}, 1);
	}
	if (!twisted(&g, "tokenizer.ggml.token_type")) {
		uint64_t n = TWIST && !strcmp(TWIST->name, "n_tokens") ? (uint64_t)TWIST->v : VOCAB;
		key_array(&g, "tokenizer.ggml.token_type", FILE_I32, n);
		for (uint64_t i = 0; i < n; i++)
			put32(&g.keys, TOKEN_NORMAL);
	}
	llama_u32(&g, "tokenizer.ggml.bos_token_id", 1);
	llama_u32(&g, "tokenizer.ggml.eos_token_id", 2);
	llama_u32(&g, "tokenizer.ggml.unknown_token_id", 0);
	static const char *const optional[] = {"llama.expert_count", "llama.attention.key_length", "llama.attention.value_length", "llama.rope.scaling.type",
	                                       "tokenizer.ggml.eot_token_id", "tokenizer.ggml.merges"};
	for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
		twisted(&g, optional[i]);
	llama_tensor(&g, "token_embd.weight", HIDDEN, VOCAB);
	llama_tensor(&g, "output_norm.weight", HIDDEN, 0);
	llama_tensor(&g, "blk.0.attn_norm.weight", HIDDEN, 0);
	llama_tensor(&g, "blk.0.ffn_norm.weight", HIDDEN, 0);
	llama_tensor(&g, "blk.0.attn_q.weight", HIDDEN, HIDDEN);
	llama_tensor(&g, "blk.0.attn_k.weight", HIDDEN, HIDDEN / HEADS * KV_HEADS);
	llama_tensor(&g, "blk.0.attn_v.weight", HIDDEN, HIDDEN / HEADS * KV_HEADS);
	llama_tensor(&g, "blk.0.attn_output.weight", HIDDEN, HIDDEN);
	llama_tensor(&g, "blk.0.ffn_gate.weight", HIDDEN, FFN);
	llama_tensor(&g, "blk.0.ffn_up.weight", HIDDEN, FFN);
	llama_tensor(&g, "blk.0.ffn_down.weight", FFN, HIDDEN);
	static const char *const extra[] = {"blk.1.attn_q.weight", "blk.0.attn_q_norm.weight", "blk.0.attn_norm.bias", "blk.+0.attn_q.weight",
	                                    "rope_freqs.weight", "mystery"};
	for (size_t i = 0; i < sizeof extra / sizeof *extra; i++)
		if (TWIST && !strcmp(TWIST->name, extra[i]))
			llama_tensor(&g, extra[i], HIDDEN, 0);
	return gguf_bytes(&g);
}

static sn_status open_llama(const twist *t, sn_error *err)
{
	static pool *threads;
	ops o;
	model *m = NULL;
	TWIST = t;
	bytes b = llama();
	save(&b);
	free(b.p);
	assert_int_equal(pool_open(&threads, 1, NULL), SN_OK);
	ops_init(&o, threads, KN_ISA_REF);
	*err = (sn_error){0};
	sn_status st = model_open(&m, PATH, NULL, SN_KV_AUTO, &o, err);
	if (st == SN_OK)
		assert_int_equal(m->h.n_vocab, VOCAB);
	else
		assert_null(m);
	model_close(&m);
	ops_fini(&o);
	pool_close(&threads);
	return st;
}

static void the_miniature_itself_is_accepted(void **state)
{
	(void)state;
	static const twist harmless[] = {
	    {.name = "nothing"},
	    {.name = "llama.attention.head_count_kv", .how = AS_U64, .v = 2},
	    {.name = "llama.rope.dimension_count", .how = DROP},
	    {.name = "llama.rope.freq_base", .how = DROP},
	    {.name = "llama.rope.scaling.type", .how = AS_STRING, .s = "none"},
	    {.name = "llama.expert_count", .how = AS_U32, .v = 0},
	    {.name = "tokenizer.ggml.token_type", .how = DROP},
	    {.name = "tokenizer.ggml.bos_token_id", .how = DROP},
	    {.name = "n_tokens", .v = VOCAB - 2}, /* padding rows of the embedding */
	};
	sn_error err;
	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
		if (open_llama(&harmless[i], &err) != SN_OK)
			fail_msg("%s: %s", harmless[i].name, err.text);
}

static void refuse_twists(const twist *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sn_error err;
		if (open_llama(&t[i], &err) == SN_OK)
			fail_msg("%s (%d, %g): was accepted", t[i].name, t[i].how, t[i].v);
		check_text(&err, "odd.gguf");
		if (strcmp(t[i].name, "n_tokens") && !strstr(err.text, t[i].name))
			fail_msg("\"%s\" does not name %s", err.text, t[i].name);
		if (!strstr(err.text, t[i].expected))
			fail_msg("%s: \"%s\" does not say \"%s\"", t[i].name, err.text, t[i].expected);
	}
}

static void sizes_out_of_range_are_refused_by_key_and_value(void **state)
{
	(void)state;
	static const struct { const char *name; bool required; } keys[] = {
	    {"llama.block_count", true},          {"llama.embedding_length", true},       {"llama.feed_forward_length", true},
	    {"llama.attention.head_count", true}, {"llama.attention.head_count_kv", false}, {"llama.context_length", true},
	    {"llama.rope.dimension_count", false}, {"llama.attention.key_length", false}, {"llama.attention.value_length", false},
	};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const twist bad[] = {
		    {.name = keys[i].name, .how = AS_U32, .v = 0, .expected = ": 0 is not"},
		    {.name = keys[i].name, .how = AS_I32, .v = -1, .expected = ": -1 is not"},
		    {.name = keys[i].name, .how = AS_U32, .v = UINT32_MAX, .expected = ": 4294967295 is not"},
		    {.name = keys[i].name, .how = AS_U64, .v = -1, .expected = ": 1.84467e+19 is not"},
		    {.name = keys[i].name, .how = AS_F32, .v = 2.5, .expected = ": 2.5 is not"},
		    {.name = keys[i].name, .how = AS_STRING, .s = "2", .expected = "is not an integer"},
		    {.name = keys[i].name, .how = AS_BOOL, .expected = "is not an integer"},
		    {.name = keys[i].name, .how = AS_ARRAY, .v = 1, .expected = "per layer is not supported"},
		    {.name = keys[i].name, .how = DROP, .expected = "is missing"},
		};
		refuse_twists(bad, sizeof bad / sizeof *bad - !keys[i].required);
	}
}

static void sizes_that_do_not_fit_each_other_are_refused(void **state)
{
	(void)state;
	static const twist bad[] = {
	    {.name = "llama.attention.head_count", .how = AS_U32, .v = 3, .expected = "the 3 heads"},
	    {.name = "llama.attention.head_count_kv", .how = AS_U32, .v = 3, .expected = "3 does not divide the 4 heads"},
	    {.name = "llama.attention.head_count_kv", .how = AS_U32, .v = 5, .expected = "5 is not from 1 to 4"},
	    {.name = "llama.rope.dimension_count", .how = AS_U32, .v = 10, .expected = "10 is not from 2 to 8"},
	    {.name = "llama.rope.dimension_count", .how = AS_U32, .v = 5, .expected = "5 is odd"},
	    {.name = "llama.attention.value_length", .how = AS_U32, .v = 4, .expected = "4 differs"},
	    {.name = "llama.expert_count", .how = AS_U32, .v = 8, .expected = "8: experts"},
	};
	refuse_twists(bad, sizeof bad / sizeof *bad);
	sn_error err;
	const struct { twist t; const char *tensor; } shapes[] = { /* plausible, but not what the tensors say */
	    {{.name = "llama.embedding_length", .how = AS_U32, .v = 64}, "token_embd.weight: shape [20, 32], expected [20, 64]"},
	    {{.name = "llama.feed_forward_length", .how = AS_U32, .v = 65}, "ffn_gate.weight: shape [64, 32], expected [65, 32]"},
	    {{.name = "llama.attention.head_count_kv", .how = AS_U32, .v = 4}, "attn_k.weight: shape [16, 32], expected [32, 32]"},
	    {{.name = "llama.attention.key_length", .how = AS_U32, .v = 16}, "attn_q.weight: shape [32, 32], expected [64, 32]"},
	    {{.name = "llama.block_count", .how = AS_U32, .v = 2}, "blk.1.attn_norm.weight is missing"},
	};
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		assert_int_not_equal(open_llama(&shapes[i].t, &err), SN_OK);
		check_text(&err, "odd.gguf");
		if (!strstr(err.text, shapes[i].tensor))
			fail_msg("%s: %s", shapes[i].t.name, err.text);
	}
}

static void numbers_and_names_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	static const twist bad[] = {
	    {.name = "general.architecture", .how = DROP, .expected = "is missing"},
	    {.name = "general.architecture", .how = AS_U32, .v = 1, .expected = "general.architecture"},
	    {.name = "general.architecture", .how = AS_STRING, .s = "perceptron", .expected = "perceptron is not supported"},
	    {.name = "llama.attention.layer_norm_rms_epsilon", .how = DROP, .expected = "is missing"},
	    {.name = "llama.attention.layer_norm_rms_epsilon", .how = AS_F32, .v = 0, .expected = "0 is not above"},
	    {.name = "llama.attention.layer_norm_rms_epsilon", .how = AS_F32, .v = -1, .expected = "-1 is not above"},
	    {.name = "llama.attention.layer_norm_rms_epsilon", .how = AS_F32, .v = NAN, .expected = "nan is not above"},
	    {.name = "llama.attention.layer_norm_rms_epsilon", .how = AS_U32, .v = 1, .expected = "is not above"},
	    {.name = "llama.rope.freq_base", .how = AS_F32, .v = 0, .expected = "0 is not above"},
	    {.name = "llama.rope.freq_base", .how = AS_F32, .v = INFINITY, .expected = "inf is not above"},
	    {.name = "llama.rope.freq_base", .how = AS_STRING, .s = "x", .expected = "is not above"},
	    {.name = "llama.rope.scaling.type", .how = AS_STRING, .s = "yarn", .expected = "yarn is not supported"},
	};
	refuse_twists(bad, sizeof bad / sizeof *bad);
}

static void tensors_must_be_the_architectures(void **state)
{
	(void)state;
	static const char *const names[] = {"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight",
	                                    "blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.attn_output.weight",
	                                    "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight", "blk.0.ffn_down.weight"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const twist bad[] = {
		    {.name = names[i], .how = DROP, .expected = "is missing"},
		    {.name = names[i], .how = SHAPE, .v = 96, .expected = "96"},
		    {.name = names[i], .how = TYPE, .v = 2, .expected = "storage type Q4_0 is not supported"},
		    {.name = names[i], .how = TYPE, .v = 26, .expected = "storage type I32 is not supported"},
		};
		refuse_twists(bad, sizeof bad / sizeof *bad);
	}
	static const twist extra[] = {
	    {.name = "mystery", .expected = "has no place"},
	    {.name = "blk.1.attn_q.weight", .expected = "has no place"},
	    {.name = "blk.0.attn_q_norm.weight", .expected = "has no place"},
	    {.name = "rope_freqs.weight", .expected = "32 values, expected 4"},
	};
	refuse_twists(extra, sizeof extra / sizeof *extra);
	static const twist unbound[] = {{.name = "blk.0.attn_norm.bias"}, {.name = "blk.+0.attn_q.weight"}};
	sn_error err;
	for (int i = 0; i < 2; i++)
		assert_int_not_equal(open_llama(&unbound[i], &err), SN_OK);
}

static void token_tables_must_fit_the_model(void **state)
{
	(void)state;
	static const twist bad[] = {
	    {.name = "tokenizer.ggml.model", .how = DROP, .expected = "is missing"},
	    {.name = "tokenizer.ggml.tokens", .how = DROP, .expected = "tokens"},
	    {.name = "tokenizer.ggml.tokens", .how = AS_ARRAY, .v = VOCAB, .expected = "array of strings"},
	    {.name = "tokenizer.ggml.tokens", .how = AS_U32, .v = 1, .expected = "array of strings"},
	    {.name = "tokenizer.ggml.token_type", .how = AS_ARRAY, .v = VOCAB - 1, .expected = "19 values for 20 tokens"},
	    {.name = "tokenizer.ggml.token_type", .how = AS_ARRAY, .v = VOCAB + 1, .expected = "21 values for 20 tokens"},
	    {.name = "tokenizer.ggml.token_type", .how = AS_STRING, .s = "x", .expected = "array of integers"},
	    {.name = "tokenizer.ggml.merges", .how = AS_ARRAY, .v = 3, .expected = "array of strings"},
	    {.name = "tokenizer.ggml.bos_token_id", .how = AS_U32, .v = VOCAB, .expected = "20 is not a token of 20"},
	    {.name = "tokenizer.ggml.bos_token_id", .how = AS_I32, .v = -1, .expected = "-1 is not a token"},
	    {.name = "tokenizer.ggml.eos_token_id", .how = AS_U32, .v = UINT32_MAX, .expected = "is not a token"},
	    {.name = "tokenizer.ggml.eot_token_id", .how = AS_U32, .v = 1e6, .expected = "is not a token"},
	    {.name = "tokenizer.ggml.unknown_token_id", .how = AS_STRING, .s = "x", .expected = "is not a token"},
	    {.name = "n_tokens", .v = VOCAB + 1, .expected = "tokenizer.ggml.tokens: 21 tokens, but the embedding has 20 rows"},
	    {.name = "n_tokens", .v = 0, .expected = "tokenizer.ggml.tokens: 0 tokens"},
	};
	refuse_twists(bad, sizeof bad / sizeof *bad);
	static const struct { twist t; const char *expected; } names[] = {
	    {{.name = "tokenizer.ggml.model", .how = AS_STRING, .s = "t5"}, "'t5' is not supported"},
	    {{.name = "tokenizer.ggml.model", .how = AS_STRING, .s = "llama"}, "tokenizer.ggml.scores"},
	    {{.name = "tokenizer.ggml.pre", .how = AS_STRING, .s = "martian"}, "'martian' is not supported"},
	    {{.name = "tokenizer.ggml.pre", .how = DROP}, "is not supported"},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		sn_error err;
		assert_int_not_equal(open_llama(&names[i].t, &err), SN_OK);
		check_text(&err, "odd.gguf");
		assert_non_null(strstr(err.text, names[i].expected));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_of_every_type_come_back),
	    cmocka_unit_test(tensors_come_back_where_they_were_put),
	    cmocka_unit_test(a_file_without_keys_or_tensors_is_whole),
	    cmocka_unit_test(headers_that_lie_are_refused),
	    cmocka_unit_test(key_names_that_lie_are_refused),
	    cmocka_unit_test(values_that_lie_are_refused),
	    cmocka_unit_test(alignments_that_lie_are_refused),
	    cmocka_unit_test(tensors_that_lie_are_refused),
	    cmocka_unit_test(tensors_that_collide_are_refused),
	    cmocka_unit_test(a_file_cut_anywhere_is_refused),
	    cmocka_unit_test(ten_thousand_flipped_bits_never_reach_outside),
	    cmocka_unit_test(what_is_not_a_regular_file_is_refused_without_waiting),
	    cmocka_unit_test(the_miniature_itself_is_accepted),
	    cmocka_unit_test(sizes_out_of_range_are_refused_by_key_and_value),
	    cmocka_unit_test(sizes_that_do_not_fit_each_other_are_refused),
	    cmocka_unit_test(numbers_and_names_that_make_no_sense_are_refused),
	    cmocka_unit_test(tensors_must_be_the_architectures),
	    cmocka_unit_test(token_tables_must_fit_the_model),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
