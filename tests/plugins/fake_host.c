/* fake_host.c - see fake_host.h. */
#include "fake_host.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"

/* ---- memory: blocks in a list behind a header, so that leaks show ---- */

typedef struct block {
	struct block *next;
	void *p;
} block;

static block *made; /* tensors and weights of the fake weights service */

static void *keep(size_t bytes)
{
	block *b = malloc(sizeof *b);
	b->p = calloc(1, bytes ? bytes : 1);
	b->next = made;
	made = b;
	return b->p;
}

static void *mem_alloc(const sn_host *host, size_t bytes)
{
	fake_host *h = (fake_host *)(uintptr_t)host;
	if (++h->n_allocs == h->fail_alloc || bytes > h->budget - h->held)
		return NULL;
	size_t *p = aligned_alloc(64, 64 + (bytes + 63) / 64 * 64);
	memset(p, 0, 64 + (bytes + 63) / 64 * 64);
	*p = bytes;
	h->held += bytes;
	h->peak = h->held > h->peak ? h->held : h->peak;
	return (uint8_t *)p + 64;
}

static void mem_free(const sn_host *host, void *p)
{
	fake_host *h = (fake_host *)(uintptr_t)host;
	if (!p)
		return;
	size_t *head = (size_t *)(void *)((uint8_t *)p - 64);
	h->held -= *head;
	free(head);
}

static void log_write(const sn_host *host, const sn_call *call, int32_t level, const char *topic, const char *text)
{
	(void)call;
	fake_host *h = (fake_host *)(uintptr_t)host;
	h->n_logged += level != SN_HOST_INFO; /* what libraries say; the plugin's own news is told at info */
	snprintf(h->last_log, sizeof h->last_log, "%s: %s", topic, text);
}

/* ---- weights ---- */

struct sn_weight {
	uint64_t n_out, n_in, taps; /* taps 0: a matrix */
	float *w, *b; /* [n_out][n_in] or [n_out][n_in][taps], [n_out] or NULL */
};

static const fake_key *find(const sn_model *m, const char *name, int type)
{
	for (size_t i = 0; i < m->n_keys; i++)
		if (strcmp(m->keys[i].name, name) == 0)
			return (int)m->keys[i].type == type ? &m->keys[i] : NULL;
	return NULL;
}

static bool get_u32(const sn_model *m, const char *key, uint32_t *out)
{
	const fake_key *k = find(m, key, FAKE_U32);
	if (k)
		*out = (uint32_t)k->number;
	return k;
}

static bool get_f32(const sn_model *m, const char *key, float *out)
{
	const fake_key *k = find(m, key, FAKE_F32);
	if (k)
		*out = (float)k->number;
	return k;
}

static bool get_bool(const sn_model *m, const char *key, bool *out)
{
	const fake_key *k = find(m, key, FAKE_BOOL);
	if (k)
		*out = k->number != 0;
	return k;
}

static const char *get_str(const sn_model *m, const char *key)
{
	const fake_key *k = find(m, key, FAKE_STR);
	return k ? k->text : NULL;
}

static uint32_t get_f32_array(const sn_model *m, const char *key, float *out, uint32_t cap)
{
	const fake_key *k = find(m, key, FAKE_F32X3);
	if (!k)
		return 0;
	memcpy(out, k->array, sizeof(float) * (cap < 3 ? cap : 3));
	return 3;
}

static uint32_t get_i32_array(const sn_model *m, const char *key, int32_t *out, uint32_t cap)
{
	const fake_key *k = find(m, key, FAKE_I32S);
	for (uint32_t i = 0; k && i < k->n && i < cap; i++)
		out[i] = k->integers[i];
	return k ? k->n : 0;
}

static const char *get_str_at(const sn_model *m, const char *key, uint32_t i)
{
	const fake_key *k = find(m, key, FAKE_STRS);
	return k && i < k->n ? k->strings[i] : NULL;
}

