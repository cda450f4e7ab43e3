/* test_arch.c - what the keys and tensors of the families beside llama must mean: windows, their pattern, RoPE bases, scales, norms and
 * biases. Each refusal names the file, the key or tensor, and the value. test_model_keys.c asks the same of what families share. */
#include "gguf_bytes.h"

#include <math.h>

#include "model/model.h"

#define ODD "odd.gguf"

enum { HIDDEN = 32, FFN = 48, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 16, LAYERS = 3, VOCAB = 20, CONTEXT = 256 };

enum how { KEEP, DROP, U32, I32, U64, F32, STRING, BOOL, BOOLS, U32S, I32S, SHAPE, EXTRA };

typedef struct twist {
	const char *name;  /* key or tensor; of a key: behind the architecture's name */
	enum how how;
	double v;          /* BOOLS: so many, the first one true; EXTRA and SHAPE: values of the tensor */
	const char *expected; /* beside the name; NULL: accepted */
	const char *s;
} twist;

static const char *ARCH;
static const twist *TWIST;

static void put_key(gguf *g, const char *suffix, enum how how, double v, const char *s)
{
	char name[96];
	snprintf(name, sizeof name, "%s.%s", ARCH, suffix);
	switch (how) {
	case U32: key_u32(g, name, (uint32_t)v); break;
	case I32: key_head(g, name, FILE_I32), put32(&g->keys, (uint32_t)(int32_t)v); break;
	case U64: key_head(g, name, FILE_U64), put64(&g->keys, v < 0 ? UINT64_MAX : (uint64_t)v); break;
	case F32: key_f32(g, name, (float)v); break;
	case STRING: key_str(g, name, s); break;
	case BOOL: key_head(g, name, FILE_BOOL), put(&g->keys, v != 0 ? "\1" : "\0", 1); break;
	case BOOLS: key_array(g, name, FILE_BOOL, (uint64_t)v); for (int i = 0; i < v; i++) put(&g->keys, i ? "\0" : "\1", 1); break;
	case U32S: key_array(g, name, FILE_U32, (uint64_t)v); for (int i = 0; i < v; i++) put32(&g->keys, 1); break;
	case I32S: {
		int32_t n[8];
		uint64_t count = 0;
		for (char *at = (char *)(uintptr_t)s; *at && count < 8; at += *at == ',')
			n[count++] = (int32_t)strtol(at, &at, 10);
		key_array(g, name, FILE_I32, count);
		for (uint64_t i = 0; i < count; i++)
			put32(&g->keys, (uint32_t)n[i]);
		break;
	}
	default: break;
	}
}

static void key(gguf *g, const char *suffix, enum how how, double v)
{
	if (!TWIST || strcmp(TWIST->name, suffix))
		put_key(g, suffix, how, v, NULL);
}

static void part(gguf *g, const char *name, uint64_t n_in, uint64_t n_out)
{
	const twist *t = TWIST && !strcmp(TWIST->name, name) ? TWIST : NULL;
	if (t && t->how == DROP)
		return;
	if (t && t->how == SHAPE)
		n_in = (uint64_t)t->v;
	tensor(g, name, n_out ? 2 : 1, (uint64_t[]){n_in, n_out}, 0);
}

