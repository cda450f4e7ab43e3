/* check_host.c - see check_host.h. Each table mirrors one of the real ones: look at the phase, go from handles to their shadows,
 * pass on, hand out handles. */
#include "plugin/check_host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"

#include <sensorium/host/log.h>
#include <sensorium/host/memory.h>
#include <sensorium/host/threads.h>

typedef void any_fn(void);

static check_host *_Atomic running;

check_host *check_host_running(void)
{
	return atomic_load_explicit(&running, memory_order_acquire);
}

static check_host *host_of(const sn_host *face)
{
	return (check_host *)(uintptr_t)face;
}

const char *check_phase_name(check_phase p)
{
	static const struct { check_phase phase; const char *name; } names[] = {
	    {IN_PROBE, "probe"}, {IN_INIT, "init"}, {IN_LOAD, "load"}, {IN_ANY, "an [any] call"}, {IN_BEGIN, "begin"},
	    {IN_STEP, "step"}, {IN_END, "end"}, {IN_FINI, "fini"}};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].phase == p)
			return names[i].name;
	return "no call at all";
}

static void expect(check_host *h, unsigned legal, const char *service)
{
	if (!h->watch || *h->violation)
		return;
	if (!(h->phase & legal))
		snprintf(h->violation, sizeof h->violation, "%s was called in %s", service, check_phase_name(h->phase));
	else if (!pthread_equal(pthread_self(), h->thread))
		snprintf(h->violation, sizeof h->violation, "%s was called by a thread of the plugin's own", service);
}

static bool fails_now(check_host *h)
{
	return atomic_fetch_add(&h->n_asked, 1) + 1 == h->fail_at;
}

bool check_host_own_call(check_host *h, const char *name, bool asks)
{
	unsigned illegal = asks ? IN_STEP | IN_END : IN_STEP; /* end gives back what begin took */
	if (h->watch && !*h->violation && (h->phase & illegal) && pthread_equal(pthread_self(), h->thread))
		snprintf(h->violation, sizeof h->violation, "%s was called in %s", name, check_phase_name(h->phase));
	return asks && fails_now(h);
}

