/* Ops and weights that sound asked for: convolutions, means, gates, reshapes; arrays of integers and of strings. */
#include <math.h>

#include "gguf_bytes.h"

#include "plugin/host.h"

enum { C_IN = 5, C_OUT = 37, TAPS = 3, N = 150, N_VALUES = C_OUT * C_IN * TAPS };

static pool *threads;
static ops o;
static struct sn_model model;
static sn_error err;
static sn_fault fault = {.size = sizeof fault};

static void floats(gguf *g, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type, const float *v, size_t n)
{
	pad(&g->data, g->alignment);
	info_at(g, name, n_dims, ne, type, g->data.n);
	if (type == 0)
		put(&g->data, v, n * sizeof *v);
	else
		for (size_t i = 0; i < n; i++)
			put(&g->data, &(_Float16){(_Float16)v[i]}, 2);
}

static float value(size_t i)
{
	return (float)((int)(i * 7919 % 257) - 128) / 64.0f; /* exact as f16 */
}

static int open_all(void **state)
{
	if (scratch_open(state) || pool_open(&threads, 3, &err) != SN_OK)
		return -1;
	ops_init(&o, threads, 0);
	gguf g = gguf_new();
	float w[N_VALUES], b[C_OUT];
	for (int i = 0; i < N_VALUES; i++)
		w[i] = value((size_t)i);
	for (int i = 0; i < C_OUT; i++)
		b[i] = value((size_t)i + 1000);
	key_array(&g, "whole", FILE_U16, 3);
	put(&g.keys, ((uint16_t[]){1, 2, 65535}), 6);
	key_array(&g, "signed", FILE_I64, 2);
	put(&g.keys, ((int64_t[]){-3, 4}), 16);
	key_array(&g, "too.large", FILE_I64, 2);
	put(&g.keys, ((int64_t[]){1, INT64_C(1) << 31}), 16);
	key_array(&g, "fractions", FILE_F32, 1);
	put(&g.keys, &(float){1}, 4);
	key_array(&g, "words", FILE_STRING, 3);
	put_str(&g.keys, "<|en|>");
	put_str(&g.keys, "");
	put_str(&g.keys, "<|zh|>");
	key_u32(&g, "number", 5);
	floats(&g, "conv", 3, (uint64_t[]){TAPS, C_IN, C_OUT}, 0, w, N_VALUES);
	floats(&g, "conv.f16", 3, (uint64_t[]){TAPS, C_IN, C_OUT}, 1, w, N_VALUES);
	floats(&g, "flat", 2, (uint64_t[]){TAPS * C_IN, C_OUT}, 0, w, N_VALUES);
	tensor(&g, "packed", 3, (uint64_t[]){32, 2, 4}, 8);
	floats(&g, "b", 2, (uint64_t[]){1, C_OUT}, 0, b, C_OUT); /* as converters store it */
	bytes f = gguf_bytes(&g);
	scratch_write("conv.gguf", f.p, f.n);
	free(f.p);
	model = (struct sn_model){.o = &o, .mem = arena_open(0)};
	return model_file_open(&model.file, scratch_path("conv.gguf"), &err) == SN_OK ? 0 : -1;
}

static int close_all(void **state)
{
	model_file_close(&model.file);
	arena_close(&model.mem);
	ops_fini(&o);
	pool_close(&threads);
	return scratch_close(state);
}

static void arrays_are_read(void **state)
{
	(void)state;
	int32_t v[3] = {9, 9, 9};
	assert_int_equal(host_weights.get_i32_array(&model, "whole", v, 2), 3);
	assert_memory_equal(v, ((int32_t[]){1, 2, 9}), sizeof v);
	assert_int_equal(host_weights.get_i32_array(&model, "signed", v, 3), 2);
	assert_memory_equal(v, ((int32_t[]){-3, 4, 9}), sizeof v);
	assert_int_equal(host_weights.get_i32_array(&model, "too.large", v, 3), 0);
	assert_int_equal(host_weights.get_i32_array(&model, "fractions", v, 3), 0);
	assert_int_equal(host_weights.get_i32_array(&model, "words", v, 3), 0);
	assert_int_equal(host_weights.get_i32_array(&model, "number", v, 3), 0);
	assert_int_equal(host_weights.get_i32_array(&model, "none", v, 3), 0);
	assert_memory_equal(v, ((int32_t[]){-3, 4, 9}), sizeof v);
	assert_string_equal(host_weights.get_str_at(&model, "words", 0), "<|en|>");
	assert_string_equal(host_weights.get_str_at(&model, "words", 1), "");
	assert_string_equal(host_weights.get_str_at(&model, "words", 2), "<|zh|>");
	assert_null(host_weights.get_str_at(&model, "words", 3));
	assert_null(host_weights.get_str_at(&model, "whole", 0));
	assert_null(host_weights.get_str_at(&model, "none", 0));
}

