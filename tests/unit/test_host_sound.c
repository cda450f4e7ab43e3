/* What sn.host.ops/1 and sn.host.weights/1 have for sound, against the header's definitions in double. Everything is run with the
 * reference kernels and with the machine's best, by one thread and by three; slices of rows give the whole's bytes; every shape
 * that does not fit is refused. */
#include <math.h>

#include "gguf_bytes.h"

#include "plugin/host.h"

enum { C_IN = 5, C_OUT = 37, TAPS = 7, N_IN = 6, N_UP = 11, UP_TAPS = 4, N_VALUES = C_OUT * C_IN * TAPS, N_TRANSPOSED = N_IN * N_UP * UP_TAPS };

static pool *threads, *one_thread;
static ops best, plain;
static struct sn_model model;
static sn_error err;
static sn_fault fault = {.size = sizeof fault};

static float value(size_t i)
{
	return (float)((int)(i * 7919 % 257) - 128) / 64.0f; /* exact as f16 */
}

static void tensor_of(gguf *g, const char *name, uint32_t n_dims, const uint64_t *ne, bool half, size_t n, size_t first)
{
	pad(&g->data, g->alignment);
	info_at(g, name, n_dims, ne, half, g->data.n);
	for (size_t i = 0; i < n; i++)
		put(&g->data, half ? (const void *)&(_Float16){(_Float16)value(first + i)} : &(float){value(first + i)}, half ? 2 : 4);
}

static int open_all(void **state)
{
	if (scratch_open(state) || pool_open(&threads, 3, &err) != SN_OK || pool_open(&one_thread, 1, &err) != SN_OK)
		return -1;
	ops_init(&best, threads, 0);
	ops_init(&plain, one_thread, KN_ISA_REF);
	gguf g = gguf_new();
	tensor_of(&g, "conv", 3, (uint64_t[]){TAPS, C_IN, C_OUT}, false, N_VALUES, 0);
	tensor_of(&g, "b", 1, (uint64_t[]){C_OUT}, false, C_OUT, 1000);
	tensor_of(&g, "dw", 3, (uint64_t[]){3, 1, 9}, false, 27, 0);
	tensor_of(&g, "up", 3, (uint64_t[]){UP_TAPS, N_UP, N_IN}, false, N_TRANSPOSED, 0);
	tensor_of(&g, "up.f16", 3, (uint64_t[]){UP_TAPS, N_UP, N_IN}, true, N_TRANSPOSED, 0);
	tensor(&g, "packed", 3, (uint64_t[]){32, 2, 4}, 8);
	bytes f = gguf_bytes(&g);
	scratch_write("sound.gguf", f.p, f.n);
	free(f.p);
	model = (struct sn_model){.o = &best, .mem = arena_open(0)};
	return model_file_open(&model.file, scratch_path("sound.gguf"), &err) == SN_OK ? 0 : -1;
}

static int close_all(void **state)
{
	model_file_close(&model.file);
	arena_close(&model.mem);
	ops_fini(&best);
	ops_fini(&plain);
	pool_close(&threads);
	pool_close(&one_thread);
	return scratch_close(state);
}

/* A job on the best kernels or on the plain ones. */
typedef struct job {
	sn_ops_ctx *ctx;
	ops *o;
} job;

static job job_open(int which)
{
	job j = {.o = which ? &best : &plain};
	assert_int_equal(ops_ctx_open(&j.ctx, j.o, 16 << 20, &err), SN_OK);
	return j;
}

static sn_tensor make(const job *j, uint64_t rows, uint64_t cols, float spread)
{
	sn_tensor t;
	assert_int_equal(host_ops.alloc(j->ctx, rows, cols, &t, &fault), SN_RC_OK);
	float *v = t.data;
	for (uint64_t i = 0; i < rows * cols; i++)
		v[i] = sinf((float)i * 0.37f + (float)cols) * spread;
	return t;
}

static float at(const sn_tensor *t, uint64_t r, uint64_t c)
{
	return ((const float *)t->data)[r * t->stride[0] + c];
}

static void close_to(double got, double want, double bound)
{
	if (!(fabs(got - want) <= bound))
		fail_msg("%.9g, expected %.9g", got, want);
}

