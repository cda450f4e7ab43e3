/* Forms are read in one way or refused: delimiters, headers, names, bounds (checks 1, 29 for bodies of this kind). */
#include "unit.h"

#include "multipart.h"

#define TYPE "multipart/form-data; boundary=b"
#define PART(name, value) "--b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define END "--b--\r\n"

static multipart form;

static int parse_bytes(const char *type, const char *body, size_t size)
{
	char *exact = malloc(size ? size : 1);
	sn_error err = {0};
	assert_non_null(exact);
	memcpy(exact, body, size);
	int rc = multipart_parse(&form, type, exact, size, &err);
	assert_int_equal(rc, rc ? (int)err.status : SN_OK);
	assert_true(rc == SN_OK || *err.text);
	for (size_t i = 0; rc == SN_OK && i < form.n; i++) /* where it stands in body itself: exact goes */
		form.parts[i].data = body + (form.parts[i].data - exact);
	free(exact);
	return rc;
}

static int parse(const char *type, const char *body) { return parse_bytes(type, body, strlen(body)); }

static void assert_part(size_t i, const char *name, const char *value)
{
	assert_true(i < form.n);
	assert_string_equal(form.parts[i].name, name);
	assert_int_equal(form.parts[i].size, strlen(value));
	assert_memory_equal(form.parts[i].data, value, strlen(value));
}

static void a_form_is_read(void **state)
{
	(void)state;
	assert_int_equal(parse(TYPE, PART("model", "whisper") "--b\r\ncontent-disposition:FORM-DATA; filename=\"a.wav\"; name=file\r\n"
	                                                      "Content-Type: audio/wav\r\nX-Other: y\r\n\r\nRIFF\r\n\r\n--\r\n-b\r\n" PART("language", "") END), SN_OK);
	assert_int_equal(form.n, 3);
	assert_part(0, "model", "whisper");
	assert_part(1, "file", "RIFF\r\n\r\n--\r\n-b");
	assert_part(2, "language", "");
	assert_true(form.parts[1].has_filename && !form.parts[0].has_filename);
	assert_int_equal(parse(TYPE, "--b--"), SN_OK);
	assert_int_equal(form.n, 0);
}

static void bytes_stay_as_they_are(void **state)
{
	(void)state;
	char body[2048], all[256];
	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (char)i;
	static const char head[] = "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n";
	memcpy(body, head, sizeof head - 1);
	memcpy(body + sizeof head - 1, all, sizeof all);
	memcpy(body + sizeof head - 1 + sizeof all, "\r\n--b--", 7);
	assert_int_equal(parse_bytes(TYPE, body, sizeof head - 1 + sizeof all + 7), SN_OK);
	assert_int_equal(form.parts[0].size, sizeof all);
	assert_memory_equal(form.parts[0].data, all, sizeof all);
}

static void boundaries_are_told_in_every_way(void **state)
{
	(void)state;
	static const char *const TYPES[] = {
	    "multipart/form-data; boundary=b", "Multipart/Form-Data;boundary=b", "multipart/form-data; boundary=\"b\"", "multipart/form-data ; BOUNDARY=b",
	    "multipart/form-data; charset=utf-8; boundary=b", "multipart/form-data; boundary=b; charset=\"utf-8\"", "multipart/form-data; boundary=b;"};
	for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
		if (parse(TYPES[i], PART("a", "x") END) != SN_OK)
			fail_msg("%s", TYPES[i]);
	assert_int_equal(parse("multipart/form-data; boundary=\"a b:/=?\"", "--a b:/=?\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--a b:/=?--"), SN_OK);
	assert_part(0, "a", "x");
}

static void boundaries_that_are_none_are_refused(void **state)
{
	(void)state;
	static const char *const TYPES[] = {
	    "multipart/form-data", "multipart/form-data;", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\"", "multipart/form-data; boundary=\"b",
	    "multipart/form-data; boundary=\"b \"", "multipart/form-data; boundary=b; boundary=b", "multipart/form-data; boundary=b; boundary=c",
	    "multipart/form-data; boundary=\"b\\b\"", "multipart/form-data; boundary=b x", "multipart/form-data boundary=b", "multipart/form-data; charset; boundary=b",
	    "multipart/form-data; boundary=\"b\n\"", "multipart/form-data; boundary=\xc3\xa9",
	    "multipart/form-data; boundary=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}; /* 71 */
	for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
		if (parse(TYPES[i], PART("a", "x") END) != SN_ERR_INVALID)
			fail_msg("%s", TYPES[i]);
	assert_false(multipart_is_form(NULL) || multipart_is_form("multipart/form-datax") || multipart_is_form("multipart/mixed; boundary=b") || multipart_is_form(""));
	assert_true(multipart_is_form("MULTIPART/FORM-DATA") && multipart_is_form("multipart/form-data; boundary=b"));
}

static void what_stands_around_is_skipped(void **state)
{
	(void)state;
	assert_int_equal(parse(TYPE, "preamble --b\r\n" PART("a", "x") END), SN_OK);
	assert_part(0, "a", "x");
	assert_int_equal(parse(TYPE, "\r\n" PART("a", "x") "--b--\r\nepilogue\r\n--b\r\nnot a part"), SN_OK);
	assert_int_equal(form.n, 1);
	assert_int_equal(parse(TYPE, "--b \t \r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b--  "), SN_OK); /* padding */
	assert_part(0, "a", "x");
}

static void file_names_are_looked_past(void **state)
{
	(void)state;
	static const char *const NAMES[] = {
	    "filename=a.wav", "filename=\"a b;c.wav\"", "filename=\"a\\\"; name=\\\"evil.wav\"", "filename=\"C:\\\\x\\\\a.wav\"", "filename=\"\"",
	    "filename=\"\xe3\x81\x82.wav\"", "filename*=UTF-8''%e3%81%82.wav", "filename=\"a.wav\"; filename*=UTF-8''b.wav", "FileName=\"../../etc/passwd\""};
	for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
		char body[512];
		snprintf(body, sizeof body, "--b\r\nContent-Disposition: form-data; %s; name=\"file\"\r\n\r\nx\r\n" END, NAMES[i]);
		if (parse(TYPE, body) != SN_OK || !form.parts[0].has_filename)
			fail_msg("%s", NAMES[i]);
		assert_part(0, "file", "x");
	}
}