static sn_rc refuse(sn_fault *fault, const char *name)
{
	fault->code = SN_RC_INVALID;
	snprintf(fault->text, sizeof fault->text, "tensor %s is missing or has another shape", name);
	return SN_RC_INVALID;
}

/* The name that the golden knows a feed-forward tensor by, in a file that swaps them. */
static void true_name(const sn_model *m, const char *name, char *out, size_t cap)
{
	snprintf(out, cap, "%s", name);
	if (!m->swapped_ff || !strstr(name, "ffn_"))
		return;
	bool up = strstr(name, "ffn_up") != NULL;
	char *part = strstr(out, "ffn_");
	snprintf(part, cap - (size_t)(part - out), "%s%s", up ? "ffn_down" : "ffn_up", strrchr(name, '.'));
}

static sn_rc linear(const sn_model *m, const char *name, const char *bias, uint64_t n_out, uint64_t n_in, const sn_weight **out,
                    sn_fault *fault)
{
	char real[128];
	if (m->missing && strcmp(m->missing, name) == 0)
		return refuse(fault, name);
	true_name(m, name, real, sizeof real);
	if (strstr(real, "ffn_up.weight") && (n_out != m->ff || n_in != m->embd))
		return refuse(fault, name);
	if (strstr(real, "ffn_down.weight") && (n_out != m->embd || n_in != m->ff))
		return refuse(fault, name);
	sn_weight *w = keep(sizeof *w);
	w->n_out = n_out;
	w->n_in = n_in;
	w->w = keep(n_out * n_in * sizeof(float));
	golden_tensor(real, n_out * n_in, w->w);
	if (bias) {
		true_name(m, bias, real, sizeof real);
		w->b = keep(n_out * sizeof(float));
		golden_tensor(real, n_out, w->b);
	}
	*out = w;
	return SN_RC_OK;
}

static sn_rc conv1d(const sn_model *m, const char *name, const char *bias, uint64_t n_out, uint64_t n_in, uint64_t taps,
                    const sn_weight **out, sn_fault *fault)
{
	sn_rc rc = linear(m, name, bias, n_out, n_in * taps, out, fault);
	if (rc == SN_RC_OK) {
		sn_weight *w = (sn_weight *)(uintptr_t)*out;
		w->n_in = n_in;
		w->taps = taps;
	}
	return rc;
}

static sn_rc values(const sn_model *m, const float *src, uint64_t n_rows, uint64_t n, sn_tensor *out, sn_fault *fault)
{
	(void)m, (void)fault;
	uint64_t rows = n_rows ? n_rows : 1;
	float *data = keep(rows * n * sizeof *data);
	memcpy(data, src, rows * n * sizeof *data);
	*out = (sn_tensor){.data = data, .n_dims = 2, .shape = {rows, n}, .stride = {n, 1}};
	return SN_RC_OK;
}

static sn_rc conv_transpose1d(const sn_model *m, const char *name, uint64_t n_in, uint64_t n_out, uint64_t taps, const sn_weight **out,
                              sn_fault *fault)
{
	sn_rc rc = linear(m, name, NULL, n_in, n_out * taps, out, fault);
	if (rc != SN_RC_OK)
		return rc;
	sn_weight *w = (sn_weight *)(uintptr_t)*out;
	float *turned = keep(n_in * n_out * taps * sizeof *turned);
	for (uint64_t in = 0; in < n_in; in++)
		for (uint64_t o = 0; o < n_out; o++)
			for (uint64_t i = 0; i < taps; i++)
				turned[(i * n_out + o) * n_in + in] = w->w[(in * n_out + o) * taps + i];
	*w = (sn_weight){.n_out = taps * n_out, .n_in = n_in, .w = turned};
	return SN_RC_OK;
}

static uint32_t shape(const sn_model *m, const char *name, uint64_t out[4])
{
	for (size_t i = 0; i < m->n_shapes; i++)
		if (strcmp(m->shapes[i].name, name) == 0 && !(m->missing && strcmp(m->missing, name) == 0)) {
			out[0] = m->shapes[i].rows;
			out[1] = m->shapes[i].cols;
			return 2;
		}
	return 0;
}