static sn_rc no_memory(sn_fault *fault)
{
	return host_fault(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory (a check lets this request fail)");
}

/* ---- log, memory, threads ---- */

enum { ALWAYS = IN_PROBE | IN_INIT | IN_LOAD | IN_ANY | IN_BEGIN | IN_STEP | IN_END | IN_FINI };

static void log_write(const sn_host *host, const sn_call *call, int32_t level, const char *topic, const char *text)
{
	check_host *h = host_of(host);
	const sn_host_log *real = host_service(&h->real->face, SN_HOST_LOG);
	expect(h, ALWAYS, "log.write");
	real->write(&h->real->face, call, level, topic, text);
}

static void *mem_alloc(const sn_host *host, size_t bytes)
{
	check_host *h = host_of(host);
	const sn_host_memory *real = host_service(&h->real->face, SN_HOST_MEMORY);
	expect(h, ALWAYS & ~(unsigned)(IN_STEP | IN_END), "memory.alloc");
	return fails_now(h) ? NULL : real->alloc(&h->real->face, bytes);
}

static void mem_free(const sn_host *host, void *p)
{
	check_host *h = host_of(host);
	const sn_host_memory *real = host_service(&h->real->face, SN_HOST_MEMORY);
	expect(h, ALWAYS & ~(unsigned)IN_STEP, "memory.free");
	real->free(&h->real->face, p);
}

static uint32_t thread_count(const sn_host *host)
{
	(void)host;
	return 1;
}

static void run_chunks(const sn_host *host, sn_chunk_fn *fn, void *ctx, uint64_t n_chunks)
{
	expect(host_of(host), ALWAYS, "threads.run");
	for (uint64_t i = n_chunks; i-- > 0;) /* backwards: what a chunk computes must not depend on the order */
		fn(ctx, i, 0);
}

/* ---- weights ---- */

static check_model *model_of(const sn_model *m)
{
	return (check_model *)(uintptr_t)m;
}

/* A new tensor of the real services, as the plugin sees it. */
static sn_rc hand_out(check_host *h, const void *owner, sn_tensor *t, sn_fault *fault)
{
	size_t bytes = (size_t)(t->shape[0] * t->stride[0] * sizeof(float));
	if (!h->bare)
		t->data = check_device_add(h->device, owner, t->data, bytes);
	return t->data ? SN_RC_OK : host_fault(fault, SN_RC_NOMEM, SN_BLAME_RESOURCE, "no memory on the test device");
}

static bool get_u32(const sn_model *m, const char *key, uint32_t *out)
{
	expect(model_of(m)->host, IN_PROBE | IN_LOAD, "weights.get_u32");
	return host_weights.get_u32(m, key, out);
}

static bool get_f32(const sn_model *m, const char *key, float *out)
{
	expect(model_of(m)->host, IN_PROBE | IN_LOAD, "weights.get_f32");
	return host_weights.get_f32(m, key, out);
}

static bool get_bool(const sn_model *m, const char *key, bool *out)
{
	expect(model_of(m)->host, IN_PROBE | IN_LOAD, "weights.get_bool");
	return host_weights.get_bool(m, key, out);
}

static const char *get_str(const sn_model *m, const char *key)
{
	expect(model_of(m)->host, IN_PROBE | IN_LOAD, "weights.get_str");
	return host_weights.get_str(m, key);
}

static uint32_t get_f32_array(const sn_model *m, const char *key, float *out, uint32_t cap)
{
	expect(model_of(m)->host, IN_PROBE | IN_LOAD, "weights.get_f32_array");
	return host_weights.get_f32_array(m, key, out, cap);
}

static sn_rc linear(const sn_model *m, const char *name, const char *bias, uint64_t n_out, uint64_t n_in, const sn_weight **out,
                    sn_fault *fault)
{
	check_host *h = model_of(m)->host;
	expect(h, IN_LOAD, "weights.linear");
	return fails_now(h) ? no_memory(fault) : host_weights.linear(m, name, bias, n_out, n_in, out, fault);
}

static sn_rc tensor(const sn_model *m, const char *name, uint64_t n_rows, uint64_t n, sn_tensor *out, sn_fault *fault)
{
	check_host *h = model_of(m)->host;
	expect(h, IN_LOAD, "weights.tensor");
	sn_rc rc = fails_now(h) ? no_memory(fault) : host_weights.tensor(m, name, n_rows, n, out, fault);
	return rc == SN_RC_OK ? hand_out(h, m, out, fault) : rc;
}

static uint32_t get_i32_array(const sn_model *m, const char *key, int32_t *out, uint32_t cap)
{
	expect(model_of(m)->host, IN_PROBE | IN_LOAD, "weights.get_i32_array");
	return host_weights.get_i32_array(m, key, out, cap);
}

static const char *get_str_at(const sn_model *m, const char *key, uint32_t i)
{
	expect(model_of(m)->host, IN_PROBE | IN_LOAD, "weights.get_str_at");
	return host_weights.get_str_at(m, key, i);
}

static sn_rc conv1d(const sn_model *m, const char *name, const char *bias, uint64_t n_out, uint64_t n_in, uint64_t taps,
                    const sn_weight **out, sn_fault *fault)
{
	check_host *h = model_of(m)->host;
	expect(h, IN_LOAD, "weights.conv1d");
	return fails_now(h) ? no_memory(fault) : host_weights.conv1d(m, name, bias, n_out, n_in, taps, out, fault);
}

static uint32_t shape(const sn_model *m, const char *name, uint64_t out[4])
{
	expect(model_of(m)->host, IN_PROBE | IN_LOAD, "weights.shape");
	return host_weights.shape(m, name, out);
}

static sn_rc values(const sn_model *m, const float *src, uint64_t n_rows, uint64_t n, sn_tensor *out, sn_fault *fault)
{
	check_host *h = model_of(m)->host;
	expect(h, IN_LOAD, "weights.values");
	sn_rc rc = fails_now(h) ? no_memory(fault) : host_weights.values(m, src, n_rows, n, out, fault);
	return rc == SN_RC_OK ? hand_out(h, m, out, fault) : rc;
}

static sn_rc conv_transpose1d(const sn_model *m, const char *name, uint64_t n_in, uint64_t n_out, uint64_t taps, const sn_weight **out,
                              sn_fault *fault)
{
	check_host *h = model_of(m)->host;
	expect(h, IN_LOAD, "weights.conv_transpose1d");
	return fails_now(h) ? no_memory(fault) : host_weights.conv_transpose1d(m, name, n_in, n_out, taps, out, fault);
}

static sn_rc conv1d_depthwise(const sn_model *m, const char *name, uint64_t n, uint64_t taps, sn_tensor *out, sn_fault *fault)
{
	check_host *h = model_of(m)->host;
	expect(h, IN_LOAD, "weights.conv1d_depthwise");
	sn_rc rc = fails_now(h) ? no_memory(fault) : host_weights.conv1d_depthwise(m, name, n, taps, out, fault);
	return rc == SN_RC_OK ? hand_out(h, m, out, fault) : rc;
}

static const char *token_at(const sn_model *m, const char *prefix, uint32_t i)
{
	expect(model_of(m)->host, IN_LOAD, "weights.token_at");
	return host_weights.token_at(m, prefix, i);
}

/* ---- ops ---- */

static check_ctx *ctx_of(sn_ops_ctx *c)
{
	return (check_ctx *)c;
}

/* The tensor as the real ops know it. One that is not of this device, has ended, or reaches outside what it was given has no
 * data: the op refuses it. */
static sn_tensor plain(const check_host *h, const sn_tensor *t)
{
	sn_tensor v = *t;
	size_t n;
	if (h->bare)
		return v;
	bool fits = v.shape[0] && !__builtin_mul_overflow(v.shape[0] - 1, v.stride[0], &n) && !__builtin_add_overflow(n, v.shape[1], &n) &&
	            !__builtin_mul_overflow(n, sizeof(float), &n);
	v.data = fits ? check_device_shadow(h->device, t->data, n) : NULL;
	return v;
}

static sn_rc op_alloc(sn_ops_ctx *c, uint64_t rows, uint64_t cols, sn_tensor *out, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	expect(h, IN_BEGIN, "ops.alloc");
	sn_rc rc = fails_now(h) ? no_memory(fault) : host_ops.alloc(ctx_of(c)->real, rows, cols, out, fault);
	if (rc != SN_RC_OK)
		return rc;
	for (uint64_t i = 0; i < rows * cols; i++) /* whoever reads before writing shows */
		((uint32_t *)out->data)[i] = 0x7FC00000;
	return hand_out(h, c, out, fault);
}

static sn_rc op_write(sn_ops_ctx *c, const sn_tensor *t, const float *src, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor v = plain(h, t);
	expect(h, IN_BEGIN | IN_STEP, "ops.write");
	return host_ops.write(ctx_of(c)->real, &v, src, fault);
}

static sn_rc op_read(sn_ops_ctx *c, const sn_tensor *t, float *dst, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor v = plain(h, t);
	expect(h, IN_STEP, "ops.read");
	return host_ops.read(ctx_of(c)->real, &v, dst, fault);
}

static sn_rc op_linear(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, int32_t act, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x);
	expect(h, IN_STEP, "ops.linear");
	return host_ops.linear(ctx_of(c)->real, &py, &px, w, act, fault);
}

