/* test_model_keys.c - what a GGUF file's keys and tensors must mean before a model opens: a llama in miniature, and what is
 * twisted in it. Each refusal names the file, the key or tensor, and the value. */
#include "gguf_bytes.h"

#include <math.h>

#include "model/model.h"

#define ODD "odd.gguf"

enum { HIDDEN = 32, FFN = 64, HEADS = 4, KV_HEADS = 2, VOCAB = 20 };

typedef struct twist {
	const char *name;     /* key or tensor */
	enum { KEEP, DROP, AS_U32, AS_I32, AS_U64, AS_F32, AS_STRING, AS_BOOL, AS_ARRAY, SHAPE, TYPE } how;
	double v;
	const char *s;        /* AS_STRING */
	const char *expected; /* beside the name */
} twist;

static const twist *TWIST;

/* Writes the twisted form of a key; false: write it as it is. */
static bool twisted(gguf *g, const char *name)
{
	const twist *t = TWIST;
	if (!t || strcmp(t->name, name))
		return false;
	switch (t->how) {
	case DROP: break;
	case AS_U32: key_u32(g, name, (uint32_t)t->v); break;
	case AS_I32: key_head(g, name, FILE_I32), put32(&g->keys, (uint32_t)(int32_t)t->v); break;
	case AS_U64: key_head(g, name, FILE_U64), put64(&g->keys, t->v < 0 ? UINT64_MAX : (uint64_t)t->v); break;
	case AS_F32: key_f32(g, name, (float)t->v); break;
	case AS_STRING: key_str(g, name, t->s); break;
	case AS_BOOL: key_head(g, name, FILE_BOOL), put(&g->keys, "\1", 1); break;
	case AS_ARRAY: key_array(g, name, FILE_U32, (uint64_t)t->v); for (int i = 0; i < t->v; i++) put32(&g->keys, 1); break;
	default: return false;
	}
	return true;
}

static void llama_u32(gguf *g, const char *name, uint32_t v) { if (!twisted(g, name)) key_u32(g, name, v); }
static void llama_f32(gguf *g, const char *name, float v) { if (!twisted(g, name)) key_f32(g, name, v); }
static void llama_str(gguf *g, const char *name, const char *v) { if (!twisted(g, name)) key_str(g, name, v); }

static void llama_tensor(gguf *g, const char *name, uint64_t n_in, uint64_t n_out)
{
	const twist *t = TWIST && !strcmp(TWIST->name, name) ? TWIST : NULL;
	if (t && t->how == DROP)
		return;
	if (t && t->how == SHAPE)
		n_in = (uint64_t)t->v;
	tensor(g, name, n_out ? 2 : 1, (uint64_t[]){n_in, n_out}, t && t->how == TYPE ? (uint32_t)t->v : 0);
}

