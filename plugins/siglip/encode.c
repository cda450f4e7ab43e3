/* encode.c - "sn.encode/1": the tower as a job. siglip.h draws what is computed; here is how it is cut.
 *
 * begin resizes the picture (u8, kept in the state) and allocates tensors for ONE image. Then, image by image:
 *   embed    patches of a few rows -> x                    units.n_embed times
 *   per layer:
 *     qkv    LN1 and q, k, v of a few rows                 units.n_qkv times
 *     mix    attention of a few rows over all k and v, output, LN2, feed-forward, both residuals   units.n_mix times
 *   project  post LN and pixel shuffle (with the first unit), then a few output rows              units.n_project times
 * The host reads all rows at the end. A unit is sized by its arithmetic, from the config alone.
 */
#include <math.h>
#include <stdio.h>

#include "siglip.h"

#ifndef UNIT_FLOP
#define UNIT_FLOP 0.4e9 /* below 10 ms at 50 GFLOP/s a core; tests build with less, so that small towers take many units */
#endif
enum { MIN_UNIT_ROWS = 16, ALIGN = 64 };

typedef struct job {
	sn_idefics3_cut cut;
	uint32_t next, n_units;
	sn_tensor patches;  /* [units.embed][3 p p] */
	sn_tensor x;        /* [n][E] the residual stream */
	sn_tensor q, k, v;  /* [n][E] */
	sn_tensor a, b;     /* [max(units.qkv, units.mix)][E] */
	sn_tensor up;       /* [units.mix][ff] */
	sn_tensor shuffled; /* [n / s^2][E s^2] */
	sn_tensor rows;     /* [n_images * n / s^2][H] */
	uint8_t *pixels;    /* the cut picture: sn_idefics3_image */
	float *scratch;     /* [units.embed][3 p p] */
} job;

typedef struct run {
	const siglip *s;
	job *j;
	sn_ops_ctx *ctx;
	sn_fault *fault;
} run;

/* ---- sizes ---- */

/* Rows of a unit of a stage with n rows: near the target, even, a multiple of 16. */
static uint32_t unit_rows(double flop_per_row, uint32_t n, uint32_t *units)
{
	double rows = floor(UNIT_FLOP / flop_per_row);
	uint32_t most = rows < MIN_UNIT_ROWS ? MIN_UNIT_ROWS : rows < n ? (uint32_t)rows : n;
	uint32_t parts = (n + most - 1) / most;
	uint32_t each = (n + parts - 1) / parts;
	each = (each + MIN_UNIT_ROWS - 1) / MIN_UNIT_ROWS * MIN_UNIT_ROWS;
	each = each < n ? each : n;
	*units = (n + each - 1) / each;
	return each;
}

siglip_units siglip_cut_units(const siglip_config *c)
{
	siglip_units u;
	double e = c->embd, n = c->n;
	u.embed = unit_rows(2 * e * 3 * c->patch * c->patch, c->n, &u.n_embed);
	u.qkv = unit_rows(2 * e * 3 * e, c->n, &u.n_qkv);
	u.mix = unit_rows(4 * n * e + 2 * e * e + 4 * e * c->ff, c->n, &u.n_mix);
	u.project = unit_rows(2 * e * c->scale * c->scale * c->row_dim, c->n_rows, &u.n_project);
	u.per_image = u.n_embed + c->blocks * (u.n_qkv + u.n_mix) + u.n_project;
	return u;
}

/* A job's tensors with their sizes: one table for counting and for allocating. */
enum { N_TENSORS = 10 };
typedef struct tensor_size {
	sn_tensor *at;
	uint64_t rows, cols;
} tensor_size;

