/* test_schema.c - promises of JSON Schema as a grammar: what it lets through the schema takes, and what it cannot keep it names. */
#include "unit.h"

#include <jansson.h>
#include <time.h>

#include "grammar_fits.h"
#include "out.h"
#include "schema.h"

static int grammar_of(const char *schema, grammar **g, sn_error *err)
{
	json_error_t why;
	json_t *s = json_loads(schema, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
	if (!s)
		fail_msg("%s: %s", why.text, schema);
	out_buf text = {0};
	*g = NULL;
	int rc = schema_grammar(s, "response_format", &text, err);
	if (rc == SN_OK) {
		rc = grammar_open(g, (str){text.data, text.size}, err);
		if (rc != SN_OK && getenv("SN_SHOW"))
			fprintf(stderr, "%.*s\n", (int)text.size, text.data);
	}
	out_fini(&text);
	json_decref(s);
	return rc;
}

typedef struct schema_case { const char *schema, *good[10], *bad[12]; } schema_case;

static void expect(const schema_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		grammar *g;
		sn_error err = {0};
		if (grammar_of(cases[i].schema, &g, &err) != SN_OK)
			fail_msg("%s: %s", err.text, cases[i].schema);
		for (size_t k = 0; k < 10 && cases[i].good[k]; k++)
			if (!fits_text(g, cases[i].good[k]))
				fail_msg("%s does not fit %s", cases[i].good[k], cases[i].schema);
		for (size_t k = 0; k < 12 && cases[i].bad[k]; k++)
			if (fits_text(g, cases[i].bad[k]))
				fail_msg("%s fits %s", cases[i].bad[k], cases[i].schema);
		grammar_close(&g);
	}
}
#define EXPECT(cases) expect(cases, sizeof(cases) / sizeof *(cases))

static void kinds(void **state)
{
	(void)state;
	static const schema_case cases[] = {
		{"{}", {"1", "\"a\"", "{\"a\":[null,true]}", "[]"}, {"", "tru", "[1,]", "{a:1}", "01"}},
		{"true", {"null"}, {"nul"}},
		{"{\"type\":\"integer\"}", {"0", "-7", "1234567890123456"}, {"1.5", "\"1\"", "01", "1e2", "+1", "12345678901234567"}},
		{"{\"type\":\"number\"}", {"0", "-7.25", "1e10", "1.5E-7"}, {"\"1\"", ".5", "1.", "1e400", "NaN"}},
		{"{\"type\":\"string\"}", {"\"\"", "\"a\\n\\u00e9\\\\\"", "\"\xE2\x82\xAC\""}, {"1", "\"a", "\"\n\"", "\"\\uD800\"", "\"\\q\""}},
		{"{\"type\":\"boolean\"}", {"true", "false"}, {"0", "null", "\"true\""}},
		{"{\"type\":\"null\"}", {"null"}, {"0", "false", "\"\"", "{}"}},
		{"{\"type\":\"object\"}", {"{}", "{\"a\": 1}", "{\n  \"a\":{}\n}"}, {"[]", "{ }x", "{,}"}},
		{"{\"type\":\"array\"}", {"[]", "[1, \"a\"]"}, {"{}", "[1 2]"}},
		{"{\"type\":[\"integer\",\"null\"]}", {"3", "null"}, {"3.5", "\"a\""}},
		{"{\"type\":[\"integer\",\"number\"]}", {"3", "3.5"}, {"null"}},
		{"{\"type\":\"integer\",\"minLength\":3}", {"3"}, {"\"abc\""}},
		{"{\"minLength\":3}", {"\"abc\""}, {"\"ab\""}},
	};
	EXPECT(cases);
}

static void listed_values(void **state)
{
	(void)state;
	static const schema_case cases[] = {
		{"{\"enum\":[\"a\",1,null,{\"b\":[1.5]}]}", {"\"a\"", "1", "null", "{\"b\":[1.5]}"}, {"\"b\"", "2", "{}", "{\"b\":[1]}"}},
		{"{\"enum\":[\"a\",1],\"type\":\"string\"}", {"\"a\""}, {"1"}},
		{"{\"const\":\"x\\\"\\\\\\n\"}", {"\"x\\\"\\\\\\n\""}, {"\"x\""}},
		{"{\"const\":null}", {"null"}, {"0"}},
		{"{\"const\":false}", {"false"}, {"0", "[]"}},
		{"{\"const\":\"\xC3\xA9\"}", {"\"\xC3\xA9\""}, {"\"e\""}},
	};
	EXPECT(cases);
}