static bytes llama(void)
{
	gguf g = gguf_new();
	llama_str(&g, "general.architecture", "llama");
	llama_u32(&g, "llama.block_count", 1);
	llama_u32(&g, "llama.embedding_length", HIDDEN);
	llama_u32(&g, "llama.feed_forward_length", FFN);
	llama_u32(&g, "llama.attention.head_count", HEADS);
	llama_u32(&g, "llama.attention.head_count_kv", KV_HEADS);
	llama_u32(&g, "llama.context_length", 256);
	llama_u32(&g, "llama.rope.dimension_count", HIDDEN / HEADS);
	llama_f32(&g, "llama.rope.freq_base", 10000);
	llama_f32(&g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	llama_str(&g, "tokenizer.ggml.model", "gpt2");
	llama_str(&g, "tokenizer.ggml.pre", "smollm");
	if (!twisted(&g, "tokenizer.ggml.tokens")) {
		uint64_t n = TWIST && !strcmp(TWIST->name, "n_tokens") ? (uint64_t)TWIST->v : VOCAB;
		key_array(&g, "tokenizer.ggml.tokens", FILE_STRING, n);
		for (uint64_t i = 0; i < n; i++)
			put_strn(&g.keys, (char[]){(char)('A' + i)}, 1);
	}
	if (!twisted(&g, "tokenizer.ggml.token_type")) {
		uint64_t n = TWIST && !strcmp(TWIST->name, "n_tokens") ? (uint64_t)TWIST->v : VOCAB;
		key_array(&g, "tokenizer.ggml.token_type", FILE_I32, n);
		for (uint64_t i = 0; i < n; i++)
			put32(&g.keys, TOKEN_NORMAL);
	}
	llama_u32(&g, "tokenizer.ggml.bos_token_id", 1);
	llama_u32(&g, "tokenizer.ggml.eos_token_id", 2);
	llama_u32(&g, "tokenizer.ggml.unknown_token_id", 0);
	static const char *const optional[] = {"llama.expert_count", "llama.attention.key_length", "llama.attention.value_length", "llama.rope.scaling.type",
	                                       "tokenizer.ggml.eot_token_id", "tokenizer.ggml.merges"};
	for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
		twisted(&g, optional[i]);
	llama_tensor(&g, "token_embd.weight", HIDDEN, VOCAB);
	llama_tensor(&g, "output_norm.weight", HIDDEN, 0);
	llama_tensor(&g, "blk.0.attn_norm.weight", HIDDEN, 0);
	llama_tensor(&g, "blk.0.ffn_norm.weight", HIDDEN, 0);
	llama_tensor(&g, "blk.0.attn_q.weight", HIDDEN, HIDDEN);
	llama_tensor(&g, "blk.0.attn_k.weight", HIDDEN, HIDDEN / HEADS * KV_HEADS);
	llama_tensor(&g, "blk.0.attn_v.weight", HIDDEN, HIDDEN / HEADS * KV_HEADS);
	llama_tensor(&g, "blk.0.attn_output.weight", HIDDEN, HIDDEN);
	llama_tensor(&g, "blk.0.ffn_gate.weight", HIDDEN, FFN);
	llama_tensor(&g, "blk.0.ffn_up.weight", HIDDEN, FFN);
	llama_tensor(&g, "blk.0.ffn_down.weight", FFN, HIDDEN);
	static const char *const extra[] = {"blk.1.attn_q.weight", "blk.0.attn_q_norm.weight", "blk.0.attn_norm.bias", "blk.+0.attn_q.weight",
	                                    "rope_freqs.weight", "mystery"};
	for (size_t i = 0; i < sizeof extra / sizeof *extra; i++)
		if (TWIST && !strcmp(TWIST->name, extra[i]))
			llama_tensor(&g, extra[i], HIDDEN, 0);
	return gguf_bytes(&g);
}

static sn_status open_llama(const twist *t, sn_error *err)
{
	static pool *threads;
	ops o;
	model *m = NULL;
	TWIST = t;
	bytes b = llama();
	scratch_write(ODD, b.p, b.n);
	free(b.p);
	assert_int_equal(pool_open(&threads, 1, NULL), SN_OK);
	ops_init(&o, threads, KN_ISA_REF);
	*err = (sn_error){0};
	sn_status st = model_open(&m, scratch_path(ODD), NULL, SN_KV_AUTO, &o, err);
	if (st == SN_OK)
		assert_int_equal(m->h.n_vocab, VOCAB);
	else
		assert_null(m);
	model_close(&m);
	ops_fini(&o);
	pool_close(&threads);
	return st;
}

static void the_miniature_itself_is_accepted(void **state)
{
	(void)state;
	static const twist harmless[] = {
	    {.name = "nothing"},
	    {.name = "llama.attention.head_count_kv", .how = AS_U64, .v = 2},
	    {.name = "llama.rope.dimension_count", .how = DROP},
	    {.name = "llama.rope.freq_base", .how = DROP},
	    {.name = "llama.rope.scaling.type", .how = AS_STRING, .s = "none"},
	    {.name = "llama.expert_count", .how = AS_U32, .v = 0},
	    {.name = "tokenizer.ggml.token_type", .how = DROP},
	    {.name = "tokenizer.ggml.bos_token_id", .how = DROP},
	    {.name = "n_tokens", .v = VOCAB - 2}, /* padding rows of the embedding */
	};
	sn_error err;
	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
		if (open_llama(&harmless[i], &err) != SN_OK)
			fail_msg("%s: %s", harmless[i].name, err.text);
}

static void refuse_twists(const twist *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sn_error err;
		if (open_llama(&t[i], &err) == SN_OK)
			fail_msg("%s (%d, %g): was accepted", t[i].name, t[i].how, t[i].v);
		check_text(&err, ODD);
		if (strcmp(t[i].name, "n_tokens") && !strstr(err.text, t[i].name))
			fail_msg("\"%s\" does not name %s", err.text, t[i].name);
		if (!strstr(err.text, t[i].expected))
			fail_msg("%s: \"%s\" does not say \"%s\"", t[i].name, err.text, t[i].expected);
	}
}