static void refused(sn_rc rc, const char *op)
{
	assert_int_equal(rc, SN_RC_INTERNAL);
	assert_non_null(strstr(fault.text, op));
}

static void same_rows(const sn_tensor *a, const sn_tensor *b)
{
	for (uint64_t r = 0; r < a->shape[0]; r++)
		assert_memory_equal((const float *)a->data + r * a->stride[0], (const float *)b->data + r * b->stride[0], a->shape[1] * sizeof(float));
}

static void values_become_a_tensor(void **state)
{
	(void)state;
	sn_tensor t;
	float v[6] = {1, 2, 3, 4, 5, 6};
	assert_int_equal(host_weights.values(&model, v, 2, 3, &t, &fault), SN_RC_OK);
	v[5] = 9;
	assert_true(t.shape[0] == 2 && t.shape[1] == 3 && at(&t, 1, 2) == 6);
	assert_int_equal(host_weights.values(&model, v, 0, 6, &t, &fault), SN_RC_OK);
	assert_true(t.shape[0] == 1 && t.shape[1] == 6 && at(&t, 0, 5) == 9);
	assert_int_equal(host_weights.values(&model, v, UINT64_MAX, 2, &t, &fault), SN_RC_NOMEM);
	assert_int_equal(host_weights.values(&model, v, 1, 0, &t, &fault), SN_RC_NOMEM);
}

static void rows_are_gathered(void **state)
{
	(void)state;
	job j = job_open(1);
	sn_tensor table = make(&j, 5, 9, 1), y = make(&j, 4, 9, 0), narrow = make(&j, 4, 8, 0);
	const int32_t ids[] = {4, 0, 0, 3}, below[] = {0, 0, 0, -1}, past[] = {0, 5, 0, 0};
	assert_int_equal(host_ops.gather(j.ctx, &y, &table, ids, &fault), SN_RC_OK);
	for (uint64_t r = 0; r < 4; r++)
		for (uint64_t c = 0; c < 9; c++)
			assert_true(at(&y, r, c) == at(&table, (uint64_t)ids[r], c));
	refused(host_ops.gather(j.ctx, &y, &table, below, &fault), "gather");
	refused(host_ops.gather(j.ctx, &y, &table, past, &fault), "gather");
	refused(host_ops.gather(j.ctx, &narrow, &table, ids, &fault), "gather");
	ops_ctx_close(&j.ctx);
}

static void dilated_convolutions(void **state)
{
	(void)state;
	const sn_weight *w;
	assert_int_equal(host_weights.conv1d(&model, "conv", "b", C_OUT, C_IN, TAPS, &w, &fault), SN_RC_OK);
	assert_int_equal(ops_reserve(&plain, &w->w, &err), SN_OK);
	for (int k = 0; k < 6; k++) {
		job j = job_open(k % 2);
		const uint64_t m = 150, dilation = k < 2 ? 1 : k < 4 ? 3 : 9, n = m + (TAPS - 1) * dilation;
		int32_t act = k < 2 ? SN_ACT_NONE : k < 4 ? SN_ACT_TANH : SN_ACT_SILU;
		sn_tensor wide = make(&j, n, C_IN + 2, 0.1f), x = host_ops.cols(&wide, 1, C_IN), y = make(&j, m, C_OUT, 0), part = make(&j, m, C_OUT, 0);
		assert_int_equal(host_ops.conv1d_dilated(j.ctx, &y, &x, w, (uint32_t)dilation, act, &fault), SN_RC_OK);
		for (uint64_t t = 0; t < m; t++)
			for (uint64_t out = 0; out < C_OUT; out++) {
				double sum = value(1000 + out);
				for (uint64_t i = 0; i < TAPS; i++)
					for (uint64_t c = 0; c < C_IN; c++)
						sum += (double)at(&x, t + i * dilation, c) * value((out * C_IN + c) * TAPS + i);
				close_to(at(&y, t, out), act == SN_ACT_TANH ? tanh(sum) : act == SN_ACT_SILU ? sum / (1 + exp(-sum)) : sum, 1e-5);
			}
		for (uint64_t first = 0, each; first < m; first += each) {
			each = m - first < 41 ? m - first : 41;
			sn_tensor from = host_ops.rows(&x, first, each + (TAPS - 1) * dilation), to = host_ops.rows(&part, first, each);
			assert_int_equal(host_ops.conv1d_dilated(j.ctx, &to, &from, w, (uint32_t)dilation, act, &fault), SN_RC_OK);
		}
		same_rows(&y, &part);
		sn_tensor fewer = host_ops.rows(&y, 0, m - 1);
		refused(host_ops.conv1d_dilated(j.ctx, &fewer, &x, w, (uint32_t)dilation, act, &fault), "conv1d_dilated");
		refused(host_ops.conv1d_dilated(j.ctx, &y, &x, w, 0, act, &fault), "conv1d_dilated");
		refused(host_ops.conv1d_dilated(j.ctx, &y, &x, w, (uint32_t)dilation, 99, &fault), "conv1d_dilated");
		refused(host_ops.conv1d_dilated(j.ctx, &y, &wide, w, (uint32_t)dilation, act, &fault), "conv1d_dilated");
		ops_ctx_close(&j.ctx);
	}
}

