/* encoder.c - "sn.plan/1" and "sn.encode/1": one embedding row for each row of a table.
 *
 * A row's features are the pieces of 1 to 3 bytes of each cell, told apart by column, and its number where the cell is one.
 * Every feature has a direction of its own, +1 or -1 in each value, drawn by a counter-based generator from the feature's
 * hash: a fixed random projection that needs no weights. The sum is scaled to the size of a token's embedding. A model that
 * was not trained on such rows makes nothing of them; a trained projection would take this one's place.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "table.h"

#define MARKER "<|table|>"

static const float ROW_RMS = 0.0625f; /* about that of token embeddings; the model's first norm takes out the rest */

typedef struct encoder {
	const sn_host *host;
	const sn_host_log *log;
	const sn_host_memory *memory;
	const sn_host_ops *ops;
	const sn_host_weights *weights;
	uint32_t row_dim;  /* values of a row: the model's width */
	uint64_t *columns; /* [TABLE_COLUMNS] seeds, from host memory */
} encoder;

/* ---- features: pure functions ---- */

/* SplitMix64's finisher: a hash of a counter. */
static uint64_t mix(uint64_t z)
{
	z += 0x9E3779B97F4A7C15u;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

/* row += weight * direction(feature); bit i of the feature's stream is the sign of value i. */
static void add_feature(float *row, uint32_t dim, uint64_t feature, float weight)
{
	for (uint32_t i = 0; i < dim; i += 64) {
		uint64_t signs = mix(feature + i);
		uint32_t n = dim - i < 64 ? dim - i : 64;
		for (uint32_t k = 0; k < n; k++)
			row[i + k] += signs >> k & 1 ? weight : -weight;
	}
}

/* Digits with an optional sign and point; no locale, no exponent. */
static bool cell_number(const uint8_t *p, size_t n, float *out)
{
	float value = 0, place = 1;
	bool digits = false, point = false;
	size_t i = n > 0 && (p[0] == '-' || p[0] == '+');
	for (; i < n; i++) {
		if (p[i] == '.' && !point) {
			point = true;
		} else if (p[i] >= '0' && p[i] <= '9') {
			digits = true;
			value = value * 10 + (float)(p[i] - '0');
			place = point ? place * 10 : place;
		} else {
			return false;
		}
	}
	*out = (n > 0 && p[0] == '-' ? -value : value) / place;
	return digits && isfinite(*out);
}

static void add_cell(float *row, uint32_t dim, uint64_t column, const uint8_t *p, size_t n)
{
	float number;
	for (size_t length = 1; length <= 3; length++)
		for (size_t i = 0; i + length <= n; i++) {
			uint64_t gram = column;
			for (size_t k = 0; k < length; k++)
				gram = mix(gram ^ p[i + k]);
			add_feature(row, dim, gram, 1);
		}
	if (cell_number(p, n, &number))
		add_feature(row, dim, mix(column), copysignf(log1pf(fabsf(number)), number));
}

/* ---- "sn.plan/1" ---- */

static const char *marker(const void *instance)
{
	(void)instance;
	return MARKER;
}

static const char *row_token(const void *instance)
{
	(void)instance;
	return NULL; /* any will do */
}

static uint32_t row_dim(const void *instance) { return ((const encoder *)instance)->row_dim; }

static int framing(const sn_media *media, char *out, size_t cap)
{
	return snprintf(out, cap, "[table of %u rows, %u columns: ", media->height, media->width);
}

/* The job's state; the table is copied behind it, since media is borrowed until begin returns. */
typedef struct job {
	uint32_t next, columns, n_rows, dim;
	uint64_t at;      /* in samples: the next row's first cell */
	sn_tensor rows;   /* [n_rows][dim] */
	float *row;       /* [dim], behind the job */
	uint8_t *samples; /* behind that */
	uint64_t bytes;
} job;

static sn_rc plan(const void *instance, const sn_call *call, const sn_media *media, sn_media_plan *out, sn_fault *fault)
{
	const encoder *e = instance;
	char text[64];
	(void)call;
	if (media->kind != SN_MEDIA_DATA || media->height == 0 || media->height > TABLE_ROWS || media->width > TABLE_COLUMNS ||
	    media->bytes > (uint64_t)TABLE_ROWS * TABLE_COLUMNS * (TABLE_CELL + 1))
		return table_fail(fault, SN_RC_UNSUPPORTED, "only tables are encoded here");
	uint64_t state = sizeof(job) + e->row_dim * sizeof(float) + media->bytes, tensors = (uint64_t)media->height * e->row_dim * sizeof(float);
	out->n_rows = media->height;
	out->n_holes = 1;
	out->text_size = (uint32_t)framing(media, text, sizeof text) + 1; /* and the bracket behind the rows */
	out->both_ways = 0;
	out->n_units = media->height;
	out->state_bytes = state > tensors ? state : tensors; /* one figure caps both */
	memset(out->options_hash, 0, sizeof out->options_hash);
	out->options_hash[0] = 1; /* of the features above: another way to make rows is another number */
	return SN_RC_OK;
}

static sn_rc layout(const void *instance, const sn_call *call, const sn_media *media, const sn_media_plan *p, char *text,
                    sn_hole *holes, sn_fault *fault)
{
	char line[64];
	int n = framing(media, line, sizeof line);
	(void)instance;
	(void)call;
	if (p->text_size != (uint32_t)n + 1 || p->n_holes != 1)
		return table_fail(fault, SN_RC_INTERNAL, "the plan is of another table");
	memcpy(text, line, (size_t)n);
	text[n] = ']';
	holes[0] = (sn_hole){.text_offset = (uint32_t)n, .n_rows = p->n_rows};
	return SN_RC_OK;
}

static const sn_ext_plan PLAN = {
    .size = sizeof PLAN,
    .kind = SN_MEDIA_DATA,
    .kind_name = TABLE_KIND,
    .marker = marker,
    .row_token = row_token,
    .row_dim = row_dim,
    .plan = plan,
    .layout = layout,
};

/* ---- "sn.encode/1" ---- */

static sn_rc begin(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, const sn_media *media,
                   const sn_media_plan *p, sn_fault *fault)
{
	const encoder *e = instance;
	job *j = state;
	(void)call;
	*j = (job){.columns = media->width, .n_rows = p->n_rows, .dim = e->row_dim, .bytes = media->bytes};
	j->row = (float *)(j + 1);
	j->samples = (uint8_t *)(j->row + j->dim);
	memcpy(j->samples, media->samples, media->bytes);
	return e->ops->alloc(ctx, j->n_rows, j->dim, &j->rows, fault);
}

/* One row of the table into one row of the tensor. */
static sn_rc run_unit(const encoder *e, job *j, sn_ops_ctx *ctx, sn_fault *fault)
{
	double sum = 0;
	memset(j->row, 0, j->dim * sizeof *j->row);
	for (uint32_t c = 0; c < j->columns; c++) {
		if (j->at >= j->bytes || j->samples[j->at] >= j->bytes - j->at)
			return table_fail(fault, SN_RC_INVALID, "the table ends early");
		size_t n = j->samples[j->at];
		add_cell(j->row, j->dim, e->columns[c], j->samples + j->at + 1, n);
		j->at += 1 + n;
	}
	for (uint32_t i = 0; i < j->dim; i++)
		sum += (double)j->row[i] * j->row[i];
	float scale = sum > 0 ? ROW_RMS / (float)sqrt(sum / j->dim) : 0;
	for (uint32_t i = 0; i < j->dim; i++)
		j->row[i] *= scale;
	sn_tensor to = e->ops->rows(&j->rows, j->next, 1);
	return e->ops->write(ctx, &to, j->row, fault);
}

static sn_rc step(void *instance, const sn_call *call, void *state, sn_ops_ctx *ctx, uint32_t max_units, uint32_t *units_done,
                  float *rows, sn_fault *fault)
{
	const encoder *e = instance;
	job *j = state;
	(void)call;
	for (*units_done = 0; *units_done < max_units && j->next < j->n_rows; ++*units_done, j->next++) {
		sn_rc rc = run_unit(e, j, ctx, fault);
		if (rc != SN_RC_OK)
			return rc;
	}
	if (j->next < j->n_rows)
		return SN_RC_AGAIN;
	sn_rc rc = e->ops->read(ctx, &j->rows, rows, fault);
	return rc == SN_RC_OK ? SN_RC_END : rc;
}

static void end(void *instance, void *state)
{
	(void)instance;
	(void)state; /* nothing beyond state and ctx was taken */
}

static const sn_ext_encode ENCODE = {.size = sizeof ENCODE, .begin = begin, .step = step, .end = end};

/* ---- life cycle ---- */

/* Any language model will do; a media tower's file has no such key. */
static int32_t probe(const sn_host *host, const sn_model *model)
{
	const sn_host_weights *weights = host->service(host, SN_HOST_WEIGHTS);
	const char *architecture = weights ? weights->get_str(model, "general.architecture") : NULL;
	char key[128];
	uint32_t width;
	snprintf(key, sizeof key, "%s.embedding_length", architecture ? architecture : "");
	return architecture && weights->get_u32(model, key, &width) ? 50 : 0;
}

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	encoder *e = instance;
	e->host = host;
	e->log = host->service(host, SN_HOST_LOG);
	e->memory = host->service(host, SN_HOST_MEMORY);
	e->ops = host->service(host, SN_HOST_OPS);
	e->weights = host->service(host, SN_HOST_WEIGHTS);
	return e->memory && e->ops && e->weights ? SN_RC_OK : table_fail(fault, SN_RC_INTERNAL, "the host lacks a service");
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	encoder *e = instance;
	char key[128], line[64];
	const char *architecture = e->weights->get_str(model, "general.architecture");
	snprintf(key, sizeof key, "%s.embedding_length", architecture ? architecture : "");
	if (!e->weights->get_u32(model, key, &e->row_dim) || e->row_dim == 0 || e->row_dim > 65536)
		return table_fail(fault, SN_RC_INVALID, "the model file does not tell its width");
	if (!e->columns) /* a second load must not leak the first one's */
		e->columns = e->memory->alloc(e->host, TABLE_COLUMNS * sizeof *e->columns);
	if (!e->columns)
		return table_fail(fault, SN_RC_NOMEM, "no memory for the columns");
	for (uint32_t c = 0; c < TABLE_COLUMNS; c++)
		e->columns[c] = mix(c);
	snprintf(line, sizeof line, "tables become rows of %u values", e->row_dim);
	if (e->log)
		e->log->write(e->host, NULL, SN_HOST_INFO, "table-encoder", line);
	return SN_RC_OK;
}

static void fini(void *instance)
{
	encoder *e = instance;
	if (e->memory)
		e->memory->free(e->host, e->columns);
	e->columns = NULL;
}

static const void *extension(const char *id)
{
	if (strcmp(id, SN_EXT_PLAN) == 0)
		return &PLAN;
	return strcmp(id, SN_EXT_ENCODE) == 0 ? &ENCODE : NULL;
}

const sn_plugin table_encoder = {
    .size = sizeof table_encoder,
    .instance_size = sizeof(encoder),
    .id = "table-encoder",
    .version = "1.0.0",
    .license = "MIT",
    .summary = "tables as rows of any language model, by a fixed random projection",
    .probe = probe,
    .init = init,
    .load = load,
    .fini = fini,
    .extension = extension,
    .extensions = SN_EXT_PLAN " " SN_EXT_ENCODE,
};
