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

/* A case's template and variables stand in it, or it has their number in the file's lists. */
static str case_template(const json_t *g, const json_t *c)
{
	const json_t *t = json_object_get(c, "template");
	return golden_str(json_is_integer(t) ? json_array_get(json_object_get(g, "templates"), (size_t)json_integer_value(t)) : t);
}

static const value *case_globals(arena *a, const json_t *g, const json_t *c)
{
	const json_t *own = json_object_get(c, "globals");
	return value_of(a, json_is_integer(own) ? json_array_get(json_object_get(g, "globals"), (size_t)json_integer_value(own)) : own);
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
		str source = case_template(g, c);
		const json_t *expect = json_object_get(c, "expect");
		arena *a = arena_open(0);
		marked_text out;
		sn_error err = {0};
		sn_status s = render(source.p, source.n, case_globals(a, g, c), &out, &err);
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

/* For tests/peer/jinja_fuzz.py: renders the cases of a file of the golden's form, a line of JSON each. */
static int print_cases(const char *path)
{
	json_error_t why;
	json_t *g = json_load_file(path, JSON_ALLOW_NUL, &why), *c;
	size_t i;
	if (!g) {
		fprintf(stderr, "%s: line %d: %s\n", path, why.line, why.text);
		return 2;
	}
	json_array_foreach(json_object_get(g, "cases"), i, c) {
		str source = case_template(g, c);
		arena *a = arena_open(0);
		marked_text out;
		sn_error err = {0};
		sn_status s = render(source.p, source.n, case_globals(a, g, c), &out, &err);
		json_t *line = s ? json_pack("{s:s, s:i}", "error", err.text, "status", (int)s)
		                 : json_pack("{s:s%}", "out", out.bytes.n ? out.bytes.p : "", out.bytes.n);
		if (!line || json_dumpf(line, stdout, JSON_COMPACT) != 0)
			return 2;
		puts("");
		json_decref(line);
		marked_fini(&out);
		arena_close(&a);
	}
	json_decref(g);
	return 0;
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

/* Every filter and method, on or with a user's Greek text: whatever is Greek in the output is untrusted, and there is
 * some where there should be. g: one string, gs: a list, gd: a dict with Greek keys and values. */
static void nothing_makes_a_users_text_trusted(void **state)
{
	(void)state;
	static const char *const sources[] = {
		/* filters */
		"{{ g | upper }}", "{{ g | lower }}", "{{ g | capitalize }}", "{{ g | title }}", "{{ (' ' ~ g) | trim }}", "{{ 'a' | trim(g) ~ g }}", "{{ g | string }}",
		"{{ g | safe }}", "{{ 'xx' | replace('x', g) }}", "{{ g | replace('α', 'x') }}", "{{ g | replace('', '-') }}", "{{ g | escape }}", "{{ g | e }}", "{{ g | indent }}",
		"{{ ('a\nb' | indent(g)) }}", "{{ g | truncate(5, true, '') }}", "{{ 'aaaaaaaaaaaaaaaa' | truncate(9, true, g[:3]) }}", "{{ g | truncate(7) }}", "{{ g | center(40) }}",
		"{{ '%s' | format(g) }}", "{{ '%(k)s' | format(k=g) }}", "{{ (g ~ '%s') | format('x') }}", "{{ g | tojson }}", "{{ gd | tojson(indent=2) }}", "{{ gd | tojson(indent=g) }}",
		"{{ [1, 2] | tojson(separators=(g, g)) }}", "{{ zz | default(g) }}", "{{ '' | d(g, true) }}", "{{ 'x' | int(g) }}", "{{ 'x' | float(g) }}", "{{ g | list }}", "{{ g | first }}",
		"{{ g | last }}", "{{ g | reverse }}", "{{ gs | reverse | join }}", "{{ gs | join }}", "{{ ['a', 'b'] | join(g) }}", "{{ [{'k': g}] | join('-', attribute='k') }}", "{{ gs | sort | join }}",
		"{{ gd | items | list }}", "{{ gd | dictsort }}", "{{ gs | min }}", "{{ gs | max }}", "{{ gs | unique | list }}", "{{ [{'k': g}] | groupby('k') }}", "{{ gs | batch(2) | list }}",
		"{{ [1] | batch(3, g) | list }}", "{{ gs | slice(2) | list }}", "{{ [1] | slice(2, g) | list }}", "{{ gs | select | list }}", "{{ gs | reject('none') | list }}",
		"{{ [{'k': g}] | selectattr('k') | list }}", "{{ [{'k': g}] | rejectattr('z') | list }}", "{{ gs | map('upper') | join }}", "{{ [{}] | map(attribute='k', default=g) | list }}",
		"{{ ['x'] | map('replace', 'x', g) | join }}", "{{ [gs] | sum(start=[]) }}", "{{ gd | attr('keys')() }}",
		/* methods */
		"{{ g.upper() }}", "{{ g.lower() }}", "{{ g.capitalize() }}", "{{ g.title() }}", "{{ g.strip() }}", "{{ g.lstrip() }}", "{{ g.rstrip() }}", "{{ g.split() }}", "{{ g.split(' ', 1) }}",
		"{{ g.rsplit(' ', 1) }}", "{{ g.rsplit(none, 1) }}", "{{ (g ~ '\n' ~ g).splitlines() }}", "{{ 'x'.replace('x', g) }}", "{{ g.replace('α', 'a', 1) }}", "{{ ('x' ~ g).removeprefix('x') }}",
		"{{ (g ~ 'x').removesuffix('x') }}", "{{ g.join(['a', 'b']) }}", "{{ '-'.join(gs) }}", "{{ g.partition(' ') }}", "{{ g.rpartition(' ') }}", "{{ 'x'.partition(g) ~ g }}", "{{ g.center(40) }}",
		"{{ 'x'.center(9, g[0]) }}", "{{ g.ljust(40) }}", "{{ 'x'.rjust(9, g[0]) }}", "{{ g.zfill(40) }}", "{{ '{}'.format(g) }}", "{{ '{k!r:>40}'.format(k=g) }}", "{{ ('{}' ~ g).format('x') }}",
		"{{ ('{:' ~ g[0] ~ '>5}').format('x') }}", "{{ '{[0]}'.format(gs) }}", "{{ gd.items() }}", "{{ gd.keys() }}", "{{ gd.values() }}", "{{ gd.get('z', g) }}", "{{ gd.copy() }}", "{{ gs.copy() }}",
		/* operators, functions, statements */
		"{{ '%s' % g }}", "{{ '%-30s|%r' % (g, g) }}", "{{ '%(k)s' % {'k': g} }}", "{{ (g[:2] ~ '%5d') % 3 }}", "{{ '%c' % g[0] }}", "{{ dict(a=g) }}", "{{ dict(gd) }}", "{{ namespace(a=g).a }}", "{{ dict(**gd) }}",
		"{% macro m() %}{{ kwargs }}{{ varargs }}{% endmacro %}{{ m(*gs, **gd) }}", "{{ joiner(g)() }}{% set j = joiner(g) %}{{ j() }}{{ j() }}", "{% set c = cycler(g, 'x') %}{{ c.next() }}{{ c.current }}",
		"{% for x in [1, 2] %}{{ loop.cycle(g, 'x') }}{% endfor %}", "{% for x in gs recursive %}{{ x }}{{ loop([]) }}{% endfor %}", "{% with a = g %}{{ a }}{% endwith %}", "{{ strftime_now(g) }}",
		"{% filter upper %}{{ g }}{% endfilter %}", "{% set x | trim %}{{ g }}{% endset %}{{ x }}", "{{ g[1:] ~ g[::-1] ~ g[0] }}", "{{ g * 2 }}", "{{ (g | safe) + '<' }}", "{{ '<' + (g | e) }}",
		"{{ [g | safe] }}", "{{ (g | e).format() }}", "{{ (g | e) % () }}", "{{ ('&' | e).join(gs) }}",
	};
	for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
		arena *a = arena_open(0);
		value *globals = value_dict(a), *gs = value_list(a), *gd = value_dict(a);
		const value *g = value_string(a, STR("αβγ δεζ ηθιςσ"), false);
		marked_text out;
		sn_error err = {0};
		value_push(a, gs, g);
		value_push(a, gs, value_string(a, STR("ΞΛ"), false));
		value_put(a, gd, value_string(a, STR("κλ"), false), g);
		value_set(a, globals, "g", g);
		value_set(a, globals, "gs", gs);
		value_set(a, globals, "gd", gd);
		if (render(sources[i], strlen(sources[i]), globals, &out, &err))
			fail_msg("%s: %s", sources[i], err.text);
		bool greek = false;
		for (size_t k = 0; k < out.bytes.n; k++)
			greek = greek || (unsigned char)out.bytes.p[k] >= 0x80;
		if (!greek)
			fail_msg("%s: '%s'", sources[i], out.bytes.p);
		check_greek(&out, sources[i]);
		marked_fini(&out);
		arena_close(&a);
	}
	/* a character made from a number is nobody's */
	expect_marks("{{ u | tojson(ensure_ascii=true) }}{{ '%c' % 60 }}{{ '{:c}'.format(60) }}{{ '%5s' % u }}", "........ ....");
}

static void errors_do_not_repeat_what_users_wrote(void **state)
{
	(void)state;
	static const char *const sources[] = {"{{ raise_exception('bad: ' ~ u) }}", "{{ u + 1 }}", "{% set f = u %}{{ f() }}", "{{ u < 1 }}", "{{ '{}'.format(u, k=1)[u] + 1 }}", "{{ dict(**{u: 1})[u].x + u }}",
	                                      "{% macro m() %}{% endmacro %}{{ m(**{u: 1}) }}", "{{ [1] | map(u) | list }}", "{{ [1] | select(u) | list }}", "{{ u.format() + 1 }}", "{{ u | int(1, 99) }}",
	                                      "{{ (u ~ '%d') % 'x' }}", "{{ ('{' ~ u ~ '}').format() }}", "{{ namespace(**{'_' ~ u: 1}) }}", "{{ [u, 1] | sort }}", "{{ [{}] | map(attribute=u ~ '.y') | list }}"};
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
		{"\n\n{{ lipsum() }}", "'lipsum'"},   {"\n\n{% autoescape true %}", "'autoescape'"},
		{"\n\n{% extends 'x' %}", "'extends'"}, {"\n\n{% import 'x' as x %}", "'import'"}, {"\n\n{% block b %}{% endblock %}", "'block'"},
		{"\n\n{% do f() %}", "'do'"}, {"\n\n{{ x | map('nosuch') }}", "'nosuch'"}, {"\n\n{{ x | selectattr('a', 'nosuch') }}", "'nosuch'"},
		{"\n\n{{ x | urlize }}", "'urlize'"}, {"\n\n{{ x | pprint }}", "'pprint'"}, {"\n\n{{ x | random }}", "'random'"},
		{"\n\n{{ x | wordwrap }}", "'wordwrap'"}, {"\n\n{{ x | xmlattr }}", "'xmlattr'"}, {"\n\n{{ x | urlencode }}", "'urlencode'"},
		{"\n\n{{ x | striptags }}", "'striptags'"}, {"\n\n{{ x | filesizeformat }}", "'filesizeformat'"},
		{"\n\n{{ x | forceescape }}", "'forceescape'"}, {"\n\n{{ x.encode() }}", "'encode'"}, {"\n\n{{ x.translate(y) }}", "'translate'"},
		{"\n\n{{ x.__class__() }}", "'__class__'"},
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

/* As in jinja2's sandbox: a template that has such a branch may be read, but not walk it. */
static void what_changes_values_is_refused_when_it_is_run(void **state)
{
	(void)state;
	static const char *const calls[] = {"[].append(1)", "[1].pop()", "[2, 1].sort()", "{}.update({})", "{}.setdefault('a', 1)", "{'a': 1}.clear()"};
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		char source[96];
		marked_text out;
		sn_error err = {0};
		int n = snprintf(source, sizeof source, "{%% if false %%}{{ %s }}{%% endif %%}fine", calls[i]);
		assert_int_equal(render(source, (size_t)n, NULL, &out, &err), SN_OK);
		marked_fini(&out);
		n = snprintf(source, sizeof source, "{{ %s }}", calls[i]);
		assert_int_not_equal(render(source, (size_t)n, NULL, &out, &err), SN_OK);
		assert_non_null(strstr(err.text, "may not change lists and dicts"));
		marked_fini(&out);
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
		strdup("{{ '%9999999999d' % 1 }}"), strdup("{{ '%.9999999999f' % 1.5 }}"), strdup("{{ '%99999999999999999999d' % 1 }}"), strdup("{{ '{:9999999999}'.format(1) }}"),
		strdup("{{ '{:.9999999999f}'.format(1.5) }}"), strdup("{{ 'x'.center(10**12) }}"), strdup("{{ 'x'.zfill(10**12) }}"), strdup("{{ 'x' | center(10**12) }}"),
		strdup("{{ 'a\nb' | indent(10**12) }}"), strdup("{{ '' | indent(10**12, true) }}"), strdup("{{ [1] | batch(10**12, 'x') | list }}"), strdup("{{ [1] | slice(10**12) | list }}"),
		strdup("{{ [1] | slice(10**12, 'x') | list }}"), strdup("{{ range(10**12) }}"), strdup("{{ range(100000) | slice(100000) | map('length') | sum + 1 / 0 }}"),
		strdup("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"), strdup("{% for x in [[1]] recursive %}{{ loop([x, x]) }}{% endfor %}"),
		strdup("{% macro f(a) %}{{ f(*varargs) }}{{ varargs }}{% endmacro %}{{ f(*range(90000)) }}"), strdup("{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% endmacro %}{{ g() }}"),
		strdup("{% set ns = namespace(d={}) %}{% for i in range(90000) %}{% set ns.d = dict(ns.d, **{'k' ~ i: i}) %}{% endfor %}"),
		strdup("{% set s = 'ab' * 400000 %}{% for i in range(90000) %}{{ s.rfind('ba' * 1000) }}{{ s.count('zz') }}{{ s | wordcount }}{% endfor %}"),
		strdup("{% set s = 'ab' * 400000 %}{% for i in range(90000) %}{{ s.islower() }}{{ s is upper }}{{ s.isalnum() }}{{ s.rpartition('bb') | length }}{% endfor %}"),
		strdup("{% set l = range(99999) | list %}{% for i in l %}{{ l.index(99998) }}{{ l.count(5) }}{% endfor %}"), strdup("{% set l = range(90000) | list %}{{ l | unique | list | length }}{{ 1 / 0 }}"),
		strdup("{{ ('a' * 1000000).partition('b') * 1000000 }}"), strdup("{{ ('{0}' * 300000).format('x' * 1000) }}"), strdup("{{ ('%s' * 300000) % (('x' * 1000,) * 300000) }}"),
		strdup("{{ ('x' * 1000) | tojson(indent='y' * 10000000) }}{{ [[[[1]]]] | tojson(indent='y' * 10000000) }}"), strdup("{{ ('Σ' * 400000) | lower | upper | lower | title | lower | upper | lower }}{{ 1 / 0 }}"),
		repeated("{% with a = 1 %}", "{% with a = a %}", 20000, ""), repeated("{{ f(", "*[", 50000, "1"), repeated("{% for (", "(", 50000, "a"), repeated("{{ x is", " not", 50000, " none }}"),
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
		str source = case_template(g, c);
		for (int round = 0; round < 20; round++) {
			arena *a = arena_open(0);
			char *p = arena_strndup(a, source.p, source.n);
			for (uint64_t k = next_random(&random) % 3; source.n && k < 3; k++)
				p[next_random(&random) % source.n] = (char)(next_random(&random) % 4 ? "{}%#-'\"()[]|.:=~ \n"[next_random(&random) % 18]
				                                                                  : (char)next_random(&random));
			marked_text out;
			sn_error err = {0};
			size_t n = source.n ? next_random(&random) % (source.n + 1) : 0;
			render(p, round % 2 ? n : source.n, case_globals(a, g, c), &out, &err);
			marked_fini(&out);
			arena_close(&a);
		}
	}
	json_decref(g);
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return print_cases(argv[1]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(templates_render_as_in_python),
		cmocka_unit_test(strings_remember_who_wrote_them),
		cmocka_unit_test(nothing_makes_a_users_text_trusted),
		cmocka_unit_test(errors_do_not_repeat_what_users_wrote),
		cmocka_unit_test(what_is_missing_is_named_when_parsing),
		cmocka_unit_test(what_changes_values_is_refused_when_it_is_run),
		cmocka_unit_test(broken_templates_are_refused),
		cmocka_unit_test(no_template_runs_away),
		cmocka_unit_test(large_templates_work),
		cmocka_unit_test(mutated_templates_do_not_crash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