static void objects(void **state)
{
	(void)state;
	static const schema_case cases[] = {
		{"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"string\"}},\"required\":[\"a\",\"b\"],\"additionalProperties\":false}",
		 {"{\"a\":1,\"b\":\"x\"}", "{ \"a\": 1, \"b\": \"x\" }", "{\n\t\"a\":1,\n\t\"b\":\"x\"\n}"},
		 {"{}", "{\"a\":1}", "{\"b\":\"x\"}", "{\"a\":\"x\",\"b\":1}", "{\"a\":1,\"b\":\"x\",\"c\":2}", "{\"a\":1,}"}},
		{"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"string\"},\"c\":{\"type\":\"null\"}}}",
		 {"{}", "{\"a\":1}", "{\"b\":\"x\"}", "{\"a\":1,\"c\":null}", "{\"b\":\"x\",\"c\":null}", "{\"c\":null}", "{\"a\":1,\"b\":\"\",\"c\":null}"},
		 {"{\"a\":null}", "{\"c\":1}", "{,\"a\":1}", "{\"a\":1 \"c\":null}"}},
		{"{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{},\"c\":{}},\"required\":[\"b\"]}", {"{\"b\":1}", "{\"a\":1,\"b\":1}", "{\"b\":1,\"c\":1}"},
		 {"{}", "{\"a\":1}", "{\"a\":1,\"c\":1}"}},
		{"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}", {"{}", "{\"x\":1,\"y\":2}"}, {"{\"x\":\"1\"}", "{\"x\":1,}"}},
		{"{\"type\":\"object\",\"additionalProperties\":false}", {"{}"}, {"{\"x\":1}"}},
		{"{\"type\":\"object\",\"required\":[\"q\"]}", {"{\"q\":[]}", "{\"q\":1,\"r\":2}"}, {"{}", "{\"r\":1}"}},
		{"{\"properties\":{\"ab\":{\"type\":\"null\"},\"ac\":{\"type\":\"null\"},\"b\":{\"type\":\"null\"}},\"additionalProperties\":{\"type\":\"integer\"}}",
		 {"{}", "{\"ab\":null,\"x\":1}", "{\"a\":1}", "{\"abc\":1}", "{\"\":1}", "{\"ad\":1,\"bb\":2}", "{\"ab\":null,\"ac\":null,\"b\":null,\"\xC3\xA9\":7}"},
		 {"{\"ab\":1}", "{\"ac\":1}", "{\"b\":1}", "{\"x\":null}", "{\"\\u0062\":1}", "{\"x\":1,\"ab\":null}"}},
		{"{\"properties\":{\"\\\"q\\\\\":{\"type\":\"null\"},\"\":{\"type\":\"null\"},\"]^-\":{\"const\":1}},\"additionalProperties\":true}",
		 {"{\"\\\"q\\\\\":null}", "{\"\":null}", "{\"]^-\":1,\"]^\":2}", "{\"]\":3,\"^\":4}"}, {"{\"\":1}", "{\"]^-\":2}"}},
		{"{\"properties\":{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"const\":1}},\"required\":[\"b\"]}},\"required\":[\"a\"]}", {"{\"a\":{\"b\":1}}"}, {"{\"a\":{}}"}},
		{"{\"properties\":{\"a\":true,\"b\":false}}", {"{\"a\":1}", "{}"}, {"{\"b\":1}", "{\"a\":1,\"b\":1}"}},
	};
	EXPECT(cases);
}