static void shapes_are_told(void **state)
{
	(void)state;
	uint64_t d[4] = {0};
	assert_int_equal(host_weights.shape(&model, "conv", d), 3);
	assert_memory_equal(d, ((uint64_t[]){C_OUT, C_IN, TAPS, 0}), sizeof d);
	assert_int_equal(host_weights.shape(&model, "none", d), 0);
}

static void convolutions_of_another_shape_are_refused(void **state)
{
	(void)state;
	const sn_weight *w;
	const struct { const char *name; uint64_t n_out, n_in, taps; sn_rc rc; } cases[] = {
	    {"conv", C_OUT, C_IN, TAPS, SN_RC_OK}, {"conv", C_OUT, TAPS, C_IN, SN_RC_INVALID}, {"conv", C_IN, C_OUT, TAPS, SN_RC_INVALID},
	    {"conv", C_OUT, C_IN, 0, SN_RC_INVALID}, {"conv", C_OUT, C_IN * TAPS, 1, SN_RC_INVALID}, {"none", C_OUT, C_IN, TAPS, SN_RC_INVALID},
	    {"flat", C_OUT, C_IN, TAPS, SN_RC_INVALID}, {"packed", 4, 2, 32, SN_RC_UNSUPPORTED}, {"conv", UINT64_MAX, UINT64_MAX, 2, SN_RC_INVALID}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(host_weights.conv1d(&model, cases[i].name, "b", cases[i].n_out, cases[i].n_in, cases[i].taps, &w, &fault), cases[i].rc);
		assert_true(cases[i].rc == SN_RC_OK || strstr(fault.text, cases[i].name));
	}
	assert_int_equal(host_weights.conv1d(&model, "conv", "conv", C_OUT, C_IN, TAPS, &w, &fault), SN_RC_INVALID); /* a bias of another size */
}

static void fill(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = sinf((float)i * 0.37f);
}

static sn_tensor make(sn_ops_ctx *ctx, uint64_t rows, uint64_t cols, const float *values)
{
	sn_tensor t;
	assert_int_equal(host_ops.alloc(ctx, rows, cols, &t, &fault), SN_RC_OK);
	if (values)
		assert_int_equal(host_ops.write(ctx, &t, values, &fault), SN_RC_OK);
	return t;
}

