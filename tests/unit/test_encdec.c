/* test_encdec.c - encoder-decoder models (Whisper), on miniatures that transformers saved (tests/golden/hf/make_whisper.py): what a
 * directory says, its token ids, logits and greedy ids given the encoder's rows, and that neither company, chunks nor preemption change a
 * byte. */
#include "golden_files.h"
#include "scratch.h"

#include "engine/schedule.h"
#include "model/forward.h"

enum { STEPS = 16, MAX_WINDOWS = 3, MAX_PROMPT = 64, MAX_ROWS = 128, MAX_RUNS = 9 };

static const char *const NAMES[] = {"whisper", "whisper-4"};

/* ---- goldens ---- */

struct golden {
	uint32_t n_windows, n_prompt[MAX_WINDOWS], first[MAX_WINDOWS]; /* first: of a window's prompt rows among all */
	int32_t *ids, *greedy;
	float *rows, *logits;
	char *text;
};

static struct golden golden_open(const char *name)
{
	struct golden g = {0};
	size_t n, at = 0, n_greedy, unused;
	g.ids = read_golden(name, "ids", &n);
	g.greedy = read_golden(name, "greedy", &n_greedy);
	g.rows = read_golden(name, "rows", &unused);
	g.logits = read_golden(name, "logits", &unused);
	g.text = read_golden(name, "text", &unused);
	for (size_t i = 0; i < n / sizeof *g.ids; i++) { /* -1 ends each prompt */
		if (g.ids[i] >= 0) {
			g.ids[at++] = g.ids[i];
			g.n_prompt[g.n_windows]++;
			continue;
		}
		g.n_windows++;
		if (g.n_windows < MAX_WINDOWS)
			g.first[g.n_windows] = (uint32_t)at;
	}
	assert_true(g.n_windows >= 2 && n_greedy == g.n_windows * STEPS * sizeof *g.greedy);
	return g;
}

static void golden_close(struct golden *g)
{
	free(g->ids);
	free(g->greedy);
	free(g->rows);
	free(g->logits);
	free(g->text);
}

/* ---- a machine: what the engine would bring ---- */

struct machine {
	pool *threads;
	ops o;
	model *m;
	page_pool *pages;
	forward_buffers fb;
};

static struct machine machine_open(const char *name, kn_isa isa, sn_kv_dtype kv, uint32_t threads, uint32_t n_pages)
{
	struct machine w = {0};
	char path[4096];
	sn_error err = {0};
	snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, name);
	assert_int_equal(pool_open(&w.threads, threads, NULL), SN_OK);
	ops_init(&w.o, w.threads, isa);
	if (model_open(&w.m, path, NULL, kv, &w.o, &err) != SN_OK)
		fail_msg("%s", err.text);
	w.m->kv.max_chunk = MAX_ROWS;
	assert_int_equal(page_pool_open(&w.pages, (size_t)n_pages * PAGE_BYTES, NULL), SN_OK);
	assert_int_equal(forward_reserve(&w.fb, w.m, MAX_ROWS * MAX_RUNS, MAX_ROWS * MAX_RUNS, NULL), SN_OK);
	return w;
}

static void machine_close(struct machine *w)
{
	assert_true(page_pool_consistent(w->pages));
	assert_int_equal(page_pool_available(w->pages), page_pool_total(w->pages));
	forward_free(&w->fb);
	page_pool_close(&w->pages);
	model_close(&w->m);
	ops_fini(&w->o);
	pool_close(&w->threads);
}

/* Blocks of 16 rows and one layer a page: sequences of few rows take many pages. */
static void small_blocks(model *m)
{
	for (uint32_t i = 0; i < m->kv.n_groups; i++) {
		kv_group *g = &m->kv.groups[i];
		g->block_tokens = 16;
		g->slab_layers = 1;
		g->n_slabs = g->n_layers;
		kv_group_measure(g);
	}
}

/* ---- one window ---- */

typedef struct run {
	kv_seq kv;
	uint32_t n_cross, n_prompt, n_known, n_computed, n_end;
	seq_row rows[MAX_ROWS + 1];
	uint8_t media[64 * 32 * 4]; /* the encoder's rows in the KV type */
	float *logits;              /* [MAX_ROWS, n_vocab] of the rows behind them */
} run;

