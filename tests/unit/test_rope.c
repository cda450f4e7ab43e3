/* test_rope.c - RoPE's kinds: from config.json to frequencies, beside what transformers makes of the same (tests/golden/rope). */
#include "hf_dir_kit.h"

#include <math.h>

#include "model/arch.h"

enum { LINE = 1 << 14, MAX_HALF = 256 };

/* Every step here is rounded as it is there; only a power may come out one unit of the last place beside theirs. */
enum { ULPS = 1 };

static void fresh_phi(const char *rest)
{
	empty_directory();
	weights w = {.dtype = "F32"};
	static const char *const norms[] = {"input_layernorm", "post_attention_layernorm"};
	char name[96];
	add(&w, "model.embed_tokens.weight", VOCAB, WIDTH);
	add(&w, "model.norm.weight", WIDTH, 0);
	add(&w, "lm_head.weight", VOCAB, WIDTH);
	for (int i = 0; i < LAYERS; i++) {
		for (int k = 0; k < 2; k++) {
			snprintf(name, sizeof name, "model.layers.%d.%s.weight", i, norms[k]);
			add(&w, name, WIDTH, 0);
		}
		static const char *const parts[] = {"self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"};
		for (int k = 0; k < 4; k++) {
			snprintf(name, sizeof name, "model.layers.%d.%s.weight", i, parts[k]);
			add(&w, name, WIDTH, WIDTH);
		}
	}
	write_weights(&w);
	write_config("Phi3ForCausalLM", "phi3", rest);
}

/* The file's tensor, as floats; only those that were made of config.json hold any. */
static const float *floats_of(const model_file *f, const char *name)
{
	const file_tensor *t = file_tensor_find(f, name);
	return t ? (const float *)t->data : NULL;
}

static uint32_t ulps(float a, float b)
{
	uint32_t x, y;
	memcpy(&x, &a, 4);
	memcpy(&y, &b, 4);
	return x > y ? x - y : y - x;
}

static void every_kind_is_transformers_own(void **state)
{
	(void)state;
	static char class[64], rest[LINE], numbers[256], values[LINE];
	FILE *in = fopen(GOLDEN_DIR "/cases.txt", "r");
	uint32_t n_cases = 0, n_values = 0, n_equal = 0, worst = 0, kinds = 0;
	assert_non_null(in);
	for (; fgets(class, sizeof class, in); n_cases++) {
		float inv[MAX_HALF], attention;
		uint32_t longest, n;
		hparams h;
		sn_error err = {0};
		assert_true(fgets(rest, sizeof rest, in) && fgets(numbers, sizeof numbers, in) && fgets(values, sizeof values, in));
		assert_int_equal(sscanf(numbers, "%u %a %u", &longest, &attention, &n), 3);
		rest[strcspn(rest, "\n")] = 0;
		(*class == 'P' ? fresh_phi : fresh_llama)(rest);
		model_file *f = opened();
		if (hparams_read(&h, f, &err) != SN_OK)
			fail_msg("%s: %s", rest, err.text);
		h.rope.divisors[0] = floats_of(f, "rope_factors_short.weight");
		h.rope.divisors[1] = floats_of(f, "rope_factors_long.weight");
		kinds |= 1u << h.rope.kind;
		assert_int_equal(h.n_rot, 2 * n);
		rope_frequencies(inv, h.n_rot, &h.rope, longest);
		if (ulps(h.rope.attention, attention) != 0)
			fail_msg("%s: cos and sin are multiplied by %.9g, expected %.9g", rest, (double)h.rope.attention, (double)attention);
		char *at = values;
		for (uint32_t i = 0; i < n; i++, n_values++) {
			float want = strtof(at, &at);
			uint32_t off = ulps(inv[i], want);
			n_equal += off == 0;
			worst = off > worst ? off : worst;
			if (off > ULPS)
				fail_msg("%s: frequency %u is %.9g, expected %.9g", rest, i, (double)inv[i], (double)want);
		}
		model_file_close(&f);
	}
	fclose(in);
	assert_int_equal(kinds, (1u << ROPE_KINDS) - 1);
	print_message("%u cases: %u of %u frequencies equal, the worst %u units of the last place off\n", n_cases, n_equal, n_values, worst);
}

/* A sequence's own length decides nothing: neither kind's frequencies change while it grows. */
static void what_depends_on_length_is_chosen_once(void **state)
{
	(void)state;
	float a[4], b[4];
	const float near[4] = {1, 1, 1, 1}, far[4] = {2, 3, 4, 5};
	rope_params p = {.kind = ROPE_LONGROPE, .base = 1e4f, .n_original = 64, .attention = 1, .divisors = {near, far}};
	rope_frequencies(a, 8, &p, 64);
	rope_frequencies(b, 8, &p, 65);
	for (int i = 0; i < 4; i++)
		assert_true(fabsf(b[i] * far[i] / a[i] - 1) < 1e-6f);
	const rope_params plain = {.base = 1e4f, .attention = 1}, dynamic = {.kind = ROPE_DYNAMIC, .base = 1e4f, .factor = 4, .n_original = 64, .attention = 1};
	rope_frequencies(a, 8, &plain, 64);
	rope_frequencies(b, 8, &dynamic, 64); /* a context is never longer than the model's own */
	assert_memory_equal(a, b, sizeof a);
	rope_frequencies(b, 8, &dynamic, 65);
	assert_true(memcmp(a, b, sizeof a) != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind_is_transformers_own),
	    cmocka_unit_test(what_depends_on_length_is_chosen_once),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