static sn_rc tensor(const sn_model *m, const char *name, uint64_t n_rows, uint64_t n, sn_tensor *out, sn_fault *fault)
{
	if (m->missing && strcmp(m->missing, name) == 0)
		return refuse(fault, name);
	uint64_t rows = n_rows ? n_rows : 1;
	float *data = keep(rows * n * sizeof(float));
	golden_tensor(name, rows * n, data);
	*out = (sn_tensor){.data = data, .n_dims = 2, .shape = {rows, n}, .stride = {n, 1}};
	return SN_RC_OK;
}

/* ---- ops: the definitions, in double where they sum ---- */

struct sn_ops_ctx {
	uint64_t budget, used;
	block *blocks;
};

static float *row_of(const sn_tensor *t, uint64_t r) { return (float *)t->data + r * t->stride[0]; }

static sn_rc misfit(sn_fault *fault, const char *op)
{
	fault->code = SN_RC_INTERNAL;
	snprintf(fault->text, sizeof fault->text, "%s: shapes do not fit", op);
	return SN_RC_INTERNAL;
}

static bool fits(const sn_tensor *t, uint64_t rows, uint64_t cols)
{
	return t->data && t->shape[0] == rows && t->shape[1] == cols;
}

static sn_rc op_alloc(sn_ops_ctx *ctx, uint64_t rows, uint64_t cols, sn_tensor *out, sn_fault *fault)
{
	uint64_t bytes = rows * cols * sizeof(float);
	if (!rows || !cols || ctx->used + bytes > ctx->budget) {
		fault->code = SN_RC_NOMEM;
		snprintf(fault->text, sizeof fault->text, "over the declared bytes");
		return SN_RC_NOMEM;
	}
	block *b = malloc(sizeof *b);
	b->p = malloc(bytes);
	memset(b->p, 0xFF, bytes); /* NaN: whoever reads before writing shows */
	b->next = ctx->blocks;
	ctx->blocks = b;
	ctx->used += bytes;
	*out = (sn_tensor){.data = b->p, .n_dims = 2, .shape = {rows, cols}, .stride = {cols, 1}};
	return SN_RC_OK;
}

static sn_tensor op_rows(const sn_tensor *t, uint64_t first, uint64_t n)
{
	sn_tensor v = *t;
	v.data = first + n <= t->shape[0] ? row_of(t, first) : NULL;
	v.shape[0] = n;
	return v;
}

static sn_tensor op_cols(const sn_tensor *t, uint64_t first, uint64_t n)
{
	sn_tensor v = *t;
	v.data = first + n <= t->shape[1] ? (float *)t->data + first : NULL;
	v.shape[1] = n;
	return v;
}

static sn_rc op_write(sn_ops_ctx *ctx, const sn_tensor *t, const float *src, sn_fault *fault)
{
	(void)ctx;
	if (!t->data)
		return misfit(fault, "write");
	for (uint64_t r = 0; r < t->shape[0]; r++)
		memcpy(row_of(t, r), src + r * t->shape[1], t->shape[1] * sizeof(float));
	return SN_RC_OK;
}

static sn_rc op_read(sn_ops_ctx *ctx, const sn_tensor *t, float *dst, sn_fault *fault)
{
	(void)ctx;
	if (!t->data)
		return misfit(fault, "read");
	for (uint64_t r = 0; r < t->shape[0]; r++)
		memcpy(dst + r * t->shape[1], row_of(t, r), t->shape[1] * sizeof(float));
	return SN_RC_OK;
}

static double activate(double x, int32_t act)
{
	switch (act) {
	case SN_ACT_GELU_TANH:
		return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
	case SN_ACT_GELU_ERF:
		return 0.5 * x * (1 + erf(x / 1.4142135623730951));
	case SN_ACT_GELU_QUICK:
		return x / (1 + exp(-1.702 * x));
	case SN_ACT_SILU:
		return x / (1 + exp(-x));
	case SN_ACT_TANH:
		return tanh(x);
	case SN_ACT_RELU:
		return x > 0 ? x : 0;
	case SN_ACT_SIGMOID:
		return 1 / (1 + exp(-x));
	default:
		return x;
	}
}

