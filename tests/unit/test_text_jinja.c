/* test_text_jinja.c - templates against Python's jinja2 in transformers' set-up, byte for byte; where the bytes came
 * from; and that no template can run away. */
#include "test_text_golden.h"

#include <time.h>

#include "base/arena.h"
#include "text/jinja.h"

static const value *value_of(arena *a, const json_t *j)
{
	const char *key;
	json_t *item;
	size_t i;
	value *v;
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		v = value_dict(a);
		json_object_foreach((json_t *)j, key, item)
			value_set(a, v, key, value_of(a, item));
		return v;
	case JSON_ARRAY:
		v = value_list(a);
		json_array_foreach(j, i, item)
			value_push(a, v, value_of(a, item));
		return v;
	case JSON_STRING:
		return value_string(a, golden_str(j), false);
	case JSON_INTEGER:
		return value_int(a, json_integer_value(j));
	case JSON_REAL:
		return value_float(a, json_real_value(j));
	case JSON_NULL:
		return value_none();
	default:
		return value_bool(json_is_true(j));
	}
}

static sn_status render(const char *source, size_t n, const value *globals, marked_text *out, sn_error *err)
{
	jinja *t;
	marked_init(out, 0);
	sn_status s = jinja_open(&t, (str){source, n}, err);
	if (s)
		return s;
	s = jinja_render(t, globals, 0, out, err);
	jinja_close(&t);
	return s;
}

/* In conversations whose contents are all Greek, exactly the Greek is untrusted. */
static void check_greek(const marked_text *m, const char *source)
{
	for (size_t i = 0; i < m->bytes.n; i++) {
		unsigned char c = (unsigned char)m->bytes.p[i];
		if (c >= 0x80 && marked_is_trusted(m, i, i + 1))
			fail_msg("%.60s: byte %zu of a user's text is trusted", source, i);
	}
}

static void templates_render_as_in_python(void **state)
{
	(void)state;
	json_t *g = golden("jinja.json"), *c;
	size_t i, failed = 0;
	json_array_foreach(json_object_get(g, "cases"), i, c) {
		str source = golden_str(json_object_get(c, "template"));
		const json_t *globals = json_object_get(c, "globals"), *expect = json_object_get(c, "expect");
		arena *a = arena_open(0);
		marked_text out;
		sn_error err = {0};
		sn_status s = render(source.p, source.n, value_of(a, globals ? globals : json_object_get(g, "globals")), &out, &err);
		str got = {out.bytes.p, out.bytes.n}, want = golden_str(expect);
		if (expect ? s || !str_eq(got, want) : !s) {
			failed++;
			print_message("%.*s\n  want %s%.*s\n  got  %s%.*s\n", (int)source.n, source.p, expect ? "" : "an error", (int)want.n,
			              want.n ? want.p : "", s ? err.text : "", (int)got.n, got.n ? got.p : "");
		}
		if (json_object_get(c, "greek"))
			check_greek(&out, source.p);
		marked_fini(&out);
		arena_close(&a);
	}
	json_decref(g);
	assert_int_equal(failed, 0);
}

/* Renders with u = "user", t = "host" (trusted) and shows untrusted bytes as "." */
static void expect_marks(const char *source, const char *want)
{
	arena *a = arena_open(0);
	value *globals = value_dict(a);
	marked_text out;
	sn_error err = {0};
	value_set(a, globals, "u", value_string(a, STR("user"), false));
	value_set(a, globals, "t", value_string(a, STR("host"), true));
	if (render(source, strlen(source), globals, &out, &err))
		fail_msg("%s: %s", source, err.text);
	char *got = calloc(1, out.bytes.n + 1);
	for (size_t i = 0; i < out.bytes.n; i++)
		got[i] = marked_is_trusted(&out, i, i + 1) ? out.bytes.p[i] : '.';
	if (strcmp(got, want))
		fail_msg("%s: %s, expected %s", source, got, want);
	free(got);
	marked_fini(&out);
	arena_close(&a);
}