static void put_layer(gguf *g, int no, bool gemma)
{
	const struct { const char *name; uint64_t n_in, n_out; int only; /* 1: qwen2, 2: gemma3 */ } parts[] = {
	    {"attn_norm.weight", HIDDEN, 0, 0}, {"ffn_norm.weight", HIDDEN, 0, 0}, {"attn_q.weight", HIDDEN, HEADS * HEAD_DIM, 0},
	    {"attn_k.weight", HIDDEN, KV_HEADS * HEAD_DIM, 0}, {"attn_v.weight", HIDDEN, KV_HEADS * HEAD_DIM, 0},
	    {"attn_output.weight", HEADS * HEAD_DIM, HIDDEN, 0}, {"ffn_gate.weight", HIDDEN, FFN, 0}, {"ffn_up.weight", HIDDEN, FFN, 0},
	    {"ffn_down.weight", FFN, HIDDEN, 0}, {"attn_q.bias", HEADS * HEAD_DIM, 0, 1}, {"attn_k.bias", KV_HEADS * HEAD_DIM, 0, 1},
	    {"attn_v.bias", KV_HEADS * HEAD_DIM, 0, 1}, {"attn_q_norm.weight", HEAD_DIM, 0, 2}, {"attn_k_norm.weight", HEAD_DIM, 0, 2},
	    {"post_attention_norm.weight", HIDDEN, 0, 2}, {"post_ffw_norm.weight", HIDDEN, 0, 2},
	};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		char name[96];
		snprintf(name, sizeof name, "blk.%d.%s", no, parts[i].name);
		if (!parts[i].only || parts[i].only == 1 + gemma)
			part(g, name, parts[i].n_in, parts[i].n_out);
	}
}

/* Writes the miniature with one thing twisted. */
static void write_odd(const char *family, const twist *t)
{
	gguf g = gguf_new();
	bool gemma = !strcmp(family, "gemma3");
	ARCH = family;
	TWIST = t;
	key_str(&g, "general.architecture", family);
	key(&g, "block_count", U32, LAYERS);
	key(&g, "embedding_length", U32, HIDDEN);
	key(&g, "feed_forward_length", U32, FFN);
	key(&g, "attention.head_count", U32, HEADS);
	key(&g, "attention.head_count_kv", U32, KV_HEADS);
	key(&g, "attention.key_length", U32, HEAD_DIM);
	key(&g, "attention.value_length", U32, HEAD_DIM);
	key(&g, "context_length", U32, CONTEXT);
	key(&g, "attention.layer_norm_rms_epsilon", F32, 1e-6);
	if (gemma) {
		key(&g, "attention.sliding_window", U32, 24);
		key(&g, "attention.sliding_window_pattern", U32, 3);
	}
	if (!strcmp(family, "qwen2vl") && (!t || strcmp(t->name, "rope.dimension_sections")))
		put_key(&g, "rope.dimension_sections", I32S, 0, "2,3,3,0");
	if (t && t->how > DROP && t->how < SHAPE)
		put_key(&g, t->name, t->how, t->v, t->s);
	key_str(&g, "tokenizer.ggml.model", "gpt2");
	key_str(&g, "tokenizer.ggml.pre", "smollm");
	key_array(&g, "tokenizer.ggml.tokens", FILE_STRING, VOCAB);
	for (int i = 0; i < VOCAB; i++)
		put_strn(&g.keys, (char[]){(char)('A' + i)}, 1);
	part(&g, "token_embd.weight", HIDDEN, VOCAB);
	part(&g, "output_norm.weight", HIDDEN, 0);
	for (int i = 0; i < LAYERS; i++)
		put_layer(&g, i, gemma);
	if (t && t->how == EXTRA)
		part(&g, t->name, (uint64_t)t->v, 0);
	bytes b = gguf_bytes(&g);
	scratch_write(ODD, b.p, b.n);
	free(b.p);
}

/* NULL: refused, err says why. */
static model *open_odd(const char *family, const twist *t, sn_error *err)
{
	pool *threads;
	ops o;
	model *m = NULL;
	write_odd(family, t);
	assert_int_equal(pool_open(&threads, 1, NULL), SN_OK);
	ops_init(&o, threads, KN_ISA_REF);
	*err = (sn_error){0};
	sn_status st = model_open(&m, scratch_path(ODD), NULL, SN_KV_AUTO, &o, err);
	assert_int_equal(st == SN_OK, m != NULL);
	ops_fini(&o);
	pool_close(&threads);
	return m;
}

