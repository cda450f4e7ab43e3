/* test_kit.c - promises of what plugins are made of: whose fault a fault is, hosts that lack something, sizes and units of work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>
#include <kit_tower.h>

#include "fake_host.h"

static void a_fault_says_whose_it_is(void **state)
{
	(void)state;
	static const struct { sn_rc code; int blame; bool retryable; } cases[] = {
	    {SN_RC_INVALID, SN_BLAME_INPUT, false}, {SN_RC_UNSUPPORTED, SN_BLAME_INPUT, false}, {SN_RC_TOO_LARGE, SN_BLAME_INPUT, false},
	    {SN_RC_NOMEM, SN_BLAME_RESOURCE, true}, {SN_RC_INTERNAL, SN_BLAME_PLUGIN, false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		sn_fault fault = {.size = sizeof fault};
		assert_int_equal(kit_fail(&fault, cases[i].code, "%s = %u", "key", 7u), cases[i].code);
		assert_int_equal(fault.code, cases[i].code);
		assert_int_equal(fault.blame, cases[i].blame);
		assert_int_equal(fault.retryable, cases[i].retryable);
		assert_string_equal(fault.text, "key = 7");
		assert_int_equal(kit_fail(NULL, cases[i].code, "nobody asks"), cases[i].code);
	}
	char large[400];
	sn_fault fault = {.size = sizeof fault};
	memset(large, 'x', sizeof large);
	large[399] = 0;
	kit_fail(&fault, SN_RC_INVALID, "%s", large);
	assert_int_equal(strlen(fault.text), sizeof fault.text - 1);
}

/* A host that hides some of another's services, or offers an older one. */
typedef struct lacking {
	sn_host host;
	fake_host whole;
	const char *hidden;
	sn_host_ops old;
} lacking;

static const void *some_service(const sn_host *host, const char *id)
{
	const lacking *l = (const lacking *)(const void *)host;
	if (l->hidden && strcmp(id, l->hidden) == 0)
		return NULL;
	return l->old.size && strcmp(id, SN_HOST_OPS) == 0 ? (const void *)&l->old : l->whole.host.service(&l->whole.host, id);
}

static sn_rc init_with(lacking *l, kit_needs needs, kit_host *h, sn_fault *fault)
{
	*fault = (sn_fault){.size = sizeof *fault};
	*h = (kit_host){0};
	return kit_host_init(h, "tower", needs, &l->host, fault);
}

static void a_host_without_what_is_needed_is_refused(void **state)
{
	(void)state;
	lacking l = {.host = {.size = sizeof l.host, .service = some_service}};
	kit_host h;
	sn_fault fault;
	fake_host_init(&l.whole);
	static const struct { const char *hidden; bool codecs, models; } cases[] = {
	    {NULL, true, true}, {SN_HOST_LOG, true, true}, {SN_HOST_MEMORY, false, false}, {SN_HOST_WEIGHTS, true, false}, {SN_HOST_OPS, true, false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		l.hidden = cases[i].hidden;
		assert_int_equal(init_with(&l, KIT_MEMORY, &h, &fault), cases[i].codecs ? SN_RC_OK : SN_RC_INTERNAL);
		assert_int_equal(init_with(&l, KIT_MODEL, &h, &fault), cases[i].models ? SN_RC_OK : SN_RC_INTERNAL);
		if (!cases[i].models)
			assert_string_equal(fault.text, "the host lacks a service that tower needs");
		kit_log(&h, NULL, SN_HOST_INFO, "without a log it is nobody's");
		kit_free(&h, NULL);
	}
	l.hidden = NULL;
	l.old.size = offsetof(sn_host_ops, gate);
	assert_int_equal(init_with(&l, KIT_MEMORY, &h, &fault), SN_RC_OK);
	assert_int_equal(init_with(&l, KIT_MODEL, &h, &fault), SN_RC_INTERNAL);
	fake_host_fini(&l.whole);
}

static void lines_go_to_the_log_under_the_plugins_name(void **state)
{
	(void)state;
	fake_host host;
	kit_host h;
	fake_host_init(&host);
	assert_int_equal(kit_host_init(&h, "tower", KIT_MEMORY, &host.host, NULL), SN_RC_OK);
	kit_logf(&h, NULL, SN_HOST_WARN, "%u rows", 12u);
	assert_int_equal(host.n_logged, 1);
	assert_string_equal(host.last_log, "tower: 12 rows");
	fake_host_fini(&host);
}

static void sizes_that_do_not_fit_are_noticed(void **state)
{
	(void)state;
	uint64_t total = 0;
	assert_true(kit_add_bytes(&total, 3, 5));
	assert_int_equal(total, KIT_ALIGN);
	assert_true(kit_add_bytes(&total, 2, KIT_ALIGN));
	assert_int_equal(total, 3 * KIT_ALIGN);
	assert_false(kit_add_bytes(&total, UINT64_MAX / 2, 3));
	assert_false(kit_add_bytes(&total, 1, UINT64_MAX - 1));
	total = UINT64_MAX - KIT_ALIGN / 2;
	assert_false(kit_add_bytes(&total, 1, KIT_ALIGN));
	sn_tensor unused;
	const kit_tensor_size large[] = {{&unused, UINT32_MAX, UINT32_MAX}, {&unused, UINT32_MAX, UINT32_MAX}}, some[] = {{&unused, 4, 4}, {&unused, 0, 9}};
	assert_false(kit_tensor_bytes(large, 2, &total));
	assert_true(kit_tensor_bytes(some, 2, &total));
	assert_int_equal(total, KIT_ALIGN);
}

/* Near the target, never above it but where 16 rows are, and all units but the last alike. */
static void units_are_near_their_target(void **state)
{
	(void)state;
	static const double costs[] = {1, 97, 1e4, 3.3e6, 1e12};
	for (uint32_t n = 1; n < 3000; n += 7)
		for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
			uint32_t each = kit_unit_rows(1e6, costs[i], n), parts = kit_parts(n, each);
			assert_in_range(each, 1, n);
			assert_true(each % 16 == 0 || each == n);
			assert_true((parts - 1) * each < n && parts * each >= n);
			assert_true((each - fmin(each, 15)) * costs[i] <= 1e6 || each <= 16);
			assert_true(parts == 1 || 2 * each * costs[i] >= 1e6 - 16 * costs[i]); /* not needlessly small */
		}
	assert_int_equal(kit_aligned(1), KIT_ALIGN);
	assert_int_equal(kit_aligned(KIT_ALIGN), KIT_ALIGN);
}

static void options_that_differ_hash_apart(void **state)
{
	(void)state;
	uint32_t a[3] = {1, 2, 3}, b[3] = {1, 2, 4};
	uint8_t one[8], two[8], again[8];
	kit_hash(a, sizeof a, one);
	kit_hash(b, sizeof b, two);
	kit_hash(a, sizeof a, again);
	assert_memory_equal(one, again, 8);
	assert_memory_not_equal(one, two, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_fault_says_whose_it_is),
	    cmocka_unit_test(a_host_without_what_is_needed_is_refused),
	    cmocka_unit_test(lines_go_to_the_log_under_the_plugins_name),
	    cmocka_unit_test(sizes_that_do_not_fit_are_noticed),
	    cmocka_unit_test(units_are_near_their_target),
	    cmocka_unit_test(options_that_differ_hash_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