static sn_rc op_layer_norm(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b, float eps,
                           sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x), pw = plain(h, w), pb = plain(h, b);
	expect(h, IN_STEP, "ops.layer_norm");
	return host_ops.layer_norm(ctx_of(c)->real, &py, &px, &pw, &pb, eps, fault);
}

static sn_rc op_rms_norm(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, float eps, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x), pw = plain(h, w);
	expect(h, IN_STEP, "ops.rms_norm");
	return host_ops.rms_norm(ctx_of(c)->real, &py, &px, &pw, eps, fault);
}

static sn_rc op_add(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *a, const sn_tensor *b, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), pa = plain(h, a), pb = plain(h, b);
	expect(h, IN_STEP, "ops.add");
	return host_ops.add(ctx_of(c)->real, &py, &pa, &pb, fault);
}

static sn_rc op_attention(sn_ops_ctx *c, const sn_tensor *out, const sn_tensor *q, const sn_tensor *k, const sn_tensor *v,
                          uint32_t n_head, float scale, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor po = plain(h, out), pq = plain(h, q), pk = plain(h, k), pv = plain(h, v);
	expect(h, IN_STEP, "ops.attention");
	return host_ops.attention(ctx_of(c)->real, &po, &pq, &pk, &pv, n_head, scale, fault);
}

static sn_rc op_pixel_shuffle(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, uint32_t hh, uint32_t w, uint32_t s, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x);
	expect(h, IN_STEP, "ops.pixel_shuffle");
	return host_ops.pixel_shuffle(ctx_of(c)->real, &py, &px, hh, w, s, fault);
}

