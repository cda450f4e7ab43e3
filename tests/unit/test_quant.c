/* Quantised weights: loads equal ggml's bit for bit, a miniature in which every product has another type stays near exact
 * arithmetic on the dequantised weights, and files that lie or ask for what is not there are refused by name. */
#include "engine_kit.h"

#include "model/forward.h"

static const struct { const char *name; kn_type type; } types[] = {
	{"q8_0", KN_Q8_0},
#define TYPE(name, type, number, form, bytes) {#name, KN_##type},
	KN_BLOCK_TYPES(TYPE)
};
enum { N_TYPES = sizeof types / sizeof *types };

static void loads_equal_ggml(void **state)
{
	(void)state;
	for (size_t t = 0; t < N_TYPES; t++) {
		for (kn_isa isa = KN_ISA_REF; isa <= KN_ISA_AVX512; isa++) {
			kn_table k;
			char name[32];
			size_t n_blocks, n;
			kn_select(&k, isa);
			snprintf(name, sizeof name, "%s.blocks", types[t].name);
			void *blocks = read_golden(name, &n_blocks);
			snprintf(name, sizeof name, "%s.f32", types[t].name);
			float *want = read_golden(name, &n);
			n /= sizeof *want;
			assert_int_equal(kn_row_bytes(types[t].type, n), n_blocks);
			float *got = malloc(n * sizeof *got);
			kn_load_of(&k, types[t].type)(got, blocks, n);
			for (size_t i = 0; i < n; i++)
				if (memcmp(got + i, want + i, sizeof *got) != 0 && !(isnan(got[i]) && isnan(want[i])))
					fail_msg("%s, %s: value %zu is %a, expected %a", types[t].name, kn_isa_name(isa), i, (double)got[i], (double)want[i]);
			free(blocks);
			free(want);
			free(got);
		}
	}
}

/* ---- the miniature ---- */

struct run {
	pool *threads;
	ops o;
	model *m;
	page_pool *pages;
	kv_seq kv;
	forward_buffers fb;
};

static void run_open(struct run *r, const char *name, kn_isa isa)
{
	sn_error err = {0};
	char path[4096];
	hash_key key = {{0}};
	hash256 root = {{0}};
	*r = (struct run){0};
	snprintf(path, sizeof path, "%s/%s.gguf", GOLDEN_DIR, name);
	assert_int_equal(pool_open(&r->threads, 2, &err), SN_OK);
	ops_init(&r->o, r->threads, isa);
	if (model_open(&r->m, path, NULL, SN_KV_F32, &r->o, &err) != SN_OK)
		fail_msg("%s", err.text);
	assert_int_equal(page_pool_open(&r->pages, 16u << 20, &err), SN_OK);
	assert_int_equal(kv_seq_init(&r->kv, r->pages, &r->m->kv, 256, &key, &root, &err), SN_OK);
	assert_int_equal(forward_reserve(&r->fb, r->m, 64, 64, &err), SN_OK);
}

static void run_close(struct run *r)
{
	kv_seq_fini(&r->kv);
	forward_free(&r->fb);
	page_pool_close(&r->pages);
	model_close(&r->m);
	ops_fini(&r->o);
	pool_close(&r->threads);
}

/* Rows first..first + n - 1 of the prompt. */
static const float *run_rows(struct run *r, const int32_t *ids, uint32_t first, uint32_t n)
{
	const void *media[64] = {0};
	uint32_t positions[64], begin[64] = {0}, end[64], out[64];
	assert_true(kv_seq_extend(&r->kv, first + n));
	for (uint32_t i = 0; i < n; i++) {
		positions[i] = first + i;
		end[i] = first + i + 1;
		out[i] = i;
	}
	batch_seq s = {0, n, first, &r->kv};
	forward(r->m, &r->o, &r->fb, page_pool_arena(r->pages),
	        &(batch){.n_rows = n, .n_seqs = 1, .n_out = n, .ids = ids + first, .media = media, .positions = positions, .key_begin = begin,
	                 .key_end = end, .out_rows = out, .seqs = &s});
	return r->fb.logits;
}

/* What the 8-bit activations cost: root mean square error and worst value over the logits' root mean square. Measured: 0.0241 and
 * 0.147; llama.cpp has 0.0252 and 0.164 on the same file (tests/peer/quantised.py). The types that came later: 0.0288 and 0.196, and
 * llama.cpp the same. */
