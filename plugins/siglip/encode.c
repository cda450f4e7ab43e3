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
#include <string.h>

#include "siglip.h"

typedef struct job {
	sn_idefics3_cut cut;
	const sn_normalize *normal;
	uint32_t next, n_units;
	sn_tensor patches;  /* [units.embed][3 p p] */
	kit_stream t;       /* n rows; units of max(units.qkv, units.mix) */
	sn_tensor shuffled; /* [n / s^2][E s^2] */
	sn_tensor rows;     /* [n_images * n / s^2][H] */
	uint8_t *pixels;    /* the cut picture: sn_idefics3_image */
	float *scratch;     /* [units.embed][3 p p] */
} job;

typedef struct run {
	const siglip *s;
	job *j;
	kit_run kit;
} run;

/* ---- sizes ---- */

siglip_units siglip_cut_units(const siglip_config *c)
{
	siglip_units u;
	double e = c->embd, n = c->n;
	u.embed = kit_unit_rows(UNIT_FLOP, 2 * e * 3 * c->patch * c->patch, c->n);
	u.qkv = kit_unit_rows(UNIT_FLOP, 2 * e * 3 * e, c->n);
	u.mix = kit_unit_rows(UNIT_FLOP, 4 * n * e + 2 * e * e + 4 * e * c->ff, c->n);
	u.project = kit_unit_rows(UNIT_FLOP, 2 * e * c->scale * c->scale * c->row_dim, c->n_rows);
	u.n_embed = kit_parts(c->n, u.embed);
	u.n_qkv = kit_parts(c->n, u.qkv);
	u.n_mix = kit_parts(c->n, u.mix);
	u.n_project = kit_parts(c->n_rows, u.project);
	u.per_image = u.n_embed + c->blocks * (u.n_qkv + u.n_mix) + u.n_project;
	return u;
}

/* A job's tensors with their sizes: one table for counting and for allocating. */
enum { N_TENSORS = 10 };
static void list_tensors(const siglip *s, const sn_idefics3_cut *cut, job *j, kit_tensor_size list[N_TENSORS])
{
	const siglip_config *c = &s->config;
	uint32_t ab = s->units.qkv > s->units.mix ? s->units.qkv : s->units.mix;
	const kit_tensor_size all[N_TENSORS] = {
	    {&j->patches, s->units.embed, (uint64_t)3 * c->patch * c->patch},
	    {&j->t.x, c->n, c->embd},
	    {&j->t.q, c->n, c->embd},
	    {&j->t.k, c->n, c->embd},
	    {&j->t.v, c->n, c->embd},
	    {&j->t.a, ab, c->embd},
	    {&j->t.b, ab, c->embd},
	    {&j->t.up, s->units.mix, c->ff},
	    {&j->shuffled, c->n_rows, (uint64_t)c->embd * c->scale * c->scale},
	    {&j->rows, (uint64_t)cut->n_images * c->n_rows, c->row_dim},
	};
	for (int i = 0; i < N_TENSORS; i++)
		list[i] = all[i];
}

bool siglip_job_bytes(const siglip *s, const sn_idefics3_cut *cut, uint64_t *state, uint64_t *tensors)
{
	job unused;
	kit_tensor_size list[N_TENSORS];
	size_t pixels, scratch;
	*state = 0;
	list_tensors(s, cut, &unused, list);
	return kit_tensor_bytes(list, N_TENSORS, tensors) && sn_idefics3_bytes(cut, &pixels, &scratch) &&
	       kit_add_bytes(state, 1, sizeof(job)) && kit_add_bytes(state, 1, pixels) &&
	       kit_add_bytes(state, list[0].rows * list[0].cols, sizeof(float)) && *state <= SIZE_MAX / 2;
}

/* ---- begin ---- */

static sn_rc cut_pixels(const siglip *s, job *j, const sn_media *media, size_t scratch_bytes, sn_fault *fault)
{
	if (media->kind == SN_MEDIA_VIDEO) { /* resized while it was read */
		memcpy(j->pixels, media->samples, (size_t)s->config.image * s->config.image * 3);
		return SN_RC_OK;
	}
	void *scratch = kit_alloc(&s->host, scratch_bytes);
	if (!scratch)
		return kit_fail(fault, SN_RC_NOMEM, "no memory to resize the picture");
	sn_idefics3_run(&j->cut, media->samples, j->pixels, scratch);
	kit_free(&s->host, scratch);
	return SN_RC_OK;
}