static void depthwise_convolutions(void **state)
{
	(void)state;
	for (int k = 0; k < 4; k++) {
		job j = job_open(k % 2);
		const uint64_t m = 300, c = 43, dilation = k < 2 ? 1 : 9, taps = 7, n = m + (taps - 1) * dilation;
		sn_tensor x = make(&j, n, c, 1), w = make(&j, taps, c, 1), b = make(&j, 1, c, 1), y = make(&j, m, c, 0), part = make(&j, m, c, 0);
		assert_int_equal(host_ops.conv1d_depthwise(j.ctx, &y, &x, &w, &b, (uint32_t)dilation, &fault), SN_RC_OK);
		for (uint64_t t = 0; t < m; t++)
			for (uint64_t i = 0; i < c; i++) {
				double sum = at(&b, 0, i);
				for (uint64_t k2 = 0; k2 < taps; k2++)
					sum += (double)at(&w, k2, i) * at(&x, t + k2 * dilation, i);
				close_to(at(&y, t, i), sum, 2e-6);
			}
		for (uint64_t first = 0, each; first < m; first += each) {
			each = m - first < 37 ? m - first : 37;
			sn_tensor from = host_ops.rows(&x, first, each + (taps - 1) * dilation), to = host_ops.rows(&part, first, each);
			assert_int_equal(host_ops.conv1d_depthwise(j.ctx, &to, &from, &w, &b, (uint32_t)dilation, &fault), SN_RC_OK);
		}
		same_rows(&y, &part);
		sn_tensor six = host_ops.rows(&w, 0, 6), inside = host_ops.rows(&x, 0, m);
		refused(host_ops.conv1d_depthwise(j.ctx, &y, &x, &six, &b, (uint32_t)dilation, &fault), "depthwise");
		refused(host_ops.conv1d_depthwise(j.ctx, &y, &x, &w, &w, (uint32_t)dilation, &fault), "depthwise");
		refused(host_ops.conv1d_depthwise(j.ctx, &inside, &x, &w, &b, (uint32_t)dilation, &fault), "depthwise"); /* over what it reads */
		ops_ctx_close(&j.ctx);
	}
}