/* Window `of` of the golden. */
static void run_init(run *r, struct machine *w, const struct golden *g, uint32_t of)
{
	static const hash_key key = {{3}};
	static const hash256 root = {{0}};
	uint32_t n_cross = w->m->h.n_cross, e = w->m->h.n_embd;
	*r = (run){.n_cross = n_cross, .n_prompt = n_cross + g->n_prompt[of]};
	for (uint32_t i = 0; i < r->n_prompt; i++)
		r->rows[i] = i < n_cross ? (seq_row){.media = 0, .media_row = i, .position = i}
		                         : (seq_row){.id = g->ids[g->first[of] + i - n_cross], .media = -1, .position = i - n_cross};
	r->n_known = r->n_prompt;
	r->n_end = r->n_prompt + STEPS;
	assert_true(n_cross <= 64 && e <= 32 && r->n_end <= MAX_ROWS);
	const float *rows = g->rows + (size_t)of * n_cross * e;
	if (w->m->kv.groups[0].type == KV_F32)
		memcpy(r->media, rows, (size_t)n_cross * e * sizeof *rows);
	else
		w->o.k.store_f16(r->media, rows, (size_t)n_cross * e);
	assert_int_equal(kv_seq_init(&r->kv, w->pages, &w->m->kv, MAX_ROWS, &key, &root, NULL), SN_OK);
	r->logits = calloc(MAX_ROWS, w->m->h.n_vocab * sizeof(float));
}

static void run_fini(run *r)
{
	kv_seq_fini(&r->kv);
	free(r->logits);
}

/* ---- a step, as the engine makes it ---- */

static void add_rows(run *r, uint32_t n, batch *b, const model *m)
{
	batch_seq *seqs = (batch_seq *)(uintptr_t)b->seqs, *cross_seqs = (batch_seq *)(uintptr_t)b->cross_seqs;
	const void **cross = (const void **)(uintptr_t)b->cross_media;
	uint32_t *positions = (uint32_t *)(uintptr_t)b->positions, *end = (uint32_t *)(uintptr_t)b->key_end, *out = (uint32_t *)(uintptr_t)b->out_rows;
	int32_t *ids = (int32_t *)(uintptr_t)b->ids;
	uint32_t at = r->n_computed, to = at + n, split = to < r->n_cross ? to : r->n_cross;
	if (at < split)
		cross_seqs[b->n_cross_seqs++] = (batch_seq){b->n_cross_rows, split - at, at, &r->kv};
	for (; at < split; at++)
		cross[b->n_cross_rows++] = r->media + (size_t)at * m->h.n_embd * (m->kv.groups[0].type == KV_F32 ? 4 : 2);
	if (at < to)
		seqs[b->n_seqs++] = (batch_seq){b->n_rows, to - at, at - r->n_cross, &r->kv};
	for (; at < to; at++) {
		uint32_t row = b->n_rows++;
		ids[row] = r->rows[at].id;
		positions[row] = r->rows[at].position;
		end[row] = at - r->n_cross + 1;
		out[b->n_out++] = row;
	}
}

/* Computes the planned rows; all their logits are kept. Greedy tokens follow. */
static void compute(struct machine *w, run *runs, const plan_seq *plan, uint32_t n_plan)
{
	enum { N = MAX_ROWS * MAX_RUNS };
	static int32_t ids[N];
	static const void *media[N], *cross[N];
	static uint32_t positions[N], begin[N], end[N], out[N];
	batch_seq seqs[MAX_RUNS], cross_seqs[MAX_RUNS];
	batch b = {.ids = ids, .media = media, .positions = positions, .key_begin = begin, .key_end = end, .out_rows = out, .seqs = seqs,
	           .cross_media = cross, .cross_seqs = cross_seqs};
	size_t v = w->m->h.n_vocab, at = 0;
	for (uint32_t p = 0; p < n_plan; p++)
		add_rows(&runs[plan[p].seq], plan[p].n_rows, &b, w->m);
	forward(w->m, &w->o, &w->fb, page_pool_arena(w->pages), &b);
	for (uint32_t p = 0; p < n_plan; p++) {
		run *r = &runs[plan[p].seq];
		uint32_t from = r->n_computed > r->n_cross ? r->n_computed : r->n_cross, to = r->n_computed += plan[p].n_rows;
		for (; from < to; from++)
			memcpy(r->logits + (from - r->n_cross) * v, w->fb.logits + at++ * v, v * sizeof(float));
		kv_seq_commit(&r->kv, r->rows, NULL, to); /* as the engine does: nothing may come of it */
		kv_seq_slide(&r->kv, to);
		if (to < r->n_known || r->n_known == r->n_end)
			continue;
		const float *last = r->logits + (to - 1 - r->n_cross) * v;
		int32_t best = 0;
		for (uint32_t t = 1; t < v; t++)
			best = last[t] > last[best] ? (int32_t)t : best;
		r->rows[r->n_known] = (seq_row){.id = best, .media = -1, .position = r->n_known - r->n_cross};
		r->n_known++;
	}
}

