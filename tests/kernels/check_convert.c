/* check_convert.c - stored types to floats and back. See proof.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proof.h"

/* One block: d and q within half a step of the truth, the sums exact. */
static void check_quantised_block(kn_type type, const uint8_t *block, const float *v, size_t n)
{
	double largest = 0, true_d, d;
	const int8_t *q = (const int8_t *)block + (type == KN_Q8_0 ? 2 : 4);
	float f;
	bool finite = true;
	for (size_t i = 0; i < n; i++) {
		finite = finite && isfinite(v[i]);
		largest = fmax(largest, fabs((double)v[i]));
	}
	memcpy(&f, block, 4);
	d = type == KN_Q8_0 ? value_of_f16((uint16_t)(block[0] | block[1] << 8)) : (double)f;
	true_d = largest / 127;
	for (size_t g = 0; type == KN_Q8_K && g < n / 16; g++) {
		int sum = 0;
		int16_t stored_sum;
		for (size_t i = 0; i < 16; i++) sum += q[16 * g + i];
		memcpy(&stored_sum, block + 4 + n + 2 * g, 2);
		CHECK(stored_sum == sum, "sum of group %zu is %d, not %d", g, stored_sum, sum);
	}
	if (!finite) {
		CHECK(!isfinite(d), "a block with no finite size has d %g", d);
		return;
	}
	/* f16: half of 2^-10, or of the subnormal step; q: half a step, with the roundings of 1/d and of x/d */
	double off = type == KN_Q8_0 ? fmax(true_d * 0x1.01p-11, 0x1.01p-25) : true_d * u;
	CHECK(fabs(d - true_d) <= off, "d %g for %g", d, true_d);
	for (size_t i = 0; i < n; i++) {
		double steps = largest > 0 ? (double)v[i] / true_d : 0;
		CHECK(fabs(q[i] - steps) <= 0.5 + 127 * 4 * u, "q %d for %g", q[i], steps);
	}
}

static void check_quantize(kn_type type)
{
	const size_t unit = block_size(type), unit_bytes = kn_row_bytes(type, unit);
	for (size_t m = 1; m <= 5; m++) {
		for (size_t blocks = 1; blocks <= 5; blocks++) {
			size_t k = blocks * unit, ldx = k + m, ldy = blocks + 1;
			float *x = random_buffer(0, (m - 1) * ldx + k);
			size_t bytes = ((m - 1) * ldy + blocks) * unit_bytes;
			uint8_t *y = buffer(1, bytes), *r = buffer(2, bytes);
			for (size_t i = 0; i < m; i++) {
				float scale = ldexpf(1, (int)random_below(60) - 40);
				for (size_t j = 0; j < k; j++) x[i * ldx + j] *= random_below(8) ? scale : 0;
			}
			if (m == 2) memset(x, 0, k * sizeof *x);
			if (m == 3) x[5] = NAN;
			if (m == 4) x[k - 1] = -INFINITY;
			if (m == 5) for (size_t j = 0; j < k; j++) x[j] = (float)((int)j % 255 - 127) + (j % KN_Q8_BLOCK ? 0.5f : 127.0f);
			memset(y, 0x5a, bytes);
			memset(r, 0x5a, bytes);
			kn_quantize_of(t, type)(y, ldy, x, ldx, m, k);
			kn_quantize_of(&ref, type)(r, ldy, x, ldx, m, k);
			CHECK(memcmp(y, r, bytes) == 0, "m %zu k %zu: differs from the reference", m, k);
			for (size_t i = 0; i < m; i++)
				for (size_t b = 0; b < blocks; b++)
					check_quantised_block(type, y + (i * ldy + b) * unit_bytes, x + i * ldx + b * unit, unit);
		}
	}
}

static void check_quantize_q8_0(void) { check_quantize(KN_Q8_0); }
static void check_quantize_q8_k(void) { check_quantize(KN_Q8_K); }

static void check_load(kn_load_fn *fn, kn_load_fn *ref_fn, double (*value)(uint16_t))
{
	enum { ALL = 65536 };
	uint16_t *x = buffer(0, ALL * sizeof *x);
	for (int i = 0; i < ALL; i++) x[i] = (uint16_t)i;
	output o = new_output(1, 1, ALL, ALL);
	fn(o.y, x, ALL);
	check_canaries(o, "all");
	size_t wrong = 0;
	for (int i = 0; i < ALL; i++) {
		double v = value((uint16_t)i), y = (double)o.y[i];
		wrong += isnan(v) ? !isnan(y) : y != v || signbit(y) != signbit(v);
	}
	CHECK(wrong == 0, "%zu of all bit patterns load wrong", wrong);
	for (size_t n = 1; n < 70; n++) {
		uint16_t *tail = x + ALL - n;
		o = new_output(1, 1, n, n);
		float *r = buffer(2, n * sizeof *r);
		for (size_t i = 0; i < n; i++) tail[i] = (uint16_t)(0x3000 + random_below(0x1000));
		fn(o.y, tail, n);
		ref_fn(r, tail, n);
		check_canaries(o, "tail");
		CHECK(same(o.y, r, n), "n %zu", n);
	}
}

static void check_load_f16(void) { check_load(t->load_f16, ref.load_f16, value_of_f16); }
static void check_load_bf16(void) { check_load(t->load_bf16, ref.load_bf16, value_of_bf16); }