/* As the file has them, the other way round; and the tokens of who is beside it. */
static void depthwise_weights_and_tokens(void **state)
{
	(void)state;
	sn_tensor t;
	assert_int_equal(host_weights.conv1d_depthwise(&model, "dw", 9, 3, &t, &fault), SN_RC_OK);
	assert_true(t.shape[0] == 3 && t.shape[1] == 9);
	for (uint64_t c = 0; c < 9; c++)
		for (uint64_t i = 0; i < 3; i++)
			assert_true(at(&t, i, c) == (float)value(c * 3 + i));
	assert_int_equal(host_weights.conv1d_depthwise(&model, "dw", 3, 9, &t, &fault), SN_RC_INVALID);
	assert_non_null(strstr(fault.text, "dw"));
	assert_int_equal(host_weights.conv1d_depthwise(&model, "conv", C_OUT, TAPS, &t, &fault), SN_RC_INVALID);
	assert_int_equal(host_weights.conv1d_depthwise(&model, "none", 9, 3, &t, &fault), SN_RC_INVALID);
	const str tokens[] = {STR("<|spk_ann|>"), STR("a"), STR("<|spk_bo|>"), STR("<|spk")};
	const int32_t types[] = {TOKEN_CONTROL, TOKEN_NORMAL, TOKEN_CONTROL, TOKEN_CONTROL};
	const vocab_config config = {.model = "gpt2", .pre = "gpt-2", .tokens = tokens, .types = types, .n_tokens = 4, .bos = -1, .eos = -1, .eot = -1, .unk = -1};
	vocab *v;
	assert_null(host_weights.token_at(&model, "<|spk_", 0));
	if (vocab_open(&v, &config, &err) != SN_OK)
		fail_msg("%s", err.text);
	struct sn_model beside = model;
	beside.tokens = v;
	assert_string_equal(host_weights.token_at(&beside, "<|spk_", 0), "<|spk_ann|>");
	assert_string_equal(host_weights.token_at(&beside, "<|spk_", 1), "<|spk_bo|>");
	assert_null(host_weights.token_at(&beside, "<|spk_", 2));
	vocab_close(&v);
}

/* The matrix, then the overlap, is the transposed convolution of the definition; F16 weights that are exact give the same bytes. */
static void transposed_convolutions(void **state)
{
	(void)state;
	static const char *const names[] = {"up", "up.f16"};
	for (int k = 0; k < 8; k++) {
		const sn_weight *w;
		job j = job_open(k % 2);
		const uint64_t n = 90, stride = 1 + (uint64_t)k / 4 * 2, rows = (n - 1) * stride + UP_TAPS;
		assert_int_equal(host_weights.conv_transpose1d(&model, names[k / 2 % 2], N_IN, N_UP, UP_TAPS, &w, &fault), SN_RC_OK);
		sn_tensor x = make(&j, n, N_IN, 1), wide = make(&j, n, UP_TAPS * N_UP, 0), y = make(&j, rows + 2, N_UP, 1), was = make(&j, rows + 2, N_UP, 1);
		assert_int_equal(host_ops.linear(j.ctx, &wide, &x, w, SN_ACT_NONE, &fault), SN_RC_OK);
		assert_int_equal(host_ops.overlap_add(j.ctx, &y, &wide, UP_TAPS, (uint32_t)stride, &fault), SN_RC_OK);
		for (uint64_t r = 0; r < rows + 2; r++)
			for (uint64_t c = 0; c < N_UP; c++) {
				double sum = at(&was, r, c);
				for (uint64_t t = 0; t < n; t++)
					for (uint64_t in = 0; r >= t * stride && r - t * stride < UP_TAPS && in < N_IN; in++)
						sum += (double)at(&x, t, in) * value((in * N_UP + c) * UP_TAPS + (r - t * stride));
				close_to(at(&y, r, c), sum, 1e-5);
			}
		/* in two parts, the second one onto what the first one left */
		sn_tensor a = host_ops.rows(&wide, 0, 33), b = host_ops.rows(&wide, 33, n - 33), rest = host_ops.rows(&was, 33 * stride, rows - 33 * stride);
		assert_int_equal(host_ops.overlap_add(j.ctx, &was, &a, UP_TAPS, (uint32_t)stride, &fault), SN_RC_OK);
		assert_int_equal(host_ops.overlap_add(j.ctx, &rest, &b, UP_TAPS, (uint32_t)stride, &fault), SN_RC_OK);
		same_rows(&y, &was);
		sn_tensor fewer = host_ops.rows(&y, 0, rows - 1);
		refused(host_ops.overlap_add(j.ctx, &fewer, &wide, UP_TAPS, (uint32_t)stride, &fault), "overlap_add");
		refused(host_ops.overlap_add(j.ctx, &y, &wide, UP_TAPS - 1, (uint32_t)stride, &fault), "overlap_add");
		refused(host_ops.overlap_add(j.ctx, &y, &wide, UP_TAPS, 0, &fault), "overlap_add");
		ops_ctx_close(&j.ctx);
	}
	const sn_weight *w;
	const struct { const char *name; uint64_t n_in, n_out, taps; sn_rc rc; } cases[] = {
	    {"up", N_UP, N_IN, UP_TAPS, SN_RC_INVALID}, {"up", N_IN, N_UP, 0, SN_RC_INVALID}, {"up", N_IN, N_UP * UP_TAPS, 1, SN_RC_INVALID},
	    {"none", N_IN, N_UP, UP_TAPS, SN_RC_INVALID}, {"packed", 4, 2, 32, SN_RC_UNSUPPORTED}, {"up", UINT64_MAX, UINT64_MAX, 4, SN_RC_INVALID}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(host_weights.conv_transpose1d(&model, cases[i].name, cases[i].n_in, cases[i].n_out, cases[i].taps, &w, &fault), cases[i].rc);
		assert_non_null(strstr(fault.text, cases[i].name));
	}
}

