/* grammar_fits.h - does a whole text fit a grammar? */
#ifndef SN_TESTS_GRAMMAR_FITS_H
#define SN_TESTS_GRAMMAR_FITS_H

#include "unit.h"

#include "grammar/automaton.h"

static inline bool fits_grammar(const grammar *g, const char *text, size_t n)
{
	automaton a;
	assert_int_equal(automaton_init(&a, g, NULL), SN_OK);
	state_id s = a.start;
	for (size_t i = 0; i < n && s != STATE_DEAD; i++)
		s = automaton_step(&a, s, (unsigned char)text[i]);
	assert_int_equal(a.trouble, AUTOMATON_FINE);
	bool fits = s != STATE_DEAD && automaton_accepts(&a, s);
	automaton_fini(&a);
	return fits;
}

static inline bool fits_text(const grammar *g, const char *text)
{
	return fits_grammar(g, text, strlen(text));
}

#endif