static void arrays(void **state)
{
	(void)state;
	static const schema_case cases[] = {
		{"{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}", {"[]", "[1]", "[1, 2,3]"}, {"[\"a\"]", "[1,]", "[,1]"}},
		{"{\"items\":{\"type\":\"integer\"},\"minItems\":2}", {"[1,2]", "[1,2,3,4]"}, {"[]", "[1]"}},
		{"{\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":2}", {"[1]", "[1,2]"}, {"[]", "[1,2,3]"}},
		{"{\"items\":{\"type\":\"integer\"},\"maxItems\":1}", {"[]", "[1]"}, {"[1,2]"}},
		{"{\"maxItems\":0}", {"[]"}, {"[1]"}},
		{"{\"items\":false}", {"[]"}, {"[1]"}},
		{"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", {"[]", "[1]", "[1,\"a\"]", "[1,\"a\",null,{}]"}, {"[\"a\"]", "[1,2]"}},
		{"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":false}", {"[]", "[1]", "[1,\"a\"]"}, {"[1,\"a\",1]"}},
		{"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"minItems\":2,\"maxItems\":2}", {"[1,\"a\"]"}, {"[]", "[1]", "[1,\"a\",1]"}},
		{"{\"prefixItems\":[{\"type\":\"integer\"}],\"items\":{\"type\":\"null\"},\"minItems\":2,\"maxItems\":3}", {"[1,null]", "[1,null,null]"}, {"[1]", "[1,null,null,null]", "[1,1]"}},
		{"{\"prefixItems\":[{},{}],\"maxItems\":1}", {"[]", "[1]"}, {"[1,2]"}},
	};
	EXPECT(cases);
}

static void numbers(void **state)
{
	(void)state;
	static const schema_case cases[] = {
		{"{\"type\":\"integer\",\"minimum\":1,\"maximum\":100}", {"1", "9", "10", "99", "100"}, {"0", "101", "-1", "1.5", "00"}},
		{"{\"type\":\"integer\",\"exclusiveMinimum\":1,\"exclusiveMaximum\":3}", {"2"}, {"1", "3"}},
		{"{\"type\":\"integer\",\"minimum\":-12,\"maximum\":-3}", {"-3", "-9", "-10", "-12"}, {"-2", "-13", "3", "0"}},
		{"{\"type\":\"integer\",\"minimum\":-1}", {"-1", "0", "9999999999999999"}, {"-2", "-10"}},
		{"{\"type\":\"integer\",\"maximum\":5}", {"5", "0", "-100"}, {"6", "10"}},
		{"{\"type\":\"integer\",\"minimum\":0.5,\"maximum\":2.5}", {"1", "2"}, {"0", "3"}},
		{"{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", {"0", "0.5", "1", "0.999"}, {"-0.1", "1.1", "2", "1.0001"}},
		{"{\"type\":\"number\",\"exclusiveMinimum\":0}", {"0.5", "1", "100.25"}, {"0", "-1", "0.0", "0.000"}},
		{"{\"type\":\"number\",\"exclusiveMaximum\":0}", {"-0.5", "-1", "-12.25"}, {"0", "1", "-0.0"}},
		{"{\"type\":\"number\",\"minimum\":-3,\"maximum\":-1}", {"-3", "-1", "-2.5", "-1.5"}, {"-3.5", "-0.5", "0", "1"}},
		{"{\"type\":\"number\",\"exclusiveMinimum\":99,\"exclusiveMaximum\":100}", {"99.5", "99.9999999999999"}, {"99", "100", "99.99999999999999", "99.00000000000001"}},
		{"{\"type\":\"number\",\"minimum\":-1,\"maximum\":2}", {"-1", "-0.5", "0", "1.5", "2"}, {"-1.5", "2.5"}},
	};
	EXPECT(cases);
	rng r = {11};
	for (int round = 0; round < 60; round++) { /* every number near the ends */
		int64_t spread = 1 << rng_below(&r, 12), lo = (int64_t)rng_below(&r, 4000) - 2000, hi = lo + rng_below(&r, (uint32_t)spread);
		char text[128];
		snprintf(text, sizeof text, "{\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld}", (long long)lo, (long long)hi);
		grammar *g;
		sn_error err = {0};
		if (grammar_of(text, &g, &err) != SN_OK)
			fail_msg("%s: %s", err.text, text);
		for (int64_t v = lo - 12; v <= hi + 12; v++) {
			snprintf(text, sizeof text, "%lld", (long long)v);
			if (fits_text(g, text) != (v >= lo && v <= hi))
				fail_msg("%s of %lld..%lld", text, (long long)lo, (long long)hi);
		}
		grammar_close(&g);
	}
}