static void strings_remember_who_wrote_them(void **state)
{
	(void)state;
	expect_marks("<{{ u }}>{{ t }}", "<....>host");
	expect_marks("{{ '<' + u + '>' }}", "<....>");
	expect_marks("{{ u ~ t ~ 1 }}", "....host1");
	expect_marks("{{ ('ab' ~ u ~ 'cd')[1:-1] }}", "b....c");
	expect_marks("{{ ('ab' ~ u)[::-1] }}", "....ba");
	expect_marks("{{ ('ab' ~ u)[3] }}{{ ('ab' ~ u)[0] }}", ".a");
	expect_marks("{{ (' x' ~ u ~ ' ') | trim | upper }}", "X....");
	expect_marks("{{ ('x' ~ u) | capitalize }}{{ u | capitalize }}", "X........");
	expect_marks("{{ [u, t, 'c'] | join('-') }}", "....-host-c");
	expect_marks("{{ ['a', 'b'] | join(u) }}", "a....b");
	expect_marks("{{ ('a' ~ u).replace('s', '!') }}", "a.!..");
	expect_marks("{{ 'a-b'.replace('-', u) }}", "a....b");
	expect_marks("{{ ('a,' ~ u ~ ',b').split(',') | join('|') }}", "a|....|b");
	expect_marks("{{ '%s=%s' % ('k', u) }}", "k=....");
	expect_marks("{% for ch in 'a' ~ u %}{{ ch }}{% endfor %}", "a....");
	expect_marks("{% set x %}<{{ u }}>{% endset %}{{ x }}", "<....>");
	expect_marks("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(u) | upper }}", "[....]");
	expect_marks("{% filter upper %}a{{ u }}b{% endfilter %}", "A....B");
	expect_marks("{{ {'k': u}.k }}{{ {u: 'v'}[u] }}", "....v");
	expect_marks("{{ u * 2 }}{{ 'x' * 2 }}", "........xx");
	expect_marks("{{ u | default('x') }}{{ '' | default(u, true) }}{{ u | string }}{{ u | safe }}", "................");
	expect_marks("{{ [u] | first }}{{ [u] | map('upper') | list | last }}{{ [t] | map('upper') | first }}", "........HOST");
	expect_marks("{{ u | tojson }}{{ [t] }}", "........host..");
	expect_marks("{{ u | e }}{{ (u ~ '\\n' ~ 'x') | indent(1) }}", "........\n x");
	expect_marks("{{ ('a ' ~ u) | title }}", "A ....");
	expect_marks("{% set ns = namespace(v='') %}{% for x in [t, u] %}{% set ns.v = ns.v ~ x %}{% endfor %}{{ ns.v }}", "host....");
}

static void errors_do_not_repeat_what_users_wrote(void **state)
{
	(void)state;
	static const char *const sources[] = {"{{ raise_exception('bad: ' ~ u) }}", "{{ u + 1 }}", "{% set f = u %}{{ f() }}", "{{ u < 1 }}"};
	for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
		arena *a = arena_open(0);
		value *globals = value_dict(a);
		marked_text out;
		sn_error err = {0};
		value_set(a, globals, "u", value_string(a, STR("SECRET"), false));
		assert_int_equal(render(sources[i], strlen(sources[i]), globals, &out, &err), SN_ERR_INVALID);
		assert_non_null(strstr(err.text, "line 1"));
		assert_null(strstr(err.text, "SECRET"));
		marked_fini(&out);
		arena_close(&a);
	}
}

static void what_is_missing_is_named_when_parsing(void **state)
{
	(void)state;
	static const struct {
		const char *source, *name;
	} cases[] = {
		{"\n\n{% include 'x' %}", "'include'"}, {"\n\n{{ x | nosuch }}", "'nosuch'"}, {"\n\n{{ x is nosuch }}", "'nosuch'"},
		{"\n\n{{ l.append(1) }}", "'append'"},  {"\n\n{{ lipsum() }}", "'lipsum'"},   {"\n\n{{ f(*args) }}", "'*'"},
		{"\n\n{% for x in y recursive %}{% endfor %}", "'recursive'"}, {"\n\n{% autoescape true %}", "'autoescape'"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		jinja *t;
		sn_error err = {0};
		assert_int_equal(jinja_open(&t, str_of(cases[i].source), &err), SN_ERR_UNSUPPORTED);
		assert_null(t);
		assert_non_null(strstr(err.text, cases[i].name));
		assert_non_null(strstr(err.text, "line 3"));
	}
}

static void broken_templates_are_refused(void **state)
{
	(void)state;
	static const char *const sources[] = {
		"{{", "{%", "{#", "{{ 'a", "{{ a", "{{ a }", "{% if %}", "{% if a %}", "{% if a %}{% else %}", "{% for a in b %}", "{% endif %}",
		"{{ a b }}", "{{ (a }}", "{{ [a }}", "{{ {'a' 1} }}", "{{ a | }}", "{{ a is }}", "{{ a. }}", "{{ a[ }}", "{{ a[] }}", "{% set %}",
		"{% set a %}", "{% set a = %}", "{% set true = 1 %}", "{% macro %}", "{% macro f( %}", "{% call x %}{% endcall %}", "{% break %}",
		"{% raw %}", "{{ 99999999999999999999 }}", "{{ '\\u12' }}", "{{ $ }}", "{{ a ! b }}", "{% %}", "{{ }}", "{{ f(a=1, 2) }}", "{{ - }}",
		"{% for in x %}{% endfor %}", "{% if x %}{% endfor %}", "{{ 1x }}",
	};
	for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
		jinja *t;
		sn_error err = {0};
		sn_status s = jinja_open(&t, str_of(sources[i]), &err);
		if (s != SN_ERR_INVALID || !strstr(err.text, "line 1"))
			fail_msg("%s: status %d, %s", sources[i], (int)s, err.text);
	}
}

static char *repeated(const char *head, const char *middle, size_t n, const char *tail)
{
	size_t m = strlen(middle), h = strlen(head);
	char *s = malloc(h + m * n + strlen(tail) + 1);
	strcpy(s, head);
	for (size_t i = 0; i < n; i++)
		memcpy(s + h + i * m, middle, m);
	strcpy(s + h + n * m, tail);
	return s;
}