/* Every byte, and every tail. */
static void check_load_f8_e4m3(void)
{
	for (size_t n = 1; n <= 256; n++) {
		uint8_t *x = buffer(0, n);
		output o = new_output(1, 1, n, n);
		for (size_t i = 0; i < n; i++) x[i] = (uint8_t)(i * (n == 256 ? 1 : 7));
		t->load_f8_e4m3(o.y, x, n);
		check_canaries(o, "f8");
		for (size_t i = 0; i < n; i++) {
			double v = value_in(KN_F8_E4M3, x, i).product, y = (double)o.y[i]; /* a sum would lose -0 */
			CHECK(isnan(v) ? isnan(y) : y == v && !signbit(y) == !signbit(v), "byte %d: %g for %g", x[i], y, v);
		}
	}
}

/* Products are exact (11 bits of d, at most 7 + 7 of scale and code: IQ4_XS's -32 is a power), so that only the sum with the minimum rounds. */
static void check_load_blocks(kn_type type)
{
	const size_t unit = block_size(type);
	for (size_t n = 1; n < 7 * unit; n += type == KN_Q8_0 ? 1 : unit) {
		if (type != KN_Q8_0 && n % unit) n = unit;
		size_t blocks = (n + unit - 1) / unit;
		uint8_t *x = buffer(0, kn_row_bytes(type, blocks * unit));
		random_weights(type, x, blocks * unit);
		output o = new_output(1, 1, n, n);
		kn_load_of(t, type)(o.y, x, n);
		check_canaries(o, "blocks");
		for (size_t i = 0; i < n; i++) {
			stored v = value_in(type, x, i);
			float product = (float)v.product, y = product + (float)v.added;
			CHECK((double)product == v.product && o.y[i] == y, "n %zu i %zu: %g for %g", n, i, (double)o.y[i], (double)y);
		}
	}
}

static void check_load_q8_0(void) { check_load_blocks(KN_Q8_0); }
#define CHECK_BLOCK(name, type, number, form, bytes) \
	static void check_load_##name(void) { check_load_blocks(KN_##type); }
KN_BLOCK_TYPES(CHECK_BLOCK)

/* Nearest, ties to even: no neighbour is nearer, and at a tie the last bit is 0. NaN stays NaN. */
static void check_store(kn_store_fn *fn, kn_store_fn *ref_fn, double (*value)(uint16_t), uint16_t infinity)
{
	for (size_t round = 0; round < 2000; round++) {
		size_t n = 1 + round % 67;
		float *x = buffer(0, n * sizeof *x);
		uint16_t *y = buffer(1, n * sizeof *y), *r = buffer(2, n * sizeof *r);
		for (size_t i = 0; i < n; i++) {
			uint32_t bits = random_bits();
			if (round % 3 == 1) bits = (bits & 0x87ffffff) + 0x33000000; /* the range of f16, with its ends */
			if (round % 3 == 2) bits &= 0xfffff000; /* ties */
			if (round % 50 == 0) bits |= 0x7f800000;
			memcpy(x + i, &bits, 4);
		}
		memset(y - 8, 0x5a, 16);
		fn(y, x, n);
		ref_fn(r, x, n);
		CHECK(memcmp(y, r, n * sizeof *y) == 0, "n %zu: differs from the reference", n);
		for (int i = 1; i <= 8; i++) CHECK(y[-i] == 0x5a5a, "n %zu: overwrites before", n);
		for (size_t i = 0; i < n; i++) {
			double v = (double)x[i], got = value(y[i]);
			if (isnan(v)) {
				CHECK(isnan(got), "NaN became %g", got);
				continue;
			}
			uint16_t magnitude = y[i] & 0x7fff;
			if (isinf(got)) got = value((uint16_t)(infinity - 1)) * 2 - value((uint16_t)(infinity - 2)); /* the next step */
			got = fabs(got);
			double above = magnitude >= infinity - 1 ? 2 * got : value((uint16_t)(magnitude + 1)), error = fabs(fabs(v) - got);
			double below = magnitude == 0 ? -1 : value((uint16_t)(magnitude - 1));
			if (magnitude == infinity) {
				CHECK(fabs(v) - below >= got - fabs(v), "%g became infinite", v);
				continue;
			}
			if (magnitude == infinity - 1) above = got + (got - below);
			CHECK(error <= fabs(above - fabs(v)) && error <= fabs(fabs(v) - below), "%g became %g", v, got);
			bool tie = error == fabs(above - fabs(v)) || error == fabs(fabs(v) - below);
			CHECK(!tie || error == 0 || !(magnitude & 1), "tie %g became the odd %g", v, got);
			CHECK((y[i] >> 15 != 0) == (signbit(x[i]) != 0), "sign of %g", v);
		}
	}
}

static void check_store_f16(void) { check_store(t->store_f16, ref.store_f16, value_of_f16, 0x7c00); }
static void check_store_bf16(void) { check_store(t->store_bf16, ref.store_bf16, value_of_bf16, 0x7f80); }

const family_check convert_checks[] = {
	{ "quantize_q8_0", check_quantize_q8_0 },
	{ "quantize_q8_k", check_quantize_q8_k },
	{ "load_f16", check_load_f16 },
	{ "load_bf16", check_load_bf16 },
	{ "load_f8_e4m3", check_load_f8_e4m3 },
	{ "load_q8_0", check_load_q8_0 },
#define BLOCK_ROW(name, type, number, form, bytes) { "load_" #name, check_load_##name },
	KN_BLOCK_TYPES(BLOCK_ROW)
	{ "store_f16", check_store_f16 },
	{ "store_bf16", check_store_bf16 },
	{ NULL, NULL },
};
