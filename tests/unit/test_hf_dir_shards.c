/* test_hf_dir_shards.c - weights in many files: one table, nothing outside the directory is opened, and what is cut or flipped is refused
 * or harmless. With an argument, so many flipped bits instead of the usual few thousand. */
#include "hf_dir_kit.h"

static long n_flips = 1500;

/* Three files, and the index that names them. */
static void write_shards(const weights *w, const char *second_file)
{
	bytes index = {0};
	char text[512], shard[64];
	size_t cut[4] = {0, 3, w->n / 2, w->n};
	unlink(scratch_path(MINI "/model.safetensors"));
	put(&index, "{\"metadata\":{\"total_size\":1},\"weight_map\":{", 43);
	for (int s = 0; s < 3; s++) {
		snprintf(shard, sizeof shard, "model-%05d-of-00003.safetensors", s + 1);
		write_bytes(shard, safetensors_of(w, cut[s], cut[s + 1], 0));
		for (size_t i = cut[s]; i < cut[s + 1]; i++)
			put(&index, text, (size_t)snprintf(text, sizeof text, "%s\"%s\":\"%s\"", i ? "," : "", w->e[i].name,
			                                   s == 1 && second_file ? second_file : shard));
	}
	put(&index, "}}", 2);
	write_bytes("model.safetensors.index.json", index);
}

static void many_files_are_one_table(void **state)
{
	(void)state;
	weights w = weights_of(HEAD);
	fresh_llama("");
	write_shards(&w, NULL);
	model_file *f = opened();
	assert_int_equal(f->n_maps, 3);
	assert_int_equal(f->n_tensors, w.n);
	has_tensor(f, "token_embd.weight", "model.embed_tokens.weight", WIDTH, VOCAB);
	has_tensor(f, "blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight", FFN, WIDTH);
	assert_int_equal(f->map_bytes, f->maps[0].n + f->maps[1].n + f->maps[2].n);
	model_file_close(&f);
}

static void shard_names_never_leave_the_directory(void **state)
{
	(void)state;
	weights w = weights_of(HEAD);
	scratch_write("outside.safetensors", "x", 1);
	static const char *const names[] = {"../outside.safetensors", "/etc/passwd", "/tmp/outside.safetensors", "sub/x.safetensors", "./model-00002-of-00003.safetensors",
	                                    "..", ".", "", "a\\u0000.safetensors", "model-00002-of-00003.safetensors\\u0000", "a\\n.safetensors",
	                                    "model.safetensors.index.json", "config.json", ".safetensors", "a b.safetensors", "\\u00e9.safetensors"};
	fresh_llama("");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		write_shards(&w, names[i]);
		refused(strstr(names[i], "u0000") ? "model.safetensors.index.json: " : "weight_map names a file that is not a plain");
	}
	char large[400];
	memset(large, 'n', sizeof large);
	strcpy(large + 300, ".safetensors");
	write_shards(&w, large);
	refused("weight_map names a file that is not a plain");
}

static void symlinks_are_refused_wherever_they_lead(void **state)
{
	(void)state;
	static const char *const files[] = {"config.json", "model-00002-of-00003.safetensors", "model.safetensors.index.json", "generation_config.json",
	                                    "chat_template.jinja", "chat_template.json", "tokenizer_config.json"};
	weights w = weights_of(HEAD);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char path[600], says[96];
		fresh_llama("");
		write_shards(&w, NULL);
		snprintf(path, sizeof path, "%s/" MINI "/%s", SCRATCH, files[i]);
		if (i < 3)
			rename(path, scratch_path("real"));
		else
			scratch_write("real", "{}", 2);
		assert_int_equal(symlink(scratch_path("real"), path), 0);
		snprintf(says, sizeof says, "%s: a symlink", files[i]);
		refused(says);
	}
	fresh_llama(""); /* the directory itself may be one: the user named it */
	assert_int_equal(symlink(scratch_path(MINI), scratch_path("link")), 0);
	model_file *f = NULL;
	assert_int_equal(model_file_open(&f, scratch_path("link"), NULL), SN_OK);
	model_file_close(&f);
	assert_int_equal(model_file_open(&f, scratch_path(MINI "//"), NULL), SN_OK);
	assert_string_equal(f->name, MINI);
	model_file_close(&f);
}