static sn_rc op_linear(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, int32_t act, sn_fault *fault)
{
	(void)ctx;
	if (!w || w->taps || !fits(x, x->shape[0], w->n_in) || !fits(y, x->shape[0], w->n_out))
		return misfit(fault, "linear");
	for (uint64_t r = 0; r < x->shape[0]; r++)
		for (uint64_t o = 0; o < w->n_out; o++) {
			double sum = w->b ? w->b[o] : 0.0;
			for (uint64_t i = 0; i < w->n_in; i++)
				sum += (double)row_of(x, r)[i] * w->w[o * w->n_in + i];
			row_of(y, r)[o] = (float)activate(sum, act);
		}
	return SN_RC_OK;
}

static sn_rc op_layer_norm(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b, float eps,
                           sn_fault *fault)
{
	(void)ctx;
	uint64_t n = x->shape[1];
	if (!x->data || !fits(y, x->shape[0], n) || !fits(w, 1, n) || !fits(b, 1, n))
		return misfit(fault, "layer_norm");
	for (uint64_t r = 0; r < x->shape[0]; r++) {
		const float *in = row_of(x, r);
		double mean = 0, var = 0;
		for (uint64_t i = 0; i < n; i++)
			mean += in[i] / (double)n;
		for (uint64_t i = 0; i < n; i++)
			var += (in[i] - mean) * (in[i] - mean) / (double)n;
		for (uint64_t i = 0; i < n; i++)
			row_of(y, r)[i] = (float)((in[i] - mean) / sqrt(var + eps) * row_of(w, 0)[i] + row_of(b, 0)[i]);
	}
	return SN_RC_OK;
}

static sn_rc op_add(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *a, const sn_tensor *b, sn_fault *fault)
{
	(void)ctx;
	if (!a->data || !fits(y, a->shape[0], a->shape[1]) || !fits(b, a->shape[0], a->shape[1]))
		return misfit(fault, "add");
	for (uint64_t r = 0; r < a->shape[0]; r++)
		for (uint64_t i = 0; i < a->shape[1]; i++)
			row_of(y, r)[i] = row_of(a, r)[i] + row_of(b, r)[i];
	return SN_RC_OK;
}

static sn_rc op_attention(sn_ops_ctx *ctx, const sn_tensor *out, const sn_tensor *q, const sn_tensor *k, const sn_tensor *v,
                          uint32_t n_head, float scale, sn_fault *fault)
{
	(void)ctx;
	uint64_t n = k->shape[0], width = q->shape[1];
	if (!q->data || !k->data || !fits(out, q->shape[0], width) || k->shape[1] != width || !fits(v, n, width) || !n_head || width % n_head)
		return misfit(fault, "attention");
	uint64_t dim = width / n_head;
	double *p = malloc(n * sizeof *p);
	for (uint64_t r = 0; r < q->shape[0]; r++)
		for (uint64_t h = 0; h < n_head; h++) {
			double most = -INFINITY, sum = 0;
			for (uint64_t j = 0; j < n; j++) {
				p[j] = 0;
				for (uint64_t i = 0; i < dim; i++)
					p[j] += (double)row_of(q, r)[h * dim + i] * row_of(k, j)[h * dim + i];
				p[j] *= scale;
				most = p[j] > most ? p[j] : most;
			}
			for (uint64_t j = 0; j < n; j++)
				sum += p[j] = exp(p[j] - most);
			for (uint64_t i = 0; i < dim; i++) {
				double acc = 0;
				for (uint64_t j = 0; j < n; j++)
					acc += p[j] * row_of(v, j)[h * dim + i];
				row_of(out, r)[h * dim + i] = (float)(acc / sum);
			}
		}
	free(p);
	return SN_RC_OK;
}