static void what_could_be_read_in_two_ways_is_refused(void **state)
{
	(void)state;
	static const char *const BODIES[] = {
	    "", "--", "--b", "--b\r\n", "--b\r", "--b-", "--b-\r\n", "--b--x", "--b\n" PART("a", "x") END, "x", "b--", "\n--b--", "x--b--",
	    PART("a", "x"), PART("a", "x") "--b", PART("a", "x") "--b-", PART("a", "x") "--bb--", PART("a", "x\r\n--bc\r\ny") END,
	    PART("a", "x\r\n--b y\r\n") END,                                                       /* not padding */
	    "--b\nContent-Disposition: form-data; name=\"a\"\n\nx\n--b--\n",                       /* bare line feeds */
	    "--b\r\nContent-Disposition: form-data; name=\"a\"\n\nx\r\n" END, "--b\r\nContent-Disposition: form-data;\r\n name=\"a\"\r\n\r\nx\r\n" END, /* folded */
	    "--b\r\n\r\nx\r\n" END, "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" END,               /* no disposition, no name */
	    "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n" END, "--b\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nx\r\n" END,
	    "--b\r\nContent-Disposition: form-data; name=\"\"\r\n\r\nx\r\n" END, "--b\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\nx\r\n" END,
	    "--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n" END, "--b\r\nContent-Disposition: form-data; name=\"a\"b\r\n\r\nx\r\n" END,
	    "--b\r\nContent-Disposition: form-data; name=\"a%22b\"\r\n\r\nx\r\n" END, "--b\r\nContent-Disposition: form-data; name=\"a\\\"b\"\r\n\r\nx\r\n" END,
	    "--b\r\nContent-Disposition: form-data; name=\"a b\"\r\n\r\nx\r\n" END, "--b\r\nContent-Disposition: form-data; name=\"\xc3\xa9\"\r\n\r\nx\r\n" END,
	    "--b\r\nContent-Disposition: form-data; name*=UTF-8''a\r\n\r\nx\r\n" END,
	    "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\nx\r\n" END,
	    "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: a/b\r\nContent-Type: a/c\r\n\r\nx\r\n" END,
	    "--b\r\nContent-Disposition : form-data; name=\"a\"\r\n\r\nx\r\n" END, "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n--b: x\r\n\r\nx\r\n" END,
	    "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nX: \x01\r\n\r\nx\r\n" END, "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n--b--\r\n",
	    "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n--b--\r\n",                    /* a part without a body */
	    "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n--b\r\nx\r\n" END, PART("a", "x") PART("a", "y") END};
	for (size_t i = 0; i < sizeof BODIES / sizeof *BODIES; i++)
		if (parse(TYPE, BODIES[i]) != SN_ERR_INVALID)
			fail_msg("%zu: %s", i, BODIES[i]);
}

static void lists_may_come_again(void **state)
{
	(void)state;
	assert_int_equal(parse(TYPE, PART("x[]", "1") PART("y", "2") PART("x[]", "3") END), SN_OK);
	assert_part(0, "x[]", "1");
	assert_part(2, "x[]", "3");
	assert_int_equal(parse(TYPE, PART("[]", "1") PART("[]", "2") END), SN_ERR_INVALID);
	assert_int_equal(parse(TYPE, PART("x[a]", "1") PART("x[a]", "2") END), SN_ERR_INVALID);
}