static void snakes_and_scales(void **state)
{
	(void)state;
	for (int k = 0; k < 2; k++) {
		job j = job_open(k);
		sn_tensor x = make(&j, 70, 67, 9), a = make(&j, 1, 67, 3), b = make(&j, 1, 67, 2), y = make(&j, 70, 67, 0);
		assert_int_equal(host_ops.snake(j.ctx, &y, &x, &a, &b, &fault), SN_RC_OK);
		for (uint64_t r = 0; r < 70; r++)
			for (uint64_t c = 0; c < 67; c++) {
				double s = sin((double)at(&a, 0, c) * at(&x, r, c));
				close_to(at(&y, r, c), at(&x, r, c) + at(&b, 0, c) * s * s, 6e-6);
			}
		sn_tensor again = make(&j, 70, 67, 9);
		assert_int_equal(host_ops.snake(j.ctx, &again, &again, &a, &b, &fault), SN_RC_OK);
		same_rows(&y, &again);
		refused(host_ops.snake(j.ctx, &y, &x, &a, &x, &fault), "snake");

		static const int32_t acts[] = {SN_ACT_NONE, SN_ACT_TANH, SN_ACT_GELU_ERF, SN_ACT_RELU, SN_ACT_SIGMOID};
		for (int form = 0; form < 4; form++)
			for (int i = 0; i < 5; i++) {
				const sn_tensor *w = form & 1 ? &a : NULL, *plus = form & 2 ? &b : NULL;
				assert_int_equal(host_ops.scale(j.ctx, &y, &x, w, plus, acts[i], &fault), SN_RC_OK);
				for (uint64_t r = 0; r < 70; r += 7)
					for (uint64_t c = 0; c < 67; c++) {
						double v = at(&x, r, c) * (w ? (double)at(w, 0, c) : 1) + (plus ? (double)at(plus, 0, c) : 0);
						const double want[] = {v, tanh(v), 0.5 * v * (1 + erf(v / sqrt(2))), v > 0 ? v : 0, 1 / (1 + exp(-v))};
						close_to(at(&y, r, c), want[i], 1e-5);
					}
			}
		refused(host_ops.scale(j.ctx, &y, &x, &x, NULL, 0, &fault), "scale");
		refused(host_ops.scale(j.ctx, &y, &x, NULL, NULL, 77, &fault), "scale");
		ops_ctx_close(&j.ctx);
	}
}

