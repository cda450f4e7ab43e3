/* The host's side of the plugin contract: what its services promise, and what they refuse. */
#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "plugin/host.h"

#include <sensorium/host/log.h>
#include <sensorium/host/memory.h>
#include <sensorium/host/threads.h>

static pool *threads;
static plugin_host *host;
static ops o;

static int open_host(void **state)
{
	(void)state;
	sn_error err;
	if (pool_open(&threads, 3, &err) != SN_OK)
		return -1;
	ops_init(&o, threads, KN_ISA_REF);
	return plugin_host_open(&host, NULL, 1 << 20, threads, NULL, &err) == SN_OK ? 0 : -1;
}

static int close_host(void **state)
{
	(void)state;
	plugin_host_close(&host);
	ops_fini(&o);
	pool_close(&threads);
	return 0;
}

static const void *service(const char *id)
{
	const void *s = host->face.service(&host->face, id);
	if (s)
		assert_true(*(const uint32_t *)s > 8); /* every table begins with its size */
	return s;
}

static void services_are_found_by_id(void **state)
{
	(void)state;
	static const char *const ids[] = {SN_HOST_LOG, SN_HOST_MEMORY, SN_HOST_WEIGHTS, SN_HOST_OPS, SN_HOST_THREADS};
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
		assert_non_null(service(ids[i]));
	assert_null(service("sn.host.log/2"));
	assert_null(service(""));
}

static void memory_is_zeroed_aligned_and_budgeted(void **state)
{
	(void)state;
	const sn_host_memory *m = service(SN_HOST_MEMORY);
	uint8_t *a = m->alloc(&host->face, 600 << 10), *b;
	assert_non_null(a);
	assert_int_equal((uintptr_t)a % 64, 0);
	for (size_t i = 0; i < 600 << 10; i++)
		assert_int_equal(a[i], 0);
	assert_null(m->alloc(&host->face, 600 << 10)); /* over the budget of 1 MiB */
	assert_null(m->alloc(&host->face, SIZE_MAX));
	m->free(&host->face, a);
	m->free(&host->face, NULL);
	b = m->alloc(&host->face, 600 << 10); /* what was freed may be had again */
	assert_non_null(b);
	m->free(&host->face, b);
	assert_int_equal(atomic_load(&host->held), 0);
}

static void count_chunk(void *ctx, uint64_t chunk, uint32_t thread)
{
	const sn_host_threads *t = service(SN_HOST_THREADS);
	assert_true(thread < t->count(&host->face));
	atomic_fetch_add(&((atomic_uint *)ctx)[chunk], 1);
}

static void every_chunk_runs_once(void **state)
{
	(void)state;
	const sn_host_threads *t = service(SN_HOST_THREADS);
	assert_int_equal(t->count(&host->face), 3);
	for (int step = 0; step < 2; step++) { /* first as any thread, then as the one that runs steps */
		atomic_uint seen[500] = {0};
		host->step_thread = pthread_self();
		atomic_store(&host->has_step_thread, step == 1);
		t->run(&host->face, count_chunk, seen, 500);
		for (int i = 0; i < 500; i++)
			assert_int_equal(atomic_load(&seen[i]), 1);
		t->run(&host->face, count_chunk, seen, 0);
	}
	atomic_store(&host->has_step_thread, false);
}

