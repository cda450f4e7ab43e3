/* test_keys.c - promises of keys.h: what matches, and that the way through keys_match is the same one whatever matches. The compiler
 * calls us at every branch of keys.c (-fsanitize-coverage=trace-pc), the linker at every comparison (--wrap). */
#include "unit.h"

#include <stdint.h>

#include "keys.h"

enum { MAX_STEPS = 4096, MAX_KEYS = 300 };

/* What keys.c did: the places that it passed, and what it compared. */
static struct way {
	uintptr_t places[MAX_STEPS];
	size_t n_places, n_compared, bytes_compared;
} now;

int __real_sodium_memcmp(const void *a, const void *b, size_t n);
int __wrap_sodium_memcmp(const void *a, const void *b, size_t n);
void __sanitizer_cov_trace_pc(void);

int __wrap_sodium_memcmp(const void *a, const void *b, size_t n)
{
	now.n_compared++;
	now.bytes_compared += n;
	return __real_sodium_memcmp(a, b, n);
}

void __sanitizer_cov_trace_pc(void)
{
	if (now.n_places < MAX_STEPS)
		now.places[now.n_places++] = (uintptr_t)__builtin_return_address(0);
}

static struct way ask(const key_set *k, const char *key, bool expected)
{
	unsigned char digest[KEY_DIGEST_BYTES];
	now = (struct way){0};
	bool match = keys_match(k, key, strlen(key), digest);
	struct way w = now;
	assert_int_equal(match, expected);
	return w;
}

static const char *key_of(char out[32], unsigned i)
{
	snprintf(out, 32, "sk-%020u", i * 7919u);
	return out;
}

static void set_of(key_set *k, unsigned n)
{
	char key[32];
	keys_init(k);
	for (unsigned i = 0; i < n; i++)
		assert_true(keys_add(k, key_of(key, i), strlen(key_of(key, i))));
}

static void check_65_every_key_matches_and_nothing_else(void **state)
{
	(void)state;
	key_set k;
	char key[32];
	set_of(&k, 50);
	for (unsigned i = 0; i < 100; i++)
		ask(&k, key_of(key, i), i < 50);
	ask(&k, "", false);
	for (size_t n = strlen(key_of(key, 3)); n-- > 0;) { /* every prefix, and every key with one character changed */
		char near[32];
		memcpy(near, key_of(key, 3), 32);
		near[n]++;
		ask(&k, near, false);
		near[n] = 0;
		ask(&k, near, false);
	}
	keys_fini(&k);
	set_of(&k, 0);
	ask(&k, "", false);
	keys_fini(&k);
}

static void check_65_all_digests_are_compared_on_one_way_whatever_matches(void **state)
{
	(void)state;
	static const unsigned counts[] = {1, 2, 7, MAX_KEYS};
	for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
		key_set k;
		char key[32];
		unsigned n = counts[c];
		set_of(&k, n);
		struct way first = ask(&k, key_of(key, 0), true);
		assert_int_equal(first.n_compared, n);
		assert_int_equal(first.bytes_compared, n * KEY_DIGEST_BYTES);
		assert_true(first.n_places >= n && first.n_places < MAX_STEPS); /* its loop is seen */
		for (unsigned i = 1; i < n; i += n / 5 + 1) {
			struct way w = ask(&k, key_of(key, i), true);
			assert_memory_equal(&w, &first, sizeof w);
		}
		struct way last = ask(&k, key_of(key, n - 1), true), miss = ask(&k, key_of(key, n), false);
		assert_memory_equal(&last, &first, sizeof last);
		assert_memory_equal(&miss, &first, sizeof miss);
		for (size_t at = 0; at < strlen(key_of(key, 0)); at++) { /* wrong at the first character, at the second, ... */
			char near[32];
			memcpy(near, key_of(key, 0), 32);
			near[at]++;
			struct way w = ask(&k, near, false);
			assert_memory_equal(&w, &first, sizeof w);
		}
		keys_fini(&k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(check_65_every_key_matches_and_nothing_else),
	    cmocka_unit_test(check_65_all_digests_are_compared_on_one_way_whatever_matches),
	};
	return sodium_init() < 0 ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