static void indexes_that_lie_are_refused(void **state)
{
	(void)state;
	weights w = weights_of(HEAD), other;
	fresh_llama("");
	write_shards(&w, "model-00009-of-00003.safetensors");
	refused("model-00009-of-00003.safetensors: cannot be opened");
	write_shards(&w, "model-00001-of-00003.safetensors"); /* the second shard's tensors are expected in the first */
	refused("a tensor is missing that model.safetensors.index.json expects there");
	write_shards(&w, NULL);
	other = w; /* a shard that holds a tensor which nobody expects, and one which another shard should hold */
	add(&other, "mystery", WIDTH, 0);
	write_bytes("model-00003-of-00003.safetensors", safetensors_of(&other, w.n / 2, other.n, 0));
	refused("model-00003-of-00003.safetensors: tensor mystery is not in model.safetensors.index.json");
	write_bytes("model-00003-of-00003.safetensors", safetensors_of(&w, 0, 3, 0));
	refused("which model.safetensors.index.json expects in model-00001-of-00003.safetensors");
	write_bytes("model-00003-of-00003.safetensors", safetensors_of(&w, w.n / 2, w.n - 1, 0));
	refused("model-00003-of-00003.safetensors: a tensor is missing");

	static const struct { const char *text, *says; } texts[] = {
	    {"", "index.json: not valid JSON"}, {"{", "index.json: not valid JSON"}, {"[]", "weight_map is missing"}, {"{}", "weight_map is missing"},
	    {"{\"weight_map\":[]}", "weight_map is missing"}, {"{\"weight_map\":null}", "weight_map is missing"},
	    {"{\"weight_map\":{}}", "weight_map names 0 files"}, {"{\"weight_map\":{\"a\":7}}", "not a plain"}, {"{\"weight_map\":{\"a\":null}}", "not a plain"},
	    {"{\"weight_map\":{\"a\":[\"model-00001-of-00003.safetensors\"]}}", "not a plain"},
	    {"{\"weight_map\":{\"a\":\"model-00001-of-00003.safetensors\",\"a\":\"model-00002-of-00003.safetensors\"}}", "the same key twice"},
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		write_file("model.safetensors.index.json", texts[i].text);
		refused(texts[i].says);
	}
	unlink(scratch_path(MINI "/model.safetensors.index.json"));
	refused("neither model.safetensors nor model.safetensors.index.json can be opened");
	assert_int_equal(mkfifo(scratch_path(MINI "/model.safetensors"), 0600), 0);
	refused("model.safetensors: not a regular file");
	bytes many = {0};
	char text[64];
	put(&many, "{\"weight_map\":{", 15);
	for (int i = 0; i < 5000; i++)
		put(&many, text, (size_t)snprintf(text, sizeof text, "%s\"t%d\":\"%d.safetensors\"", i ? "," : "", i, i));
	put(&many, "}}", 2);
	unlink(scratch_path(MINI "/model.safetensors"));
	write_bytes("model.safetensors.index.json", many);
	refused("weight_map names 5000 files");
}

/* ---- cut and flipped ---- */

static bytes file_bytes(const char *name)
{
	char inside[128];
	bytes b = {0};
	snprintf(inside, sizeof inside, MINI "/%s", name);
	int fd = open(scratch_path(inside), O_RDONLY);
	assert_true(fd >= 0);
	uint8_t part[4096];
	for (ssize_t n; (n = read(fd, part, sizeof part)) > 0;)
		put(&b, part, (size_t)n);
	close(fd);
	return b;
}

static const char *const whole_files[] = {"config.json", "model.safetensors.index.json", "generation_config.json", "model-00002-of-00003.safetensors"};

static void fresh_shards(void)
{
	weights w = weights_of(HEAD);
	fresh_llama("\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":1e4,\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0}");
	write_shards(&w, NULL);
	write_file("generation_config.json", "{\"eos_token_id\":[2,3]}");
}

static void a_file_cut_anywhere_is_refused(void **state)
{
	(void)state;
	fresh_shards();
	for (size_t i = 0; i < 4; i++) {
		bytes b = file_bytes(whole_files[i]);
		for (size_t n = 0; n < b.n; n += i == 3 && n > 8 ? 97 : 1) {
			bytes cut = {malloc(n + 1), n, n};
			memcpy(cut.p, b.p, n);
			write_bytes(whole_files[i], cut);
			refused("");
		}
		write_bytes(whole_files[i], b);
		model_file *f = opened();
		model_file_close(&f);
	}
}

static void flipped_bits_are_refused_or_harmless(void **state)
{
	(void)state;
	rng r = {35};
	long n_refused = 0;
	fresh_shards();
	for (size_t i = 0; i < 4; i++) {
		bytes b = file_bytes(whole_files[i]);
		char inside[128];
		snprintf(inside, sizeof inside, MINI "/%s", whole_files[i]);
		int fd = open(scratch_path(inside), O_WRONLY);
		for (long k = 0; k < n_flips; k++) {
			uint32_t at = rng_below(&r, (uint32_t)b.n);
			uint8_t flipped = b.p[at] ^ (uint8_t)(1u << rng_below(&r, 8)), sum = 0;
			assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
			model_file *f = NULL;
			sn_error err = {0};
			if (model_file_open(&f, scratch_path(MINI), &err) == SN_OK) {
				for (size_t t = 0; t < f->n_tensors; t++)
					for (uint64_t d = 0; d < f->tensors[t].bytes; d++)
						sum += f->tensors[t].data[d];
				model_file_close(&f);
			} else {
				n_refused++;
				if (strncmp(err.text, MINI ": ", 6) != 0 || strlen(err.text) < 12)
					fail_msg("not a clear refusal: %s", err.text);
			}
			(void)sum;
			assert_int_equal(pwrite(fd, b.p + at, 1, at), 1);
		}
		close(fd);
		free(b.p);
	}
	assert_in_range(n_refused, n_flips, 4 * n_flips - 1);
}

int main(int argc, char **argv)
{
	n_flips = argc > 1 ? atol(argv[1]) : n_flips;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(many_files_are_one_table),
	    cmocka_unit_test(shard_names_never_leave_the_directory),
	    cmocka_unit_test(symlinks_are_refused_wherever_they_lead),
	    cmocka_unit_test(indexes_that_lie_are_refused),
	    cmocka_unit_test(a_file_cut_anywhere_is_refused),
	    cmocka_unit_test(flipped_bits_are_refused_or_harmless),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
