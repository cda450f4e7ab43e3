/* test_snac.c - snac against its own package, what Orpheus is told, and files that are not right. */
#include "synth_case.h"

static const synth_case SNAC = {"snac", 24, 7, 4, {1, 2, 9, 40}};

static void orpheus_is_described(void **state)
{
	(void)state;
	served s;
	char name[32];
	assert_int_equal(serve(&s, &SNAC, miniature(&SNAC), 1, 0), SN_RC_OK);
	const sn_speaker *a = s.speak->describe(s.instance);
	const sn_synth_info *i = s.synth->describe(s.instance);
	assert_string_equal(a->voices[0].name, "tara");
	assert_true(a->n_voices == 8 && a->n_slots == 7 && a->bos == 1 && a->n_end_tokens == 1);
	assert_string_equal(a->end_tokens[0], "<custom_token_2>");
	for (uint32_t k = 0; k < 7; k++) {
		snprintf(name, sizeof name, "<custom_token_%u>", 10 + 64 * k);
		assert_string_equal(a->slots[k].first_token, name);
		assert_int_equal(a->slots[k].n, 64);
	}
	assert_true(i->rate == 24000 && i->n_codes == 7 && i->frame_samples == 24 && !i->offline && i->max_frames >= a->max_frames);
	dismiss(&s);
}

/* ---- files that are not right ---- */

/* A file of keys alone: what is wrong with them is said before any tensor is asked for. */
static const char *keys_alone(const char *odd, uint32_t value)
{
	static const struct { const char *key; uint32_t value; } numbers[] = {
	    {"snac.sampling_rate", 24000}, {"snac.latent_dim", 20}, {"snac.decoder_dim", 24}, {"snac.codebook_size", 64}, {"snac.codebook_dim", 4}};
	gguf g = gguf_new();
	key_str(&g, "general.architecture", "snac");
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (strcmp(odd, numbers[i].key) != 0 || value)
			key_u32(&g, numbers[i].key, strcmp(odd, numbers[i].key) == 0 ? value : numbers[i].value);
	key_array(&g, "snac.decoder_rates", FILE_U32, 2);
	put(&g.keys, ((uint32_t[]){strcmp(odd, "snac.decoder_rates[0]") == 0 ? value : 3, 2}), 8);
	key_array(&g, "snac.vq_strides", FILE_U32, 3);
	put(&g.keys, ((uint32_t[]){4, strcmp(odd, "snac.vq_strides[1]") == 0 ? value : 2, strcmp(odd, "snac.vq_strides:") == 0 ? value : 1}), 12);
	if (strcmp(odd, "snac.attn_window_size") == 0)
		key_u32(&g, odd, value);
	bytes f = gguf_bytes(&g);
	scratch_write("keys.gguf", f.p, f.n);
	free(f.p);
	return scratch_path("keys.gguf");
}

static void wrong_files_are_refused_by_name(void **state)
{
	(void)state;
	const struct { const char *name; uint32_t value; sn_rc rc; } cases[] = {
	    {"snac.sampling_rate", 0, SN_RC_INVALID},      {"snac.sampling_rate", 100, SN_RC_INVALID},    {"snac.latent_dim", 1u << 31, SN_RC_INVALID},
	    {"snac.decoder_dim", 26, SN_RC_INVALID},       {"snac.codebook_size", 0, SN_RC_INVALID},      {"snac.codebook_dim", 100000, SN_RC_INVALID},
	    {"snac.decoder_rates[0]", 0, SN_RC_INVALID},   {"snac.decoder_rates[0]", 17, SN_RC_INVALID},  {"snac.vq_strides[1]", 3, SN_RC_INVALID},
	    {"snac.vq_strides[1]", 4, SN_RC_INVALID},      {"snac.vq_strides:", 2, SN_RC_INVALID},        {"snac.attn_window_size", 32, SN_RC_UNSUPPORTED},
	    {"tensor q.0.codebook.weight", 1, SN_RC_INVALID}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		served s;
		synth_fault.text[0] = 0;
		sn_rc rc = serve(&s, &SNAC, keys_alone(cases[i].name, cases[i].value), 1, 0);
		const char *name = strcmp(cases[i].name, "snac.vq_strides:") == 0 ? "snac.vq_strides" : cases[i].name;
		if (rc != cases[i].rc || !strstr(synth_fault.text, name))
			fail_msg("%s = %u: %d, \"%s\"", cases[i].name, cases[i].value, rc, synth_fault.text);
		dismiss(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_prestate(its_sound_is_the_references, (void *)(uintptr_t)&SNAC),
	    cmocka_unit_test_prestate(chunks_and_units_change_no_sample, (void *)(uintptr_t)&SNAC),
	    cmocka_unit_test_prestate(company_changes_no_sample, (void *)(uintptr_t)&SNAC),
	    cmocka_unit_test_prestate(jobs_that_cannot_be_are_refused, (void *)(uintptr_t)&SNAC),
	    cmocka_unit_test(orpheus_is_described),
	    cmocka_unit_test(wrong_files_are_refused_by_name),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