/* Against the definition; F16 weights that are exact give the F32 ones' sums within rounding. */
static void convolutions_are_what_the_header_says(void **state)
{
	(void)state;
	const struct { const char *name; uint32_t stride, pad; int32_t act; } cases[] = {
	    {"conv", 1, 1, SN_ACT_NONE}, {"conv", 2, 1, SN_ACT_NONE}, {"conv", 1, 0, SN_ACT_NONE}, {"conv", 3, 4, SN_ACT_NONE}, {"conv.f16", 2, 1, SN_ACT_NONE},
	    {"conv", 2, 1, SN_ACT_GELU_ERF}};
	float x[N * C_IN], *y = malloc((N + 8) * C_OUT * sizeof *y);
	fill(x, N * C_IN);
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		const sn_weight *w;
		sn_ops_ctx *ctx;
		uint64_t m = (N + 2 * cases[k].pad - TAPS) / cases[k].stride + 1;
		assert_int_equal(host_weights.conv1d(&model, cases[k].name, "b", C_OUT, C_IN, TAPS, &w, &fault), SN_RC_OK);
		assert_int_equal(ops_ctx_open(&ctx, &o, 1 << 20, &err), SN_OK);
		sn_tensor tx = make(ctx, N, C_IN, x), ty = make(ctx, m, C_OUT, NULL), wrong = make(ctx, m + 1, C_OUT, NULL);
		assert_int_equal(host_ops.conv1d(ctx, &ty, &tx, w, cases[k].stride, cases[k].pad, cases[k].act, &fault), SN_RC_OK);
		assert_int_equal(host_ops.read(ctx, &ty, y, &fault), SN_RC_OK);
		for (uint64_t t = 0; t < m; t++)
			for (int out = 0; out < C_OUT; out++) {
				double sum = value((size_t)out + 1000);
				for (int i = 0; i < TAPS; i++) {
					int64_t at = (int64_t)(t * cases[k].stride) + i - cases[k].pad;
					for (int c = 0; at >= 0 && at < N && c < C_IN; c++)
						sum += (double)x[at * C_IN + c] * value((size_t)(out * C_IN + c) * TAPS + (size_t)i);
				}
				if (cases[k].act == SN_ACT_GELU_ERF)
					sum = 0.5 * sum * (1 + erf(sum / sqrt(2)));
				assert_true(fabs(y[t * C_OUT + (uint64_t)out] - sum) < 2e-5);
			}
		assert_int_equal(host_ops.conv1d(ctx, &wrong, &tx, w, cases[k].stride, cases[k].pad, cases[k].act, &fault), SN_RC_INTERNAL);
		assert_int_equal(host_ops.conv1d(ctx, &ty, &tx, w, 0, 1, 0, &fault), SN_RC_INTERNAL);
		assert_int_equal(host_ops.conv1d(ctx, &ty, &tx, w, cases[k].stride, cases[k].pad, 99, &fault), SN_RC_INTERNAL);
		ops_ctx_close(&ctx);
	}
	free(y);
}

/* More rows than are gathered at once, fewer, one: the same bytes. */
static void a_convolution_of_slices_is_the_same(void **state)
{
	(void)state;
	const sn_weight *w;
	const sn_weight *matrix;
	sn_ops_ctx *ctx;
	float x[N * C_IN], whole[(N - 2) * C_OUT], part[(N - 2) * C_OUT];
	fill(x, N * C_IN);
	assert_int_equal(host_weights.conv1d(&model, "conv", "b", C_OUT, C_IN, TAPS, &w, &fault), SN_RC_OK);
	assert_int_equal(host_weights.linear(&model, "flat", "b", C_OUT, C_IN * TAPS, &matrix, &fault), SN_RC_OK);
	assert_int_equal(ops_ctx_open(&ctx, &o, 1 << 20, &err), SN_OK);
	sn_tensor tx = make(ctx, N, C_IN, x), ty = make(ctx, N - 2, C_OUT, NULL);
	assert_int_equal(host_ops.conv1d(ctx, &ty, &tx, w, 1, 0, 0, &fault), SN_RC_OK);
	assert_int_equal(host_ops.read(ctx, &ty, whole, &fault), SN_RC_OK);
	for (uint64_t each = 1; each < N; each += 29) {
		for (uint64_t first = 0; first < N - 2; first += each) {
			uint64_t n = N - 2 - first < each ? N - 2 - first : each;
			sn_tensor from = host_ops.rows(&tx, first, n + 2), to = host_ops.rows(&ty, first, n);
			assert_int_equal(host_ops.conv1d(ctx, &to, &from, w, 1, 0, 0, &fault), SN_RC_OK);
		}
		assert_int_equal(host_ops.read(ctx, &ty, part, &fault), SN_RC_OK);
		assert_memory_equal(whole, part, sizeof whole);
	}
	assert_int_equal(host_ops.conv1d(ctx, &ty, &tx, matrix, 1, 0, 0, &fault), SN_RC_INTERNAL); /* not a convolution's weights */
	ops_ctx_close(&ctx);
}