static sn_rc op_conv1d(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, uint32_t stride, uint32_t pad,
                       int32_t act, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x);
	expect(h, IN_STEP, "ops.conv1d");
	return host_ops.conv1d(ctx_of(c)->real, &py, &px, w, stride, pad, act, fault);
}

static sn_rc op_mean_rows(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, uint32_t n, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x);
	expect(h, IN_STEP, "ops.mean_rows");
	return host_ops.mean_rows(ctx_of(c)->real, &py, &px, n, fault);
}

static sn_rc op_gate(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *gate, const sn_tensor *up, int32_t act, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), pg = plain(h, gate), pu = plain(h, up);
	expect(h, IN_STEP, "ops.gate");
	return host_ops.gate(ctx_of(c)->real, &py, &pg, &pu, act, fault);
}

/* ---- ops for sound ---- */

static sn_rc op_gather(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *table, const int32_t *ids, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), pt = plain(h, table);
	expect(h, IN_STEP, "ops.gather");
	return host_ops.gather(ctx_of(c)->real, &py, &pt, ids, fault);
}

static sn_rc op_conv1d_dilated(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_weight *w, uint32_t dilation, int32_t act,
                               sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x);
	expect(h, IN_STEP, "ops.conv1d_dilated");
	return host_ops.conv1d_dilated(ctx_of(c)->real, &py, &px, w, dilation, act, fault);
}

static sn_rc op_conv1d_depthwise(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b,
                                 uint32_t dilation, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x), pw = plain(h, w), pb = plain(h, b);
	expect(h, IN_STEP, "ops.conv1d_depthwise");
	return host_ops.conv1d_depthwise(ctx_of(c)->real, &py, &px, &pw, &pb, dilation, fault);
}

static sn_rc op_overlap_add(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, uint32_t taps, uint32_t stride, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x);
	expect(h, IN_STEP, "ops.overlap_add");
	return host_ops.overlap_add(ctx_of(c)->real, &py, &px, taps, stride, fault);
}

static sn_rc op_snake(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *alpha, const sn_tensor *beta, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x), pa = plain(h, alpha), pb = plain(h, beta);
	expect(h, IN_STEP, "ops.snake");
	return host_ops.snake(ctx_of(c)->real, &py, &px, &pa, &pb, fault);
}

static sn_rc op_scale(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, const sn_tensor *w, const sn_tensor *b, int32_t act,
                      sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x), pw = w ? plain(h, w) : *y, pb = b ? plain(h, b) : *y;
	expect(h, IN_STEP, "ops.scale");
	return host_ops.scale(ctx_of(c)->real, &py, &px, w ? &pw : NULL, b ? &pb : NULL, act, fault);
}

static sn_rc op_polar(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, float max, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x);
	expect(h, IN_STEP, "ops.polar");
	return host_ops.polar(ctx_of(c)->real, &py, &px, max, fault);
}

static sn_rc op_irfft(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x);
	expect(h, IN_STEP, "ops.irfft");
	return host_ops.irfft(ctx_of(c)->real, &py, &px, fault);
}

static sn_rc op_rope(sn_ops_ctx *c, const sn_tensor *y, const sn_tensor *x, uint32_t head_dim, float theta, uint64_t first, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor py = plain(h, y), px = plain(h, x);
	expect(h, IN_STEP, "ops.rope");
	return host_ops.rope(ctx_of(c)->real, &py, &px, head_dim, theta, first, fault);
}

static sn_rc op_attention_causal(sn_ops_ctx *c, const sn_tensor *out, const sn_tensor *q, const sn_tensor *k, const sn_tensor *v,
                                 uint32_t n_head, float scale, uint64_t first, uint64_t window, sn_fault *fault)
{
	check_host *h = ctx_of(c)->host;
	sn_tensor po = plain(h, out), pq = plain(h, q), pk = plain(h, k), pv = plain(h, v);
	expect(h, IN_STEP, "ops.attention_causal");
	return host_ops.attention_causal(ctx_of(c)->real, &po, &pq, &pk, &pv, n_head, scale, first, window, fault);
}

/* Views only reckon with addresses, so the real ones work on handles too. */
static sn_tensor op_rows(const sn_tensor *t, uint64_t first, uint64_t n)
{
	return host_ops.rows(t, first, n);
}