static sn_rc op_pixel_shuffle(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, uint32_t h, uint32_t w, uint32_t s, sn_fault *fault)
{
	(void)ctx;
	uint64_t c = x->shape[1];
	if (!s || h % s || w % s || !fits(x, (uint64_t)h * w, c) || !fits(y, (uint64_t)(h / s) * (w / s), s * s * c))
		return misfit(fault, "pixel_shuffle");
	for (uint32_t r = 0; r < h; r++)
		for (uint32_t q = 0; q < w; q++)
			memcpy(row_of(y, (uint64_t)(r / s) * (w / s) + q / s) + ((r % s) * s + q % s) * c, row_of(x, (uint64_t)r * w + q),
			       c * sizeof(float));
	return SN_RC_OK;
}

static sn_rc op_rms_norm(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, float eps, sn_fault *fault)
{
	(void)ctx;
	uint64_t n = x->shape[1];
	if (!x->data || !fits(y, x->shape[0], n) || !fits(w, 1, n))
		return misfit(fault, "rms_norm");
	for (uint64_t r = 0; r < x->shape[0]; r++) {
		double sum = 0;
		for (uint64_t i = 0; i < n; i++)
			sum += (double)row_of(x, r)[i] * row_of(x, r)[i] / (double)n;
		for (uint64_t i = 0; i < n; i++)
			row_of(y, r)[i] = (float)(row_of(x, r)[i] / sqrt(sum + eps) * row_of(w, 0)[i]);
	}
	return SN_RC_OK;
}

static sn_rc op_conv1d(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, uint32_t stride, uint32_t pad,
                       int32_t act, sn_fault *fault)
{
	(void)ctx;
	if (!w || !w->taps || !x->data || !y->data || !stride || x->shape[0] + 2 * pad < w->taps || x->shape[1] != w->n_in ||
	    !fits(y, (x->shape[0] + 2 * pad - w->taps) / stride + 1, w->n_out))
		return misfit(fault, "conv1d");
	for (uint64_t t = 0; t < y->shape[0]; t++)
		for (uint64_t o = 0; o < w->n_out; o++) {
			double sum = w->b ? w->b[o] : 0.0;
			for (uint64_t i = 0; i < w->taps; i++) {
				uint64_t r = t * stride + i - pad; /* before the first row: past the last one, too */
				for (uint64_t c = 0; r < x->shape[0] && c < w->n_in; c++)
					sum += (double)row_of(x, r)[c] * w->w[(o * w->n_in + c) * w->taps + i];
			}
			row_of(y, t)[o] = (float)activate(sum, act);
		}
	return SN_RC_OK;
}

static sn_rc op_mean_rows(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, uint32_t n, sn_fault *fault)
{
	(void)ctx;
	if (!n || !x->data || !fits(y, y->shape[0], x->shape[1]) || x->shape[0] < y->shape[0] * n)
		return misfit(fault, "mean_rows");
	for (uint64_t r = 0; r < y->shape[0]; r++)
		for (uint64_t c = 0; c < y->shape[1]; c++) {
			double sum = 0;
			for (uint32_t i = 0; i < n; i++)
				sum += row_of(x, r * n + i)[c];
			row_of(y, r)[c] = (float)(sum / n);
		}
	return SN_RC_OK;
}

static sn_tensor op_reshape(const sn_tensor *t, uint64_t rows, uint64_t cols)
{
	sn_tensor v = *t;
	if ((t->shape[0] != 1 && t->stride[0] != t->shape[1]) || t->shape[0] * t->shape[1] != rows * cols)
		v.data = NULL;
	v.shape[0] = rows;
	v.shape[1] = v.stride[0] = cols;
	return v;
}

