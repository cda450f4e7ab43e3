/* test_safetensors.c - promises of the safetensors reader: the attacks of the format, each refused by name, and what must
 * be accepted. With an argument, so many flipped bits instead of the usual few thousand. */
#include "scratch.h"

#include "formats/safetensors.h"

#define ODD "odd.safetensors"

static long n_flips = 3000;

/* A header of `n` bytes as claimed, its text, and so many bytes of data, drawn from a counter. */
static bytes file_of(uint64_t claimed, const char *header, size_t header_n, size_t data_n)
{
	bytes b = {0};
	put64(&b, claimed);
	put(&b, header, header_n);
	for (size_t i = 0; i < data_n; i++)
		put(&b, &(uint8_t){(uint8_t)i}, 1);
	return b;
}

static bytes honest(const char *header, size_t data_n)
{
	return file_of(strlen(header), header, strlen(header), data_n);
}

static sn_status parse(const bytes *b, st_tensor **t, size_t *n, arena *mem, sn_error *err)
{
	*err = (sn_error){0};
	uint8_t *exact = malloc(b->n ? b->n : 1); /* so that a sanitizer sees a read past the end */
	memcpy(exact, b->p ? b->p : (uint8_t *)"", b->n);
	arena_defer(mem, free, exact);
	return safetensors_parse(t, n, &(file_map){exact, b->n}, ODD, mem, err);
}

static void refused(bytes b, const char *says)
{
	st_tensor *t;
	size_t n;
	sn_error err;
	arena *mem = arena_open(0);
	sn_status st = parse(&b, &t, &n, mem, &err);
	if (st == SN_OK)
		fail_msg("accepted, but expected: %s", says);
	assert_int_equal(st, err.status);
	check_text(&err, ODD);
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
	arena_close(&mem);
	free(b.p);
}

/* One tensor "x" described so, and so many bytes. */
static void refused_entry(const char *entry, size_t data_n, const char *says)
{
	char header[1024];
	snprintf(header, sizeof header, "{\"x\":%s}", entry);
	refused(honest(header, data_n), says);
}

static st_tensor *accepted(bytes b, size_t *n, arena *mem)
{
	st_tensor *t = NULL;
	sn_error err;
	if (parse(&b, &t, n, mem, &err) != SN_OK)
		fail_msg("refused: %s", err.text);
	free(b.p);
	return t;
}

/* ---- accepted ---- */

static void tensors_come_back_where_they_were_put(void **state)
{
	(void)state;
	size_t n;
	arena *mem = arena_open(0);
	/* Any order in the header, any dtype, white space, metadata, padding; data without alignment. */
	st_tensor *t = accepted(honest("{ \"__metadata__\": {\"format\": \"pt\", \"who\": \"a\\u00e9\"},\n"
	                               "\"b\": {\"data_offsets\": [24, 30], \"shape\": [3], \"dtype\": \"BF16\"},"
	                               "\"a\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [0, 24]},"
	                               "\"c\": {\"dtype\": \"U8\", \"shape\": [1], \"data_offsets\": [30, 31]},"
	                               "\"d\": {\"dtype\": \"F32\", \"shape\": [1, 1, 1, 1, 1], \"data_offsets\": [31, 35]},"
	                               "\"e\": {\"dtype\": \"F4\", \"shape\": [2, 3], \"data_offsets\": [35, 38]}}      ", 38), &n, mem);
	const struct { const char *name, *dtype; uint32_t rank; uint64_t at, bytes; } want[] = {
	    {"a", "F32", 2, 0, 24}, {"b", "BF16", 1, 24, 6}, {"c", "U8", 1, 30, 1}, {"d", "F32", 5, 31, 4}, {"e", "F4", 2, 35, 3}};
	assert_int_equal(n, 5);
	for (int i = 0; i < 5; i++) {
		assert_string_equal(t[i].name.p, want[i].name);
		assert_string_equal(t[i].dtype->name, want[i].dtype);
		assert_int_equal(t[i].rank, want[i].rank);
		assert_int_equal(t[i].bytes, want[i].bytes);
		for (uint64_t k = 0; k < t[i].bytes; k++)
			assert_int_equal(t[i].data[k], want[i].at + k);
	}
	assert_true(t[0].shape[0] == 2 && t[0].shape[1] == 3);
	arena_close(&mem);
}

