/* ext/plan.h - "sn.plan/1": how one medium becomes part of a prompt, before anything is computed.
 *
 * The plan is framing TEXT (special tokens spelt out; the host tokenizes it as trusted text) with holes. Hole i stands
 * between two bytes of the text and receives holes[i].n_rows embedding rows. The rows of all holes in order are the rows
 * that ext/encode.h computes for this medium.
 */
#ifndef SENSORIUM_EXT_PLAN_H
#define SENSORIUM_EXT_PLAN_H

#include "../media.h"

#define SN_EXT_PLAN "sn.plan/1"

typedef struct sn_hole {
	uint32_t text_offset; /* bytes of the framing text before this hole; non-decreasing */
	uint32_t n_rows;
} sn_hole;

/* Where a row stands, for models that count positions on three axes (M-RoPE): less the position that a token in the place of its
 * hole's first row would have. What follows the hole stands one behind the largest of all. Each at most 2^20. */
typedef struct sn_position {
	uint32_t time, height, width;
} sn_position;

typedef struct sn_media_plan {
	uint32_t size; /* sizeof(sn_media_plan) */
	uint32_t n_rows;  /* in all holes */
	uint32_t n_holes;
	uint32_t text_size;
	uint32_t both_ways; /* 1: the rows of one hole see each other whatever their order (one attention span) */
	uint32_t n_units;   /* of work; a unit is about one layer over a few hundred rows */
	uint64_t state_bytes; /* of the job state that begin() will be handed, and, separately, of the tensors it may take from ops */
	uint8_t options_hash[8]; /* what else, beside the samples, the rows depend on: part of the cache key */
} sn_media_plan;

typedef struct sn_ext_plan {
	uint32_t size;
	uint32_t kind;         /* sn_media_kind that it takes */
	const char *kind_name; /* "image": which media it takes; a model has one encoder of each name. [a-z0-9_-], at most 31 bytes */
	/* What chat templates of this family write where a medium goes, e.g. "<image>". A template that does not know the kind gets
	 * the marker as trusted text. Not empty, at most 256 bytes. Instance data, valid until fini. [any] */
	const char *(*marker)(const void *instance);
	/* The token whose id the rows carry (for per-layer tables and logs), spelt as text. NULL or "": any will do; the rows then
	 * carry the vocabulary's unknown token, else its first of a text, else id 0. [any] */
	const char *(*row_token)(const void *instance);
	/* Width of a row: floats. [any] */
	uint32_t (*row_dim)(const void *instance);
	/* Sizes only; samples may be NULL. Over what the model can take: SN_RC_TOO_LARGE or SN_RC_INVALID. [any] */
	sn_rc (*plan)(const void *instance, const sn_call *call, const sn_media *media, sn_media_plan *plan, sn_fault *fault);
	/* Fills text [plan->text_size] and holes [plan->n_holes]. [any] */
	sn_rc (*layout)(const void *instance, const sn_call *call, const sn_media *media, const sn_media_plan *plan, char *text,
	                sn_hole *holes, sn_fault *fault);
	/* The rate in Hz at which AUDIO is to be decoded for this model; NULL or 0: as it is in the file. [any] */
	uint32_t (*media_rate)(const void *instance);
	/* Fills rows [plan->n_rows]. NULL: each row stands one behind the row before it, as tokens do. Only models with three axes are
	 * served with an encoder that has this. [any] */
	sn_rc (*positions)(const void *instance, const sn_call *call, const sn_media *media, const sn_media_plan *plan, sn_position *rows,
	                   sn_fault *fault);
} sn_ext_plan;

/* What every sn_ext_plan has; the others came later, one by one. */
#define SN_EXT_PLAN_MIN_SIZE offsetof(sn_ext_plan, media_rate)

_Static_assert(sizeof(sn_hole) == 8 && sizeof(sn_position) == 12, "sn_hole and sn_position are frozen");
_Static_assert(sizeof(sn_media_plan) == 40 && offsetof(sn_media_plan, options_hash) == 32, "sn_media_plan is frozen");
_Static_assert(offsetof(sn_ext_plan, plan) == 16 + 3 * sizeof(void *) && offsetof(sn_ext_plan, positions) == offsetof(sn_ext_plan, media_rate) + sizeof(void *),
               "sn_ext_plan grows at its end");

#endif
