/* test_grammar.c - promises of grammars: what fits and what does not, what is refused, and that a mask allows exactly the tokens
 * whose bytes can follow, whatever is cached. */
#include "unit.h"

#include <time.h>

#include "base/buf.h"
#include "grammar/token_mask.h"
#include "grammar_fits.h"

static const char JSON_GRAMMAR[] =
    "root ::= object\n"
    "value ::= object | array | string | number | \"true\" | \"false\" | \"null\"  # any\n"
    "object ::= \"{\" ws ( pair ( \",\" ws pair )* )? ws \"}\"\n"
    "pair ::= string \":\" ws value\n"
    "array ::= \"[\" ws ( value ( \",\" ws value )* )? ws \"]\"\n"
    "string ::= \"\\\"\" char* \"\\\"\"\n"
    "char ::= [^\"\\\\\\x00-\\x1F] | \"\\\\\" ( [\\\"\\\\/bfnrt] | \"u\" [0-9a-fA-F]{4} )\n"
    "number ::= \"-\"? ( \"0\" | [1-9] [0-9]{0,15} ) ( \".\" [0-9]{1,15} )?\n"
    "ws ::= [ \\t\\n]{0,2}\n";

static grammar *open_grammar(const char *text)
{
	grammar *g = NULL;
	sn_error err = {0};
	if (grammar_open(&g, str_of(text), &err) != SN_OK)
		fail_msg("%s: %s", err.text, text);
	return g;
}

static bool fits(const char *grammar_text, const char *text)
{
	grammar *g = open_grammar(grammar_text);
	bool yes = fits_grammar(g, text, strlen(text));
	grammar_close(&g);
	return yes;
}

/* ---- what fits ---- */