static sn_rc op_gate(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *gate, const sn_tensor *up, int32_t act, sn_fault *fault)
{
	(void)ctx;
	if (!gate->data || !fits(y, gate->shape[0], gate->shape[1]) || !fits(up, gate->shape[0], gate->shape[1]))
		return misfit(fault, "gate");
	for (uint64_t r = 0; r < y->shape[0]; r++)
		for (uint64_t i = 0; i < y->shape[1]; i++)
			row_of(y, r)[i] = (float)(activate(row_of(gate, r)[i], act) * row_of(up, r)[i]);
	return SN_RC_OK;
}

/* ---- ops for sound ---- */

static sn_rc op_gather(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *table, const int32_t *ids, sn_fault *fault)
{
	(void)ctx;
	if (!table->data || !fits(y, y->shape[0], table->shape[1]))
		return misfit(fault, "gather");
	for (uint64_t r = 0; r < y->shape[0]; r++) {
		if (ids[r] < 0 || (uint64_t)ids[r] >= table->shape[0])
			return misfit(fault, "gather");
		memcpy(row_of(y, r), row_of(table, (uint64_t)ids[r]), y->shape[1] * sizeof(float));
	}
	return SN_RC_OK;
}

static sn_rc op_conv1d_dilated(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, uint32_t dilation, int32_t act,
                               sn_fault *fault)
{
	(void)ctx;
	if (!w || !w->taps || !dilation || !fits(y, y->shape[0], w->n_out) || !fits(x, y->shape[0] + (w->taps - 1) * dilation, w->n_in))
		return misfit(fault, "conv1d_dilated");
	for (uint64_t t = 0; t < y->shape[0]; t++)
		for (uint64_t o = 0; o < w->n_out; o++) {
			double sum = w->b ? w->b[o] : 0.0;
			for (uint64_t i = 0; i < w->taps; i++)
				for (uint64_t c = 0; c < w->n_in; c++)
					sum += (double)row_of(x, t + i * dilation)[c] * w->w[(o * w->n_in + c) * w->taps + i];
			row_of(y, t)[o] = (float)activate(sum, act);
		}
	return SN_RC_OK;
}

static sn_rc op_conv1d_depthwise(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b,
                                 uint32_t dilation, sn_fault *fault)
{
	(void)ctx;
	uint64_t c = y->shape[1];
	if (!y->data || !w->data || !dilation || w->shape[1] != c || !fits(b, 1, c) || !fits(x, y->shape[0] + (w->shape[0] - 1) * dilation, c))
		return misfit(fault, "conv1d_depthwise");
	for (uint64_t t = 0; t < y->shape[0]; t++)
		for (uint64_t k = 0; k < c; k++) {
			double sum = row_of(b, 0)[k];
			for (uint64_t i = 0; i < w->shape[0]; i++)
				sum += (double)row_of(w, i)[k] * row_of(x, t + i * dilation)[k];
			row_of(y, t)[k] = (float)sum;
		}
	return SN_RC_OK;
}

static sn_rc op_overlap_add(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, uint32_t taps, uint32_t stride, sn_fault *fault)
{
	(void)ctx;
	uint64_t c = y->shape[1];
	if (!y->data || !taps || !stride || !fits(x, x->shape[0], taps * c) || y->shape[0] < (x->shape[0] - 1) * stride + taps)
		return misfit(fault, "overlap_add");
	for (uint64_t t = 0; t < x->shape[0]; t++)
		for (uint64_t i = 0; i < taps; i++)
			for (uint64_t k = 0; k < c; k++)
				row_of(y, t * stride + i)[k] += row_of(x, t)[i * c + k];
	return SN_RC_OK;
}

static sn_rc op_snake(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_tensor *alpha, const sn_tensor *beta, sn_fault *fault)
{
	(void)ctx;
	uint64_t c = x->shape[1];
	if (!x->data || !fits(y, x->shape[0], c) || !fits(alpha, 1, c) || !fits(beta, 1, c))
		return misfit(fault, "snake");
	for (uint64_t r = 0; r < x->shape[0]; r++)
		for (uint64_t i = 0; i < c; i++) {
			double s = sin((double)row_of(alpha, 0)[i] * row_of(x, r)[i]);
			row_of(y, r)[i] = (float)(row_of(x, r)[i] + row_of(beta, 0)[i] * s * s);
		}
	return SN_RC_OK;
}

