/* grammar.c - a client's grammar: refused, or a program whose states can be walked. The second half of the input is what is said: it fits, it
 * does not, or it is too ambiguous. */
#include "fuzz.h"
#include "grammar/automaton.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	grammar *g = NULL;
	sn_error err = {0};
	size_t n = size;
	for (size_t i = 0; i < size; i++) /* a NUL divides them */
		if (data[i] == 0) {
			n = i;
			break;
		}
	if (grammar_open(&g, (str){(const char *)data, n}, &err) != SN_OK) {
		FUZZ_PROMISE(!g && *err.text);
		return 0;
	}
	automaton a;
	if (automaton_init(&a, g, &err) == SN_OK) {
		FUZZ_PROMISE(a.start != STATE_DEAD); /* every rule fits some text */
		state_id s = a.start;
		for (size_t i = n + 1; i < size && s != STATE_DEAD; i++)
			s = automaton_step(&a, s, data[i]);
		FUZZ_PROMISE(a.trouble || s < a.n_states);
		automaton_fini(&a);
	}
	grammar_close(&g);
	return 0;
}