static void log_begin(const siglip *s, const sn_call *call, const job *j)
{
	kit_logf(&s->host, call, SN_HOST_INFO, "%u image%s of %u x %u, %u rows, %u units of work", j->cut.n_images,
	         j->cut.n_images == 1 ? "" : "s", s->config.image, s->config.image, j->cut.n_images * s->config.n_rows, j->n_units);
}

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, const sn_media *media, const sn_media_plan *plan,
                   sn_fault *fault)
{
	const siglip *s = instance;
	const siglip_config *c = &s->config;
	job *j = state;
	uint64_t state_bytes, tensor_bytes;
	size_t pixel_bytes, scratch_bytes, picture_bytes = (size_t)media->width * media->height * 3;
	KIT_TRY(siglip_cut(s, media, &j->cut, fault));
	if (!media->samples || media->bytes < picture_bytes ||
	    !siglip_job_bytes(s, &j->cut, &state_bytes, &tensor_bytes) || !sn_idefics3_bytes(&j->cut, &pixel_bytes, &scratch_bytes))
		return kit_fail(fault, SN_RC_INTERNAL, "the media is not a decoded picture");
	j->n_units = j->cut.n_images * s->units.per_image;
	if (plan->state_bytes < state_bytes || plan->n_units != j->n_units || plan->n_rows != j->cut.n_images * c->n_rows)
		return kit_fail(fault, SN_RC_INTERNAL, "the plan is of another picture");

	kit_tensor_size list[N_TENSORS];
	list_tensors(s, &j->cut, j, list);
	KIT_TRY(kit_alloc_tensors(s->host.ops, ctx, list, N_TENSORS, fault));
	j->normal = media->kind == SN_MEDIA_VIDEO ? &s->clip_normal : &s->normal;
	j->pixels = (uint8_t *)state + kit_aligned(sizeof(job));
	j->scratch = (float *)(void *)(j->pixels + kit_aligned(pixel_bytes));
	sn_rc rc = cut_pixels(s, j, media, scratch_bytes, fault);
	if (rc == SN_RC_OK)
		log_begin(s, call, j);
	return rc;
}

/* ---- stages: rows [first, first + n) of the image at hand ---- */

/* x[i] += positions[id of i], in runs of consecutive ids: one run, unless rounding has merged buckets. */
static sn_rc add_positions(const run *r, uint32_t first, uint32_t n)
{
	const siglip *s = r->s;
	uint32_t side = s->config.side;
	for (uint32_t i = first, end = first + n; i < end;) {
		uint32_t id = s->position[i / side] * side + s->position[i % side], length = 1;
		while (i + length < end && s->position[(i + length) / side] * side + s->position[(i + length) % side] == id + length)
			length++;
		sn_tensor x = r->kit.ops->rows(&r->j->t.x, i, length), position = r->kit.ops->rows(&s->positions, id, length);
		KIT_TRY(r->kit.ops->add(r->kit.ctx, &x, &x, &position, r->kit.fault));
		i += length;
	}
	return SN_RC_OK;
}

static sn_rc embed(const run *r, uint32_t image, uint32_t first, uint32_t n)
{
	const siglip *s = r->s;
	size_t stride;
	const uint8_t *rgb = sn_idefics3_image(&r->j->cut, r->j->pixels, image, &stride);
	sn_patchify(rgb, stride, s->config.patch, s->config.side, first, n, r->j->normal, r->j->scratch);
	sn_tensor patches = r->kit.ops->rows(&r->j->patches, 0, n), x = r->kit.ops->rows(&r->j->t.x, first, n);
	KIT_TRY(r->kit.ops->write(r->kit.ctx, &patches, r->j->scratch, r->kit.fault));
	KIT_TRY(kit_linear(&r->kit, &x, &patches, s->patch, SN_ACT_NONE));
	return add_positions(r, first, n);
}

/* All rows see all rows. */
static sn_rc mix(const run *r, const kit_layer *l, uint32_t first, uint32_t n)
{
	const siglip_config *c = &r->s->config;
	const sn_host_ops *ops = r->kit.ops;
	const kit_stream *t = &r->j->t;
	sn_tensor q = ops->rows(&t->q, first, n), a = ops->rows(&t->a, 0, n);
	float scale = 1.0f / sqrtf((float)(c->embd / c->heads));
	KIT_TRY(ops->attention(r->kit.ctx, &a, &q, &t->k, &t->v, c->heads, scale, r->kit.fault));
	return kit_mix(&r->kit, l, t, first, n);
}

static sn_rc project(const run *r, uint32_t image, uint32_t first, uint32_t n)
{
	const siglip_config *c = &r->s->config;
	const sn_host_ops *ops = r->kit.ops;
	if (first == 0) {
		KIT_TRY(kit_layer_norm(&r->kit, &r->j->t.x, &r->j->t.x, &r->s->post));
		KIT_TRY(ops->pixel_shuffle(r->kit.ctx, &r->j->shuffled, &r->j->t.x, c->side, c->side, c->scale, r->kit.fault));
	}
	sn_tensor z = ops->rows(&r->j->shuffled, first, n), rows = ops->rows(&r->j->rows, (uint64_t)image * c->n_rows + first, n);
	return kit_linear(&r->kit, &rows, &z, r->s->project, SN_ACT_NONE);
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
	const kit_layer *layer = &r->s->layers[i / per_layer];
	i %= per_layer;
	if (i < u->n_qkv) {
		first = part(i, u->qkv, c->n, &n);
		return kit_qkv(&r->kit, layer, &r->j->t, first, n);
	}
	first = part(i - u->n_qkv, u->mix, c->n, &n);
	return mix(r, layer, first, n);
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done, float *rows,
                  sn_fault *fault)
{
	(void)call;
	job *j = state;
	const siglip *s = instance;
	run r = {.s = s, .j = j, .kit = {.ops = s->host.ops, .ctx = ctx, .fault = fault, .eps = s->config.eps, .act = s->config.act}};
	for (*units_done = 0; *units_done < max_units && j->next < j->n_units; ++*units_done, j->next++)
		KIT_TRY(run_unit(&r, j->next));
	if (j->next < j->n_units)
		return SN_RC_AGAIN;
	KIT_TRY(r.kit.ops->read(ctx, &j->rows, rows, fault));
	return SN_RC_END;
}

const sn_ext_encode siglip_encode_ext = {.size = sizeof siglip_encode_ext, .begin = begin, .step = step, .end = kit_end_nothing};