/* All runs to their ends, by schedule()'s plans; every second step one more arrives. Returns how often one was preempted. */
static uint32_t serve(struct machine *w, run *runs, uint32_t n_runs, uint32_t max_rows)
{
	sched_seq seqs[MAX_RUNS];
	plan_seq planned[MAX_RUNS];
	uint32_t dropped[MAX_RUNS], preempted[MAX_RUNS], want[MAX_RUNS], part_of[MAX_RUNS], order[MAX_RUNS], left = n_runs, n_preempted = 0;
	key_part parts[MAX_RUNS];
	step_plan plan = {.seqs = planned, .dropped = dropped, .preempted = preempted, .want = want, .part_of = part_of, .order = order, .parts = parts};
	for (uint32_t step = 0; left; step++) {
		uint32_t n = step / 2 + 1 < n_runs ? step / 2 + 1 : n_runs;
		assert_true(step < 20000);
		for (uint32_t i = 0; i < n; i++) {
			run *r = &runs[i];
			bool ended = r->n_known == r->n_end && r->n_computed == r->n_known - 1;
			assert_int_equal(kv_seq_match(&r->kv, r->rows, NULL, r->n_known - 1), 0); /* what is a window's own is not shared */
			seqs[i] = (sched_seq){.kv = &r->kv, .rows = r->rows, .n_known = ended ? r->n_computed : r->n_known, .n_ready = r->n_known,
			                      .n_computed = r->n_computed, .max_chunk = max_rows};
		}
		schedule(&(sched_state){.seqs = seqs, .n_seqs = n, .pages_available = page_pool_available(w->pages), .max_rows = max_rows,
		                        .max_seqs = MAX_RUNS, .slice_ms = 15}, &plan);
		for (uint32_t i = 0; i < plan.n_preempted; i++, n_preempted++) {
			kv_seq_release(&runs[preempted[i]].kv);
			runs[preempted[i]].n_computed = 0;
		}
		for (uint32_t i = 0; i < plan.n_seqs; i++) {
			run *r = &runs[planned[i].seq];
			assert_true(kv_seq_extend(&r->kv, r->n_computed + planned[i].n_rows));
			assert_true(kv_seq_exclusive(&r->kv) <= kv_layout_pages(&w->m->kv, r->n_end));
		}
		compute(w, runs, planned, plan.n_seqs);
		for (uint32_t i = 0; i < n; i++) {
			run *r = &runs[i];
			if (r->n_known == r->n_end && r->n_computed == r->n_known - 1 && r->kv.group[0].n_blocks) {
				kv_seq_release(&r->kv);
				left--;
			}
		}
	}
	return n_preempted;
}

/* ---- exactness ---- */

/* All windows of a golden in one batch; the worst difference of their prompts' logits. blind: so many of the medium's last rows are
 * not looked at. */
static double run_all(struct machine *w, const struct golden *g, run *runs, uint32_t max_rows, uint32_t blind)
{
	double worst = 0;
	for (uint32_t i = 0; i < g->n_windows; i++)
		run_init(&runs[i], w, g, i);
	w->m->h.n_cross -= blind;
	serve(w, runs, g->n_windows, max_rows);
	for (uint32_t i = 0; i < g->n_windows; i++)
		worst = fmax(worst, worst_of(runs[i].logits, g->logits + (size_t)g->first[i] * w->m->h.n_vocab, g->n_prompt[i], w->m->h.n_vocab));
	return worst;
}

