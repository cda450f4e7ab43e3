#include "model/rope.h"

#include <math.h>
#include <stddef.h>

/* base^(2i / n), the wavelength by 2 pi. */
static float period(double base, uint32_t i, uint32_t n_rot)
{
	float exponent = (float)(2 * i) / (float)n_rot;
	return (float)pow((double)(float)base, exponent);
}

static void of_base(float *inv, uint32_t n_rot, double base)
{
	for (uint32_t i = 0; i < n_rot / 2; i++)
		inv[i] = 1 / period(base, i, n_rot);
}

static void plain(float *inv, uint32_t n_rot, const rope_params *p, uint32_t n_max)
{
	(void)n_max;
	of_base(inv, n_rot, p->base);
}

static void linear(float *inv, uint32_t n_rot, const rope_params *p, uint32_t n_max)
{
	plain(inv, n_rot, p, n_max);
	for (uint32_t i = 0; i < n_rot / 2; i++)
		inv[i] /= p->factor;
}

static void dynamic(float *inv, uint32_t n_rot, const rope_params *p, uint32_t n_max)
{
	double factor = p->factor, n = n_max > p->n_original ? n_max : p->n_original;
	double wider = pow(factor * n / p->n_original - (factor - 1), n_rot / (n_rot - 2.0));
	of_base(inv, n_rot, n_rot > 2 ? p->base * wider : p->base);
}

static void llama3(float *inv, uint32_t n_rot, const rope_params *p, uint32_t n_max)
{
	float low = (float)((double)p->n_original / (double)p->low_freq), high = (float)((double)p->n_original / (double)p->high_freq);
	plain(inv, n_rot, p, n_max);
	for (uint32_t i = 0; i < n_rot / 2; i++) {
		float wavelength = 1 / inv[i] * (float)(2 * M_PI);
		float smooth = (1 / wavelength * p->n_original - p->low_freq) / (p->high_freq - p->low_freq);
		if (wavelength > low)
			inv[i] /= p->factor;
		else if (!(wavelength < high))
			inv[i] = (1 - smooth) * inv[i] / p->factor + smooth * inv[i];
	}
}

/* The frequency, counted from 0, that turns so often within the original context. */
static double turning(const rope_params *p, uint32_t n_rot, double turns)
{
	return n_rot * log(p->n_original / (turns * 2 * M_PI)) / (2 * log(p->base));
}

static void yarn(float *inv, uint32_t n_rot, const rope_params *p, uint32_t n_max)
{
	double first = turning(p, n_rot, p->beta_fast), last = turning(p, n_rot, p->beta_slow);
	(void)n_max;
	first = fmax(p->whole ? floor(first) : first, 0);
	last = fmin(p->whole ? ceil(last) : last, n_rot - 1.0);
	last += first == last ? 0.001 : 0;
	for (uint32_t i = 0; i < n_rot / 2; i++) {
		float wave = period(p->base, i, n_rot), kept = 1 / wave, scaled = 1 / (p->factor * wave);
		float ramp = ((float)i - (float)first) / (float)(last - first);
		float keep = 1 - fminf(fmaxf(ramp, 0), 1);
		inv[i] = scaled * (1 - keep) + kept * keep;
	}
}

static void longrope(float *inv, uint32_t n_rot, const rope_params *p, uint32_t n_max)
{
	const float *divisors = p->divisors[n_max > p->n_original];
	for (uint32_t i = 0; i < n_rot / 2; i++)
		inv[i] = 1 / (divisors[i] * period(p->base, i, n_rot));
}

static const struct { const char *name; void (*fill)(float *, uint32_t, const rope_params *, uint32_t); } kinds[ROPE_KINDS] = {
    [ROPE_DEFAULT] = {"none", plain}, [ROPE_LINEAR] = {"linear", linear}, [ROPE_DYNAMIC] = {"dynamic", dynamic},
    [ROPE_LLAMA3] = {"llama3", llama3}, [ROPE_YARN] = {"yarn", yarn}, [ROPE_LONGROPE] = {"longrope", longrope},
};

const char *rope_kind_name(enum rope_kind kind)
{
	return kind < ROPE_KINDS ? kinds[kind].name : NULL;
}

void rope_frequencies(float *inv_freq, uint32_t n_rot, const rope_params *p, uint32_t n_max)
{
	kinds[p->kind].fill(inv_freq, n_rot, p, n_max);
	for (uint32_t i = 0; i < n_rot / 2 && p->kind != ROPE_LONGROPE && p->divisors[0]; i++)
		inv_freq[i] /= p->divisors[0][i];
}
