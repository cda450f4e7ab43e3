/* test_gguf.c - promises of the GGUF reader: what it accepts is whole, what it refuses is named, and nothing in a file can
 * make it read outside. What keys and tensors must mean: test_model_keys.c. */
#include "gguf_bytes.h"

#include <math.h>

#define ODD "odd.gguf"

static void refused(bytes b, const char *what, const char *expected)
{
	model_file *f = NULL;
	sn_error err = {0};
	scratch_write(ODD, b.p, b.n);
	sn_status st = model_file_open(&f, scratch_path(ODD), &err);
	if (st == SN_OK)
		fail_msg("%s: was accepted", what);
	assert_null(f);
	assert_int_equal(st, err.status);
	check_text(&err, ODD);
	if (!strstr(err.text, expected))
		fail_msg("%s: \"%s\" does not say \"%s\"", what, err.text, expected);
	free(b.p);
}

static model_file *accepted(bytes b)
{
	model_file *f = NULL;
	sn_error err = {0};
	scratch_write(ODD, b.p, b.n);
	if (model_file_open(&f, scratch_path(ODD), &err) != SN_OK)
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
		assert_string_equal(f->name, ODD);
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
	refused(with_head("lmgg", 51865, 0, 0), "whisper.cpp's", "a ggml .bin file, as whisper.cpp has them, is not supported: use the model's Hugging Face");
	refused(with_head("ggml", 51865, 0, 0), "the same, other way round", "a ggml .bin file");
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

	static const uint32_t types[] = {4, 5, 31, 32, 33, 36, 37, 38, 43, 256, 1000, 1u << 31};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		char says[64];
		snprintf(says, sizeof says, "some.tensor: unknown storage type %d", (int32_t)types[i]);
		refused(with_dims(1, (uint64_t[]){32}, types[i]), "type", says);
	}
	refused(with_dims(1, (uint64_t[]){32}, UINT32_MAX), "type -1", "some.tensor: unknown storage type -1");
	refused(with_dims(2, (uint64_t[]){33, 32}, 8), "row of 33 in Q8_0", "some.tensor: rows of 33 values");
	refused(with_dims(2, (uint64_t[]){32, 8}, 12), "row of 32 in Q4_K", "some.tensor: rows of 32 values");
	refused(with_dims(2, (uint64_t[]){48, 2}, 2), "row of 48 in Q4_0", "some.tensor: rows of 48 values");
	refused(with_dims(2, (uint64_t[]){896, 2}, 14), "row of 896 in Q6_K", "some.tensor: rows of 896 values");
	refused(with_dims(2, (uint64_t[]){256, 2}, 12), "Q4_K beyond the file", "some.tensor: 288 bytes at offset 0 lie outside");
	refused(with_dims(2, (uint64_t[]){256, 1ull << 56}, 14), "Q6_K, bytes beyond 2^64", "some.tensor:");

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