static sn_rc op_scale(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b, int32_t act,
                      sn_fault *fault)
{
	(void)ctx;
	uint64_t c = x->shape[1];
	if (!x->data || !fits(y, x->shape[0], c) || (w && !fits(w, 1, c)) || (b && !fits(b, 1, c)))
		return misfit(fault, "scale");
	for (uint64_t r = 0; r < x->shape[0]; r++)
		for (uint64_t i = 0; i < c; i++)
			row_of(y, r)[i] = (float)activate((double)row_of(x, r)[i] * (w ? row_of(w, 0)[i] : 1.0f) + (b ? row_of(b, 0)[i] : 0.0f), act);
	return SN_RC_OK;
}

static sn_rc op_polar(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, float max, sn_fault *fault)
{
	(void)ctx;
	uint64_t k = x->shape[1] / 2;
	if (!x->data || x->shape[1] % 2 || !fits(y, x->shape[0], x->shape[1]) || y->data == x->data)
		return misfit(fault, "polar");
	for (uint64_t r = 0; r < x->shape[0]; r++)
		for (uint64_t i = 0; i < k; i++) {
			double size = fmin(exp((double)row_of(x, r)[i]), (double)max), phase = row_of(x, r)[k + i];
			row_of(y, r)[2 * i] = (float)(size * cos(phase));
			row_of(y, r)[2 * i + 1] = (float)(size * sin(phase));
		}
	return SN_RC_OK;
}

static sn_rc op_irfft(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, sn_fault *fault)
{
	(void)ctx;
	uint64_t n = y->shape[1], half = n / 2;
	if (!y->data || !n || n % 2 || !fits(x, y->shape[0], n + 2))
		return misfit(fault, "irfft");
	for (uint64_t r = 0; r < y->shape[0]; r++)
		for (uint64_t t = 0; t < n; t++) {
			const float *f = row_of(x, r);
			double sum = f[0] + (t % 2 ? -f[n] : f[n]);
			for (uint64_t i = 1; i < half; i++) {
				double angle = 6.283185307179586 * (double)(i * t % n) / (double)n;
				sum += 2 * (f[2 * i] * cos(angle) - f[2 * i + 1] * sin(angle));
			}
			row_of(y, r)[t] = (float)(sum / (double)n);
		}
	return SN_RC_OK;
}

static sn_rc op_rope(sn_ops_ctx *ctx, const sn_tensor *y, const sn_tensor *x, uint32_t head_dim, float theta, uint64_t first, sn_fault *fault)
{
	(void)ctx;
	uint32_t half = head_dim / 2;
	if (!x->data || !half || head_dim % 2 || x->shape[1] % head_dim || !fits(y, x->shape[0], x->shape[1]))
		return misfit(fault, "rope");
	for (uint64_t t = 0; t < x->shape[0]; t++)
		for (uint64_t h = 0; h < x->shape[1]; h += head_dim)
			for (uint32_t i = 0; i < half; i++) {
				double angle = (double)(first + t) * pow((double)theta, -2.0 * i / head_dim), a = row_of(x, t)[h + i], b = row_of(x, t)[h + half + i];
				row_of(y, t)[h + i] = (float)(a * cos(angle) - b * sin(angle));
				row_of(y, t)[h + half + i] = (float)(b * cos(angle) + a * sin(angle));
			}
	return SN_RC_OK;
}