static sn_tensor op_cols(const sn_tensor *t, uint64_t first, uint64_t n)
{
	return host_ops.cols(t, first, n);
}

static sn_tensor op_reshape(const sn_tensor *t, uint64_t rows, uint64_t cols)
{
	return host_ops.reshape(t, rows, cols);
}

/* ---- the host ---- */

static const sn_host_log LOG = {sizeof LOG, 0, log_write};
static const sn_host_memory MEMORY = {sizeof MEMORY, 0, mem_alloc, mem_free};
static const sn_host_threads THREADS = {sizeof THREADS, 0, thread_count, run_chunks};
static const sn_host_weights WEIGHTS = {.size = sizeof WEIGHTS, .get_u32 = get_u32, .get_f32 = get_f32, .get_bool = get_bool,
                                        .get_str = get_str, .get_f32_array = get_f32_array, .linear = linear, .tensor = tensor,
                                        .get_i32_array = get_i32_array, .get_str_at = get_str_at, .conv1d = conv1d, .shape = shape, .values = values,
                                        .conv_transpose1d = conv_transpose1d, .conv1d_depthwise = conv1d_depthwise, .token_at = token_at};
static const sn_host_ops OPS = {.size = sizeof OPS, .alloc = op_alloc, .rows = op_rows, .cols = op_cols, .write = op_write, .read = op_read,
                                .linear = op_linear, .layer_norm = op_layer_norm, .rms_norm = op_rms_norm, .add = op_add,
                                .attention = op_attention, .pixel_shuffle = op_pixel_shuffle, .conv1d = op_conv1d,
                                .mean_rows = op_mean_rows, .reshape = op_reshape, .gate = op_gate, .gather = op_gather,
                                .conv1d_dilated = op_conv1d_dilated, .conv1d_depthwise = op_conv1d_depthwise, .overlap_add = op_overlap_add,
                                .snake = op_snake, .scale = op_scale, .polar = op_polar, .irfft = op_irfft, .rope = op_rope,
                                .attention_causal = op_attention_causal};

static const void *service(const sn_host *host, const char *id)
{
	(void)host;
	const struct { const char *id; const void *table; } services[] = {
	    {SN_HOST_LOG, &LOG}, {SN_HOST_MEMORY, &MEMORY}, {SN_HOST_THREADS, &THREADS}, {SN_HOST_WEIGHTS, &WEIGHTS}, {SN_HOST_OPS, &OPS}};
	for (size_t i = 0; i < sizeof services / sizeof *services; i++)
		if (strcmp(services[i].id, id) == 0)
			return services[i].table;
	return NULL;
}

/* Has the mirror every member that the real table has? Both begin with two numbers; functions follow. */
static bool mirrors(const void *mirror, const void *real, size_t bytes)
{
	any_fn *ours, *theirs;
	for (size_t at = 2 * sizeof(uint32_t); at + sizeof ours <= bytes; at += sizeof ours) {
		memcpy(&ours, (const char *)mirror + at, sizeof ours);
		memcpy(&theirs, (const char *)real + at, sizeof theirs);
		if (theirs && !ours)
			return false;
	}
	return true;
}

sn_status check_host_open(check_host **out, sn_log *log, sn_error *err)
{
	if (!mirrors(&OPS, &host_ops, sizeof OPS) || !mirrors(&WEIGHTS, &host_weights, sizeof WEIGHTS))
		return error_set(err, SN_ERR_INTERNAL, "the check's host lacks a function that the real one has");
	check_host *h = calloc(1, sizeof *h);
	if (!h)
		return error_set(err, SN_ERR_NOMEM, "no memory for the check");
	h->face = (sn_host){sizeof(sn_host), 0, service};
	h->phase = IN_NOTHING;
	check_blocks_init(&h->own);
	sn_status st = check_device_open(&h->device, err);
	if (!st)
		st = pool_open(&h->threads, 1, err);
	if (!st)
		ops_init(&h->ops, h->threads, 0);
	if (!st)
		st = plugin_host_open(&h->real, NULL, (size_t)512 << 20, h->threads, log, err);
	if (st)
		check_host_close(&h);
	atomic_store(&running, h);
	*out = h;
	return st;
}

void check_host_close(check_host **hp)
{
	check_host *h = *hp;
	if (!h)
		return;
	atomic_store(&running, NULL);
	plugin_host_close(&h->real);
	if (h->threads) {
		ops_fini(&h->ops);
		pool_close(&h->threads);
	}
	check_device_close(&h->device);
	check_blocks_fini(&h->own);
	free(h);
	*hp = NULL;
}