static void scalars_and_empty_tensors_are_whole(void **state)
{
	(void)state;
	size_t n;
	arena *mem = arena_open(0);
	st_tensor *t = accepted(honest("{\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
	                               "\"z\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]},"
	                               "\"y\":{\"dtype\":\"F16\",\"shape\":[3,0,7],\"data_offsets\":[4,4]},"
	                               "\"w\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[4,6]},"
	                               "\"v\":{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[6,6]}}", 6), &n, mem);
	assert_int_equal(n, 5);
	assert_true(t[0].rank == 0 && t[0].bytes == 4);
	assert_true(t[1].bytes == 0 && t[2].bytes == 0 && t[4].bytes == 0);
	assert_string_equal(t[3].name.p, "w");
	assert_int_equal(t[3].data[0], 4);
	t = accepted(honest("{}      ", 0), &n, mem);
	assert_int_equal(n, 0);
	t = accepted(honest("{\"__metadata__\":{}}", 0), &n, mem);
	assert_int_equal(n, 0);
	arena_close(&mem);
}

static void every_dtype_of_the_format_is_known(void **state)
{
	(void)state;
	static const struct { const char *name; int bits; } types[] = {
	    {"BOOL", 8}, {"U8", 8}, {"I8", 8}, {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"I16", 16}, {"U16", 16}, {"F16", 16}, {"BF16", 16},
	    {"I32", 32}, {"U32", 32}, {"F32", 32}, {"I64", 64}, {"U64", 64}, {"F64", 64}, {"C64", 64}, {"F4", 4}, {"F6_E2M3", 6}, {"F6_E3M2", 6}};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		char header[128];
		size_t n;
		arena *mem = arena_open(0);
		snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"%s\",\"shape\":[4],\"data_offsets\":[0,%d]}}", types[i].name, types[i].bits / 2);
		accepted(honest(header, (size_t)types[i].bits / 2), &n, mem);
		arena_close(&mem);
	}
}

/* ---- refused ---- */

static void header_sizes_that_lie_are_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < 8; n++)
		refused((bytes){calloc(8, 1), n, 8}, "not a safetensors file");
	static const char fine[] = "{}        ";
	static const uint64_t claims[] = {0, 1, 7, 11, 100000001, UINT32_MAX, 1ull << 32, 1ull << 63, UINT64_MAX - 7, UINT64_MAX};
	for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
		refused(file_of(claims[i], fine, 10, 0), "not a safetensors file: a header of");
	bytes big = file_of(100000001, "{", 1, 0); /* one above the cap, and all of it there */
	big.p = realloc(big.p, 100000009);
	memset(big.p + 9, ' ', 100000000);
	big.p[100000008] = '}';
	big.n = 100000009;
	refused(big, "a header of 100000001 bytes");
}