/* max |a - b| <= 1e-4 max |b|: float32 sums in another order. */
static void logits_and_greedy_ids_equal_transformers(void **state)
{
	(void)state;
	static run runs[MAX_WINDOWS];
	double worst = 0;
	for (size_t k = 0; k < sizeof NAMES / sizeof *NAMES; k++)
		for (int isa = KN_ISA_REF; isa <= KN_ISA_AVX512; isa++)
			for (uint32_t chunk = 1; chunk <= MAX_ROWS; chunk = chunk * 3 + 4) {
				struct golden g = golden_open(NAMES[k]);
				struct machine w = machine_open(NAMES[k], (kn_isa)isa, SN_KV_F32, 2, 64);
				double d = run_all(&w, &g, runs, chunk, 0);
				if (!(d <= 1e-4))
					fail_msg("%s, %s, chunks of %u: logits differ by %g of the largest", NAMES[k], kn_isa_name(w.o.isa), chunk, d);
				worst = fmax(worst, d);
				for (uint32_t i = 0; i < g.n_windows; i++) {
					for (uint32_t s = 0; s < STEPS; s++)
						if (runs[i].rows[runs[i].n_prompt + s].id != g.greedy[i * STEPS + s])
							fail_msg("%s, %s: window %u: greedy id %u is another", NAMES[k], kn_isa_name(w.o.isa), i, s);
					run_fini(&runs[i]);
				}
				machine_close(&w);
				golden_close(&g);
			}
	print_message("worst difference %.1e of the largest logit\n", worst);
}

/* Were one of these wrong, the comparison above would see it. */
static void a_wrong_switch_is_seen(void **state)
{
	(void)state;
	static run runs[MAX_WINDOWS];
	static const float none[32];
	for (int wrong = 0; wrong < 9; wrong++) {
		struct golden g = golden_open("whisper");
		struct machine w = machine_open("whisper", KN_ISA_AVX512, SN_KV_F32, 2, 64);
		model *m = w.m;
		arch other = *m->h.arch;
		m->h.arch = &other;
		cross_layer *cross = (cross_layer *)(uintptr_t)m->layers[1].cross;
		switch (wrong) {
		case 0: other.act = ACT_GELU_TANH; break;
		case 1: m->layers[2].cross = m->layers[0].cross; break;
		case 2: m->positions.data = NULL; break;
		case 3: cross->q.bias = NULL; break; /* (one of k would add the same to every score) */
		case 4: cross->v.bias = NULL; break;
		case 5: m->output_norm.b = none; break;
		case 6: cross->norm = m->layers[1].attn_norm; break;
		case 7: m->h.norm_eps = 1e-3f; break;
		default: break; /* the last row of the medium is not looked at */
		}
		if (run_all(&w, &g, runs, MAX_ROWS, wrong == 8) <= 1e-4)
			fail_msg("mistake %d is not seen", wrong);
		for (uint32_t i = 0; i < g.n_windows; i++)
			run_fini(&runs[i]);
		machine_close(&w);
		golden_close(&g);
	}
}

/* ---- same bytes ---- */

static void company_chunks_and_preemption_change_no_byte(void **state)
{
	(void)state;
	static run alone[MAX_WINDOWS], runs[MAX_RUNS];
	static const sn_kv_dtype types[] = {SN_KV_F32, SN_KV_F16, SN_KV_Q8_0, SN_KV_FP8};
	static const struct { uint32_t n_pages, max_rows, threads; bool presses; } ways[] = {
	    {400, MAX_ROWS, 2, false}, {400, 7, 2, false}, {400, 41, 1, false}, {60, 64, 2, true}, {40, 23, 1, true}};
	struct golden g = golden_open("whisper");
	for (size_t t = 0; t < sizeof types / sizeof *types; t++)
		for (int isa = KN_ISA_REF; isa <= KN_ISA_AVX512; isa++) {
			struct machine w = machine_open("whisper", (kn_isa)isa, types[t], 1, 64);
			for (uint32_t i = 0; i < MAX_WINDOWS; i++) {
				run_init(&alone[i], &w, &g, i);
				assert_int_equal(serve(&w, &alone[i], 1, MAX_ROWS), 0);
				kv_seq_fini(&alone[i].kv);
			}
			machine_close(&w);
			for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
				w = machine_open("whisper", (kn_isa)isa, types[t], ways[k].threads, ways[k].n_pages);
				small_blocks(w.m);
				for (uint32_t i = 0; i < MAX_RUNS; i++)
					run_init(&runs[i], &w, &g, i % MAX_WINDOWS);
				assert_int_equal(serve(&w, runs, MAX_RUNS, ways[k].max_rows) > 0, ways[k].presses);
				for (uint32_t i = 0; i < MAX_RUNS; i++) {
					const run *a = &alone[i % MAX_WINDOWS], *b = &runs[i];
					assert_memory_equal(a->rows, b->rows, a->n_end * sizeof *a->rows);
					assert_memory_equal(a->logits, b->logits, (a->n_end - 1 - a->n_cross) * w.m->h.n_vocab * sizeof(float));
					run_fini(&runs[i]);
				}
				machine_close(&w);
			}
			for (uint32_t i = 0; i < MAX_WINDOWS; i++)
				free(alone[i].logits);
		}
	golden_close(&g);
}

