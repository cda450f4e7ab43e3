/* test_text_sentences.c - promises of the cutting of text into what is spoken at a time. */
#include "unit.h"

#include "text/sentences.h"
#include "text/unicode.h"

enum { MAX_PARTS = 64 };

struct parts {
	size_t n;
	char at[MAX_PARTS][512];
};

static void take(sentences *s, struct parts *out)
{
	str got;
	while (sentences_next(s, &got)) {
		assert_true(out->n < MAX_PARTS && got.n < sizeof out->at[0]);
		memcpy(out->at[out->n], got.p, got.n);
		out->at[out->n++][got.n] = 0;
	}
}

/* In pieces of at most `step` bytes, taken as they come; 0: all at once. */
static struct parts cut(const char *text, size_t max, size_t step, rng *r)
{
	static struct parts out;
	sentences s;
	out.n = 0;
	sentences_init(&s, max);
	for (size_t i = 0, n = strlen(text), k; i < n; i += k) {
		k = step ? rng_between(r, 1, (uint32_t)step) : n;
		k = k < n - i ? k : n - i;
		assert_true(sentences_push(&s, text + i, k));
		take(&s, &out);
	}
	sentences_finish(&s);
	take(&s, &out);
	sentences_fini(&s);
	return out;
}

/* want: parts with | between them. Every way in which the text may come in gives the same. */
static void check(const char *text, size_t max, const char *want)
{
	rng r = {1};
	for (int round = 0; round < 12; round++) {
		struct parts p = cut(text, max, round < 1 ? 0 : round < 3 ? 1 : (size_t)round, &r);
		char got[4096] = "";
		for (size_t i = 0; i < p.n; i++) {
			strcat(got, i ? "|" : "");
			strcat(got, p.at[i]);
			assert_true(strlen(p.at[i]) <= max);
		}
		if (strcmp(got, want) != 0)
			fail_msg("round %d:\n%s\n%s", round, got, want);
	}
}

static void sentences_end_at_their_marks(void **state)
{
	(void)state;
	check("One. Two! Three? Four\xE2\x80\xA6 Five", 100, "One.|Two!|Three?|Four\xE2\x80\xA6|Five");
	check("Really?! Yes... No.", 100, "Really?!|Yes...|No.");
	check("\"Come in.\" She sat. (He stood.) Then", 100, "\"Come in.\"|She sat.|(He stood.)|Then");
	check("  blanks \t and\nlines   are one.\r\n Next", 100, "blanks and lines are one.|Next");
	check("a title\n\nA line without end\n \n- more", 100, "a title|A line without end|- more");
	check("\xE4\xBD\xA0\xE5\xA5\xBD\xE3\x80\x82\xE8\xB0\xA2\xE8\xB0\xA2\xEF\xBC\x81ok", 100,
	      "\xE4\xBD\xA0\xE5\xA5\xBD\xE3\x80\x82|\xE8\xB0\xA2\xE8\xB0\xA2\xEF\xBC\x81|ok");
}

static void points_that_end_nothing(void **state)
{
	(void)state;
	check("Dr. Who met Mr. J. Smith at 3.14 p.m. Then", 100, "Dr. Who met Mr. J. Smith at 3.14 p.m. Then");
	check("It costs 4.50 now. Buy e.g. Apples, i.e. Fruit, in the U.S. Army.", 100, "It costs 4.50 now.|Buy e.g. Apples, i.e. Fruit, in the U.S. Army.");
	check("See no. 5 and fig. 12. No. Yes.", 100, "See no. 5 and fig. 12. No.|Yes.");
	check("Am 3. Mai kam Hr. Meier, z.B. Anna. Ende", 100, "Am 3. Mai kam Hr. Meier, z.B. Anna.|Ende");
	check("apples, pears etc. are fruit. Ask Inc. about it. See www.example.org!x now.", 100,
	      "apples, pears etc. are fruit.|Ask Inc. about it.|See www.example.org!x now.");
	check("\"Stop!\" he said. \"Why?\" she asked.", 100, "\"Stop!\" he said.|\"Why?\" she asked.");
	check("So do I. He went in 1984. Then", 100, "So do I.|He went in 1984.|Then");
}

static void long_ones_are_cut_at_clauses_then_words_then_characters(void **state)
{
	(void)state;
	check("one two three, four five six, seven eight nine ten.", 30, "one two three, four five six,|seven eight nine ten.");
	check("one two three four five six seven eight", 20, "one two three four|five six seven eight");
	check("a, bcdefghijklmnop qrstu vwx", 20, "a, bcdefghijklmnop|qrstu vwx");
	check("abcdefghijklmnopqrstuvwxyz0123456789", 16, "abcdefghijklmnop|qrstuvwxyz012345|6789");
	check("x\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4", 16, "x\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4|\xC3\xA4");
	check("exactly sixteen. And", 16, "exactly sixteen.|And");
	check("exactly sixteen\n\nAnd", 16, "exactly sixteen|And");
}