static void spectra_become_sound(void **state)
{
	(void)state;
	job j = job_open(1);
	static const uint64_t sizes[] = {2, 20, 1280};
	for (int k = 0; k < 3; k++) {
		uint64_t n = sizes[k], bins = n / 2 + 1;
		sn_tensor x = make(&j, 3, 2 * bins, 2), polar = make(&j, 3, 2 * bins, 0), y = make(&j, 3, n, 0), alone = make(&j, 1, n, 0);
		assert_int_equal(host_ops.polar(j.ctx, &polar, &x, 4.0f, &fault), SN_RC_OK);
		for (uint64_t r = 0; r < 3; r++)
			for (uint64_t i = 0; i < bins; i++) {
				double size = fmin(exp((double)at(&x, r, i)), 4), phase = at(&x, r, bins + i);
				close_to(at(&polar, r, 2 * i), size * cos(phase), 2e-6);
				close_to(at(&polar, r, 2 * i + 1), size * sin(phase), 2e-6);
			}
		assert_int_equal(host_ops.irfft(j.ctx, &y, &polar, &fault), SN_RC_OK);
		for (uint64_t r = 0; r < 3; r++)
			for (uint64_t t = 0; t < n; t += 1 + n / 40) {
				double sum = 0;
				for (uint64_t i = 0; i < bins; i++) {
					double angle = 2 * 3.14159265358979323846 * (double)(i * t % n) / (double)n, twice = i == 0 || i == n / 2 ? 1 : 2;
					sum += twice * (at(&polar, r, 2 * i) * cos(angle) - (i == 0 || i == n / 2 ? 0 : at(&polar, r, 2 * i + 1) * sin(angle)));
				}
				close_to(at(&y, r, t), sum / (double)n, 1e-6);
			}
		sn_tensor second = host_ops.rows(&polar, 1, 1), row = host_ops.rows(&y, 1, 1);
		assert_int_equal(host_ops.irfft(j.ctx, &alone, &second, &fault), SN_RC_OK);
		same_rows(&row, &alone);
		refused(host_ops.irfft(j.ctx, &y, &y, &fault), "irfft");
		refused(host_ops.polar(j.ctx, &x, &x, 4.0f, &fault), "polar");
		refused(host_ops.polar(j.ctx, &polar, &x, 0.0f, &fault), "polar");
	}
	sn_tensor odd = make(&j, 1, 9, 0), of_odd = make(&j, 1, 11, 0);
	refused(host_ops.irfft(j.ctx, &odd, &of_odd, &fault), "irfft");
	refused(host_ops.polar(j.ctx, &odd, &odd, 1.0f, &fault), "polar");
	ops_ctx_close(&j.ctx);
}

static void rotary_positions(void **state)
{
	(void)state;
	for (int k = 0; k < 2; k++) {
		job j = job_open(k);
		enum { HEADS = 3, DIM = 24 };
		sn_tensor x = make(&j, 20, HEADS * DIM, 1), y = make(&j, 20, HEADS * DIM, 0), again = make(&j, 20, HEADS * DIM, 1);
		assert_int_equal(host_ops.rope(j.ctx, &y, &x, DIM, 10000.0f, 70, &fault), SN_RC_OK);
		for (uint64_t t = 0; t < 20; t++)
			for (uint64_t h = 0; h < HEADS; h++)
				for (uint64_t i = 0; i < DIM / 2; i++) {
					double angle = (double)(70 + t) / pow(10000, 2.0 * (double)i / DIM), a = at(&x, t, h * DIM + i), b = at(&x, t, h * DIM + DIM / 2 + i);
					close_to(at(&y, t, h * DIM + i), a * cos(angle) - b * sin(angle), 2e-5);
					close_to(at(&y, t, h * DIM + DIM / 2 + i), b * cos(angle) + a * sin(angle), 2e-5);
				}
		sn_tensor low = host_ops.rows(&again, 0, 7), high = host_ops.rows(&again, 7, 13); /* in place, in two parts */
		assert_int_equal(host_ops.rope(j.ctx, &low, &low, DIM, 10000.0f, 70, &fault), SN_RC_OK);
		assert_int_equal(host_ops.rope(j.ctx, &high, &high, DIM, 10000.0f, 77, &fault), SN_RC_OK);
		same_rows(&y, &again);
		refused(host_ops.rope(j.ctx, &y, &x, 9, 10000.0f, 0, &fault), "rope");
		refused(host_ops.rope(j.ctx, &y, &x, 16, 10000.0f, 0, &fault), "rope");
		refused(host_ops.rope(j.ctx, &y, &x, DIM, 0.0f, 0, &fault), "rope");
		sn_tensor wide = make(&j, 1, 2048, 1);
		refused(host_ops.rope(j.ctx, &wide, &wide, 2048, 10000.0f, 0, &fault), "rope");
		ops_ctx_close(&j.ctx);
	}
}