/* ---- what a directory says ---- */

static void prompts_have_the_tokenizers_ids(void **state)
{
	(void)state;
	for (size_t k = 0; k < sizeof NAMES / sizeof *NAMES; k++) {
		struct golden g = golden_open(NAMES[k]);
		struct machine w = machine_open(NAMES[k], KN_ISA_REF, SN_KV_F32, 1, 8);
		char *line = g.text;
		for (uint32_t i = 0; i < g.n_windows; i++) {
			size_t size = strcspn(line, "\n"), n = 0;
			int32_t *ids = NULL;
			marked_text text;
			marked_init(&text, 0);
			assert_true(marked_append(&text, line, size, true));
			assert_int_equal(vocab_encode(w.m->vocab, &text, &ids, &n, NULL), SN_OK);
			if (n != g.n_prompt[i] || memcmp(ids, g.ids + g.first[i], n * sizeof *ids) != 0)
				fail_msg("%s: other ids for \"%.*s\"", NAMES[k], (int)size, line);
			free(ids);
			marked_fini(&text);
			line += size + 1;
		}
		int32_t end = vocab_find(w.m->vocab, STR("<|endoftext|>"));
		assert_true(end > 0 && vocab_is_eog(w.m->vocab, end));
		assert_false(vocab_is_eog(w.m->vocab, end + 1));
		assert_null(w.m->chat);
		machine_close(&w);
		golden_close(&g);
	}
}

static void check_ids(const model_file *f, const char *key, size_t n, const int32_t *want)
{
	arena *mem = arena_open(0);
	int32_t *have = NULL;
	size_t n_have = 0;
	assert_int_equal(file_i32s(f, key, mem, &have, &n_have, NULL), SN_OK);
	assert_int_equal(n_have, n);
	assert_memory_equal(have, want, n * sizeof *want);
	arena_close(&mem);
}

static uint32_t u32_of(const model_file *f, const char *key)
{
	uint32_t v = UINT32_MAX;
	if (!file_u32(f, key, &v))
		fail_msg("%s is missing", key);
	return v;
}