static void strings(void **state)
{
	(void)state;
	static const schema_case cases[] = {
		{"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}", {"\"ab\"", "\"abc\"", "\"\\n\\u00e9\"", "\"\xF0\x9F\x98\x80\xF0\x9F\x98\x80\""}, {"\"a\"", "\"abcd\"", "\"\xF0\x9F\x98\x80\""}},
		{"{\"pattern\":\"^a*$\"}", {"\"\"", "\"aaa\""}, {"\"ab\"", "\"b\""}},
		{"{\"pattern\":\"a+\"}", {"\"xxaay\"", "\"a\""}, {"\"x\"", "\"\""}},
		{"{\"pattern\":\"^ab|cd$\"}", {"\"abx\"", "\"xcd\""}, {"\"xab\"", "\"cdx\""}},
		{"{\"pattern\":\"^(a|bc){2,3}?$\"}", {"\"abc\"", "\"aaa\"", "\"bcbc\""}, {"\"a\"", "\"aaaa\""}},
		{"{\"pattern\":\"^[^a-c]\\\\d\\\\.$\"}", {"\"d1.\"", "\"\\\"1.\"", "\"\\n1.\"", "\"\\\\1.\""}, {"\"a1.\"", "\"d1x\"", "\"dd.\""}},
		{"{\"pattern\":\"^\\\\w+\\\\s\\\\S$\"}", {"\"ab_1 x\"", "\"a\\t\\\"\""}, {"\"a-b x\"", "\"ab  \""}},
		{"{\"pattern\":\"^.$\"}", {"\"a\"", "\"\xF0\x9F\x98\x80\"", "\"\\\\\""}, {"\"\"", "\"\\n\"", "\"ab\""}},
		{"{\"pattern\":\"^(?:\\\\x41|\\\\u00e9|\\\\/)$\"}", {"\"A\"", "\"\xC3\xA9\"", "\"/\""}, {"\"B\""}},
		{"{\"pattern\":\"\"}", {"\"\"", "\"abc\""}, {"1"}},
		{"{\"format\":\"date\"}", {"\"2024-02-28\"", "\"1999-12-31\""}, {"\"2024-02-30\"", "\"2024-13-01\"", "\"2024-04-31\"", "\"x\""}},
		{"{\"format\":\"date-time\"}", {"\"2024-01-31T23:59:59Z\"", "\"2024-01-31T00:00:00.5+02:00\""}, {"\"2024-01-31\"", "\"2024-01-31T24:00:00Z\""}},
		{"{\"format\":\"uuid\"}", {"\"2eb8aa08-aa98-11ea-b4aa-73b441d16380\""}, {"\"2eb8aa08aa9811eab4aa73b441d16380\""}},
		{"{\"format\":\"ipv4\"}", {"\"192.168.0.1\"", "\"255.0.0.9\""}, {"\"256.0.0.1\"", "\"1.2.3\"", "\"01.2.3.4\""}},
		{"{\"format\":\"email\"}", {"\"joe.b@example.com\""}, {"\"joe\"", "\".a@b\"", "\"a@-b\""}},
		{"{\"format\":\"duration\"}", {"\"P4DT12H30M5S\"", "\"P2W\"", "\"PT1S\""}, {"\"P\"", "\"PT\"", "\"P1S\""}},
	};
	EXPECT(cases);
}