static void causal_attention(void **state)
{
	(void)state;
	for (int k = 0; k < 4; k++) {
		job j = job_open(k % 2);
		enum { HEADS = 3, DIM = 16, N = 60 };
		const uint64_t window = k < 2 ? 7 : 200;
		sn_tensor q = make(&j, N, HEADS * DIM, 2), key = make(&j, N, HEADS * DIM, 1.5f), v = make(&j, N, HEADS * DIM, 1);
		sn_tensor y = make(&j, N, HEADS * DIM, 0), part = make(&j, N, HEADS * DIM, 0);
		assert_int_equal(host_ops.attention_causal(j.ctx, &y, &q, &key, &v, HEADS, 0.25f, 0, window, &fault), SN_RC_OK);
		for (uint64_t t = 0; t < N; t++)
			for (uint64_t h = 0; h < HEADS; h++) {
				double p[N], total = 0, top = -1e30;
				uint64_t begin = t + 1 > window ? t + 1 - window : 0;
				for (uint64_t s = begin; s <= t; s++) {
					p[s] = 0;
					for (uint64_t i = 0; i < DIM; i++)
						p[s] += 0.25 * (double)at(&q, t, h * DIM + i) * at(&key, s, h * DIM + i);
					top = fmax(top, p[s]);
				}
				for (uint64_t s = begin; s <= t; s++)
					total += p[s] = exp(p[s] - top);
				for (uint64_t i = 0; i < DIM; i++) {
					double sum = 0;
					for (uint64_t s = begin; s <= t; s++)
						sum += p[s] / total * at(&v, s, h * DIM + i);
					close_to(at(&y, t, h * DIM + i), sum, 1e-5);
				}
			}
		/* As a stream does it: keys of the window before, then the chunk's. */
		for (uint64_t first = 0, each; first < N; first += each) {
			each = N - first < 11 ? N - first : 11;
			uint64_t kept = first < window - 1 ? first : window - 1;
			sn_tensor qs = host_ops.rows(&q, first, each), to = host_ops.rows(&part, first, each);
			sn_tensor ks = host_ops.rows(&key, first - kept, kept + each), vs = host_ops.rows(&v, first - kept, kept + each);
			assert_int_equal(host_ops.attention_causal(j.ctx, &to, &qs, &ks, &vs, HEADS, 0.25f, kept, window, &fault), SN_RC_OK);
		}
		same_rows(&y, &part);
		refused(host_ops.attention_causal(j.ctx, &y, &q, &key, &v, HEADS, 0.25f, 1, window, &fault), "attention_causal");
		refused(host_ops.attention_causal(j.ctx, &y, &q, &key, &v, 5, 0.25f, 0, window, &fault), "attention_causal");
		refused(host_ops.attention_causal(j.ctx, &y, &q, &key, &v, HEADS, 0.25f, 0, 0, &fault), "attention_causal");
		refused(host_ops.attention_causal(j.ctx, &y, &q, &key, &v, HEADS, 0.25f, UINT64_MAX, window, &fault), "attention_causal");
		ops_ctx_close(&j.ctx);
	}
}

/* Columns of one tensor that lie side by side are apart, rows of it that overlap are not. */
static void views_may_lie_side_by_side(void **state)
{
	(void)state;
	job j = job_open(1);
	sn_tensor both = make(&j, 6, 40, 1), x = host_ops.cols(&both, 0, 20), y = host_ops.cols(&both, 20, 20), touching = host_ops.cols(&both, 19, 20);
	assert_int_equal(host_ops.polar(j.ctx, &y, &x, 1.0f, &fault), SN_RC_OK);
	assert_int_equal(host_ops.polar(j.ctx, &x, &y, 1.0f, &fault), SN_RC_OK);
	refused(host_ops.polar(j.ctx, &touching, &x, 1.0f, &fault), "polar");
	refused(host_ops.polar(j.ctx, &x, &touching, 1.0f, &fault), "polar");
	ops_ctx_close(&j.ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_become_a_tensor),
	    cmocka_unit_test(rows_are_gathered),
	    cmocka_unit_test(dilated_convolutions),
	    cmocka_unit_test(depthwise_convolutions),
	    cmocka_unit_test(depthwise_weights_and_tokens),
	    cmocka_unit_test(transposed_convolutions),
	    cmocka_unit_test(snakes_and_scales),
	    cmocka_unit_test(spectra_become_sound),
	    cmocka_unit_test(rotary_positions),
	    cmocka_unit_test(causal_attention),
	    cmocka_unit_test(views_may_lie_side_by_side),
	};
	return cmocka_run_group_tests(tests, open_all, close_all);
}
