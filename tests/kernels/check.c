/* check.c - kn_check: every row of the dispatch table against the truth, over odd shapes. `kn_check --time [family]` measures.
 * What holds for all checks says proof.h. */
#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "proof.h"

kn_table ref, *t;

static const uint32_t canary = 0xc0ffee11;

/* --- what was found --- */

static const kn_row *current;
static size_t n_checks, n_failures;

bool check_failed(bool holds)
{
	n_checks++;
	if (holds || n_failures++ >= 40) return false;
	printf("FAIL %s %s: ", current->family, current->variant);
	return true;
}

/* --- numbers --- */

static uint64_t random_state;

uint32_t random_bits(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)(z >> 32);
}

float random_float(void) { return (float)(int32_t)random_bits() * 0x1p-31f; }
unsigned random_below(unsigned n) { return (unsigned)((uint64_t)random_bits() * n >> 32); }

/* --- memory --- */

enum { BUFFER_BYTES = 8 << 20, FRONT = 16 /* canary words before an output */ };

static uint8_t *buffer_end(int i)
{
	static uint8_t *ends[N_BUFFER];
	if (!ends[i]) {
		uint8_t *p = mmap(NULL, BUFFER_BYTES + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED || mprotect(p + BUFFER_BYTES, 65536, PROT_NONE) != 0) {
			perror("kn_check: mmap");
			exit(2);
		}
		ends[i] = p + BUFFER_BYTES;
	}
	return ends[i];
}

void *buffer(int i, size_t bytes)
{
	if (bytes + FRONT * sizeof canary > BUFFER_BYTES) {
		fprintf(stderr, "kn_check: a buffer of %zu bytes is too large\n", bytes);
		exit(2);
	}
	return buffer_end(i) - bytes;
}

float *random_buffer(int i, size_t n)
{
	float *x = buffer(i, n * sizeof *x);
	for (size_t j = 0; j < n; j++) x[j] = random_float();
	return x;
}

output new_output(int i, size_t m, size_t n, size_t ld)
{
	size_t total = (m - 1) * ld + n;
	float *y = buffer(i, total * sizeof *y);
	for (float *p = y - FRONT; p < y + total; p++) memcpy(p, &canary, 4);
	return (output){ y, m, n, ld };
}

void check_canaries(output o, const char *shape)
{
	size_t harmed = 0;
	for (size_t i = 0; i < FRONT; i++) harmed += memcmp(o.y - 1 - i, &canary, 4) != 0;
	for (size_t i = 0; i + 1 < o.m; i++)
		for (size_t j = o.n; j < o.ld; j++) harmed += memcmp(o.y + i * o.ld + j, &canary, 4) != 0;
	CHECK(harmed == 0, "%s: %zu canaries overwritten", shape, harmed);
}

bool same(const float *a, const float *b, size_t n) { return memcmp(a, b, n * sizeof *a) == 0; }

size_t count_nan(const float *y, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++) count += isnan(y[i]) != 0;
	return count;
}

/* --- weights --- */

void random_weights(kn_type type, void *w, size_t n)
{
	size_t block = block_size(type), bytes = kn_row_bytes(type, block);
	for (size_t i = 0; i < n; i += block) {
		uint8_t *p = (uint8_t *)w + i / block * bytes;
		float x = random_float();
		if (type == KN_F32) memcpy(p, &x, 4);
		else if (type == KN_F16) ref.store_f16(p, &x, 1);
		else if (type == KN_BF16) ref.store_bf16(p, &x, 1);
		if (type == KN_F8_E4M3)
			do p[0] = (uint8_t)random_below(256);
			while ((p[0] & 0x7f) == 0x7f);
		if (block == 1) continue;
		/* Any bytes are codes and scales; of the halves that scale a block some are subnormal or 0. */
		for (size_t q = 0; q < bytes; q++) p[q] = (uint8_t)random_below(256);
		if (type == KN_MXFP4) { /* an exponent */
			p[0] = (uint8_t)(random_below(16) ? 110 + random_below(16) : random_below(90));
			continue;
		}
		bool two = type == KN_Q4_1 || type == KN_Q5_1 || type == KN_Q2_K || type == KN_Q4_K || type == KN_Q5_K;
		bool at_end = type == KN_Q2_K || type == KN_Q3_K || type == KN_Q6_K || type == KN_TQ1_0 || type == KN_TQ2_0;
		size_t n_half = two ? 2 : 1, d = at_end ? bytes - 2 * n_half : 0;
		for (size_t h = 0; h < n_half; h++) {
			uint16_t half;
			float scale = random_float() * (random_below(16) ? 0.01f : random_below(2) ? 1e-6f : 0);
			ref.store_f16(&half, &scale, 1);
			memcpy(p + d + 2 * h, &half, 2);
		}
	}
}