static void ops_refuse_shapes_that_do_not_fit(void **state)
{
	(void)state;
	const sn_host_ops *h = service(SN_HOST_OPS);
	sn_fault fault = {.size = sizeof fault};
	sn_ops_ctx *ctx;
	sn_error err;
	sn_tensor a, b, c;
	float values[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, back[12];
	assert_int_equal(ops_ctx_open(&ctx, &o, 2 * sizeof values, &err), SN_OK);
	assert_int_equal(h->alloc(ctx, 3, 4, &a, &fault), SN_RC_OK);
	assert_int_equal(h->alloc(ctx, 4, 3, &b, &fault), SN_RC_OK);
	assert_int_equal(h->alloc(ctx, 1, 1, &c, &fault), SN_RC_NOMEM); /* the declared bytes are used up */
	assert_int_equal(fault.blame, SN_BLAME_PLUGIN);
	assert_int_equal(h->alloc(ctx, UINT64_MAX, 2, &c, &fault), SN_RC_NOMEM);

	assert_int_equal(h->write(ctx, &a, values, &fault), SN_RC_OK);
	assert_int_equal(h->read(ctx, &a, back, &fault), SN_RC_OK);
	assert_memory_equal(values, back, sizeof values);
	assert_int_equal(h->add(ctx, &a, &a, &b, &fault), SN_RC_INTERNAL);
	assert_int_equal(fault.blame, SN_BLAME_PLUGIN);
	sn_tensor row = h->rows(&a, 1, 2), column = h->cols(&a, 1, 2), outside = h->rows(&a, 2, 2);
	assert_int_equal(h->read(ctx, &row, back, &fault), SN_RC_OK);
	assert_memory_equal(back, values + 4, 8 * sizeof *back);
	assert_int_equal(h->read(ctx, &column, back, &fault), SN_RC_OK);
	assert_memory_equal(back, ((float[]){2, 3, 6, 7, 10, 11}), 6 * sizeof *back);
	assert_int_equal(h->read(ctx, &outside, back, &fault), SN_RC_INTERNAL);
	assert_int_equal(h->attention(ctx, &a, &a, &b, &b, 2, 1, &fault), SN_RC_INTERNAL);
	assert_int_equal(h->attention(ctx, &a, &a, &a, &a, 0, 1, &fault), SN_RC_INTERNAL);
	assert_int_equal(h->pixel_shuffle(ctx, &b, &a, 3, 1, 2, &fault), SN_RC_INTERNAL);
	assert_int_equal(h->layer_norm(ctx, &a, &a, &b, &b, 1e-6f, &fault), SN_RC_INTERNAL);
	ops_ctx_close(&ctx);
}

static void pixel_shuffle_moves_cells_into_columns(void **state)
{
	(void)state;
	const sn_host_ops *h = service(SN_HOST_OPS);
	sn_fault fault = {.size = sizeof fault};
	sn_ops_ctx *ctx;
	sn_error err;
	sn_tensor x, y;
	float grid[16], cells[16]; /* 4 x 4 tokens of one channel -> 2 x 2 rows of 4 */
	for (int i = 0; i < 16; i++)
		grid[i] = (float)i;
	assert_int_equal(ops_ctx_open(&ctx, &o, 2 * sizeof grid, &err), SN_OK);
	assert_int_equal(h->alloc(ctx, 16, 1, &x, &fault), SN_RC_OK);
	assert_int_equal(h->alloc(ctx, 4, 4, &y, &fault), SN_RC_OK);
	assert_int_equal(h->write(ctx, &x, grid, &fault), SN_RC_OK);
	assert_int_equal(h->pixel_shuffle(ctx, &y, &x, 4, 4, 2, &fault), SN_RC_OK);
	assert_int_equal(h->read(ctx, &y, cells, &fault), SN_RC_OK);
	assert_memory_equal(cells, ((float[]){0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15}), sizeof cells);
	ops_ctx_close(&ctx);
}

static void a_bad_plugin_folder_is_refused(void **state)
{
	(void)state;
	plugin_host *h;
	sn_error err;
	assert_int_equal(plugin_host_open(&h, "relative/folder", 1, threads, NULL, &err), SN_ERR_INVALID);
	assert_int_equal(plugin_host_open(&h, "/no/such/folder", 1, threads, NULL, &err), SN_ERR_NOT_FOUND);
	assert_int_equal(plugin_host_open(&h, "/tmp", 1, threads, NULL, &err), SN_ERR_INVALID); /* world-writable */
}

static void what_is_no_plugin_is_listed_as_refused(void **state)
{
	(void)state;
	char dir[] = "/tmp/sn-host-XXXXXX", file[64];
	plugin_host *h;
	sn_error err;
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof file, "%s/text.so", dir);
	FILE *f = fopen(file, "w");
	assert_non_null(f);
	fputs("not a shared object\n", f);
	fclose(f);
	assert_int_equal(plugin_host_open(&h, dir, 1, threads, NULL, &err), SN_OK);
	assert_int_equal(h->n_plugins, 1);
	assert_null(h->plugins[0]->desc);
	assert_string_equal(h->plugins[0]->file, "text.so");
	assert_true(*h->plugins[0]->reason != 0);
	plugin_host_close(&h);
	unlink(file);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(services_are_found_by_id),
	    cmocka_unit_test(memory_is_zeroed_aligned_and_budgeted),
	    cmocka_unit_test(every_chunk_runs_once),
	    cmocka_unit_test(ops_refuse_shapes_that_do_not_fit),
	    cmocka_unit_test(pixel_shuffle_moves_cells_into_columns),
	    cmocka_unit_test(a_bad_plugin_folder_is_refused),
	    cmocka_unit_test(what_is_no_plugin_is_listed_as_refused),
	};
	return cmocka_run_group_tests(tests, open_host, close_host);
}