static void headers_that_are_not_json_are_refused(void **state)
{
	(void)state;
	refused(honest("[1,2,3,4]", 0), "does not begin with {");
	refused(honest("  {      }", 0), "does not begin with {");
	refused(honest("\xEF\xBB\xBF{      }", 0), "does not begin with {");
	refused(honest("{\"x\":{\"d", 0), "not valid JSON");
	refused(honest("{\"a\\u0000b\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1), "not valid JSON");
	refused(honest("{}      }", 0), "not valid JSON");
	refused(file_of(10, "{}\0\0\0\0\0\0\0\0", 10, 0), "not valid JSON");
	refused(honest("{\"\xFF\xFE\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1), "not valid JSON");
	refused(honest("{\"\xC0\xAF\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1), "not valid JSON");
	refused(honest("{\"x\":{\"dtype\":\"I8\",\"shape\":[1e999],\"data_offsets\":[0,1]}}", 1), "not valid JSON");
	refused(honest("{\"x\":{\"dtype\":\"I8\",\"shape\":[NaN],\"data_offsets\":[0,1]}}", 1), "not valid JSON");
	bytes deep = {0};
	put64(&deep, 100000);
	put(&deep, "{\"x\":", 5);
	while (deep.n < 100008)
		put(&deep, "[", 1);
	refused(deep, "nested deeper than 64");
	bytes wide = {0};
	put64(&wide, 8000007);
	put(&wide, "{\"x\":[0", 7);
	for (int i = 0; i < 4000000; i++)
		put(&wide, ",0", 2);
	refused(wide, "holds more than 1048576 values");
}

static void names_twice_or_unusable_are_refused(void **state)
{
	(void)state;
	static const char *const names[] = {"", "a b", "a\\nb", "a\\u001bb", "a\\u007f", "\\u00e9", "\xC3\xA9", "\\ud83d\\ude00"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char header[128];
		snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", names[i]);
		refused(honest(header, 1), "no usable name");
	}
	char header[600], name[257];
	memset(name, 'n', 256);
	name[256] = 0;
	snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", name);
	refused(honest(header, 1), "no usable name");
	refused(honest("{\"x\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]},\"x\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2),
	        "the same key twice");
	refused(honest("{\"x\":{\"dtype\":\"I8\",\"shape\":[1],\"shape\":[2],\"data_offsets\":[0,1]}}", 1), "the same key twice");
	refused(honest("{\"__metadata__\":{\"a\":\"b\"},\"__metadata__\":{}}", 0), "the same key twice");
	refused(honest("{\"__metadata__\":{\"a\":1}}", 0), "__metadata__");
	refused(honest("{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", 0), "__metadata__");
	refused(honest("{\"__metadata__\":[\"a\"]}", 0), "__metadata__");
	refused(honest("{\"__metadata__\":null }", 0), "__metadata__");
}

static void entries_that_lie_are_refused(void **state)
{
	(void)state;
	refused_entry("null", 0, "x: not described by");
	refused_entry("[0,1]", 1, "x: not described by");
	refused_entry("\"F32\"", 4, "x: not described by");
	refused_entry("{}", 0, "x: not described by");
	refused_entry("{\"dtype\":\"I8\",\"shape\":[1]}", 1, "x: not described by");
	refused_entry("{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1],\"strides\":[1]}", 1, "x: not described by");
	refused_entry("{\"dtype\":\"I8\",\"shape\":[1],\"offsets\":[0,1]}", 1, "data_offsets is not a pair");

	static const char *const types[] = {"\"f32\"", "\"F33\"", "\"\"", "\"F32\\u0000\"", "\"Q4_0\"", "\"../F32\"", "32", "null", "[\"F32\"]"};
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		char entry[128];
		snprintf(entry, sizeof entry, "{\"dtype\":%s,\"shape\":[1],\"data_offsets\":[0,4]}", types[i]);
		refused_entry(entry, 4, "dtype");
	}
	static const struct { const char *shape, *says; } shapes[] = {
	    {"4", "shape is missing or not a list"}, {"null", "shape is missing"}, {"\"4\"", "shape is missing"}, {"{\"0\":4}", "shape is missing"},
	    {"[-1]", "dimension 0 is not"}, {"[2,-2]", "dimension 1 is not"}, {"[1.0]", "dimension 0 is not"}, {"[\"1\"]", "dimension 0 is not"},
	    {"[true]", "dimension 0 is not"}, {"[null]", "dimension 0 is not"}, {"[[1]]", "dimension 0 is not"}, {"[-9223372036854775808]", "dimension 0 is not"},
	    {"[18446744073709551616]", "dimension 0 is not"}, {"[9223372036854775808]", "dimension 0 is not"},
	    {"[4294967296,4294967296]", "dimension 1 is 4294967296: too many values"}, /* the product is 0 */
	    {"[9223372036854775807,2,2]", "dimension 2 is 2: too many values"},
	    {"[65536,65536,65536,65536]", "dimension 3 is 65536: too many"}, {"[4611686018427387904]", "4611686018427387904 values are too many"},
	    {"[0,9223372036854775807]", "beside a dimension of 0"}, {"[9223372036854775807,4,0]", "beside a dimension of 0"},
	    {"[1,1,1,1,1,1,1,1,1]", "9 dimensions"}, {"[2]", "its shape needs 8 bytes, but it has 4"}, {"[0]", "its shape needs 0 bytes, but it has 4"},
	    {"[1,0]", "its shape needs 0 bytes"}, {"[9223372036854775807]", "too many"},
	};
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		char entry[256];
		snprintf(entry, sizeof entry, "{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[0,4]}", shapes[i].shape);
		refused_entry(entry, 4, shapes[i].says);
	}
	refused_entry("{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}", 1, "3 values of 4 bits are not whole bytes");
	refused_entry("{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}", 0, "too many values");

	static const char *const pairs[] = {"[0]", "[0,4,8]", "[]", "0", "null", "[0.0,4]", "[\"0\",4]", "[-4,0]", "[0,-4]", "[null,4]", "{\"0\":0,\"1\":4}"};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		char entry[128];
		snprintf(entry, sizeof entry, "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":%s}", pairs[i]);
		refused_entry(entry, 4, "data_offsets is not a pair");
	}
	refused_entry("{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}", 4, "bytes 4 to 0 lie outside");
	refused_entry("{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}", 4, "bytes 0 to 8 lie outside"); /* past the end */
	refused_entry("{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[9223372036854775803,9223372036854775807]}", 4, "lie outside");
}

static void gaps_overlaps_and_aliases_are_refused(void **state)
{
	(void)state;
	static const struct { const char *header; size_t data_n; const char *says; } cases[] = {
	    {"{\"a\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, "tensor a: it begins at byte 1 of the data, but the one before it ends at 0"},
	    {"{\"a\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[3,5]}}", 5, "tensor b: it begins at byte 3"},
	    {"{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[2,6]}}", 6, "tensor b: it begins at byte 2"},
	    {"{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "it begins at byte 0"},
	    {"{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},\"z\":{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[2,2]}}", 4, "tensor z: it begins at byte 2"},
	    {"{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},\"z\":{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[5,5]}}", 5, "tensor z: it begins at byte 5"},
	    {"{\"a\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 3, "the last 1 bytes belong to no tensor"},
	    {"{}        ", 1, "the last 1 bytes belong to no tensor"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		refused(honest(cases[i].header, cases[i].data_n), cases[i].says);
}

/* ---- cut and flipped ---- */

static bytes sample(size_t *header_n)
{
	static const char header[] =
	    "{\"__metadata__\":{\"format\":\"pt\"},\"model.embed\":{\"dtype\":\"F32\",\"shape\":[32,60],\"data_offsets\":[0,7680]},"
	    "\"model.norm\":{\"dtype\":\"BF16\",\"shape\":[64],\"data_offsets\":[7680,7808]},\"model.scale\":{\"dtype\":\"F16\",\"shape\":[],"
	    "\"data_offsets\":[7808,7810]},\"model.empty\":{\"dtype\":\"I8\",\"shape\":[0,5],\"data_offsets\":[7810,7810]}}    ";
	*header_n = sizeof header - 1 + 8;
	return honest(header, 7810);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
	(void)state;
	size_t header, n_tensors;
	bytes b = sample(&header);
	for (size_t n = 0; n < b.n; n = n <= header ? n + 1 : n + 4096 < b.n || n == b.n - 1 ? n + 4096 : b.n - 1) {
		bytes cut = {malloc(n + 1), n, n};
		memcpy(cut.p, b.p, n);
		refused(cut, "");
	}
	arena *mem = arena_open(0);
	accepted(b, &n_tensors, mem);
	assert_int_equal(n_tensors, 4);
	arena_close(&mem);
}

static void flipped_bits_never_reach_outside(void **state)
{
	(void)state;
	size_t header;
	bytes b = sample(&header);
	rng r = {31};
	long n_refused = 0;
	for (long i = 0; i < n_flips; i++) {
		uint32_t at[3], n_bits = rng_between(&r, 1, 3);
		uint8_t bit[3];
		for (uint32_t k = 0; k < n_bits; k++) {
			at[k] = rng_below(&r, rng_below(&r, 20) ? (uint32_t)header : (uint32_t)b.n);
			bit[k] = (uint8_t)(1u << rng_below(&r, 8));
			b.p[at[k]] ^= bit[k];
		}
		arena *mem = arena_open(0);
		st_tensor *t;
		size_t n, sum = 0;
		sn_error err;
		if (parse(&b, &t, &n, mem, &err) == SN_OK) {
			for (size_t k = 0; k < n; k++)
				for (uint64_t a = 0; a < t[k].bytes; a++)
					sum += t[k].data[a];
			assert_true(sum > 0);
		} else {
			n_refused++;
			if (strncmp(err.text, ODD ": ", strlen(ODD ": ")) != 0)
				fail_msg("not a clear refusal: %s", err.text);
		}
		arena_close(&mem);
		for (uint32_t k = 0; k < n_bits; k++)
			b.p[at[k]] ^= bit[k];
	}
	free(b.p);
	assert_in_range(n_refused, n_flips / 2, n_flips - 1);
}

int main(int argc, char **argv)
{
	n_flips = argc > 1 ? atol(argv[1]) : n_flips;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tensors_come_back_where_they_were_put),
	    cmocka_unit_test(scalars_and_empty_tensors_are_whole),
	    cmocka_unit_test(every_dtype_of_the_format_is_known),
	    cmocka_unit_test(header_sizes_that_lie_are_refused),
	    cmocka_unit_test(headers_that_are_not_json_are_refused),
	    cmocka_unit_test(names_twice_or_unusable_are_refused),
	    cmocka_unit_test(entries_that_lie_are_refused),
	    cmocka_unit_test(gaps_overlaps_and_aliases_are_refused),
	    cmocka_unit_test(a_file_cut_anywhere_is_refused),
	    cmocka_unit_test(flipped_bits_never_reach_outside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