static void list_tensors(const siglip *s, const sn_idefics3_cut *cut, job *j, tensor_size list[N_TENSORS])
{
	const siglip_config *c = &s->config;
	uint32_t ab = s->units.qkv > s->units.mix ? s->units.qkv : s->units.mix;
	const tensor_size all[N_TENSORS] = {
	    {&j->patches, s->units.embed, (uint64_t)3 * c->patch * c->patch},
	    {&j->x, c->n, c->embd},
	    {&j->q, c->n, c->embd},
	    {&j->k, c->n, c->embd},
	    {&j->v, c->n, c->embd},
	    {&j->a, ab, c->embd},
	    {&j->b, ab, c->embd},
	    {&j->up, s->units.mix, c->ff},
	    {&j->shuffled, c->n_rows, (uint64_t)c->embd * c->scale * c->scale},
	    {&j->rows, (uint64_t)cut->n_images * c->n_rows, c->row_dim},
	};
	for (int i = 0; i < N_TENSORS; i++)
		list[i] = all[i];
}

static bool add_bytes(uint64_t *total, uint64_t count, uint64_t size)
{
	uint64_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes) || bytes > UINT64_MAX - ALIGN)
		return false;
	return !__builtin_add_overflow(*total, (bytes + ALIGN - 1) / ALIGN * ALIGN, total);
}

bool siglip_job_bytes(const siglip *s, const sn_idefics3_cut *cut, uint64_t *state, uint64_t *tensors)
{
	job unused;
	tensor_size list[N_TENSORS];
	size_t pixels, scratch;
	*state = *tensors = 0;
	list_tensors(s, cut, &unused, list);
	for (int i = 0; i < N_TENSORS; i++)
		if (!add_bytes(tensors, list[i].rows * list[i].cols, sizeof(float))) /* each factor is far below 2^32 */
			return false;
	return sn_idefics3_bytes(cut, &pixels, &scratch) && add_bytes(state, 1, sizeof(job)) && add_bytes(state, 1, pixels) &&
	       add_bytes(state, list[0].rows * list[0].cols, sizeof(float)) && *state <= SIZE_MAX / 2;
}

/* ---- begin ---- */

static sn_rc cut_pixels(const siglip *s, job *j, const uint8_t *rgb, size_t scratch_bytes, sn_fault *fault)
{
	void *scratch = s->memory->alloc(s->host, scratch_bytes);
	if (!scratch)
		return siglip_fail(fault, SN_RC_NOMEM, "no memory to resize the picture");
	sn_idefics3_run(&j->cut, rgb, j->pixels, scratch);
	s->memory->free(s->host, scratch);
	return SN_RC_OK;
}

static void log_begin(const siglip *s, const sn_call *call, const job *j)
{
	char text[96];
	if (!s->log)
		return;
	snprintf(text, sizeof text, "%u image%s of %u x %u, %u rows, %u units of work", j->cut.n_images, j->cut.n_images == 1 ? "" : "s",
	         s->config.image, s->config.image, j->cut.n_images * s->config.n_rows, j->n_units);
	s->log->write(s->host, call, SN_HOST_INFO, "siglip", text);
}

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, const sn_media *media, const sn_media_plan *plan,
                   sn_fault *fault)
{
	const siglip *s = instance;
	const siglip_config *c = &s->config;
	job *j = state;
	uint64_t state_bytes, tensor_bytes;
	size_t pixel_bytes, scratch_bytes, picture_bytes = (size_t)media->width * media->height * 3;
	if (media->kind != SN_MEDIA_IMAGE || !media->samples || media->bytes < picture_bytes ||
	    !sn_idefics3_plan(media->width, media->height, c->longest, c->image, c->splitting, &j->cut) ||
	    !siglip_job_bytes(s, &j->cut, &state_bytes, &tensor_bytes) || !sn_idefics3_bytes(&j->cut, &pixel_bytes, &scratch_bytes))
		return siglip_fail(fault, SN_RC_INTERNAL, "the media is not a decoded picture");
	j->n_units = j->cut.n_images * s->units.per_image;
	if (plan->state_bytes < state_bytes || plan->n_units != j->n_units || plan->n_rows != j->cut.n_images * c->n_rows)
		return siglip_fail(fault, SN_RC_INTERNAL, "the plan is of another picture");

	tensor_size list[N_TENSORS];
	list_tensors(s, &j->cut, j, list);
	for (int i = 0; i < N_TENSORS; i++) {
		sn_rc rc = s->ops->alloc(ctx, list[i].rows, list[i].cols, list[i].at, fault);
		if (rc != SN_RC_OK)
			return rc;
	}
	j->pixels = (uint8_t *)state + (sizeof(job) + ALIGN - 1) / ALIGN * ALIGN;
	j->scratch = (float *)(void *)(j->pixels + (pixel_bytes + ALIGN - 1) / ALIGN * ALIGN);
	sn_rc rc = cut_pixels(s, j, media->samples, scratch_bytes, fault);
	if (rc == SN_RC_OK)
		log_begin(s, call, j);
	return rc;
}