static void schemas_of_schemas(void **state)
{
	(void)state;
	static const schema_case cases[] = {
		{"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\",\"maxLength\":1}]}", {"1", "\"a\""}, {"\"ab\"", "null"}},
		{"{\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}],\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2}}}",
		 {"{\"a\":1}", "{\"b\":2}", "{\"a\":1,\"b\":2}"}, {"{}", "{\"a\":2}"}},
		{"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", {"1", "\"ab\""}, {"null"}},
		{"{\"oneOf\":[{\"properties\":{\"t\":{\"const\":\"a\"},\"x\":{\"type\":\"null\"}},\"required\":[\"t\",\"x\"],\"type\":\"object\"},"
		 "{\"properties\":{\"t\":{\"enum\":[\"b\",\"c\"]}},\"required\":[\"t\"],\"type\":\"object\"}]}", {"{\"t\":\"a\",\"x\":null}", "{\"t\":\"c\"}"}, {"{\"t\":\"a\"}"}},
		{"{\"allOf\":[{\"type\":\"integer\",\"minimum\":3},{\"maximum\":5},{\"minimum\":4}]}", {"4", "5"}, {"3", "6"}},
		{"{\"allOf\":[{\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]},{\"properties\":{\"b\":{\"type\":\"null\"},\"a\":{\"minimum\":2}},\"required\":[\"b\"]}]}",
		 {"{\"a\":2,\"b\":null}"}, {"{\"a\":1,\"b\":null}", "{\"a\":2}"}},
		{"{\"allOf\":[{\"$ref\":\"#/$defs/p\"}],\"description\":\"x\",\"$defs\":{\"p\":{\"type\":\"integer\",\"maximum\":3}}}", {"3"}, {"4"}},
		{"{\"allOf\":[{\"type\":[\"integer\",\"string\"]},{\"type\":[\"number\",\"null\"]}]}", {"3"}, {"3.5", "\"a\"", "null"}},
		{"{\"$ref\":\"#/$defs/a~1b%25\",\"$defs\":{\"a/b%\":{\"type\":\"null\"}}}", {"null"}, {"1"}},
		{"{\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}},\"required\":[\"v\",\"next\"]}",
		 {"{\"v\":1,\"next\":null}", "{\"v\":1,\"next\":{\"v\":2,\"next\":null}}"}, {"{\"v\":1}", "{\"v\":1,\"next\":{}}"}},
		{"{\"$defs\":{\"tree\":{\"type\":\"object\",\"properties\":{\"kids\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/tree\"}}},\"required\":[\"kids\"],\"additionalProperties\":false}},"
		 "\"$ref\":\"#/$defs/tree\"}", {"{\"kids\":[]}", "{\"kids\":[{\"kids\":[]},{\"kids\":[]}]}"}, {"{}", "{\"kids\":[1]}"}},
	};
	EXPECT(cases);
}