static void check_twists(const char *family, const twist *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sn_error err;
		model *m = open_odd(family, &t[i], &err);
		if (!t[i].expected && !m)
			fail_msg("%s %s (%d, %g): %s", family, t[i].name, t[i].how, t[i].v, err.text);
		if (t[i].expected && m)
			fail_msg("%s %s (%d, %g): was accepted", family, t[i].name, t[i].how, t[i].v);
		if (t[i].expected && (!strstr(err.text, ODD) || !strstr(err.text, t[i].name) || !strstr(err.text, t[i].expected)))
			fail_msg("%s: \"%s\" does not say \"%s\"", t[i].name, err.text, t[i].expected);
		model_close(&m);
	}
}

#define CHECK_TWISTS(arch, list) check_twists(arch, list, sizeof list / sizeof *(list))

/* ---- keys ---- */

static void windows_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	static const twist list[] = {
	    {"attention.sliding_window", I32, -1, "-1 is not an integer", 0},
	    {"attention.sliding_window", U64, -1, "1.84467e+19 is not", 0},
	    {"attention.sliding_window", F32, 2.5, "2.5 is not", 0},
	    {"attention.sliding_window", STRING, 0, "is not an integer", "24"},
	    {"attention.sliding_window", BOOL, 1, "is not an integer", 0},
	    {"attention.sliding_window", U32S, 3, "per layer is not supported", 0},
	    {"attention.sliding_window", U64, 24, NULL, 0},
	    {"attention.sliding_window_pattern", U32, 0, "0 is not an integer above 0", 0},
	    {"attention.sliding_window_pattern", I32, -1, "-1 is not", 0},
	    {"attention.sliding_window_pattern", F32, 3, "3 is not", 0},
	    {"attention.sliding_window_pattern", STRING, 0, "is not", "3"},
	    {"attention.sliding_window_pattern", BOOLS, LAYERS - 1, "2 values", 0},
	    {"attention.sliding_window_pattern", BOOLS, LAYERS + 1, "4 values", 0},
	    {"attention.sliding_window_pattern", BOOLS, 0, "0 values", 0},
	    {"attention.sliding_window_pattern", U32S, LAYERS, "expected a boolean", 0},
	    {"attention.sliding_window_pattern", BOOLS, LAYERS, NULL, 0},
	};
	CHECK_TWISTS("gemma3", list);
	static const twist none[] = { /* which of these families' layers would have it, the file has to say: refused if rows would be hidden */
	    {"attention.sliding_window", U32, 1, "sliding_window_pattern is missing: which layers of architecture qwen2", 0},
	    {"attention.sliding_window", U32, CONTEXT - 1, "is missing: which layers", 0},
	    {"attention.sliding_window", I32, -1, "-1 is not an integer", 0},
	    {"attention.sliding_window", U32, CONTEXT, NULL, 0},
	    {"attention.sliding_window", U32, 0, NULL, 0},
	};
	CHECK_TWISTS("qwen2", none);
}

static void axes_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	static const twist list[] = {
	    {"rope.dimension_sections", DROP, 0, "is not three numbers", 0},
	    {"rope.dimension_sections", I32S, 0, NULL, "2,3,3"},
	    {"rope.dimension_sections", I32S, 0, NULL, "0,8,0,0"},
	    {"rope.dimension_sections", I32S, 0, "add up to the 8 frequencies", "2,3,3,1"},
	    {"rope.dimension_sections", I32S, 0, "add up to the 8 frequencies", "2,3,2"},
	    {"rope.dimension_sections", I32S, 0, "is not three numbers", "9,-4,3"},
	    {"rope.dimension_sections", I32S, 0, "is not three numbers", "4,4"},
	    {"rope.dimension_sections", I32S, 0, "is not three numbers", "2,3,3,0,0"},
	    {"rope.dimension_sections", U32, 8, "is not three numbers", 0},
	    {"rope.dimension_sections", BOOLS, 3, "is not three numbers", 0},
	    {"rope.dimension_sections", STRING, 0, "is not three numbers", "2,3,3"},
	};
	static const uint8_t in_turn[8] = {0, 0, 1, 1, 1, 2, 2, 2};
	sn_error err;
	CHECK_TWISTS("qwen2vl", list);
	model *m = open_odd("qwen2vl", NULL, &err);
	assert_non_null(m);
	assert_memory_equal(m->h.axis, in_turn, sizeof in_turn);
	model_close(&m);
	m = open_odd("qwen2", &list[1], &err); /* a family with one axis has no use for them */
	assert_non_null(m);
	assert_true(m->h.axis[2] == 0 && m->h.axis[7] == 0);
	model_close(&m);
}