static void means_gates_and_reshapes(void **state)
{
	(void)state;
	sn_ops_ctx *ctx;
	float x[7 * 600], y[7 * 600];
	fill(x, 7 * 600);
	assert_int_equal(ops_ctx_open(&ctx, &o, 1 << 20, &err), SN_OK);
	sn_tensor tx = make(ctx, 7, 600, x), means = make(ctx, 3, 600, NULL), ty = make(ctx, 7, 300, NULL);

	assert_int_equal(host_ops.mean_rows(ctx, &means, &tx, 2, &fault), SN_RC_OK);
	assert_int_equal(host_ops.read(ctx, &means, y, &fault), SN_RC_OK);
	for (int r = 0; r < 3; r++)
		for (int i = 0; i < 600; i++)
			assert_true(y[r * 600 + i] == (x[2 * r * 600 + i] + x[(2 * r + 1) * 600 + i]) * 0.5f);
	assert_int_equal(host_ops.mean_rows(ctx, &means, &tx, 3, &fault), SN_RC_INTERNAL); /* 9 of 7 rows */
	assert_int_equal(host_ops.mean_rows(ctx, &means, &tx, 0, &fault), SN_RC_INTERNAL);
	assert_int_equal(host_ops.mean_rows(ctx, &ty, &tx, 1, &fault), SN_RC_INTERNAL);

	static const int32_t acts[] = {SN_ACT_NONE, SN_ACT_GELU_TANH, SN_ACT_GELU_ERF, SN_ACT_GELU_QUICK, SN_ACT_SILU};
	sn_tensor a = host_ops.cols(&tx, 0, 300), b = host_ops.cols(&tx, 300, 300);
	for (size_t k = 0; k < sizeof acts / sizeof *acts; k++) {
		assert_int_equal(host_ops.write(ctx, &tx, x, &fault), SN_RC_OK);
		assert_int_equal(host_ops.gate(ctx, &ty, &b, &a, acts[k], &fault), SN_RC_OK);
		assert_int_equal(host_ops.read(ctx, &ty, y, &fault), SN_RC_OK);
		for (int r = 0; r < 7; r++)
			for (int i = 0; i < 300; i++) {
				double g = x[r * 600 + 300 + i], u = x[r * 600 + i];
				double want[] = {g, 0.5 * g * (1 + tanh(0.7978845608028654 * (g + 0.044715 * g * g * g))), 0.5 * g * (1 + erf(g / sqrt(2))),
				                 g / (1 + exp(-1.702 * g)), g / (1 + exp(-g))};
				assert_true(fabs(y[r * 300 + i] - want[k] * u) < 2e-6);
			}
		float over[7 * 300];
		assert_int_equal(host_ops.gate(ctx, &a, &b, &a, acts[k], &fault), SN_RC_OK); /* over what is multiplied */
		assert_int_equal(host_ops.read(ctx, &a, over, &fault), SN_RC_OK);
		assert_memory_equal(over, y, sizeof over);
		assert_int_equal(host_ops.write(ctx, &tx, x, &fault), SN_RC_OK);
		assert_int_equal(host_ops.gate(ctx, &b, &b, &a, acts[k], &fault), SN_RC_OK); /* over the gate */
		assert_int_equal(host_ops.read(ctx, &b, over, &fault), SN_RC_OK);
		assert_memory_equal(over, y, sizeof over);
	}
	assert_int_equal(host_ops.gate(ctx, &ty, &b, &tx, SN_ACT_SILU, &fault), SN_RC_INTERNAL);
	assert_int_equal(host_ops.gate(ctx, &ty, &b, &a, 77, &fault), SN_RC_INTERNAL);

	assert_int_equal(host_ops.write(ctx, &tx, x, &fault), SN_RC_OK);
	sn_tensor flat = host_ops.reshape(&tx, 14, 300);
	assert_int_equal(host_ops.read(ctx, &flat, y, &fault), SN_RC_OK);
	assert_memory_equal(x, y, sizeof x);
	assert_null(host_ops.reshape(&tx, 14, 299).data);
	assert_null(host_ops.reshape(&a, 14, 150).data); /* not contiguous */
	assert_null(host_ops.reshape(&tx, 0, 0).data);
	assert_null(host_ops.reshape(&tx, UINT64_MAX, 2).data);
	sn_tensor row = host_ops.rows(&a, 1, 1);
	assert_non_null(host_ops.reshape(&row, 3, 100).data); /* one row always is */
	ops_ctx_close(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(arrays_are_read),
	    cmocka_unit_test(shapes_are_told),
	    cmocka_unit_test(convolutions_of_another_shape_are_refused),
	    cmocka_unit_test(convolutions_are_what_the_header_says),
	    cmocka_unit_test(a_convolution_of_slices_is_the_same),
	    cmocka_unit_test(means_gates_and_reshapes),
	};
	return cmocka_run_group_tests(tests, open_all, close_all);
}