/* ---- stages: rows [first, first + n) of the image at hand ---- */

#define TRY(call)                                                                                                        \
	do {                                                                                                                 \
		sn_rc try_rc = (call);                                                                                           \
		if (try_rc != SN_RC_OK)                                                                                          \
			return try_rc;                                                                                               \
	} while (0)

static sn_rc linear(const run *r, const sn_tensor *y, const sn_tensor *x, siglip_linear l, int32_t act)
{
	return r->s->ops->linear(r->ctx, y, x, l.w, act, r->fault);
}

static sn_rc norm(const run *r, const sn_tensor *y, const sn_tensor *x, const siglip_norm *n)
{
	return r->s->ops->layer_norm(r->ctx, y, x, &n->w, &n->b, r->s->config.eps, r->fault);
}

/* x[i] += positions[id of i], in runs of consecutive ids: one run, unless rounding has merged buckets. */
static sn_rc add_positions(const run *r, uint32_t first, uint32_t n)
{
	const siglip *s = r->s;
	uint32_t side = s->config.side;
	for (uint32_t i = first, end = first + n; i < end;) {
		uint32_t id = s->position[i / side] * side + s->position[i % side], length = 1;
		while (i + length < end && s->position[(i + length) / side] * side + s->position[(i + length) % side] == id + length)
			length++;
		sn_tensor x = s->ops->rows(&r->j->x, i, length), position = s->ops->rows(&s->positions, id, length);
		TRY(s->ops->add(r->ctx, &x, &x, &position, r->fault));
		i += length;
	}
	return SN_RC_OK;
}

static sn_rc embed(const run *r, uint32_t image, uint32_t first, uint32_t n)
{
	const siglip *s = r->s;
	size_t stride;
	const uint8_t *rgb = sn_idefics3_image(&r->j->cut, r->j->pixels, image, &stride);
	sn_patchify(rgb, stride, s->config.patch, s->config.side, first, n, &s->normal, r->j->scratch);
	sn_tensor patches = s->ops->rows(&r->j->patches, 0, n), x = s->ops->rows(&r->j->x, first, n);
	TRY(s->ops->write(r->ctx, &patches, r->j->scratch, r->fault));
	TRY(linear(r, &x, &patches, s->patch, SN_ACT_NONE));
	return add_positions(r, first, n);
}

static sn_rc qkv(const run *r, const siglip_layer *l, uint32_t first, uint32_t n)
{
	const sn_host_ops *ops = r->s->ops;
	sn_tensor x = ops->rows(&r->j->x, first, n), a = ops->rows(&r->j->a, 0, n);
	sn_tensor q = ops->rows(&r->j->q, first, n), k = ops->rows(&r->j->k, first, n), v = ops->rows(&r->j->v, first, n);
	TRY(norm(r, &a, &x, &l->ln1));
	TRY(linear(r, &q, &a, l->q, SN_ACT_NONE));
	TRY(linear(r, &k, &a, l->k, SN_ACT_NONE));
	return linear(r, &v, &a, l->v, SN_ACT_NONE);
}

