/* Writers as the host finds them: by what they take and make, never by name. */
#include "unit.h"

#include "plugin/host.h"

static plugin_host *host;
static pool *threads;

static int open_host(void **state)
{
	(void)state;
	sn_error err;
	return pool_open(&threads, 1, &err) == SN_OK && plugin_host_open(&host, PLUGIN_DIR, 1 << 20, threads, NULL, &err) == SN_OK ? 0 : -1;
}

static int close_host(void **state)
{
	(void)state;
	plugin_host_close(&host);
	pool_close(&threads);
	return 0;
}

static plugin *writer_of(const char *kind, const char *type)
{
	for (size_t i = 0; i < host->n_plugins; i++) {
		plugin *p = host->plugins[i];
		if (p->instance && p->write && strcmp(p->write->kind_name, kind) == 0 && strstr(p->write->media_types, type))
			return p;
	}
	return NULL;
}

static void a_picture_goes_out_and_comes_back(void **state)
{
	(void)state;
	plugin *p = writer_of("image", "image/png");
	assert_non_null(p);
	assert_null(writer_of("image", "image/tiff"));
	assert_non_null(writer_of("audio", "audio/wav"));
	assert_null(writer_of("audio", "image/png"));
	assert_non_null(writer_of("video", "video/webm"));
	assert_null(writer_of("video", "audio/wav"));
	assert_null(writer_of("smell", ""));
	assert_non_null(strstr(p->desc->extensions, SN_EXT_WRITE)); /* what listings show */

	uint8_t rgb[5 * 3 * 3];
	for (size_t i = 0; i < sizeof rgb; i++)
		rgb[i] = (uint8_t)(i * 37);
	const sn_media m = {.size = sizeof m, .kind = SN_MEDIA_IMAGE, .width = 5, .height = 3, .n_frames = 1, .samples = rgb, .bytes = sizeof rgb};
	const sn_write_options options = {.size = sizeof options, .media_type = "image/png"};
	const struct sn_call call = {"req-1"};
	sn_fault fault = {.size = sizeof fault};
	uint64_t most, n;
	assert_int_equal(p->write->bound(p->instance, &call, &m, &options, &most, &fault), SN_RC_OK);
	uint8_t *file = malloc(most);
	assert_int_equal(p->write->write(p->instance, &call, &m, &options, file, most, &n, &fault), SN_RC_OK);

	uint8_t back[sizeof rgb];
	sn_media got = {.size = sizeof got};
	assert_string_equal(p->decode->sniff(file, 64), "image/png");
	assert_int_equal(p->decode->measure(p->instance, &call, file, n, NULL, &got, &fault), SN_RC_OK);
	assert_int_equal(got.bytes, sizeof back);
	got.samples = back;
	assert_int_equal(p->decode->decode(p->instance, &call, file, n, NULL, &got, &fault), SN_RC_OK);
	assert_memory_equal(back, rgb, sizeof rgb);
	free(file);
	assert_int_equal(atomic_load(&host->held), 0);
}

/* The budget is the host's: a writer that gets no memory says so. */
static void a_budget_too_small_is_an_answer(void **state)
{
	(void)state;
	plugin *p = writer_of("image", "image/png");
	uint8_t rgb[3] = {1, 2, 3}, file[4096];
	const sn_media m = {.size = sizeof m, .kind = SN_MEDIA_IMAGE, .width = 1, .height = 1, .n_frames = 1, .samples = rgb, .bytes = 3};
	const sn_write_options options = {.size = sizeof options, .media_type = "image/png"};
	sn_fault fault = {.size = sizeof fault};
	uint64_t n;
	size_t budget = host->budget;
	host->budget = 100;
	assert_int_equal(p->write->write(p->instance, NULL, &m, &options, file, sizeof file, &n, &fault), SN_RC_NOMEM);
	assert_int_equal(fault.blame, SN_BLAME_RESOURCE);
	host->budget = budget;
	assert_int_equal(p->write->write(p->instance, NULL, &m, &options, file, sizeof file, &n, &fault), SN_RC_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_picture_goes_out_and_comes_back),
	    cmocka_unit_test(a_budget_too_small_is_an_answer),
	};
	return cmocka_run_group_tests(tests, open_host, close_host);
}