static void scales_and_bases_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	static const char *const names[] = {"rope.freq_base", "rope.freq_base_swa", "attention.scale"};
	for (int i = 0; i < 3; i++) {
		const twist list[] = {
		    {names[i], F32, 0, "0 is not above", 0},      {names[i], F32, -1, "-1 is not above", 0}, {names[i], F32, NAN, "nan is not above", 0},
		    {names[i], F32, INFINITY, "inf is not above", 0}, {names[i], U32, 2, "is not above", 0}, {names[i], STRING, 0, "is not above", "2"},
		    {names[i], F32, 2, NULL, 0},
		};
		CHECK_TWISTS("gemma3", list);
	}
	static const twist caps[] = {
	    {"attn_logit_softcapping", F32, 50, "caps of scores are not supported", 0},
	    {"final_logit_softcapping", F32, 30, "caps of scores are not supported", 0},
	    {"final_logit_softcapping", F32, NAN, "caps of scores are not supported", 0},
	    {"final_logit_softcapping", STRING, 0, "caps of scores are not supported", "30"},
	    {"attention.temperature_scale", F32, 0.1, "queries scaled by their position are not supported", 0},
	    {"final_logit_softcapping", F32, 0, NULL, 0},
	};
	CHECK_TWISTS("gemma3", caps);
	CHECK_TWISTS("qwen2", caps);
}

/* What the keys come to. */
static hparams read_odd(const char *family, const twist *t, bool from_hf)
{
	hparams h;
	sn_error err;
	model_file *f;
	write_odd(family, t);
	assert_int_equal(model_file_open(&f, scratch_path(ODD), &err), SN_OK);
	f->from_hf = from_hf;
	if (hparams_read(&h, f, &err) != SN_OK)
		fail_msg("%s", err.text);
	model_file_close(&f);
	return h;
}

