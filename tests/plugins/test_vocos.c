/* test_vocos.c - vocos against the decoder of samples/training/voice.py, and the promises that every decoder keeps (what its file
 * may say: test_vocos_file.c). */
#include "synth_case.h"

static const synth_case VOCOS = {"vocos", 12, 1, 4, {1, 2, 9, 40}};

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_prestate(its_sound_is_the_references, (void *)(uintptr_t)&VOCOS),
	    cmocka_unit_test_prestate(chunks_and_units_change_no_sample, (void *)(uintptr_t)&VOCOS),
	    cmocka_unit_test_prestate(company_changes_no_sample, (void *)(uintptr_t)&VOCOS),
	    cmocka_unit_test_prestate(jobs_that_cannot_be_are_refused, (void *)(uintptr_t)&VOCOS),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