static const struct { const char *name; double error, worst; } minis[] = {{"mini", 0.03, 0.2}, {"more", 0.035, 0.25}};
enum { N_MINIS = sizeof minis / sizeof *minis };

static void logits_stay_near_exact_arithmetic(void **state)
{
	(void)state;
	size_t n_ids;
	int32_t *ids = read_golden("mini.ids", &n_ids);
	for (size_t i = 0; i < N_MINIS; i++) {
		size_t n_logits;
		char name[32];
		snprintf(name, sizeof name, "%s.logits", minis[i].name);
		float *want = read_golden(name, &n_logits);
		uint32_t n = (uint32_t)(n_ids / 4);
		n_logits /= 4;
		for (kn_isa isa = KN_ISA_REF; isa <= KN_ISA_AVX512; isa++) {
			struct run r;
			run_open(&r, minis[i].name, isa);
			const float *got = run_rows(&r, ids, 0, n);
			double error = 0, size = 0, worst = 0;
			assert_int_equal(n_logits, (size_t)n * r.m->h.n_vocab);
			for (size_t j = 0; j < n_logits; j++) {
				double e = fabs((double)got[j] - (double)want[j]);
				error += e * e;
				size += (double)want[j] * (double)want[j];
				worst = fmax(worst, e);
			}
			error = sqrt(error / size);
			worst /= sqrt(size / (double)n_logits);
			if (!(error < minis[i].error && worst < minis[i].worst))
				fail_msg("%s, %s: error is %g of the logits, the worst %g", minis[i].name, kn_isa_name(isa), error, worst);
			run_close(&r);
		}
		free(want);
	}
	free(ids);
}

/* One row at a time (the stream path), in pieces and whole (tiles): the same bytes. */
static void rows_do_not_depend_on_their_company(void **state)
{
	(void)state;
	static const uint32_t pieces[][5] = {{40}, {1, 1, 1, 1, 36}, {2, 3, 8, 9, 18}, {39, 1}};
	size_t n_ids;
	int32_t *ids = read_golden("mini.ids", &n_ids);
	for (unsigned run = 0; run < N_MINIS * KN_ISA_AVX512; run++) {
		float *whole = NULL;
		for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
			struct run r;
			run_open(&r, minis[run / KN_ISA_AVX512].name, (kn_isa)(KN_ISA_REF + run % KN_ISA_AVX512));
			uint32_t at = 0, n_vocab = r.m->h.n_vocab;
			if (!whole)
				whole = malloc(n_ids / 4 * n_vocab * sizeof *whole);
			for (uint32_t i = 0; i < 5 && pieces[p][i]; at += pieces[p][i++]) {
				const float *got = run_rows(&r, ids, at, pieces[p][i]);
				size_t bytes = (size_t)pieces[p][i] * n_vocab * sizeof *got;
				if (p == 0)
					memcpy(whole, got, bytes);
				else
					assert_memory_equal(got, whole + (size_t)at * n_vocab, bytes);
			}
			assert_int_equal(at, n_ids / 4);
			run_close(&r);
		}
		free(whole);
	}
	free(ids);
}

/* A plugin's products and tables may be quantised as well. Measured: 0.0345 of the rows' root mean square. */
static void a_quantised_tower_stays_near_the_exact_one(void **state)
{
	(void)state;
	size_t n_png, n_rows;
	char *png = read_golden("../engine/picture.png", &n_png);
	float *want = read_golden("../engine/picture.rows", &n_rows);
	sn_engine *e = open_empty((sn_engine_config){0});
	load_model(e, "mini", "../engine/model.gguf", "mmproj.gguf");
	start_engine(e);
	struct answer a = ask(e, &(struct ask){.text = "What is it?", .picture = png, .picture_size = n_png, .max_tokens = 4});
	if (a.status != SN_OK)
		fail_msg("%s", a.error.text);
	const media_entry *m = e->cache.lru_head;
	assert_non_null(m);
	assert_int_equal(m->bytes, n_rows);
	const float *rows = (const float *)(const void *)m->rows;
	double error = 0, size = 0;
	for (size_t i = 0; i < n_rows / 4; i++) {
		error += ((double)rows[i] - (double)want[i]) * ((double)rows[i] - (double)want[i]);
		size += (double)want[i] * (double)want[i];
	}
	error = sqrt(error / size);
	if (!(error > 0 && error < 0.05))
		fail_msg("error is %g of the rows", error);
	sn_engine_close(&e);
	free(png);
	free(want);
}