static void what_cannot_be_kept_is_refused_by_name(void **state)
{
	(void)state;
	static const struct { const char *schema, *why; } cases[] = {
		{"{\"not\":{}}", "not"}, {"{\"if\":{}}", "if"}, {"{\"patternProperties\":{}}", "patternProperties"}, {"{\"propertyNames\":{}}", "propertyNames"},
		{"{\"uniqueItems\":true}", "uniqueItems"}, {"{\"contains\":{}}", "contains"}, {"{\"multipleOf\":2}", "multipleOf"}, {"{\"minProperties\":1}", "minProperties"},
		{"{\"maxProperties\":1}", "maxProperties"}, {"{\"dependentRequired\":{}}", "dependentRequired"}, {"{\"dependentSchemas\":{}}", "dependentSchemas"},
		{"{\"unevaluatedProperties\":false}", "unevaluatedProperties"}, {"{\"unevaluatedItems\":false}", "unevaluatedItems"}, {"{\"additionalItems\":false}", "additionalItems"},
		{"{\"$dynamicRef\":\"#x\"}", "$dynamicRef"}, {"{\"$anchor\":\"x\"}", "$anchor"}, {"{\"hiccup\":1}", "hiccup"}, {"{\"a b\":1}", "unknown keyword"},
		{"{\"type\":\"hiccup\"}", "type"}, {"123", "schema"}, {"{\"$ref\":\"#/$defs/x\"}", "$ref"}, {"{\"$ref\":\"http://x/y\"}", "$ref"}, {"{\"$ref\":3}", "$ref"},
		{"{\"$ref\":\"#\"}", "no text fits"}, {"{\"format\":\"iri\"}", "format"}, {"{\"pattern\":\"(?=a)\"}", "pattern"}, {"{\"pattern\":\"\\\\1\"}", "pattern"},
		{"{\"pattern\":\"a**\"}", "pattern"}, {"{\"pattern\":\"^+[a-z]$\"}", "pattern"}, {"{\"pattern\":\"^{2}x$\"}", "pattern"}, {"{\"pattern\":\"(a\"}", "pattern"},
		{"{\"pattern\":\"a)\"}", "pattern"}, {"{\"pattern\":\"[a\"}", "pattern"}, {"{\"pattern\":\"a\\\\b\"}", "pattern"}, {"{\"pattern\":\"a^b\"}", "pattern"}, {"{\"pattern\":\"\\\\\"}", "pattern"},
		{"{\"pattern\":\"[]\"}", "pattern"}, {"{\"pattern\":\"a\",\"minLength\":1}", "minLength"}, {"{\"maxLength\":1000000000}", "maxLength"}, {"{\"minLength\":3,\"maxLength\":2}", "minLength"},
		{"{\"minItems\":-1}", "minItems"}, {"{\"items\":[{}]}", "items"}, {"{\"type\":\"number\",\"minimum\":0.5}", "minimum"}, {"{\"type\":\"integer\",\"minimum\":1e300}", "minimum"},
		{"{\"type\":\"integer\",\"minimum\":3,\"maximum\":2}", "minimum"}, {"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}", "oneOf"}, {"{\"oneOf\":[]}", "oneOf"},
		{"{\"oneOf\":[{\"const\":1},{\"const\":1.0}]}", "oneOf"}, {"{\"$defs\":{\"a\":{\"type\":\"integer\"}},\"allOf\":[{\"$ref\":\"#/$defs/a\",\"minimum\":5}]}", "minimum"},
		{"{\"anyOf\":3}", "anyOf"}, {"{\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"b\"}]}", "allOf"}, {"{\"enum\":[]}", "enum"}, {"{\"enum\":[1],\"minimum\":2}", "minimum"},
		{"{\"const\":1,\"type\":\"string\"}", "const"}, {"{\"properties\":{\"a\":{\"not\":{}}}}", "not"}, {"false", "nothing fits"}, {"{\"properties\":[]}", "properties"},
		{"{\"required\":\"a\"}", "required"}, {"{\"required\":[\"a\"],\"additionalProperties\":false}", "requires"}, {"{\"type\":[]}", "type"},
		{"{\"allOf\":[{\"properties\":{\"a\":{}},\"additionalProperties\":false},{\"properties\":{\"b\":{}}}]}", "allOf"},
		{"{\"$defs\":{\"a\":{\"allOf\":[{\"$ref\":\"#/$defs/a\"}]}},\"$ref\":\"#/$defs/a\"}", "allOf"}, {"{\"allOf\":[{\"$ref\":\"#\"}]}", "allOf"},
		{"{\"anyOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}],\"type\":\"object\"}", "too"},
		{"{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"],\"type\":\"object\"}", "no text fits"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		grammar *g;
		sn_error err = {0};
		if (grammar_of(cases[i].schema, &g, &err) == SN_OK || !strstr(err.text, cases[i].why))
			fail_msg("%s: \"%s\", not \"%s\"", cases[i].schema, err.text, cases[i].why);
		assert_null(g);
	}
}

/* Small schemas that would become large, or take long: refused within a second. */
static void what_grows_is_refused_in_time(void **state)
{
	(void)state;
	enum { CAP = 1 << 21 };
	char *text = malloc(CAP);
	for (int kind = 0; kind < 3; kind++) {
		size_t n = (size_t)snprintf(text, CAP, kind == 0 ? "{\"anyOf\":[{}" : kind == 1 ? "{\"oneOf\":[{}" : "{\"required\":[\"x\"");
		for (int i = 0; i < (kind == 0 ? 3000 : kind == 1 ? 63 : 20000); i++)
			n += (size_t)(kind < 2 ? snprintf(text + n, CAP - n, ",{\"title\":\"%d\"}", i) : snprintf(text + n, CAP - n, ",\"p%d\"", i));
		n += (size_t)snprintf(text + n, CAP - n, "],\"type\":\"object\",\"properties\":{\"x\":{}");
		for (int i = 0; i < (kind == 0 ? 2000 : 20000); i++)
			n += (size_t)snprintf(text + n, CAP - n, ",\"p%d\":{\"type\":\"null\"}", i);
		snprintf(text + n, CAP - n, "}}");
		grammar *g;
		sn_error err = {0};
		clock_t from = clock();
		assert_int_equal(grammar_of(text, &g, &err), SN_ERR_UNSUPPORTED);
		assert_true((double)(clock() - from) < 1.0 * CLOCKS_PER_SEC);
	}
	free(text);
}