void check_host_reset(check_host *h)
{
	atomic_store(&h->n_asked, 0);
	h->fail_at = 0;
	h->violation[0] = 0;
	h->watch = false;
	h->bare = false;
}

void check_enter(check_host *h, check_phase phase)
{
	h->phase = phase;
	atomic_store(&h->n_before, atomic_load(&h->n_asked));
	if (h->watch)
		h->thread = pthread_self();
}

void check_leave(check_host *h)
{
	h->phase = IN_NOTHING;
}

bool check_host_starved(const check_host *h)
{
	return h->fail_at && atomic_load(&h->n_before) < h->fail_at && atomic_load(&h->n_asked) >= h->fail_at;
}

size_t check_host_held(const check_host *h)
{
	return atomic_load(&h->real->held);
}

/* A language model of which only the description is there: enough for an encoder that needs its width. */
static int synthetic_file(void)
{
	static const struct { const char *key; uint32_t value; } numbers[] = {
	    {"llama.embedding_length", 64}, {"llama.block_count", 1}, {"llama.context_length", 512}, {"llama.attention.head_count", 4}};
	static const char architecture_key[] = "general.architecture", architecture[] = "llama";
	int fd = memfd_create("synthetic.gguf", MFD_CLOEXEC);
	FILE *f = fd >= 0 ? fdopen(dup(fd), "wb") : NULL;
	if (!f)
		return -1;
	const uint32_t version = 3, u32 = FILE_U32, string = FILE_STRING;
	uint64_t n = 0;
	fwrite("GGUF", 1, 4, f);
	fwrite(&version, sizeof version, 1, f);
	fwrite(&n, sizeof n, 1, f); /* tensors */
	n = 1 + sizeof numbers / sizeof *numbers;
	fwrite(&n, sizeof n, 1, f);
	n = sizeof architecture_key - 1;
	fwrite(&n, sizeof n, 1, f);
	fwrite(architecture_key, 1, n, f);
	fwrite(&string, sizeof string, 1, f);
	n = sizeof architecture - 1;
	fwrite(&n, sizeof n, 1, f);
	fwrite(architecture, 1, n, f);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		n = strlen(numbers[i].key);
		fwrite(&n, sizeof n, 1, f);
		fwrite(numbers[i].key, 1, n, f);
		fwrite(&u32, sizeof u32, 1, f);
		fwrite(&numbers[i].value, sizeof(uint32_t), 1, f);
	}
	while (ftell(f) % 32)
		fputc(0, f);
	fclose(f);
	return fd;
}

sn_status check_model_open(check_model **out, check_host *h, const char *path, sn_error *err)
{
	char made[64];
	int fd = -1;
	arena *mem = arena_open(0);
	check_model *m = mem ? arena_alloc(mem, sizeof *m) : NULL;
	if (!m) {
		arena_close(&mem);
		return error_set(err, SN_ERR_NOMEM, "no memory for the check");
	}
	*m = (check_model){.real = {.o = &h->ops, .mem = mem}, .host = h};
	if (!path) {
		fd = synthetic_file();
		snprintf(made, sizeof made, "/proc/self/fd/%d", fd);
		path = made;
	}
	sn_status st = model_file_open(&m->real.file, path, err);
	if (fd >= 0)
		close(fd);
	if (st)
		check_model_close(&m);
	*out = m;
	return st;
}

void check_model_close(check_model **mp)
{
	check_model *m = *mp;
	if (!m)
		return;
	arena *mem = m->real.mem;
	check_device_drop(m->host->device, m);
	model_file_close(&m->real.file);
	arena_close(&mem);
	*mp = NULL;
}

check_ctx *check_ctx_open(check_host *h, size_t budget)
{
	check_ctx *c = calloc(1, sizeof *c);
	if (c && ops_ctx_open(&c->real, &h->ops, budget, NULL) == SN_OK) {
		c->host = h;
		return c;
	}
	free(c);
	return NULL;
}

void check_ctx_close(check_ctx **cp)
{
	check_ctx *c = *cp;
	if (!c)
		return;
	check_device_drop(c->host->device, c);
	ops_ctx_close(&c->real);
	free(c);
	*cp = NULL;
}