/* A scale that is no number fails who meets it, and nobody else: nothing scans the weights for it. */
static void a_bad_scale_fails_one_request_only(void **state)
{
	(void)state;
	static const uint16_t bad[] = {0x7e00, 0x7c00, 0xfc00};
	for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
		sn_engine *e = open_empty((sn_engine_config){0});
		load_model(e, "mini", "mini.gguf", NULL);
		start_engine(e);
		struct answer alone = ask(e, &(struct ask){.text = "all is well", .max_tokens = 12});
		assert_int_equal(alone.status, SN_OK);
		model *m = e->models[0].m;
		uint8_t *copy = malloc(m->h.n_vocab * m->embed.stride);
		memcpy(copy, m->embed.data, m->h.n_vocab * m->embed.stride);
		memcpy(copy + 'Q' * m->embed.stride + 208, bad + b, 2); /* d of a Q6_K block */
		m->embed.data = copy;
		struct answer a = ask(e, &(struct ask){.text = "Question", .max_tokens = 12});
		assert_int_equal(a.status, SN_ERR_INTERNAL);
		a = ask(e, &(struct ask){.text = "all is well", .max_tokens = 12});
		assert_int_equal(a.status, SN_OK);
		assert_int_equal(a.n, alone.n);
		assert_memory_equal(a.ids, alone.ids, a.n * sizeof *a.ids);
		assert_memory_equal(a.logprobs, alone.logprobs, a.n * sizeof *a.logprobs);
		assert_all_pages_free(e);
		sn_engine_close(&e);
		free(copy);
	}
}

/* ---- files ---- */

