/* resample.c - see resample.h. */
#include "resample.h"

#include <soxr.h>
#include <string.h>

enum { MAX_FACTOR = 256, TAIL = 256, MAX_TAIL = 1 << 22 };

bool sn_resample_count(uint64_t n, uint32_t in_rate, uint32_t out_rate, uint64_t *out)
{
	uint64_t scaled;
	if (!in_rate || !out_rate || __builtin_mul_overflow(n, (uint64_t)out_rate, &scaled))
		return false;
	*out = scaled / in_rate + (scaled % in_rate != 0);
	return true;
}

bool sn_resampler_init(sn_resampler *r, uint32_t in_rate, uint32_t out_rate)
{
	*r = (sn_resampler){.in_rate = in_rate, .out_rate = out_rate};
	if (!in_rate || !out_rate || in_rate / out_rate >= MAX_FACTOR || out_rate / in_rate >= MAX_FACTOR)
		return false;
	if (in_rate == out_rate)
		return true;
	soxr_error_t error = NULL;
	const soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
	const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, SOXR_ROLLOFF_NONE);
	const soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
	soxr_t soxr = soxr_create(in_rate, out_rate, 1, &error, &io, &quality, &runtime);
	if (error) {
		soxr_delete(soxr);
		return false;
	}
	r->soxr = soxr;
	return soxr != NULL;
}

void sn_resampler_fini(sn_resampler *r)
{
	if (r->soxr)
		soxr_delete(r->soxr);
	r->soxr = NULL;
}

/* All of in through soxr. A full out ends it: true if nothing of in was left then. */
static bool run(sn_resampler *r, const float *in, size_t n, float *out, size_t cap, size_t *got, bool *all)
{
	*all = false;
	for (;;) {
		/* soxr reads a pointer's width of the output (as if it were a list of channels) even where it does not use it. */
		float last[sizeof(void *) / sizeof(float)] = {0};
		size_t taken = 0, made = 0, room = cap - *got;
		bool narrow = room * sizeof *out < sizeof last;
		if (soxr_process(r->soxr, in, n, &taken, narrow ? last : out + *got, room, &made))
			return false;
		if (narrow)
			memcpy(out + *got, last, made * sizeof *out);
		in += taken;
		n -= taken;
		*got += made;
		if (n == 0 && (made == 0 || *got == cap)) {
			*all = true;
			return true;
		}
		if (taken == 0 && made == 0)
			return true;
	}
}

bool sn_resampler_push(sn_resampler *r, const float *in, size_t n, float *out, size_t cap, size_t *got)
{
	bool all = n <= cap;
	*got = 0;
	if (n == 0)
		return true;
	if (r->soxr) {
		if (!run(r, in, n, out, cap, got, &all))
			return false;
	} else if (all) {
		memcpy(out, in, n * sizeof *in);
		*got = n;
	}
	r->n_in += n;
	r->n_out += *got;
	return all;
}

/* Silence is pushed until everything has come out: soxr's own way to end rounds to the nearest number of samples. */
bool sn_resampler_flush(sn_resampler *r, float *out, size_t cap, size_t *got)
{
	static const float silence[TAIL] = {0};
	uint64_t total;
	*got = 0;
	if (!sn_resample_count(r->n_in, r->in_rate, r->out_rate, &total) || total < r->n_out || total - r->n_out > cap)
		return false;
	size_t lacking = (size_t)(total - r->n_out);
	for (size_t tail = 0; *got < lacking; tail += TAIL) {
		bool all;
		if (!r->soxr || tail > MAX_TAIL || !run(r, silence, TAIL, out, lacking, got, &all))
			return false;
	}
	r->n_out += *got;
	return true;
}