static void texts_fit_or_do_not(void **state)
{
	(void)state;
	static const struct { const char *grammar, *good[6], *bad[8]; } cases[] = {
		{"root ::= \"yes\" | \"no\"", {"yes", "no"}, {"", "y", "yesno", "No"}},
		{"root ::= \"\"", {""}, {"a"}},
		{"root ::= a b\na ::= \"x\"*\nb ::= \"x\" \"y\"?", {"x", "xy", "xxx", "xxxy"}, {"", "y", "xyx"}},
		{"root ::= [a-c]{2,3}", {"ab", "abc"}, {"a", "abca", "ad"}},
		{"root ::= [a-c]{2}", {"ab"}, {"a", "abc"}},
		{"root ::= \"a\"{2,} \"b\"", {"aab", "aaaaaab"}, {"ab", "b", "aa"}},
		{"root ::= (\"a\" | \"bc\"){3}", {"aaa", "bcabc"}, {"aa", "aaaa", "bc"}},
		{"root ::= (\"a\"{2} \"b\"){0,2} \"c\"", {"c", "aabc", "aabaabc"}, {"abc", "aabaabaabc"}},
		{"root ::= \"a\"{0} \"b\"{1}", {"b"}, {"ab", ""}},
		{"root ::= \"(\" root \")\" | \"\"", {"", "()", "((()))"}, {"(", "())"}},
		{"root ::= (\"a\"*)* \"b\"", {"b", "aab"}, {"a"}},
		{"root ::= (\"a\"?)+ \"b\"", {"b", "ab", "aab"}, {"a"}},
		{"root ::= .", {"a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\n", "\x7F"},
		 {"", "\xC3", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC0\x80", "\xE0\x80\x80", "\xFF", "ab"}},
		{"root ::= [^\\n]", {"a", "\xC3\xA9"}, {"\n"}},
		{"root ::= [\\u00e9\\u20AC-\\U0001F600]", {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xEE\x80\x80"},
		 {"\xC3\xA8", "\xE2\x82\xAB", "\xF0\x9F\x98\x81", "\xED\xA0\x80"}},
		{"root ::= [a\\]\\-\\\\^-]", {"a", "]", "-", "\\", "^"}, {"b"}},
		{"root ::= \"\\x41\\u00e9\\\"\"", {"A\xC3\xA9\""}, {"A"}},
		{"root ::=\n  \"a\" # one\n | \"b\"\n\n# end\n", {"a", "b"}, {"ab"}},
		{"root ::= ( \"a\"\n \"b\"\n) \"c\"", {"abc"}, {"ab"}},
		{"a_1-x ::= \"q\"\nroot ::= a_1-x a_1-x", {"qq"}, {"q"}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (size_t k = 0; k < 6 && cases[i].good[k]; k++)
			if (!fits(cases[i].grammar, cases[i].good[k]))
				fail_msg("\"%s\" does not fit %s", cases[i].good[k], cases[i].grammar);
		for (size_t k = 0; k < 8 && cases[i].bad[k]; k++)
			if (fits(cases[i].grammar, cases[i].bad[k]))
				fail_msg("\"%s\" fits %s", cases[i].bad[k], cases[i].grammar);
	}
}

static void json_fits_as_deep_as_answers_go(void **state)
{
	(void)state;
	grammar *g = open_grammar(JSON_GRAMMAR);
	const char good[] = "{\"a\": [1, 2.5, -0, \"x\\u00e9\\n\xE2\x82\xAC\", {\"b\":\n{}}, null, true]}";
	assert_true(fits_grammar(g, good, sizeof good - 1));
	assert_false(fits_grammar(g, good, sizeof good - 2));
	char deep[800];
	size_t deepest = 0;
	memcpy(deep, "{\"a\":", 5);
	for (size_t levels = 1; levels < 300; levels++) {
		memset(deep + 5, '[', levels);
		memset(deep + 5 + levels, ']', levels);
		deep[5 + 2 * levels] = '}';
		if (fits_grammar(g, deep, 6 + 2 * levels)) {
			assert_int_equal(deepest, levels - 1);
			deepest = levels;
		}
	}
	assert_in_range(deepest, 200, GRAMMAR_MAX_NESTING);
	grammar_close(&g);
}

/* Every class against what it says, over characters near the borders of their lengths. */
static void classes_hold_what_they_say(void **state)
{
	(void)state;
	static const uint32_t edges[] = {0x01, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0x7FF, 0x800, 0xFFF, 0x1000, 0x2ABC, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x1F600,
	                                 0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFF};
	enum { N = sizeof edges / sizeof *edges };
	for (size_t lo = 0; lo < N; lo++)
		for (size_t hi = lo; hi < N; hi++) {
			char text[80];
			snprintf(text, sizeof text, "root ::= [\\U%08X-\\U%08X]", edges[lo], edges[hi]);
			grammar *g = open_grammar(text);
			for (size_t i = 0; i < N; i++)
				for (int off = -1; off <= 1; off++) {
					uint32_t c = edges[i] + (uint32_t)off;
					char u[4] = {(char)c};
					size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
					uint32_t left = c;
					for (size_t k = n; k-- > 1; left >>= 6)
						u[k] = (char)(0x80 | (left & 63));
					if (n > 1)
						u[0] = (char)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | left);
					bool in = c >= edges[lo] && c <= edges[hi] && !(c >= 0xD800 && c <= 0xDFFF) && c <= 0x10FFFF;
					if (fits_grammar(g, u, n) != in)
						fail_msg("U+%04X %s %s", c, in ? "is not in" : "is in", text);
				}
			grammar_close(&g);
		}
}

/* ---- what is refused ---- */

static void broken_grammars_are_refused_with_their_line(void **state)
{
	(void)state;
	static const struct { const char *text, *why; } cases[] = {
		{"", "root"}, {"a ::= \"x\"", "root"}, {"root ::= b", "not defined"}, {"root ::= \"a\"\n\nroot ::= \"b\"", "line 3: a rule is defined twice"},
		{"root ::= \"a", "does not end"}, {"root ::= [a", "does not end"}, {"root ::= \"a\nb\"", "does not end"}, {"root ::= (\"a\"", ") was expected"},
		{"root ::= \"a\")", "no meaning"}, {"root = \"a\"", "::="}, {"root ::= \"\\q\"", "escape"}, {"root ::= \"\\u12\"", "hexadecimal"},
		{"root ::= \"\\uD800\"", "not a character"}, {"root ::= \"\\U00110000\"", "not a character"}, {"root ::= [b-a]", "backwards"},
		{"root ::= []", "without characters"}, {"root ::= [^\\U00000000-\\U0010FFFF]", "without characters"}, {"root ::= \"a\"{3,2}", "backwards"},
		{"root ::= \"a\"{x}", "count"}, {"root ::= \"a\"{2", "} was expected"}, {"root ::= \"a\"{100001}", "above"}, {"root ::= \"a\"{999999999999}", "above"},
		{"root ::= \"a\"**", "repetition of a repetition"}, {"root ::= *", "no meaning"}, {"root ::= \"\xFF\"", "UTF-8"},
		{"root ::= root \"a\" | \"b\"", "left recursion"}, {"root ::= a\na ::= b? a \"x\" | \"y\"\nb ::= \"b\"", "left recursion"},
		{"root ::= x\nx ::= (y | \"\") \nz ::= x\ny ::= z \"k\" | \"j\"", "left recursion"}, {"root ::= \"a\" root", "no text fits"},
		{"root ::= \"b\" | \"c\" dead\ndead ::= \"x\" dead", "no text fits"}, {"root ::= (\"a\"?){3}", "can be empty"},
		{"root ::= <[3]>", "no meaning"}, {"start: \"a\"", "::="},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		grammar *g = NULL;
		sn_error err = {0};
		if (grammar_open(&g, str_of(cases[i].text), &err) == SN_OK || !strstr(err.text, cases[i].why))
			fail_msg("%s: \"%s\", not \"%s\"", cases[i].text, err.text, cases[i].why);
		assert_null(g);
	}
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void refused_in_time(const buf *b, const char *why)
{
	grammar *g = NULL;
	sn_error err = {0};
	double from = seconds();
	sn_status st = grammar_open(&g, (str){b->p, b->n}, &err);
	assert_true(seconds() - from < 1);
	assert_int_not_equal(st, SN_OK);
	if (!strstr(err.text, why))
		fail_msg("\"%s\", not \"%s\"", err.text, why);
}

static void large_grammars_are_refused_in_time(void **state)
{
	(void)state;
	buf b;
	buf_init(&b, 0);
	buf_printf(&b, "root ::= ");
	for (int i = 0; i < 60000; i++)
		buf_append(&b, "(", 1);
	refused_in_time(&b, "too deep");
	b.n = 0;
	buf_printf(&b, "root ::= r0\n");
	for (int i = 0; i < 5000; i++)
		buf_printf(&b, "r%d ::= r%d\n", i, i + 1);
	refused_in_time(&b, "too many rules");
	b.n = 0;
	buf_printf(&b, "root ::= ");
	for (int i = 0; i < 300000; i++)
		buf_append(&b, ".|", 2);
	refused_in_time(&b, "too large");
	b.n = 0;
	for (int i = 0; i < 4000; i++) /* the order in which the fewest are found at once */
		buf_printf(&b, "r%d ::= \"a\" r%d \"a\"%s\n", i, i + 1, " | \"b\" r0 r0 r0 r0 r0");
	buf_printf(&b, "r4000 ::= \"x\"\nroot ::= r0\n");
	refused_in_time(&b, "nested too deep");
	b.n = 0;
	for (int i = 0; i < 4000; i++) /* each odd one before the even ones that it needs */
		buf_printf(&b, "r%d ::= \"a\" r%d | \"b\" r0 r0 r0 r0 r0 r0 r0 r0 r0 r0 r0\n", i % 2 ? 4000 - i : i, i % 2 ? 4001 - i : i + 1);
	buf_printf(&b, "root ::= r0\n");
	refused_in_time(&b, "");
	buf_fini(&b);
}

/* ---- masks ---- */

/* Bytes, and pieces of JSON of several of them; two tokens with one spelling; ends. */
typedef struct kit {
	vocab *v;
	token_trie *trie;
	int32_t end;
} kit;

static void byte_alphabet(unsigned b, char out[5])
{
	/* GPT-2's: printable bytes are themselves, the others U+0100 on */
	unsigned cp = b, next = 256;
	for (unsigned i = 0; i <= b; i++) {
		bool shown = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174;
		if (i == b)
			cp = shown ? b : next;
		next += !shown;
	}
	memset(out, 0, 5);
	if (cp < 0x80)
		out[0] = (char)cp;
	else
		out[0] = (char)(0xC0 | cp >> 6), out[1] = (char)(0x80 | (cp & 63));
}

static kit open_kit(void)
{
	static char names[400][80];
	static str tokens[400];
	static int32_t types[400];
	static const char *const pieces[] = {"{\"", "\":", "\",\"", "\"}", "}}", "[[", "]", "null", "true", "fal", "se", "name", "\\u00", "12", "1.5", ",", ":[",
	                                     "\\\"", "yes", "no", "ab", "aab", "((", "))", "()", "aa", "aaaa", "aaaaaaaaa",
	                                     "aaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaa\",\"aaa", "((((((((((((((((", "))))))))))))))))))))))))))))))))))",
	                                     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "]]]]]]]]", "\"]},{\"name\":[\"a"};
	size_t n = 0;
	kit k = {0};
	for (unsigned b = 0; b < 256; b++, n++)
		byte_alphabet(b, names[n]);
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++, n++)
		snprintf(names[n], sizeof names[n], "%s", pieces[i]);
	snprintf(names[n++], sizeof *names, "<|end|>");
	snprintf(names[n++], sizeof *names, "<|pad|>");
	for (size_t i = 0; i < n; i++) {
		tokens[i] = str_of(names[i]);
		types[i] = i + 2 >= n ? TOKEN_CONTROL : TOKEN_NORMAL;
	}
	k.end = (int32_t)n - 2;
	vocab_config c = {.model = "gpt2", .pre = "gpt-2", .tokens = tokens, .types = types, .n_tokens = n, .bos = -1, .eos = k.end, .eot = -1, .unk = -1};
	sn_error err = {0};
	if (vocab_open(&k.v, &c, &err) != SN_OK)
		fail_msg("%s", err.text);
	assert_int_equal(token_trie_open(&k.trie, k.v, &err), SN_OK);
	return k;
}

static void close_kit(kit *k)
{
	token_trie_close(&k->trie);
	vocab_close(&k->v);
}

static bool has(const uint32_t *bits, int32_t t)
{
	return bits[t / 32] >> (t % 32) & 1;
}

static int32_t token_of(const kit *k, str spelling)
{
	for (int32_t t = 0; (size_t)t < vocab_size(k->v); t++)
		if (str_eq(vocab_token(k->v, t), spelling))
			return t;
	return -1;
}

/* One after the other, on an automaton of its own. */
static void expect_mask(const kit *k, automaton *a, state_id at, const uint32_t *bits)
{
	for (int32_t t = 0; (size_t)t < vocab_size(k->v); t++) {
		str s = vocab_token(k->v, t);
		state_id to = at;
		for (size_t i = 0; i < s.n && to != STATE_DEAD; i++)
			to = automaton_step(a, to, (unsigned char)s.p[i]);
		bool may = vocab_is_eog(k->v, t) ? automaton_accepts(a, at) : to != STATE_DEAD && s.n && !vocab_is_control(k->v, t);
		if (has(bits, t) != may)
			fail_msg("token %d is %s", t, may ? "kept away" : "let through");
	}
}

static sn_status fill(token_mask *m, mask_place *p, uint32_t *bits, uint32_t n_vocab, sn_error *err)
{
	size_t patience = SIZE_MAX;
	bool again;
	sn_status st = token_mask_fill(m, p, bits, n_vocab, &patience, &again, err);
	assert_false(again);
	return st;
}

static int32_t pick(rng *r, const uint32_t *bits, size_t n_vocab)
{
	int32_t all[400];
	uint32_t n = 0;
	for (int32_t t = 0; (size_t)t < n_vocab; t++)
		if (has(bits, t))
			all[n++] = t;
	return n ? all[rng_below(r, n)] : -1;
}

static const char *const GRAMMARS[] = {
	JSON_GRAMMAR, "root ::= (\"yes\" | \"no\"){1,20}", "root ::= \"a\"{3,9} \"b\" root | \"\"", "root ::= \"(\" root \")\" root | \"\"",
	"root ::= .{1,40}", "root ::= \"[\" (\"a\"{2,30} | [a-b]{20,70} | item{0,40}) \"]\" root | \"\"\nitem ::= \"a\" \"b\"? | \"((\" item{1,3} \"))\"",
	"root ::= \"{\" (\"\\\"name\\\":[\" s (\",\" s){0,9} \"]},\"){1,12} \"}\"\ns ::= \"\\\"\" [a-z]{3,60} \"\\\"\"",
	"root ::= a | b\na ::= \"a\" a \"b\" | \"x\"\nb ::= \"a\" b \"c\" | \"y\"", "root ::= \"a\"* \"a\"{2,5} \"a\"*",
};
enum { N_GRAMMARS = sizeof GRAMMARS / sizeof *GRAMMARS };

static void masks_allow_what_can_follow_and_answers_fit(void **state)
{
	(void)state;
	kit k = open_kit();
	rng r = {7};
	unsigned ended = 0;
	for (size_t g = 0; g < N_GRAMMARS; g++)
		for (int round = 0; round < 30; round++) {
			grammar *gr = open_grammar(GRAMMARS[g]);
			token_mask *m;
			automaton a;
			assert_int_equal(token_mask_open(&m, gr, k.trie, TOKEN_MASK_MEMORY, NULL), SN_OK);
			assert_int_equal(automaton_init(&a, gr, NULL), SN_OK);
			state_id at = a.start;
			mask_place p = {0};
			size_t n = 0;
			for (; n < 120; n++) {
				uint32_t bits[16];
				memset(bits, 0xFF, sizeof bits);
				token_mask_catch_up(m, &p, n);
				assert_int_equal(fill(m, &p, bits, (uint32_t)vocab_size(k.v), NULL), SN_OK);
				expect_mask(&k, &a, at, bits);
				int32_t t = pick(&r, bits, vocab_size(k.v));
				assert_true(t >= 0);
				if (t == k.end)
					break;
				str s = vocab_token(k.v, t);
				for (size_t i = 0; i < s.n; i++)
					at = automaton_step(&a, at, (unsigned char)s.p[i]);
				token_mask_push(m, &p, t);
				assert_false(p.dead);
			}
			ended += n < 120;
			assert_true(token_mask_accepts(m, &p) == automaton_accepts(&a, at));
			automaton_fini(&a);
			token_mask_close(&m);
			grammar_close(&gr);
		}
	assert_true(ended > 60);
	close_kit(&k);
}

/* A mark comes where the grammar has it, not where it would be a part of any text; and nothing else spells it there. */
static void marks_come_where_they_are_meant(void **state)
{
	(void)state;
	enum { TAG = 256, OPEN, CLOSE, END, N };
	static char letters[256][5];
	static const struct { const char *said; bool strict; const char *may, *may_not; } cases[] = { /* o, c: the marks; t: "</" */
		{"", true, "o\n", "c<tax"}, {"\n", true, "o", "c<\nt"}, {"", false, "o\n<", "ctax"},
		{"<call>", true, "c<a>", "ot/"}, {"<call>a<", true, "<ac/", "ot"}, {"<call>", false, "oct<a", "/"}, {"<call>a</call>", true, "", "oct<a"},
	};
	str tokens[N] = {[TAG] = STR("</"), [OPEN] = STR("<call>"), [CLOSE] = STR("</call>"), [END] = STR("<|end|>")};
	int32_t types[N];
	for (int i = 0; i < N; i++)
		types[i] = i == OPEN ? TOKEN_USER_DEFINED : i > OPEN ? TOKEN_CONTROL : TOKEN_NORMAL;
	for (unsigned b = 0; b < 256; b++) {
		byte_alphabet(b, letters[b]);
		tokens[b] = str_of(letters[b]);
	}
	vocab_config c = {.model = "gpt2", .pre = "gpt-2", .tokens = tokens, .types = types, .n_tokens = N, .bos = -1, .eos = END, .eot = -1, .unk = -1};
	kit k = {.end = END};
	assert_int_equal(vocab_open(&k.v, &c, NULL), SN_OK);
	assert_int_equal(token_trie_open(&k.trie, k.v, NULL), SN_OK);
	grammar *g = open_grammar("root ::= \"\\n\"? \"<call>\" [^/]* \"</call>\"");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int as_tokens = 0; as_tokens < 2; as_tokens++) {
			token_mask *m;
			mask_place p = {0};
			uint32_t bits[(N + 31) / 32];
			assert_int_equal(token_mask_open(&m, g, k.trie, TOKEN_MASK_MEMORY, NULL), SN_OK);
			token_mask_show(m, (mark_set){(const int32_t[]){OPEN, CLOSE}, 2, cases[i].strict});
			token_mask_catch_up(m, &p, 0);
			for (const char *s = cases[i].said; *s;) {
				bool open = as_tokens && !strncmp(s, "<call>", 6), close = as_tokens && !strncmp(s, "</call>", 7);
				token_mask_push(m, &p, open ? OPEN : close ? CLOSE : (unsigned char)*s);
				s += open ? 6 : close ? 7 : 1;
			}
			assert_int_equal(fill(m, &p, bits, N, NULL), SN_OK);
			for (int not = 0; not < 2; not++)
				for (const char *s = not ? cases[i].may_not : cases[i].may; *s; s++)
					if (has(bits, *s == 'o' ? OPEN : *s == 'c' ? CLOSE : *s == 't' ? TAG : *s) == not)
						fail_msg("case %zu: %c", i, *s);
			token_mask_close(&m);
		}
	grammar_close(&g);
	close_kit(&k);
}

/* Deeper than outlines are made for, up to what is not offered any more. */
static void masks_are_right_where_nesting_ends(void **state)
{
	(void)state;
	kit k = open_kit();
	static const char *const grammars[] = {"root ::= \"(\" root \")\" | \"a\"{0,3}", "root ::= x \"!\"\nx ::= (\"((\" x \"))\"){1,2} | y\ny ::= \"()\"{2,3} z\nz ::= \"a\" x \"b\" | \"\""};
	for (size_t i = 0; i < 2; i++)
		for (int step = 0; step < 2; step++) {
			grammar *g = open_grammar(grammars[i]);
			token_mask *m;
			automaton a;
			assert_int_equal(token_mask_open(&m, g, k.trie, TOKEN_MASK_MEMORY, NULL), SN_OK);
			assert_int_equal(automaton_init(&a, g, NULL), SN_OK);
			state_id at = a.start;
			mask_place p = {0};
			int32_t open = token_of(&k, STR("(("));
			size_t n = 0, refused = 0;
			for (; n < 400; n++) {
				uint32_t bits[16];
				token_mask_catch_up(m, &p, n);
				assert_int_equal(fill(m, &p, bits, (uint32_t)vocab_size(k.v), NULL), SN_OK);
				expect_mask(&k, &a, at, bits);
				int32_t t = step == 0 && has(bits, '(') ? '(' : has(bits, open) ? open : -1;
				refused += t < 0;
				if (t < 0) { /* out again */
					t = has(bits, ')') ? ')' : has(bits, '!') ? '!' : has(bits, '(') ? '(' : -1;
					if (t < 0 || refused > 60)
						break;
				}
				str s = vocab_token(k.v, t);
				for (size_t b = 0; b < s.n; b++)
					at = automaton_step(&a, at, (unsigned char)s.p[b]);
				token_mask_push(m, &p, t);
			}
			assert_true(n > 100 && refused);
			automaton_fini(&a);
			token_mask_close(&m);
			grammar_close(&g);
		}
	close_kit(&k);
}

/* A walk that is cut into parts of a few nodes gives the same mask; also when another answer asks in between. */
static void masks_made_in_parts_are_the_same(void **state)
{
	(void)state;
	kit k = open_kit();
	rng r = {9};
	for (size_t g = 0; g < N_GRAMMARS; g++) {
		grammar *gr = open_grammar(GRAMMARS[g]);
		token_mask *whole, *parts;
		assert_int_equal(token_mask_open(&whole, gr, k.trie, TOKEN_MASK_MEMORY, NULL), SN_OK);
		assert_int_equal(token_mask_open(&parts, gr, k.trie, TOKEN_MASK_MEMORY, NULL), SN_OK);
		mask_place p = {0}, q = {0}, other = {0};
		unsigned cuts = 0;
		for (size_t n = 0; n < 60; n++) {
			uint32_t x[16], y[16], z[16];
			bool again = true;
			token_mask_catch_up(whole, &p, n);
			token_mask_catch_up(parts, &q, n);
			token_mask_catch_up(parts, &other, 0);
			assert_int_equal(fill(whole, &p, x, (uint32_t)vocab_size(k.v), NULL), SN_OK);
			for (size_t patience; again; cuts += again) {
				patience = 40;
				assert_int_equal(token_mask_fill(parts, &other, z, (uint32_t)vocab_size(k.v), &patience, &again, NULL), SN_OK);
				patience = 40;
				assert_int_equal(token_mask_fill(parts, &q, y, (uint32_t)vocab_size(k.v), &patience, &again, NULL), SN_OK);
			}
			assert_memory_equal(x, y, (vocab_size(k.v) + 31) / 32 * sizeof *x);
			int32_t t = pick(&r, x, vocab_size(k.v));
			if (t == k.end)
				break;
			token_mask_push(whole, &p, t);
			token_mask_push(parts, &q, t);
		}
		assert_true(cuts > 5);
		token_mask_close(&whole);
		token_mask_close(&parts);
		grammar_close(&gr);
	}
	close_kit(&k);
}

static void a_small_budget_changes_no_mask(void **state)
{
	(void)state;
	kit k = open_kit();
	rng r = {3};
	for (size_t g = 0; g < N_GRAMMARS; g++) {
		grammar *gr = open_grammar(GRAMMARS[g]);
		token_mask *rich, *poor;
		assert_int_equal(token_mask_open(&rich, gr, k.trie, TOKEN_MASK_MEMORY, NULL), SN_OK);
		assert_int_equal(token_mask_open(&poor, gr, k.trie, 1, NULL), SN_OK);
		mask_place p = {0}, q = {0};
		int32_t said[100];
		for (size_t n = 0; n < 100; n++) {
			uint32_t x[16], y[16];
			memset(x, 0xFF, sizeof x);
			memset(y, 0xFF, sizeof y);
			token_mask_catch_up(rich, &p, n);
			token_mask_catch_up(poor, &q, n);
			assert_int_equal(q.n_said, 0);
			while (q.n_said < n)
				token_mask_push(poor, &q, said[q.n_said]);
			assert_int_equal(fill(rich, &p, x, (uint32_t)vocab_size(k.v), NULL), SN_OK);
			assert_int_equal(fill(poor, &q, y, (uint32_t)vocab_size(k.v), NULL), SN_OK);
			assert_memory_equal(x, y, sizeof x);
			said[n] = pick(&r, x, vocab_size(k.v));
			if (said[n] == k.end)
				break;
			token_mask_push(rich, &p, said[n]);
		}
		token_mask_close(&rich);
		token_mask_close(&poor);
		grammar_close(&gr);
	}
	close_kit(&k);
}

/* What is said is taken back: a place that is ahead begins anew. */
static void a_place_goes_back_with_its_answer(void **state)
{
	(void)state;
	kit k = open_kit();
	grammar *g = open_grammar("root ::= \"aab\"");
	token_mask *m;
	assert_int_equal(token_mask_open(&m, g, k.trie, TOKEN_MASK_MEMORY, NULL), SN_OK);
	mask_place p = {0};
	uint32_t bits[16];
	token_mask_catch_up(m, &p, 0);
	token_mask_push(m, &p, 'x'); /* does not fit */
	memset(bits, 0xFF, sizeof bits);
	sn_error err = {0};
	assert_int_equal(fill(m, &p, bits, (uint32_t)vocab_size(k.v), &err), SN_ERR_INVALID);
	token_mask_catch_up(m, &p, 0);
	assert_int_equal(fill(m, &p, bits, (uint32_t)vocab_size(k.v), &err), SN_OK);
	assert_true(has(bits, 'a') && !has(bits, 'b') && !has(bits, k.end));
	token_mask_close(&m);
	grammar_close(&g);
	close_kit(&k);
}

/* Before the grammar anything goes, also what renders as nothing; no token carries an answer past its beginning into what does not fit. */
static void a_grammar_begins_behind_what_was_asked_for(void **state)
{
	(void)state;
	kit k = open_kit();
	static const struct { const char *after, *said[6]; bool leads; const char *next, *never; } cases[] = {
		{"((", {"a", "("}, true, "a{n(", ""},
		{"((", {"(("}, false, "y", "ana("},
		{"((", {"(", "x", "(", "("}, false, "y", "a("},
		{"ab", {"aab"}, false, "y", "a"},             /* its end is in the token */
		{"aab", {"aa", "a", "b"}, false, "y", "a"},   /* aaab */
		{"aabaaa", {"aab", "aab", "aa", "a"}, false, "y", "ab"}, /* aabaabaaa: the second aab is the first of the three */
		{"<|pad|>", {"a", "<|pad|>"}, false, "y", "a"}, /* it renders as nothing, and ends what comes before */
		{"(", {"a"}, true, "(ya", ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int may_end = 0; may_end < 2; may_end++) {
			grammar *g = NULL;
			token_mask *m;
			mask_place p = {0};
			uint32_t bits[16];
			sn_error err = {0};
			const grammar_lead lead = {str_of(cases[i].after), may_end};
			assert_int_equal(grammar_open_behind(&g, STR("root ::= \"yes\""), &lead, &err), SN_OK);
			assert_int_equal(token_mask_open(&m, g, k.trie, TOKEN_MASK_MEMORY, NULL), SN_OK);
			token_mask_catch_up(m, &p, 0);
			for (size_t n = 0; n < 6 && cases[i].said[n]; n++) {
				memset(bits, 0xFF, sizeof bits);
				assert_int_equal(fill(m, &p, bits, (uint32_t)vocab_size(k.v), NULL), SN_OK);
				int32_t t = token_of(&k, str_of(cases[i].said[n]));
				if (t < 0 || !has(bits, t))
					fail_msg("%s (%d) may not be token %zu, before %s", cases[i].said[n], t, n, cases[i].after);
				token_mask_push(m, &p, t);
				token_mask_catch_up(m, &p, n + 1);
			}
			memset(bits, 0xFF, sizeof bits);
			assert_int_equal(fill(m, &p, bits, (uint32_t)vocab_size(k.v), NULL), SN_OK);
			assert_int_equal(has(bits, k.end + 1), cases[i].leads); /* what renders as nothing */
			assert_int_equal(has(bits, k.end), cases[i].leads && may_end);
			for (const char *c = cases[i].next; *c; c++)
				assert_true(has(bits, (unsigned char)*c));
			for (const char *c = cases[i].never; *c; c++)
				assert_false(has(bits, (unsigned char)*c));
			token_mask_close(&m);
			grammar_close(&g);
		}
	/* A token that would say the end and more may come if the grammar can go on with that. */
	grammar *g = NULL;
	token_mask *m;
	mask_place p = {0};
	uint32_t bits[16];
	const grammar_lead lead = {STR("}"), false};
	assert_int_equal(grammar_open_behind(&g, STR("root ::= \",\""), &lead, NULL), SN_OK);
	assert_int_equal(token_mask_open(&m, g, k.trie, TOKEN_MASK_MEMORY, NULL), SN_OK);
	token_mask_catch_up(m, &p, 0);
	memset(bits, 0xFF, sizeof bits);
	assert_int_equal(fill(m, &p, bits, (uint32_t)vocab_size(k.v), NULL), SN_OK);
	assert_true(has(bits, token_of(&k, STR("\"}"))) && !has(bits, token_of(&k, STR("}}"))) && has(bits, token_of(&k, STR("null"))));
	token_mask_close(&m);
	grammar_close(&g);
	char long_mark[GRAMMAR_MAX_AFTER + 1];
	memset(long_mark, 'x', sizeof long_mark);
	assert_int_equal(grammar_open_behind(&g, STR("root ::= \",\""), &(grammar_lead){{long_mark, sizeof long_mark}, false}, NULL), SN_ERR_UNSUPPORTED);
	close_kit(&k);
}

/* Two ways through every letter: the sets stay small, because equal places are one; and what cannot stay small fails instead of taking
 * the engine's time. */
static void ambiguity_is_bounded(void **state)
{
	(void)state;
	kit k = open_kit();
	grammar *g = open_grammar("root ::= ((\"a\" | \"a\" \"a\" | \"aa\"?)*)* \"b\"");
	static const char many[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
	assert_true(fits_grammar(g, many, sizeof many - 1));
	grammar_close(&g);
	g = open_grammar("root ::= s \"!\"\ns ::= \"a\" s \"b\" | \"a\" s \"c\" | \"a\" s s | \"a\"");
	token_mask *m;
	assert_int_equal(token_mask_open(&m, g, k.trie, TOKEN_MASK_MEMORY, NULL), SN_OK);
	mask_place p = {0};
	sn_status st = SN_OK;
	double from = seconds();
	for (size_t n = 0; n < 200 && st == SN_OK; n++) {
		uint32_t bits[16];
		memset(bits, 0xFF, sizeof bits);
		token_mask_catch_up(m, &p, n);
		while (p.n_said < n)
			token_mask_push(m, &p, 'a');
		st = fill(m, &p, bits, (uint32_t)vocab_size(k.v), NULL);
	}
	assert_int_equal(st, SN_ERR_UNSUPPORTED);
	assert_true(seconds() - from < 2);
	token_mask_close(&m);
	grammar_close(&g);
	close_kit(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_fit_or_do_not),
		cmocka_unit_test(json_fits_as_deep_as_answers_go),
		cmocka_unit_test(classes_hold_what_they_say),
		cmocka_unit_test(broken_grammars_are_refused_with_their_line),
		cmocka_unit_test(large_grammars_are_refused_in_time),
		cmocka_unit_test(masks_allow_what_can_follow_and_answers_fit),
		cmocka_unit_test(marks_come_where_they_are_meant),
		cmocka_unit_test(masks_are_right_where_nesting_ends),
		cmocka_unit_test(masks_made_in_parts_are_the_same),
		cmocka_unit_test(a_small_budget_changes_no_mask),
		cmocka_unit_test(a_place_goes_back_with_its_answer),
		cmocka_unit_test(a_grammar_begins_behind_what_was_asked_for),
		cmocka_unit_test(ambiguity_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