static void sizes_out_of_range_are_refused_by_key_and_value(void **state)
{
	(void)state;
	static const struct { const char *name; bool required; } keys[] = {
	    {"llama.block_count", true},          {"llama.embedding_length", true},       {"llama.feed_forward_length", true},
	    {"llama.attention.head_count", true}, {"llama.attention.head_count_kv", false}, {"llama.context_length", true},
	    {"llama.rope.dimension_count", false}, {"llama.attention.key_length", false}, {"llama.attention.value_length", false},
	};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const twist bad[] = {
		    {.name = keys[i].name, .how = AS_U32, .v = 0, .expected = ": 0 is not"},
		    {.name = keys[i].name, .how = AS_I32, .v = -1, .expected = ": -1 is not"},
		    {.name = keys[i].name, .how = AS_U32, .v = UINT32_MAX, .expected = ": 4294967295 is not"},
		    {.name = keys[i].name, .how = AS_U64, .v = -1, .expected = ": 1.84467e+19 is not"},
		    {.name = keys[i].name, .how = AS_F32, .v = 2.5, .expected = ": 2.5 is not"},
		    {.name = keys[i].name, .how = AS_STRING, .s = "2", .expected = "is not an integer"},
		    {.name = keys[i].name, .how = AS_BOOL, .expected = "is not an integer"},
		    {.name = keys[i].name, .how = AS_ARRAY, .v = 1, .expected = "per layer is not supported"},
		    {.name = keys[i].name, .how = DROP, .expected = "is missing"},
		};
		refuse_twists(bad, sizeof bad / sizeof *bad - !keys[i].required);
	}
}

static void sizes_that_do_not_fit_each_other_are_refused(void **state)
{
	(void)state;
	static const twist bad[] = {
	    {.name = "llama.attention.head_count", .how = AS_U32, .v = 3, .expected = "the 3 heads"},
	    {.name = "llama.attention.head_count_kv", .how = AS_U32, .v = 3, .expected = "3 does not divide the 4 heads"},
	    {.name = "llama.attention.head_count_kv", .how = AS_U32, .v = 5, .expected = "5 is not from 1 to 4"},
	    {.name = "llama.rope.dimension_count", .how = AS_U32, .v = 10, .expected = "10 is not from 2 to 8"},
	    {.name = "llama.rope.dimension_count", .how = AS_U32, .v = 5, .expected = "5 is odd"},
	    {.name = "llama.attention.value_length", .how = AS_U32, .v = 4, .expected = "4 differs"},
	    {.name = "llama.expert_count", .how = AS_U32, .v = 8, .expected = "8: experts"},
	};
	refuse_twists(bad, sizeof bad / sizeof *bad);
	sn_error err;
	const struct { twist t; const char *tensor; } shapes[] = { /* plausible, but not what the tensors say */
	    {{.name = "llama.embedding_length", .how = AS_U32, .v = 64}, "token_embd.weight: shape [20, 32], expected [20, 64]"},
	    {{.name = "llama.feed_forward_length", .how = AS_U32, .v = 65}, "ffn_gate.weight: shape [64, 32], expected [65, 32]"},
	    {{.name = "llama.attention.head_count_kv", .how = AS_U32, .v = 4}, "attn_k.weight: shape [16, 32], expected [32, 32]"},
	    {{.name = "llama.attention.key_length", .how = AS_U32, .v = 16}, "attn_q.weight: shape [32, 32], expected [64, 32]"},
	    {{.name = "llama.block_count", .how = AS_U32, .v = 2}, "blk.1.attn_norm.weight is missing"},
	};
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		assert_int_not_equal(open_llama(&shapes[i].t, &err), SN_OK);
		check_text(&err, ODD);
		if (!strstr(err.text, shapes[i].tensor))
			fail_msg("%s: %s", shapes[i].t.name, err.text);
	}
}

static void numbers_and_names_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	static const twist bad[] = {
	    {.name = "general.architecture", .how = DROP, .expected = "is missing"},
	    {.name = "general.architecture", .how = AS_U32, .v = 1, .expected = "general.architecture"},
	    {.name = "general.architecture", .how = AS_STRING, .s = "perceptron", .expected = "perceptron is not supported"},
	    {.name = "llama.attention.layer_norm_rms_epsilon", .how = DROP, .expected = "is missing"},
	    {.name = "llama.attention.layer_norm_rms_epsilon", .how = AS_F32, .v = 0, .expected = "0 is not above"},
	    {.name = "llama.attention.layer_norm_rms_epsilon", .how = AS_F32, .v = -1, .expected = "-1 is not above"},
	    {.name = "llama.attention.layer_norm_rms_epsilon", .how = AS_F32, .v = NAN, .expected = "nan is not above"},
	    {.name = "llama.attention.layer_norm_rms_epsilon", .how = AS_U32, .v = 1, .expected = "is not above"},
	    {.name = "llama.rope.freq_base", .how = AS_F32, .v = 0, .expected = "0 is not above"},
	    {.name = "llama.rope.freq_base", .how = AS_F32, .v = INFINITY, .expected = "inf is not above"},
	    {.name = "llama.rope.freq_base", .how = AS_STRING, .s = "x", .expected = "is not above"},
	    {.name = "llama.rope.scaling.type", .how = AS_STRING, .s = "longrope", .expected = "longrope is not supported"},
	};
	refuse_twists(bad, sizeof bad / sizeof *bad);
}