/* The miniature with changes, as a file of its own. */
static const char *with_bytes(const void *bytes, size_t n)
{
	static char path[] = "/tmp/test_quant.XXXXXX";
	strcpy(path + sizeof path - 7, "XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	close(fd);
	return path;
}

/* The type number of a tensor's entry: after its name, the count and the two dimensions. */
static uint8_t *type_of(uint8_t *file, size_t n, const char *tensor)
{
	uint8_t *p = memmem(file, n, tensor, strlen(tensor));
	assert_non_null(p);
	return p + strlen(tensor) + 4 + 16;
}

static void refused(const void *bytes, size_t n, const char *what, const char *says)
{
	ops o;
	pool *threads;
	model *m = NULL;
	sn_error err = {0};
	const char *path = with_bytes(bytes, n);
	assert_int_equal(pool_open(&threads, 1, &err), SN_OK);
	ops_init(&o, threads, 0);
	sn_status st = model_open(&m, path, NULL, SN_KV_AUTO, &o, &err);
	unlink(path);
	if (st == SN_OK || !strstr(err.text, says))
		fail_msg("%s: status %d, \"%s\" does not say \"%s\"", what, (int)st, err.text, says);
	ops_fini(&o);
	pool_close(&threads);
}

static void what_cannot_be_computed_is_refused_by_name(void **state)
{
	(void)state;
	static const uint8_t unsupported[] = {16, 17, 18, 19, 21, 22, 29, 40}; /* IQ2_*, IQ3_*, IQ1_*, NVFP4 */
	size_t n;
	uint8_t *file = read_golden("mini.gguf", &n);
	for (size_t i = 0; i < sizeof unsupported; i++) {
		char says[96]; /* the last tensor of the file, so that what needs fewer bytes leaves no gap */
		uint8_t *copy = malloc(n);
		memcpy(copy, file, n);
		*type_of(copy, n, "blk.1.ffn_down.weight") = unsupported[i];
		snprintf(says, sizeof says, "tensor blk.1.ffn_down.weight: storage type %s is not supported", storage_type_find(unsupported[i])->name);
		refused(copy, n, "type", says);
		free(copy);
	}
	refused(file, n - 4096, "cut short", "lie outside");
	free(file);
}

enum { F8_IN = 16, F8_OUT = 80, F8_ROWS = 19 }; /* rows: more than a tile of sums has */

/* Products are those of the values that the matrix says of itself, whatever scales they share; and a row's are the same bits alone. */
static void check_scaled(const char *directory, const char *tensor, size_t n_out)
{
	model_file *f = NULL;
	sn_error err = {0};
	pool *threads;
	ops o;
	weight w;
	float x[F8_ROWS][F8_IN], y[F8_ROWS][F8_OUT], alone[F8_OUT], row[F8_IN];
	if (model_file_open(&f, directory, &err) != SN_OK)
		fail_msg("%s", err.text);
	assert_int_equal(pool_open(&threads, 1, &err), SN_OK);
	ops_init(&o, threads, 0);
	assert_int_equal(weight_bind(&w, f, f->mem, tensor, NULL, n_out, F8_IN, &err), SN_OK);
	assert_int_equal(w.type, KN_F8_E4M3);
	for (size_t i = 0; i < F8_ROWS * F8_IN; i++)
		x[i / F8_IN][i % F8_IN] = (float)((int)(i * i) % 7 - 3);
	ops_linear(&o, y[0], F8_OUT, x[0], F8_IN, F8_ROWS, &w, ACT_NONE);
	for (size_t j = 0; j < n_out; j++) {
		weight_row(&o, &w, j, row);
		for (size_t i = 0; i < F8_ROWS; i++) {
			double sum = 0, size = 0;
			for (size_t k = 0; k < F8_IN; k++) {
				sum += (double)x[i][k] * (double)row[k];
				size += fabs((double)x[i][k] * (double)row[k]);
			}
			assert_true(fabs(sum - (double)y[i][j]) <= (2 * F8_IN + 4) * 0x1p-24 * size);
		}
	}
	for (size_t i = 0; i < F8_ROWS; i++) {
		ops_linear(&o, alone, F8_OUT, x[i], F8_IN, 1, &w, ACT_NONE);
		assert_memory_equal(alone, y[i], n_out * sizeof(float));
	}
	ops_fini(&o);
	pool_close(&threads);
	model_file_close(&f);
}

static void eight_bit_floats_are_scaled(void **state)
{
	(void)state;
	check_scaled(GOLDEN_DIR "/../hf/llama-f8", "blk.0.attn_q.weight", 24);  /* by outputs */
	check_scaled(GOLDEN_DIR "/../hf/qwen2-f8", "blk.0.ffn_gate.weight", 16); /* all alike */
	check_scaled(GOLDEN_DIR "/../hf/phi3-f8", "blk.0.attn_qkv.weight", 32); /* by blocks that divide neither side */
}

/* And nothing without as many scales as rows. */
static void eight_bit_floats_need_all_scales(void **state)
{
	(void)state;
	enum { N_IN = 16, N_OUT = 24 };
	model_file *f = NULL;
	sn_error err = {0};
	weight w;
	const float *v;
	if (model_file_open(&f, GOLDEN_DIR "/../hf/llama-f8", &err) != SN_OK)
		fail_msg("%s", err.text);
	assert_int_equal(vector_bind(&v, f, f->mem, "blk.0.attn_q.weight", N_OUT * N_IN, &err), SN_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "blk.0.attn_q.weight: storage type F8_E4M3 is only supported for the weights of products"));
	file_tensor *scale = (file_tensor *)(uintptr_t)file_tensor_find(f, "blk.0.attn_q.scale");
	scale->ne[1] = N_OUT - 1;
	assert_int_equal(weight_bind(&w, f, f->mem, "blk.0.attn_q.weight", NULL, N_OUT, N_IN, &err), SN_ERR_INVALID);
	assert_non_null(strstr(err.text, "blk.0.attn_q.scale: 23 values, expected 24"));
	((char *)(uintptr_t)scale->name.p)[0] = '!';
	assert_int_equal(weight_bind(&w, f, f->mem, "blk.0.attn_q.weight", NULL, N_OUT, N_IN, &err), SN_ERR_INVALID);
	assert_non_null(strstr(err.text, "blk.0.attn_q.scale is missing"));
	model_file_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(loads_equal_ggml),
	    cmocka_unit_test(logits_stay_near_exact_arithmetic),
	    cmocka_unit_test(rows_do_not_depend_on_their_company),
	    cmocka_unit_test(a_quantised_tower_stays_near_the_exact_one),
	    cmocka_unit_test(a_bad_scale_fails_one_request_only),
	    cmocka_unit_test(what_cannot_be_computed_is_refused_by_name),
	    cmocka_unit_test(eight_bit_floats_are_scaled),
	    cmocka_unit_test(eight_bit_floats_need_all_scales),
	};
	return kit_run(tests);
}