static void what_transcribing_needs_is_among_the_keys(void **state)
{
	(void)state;
	for (size_t k = 0; k < sizeof NAMES / sizeof *NAMES; k++) {
		struct machine w = machine_open(NAMES[k], KN_ISA_REF, SN_KV_F32, 1, 8);
		const model_file *f = w.m->file;
		bool old = k == 1, has = false;
		str text;
		int32_t end = vocab_find(w.m->vocab, STR("<|endoftext|>")), silent = vocab_find(w.m->vocab, old ? STR("<|nocaptions|>") : STR("<|nospeech|>"));
		assert_true(file_bool(f, "clip.has_audio_encoder", &has) && has);
		assert_true(file_str(f, "clip.audio.projector_type", &text) && str_eq(text, STR("whisper")));
		assert_int_equal(u32_of(f, "clip.audio.block_count"), old ? 1 : 2);
		assert_int_equal(u32_of(f, "clip.audio.attention.head_count"), old ? 2 : 4);
		assert_int_equal(u32_of(f, "clip.audio.feed_forward_length"), old ? 16 : 24);
		assert_int_equal(u32_of(f, "clip.audio.num_mel_bins"), 8);
		assert_int_equal(u32_of(f, "whisper.encoder.context_length"), old ? 24 : 40);
		assert_int_equal(u32_of(f, "whisper.stamps"), 76);
		assert_int_equal(u32_of(f, "whisper.max_initial_timestamp_index"), 50);
		assert_int_equal(u32_of(f, "whisper.median_filter_width"), 7);
		assert_true(file_str(f, "whisper.no_speech_token", &text) && vocab_find(w.m->vocab, text) == silent && silent > 0);
		check_ids(f, "whisper.suppress_tokens", 5, (int32_t[]){1, 2, 7, end + 1, silent});
		check_ids(f, "whisper.begin_suppress_tokens", 2, (int32_t[]){220, end});
		check_ids(f, "whisper.alignment_heads", old ? 2 : 6, old ? (int32_t[]){0, 2} : (int32_t[]){0, 1, 1, 0, 2, 1});
		const file_tensor *conv = file_tensor_find(f, "a.conv1d.1.weight"), *positions = file_tensor_find(f, "a.position_embd.weight");
		assert_true(conv && conv->n_dims == 3 && conv->ne[0] == 3 && conv->ne[1] == 8 && conv->ne[2] == w.m->h.n_embd);
		assert_true(positions && positions->ne[1] == w.m->h.n_cross);
		assert_non_null(file_tensor_find(f, "a.post_ln.bias"));
		assert_null(file_tensor_find(f, "a.blk.0.attn_k.bias"));
		if (old) {
			assert_null(file_key_find(f, "whisper.languages"));
		} else {
			str *languages;
			size_t n;
			assert_int_equal(file_strings(f, "whisper.languages", w.m->mem, &languages, &n, NULL), SN_OK);
			assert_int_equal(n, 3);
			assert_true(str_eq(languages[0], STR("<|en|>")) && str_eq(languages[1], STR("<|zh|>")) && str_eq(languages[2], STR("<|de|>")));
		}
		machine_close(&w);
	}
}

/* ---- directories that are refused ---- */

/* One place of one file of the miniature, written otherwise; first NULL: the file is left away. */
struct twist { const char *file, *first, *other, *expected; };

static void copy_directory(const char *to, const struct twist *t)
{
	static const char *const files[] = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"};
	char path[256], from[64];
	mkdir(scratch_path(to), 0700);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		size_t n;
		snprintf(from, sizeof from, "whisper/%.*s", (int)strcspn(files[i], "."), files[i]);
		snprintf(path, sizeof path, "%s/%s", to, files[i]);
		char *p = read_golden(from, strchr(files[i], '.') + 1, &n), *at = NULL;
		bytes b = {0};
		bool mine = strcmp(files[i], t->file) == 0;
		if (mine && t->first && !(at = memmem(p, n, t->first, strlen(t->first))))
			fail_msg("%s does not hold %s", files[i], t->first);
		put(&b, p, at ? (size_t)(at - p) : n);
		if (at) {
			put(&b, t->other, strlen(t->other));
			put(&b, at + strlen(t->first), n - (size_t)(at - p) - strlen(t->first));
		}
		unlink(scratch_path(path));
		if (!mine || t->first)
			scratch_write(path, b.p, b.n);
		free(b.p);
		free(p);
	}
}