static void tensors_must_be_the_architectures(void **state)
{
	(void)state;
	static const char *const names[] = {"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight",
	                                    "blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.attn_output.weight",
	                                    "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight", "blk.0.ffn_down.weight"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const twist bad[] = {
		    {.name = names[i], .how = DROP, .expected = "is missing"},
		    {.name = names[i], .how = SHAPE, .v = 96, .expected = "96"},
		    {.name = names[i], .how = TYPE, .v = 9, .expected = "storage type Q8_1 is not supported"},
		    {.name = names[i], .how = TYPE, .v = 26, .expected = "storage type I32 is not supported"},
		};
		refuse_twists(bad, sizeof bad / sizeof *bad);
	}
	static const twist extra[] = {
	    {.name = "mystery", .expected = "has no place"},
	    {.name = "blk.1.attn_q.weight", .expected = "has no place"},
	    {.name = "blk.0.attn_q_norm.weight", .expected = "has no place"},
	    {.name = "rope_freqs.weight", .expected = "32 values, expected 4"},
	};
	refuse_twists(extra, sizeof extra / sizeof *extra);
	static const twist unbound[] = {{.name = "blk.0.attn_norm.bias"}, {.name = "blk.+0.attn_q.weight"}};
	sn_error err;
	for (int i = 0; i < 2; i++)
		assert_int_not_equal(open_llama(&unbound[i], &err), SN_OK);
}

static void token_tables_must_fit_the_model(void **state)
{
	(void)state;
	static const twist bad[] = {
	    {.name = "tokenizer.ggml.model", .how = DROP, .expected = "is missing"},
	    {.name = "tokenizer.ggml.tokens", .how = DROP, .expected = "tokens"},
	    {.name = "tokenizer.ggml.tokens", .how = AS_ARRAY, .v = VOCAB, .expected = "array of strings"},
	    {.name = "tokenizer.ggml.tokens", .how = AS_U32, .v = 1, .expected = "array of strings"},
	    {.name = "tokenizer.ggml.token_type", .how = AS_ARRAY, .v = VOCAB - 1, .expected = "19 values for 20 tokens"},
	    {.name = "tokenizer.ggml.token_type", .how = AS_ARRAY, .v = VOCAB + 1, .expected = "21 values for 20 tokens"},
	    {.name = "tokenizer.ggml.token_type", .how = AS_STRING, .s = "x", .expected = "array of integers"},
	    {.name = "tokenizer.ggml.merges", .how = AS_ARRAY, .v = 3, .expected = "array of strings"},
	    {.name = "tokenizer.ggml.bos_token_id", .how = AS_U32, .v = VOCAB, .expected = "20 is not a token of 20"},
	    {.name = "tokenizer.ggml.bos_token_id", .how = AS_I32, .v = -1, .expected = "-1 is not a token"},
	    {.name = "tokenizer.ggml.eos_token_id", .how = AS_U32, .v = UINT32_MAX, .expected = "is not a token"},
	    {.name = "tokenizer.ggml.eot_token_id", .how = AS_U32, .v = 1e6, .expected = "is not a token"},
	    {.name = "tokenizer.ggml.unknown_token_id", .how = AS_STRING, .s = "x", .expected = "is not a token"},
	    {.name = "n_tokens", .v = VOCAB + 1, .expected = "tokenizer.ggml.tokens: 21 tokens, but the embedding has 20 rows"},
	    {.name = "n_tokens", .v = 0, .expected = "tokenizer.ggml.tokens: 0 tokens"},
	};
	refuse_twists(bad, sizeof bad / sizeof *bad);
	static const struct { twist t; const char *expected; } names[] = {
	    {{.name = "tokenizer.ggml.model", .how = AS_STRING, .s = "t5"}, "'t5' is not supported"},
	    {{.name = "tokenizer.ggml.model", .how = AS_STRING, .s = "llama"}, "tokenizer.ggml.scores"},
	    {{.name = "tokenizer.ggml.pre", .how = AS_STRING, .s = "martian"}, "'martian' is not supported"},
	    {{.name = "tokenizer.ggml.pre", .how = DROP}, "is not supported"},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		sn_error err;
		assert_int_not_equal(open_llama(&names[i].t, &err), SN_OK);
		check_text(&err, ODD);
		assert_non_null(strstr(err.text, names[i].expected));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_miniature_itself_is_accepted),
	    cmocka_unit_test(sizes_out_of_range_are_refused_by_key_and_value),
	    cmocka_unit_test(sizes_that_do_not_fit_each_other_are_refused),
	    cmocka_unit_test(numbers_and_names_that_make_no_sense_are_refused),
	    cmocka_unit_test(tensors_must_be_the_architectures),
	    cmocka_unit_test(token_tables_must_fit_the_model),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