static sn_rc mix(const run *r, const siglip_layer *l, uint32_t first, uint32_t n)
{
	const siglip_config *c = &r->s->config;
	const sn_host_ops *ops = r->s->ops;
	sn_tensor x = ops->rows(&r->j->x, first, n), q = ops->rows(&r->j->q, first, n);
	sn_tensor a = ops->rows(&r->j->a, 0, n), b = ops->rows(&r->j->b, 0, n), up = ops->rows(&r->j->up, 0, n);
	float scale = 1.0f / sqrtf((float)(c->embd / c->heads));
	TRY(ops->attention(r->ctx, &a, &q, &r->j->k, &r->j->v, c->heads, scale, r->fault));
	TRY(linear(r, &b, &a, l->out, SN_ACT_NONE));
	TRY(ops->add(r->ctx, &x, &x, &b, r->fault));
	TRY(norm(r, &a, &x, &l->ln2));
	TRY(linear(r, &up, &a, l->up, c->act));
	TRY(linear(r, &b, &up, l->down, SN_ACT_NONE));
	return ops->add(r->ctx, &x, &x, &b, r->fault);
}

static sn_rc project(const run *r, uint32_t image, uint32_t first, uint32_t n)
{
	const siglip_config *c = &r->s->config;
	const sn_host_ops *ops = r->s->ops;
	if (first == 0) {
		TRY(norm(r, &r->j->x, &r->j->x, &r->s->post));
		TRY(ops->pixel_shuffle(r->ctx, &r->j->shuffled, &r->j->x, c->side, c->side, c->scale, r->fault));
	}
	sn_tensor z = ops->rows(&r->j->shuffled, first, n), rows = ops->rows(&r->j->rows, (uint64_t)image * c->n_rows + first, n);
	return linear(r, &rows, &z, r->s->project, SN_ACT_NONE);
}

/* ---- step ---- */

static uint32_t part(uint32_t index, uint32_t each, uint32_t total, uint32_t *n)
{
	uint32_t first = index * each;
	*n = total - first < each ? total - first : each;
	return first;
}

static sn_rc run_unit(const run *r, uint32_t unit)
{
	const siglip_units *u = &r->s->units;
	const siglip_config *c = &r->s->config;
	uint32_t image = unit / u->per_image, i = unit % u->per_image, first, n;
	if (i < u->n_embed) {
		first = part(i, u->embed, c->n, &n);
		return embed(r, image, first, n);
	}
	i -= u->n_embed;
	uint32_t per_layer = u->n_qkv + u->n_mix;
	if (i >= c->blocks * per_layer) {
		first = part(i - c->blocks * per_layer, u->project, c->n_rows, &n);
		return project(r, image, first, n);
	}
	const siglip_layer *layer = &r->s->layers[i / per_layer];
	i %= per_layer;
	if (i < u->n_qkv) {
		first = part(i, u->qkv, c->n, &n);
		return qkv(r, layer, first, n);
	}
	first = part(i - u->n_qkv, u->mix, c->n, &n);
	return mix(r, layer, first, n);
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, float *rows,
                  sn_fault *fault)
{
	(void)call;
	job *j = state;
	run r = {.s = instance, .j = j, .ctx = ctx, .fault = fault};
	for (*units_done = 0; *units_done < max_units && j->next < j->n_units; ++*units_done, j->next++)
		TRY(run_unit(&r, j->next));
	if (j->next < j->n_units)
		return SN_RC_AGAIN;
	TRY(r.s->ops->read(ctx, &j->rows, rows, fault));
	return SN_RC_END;
}

static void end(void *instance, void *state)
{
	(void)instance;
	(void)state;
}

const sn_ext_encode siglip_encode_ext = {.size = sizeof siglip_encode_ext, .begin = begin, .step = step, .end = end};