static void no_template_runs_away(void **state)
{
	(void)state;
	char *sources[] = {
		strdup("{% for i in range(10**9) %}x{% endfor %}"),
		strdup("{% for i in range(1000) %}{% for j in range(1000) %}{% for k in range(1000) %}{% endfor %}{% endfor %}{% endfor %}"),
		strdup("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
		strdup("{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}"),
		strdup("{% set ns = namespace(l=[1]) %}{% for i in range(100) %}{% set ns.l = ns.l + ns.l %}{% endfor %}"),
		strdup("{% set ns = namespace(l=[]) %}{% for i in range(10000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}"),
		strdup("{% set a = namespace(l=[]) %}{% set b = namespace(l=[]) %}{% for i in range(90) %}{% set a.l = [a.l, a.l] %}"
		       "{% set b.l = [b.l, b.l] %}{% endfor %}{{ a.l == b.l }}"),
		strdup("{% set a = namespace(l=[]) %}{% for i in range(90) %}{% set a.l = [a.l, a.l] %}{% endfor %}{{ a.l | tojson }}"),
		strdup("{{ 'x' * 10**12 }}"), strdup("{{ '' * 10**12 }}"), strdup("{{ [] * 10**12 }}"), strdup("{{ 10 ** 100 }}"),
		strdup("{{ 'ab'.replace('', 'x' * 1000000).replace('x', 'y' * 1000000) }}"),
		strdup("{% set s = 'x' * 1000000 %}{% for i in range(900000) %}{{ 'y' in s }}{% endfor %}"),
		strdup("{% set s = 'x' * 1000000 %}{% for i in range(100000) %}{{ s[999999] }}{% endfor %}"),
		strdup("{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns }}"),
		repeated("{{ ", "(", 100000, "1"), repeated("{{ ", "[", 100000, "1"), repeated("{{ ", "-", 100000, "1 }}"),
		repeated("{{ ", "not ", 100000, "1 }}"), repeated("", "{% if 1 %}", 50000, ""), repeated("{{ 1", "+1", 100000, " }}"),
		repeated("{{ x", ".a", 100000, " }}"), repeated("{{ x", "|trim", 100000, " }}"), repeated("{{ 1", " if 1 else 1", 50000, " }}"),
		repeated("{{ x", " is defined", 50000, " }}"), repeated("{{ 2", "**2", 50000, " }}"), repeated("{{ x", "[0]", 100000, " }}"),
		repeated("", "x", 1100000, ""),
	};
	for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
		marked_text out;
		sn_error err = {0};
		clock_t begin = clock();
		sn_status s = render(sources[i], strlen(sources[i]), NULL, &out, &err);
		double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
		if (s == SN_OK || s == SN_ERR_NOMEM || seconds > 5)
			fail_msg("%.60s: status %d after %.1f s, %s", sources[i], (int)s, seconds, err.text);
		marked_fini(&out);
		free(sources[i]);
	}
}

/* Many branches and long texts are no reason to refuse. */
static void large_templates_work(void **state)
{
	(void)state;
	char *s = repeated("{% if 0 %}", "{% elif 0 %}x", 10000, "{% else %}y{% endif %}");
	marked_text out;
	sn_error err = {0};
	if (render(s, strlen(s), NULL, &out, &err))
		fail_msg("%s", err.text);
	assert_int_equal(out.bytes.n, 1);
	marked_fini(&out);
	free(s);
}

/* Whatever the bytes, an error or a result. */
static void mutated_templates_do_not_crash(void **state)
{
	(void)state;
	json_t *g = golden("jinja.json"), *c;
	uint64_t random = 88172645463325252u;
	size_t i;
	json_array_foreach(json_object_get(g, "cases"), i, c) {
		str source = golden_str(json_object_get(c, "template"));
		for (int round = 0; round < 20; round++) {
			arena *a = arena_open(0);
			char *p = arena_strndup(a, source.p, source.n);
			for (uint64_t k = next_random(&random) % 3; source.n && k < 3; k++)
				p[next_random(&random) % source.n] = (char)(next_random(&random) % 4 ? "{}%#-'\"()[]|.:=~ \n"[next_random(&random) % 18]
				                                                                  : (char)next_random(&random));
			marked_text out;
			sn_error err = {0};
			size_t n = source.n ? next_random(&random) % (source.n + 1) : 0;
			render(p, round % 2 ? n : source.n, value_of(a, json_object_get(g, "globals")), &out, &err);
			marked_fini(&out);
			arena_close(&a);
		}
	}
	json_decref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(templates_render_as_in_python),
		cmocka_unit_test(strings_remember_who_wrote_them),
		cmocka_unit_test(errors_do_not_repeat_what_users_wrote),
		cmocka_unit_test(what_is_missing_is_named_when_parsing),
		cmocka_unit_test(broken_templates_are_refused),
		cmocka_unit_test(no_template_runs_away),
		cmocka_unit_test(large_templates_work),
		cmocka_unit_test(mutated_templates_do_not_crash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