/* tests/golden/schema: what a judge of another house says. Nothing that is not valid is offered; what has to be, is. */
static void a_judge_agrees_about_every_keyword(void **state)
{
	(void)state;
	json_error_t why;
	json_t *all = json_load_file(GOLDEN_DIR "/cases.json", JSON_ALLOW_NUL, &why);
	if (!all)
		fail_msg("%s", why.text);
	const json_t *values = json_object_get(all, "values"), *cases = json_object_get(all, "cases");
	size_t n_pairs = 0, n_offered = 0;
	for (size_t i = 0; i < json_array_size(cases); i++) {
		const json_t *one = json_array_get(cases, i), *offered = json_object_get(one, "offered");
		const char *valid = json_string_value(json_object_get(one, "valid"));
		char *schema = json_dumps(json_object_get(one, "schema"), JSON_ENCODE_ANY | JSON_COMPACT);
		grammar *g;
		sn_error err = {0};
		if (grammar_of(schema, &g, &err) != SN_OK)
			fail_msg("%s: %s", err.text, schema);
		for (size_t v = 0; v < json_array_size(values); v++, n_pairs++) {
			const char *text = json_string_value(json_array_get(values, v));
			if (fits_text(g, text) && valid[v] != '1')
				fail_msg("%s is offered by %s", text, schema);
		}
		for (size_t k = 0; k < json_array_size(offered); k++, n_offered++) {
			const char *text = json_string_value(json_array_get(values, (size_t)json_integer_value(json_array_get(offered, k))));
			if (!fits_text(g, text))
				fail_msg("%s is not offered by %s", text, schema);
		}
		grammar_close(&g);
		free(schema);
	}
	assert_true(n_pairs > 10000 && n_offered > 200);
	json_decref(all);
}

/* Two tools, each with its parameters: one grammar. */
static void schemas_stand_inside_other_grammars(void **state)
{
	(void)state;
	static const char *const parameters[] = {"{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}},\"required\":[\"n\"]}",
	                                         "{\"type\":\"object\",\"properties\":{\"s\":{\"$ref\":\"#/$defs/s\"}},\"$defs\":{\"s\":{\"enum\":[\"x\"]}}}"};
	out_buf text = {0};
	unsigned n = 0, first[2];
	sn_error err = {0};
	schema_prelude(&text);
	for (int i = 0; i < 2; i++) {
		json_t *s = json_loads(parameters[i], 0, NULL);
		first[i] = n;
		assert_int_equal(schema_rule(s, "tools", &n, &text, &err), SN_OK);
		json_decref(s);
	}
	out_fmt(&text, "root ::= \"f\" s%u | \"g\" s%u | \"h\" object", first[0], first[1]);
	grammar *g;
	assert_int_equal(grammar_open(&g, (str){text.data, text.size}, &err), SN_OK);
	assert_true(fits_text(g, "f{\"n\":1}") && fits_text(g, "g{\"s\":\"x\"}") && fits_text(g, "g{}") && fits_text(g, "h{\"a\":[]}"));
	assert_false(fits_text(g, "f{\"s\":\"x\"}") || fits_text(g, "f{}") || fits_text(g, "g{\"n\":1}") || fits_text(g, "h[]"));
	grammar_close(&g);
	out_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds), cmocka_unit_test(listed_values), cmocka_unit_test(objects), cmocka_unit_test(arrays), cmocka_unit_test(numbers),
		cmocka_unit_test(strings), cmocka_unit_test(schemas_of_schemas), cmocka_unit_test(what_cannot_be_kept_is_refused_by_name),
		cmocka_unit_test(what_grows_is_refused_in_time), cmocka_unit_test(schemas_stand_inside_other_grammars),
		cmocka_unit_test(a_judge_agrees_about_every_keyword),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