/* Everything that a reader may touch, is touched. */
static uint64_t touch(const model_file *f)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < f->n_tensors; i++) {
		const file_tensor *t = &f->tensors[i];
		assert_true(t->data >= f->maps->p && t->bytes <= f->maps->n && (size_t)(t->data - f->maps->p) <= f->maps->n - t->bytes);
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

/* ---- the reference reader's cases (llama.cpp's test-gguf), one row each, written anew ---- */

enum damage {
	BAD_MAGIC, VERSION_0, VERSION_1, VERSION_FUTURE, BAD_N_TENSORS, BAD_N_KEYS, NO_CONTENT,
	BAD_KEY_SIZE, EMPTY_KEY, BAD_TYPE, DUPLICATE_KEY, KEYS_BAD_ALIGN, KEYS_ALIGN_TYPE, KEYS_FINE,
	BAD_NAME_SIZE, BAD_N_DIMS, BAD_SHAPE, ZERO_DIM, TOO_MANY_VALUES, TOO_MANY_BYTES, BAD_TENSOR_TYPE, BAD_OFFSET, DUPLICATE_NAME,
	TENSORS_BAD_ALIGN, TENSORS_OTHER_ALIGN, TENSORS_FINE, TENSORS_OWN_ALIGN,
	DATA_MISSING, DATA_BAD_ALIGN, DATA_OTHER_ALIGN, DATA_SUM_OVERFLOW, DATA_FINE, DATA_OWN_ALIGN
};

static void put_random_keys(gguf *g, rng *r, enum damage d)
{
	for (int i = 0; i < 40; i++) {
		char name[32];
		uint32_t type = d == BAD_TYPE ? FILE_TYPES : rng_below(r, FILE_TYPES), n = rng_below(r, 9);
		snprintf(name, sizeof name, "my_key_%d", d == DUPLICATE_KEY ? i / 2 : i);
		if (d == BAD_KEY_SIZE)
			put64(&g->keys, UINT64_MAX);
		key_head(g, d == EMPTY_KEY ? "" : name, type);
		if (type == FILE_ARRAY) {
			type = rng_below(r, FILE_ARRAY);
			put32(&g->keys, type);
			put64(&g->keys, n);
		} else {
			n = 1;
		}
		static const uint8_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
		for (uint32_t k = 0; k < n; k++) {
			uint64_t v = type == FILE_BOOL ? rng_below(r, 2) : rng_next(r);
			if (type == FILE_STRING)
				put_strn(&g->keys, (char *)&v, v % 9);
			else
				put(&g->keys, &v, type < FILE_TYPES ? sizes[type] : 1);
		}
	}
}

static void put_random_tensors(gguf *g, rng *r, enum damage d)
{
	for (int i = 0; i < 30; i++) {
		char name[300];
		uint32_t type = rng_below(r, 43), n_dims = rng_between(r, 1, 4);
		const storage_type *s = storage_type_find(type);
		if (!s)
			continue;
		uint64_t ne[4] = {(1 + rng_below(r, 10)) * s->block, 1 + rng_below(r, 10), 1 + rng_below(r, 10), 1 + rng_below(r, 10)};
		snprintf(name, sizeof name, d == DUPLICATE_NAME ? "my_tensor" : d == BAD_NAME_SIZE ? "my_tensor_%0260d" : "my_tensor_%d", i);
		if (d == BAD_SHAPE)
			ne[n_dims - 1] = (uint64_t)-1;
		if (d == ZERO_DIM)
			ne[n_dims - 1] = 0;
		if (d == TOO_MANY_VALUES)
			n_dims = 4, ne[0] = s->block, ne[1] = ne[2] = ne[3] = 1ull << 24;
		if (d == TOO_MANY_BYTES)
			n_dims = 1, type = 27, ne[0] = INT64_MAX / 2;
		if (d == DATA_SUM_OVERFLOW)
			n_dims = 1, type = 24, ne[0] = 0x7FFFFFFFFFFFFFC0;
		bool whole = d == BAD_NAME_SIZE || d == DUPLICATE_NAME || d >= TENSORS_BAD_ALIGN;
		if (whole && d != DATA_SUM_OVERFLOW)
			tensor(g, name, n_dims, ne, type);
		else
			info_at(g, name, d == BAD_N_DIMS ? 5 : n_dims, (uint64_t[8]){ne[0], ne[1], ne[2], ne[3], 1}, d == BAD_TENSOR_TYPE ? 99 : type,
			        d == BAD_OFFSET ? 1 : 0);
	}
}

static bytes damaged(enum damage d)
{
	gguf g = gguf_new();
	rng r = {1000 + d};
	g.version = d == VERSION_0 ? 0 : d == VERSION_1 ? 1 : d == VERSION_FUTURE ? 4 : 3;
	if (d >= BAD_KEY_SIZE)
		put_random_keys(&g, &r, d);
	if (d == KEYS_ALIGN_TYPE)
		key_head(&g, "general.alignment", FILE_I32), put32(&g.keys, 32);
	else if (d == KEYS_BAD_ALIGN || d == TENSORS_BAD_ALIGN || d == DATA_BAD_ALIGN)
		key_u32(&g, "general.alignment", 13);
	else if (d == TENSORS_OWN_ALIGN || d == DATA_OWN_ALIGN)
		key_u32(&g, "general.alignment", 8);
	g.alignment = d == TENSORS_OTHER_ALIGN || d == DATA_OTHER_ALIGN ? 2 : d == TENSORS_OWN_ALIGN || d == DATA_OWN_ALIGN ? 8 : 32;
	if (d >= BAD_NAME_SIZE)
		put_random_tensors(&g, &r, d);
	if (d == DATA_MISSING)
		g.data.n--;
	if (d == BAD_N_TENSORS)
		g.n_tensors = UINT64_MAX;
	if (d == BAD_N_KEYS)
		g.n_keys = UINT64_MAX;
	bytes b = gguf_bytes(&g);
	if (d == BAD_MAGIC)
		memcpy(b.p, "FUGG", 4);
	return b;
}

static void the_reference_readers_cases(void **state)
{
	(void)state;
	/* Where we are stricter on purpose: a tensor without values (ZERO_DIM) has no place in any model, and an alignment
	 * below 8 (the reference's OWN_ALIGN is 1) would leave values unaligned. */
	static const char *const says[] = {
	    [BAD_MAGIC] = "not a GGUF file", [VERSION_0] = "version 0", [VERSION_1] = "version 1", [VERSION_FUTURE] = "version 4",
	    [BAD_N_TENSORS] = "tensors are more than", [BAD_N_KEYS] = "keys are more than", [NO_CONTENT] = NULL,
	    [BAD_KEY_SIZE] = "no usable name", [EMPTY_KEY] = "no usable name", [BAD_TYPE] = "unknown value type", [DUPLICATE_KEY] = "stands twice",
	    [KEYS_BAD_ALIGN] = "13 is not a power of two", [KEYS_ALIGN_TYPE] = "general.alignment has type 5", [KEYS_FINE] = NULL,
	    [BAD_NAME_SIZE] = "no usable name", [BAD_N_DIMS] = "5 dimensions", [BAD_SHAPE] = "is -1", [ZERO_DIM] = "is 0",
	    [TOO_MANY_VALUES] = "dimension 3 is", [TOO_MANY_BYTES] = "too many", [BAD_TENSOR_TYPE] = "unknown storage type 99",
	    [BAD_OFFSET] = "offset 1, expected 0", [DUPLICATE_NAME] = "stands twice", [TENSORS_BAD_ALIGN] = "13 is not a power of two",
	    [TENSORS_OTHER_ALIGN] = "expected", [TENSORS_FINE] = NULL, [TENSORS_OWN_ALIGN] = NULL, [DATA_MISSING] = "outside the file",
	    [DATA_BAD_ALIGN] = "13 is not a power of two", [DATA_OTHER_ALIGN] = "expected", [DATA_SUM_OVERFLOW] = "outside the file",
	    [DATA_FINE] = NULL, [DATA_OWN_ALIGN] = NULL,
	};
	assert_int_equal(sizeof says / sizeof *says, 33);
	for (enum damage d = 0; d < 33; d++) {
		char what[16];
		snprintf(what, sizeof what, "case %d", d);
		if (says[d]) {
			refused(damaged(d), what, says[d]);
			continue;
		}
		model_file *f = accepted(damaged(d));
		touch(f);
		model_file_close(&f);
	}
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

static void a_file_cut_anywhere_is_refused(void **state)
{
	(void)state;
	uint64_t header;
	bytes b = sample_file(&header);
	for (size_t n = 0; n < b.n; n = n < header + 64 ? n + 1 : n + 4096 < b.n || n == b.n - 1 ? n + 4096 : b.n - 1) {
		model_file *f = NULL;
		sn_error err = {0};
		scratch_write(ODD, b.p, n);
		if (model_file_open(&f, scratch_path(ODD), &err) == SN_OK)
			fail_msg("accepted at %zu of %zu bytes", n, b.n);
		check_text(&err, ODD);
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
	scratch_write(ODD, b.p, b.n);
	int fd = open(scratch_path(ODD), O_WRONLY);
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
		if (model_file_open(&f, scratch_path(ODD), &err) == SN_OK) {
			touch(f);
			model_file_close(&f);
		} else {
			n_refused++;
			if (strncmp(err.text, ODD ": ", strlen(ODD ": ")) != 0)
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
	unlink(scratch_path(ODD));
	assert_int_equal(model_file_open(&f, scratch_path(ODD), &err), SN_ERR_NOT_FOUND);
	check_text(&err, ODD);
	assert_int_equal(mkfifo(scratch_path(ODD), 0600), 0);
	assert_int_equal(model_file_open(&f, scratch_path(ODD), &err), SN_ERR_INVALID);
	check_text(&err, ODD);
	unlink(scratch_path(ODD));
	assert_int_equal(model_file_open(&f, SCRATCH, &err), SN_ERR_NOT_FOUND);
	check_text(&err, strrchr(SCRATCH, '/') + 1);
	scratch_write(ODD, "", 0);
	assert_int_equal(model_file_open(&f, scratch_path(ODD), &err), SN_ERR_INVALID);
	check_text(&err, ODD);
	assert_null(f);
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
	    cmocka_unit_test(the_reference_readers_cases),
	    cmocka_unit_test(a_file_cut_anywhere_is_refused),
	    cmocka_unit_test(ten_thousand_flipped_bits_never_reach_outside),
	    cmocka_unit_test(what_is_not_a_regular_file_is_refused_without_waiting),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