double stored_value(kn_type type, const void *row, size_t i)
{
	stored s = value_in(type, row, i);
	return s.product + s.added;
}

/* --- the table --- */

static const family_check *find_check(const char *family)
{
	const family_check *const groups[] = { linear_checks, convert_checks, row_checks, attention_checks, sound_checks };
	for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
		for (const family_check *c = groups[g]; c->family; c++)
			if (!strcmp(c->family, family)) return c;
	return NULL;
}

/* No row twice, the member is the family's, every cap fills the whole table with rows at or below it. */
static void check_table(const kn_row *rows, size_t n)
{
	static const kn_row table_row = { .family = "kn_table", .variant = "rows" };
	size_t n_member = sizeof(kn_table) / sizeof(void (*)(void));
	current = &table_row;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++) {
			bool one_family = !strcmp(rows[i].family, rows[j].family);
			CHECK(one_family == (rows[i].member == rows[j].member), "%s and %s share a member", rows[i].family, rows[j].family);
			CHECK(!one_family || rows[i].needs < rows[j].needs, "%s: a row that never wins", rows[i].family);
		}
	}
	for (kn_isa cap = KN_ISA_REF; cap <= KN_ISA_AVX512; cap++) {
		kn_table table;
		kn_select(&table, cap);
		for (size_t member = 0; member < n_member; member++) {
			void (*fn)(void);
			bool found = false;
			memcpy(&fn, (char *)&table + member * sizeof fn, sizeof fn);
			for (size_t i = 0; i < n; i++) found = found || (rows[i].fn == fn && rows[i].needs <= cap && rows[i].needs <= kn_detect());
			CHECK(fn && found, "member %zu at cap %s", member, kn_isa_name(cap));
		}
	}
	CHECK(!kn_linear_of(&ref, KN_Q8_K) && !kn_load_of(&ref, KN_Q8_K) && !kn_linear_of(&ref, (kn_type)16) && !kn_load_of(&ref, KN_F32),
	      "functions of types that have none");
	CHECK(kn_row_bytes(KN_Q8_0, 64) == 68 && kn_row_bytes(KN_Q8_0, 33) == 0 && kn_row_bytes(KN_F32, SIZE_MAX / 2) == 0 &&
	      kn_row_bytes((kn_type)4, 32) == 0 && kn_row_bytes(KN_Q4_K, 512) == 288 && kn_row_bytes(KN_Q6_K, 128) == 0 &&
	      kn_row_bytes(KN_BF16, 3) == 6, "kn_row_bytes");
}

int main(int argc, char **argv)
{
	size_t n_row, n_run = 0, n_skipped = 0;
	const kn_row *rows = kn_rows(&n_row);
	kn_select(&ref, KN_ISA_REF);
	if (argc > 1 && !strcmp(argv[1], "--time")) {
		time_rows(argc > 2 ? argv[2] : NULL);
		return 0;
	}
	check_table(rows, n_row);
	for (size_t i = 0; i < n_row; i++) {
		kn_table under_test = ref;
		if (argc > 1 && strcmp(argv[1], rows[i].family) && strcmp(argv[1], rows[i].variant)) continue;
		if (rows[i].needs > kn_detect()) {
			n_skipped++;
			continue;
		}
		memcpy((char *)&under_test + rows[i].member, &rows[i].fn, sizeof rows[i].fn);
		current = rows + i;
		t = &under_test;
		random_state = 1;
		const family_check *c = find_check(rows[i].family);
		CHECK(c, "no check for this family");
		if (c) c->check();
		n_run++;
	}
	printf("kn_check: %s, %zu rows checked, %zu not on this machine, %zu checks, %zu failures\n", kn_isa_name(kn_detect()), n_run,
	       n_skipped, n_checks, n_failures);
	return n_failures != 0;
}
