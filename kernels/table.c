/* table.c - what this machine can run, and which variant of each family it gets. */
#include <string.h>

#include "cpu/cpu.h"

/* Most specific first: the first row that a machine has wins. */
#define ROW(family, variant, isa) \
	{ #family, #variant, isa, (void (*)(void))kn_##family##_##variant, offsetof(kn_table, family) },
#define ROW_AVX512(type, family) ROW(family, avx512, KN_ISA_AVX512)
#define ROW_AVX2(type, family) ROW(family, avx2, KN_ISA_AVX2)
#define ROW_REF(type, family) ROW(family, ref, KN_ISA_REF)
#define BLOCK_AVX512(name, type, number, form, bytes) ROW(linear_##name, avx512, KN_ISA_AVX512)
#define BLOCK_AVX2(name, type, number, form, bytes) ROW(linear_##name, avx2, KN_ISA_AVX2)
#define BLOCK_REF(name, type, number, form, bytes) ROW(linear_##name, ref, KN_ISA_REF) ROW(load_##name, ref, KN_ISA_REF)

static const kn_row rows[] = {
#ifdef KN_X86
	KN_FAMILIES(ROW_AVX512)
	KN_BLOCK_TYPES(BLOCK_AVX512)
	KN_FAMILIES(ROW_AVX2)
	KN_BLOCK_TYPES(BLOCK_AVX2)
#endif
	KN_FAMILIES(ROW_REF)
	KN_BLOCK_TYPES(BLOCK_REF)
};

const kn_row *kn_rows(size_t *n)
{
	*n = sizeof rows / sizeof *rows;
	return rows;
}

#ifdef KN_X86
#include <cpuid.h>

/* Registers that the operating system saves: a processor's flag alone is not enough. */
static unsigned saved_state(void)
{
	unsigned low, high;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low;
}

/* Each mask is what the files of that ISA are compiled with. */
kn_isa kn_detect(void)
{
	unsigned a, b, c, d;
	const unsigned leaf1 = bit_FMA | bit_F16C | bit_OSXSAVE | bit_AVX;
	const unsigned leaf7_avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
	const unsigned ymm = 0x06, zmm = 0xe6;
	if (!__get_cpuid(1, &a, &b, &c, &d) || (c & leaf1) != leaf1) return KN_ISA_REF;
	unsigned saved = saved_state();
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2) || (saved & ymm) != ymm) return KN_ISA_REF;
	if ((b & leaf7_avx512) != leaf7_avx512 || !(c & bit_AVX512VNNI) || (saved & zmm) != zmm) return KN_ISA_AVX2;
	return KN_ISA_AVX512;
}
#else
kn_isa kn_detect(void) { return KN_ISA_REF; }
#endif

void kn_select(kn_table *table, kn_isa cap)
{
	kn_isa has = kn_detect();
	if (cap > has) cap = has;
	memset(table, 0, sizeof *table);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		void (*fn)(void);
		char *slot = (char *)table + rows[i].member;
		memcpy(&fn, slot, sizeof fn);
		if (!fn && rows[i].needs <= cap) memcpy(slot, &rows[i].fn, sizeof fn);
	}
}

const char *kn_isa_name(kn_isa isa)
{
	switch (isa) {
	case KN_ISA_AVX512: return "avx512";
	case KN_ISA_AVX2: return "avx2";
	case KN_ISA_REF: return "ref";
	}
	return "unknown";
}

/* What a storage type is made of, and which members of a table compute with it. */
#define MEMBER(family) offsetof(kn_table, family)
#define NONE SIZE_MAX
static const struct type_row {
	kn_type type, activation;
	size_t block, bytes;
	size_t linear, load;
} types[] = {
	{ KN_F32, KN_F32, 1, 4, MEMBER(linear_f32), NONE },
	{ KN_F16, KN_F32, 1, 2, MEMBER(linear_f16), MEMBER(load_f16) },
	{ KN_BF16, KN_F32, 1, 2, MEMBER(linear_bf16), MEMBER(load_bf16) },
	{ KN_F8_E4M3, KN_F32, 1, 1, MEMBER(linear_f8_e4m3), MEMBER(load_f8_e4m3) },
	{ KN_Q8_0, KN_Q8_0, KN_Q8_BLOCK, sizeof(kn_q8_0), MEMBER(linear_q8_0), MEMBER(load_q8_0) },
#define TYPE_ROW(name, type, number, form, bytes) \
	{ KN_##type, KN_##form, KN_##form == KN_Q8_K ? KN_K_BLOCK : KN_Q8_BLOCK, bytes, MEMBER(linear_##name), MEMBER(load_##name) },
	KN_BLOCK_TYPES(TYPE_ROW)
	{ KN_Q8_K, KN_Q8_K, KN_K_BLOCK, sizeof(kn_q8_k), NONE, NONE },
};

static const struct type_row *find(kn_type type)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i].type == type) return types + i;
	return NULL;
}

size_t kn_row_bytes(kn_type type, size_t k)
{
	const struct type_row *t = find(type);
	return !t || k % t->block || k / t->block > SIZE_MAX / t->bytes ? 0 : k / t->block * t->bytes;
}

kn_type kn_activation(kn_type weights)
{
	const struct type_row *t = find(weights);
	return t ? t->activation : KN_F32;
}

kn_linear_fn *kn_linear_of(const kn_table *table, kn_type weights)
{
	const struct type_row *t = find(weights);
	kn_linear_fn *fn = NULL;
	if (t && t->linear != NONE) memcpy(&fn, (const char *)table + t->linear, sizeof fn);
	return fn;
}

kn_load_fn *kn_load_of(const kn_table *table, kn_type type)
{
	const struct type_row *t = find(type);
	kn_load_fn *fn = NULL;
	if (t && t->load != NONE) memcpy(&fn, (const char *)table + t->load, sizeof fn);
	return fn;
}

kn_quantize_fn *kn_quantize_of(const kn_table *table, kn_type activation)
{
	return activation == KN_Q8_0 ? table->quantize_q8_0 : activation == KN_Q8_K ? table->quantize_q8_k : NULL;
}