static void what_a_directory_may_not_say(void **state)
{
	(void)state;
	static const char config[] = "config.json", generation[] = "generation_config.json", tokenizer[] = "tokenizer.json", weights[] = "model.safetensors";
	static const struct twist twists[] = {
	    {config, "\"activation_function\": \"gelu\"", "\"activation_function\": \"gelu_new\"", "activation_function: gelu_new is not supported (gelu is)"},
	    {config, "\"scale_embedding\": false", "\"scale_embedding\": true", "scale_embedding is not supported"},
	    {config, "\"scale_embedding\": false", "\"scale_embedding\": 0", "scale_embedding is neither true nor false"},
	    {config, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false", "tensor proj_out.weight is missing"},
	    {config, "\"decoder_attention_heads\": 2", "\"decoder_attention_heads\": 3", "d_model: 16 is not divided by 3 heads"},
	    {config, "\"encoder_attention_heads\": 4", "\"encoder_attention_heads\": 5", "d_model: 16 is not divided by 2 heads of the decoder and 5"},
	    {config, "\"decoder_layers\": 3", "\"decoder_layers\": 2", "tensor model.decoder.layers.2."},
	    {config, "\"decoder_layers\": 3", "\"decoder_layers\": 4", "tensor model.decoder.layers.3."},
	    {config, "\"decoder_layers\": 3", "\"decoder_layers\": -1", "decoder_layers: -1 is not an integer from 1"},
	    {config, "\"encoder_layers\": 2", "\"encoder_layers\": 1", "tensor model.encoder.layers.1."},
	    {config, "\"encoder_layers\": 2", "\"encoder_layers\": 3", "tensor model.encoder.layers.2."},
	    {config, "\"decoder_ffn_dim\": 40", "\"decoder_ffn_dim\": 41", "tensor blk.0.ffn_up.weight: shape"},
	    {config, "\"d_model\": 16", "\"d_model\": 32", "tensor token_embd.weight: shape"},
	    {config, "\"max_target_positions\": 64", "\"max_target_positions\": 65", "tensor position_embd.weight: shape [64, 16], expected [65, 16]"},
	    {config, "\"max_source_positions\": 40", "\"max_source_positions\": 4000000", "whisper.encoder.context_length: 4000000 is not from 1"},
	    {config, "\"vocab_size\": 363", "\"vocab_size\": 364", "363 rows, but vocab_size is 364"},
	    {config, "\"median_filter_width\": 7", "\"median_filter_width\": 8", "median_filter_width: 8 is even"},
	    {config, "\"use_cache\": true", "\"quantization_config\": {\"quant_method\": \"awq\"}", "quantised weights (awq) are not supported"},
	    {config, "ForConditionalGeneration", "ForAudioClassification", "WhisperForAudioClassification is not supported"},
	    {config, "\"model_type\": \"whisper\"", "\"model_type\": \"llama\"", "model_type: llama does not go with"},
	    {generation, "278", "279", "lang_to_id: <|en|> is not that token"},
	    {generation, "\"no_timestamps_token_id\": 286", "\"no_timestamps_token_id\": 285", "<|0.00|> does not follow <|notimestamps|>"},
	    {generation, "\"max_initial_timestamp_index\": 50", "\"max_initial_timestamp_index\": -1", "max_initial_timestamp_index is not a number"},
	    {generation, "\"alignment_heads\": [\n    [\n      0", "\"alignment_heads\": [\n    [\n      3", "alignment_heads: pair 0 is not one of 3 layers"},
	    {generation, "\"suppress_tokens\": [\n    1,", "\"suppress_tokens\": [\n    1.5,", "suppress_tokens is not made of token ids"},
	    {tokenizer, "\"<|0.02|>\"", "\"<|0.03|>\"", NULL}, /* which ends the stamps */
	    {tokenizer, NULL, NULL, "tokenizer.json"},
	    {weights, "model.encoder.conv1.bias", "model.encoder.conv3.bias", "tensor model.encoder.conv1.bias is missing"},
	    {weights, "model.decoder.layers.1.encoder_attn.v_proj.bias", "model.decoder.layers.1.encoder_attn.k_proj.bias", "v_proj.bias is missing"},
	};
	for (size_t i = 0; i < sizeof twists / sizeof *twists; i++) {
		pool *threads;
		ops o;
		model *m = NULL;
		sn_error err = {0};
		copy_directory("twisted", &twists[i]);
		assert_int_equal(pool_open(&threads, 1, NULL), SN_OK);
		ops_init(&o, threads, KN_ISA_REF);
		sn_status st = model_open(&m, scratch_path("twisted"), NULL, SN_KV_AUTO, &o, &err);
		if (!twists[i].expected) {
			assert_int_equal(st, SN_OK);
			assert_int_equal(u32_of(m->file, "whisper.stamps"), 1);
		} else if (st == SN_OK || !strstr(err.text, twists[i].expected)) {
			fail_msg("twist %zu: %s", i, st ? err.text : "not refused");
		} else {
			check_text(&err, "twisted");
		}
		model_close(&m);
		ops_fini(&o);
		pool_close(&threads);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(prompts_have_the_tokenizers_ids),
	    cmocka_unit_test(what_transcribing_needs_is_among_the_keys),
	    cmocka_unit_test(logits_and_greedy_ids_equal_transformers),
	    cmocka_unit_test(a_wrong_switch_is_seen),
	    cmocka_unit_test(company_chunks_and_preemption_change_no_byte),
	    cmocka_unit_test(what_a_directory_may_not_say),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