static void nothing_is_decoded(void **state)
{
	(void)state;
	static const char *const FINE[] = {"binary", "8bit", "7BIT", " binary "}, *const NOT[] = {"base64", "quoted-printable", "x-uuencode", "binary, base64", ""};
	char body[512];
	for (size_t i = 0; i < sizeof FINE / sizeof *FINE; i++) {
		snprintf(body, sizeof body, "--b\r\nContent-Transfer-Encoding: %s\r\nContent-Disposition: form-data; name=a\r\n\r\n=41\r\n" END, FINE[i]);
		assert_int_equal(parse(TYPE, body), SN_OK);
		assert_part(0, "a", "=41");
	}
	for (size_t i = 0; i < sizeof NOT / sizeof *NOT; i++) {
		snprintf(body, sizeof body, "--b\r\nContent-Transfer-Encoding: %s\r\nContent-Disposition: form-data; name=a\r\n\r\n=41\r\n" END, NOT[i]);
		assert_int_equal(parse(TYPE, body), SN_ERR_UNSUPPORTED);
	}
	assert_int_equal(parse(TYPE, "--b\r\nContent-Disposition: form-data; name=a\r\nContent-Type: Multipart/Mixed; boundary=c\r\n\r\n--c--\r\n" END), SN_ERR_UNSUPPORTED);
}

/* A form of n parts with names of a given length, and headers of a given number and length. */
static int parse_large(size_t n, size_t name, size_t headers, size_t header)
{
	size_t cap = (n + 1) * (name + headers * (header + 16) + 256), at = 0;
	char *body = malloc(cap);
	assert_non_null(body);
	for (size_t i = 0; i < n; i++) {
		at += (size_t)snprintf(body + at, cap - at, "--b\r\nContent-Disposition: form-data; name=\"%0*zu\"\r\n", (int)name, i);
		for (size_t k = 0; k < headers; k++)
			at += (size_t)snprintf(body + at, cap - at, "X-%zu: %0*d\r\n", k, (int)header, 0);
		at += (size_t)snprintf(body + at, cap - at, "\r\nx\r\n");
	}
	at += (size_t)snprintf(body + at, cap - at, END);
	int rc = parse_bytes(TYPE, body, at);
	free(body);
	return rc;
}

static void all_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(parse_large(MULTIPART_MAX_PARTS, 4, 0, 0), SN_OK);
	assert_int_equal(parse_large(MULTIPART_MAX_PARTS + 1, 4, 0, 0), SN_ERR_INVALID);
	assert_int_equal(parse_large(1, MULTIPART_NAME_SIZE - 1, 0, 0), SN_OK);
	assert_int_equal(parse_large(1, MULTIPART_NAME_SIZE, 0, 0), SN_ERR_INVALID);
	assert_int_equal(parse_large(1, 4, MULTIPART_MAX_HEADERS - 1, 8), SN_OK);
	assert_int_equal(parse_large(1, 4, MULTIPART_MAX_HEADERS, 8), SN_ERR_INVALID);
	assert_int_equal(parse_large(1, 4, 1, MULTIPART_MAX_HEADER_BYTES - 100), SN_OK);
	assert_int_equal(parse_large(1, 4, 1, MULTIPART_MAX_HEADER_BYTES), SN_ERR_INVALID);
	assert_int_equal(parse_large(100000, 4, 0, 0), SN_ERR_INVALID);
}

static const char whole[] = "preamble\r\n" PART("model", "m") PART("x[]", "1") PART("file", "RIFF\r\n--\r\n--\r\n-b") PART("x[]", "2") END;

static void a_form_cut_anywhere_is_refused(void **state)
{
	(void)state;
	size_t size = sizeof whole - 1;
	assert_int_equal(parse_bytes(TYPE, whole, size), SN_OK);
	assert_int_equal(form.n, 4);
	for (size_t n = 0; n < size - 2; n++)
		assert_int_equal(parse_bytes(TYPE, whole, n), SN_ERR_INVALID);
	assert_int_equal(parse_bytes(TYPE, whole, size - 2), SN_OK); /* the last line break may lack */
}

static void changed_bytes_never_reach_outside(void **state)
{
	(void)state;
	char body[sizeof whole];
	rng r = {29};
	for (int round = 0; round < 50000; round++) {
		memcpy(body, whole, sizeof whole);
		for (uint32_t k = rng_between(&r, 1, 4); k; k--)
			body[rng_below(&r, sizeof whole - 1)] = rng_below(&r, 3) ? "\r\n-b\":;= "[rng_below(&r, 9)] : (char)rng_next(&r);
		parse_bytes(TYPE, body, sizeof whole - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_form_is_read), cmocka_unit_test(bytes_stay_as_they_are), cmocka_unit_test(boundaries_are_told_in_every_way),
	    cmocka_unit_test(boundaries_that_are_none_are_refused), cmocka_unit_test(what_stands_around_is_skipped), cmocka_unit_test(file_names_are_looked_past),
	    cmocka_unit_test(what_could_be_read_in_two_ways_is_refused), cmocka_unit_test(lists_may_come_again), cmocka_unit_test(nothing_is_decoded),
	    cmocka_unit_test(all_is_bounded), cmocka_unit_test(a_form_cut_anywhere_is_refused), cmocka_unit_test(changed_bytes_never_reach_outside)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