static void what_says_nothing_is_left_out(void **state)
{
	(void)state;
	check("", 100, "");
	check(" \n\n\t ", 100, "");
	check("... !!! \xE2\x80\x94", 100, "");
	check("--- \n\n One. ***\n\n*** Two", 100, "One.|*** Two");
	check("caf\xC3", 100, "caf\xEF\xBF\xBD");
	check("a\xFF" "b \x80.", 100, "a\xEF\xBF\xBD" "b \xEF\xBF\xBD.");
}

static void one_is_told_as_soon_as_it_is_known_to_be_whole(void **state)
{
	(void)state;
	static const struct { const char *piece, *told; } script[] = {
	    {"Hello", NULL}, {" there", NULL}, {".", NULL}, {" ", NULL}, {"H", "Hello there."}, {"ow? ", NULL}, {"\n", NULL},
	    {"\nA", "How?"}, {"t 3", NULL}, {".", NULL}, {"5 it ends!\" ", NULL}, {"he", NULL},
	};
	sentences s;
	str got;
	sentences_init(&s, 100);
	for (size_t i = 0; i < sizeof script / sizeof *script; i++) {
		assert_true(sentences_push(&s, script[i].piece, strlen(script[i].piece)));
		bool told = sentences_next(&s, &got);
		if (told != !!script[i].told || (told && !str_eq(got, str_of(script[i].told))))
			fail_msg("%zu: %.*s", i, told ? (int)got.n : 0, told ? got.p : "");
	}
	sentences_finish(&s);
	assert_true(sentences_next(&s, &got));
	assert_true(str_eq(got, STR("At 3.5 it ends!\" he")));
	assert_false(sentences_next(&s, &got));
	sentences_fini(&s);
}

static bool is_word(char c)
{
	return (unsigned)((c | 32) - 'a') < 26 || (unsigned)(c - '0') < 10;
}

/* Any text, however it comes in: the same parts, none too long, all valid UTF-8, no word lost. */
static void no_word_is_ever_lost(void **state)
{
	(void)state;
	static const char *const bits[] = {"a", "Be", "word", "Dr.", "e.g.", "3", ".", "!", "?", "\xE2\x80\xA6", " ", " ", " ", "\n", "\n\n", ",", ";",
	                                   "\"", ")", "\xC3\xA9t\xC3\xA9", "\xE3\x80\x82", "\xE4\xBD\xA0", "\xF0\x9F\x98\x80", "12.5", "extraordinarily", "Z", "-", "\xE2\x80\x94"};
	rng r = {7};
	for (int round = 0; round < 3000; round++) {
		char text[400] = "", want[1200] = "", got[1200] = "";
		for (uint32_t n = rng_below(&r, 40); n > 0; n--)
			strcat(text, bits[rng_below(&r, sizeof bits / sizeof *bits)]);
		size_t max = rng_between(&r, 16, 60);
		struct parts whole = cut(text, max, 0, &r);
		for (int again = 0; again < 4; again++) {
			struct parts p = cut(text, max, 1 + (size_t)again * 3, &r);
			assert_int_equal(p.n, whole.n);
			for (size_t i = 0; i < p.n; i++)
				assert_string_equal(p.at[i], whole.at[i]);
		}
		size_t n_want = 0, n_got = 0;
		for (const char *c = text; *c; c++)
			if (is_word(*c))
				want[n_want++] = *c;
		for (size_t i = 0; i < whole.n; i++) {
			assert_true(strlen(whole.at[i]) <= max && strlen(whole.at[i]) > 0);
			for (size_t k = 0, n = strlen(whole.at[i]); k < n;) {
				uint32_t cp;
				int step = utf8_decode(whole.at[i] + k, n - k, &cp);
				assert_true(step > 0);
				k += (size_t)step;
			}
			for (const char *c = whole.at[i]; *c; c++)
				if (is_word(*c))
					got[n_got++] = *c;
		}
		assert_string_equal(got, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sentences_end_at_their_marks),
	    cmocka_unit_test(points_that_end_nothing),
	    cmocka_unit_test(long_ones_are_cut_at_clauses_then_words_then_characters),
	    cmocka_unit_test(what_says_nothing_is_left_out),
	    cmocka_unit_test(one_is_told_as_soon_as_it_is_known_to_be_whole),
	    cmocka_unit_test(no_word_is_ever_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