/* Row by row, each over the keys that it sees. */
static sn_rc op_attention_causal(sn_ops_ctx *ctx, const sn_tensor *out, const sn_tensor *q, const sn_tensor *k, const sn_tensor *v,
                                 uint32_t n_head, float scale, uint64_t first, uint64_t window, sn_fault *fault)
{
	if (!window || first + q->shape[0] > k->shape[0])
		return misfit(fault, "attention_causal");
	for (uint64_t t = 0; t < q->shape[0]; t++) {
		uint64_t end = first + t + 1, begin = end > window ? end - window : 0;
		sn_tensor qt = op_rows(q, t, 1), to = op_rows(out, t, 1), keys = op_rows(k, begin, end - begin), vals = op_rows(v, begin, end - begin);
		sn_rc rc = op_attention(ctx, &to, &qt, &keys, &vals, n_head, scale, fault);
		if (rc != SN_RC_OK)
			return rc;
	}
	return SN_RC_OK;
}

/* ---- the host ---- */

static const sn_host_log LOG = {.size = sizeof LOG, .write = log_write};
static const sn_host_memory MEMORY = {.size = sizeof MEMORY, .alloc = mem_alloc, .free = mem_free};
static const sn_host_weights WEIGHTS = {.size = sizeof WEIGHTS, .get_u32 = get_u32, .get_f32 = get_f32, .get_bool = get_bool,
                                        .get_str = get_str, .get_f32_array = get_f32_array, .linear = linear, .tensor = tensor,
                                        .get_i32_array = get_i32_array, .get_str_at = get_str_at, .conv1d = conv1d, .shape = shape, .values = values,
                                        .conv_transpose1d = conv_transpose1d};
static const sn_host_ops OPS = {.size = sizeof OPS, .alloc = op_alloc, .rows = op_rows, .cols = op_cols, .write = op_write,
                                .read = op_read, .linear = op_linear, .layer_norm = op_layer_norm, .rms_norm = op_rms_norm,
                                .add = op_add, .attention = op_attention, .pixel_shuffle = op_pixel_shuffle, .conv1d = op_conv1d,
                                .mean_rows = op_mean_rows, .reshape = op_reshape, .gate = op_gate, .gather = op_gather,
                                .conv1d_dilated = op_conv1d_dilated, .conv1d_depthwise = op_conv1d_depthwise, .overlap_add = op_overlap_add,
                                .snake = op_snake, .scale = op_scale, .polar = op_polar, .irfft = op_irfft, .rope = op_rope,
                                .attention_causal = op_attention_causal};

static const void *service(const sn_host *host, const char *id)
{
	(void)host;
	return strcmp(id, SN_HOST_LOG) == 0       ? (const void *)&LOG
	       : strcmp(id, SN_HOST_MEMORY) == 0  ? (const void *)&MEMORY
	       : strcmp(id, SN_HOST_WEIGHTS) == 0 ? (const void *)&WEIGHTS
	       : strcmp(id, SN_HOST_OPS) == 0     ? (const void *)&OPS
	                                          : NULL;
}

void fake_host_init(fake_host *h)
{
	*h = (fake_host){.host = {.size = sizeof(sn_host), .service = service}, .budget = (size_t)1 << 30};
}

void fake_host_fini(fake_host *h)
{
	(void)h;
	for (block *b = made, *next; b; b = next) {
		next = b->next;
		free(b->p);
		free(b);
	}
	made = NULL;
}

sn_ops_ctx *fake_ops_open(uint64_t budget)
{
	sn_ops_ctx *ctx = calloc(1, sizeof *ctx);
	ctx->budget = budget;
	return ctx;
}

void fake_ops_close(sn_ops_ctx *ctx)
{
	for (block *b = ctx->blocks, *next; b; b = next) {
		next = b->next;
		free(b->p);
		free(b);
	}
	free(ctx);
}

uint64_t fake_ops_used(const sn_ops_ctx *ctx) { return ctx->used; }

const sn_plugin_list *fake_load_plugin(const char *file)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", PLUGIN_DIR, file);
	void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	sn_plugin_entry_fn *entry = NULL;
	if (so)
		*(void **)&entry = dlsym(so, "sn_plugin_entry_1");
	if (!entry) {
		fprintf(stderr, "%s: %s\n", file, dlerror());
		exit(1);
	}
	return entry();
}