static void the_pattern_says_which_layers_have_a_window(void **state)
{
	(void)state;
	static const struct { twist t; uint32_t window; bool windowed[LAYERS]; } cases[] = {
	    {{"nothing", KEEP, 0, 0, 0}, 24, {true, true, false}},
	    {{"attention.sliding_window_pattern", DROP, 0, 0, 0}, 24, {true, true, true}}, /* every sixth */
	    {{"attention.sliding_window_pattern", U32, 2, 0, 0}, 24, {true, false, true}},
	    {{"attention.sliding_window_pattern", U32, 1, 0, 0}, 0, {false, false, false}},
	    {{"attention.sliding_window_pattern", U32, UINT32_MAX, 0, 0}, 24, {true, true, true}},
	    {{"attention.sliding_window_pattern", BOOLS, LAYERS, 0, 0}, 24, {true, false, false}},
	    {{"attention.sliding_window", DROP, 0, 0, 0}, 0, {false, false, false}},
	    {{"attention.sliding_window", U32, 0, 0, 0}, 0, {false, false, false}},
	    {{"attention.sliding_window", U32, 1, 0, 0}, 1, {true, true, false}},
	    {{"attention.sliding_window", U32, CONTEXT, 0, 0}, CONTEXT, {true, true, false}}, /* hides nothing; the RoPE is still theirs */
	    {{"attention.sliding_window", U32, UINT32_MAX, 0, 0}, CONTEXT, {true, true, false}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		hparams h = read_odd("gemma3", &cases[i].t, false);
		kv_layout kv;
		uint32_t n[2] = {0};
		assert_int_equal(h.window, cases[i].window);
		for (int l = 0; l < LAYERS; l++) {
			assert_int_equal(h.windowed[l], cases[i].windowed[l]);
			n[h.windowed[l]]++;
		}
		hparams_groups(&h, KV_F16, &kv);
		assert_int_equal(kv.n_groups, (n[0] > 0) + (n[1] > 0));
		for (uint32_t g = 0; g < kv.n_groups; g++) {
			bool windowed = kv.groups[g].window != 0;
			assert_int_equal(windowed, g == 1 || n[0] == 0);
			assert_int_equal(kv.groups[g].n_layers, n[windowed]);
			assert_int_equal(kv.groups[g].window, windowed ? cases[i].window : 0);
		}
	}
}

static void every_layer_knows_its_place_in_the_groups(void **state)
{
	(void)state;
	sn_error err;
	model *m = open_odd("gemma3", NULL, &err);
	assert_non_null(m);
	static const uint32_t places[LAYERS][2] = {{1, 0}, {1, 1}, {0, 0}};
	for (int l = 0; l < LAYERS; l++) {
		assert_int_equal(m->layers[l].group, places[l][0]);
		assert_int_equal(m->layers[l].index, places[l][1]);
	}
	assert_true(m->embed_scale == sqrtf(HIDDEN));
	assert_true(fabsf(m->inv_freq[1][1] - powf(1e4f, -2.0f / HEAD_DIM)) < 1e-6f && fabsf(m->inv_freq[0][1] - powf(1e6f, -2.0f / HEAD_DIM)) < 1e-6f);
	model_close(&m);
	m = open_odd("qwen2", NULL, &err);
	assert_non_null(m);
	assert_int_equal(m->kv.n_groups, 1);
	assert_true(m->embed_scale == 1 && m->layers[0].q.bias && m->layers[2].v.bias && !m->layers[0].o.bias && !m->layers[0].q_norm.w);
	model_close(&m);
}

static void switches_come_from_the_family_and_the_file(void **state)
{
	(void)state;
	hparams h = read_odd("gemma3", NULL, false);
	assert_true(h.rope_neox && h.rope.base == 1e6f && h.window_rope.base == 1e4f && h.rope.kind == ROPE_DEFAULT && h.attn_scale == 0.25f);
	h = read_odd("gemma3", &(twist){"rope.freq_base_swa", F32, 500, 0, 0}, false);
	assert_true(h.window_rope.base == 500);
	h = read_odd("gemma3", &(twist){"attention.scale", F32, 0.5, 0, 0}, false);
	assert_true(h.attn_scale == 0.5f);
	h = read_odd("gemma3", &(twist){"block_count", U32, 62, 0, 0}, false); /* gemma-3-27b: the width per head */
	assert_true(h.attn_scale == 1 / sqrtf(HIDDEN / HEADS));
	h = read_odd("qwen2", NULL, false);
	assert_true(h.rope_neox && h.rope.base == 1e4f && h.attn_scale == 0.25f && h.window == 0);
	assert_false(read_odd("llama", NULL, false).rope_neox); /* rows of q and k were permuted for the file ... */
	assert_true(read_odd("llama", NULL, true).rope_neox);   /* ... and were not for that one */
}

/* ---- tensors ---- */

static void tensors_must_be_the_familys(void **state)
{
	(void)state;
	static const twist gemma[] = {
	    {"blk.1.attn_q_norm.weight", DROP, 0, "is missing", 0},
	    {"blk.1.attn_q_norm.weight", SHAPE, HIDDEN, "32 values, expected 16", 0},
	    {"blk.2.attn_k_norm.weight", DROP, 0, "is missing", 0},
	    {"blk.2.attn_k_norm.weight", SHAPE, 2, "2 values, expected 16", 0},
	    {"blk.0.post_attention_norm.weight", DROP, 0, "is missing", 0},
	    {"blk.0.post_attention_norm.weight", SHAPE, HIDDEN + 1, "33 values, expected 32", 0},
	    {"blk.0.post_ffw_norm.weight", DROP, 0, "is missing", 0},
	    {"blk.0.post_ffw_norm.weight", SHAPE, 1, "1 values, expected 32", 0},
	    {"blk.0.attn_q.weight", SHAPE, HIDDEN * 2, "expected [64, 32]", 0},
	    {"blk.0.attn_q.bias", EXTRA, HEADS * HEAD_DIM, "has no place in architecture gemma3", 0},
	    {"rope_freqs.weight", EXTRA, HEAD_DIM / 2, "has no place", 0},
	    {"blk.0.ffn_norm.bias", EXTRA, HIDDEN, "has no place", 0},
	    {"blk.3.attn_q_norm.weight", EXTRA, HEAD_DIM, "has no place", 0},
	    {"blk.0.attn_sinks", EXTRA, HEADS, "has no place", 0},
	};
	CHECK_TWISTS("gemma3", gemma);
	static const twist qwen[] = {
	    {"blk.0.attn_q.bias", DROP, 0, "is missing", 0},
	    {"blk.2.attn_v.bias", DROP, 0, "is missing", 0},
	    {"blk.1.attn_k.bias", SHAPE, HEADS * HEAD_DIM, "64 values, expected 32", 0},
	    {"blk.0.attn_output.bias", EXTRA, HIDDEN, "has no place in architecture qwen2", 0},
	    {"blk.0.attn_q_norm.weight", EXTRA, HEAD_DIM, "has no place", 0},
	    {"blk.0.post_ffw_norm.weight", EXTRA, HIDDEN, "has no place", 0},
	    {"rope_freqs.weight", EXTRA, HEAD_DIM / 2, "has no place", 0},
	};
	CHECK_TWISTS("qwen2", qwen);
	sn_error err; /* plausible keys, but not what the tensors say */
	const struct { const char *arch; twist t; const char *says; } sizes[] = {
	    {"gemma3", {"attention.head_count", U32, 8, 0, 0}, "attn_q.weight: shape [64, 32], expected [128, 32]"},
	    {"gemma3", {"attention.head_count", U32, 3, 0, 0}, "2 does not divide the 3 heads"},
	    {"gemma3", {"attention.head_count_kv", U32, 4, 0, 0}, "attn_k.weight: shape [32, 32], expected [64, 32]"},
	    {"gemma3", {"attention.key_length", U32, 8, 0, 0}, "value_length: 16 differs from the key length 8"},
	    {"gemma3", {"block_count", U32, 4, 0, 0}, "blk.3.attn_norm.weight is missing"},
	    {"gemma3", {"block_count", U32, 2, 0, 0}, "tensor blk.2."},
	    {"qwen2", {"attention.head_count_kv", U32, 1, 0, 0}, "attn_k.weight: shape [32, 32], expected [16, 32]"},
	};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		assert_null(open_odd(sizes[i].arch, &sizes[i].t, &err));
		if (!strstr(err.text, sizes[i].says))
			fail_msg("%s: %s", sizes[i].t.name, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(windows_that_make_no_sense_are_refused),
	    cmocka_unit_test(axes_that_make_no_sense_are_refused),
	    cmocka_unit_test(scales_and_bases_that_make_no_sense_are_refused),
	    cmocka_unit_test(the_pattern_says_which_layers_have_a_window),
	    cmocka_unit_test(every_layer_knows_its_place_in_the_groups),
	    cmocka_unit_test(switches_come_from_the_family_and_the_file),
	    cmocka_unit_test(tensors_must_be_the_familys),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
