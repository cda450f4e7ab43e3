/* test_gguf_split.c - promises of the GGUF reader about models in several files: all parts or none, each in its own place. */
#include "gguf_bytes.h"

#define PART "m-%05u-of-%05u.gguf"

/* One part; no: what it says of itself. Its tensor is called after its place. */
static void write_part(uint32_t place, uint32_t n_names, uint32_t no, uint32_t count, uint32_t n_tensors, const char *tensor_name)
{
	char file[64];
	gguf g = gguf_new();
	if (place == 0) {
		key_str(&g, "general.architecture", "llama");
		key_u32(&g, "split.tensors.count", n_tensors);
	}
	key_head(&g, "split.no", FILE_U16), put(&g.keys, &(uint16_t){(uint16_t)no}, 2);
	key_head(&g, "split.count", FILE_U16), put(&g.keys, &(uint16_t){(uint16_t)count}, 2);
	tensor(&g, tensor_name, 2, (uint64_t[]){4, place + 1}, 0);
	bytes b = gguf_bytes(&g);
	snprintf(file, sizeof file, PART, place + 1, n_names);
	scratch_write(file, b.p, b.n);
	free(b.p);
}

static void write_three(void)
{
	write_part(0, 3, 0, 3, 3, "a");
	write_part(1, 3, 1, 3, 0, "b");
	write_part(2, 3, 2, 3, 0, "c");
}

static void refused(const char *file, const char *expected)
{
	model_file *f = NULL;
	sn_error err = {0};
	assert_int_not_equal(model_file_open(&f, scratch_path(file), &err), SN_OK);
	assert_null(f);
	if (!strstr(err.text, expected))
		fail_msg("\"%s\" does not say \"%s\"", err.text, expected);
}

static void the_parts_are_one_model(void **state)
{
	(void)state;
	model_file *f = NULL;
	sn_error err = {0};
	str architecture;
	write_three();
	if (model_file_open(&f, scratch_path("m-00001-of-00003.gguf"), &err) != SN_OK)
		fail_msg("%s", err.text);
	assert_int_equal(f->n_maps, 3);
	assert_int_equal(f->map_bytes, f->maps[0].n + f->maps[1].n + f->maps[2].n);
	assert_int_equal(f->n_tensors, 3);
	assert_true(file_str(f, "general.architecture", &architecture) && str_eq(architecture, STR("llama")));
	for (uint32_t i = 0; i < 3; i++) {
		const file_tensor *t = file_tensor_find(f, (const char *[]){"a", "b", "c"}[i]);
		assert_non_null(t);
		assert_int_equal(t->ne[1], i + 1);
		assert_true(t->data > f->maps[i].p && t->data + t->bytes <= f->maps[i].p + f->maps[i].n);
	}
	model_file_close(&f);
}

static void a_part_that_is_missing_or_another_is_named(void **state)
{
	(void)state;
	write_three();
	refused("m-00002-of-00003.gguf", "m-00002-of-00003.gguf: it says that it is part 1 (from 0) of 3, expected 0 of 3");
	write_part(1, 3, 2, 3, 0, "b");
	refused("m-00001-of-00003.gguf", "m-00002-of-00003.gguf: it says that it is part 2 (from 0) of 3, expected 1 of 3");
	write_part(1, 3, 1, 2, 0, "b");
	refused("m-00001-of-00003.gguf", "m-00002-of-00003.gguf: it says that it is part 1 (from 0) of 2, expected 1 of 3");
	write_part(1, 3, 1, 3, 0, "c"); /* and so do two parts' tensors */
	refused("m-00001-of-00003.gguf", "tensor c stands twice");
	write_part(0, 3, 0, 3, 4, "a");
	write_part(1, 3, 1, 3, 0, "b");
	refused("m-00001-of-00003.gguf", "split.tensors.count: 4 tensors, but its parts have 3");
	write_part(0, 3, 0, 4, 3, "a");
	refused("m-00001-of-00003.gguf", "expected to be called NAME-00001-of-00004.gguf");
	write_part(0, 4, 0, 4, 3, "a");
	refused("m-00001-of-00004.gguf", "m-00002-of-00004.gguf: cannot be opened");
	write_part(0, 9, 0, 60000, 3, "a");
	refused("m-00001-of-00009.gguf", "split.count: 60000 parts, at most 4096 are read");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_parts_are_one_model),
	    cmocka_unit_test(a_part_that_is_missing_or_another_is_named),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
