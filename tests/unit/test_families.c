/* test_families.c - the text families beside llama, on random-weight miniatures (tests/golden/engine/families.py): logits and greedy
 * ids equal transformers', windows and spans included, and stay the same bytes when two models share a pool that is too small. */
#include <unistd.h>

#include "golden_files.h"

#include "engine/engine.h"
#include "model/forward.h"

enum { ROWS = 200, STEPS = 32, MAX_ROWS = ROWS + STEPS, MAX_RUNS = 12, CHUNK = 256 };

static sn_log *quiet;

/* ---- goldens ---- */

struct golden {
	const char *name, *model;
	int32_t *ids, *greedy;
	float *logits, *media;
	int32_t (*spans)[2];
	size_t n_spans;
};

static struct golden golden_open(const char *name, const char *family)
{
	struct golden g = {.name = name, .model = family};
	size_t n;
	g.ids = read_golden(family, "ids", &n);
	assert_int_equal(n, ROWS * 4);
	g.greedy = read_golden(name, "greedy", &n);
	assert_int_equal(n, STEPS * 4);
	g.logits = read_golden(name, "logits", NULL);
	if (strstr(name, "span")) {
		g.spans = read_golden(name, "spans", &n);
		g.n_spans = n / 8;
		g.media = read_golden(name, "rows", NULL);
	}
	return g;
}

static void golden_close(struct golden *g)
{
	free(g->ids);
	free(g->greedy);
	free(g->logits);
	free(g->spans);
	free(g->media);
}

static const struct { const char *name, *model; } GOLDENS[] = {{"qwen2", "qwen2"}, {"gemma3", "gemma3"}, {"gemma3-span", "gemma3"}};

/* ---- a machine: what the engine would bring ---- */

struct machine {
	pool *threads;
	ops o;
	model *m[2];
	page_pool *pages;
	forward_buffers fb;
};

static model *open_model(struct machine *w, const char *name, sn_kv_dtype kv)
{
	char path[4096];
	sn_error err = {0};
	model *m;
	snprintf(path, sizeof path, "%s/%s.gguf", GOLDEN_DIR, name);
	if (model_open(&m, path, NULL, kv, &w->o, &err) != SN_OK)
		fail_msg("%s", err.text);
	m->kv.max_chunk = CHUNK;
	assert_int_equal(forward_reserve(&w->fb, m, CHUNK, CHUNK, &err), SN_OK);
	return m;
}

/* Blocks of 32 and of 16 rows in pages of a few layers: the miniature's window falls out of many blocks. */
static void small_blocks(model *m)
{
	for (uint32_t i = 0; i < m->kv.n_groups; i++) {
		kv_group *g = &m->kv.groups[i];
		g->block_tokens = g->window ? 16 : 32;
		g->slab_layers = 4;
		g->n_slabs = (g->n_layers + 3) / 4;
		kv_group_measure(g);
	}
}

static struct machine machine_open(kn_isa isa, uint32_t threads, uint32_t n_pages)
{
	struct machine w = {0};
	assert_int_equal(pool_open(&w.threads, threads, NULL), SN_OK);
	ops_init(&w.o, w.threads, isa);
	assert_int_equal(page_pool_open(&w.pages, (size_t)n_pages * PAGE_BYTES, NULL), SN_OK);
	return w;
}

static void machine_close(struct machine *w)
{
	assert_true(page_pool_consistent(w->pages));
	assert_int_equal(page_pool_available(w->pages), page_pool_total(w->pages));
	model_close(&w->m[0]);
	model_close(&w->m[1]);
	forward_free(&w->fb);
	page_pool_close(&w->pages);
	ops_fini(&w->o);
	pool_close(&w->threads);
}

/* ---- one sequence ---- */

typedef struct run {
	model *m;
	kv_seq kv;
	seq_row rows[MAX_ROWS + 1];
	uint32_t n_prompt, n_known, n_computed, n_end, n_hit;
	bool matched;
	uint8_t media[128 * 64 * 4]; /* rows in the KV type */
	hash256 media_keys[8];
	float *logits;               /* [MAX_ROWS, n_vocab] as far as computed */
} run;

/* The golden's prompt up to n_prompt, other tokens from row `other` on. */
static void run_init(run *r, struct machine *w, model *m, const struct golden *g, uint32_t n_prompt, uint32_t other)
{
	static const hash_key key = {{3}};
	hash256 root = {{m->kv.n_groups}};
	*r = (run){.m = m, .n_prompt = n_prompt, .n_known = n_prompt, .n_end = n_prompt + STEPS};
	for (uint32_t i = 0; i < n_prompt; i++)
		r->rows[i] = (seq_row){.id = i < other ? g->ids[i] : g->ids[i] ^ 3, .media = -1, .position = i};
	uint32_t row = 0;
	for (size_t s = 0; s < g->n_spans; s++) {
		r->media_keys[s].b[0] = (uint8_t)(s + 1);
		for (int32_t i = g->spans[s][0]; i < g->spans[s][1]; i++, row++) {
			if ((uint32_t)g->spans[s][1] > n_prompt)
				continue;
			r->rows[i].media = (int32_t)s;
			r->rows[i].media_row = row;
			r->rows[i].span_end = (uint32_t)g->spans[s][1];
		}
	}
	assert_true(row <= 128 && m->h.n_embd <= 64);
	size_t n_media = g->media ? (size_t)row * m->h.n_embd : 0;
	enum kv_type type = media_type(m->kv.groups[0].type);
	if (n_media && type == KV_F32)
		memcpy(r->media, g->media, n_media * 4);
	else
		(type == KV_BF16 ? w->o.k.store_bf16 : w->o.k.store_f16)(r->media, g->media, n_media);
	assert_int_equal(kv_seq_init(&r->kv, w->pages, &m->kv, MAX_ROWS, &key, &root, NULL), SN_OK);
	r->logits = calloc(MAX_ROWS, m->h.n_vocab * sizeof(float));
}

static void run_fini(run *r)
{
	kv_seq_fini(&r->kv);
	free(r->logits);
}

/* ---- a step, as the engine makes it ---- */

/* Whatever a page holds that nobody has must not matter. */
static void poison(struct machine *w, const run *runs, uint32_t n)
{
	bool held[256] = {0};
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t g = 0; g < runs[i].kv.layout->n_groups; g++)
			for (uint32_t s = 0; s < runs[i].kv.layout->groups[g].n_slabs; s++)
				for (uint32_t b = 0; b < runs[i].kv.group[g].n_blocks; b++) {
					uint32_t page = runs[i].kv.group[g].pages[s * runs[i].kv.group[g].max_blocks + b];
					assert_int_equal(page == KV_NO_PAGE, b < runs[i].kv.group[g].first);
					if (page != KV_NO_PAGE)
						held[page] = true;
				}
	for (uint32_t p = 0; p < page_pool_total(w->pages); p++)
		if (!held[p])
			memset(page_pool_arena(w->pages) + (size_t)p * PAGE_BYTES, 0xFF, PAGE_BYTES);
}

/* Computes n rows of each run of this model; all their logits are kept. */
static void compute(struct machine *w, model *m, run *runs, const plan_seq *plan, uint32_t n_plan, bool caching)
{
	static int32_t ids[CHUNK];
	static const void *media[CHUNK];
	static uint32_t positions[CHUNK], begin[CHUNK], end[CHUNK], out[CHUNK];
	batch_seq seqs[MAX_RUNS];
	batch b = {.ids = ids, .media = media, .positions = positions, .key_begin = begin, .key_end = end, .out_rows = out, .seqs = seqs};
	for (uint32_t p = 0; p < n_plan; p++) {
		run *r = &runs[plan[p].seq];
		if (r->m != m)
			continue;
		seqs[b.n_seqs++] = (batch_seq){b.n_rows, plan[p].n_rows, r->n_computed, &r->kv};
		for (uint32_t k = 0; k < plan[p].n_rows; k++) {
			const seq_row *row = &r->rows[r->n_computed + k];
			uint32_t at = b.n_rows++;
			ids[at] = row->id;
			media[at] = row->media < 0 ? NULL : r->media + (size_t)row->media_row * m->h.n_embd * (m->kv.groups[0].type == KV_F32 ? 4 : 2);
			positions[at] = row->position;
			begin[at] = 0;
			end[at] = row->span_end > r->n_computed + k ? row->span_end : r->n_computed + k + 1;
			out[b.n_out++] = at;
		}
	}
	if (!b.n_rows)
		return;
	forward(m, &w->o, &w->fb, page_pool_arena(w->pages), &b);
	uint32_t at = 0;
	for (uint32_t p = 0; p < n_plan; p++) {
		run *r = &runs[plan[p].seq];
		if (r->m != m)
			continue;
		const float *logits = w->fb.logits + (size_t)at * m->h.n_vocab;
		memcpy(r->logits + (size_t)r->n_computed * m->h.n_vocab, logits, (size_t)plan[p].n_rows * m->h.n_vocab * sizeof(float));
		at += plan[p].n_rows;
		r->n_computed += plan[p].n_rows;
		if (caching)
			kv_seq_commit(&r->kv, r->rows, r->media_keys, r->n_computed);
		kv_seq_slide(&r->kv, r->n_computed);
		if (r->n_computed < r->n_known || r->n_known == r->n_end)
			continue;
		const float *last = r->logits + (size_t)(r->n_computed - 1) * m->h.n_vocab;
		int32_t best = 0;
		for (uint32_t t = 1; t < m->h.n_vocab; t++)
			best = last[t] > last[best] ? (int32_t)t : best;
		r->rows[r->n_known] = (seq_row){.id = best, .media = -1, .position = r->n_known};
		r->n_known++;
	}
}

static uint32_t pages_of(const run *r)
{
	uint32_t n = 0;
	for (uint32_t g = 0; g < r->kv.layout->n_groups; g++)
		n += (r->kv.group[g].n_blocks - r->kv.group[g].first) * r->kv.layout->groups[g].n_slabs;
	return n;
}

struct way { uint32_t max_rows, max_chunk; bool caching; };
struct counts { uint32_t preempted, hits, most_pages; };

/* All runs to their ends, by schedule()'s plans; every third step one more arrives. */
static struct counts serve(struct machine *w, run *runs, uint32_t n_runs, struct way way)
{
	struct counts c = {0};
	sched_seq seqs[MAX_RUNS];
	plan_seq planned[MAX_RUNS];
	uint32_t dropped[MAX_RUNS], preempted[MAX_RUNS], want[MAX_RUNS], part_of[MAX_RUNS], order[MAX_RUNS], left = n_runs;
	key_part parts[MAX_RUNS];
	step_plan plan = {.seqs = planned, .dropped = dropped, .preempted = preempted, .want = want, .part_of = part_of, .order = order, .parts = parts};
	for (uint32_t step = 0; left; step++) {
		uint32_t n = step / 3 + 1 < n_runs ? step / 3 + 1 : n_runs, waiting = 0;
		assert_true(step < 20000);
		for (uint32_t i = 0; i < n; i++) {
			run *r = &runs[i];
			bool ended = r->n_known == r->n_end && r->n_computed == r->n_known - 1;
			if (!ended && !r->matched && way.caching) {
				r->n_hit = r->n_computed = kv_seq_match(&r->kv, r->rows, r->media_keys, r->n_prompt - 1);
				c.hits += r->n_hit;
			}
			r->matched = true;
			waiting += !ended;
			seqs[i] = (sched_seq){.kv = &r->kv, .key = i % 3, .rows = r->rows, .n_known = ended ? r->n_computed : r->n_known, .n_ready = r->n_known,
			                      .n_computed = r->n_computed, .max_chunk = way.max_chunk};
		}
		schedule(&(sched_state){.seqs = seqs, .n_seqs = n, .pages_available = page_pool_available(w->pages), .max_rows = way.max_rows,
		                        .max_seqs = MAX_RUNS, .slice_ms = 15}, &plan);
		assert_int_equal(plan.n_seqs + plan.n_preempted > 0, waiting > 0); /* there is always a way on */
		for (uint32_t i = 0; i < plan.n_preempted; i++, c.preempted++) {
			run *r = &runs[preempted[i]];
			kv_seq_release(&r->kv);
			r->n_computed = 0;
		}
		for (uint32_t i = 0; i < plan.n_seqs; i++) {
			run *r = &runs[planned[i].seq];
			assert_true(kv_seq_extend(&r->kv, r->n_computed + planned[i].n_rows)); /* the plan's promise */
			assert_true(pages_of(r) <= kv_layout_pages(&r->m->kv, r->n_end));      /* and admission's */
		}
		uint32_t held = page_pool_total(w->pages) - page_pool_available(w->pages);
		c.most_pages = held > c.most_pages ? held : c.most_pages;
		if (!way.caching)
			poison(w, runs, n);
		for (int m = 0; m < 2; m++)
			if (w->m[m])
				compute(w, w->m[m], runs, planned, plan.n_seqs, way.caching);
		for (uint32_t i = 0; i < n; i++) {
			run *r = &runs[i];
			if (r->n_known == r->n_end && r->n_computed == r->n_known - 1 && r->kv.group[0].n_blocks) {
				kv_seq_release(&r->kv);
				left--;
			}
		}
	}
	return c;
}

/* ---- exactness ---- */

/* The golden's prompt and its greedy continuation. */
static run *run_golden(struct machine *w, const struct golden *g, struct way way)
{
	static run r;
	run_init(&r, w, w->m[0], g, ROWS, ROWS);
	serve(w, &r, 1, way);
	return &r;
}

/* max |a - b| <= 1e-4 max |b|: float32 sums in another order; measured at 2e-6. */
static void logits_and_greedy_ids_equal_transformers(void **state)
{
	(void)state;
	double worst = 0;
	for (size_t k = 0; k < sizeof GOLDENS / sizeof *GOLDENS; k++)
		for (int isa = KN_ISA_REF; isa <= KN_ISA_AVX512; isa++)
			for (int small = 0; small < 2; small++) {
				struct golden g = golden_open(GOLDENS[k].name, GOLDENS[k].model);
				struct machine w = machine_open((kn_isa)isa, 2, 64);
				w.m[0] = open_model(&w, g.model, SN_KV_AUTO);
				assert_int_equal(w.m[0]->kv.groups[0].type, KV_F32);
				if (small)
					small_blocks(w.m[0]);
				run *r = run_golden(&w, &g, small ? (struct way){64, 48, false} : (struct way){256, 256, false});
				double d = worst_of(r->logits, g.logits, ROWS, w.m[0]->h.n_vocab);
				if (!(d <= 1e-4))
					fail_msg("%s, %s: logits differ by %g of the largest", g.name, kn_isa_name(w.o.isa), d);
				worst = fmax(worst, d);
				for (int i = 0; i < STEPS; i++)
					if (r->rows[ROWS + i].id != g.greedy[i])
						fail_msg("%s, %s: greedy id %d is %d, expected %d", g.name, kn_isa_name(w.o.isa), i, r->rows[ROWS + i].id, g.greedy[i]);
				run_fini(r);
				machine_close(&w);
				golden_close(&g);
			}
	print_message("worst difference %.1e of the largest logit\n", worst);
}

/* Were one of these wrong, the comparison above would see it. */
static void a_wrong_switch_is_seen(void **state)
{
	(void)state;
	for (int wrong = 0; wrong < 8; wrong++) {
		bool qwen = wrong >= 6, span = wrong == 5;
		struct golden g = qwen ? golden_open("qwen2", "qwen2") : span ? golden_open("gemma3-span", "gemma3") : golden_open("gemma3", "gemma3");
		struct machine w = machine_open(KN_ISA_AVX512, 2, 64);
		model *m = w.m[0] = open_model(&w, g.model, SN_KV_AUTO);
		float *freq = NULL;
		switch (wrong) {
		case 0: m->kv.groups[1].window++; break;
		case 1: m->kv.groups[1].window--; break;
		case 2: freq = m->inv_freq[0]; m->inv_freq[0] = m->inv_freq[1]; break;
		case 3: m->embed_scale = 1; break;
		case 4: m->layers[5].attn_post_norm = (norm_weight){0}; break;
		case 5: g.n_spans = 3; break; /* the last one, a single row, becomes a token */
		case 6: m->layers[1].k.bias = NULL; break;
		default: m->h.rope_neox = false;
		}
		run *r = run_golden(&w, &g, (struct way){256, 256, false});
		if (worst_of(r->logits, g.logits, ROWS, m->h.n_vocab) < 1e-3)
			fail_msg("mistake %d is not seen", wrong);
		if (freq)
			m->inv_freq[0] = freq;
		run_fini(r);
		machine_close(&w);
		golden_close(&g);
	}
}

/* ---- same bytes ---- */

/* Twelve requests of both models; prompts share beginnings, some have spans, lengths differ. */
static void make_runs(run *runs, struct machine *w, const struct golden *g)
{
	for (uint32_t i = 0; i < MAX_RUNS; i++) {
		uint32_t which = i % 3; /* qwen2, gemma3, gemma3 with spans */
		run_init(&runs[i], w, w->m[which != 0], &g[which], i < 3 ? ROWS : 110 + 7 * i, i < 6 ? MAX_ROWS : i * 16);
	}
}

static void two_models_in_a_small_pool_change_no_byte(void **state)
{
	(void)state;
	static run alone[MAX_RUNS], runs[MAX_RUNS];
	struct golden g[3];
	for (int k = 0; k < 3; k++)
		g[k] = golden_open(GOLDENS[k].name, GOLDENS[k].model);
	static const sn_kv_dtype types[] = {SN_KV_F32, SN_KV_F16, SN_KV_BF16, SN_KV_Q8_0, SN_KV_FP8};
	for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
		struct machine w = machine_open(KN_ISA_AVX512, 1, 250);
		w.m[0] = open_model(&w, "qwen2", types[t]);
		w.m[1] = open_model(&w, "gemma3", types[t]);
		make_runs(alone, &w, g);
		for (uint32_t i = 0; i < MAX_RUNS; i++) {
			serve(&w, &alone[i], 1, (struct way){256, 256, false});
			kv_seq_fini(&alone[i].kv);
		}
		machine_close(&w);

		static const struct { uint32_t n_pages, threads; struct way way; bool presses; } ways[] = {
		    {240, 2, {256, 256, false}, false}, {240, 1, {96, 96, true}, false}, {30, 2, {64, 48, false}, true}, {30, 2, {64, 64, true}, true},
		    {28, 1, {60, 60, true}, true}};
		for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
			if (types[t] >= SN_KV_BF16 && k != 1 && k != 4) /* the hits and the presses */
				continue;
			w = machine_open(KN_ISA_AVX512, ways[k].threads, ways[k].n_pages);
			w.m[0] = open_model(&w, "qwen2", types[t]);
			w.m[1] = open_model(&w, "gemma3", types[t]);
			for (int m = 0; m < 2; m++) {
				small_blocks(w.m[m]);
				w.m[m]->kv.max_chunk = ways[k].way.max_chunk;
				uint32_t most = kv_layout_pages(&w.m[m]->kv, MAX_ROWS);
				assert_true(most <= ways[k].n_pages); /* each would be admitted */
				if (m && ways[k].presses)
					assert_true(most < 8 + 2 * 15); /* and more than the windows' share would not */
			}
			for (int round = 0; round < 2; round++) { /* the second meets what the first left in the cache */
				make_runs(runs, &w, g);
				struct counts c = serve(&w, runs, MAX_RUNS, ways[k].way);
				assert_int_equal(c.preempted > 0, ways[k].presses);
				assert_int_equal(c.hits > 0, ways[k].way.caching);
				for (uint32_t i = 0; i < MAX_RUNS; i++) {
					const run *a = &alone[i], *b = &runs[i];
					for (uint32_t r = 0; r < a->n_end; r++)
						if (a->rows[r].id != b->rows[r].id)
							fail_msg("way %zu, request %u: row %u is another token", k, i, r);
					size_t row = b->m->h.n_vocab; /* rows from the cache have no logits */
					for (uint32_t r = a->n_prompt - 1; r + 1 < a->n_end; r++)
						if (memcmp(a->logits + r * row, b->logits + r * row, row * sizeof(float)) != 0)
							fail_msg("way %zu, request %u: row %u has other logits", k, i, r);
					run_fini(&runs[i]);
				}
			}
			machine_close(&w);
		}
		for (uint32_t i = 0; i < MAX_RUNS; i++)
			free(alone[i].logits);
	}
	for (int k = 0; k < 3; k++)
		golden_close(&g[k]);
}

/* ---- pages move between models ---- */

static sn_engine *engine_of(uint32_t n_pages, sn_status *loaded)
{
	sn_engine *e = NULL;
	sn_error err = {0};
	if (sn_engine_open(&e, &(sn_engine_config){.log = quiet, .kv_cache_memory = (size_t)n_pages * PAGE_BYTES, .threads = 2}, &err) != SN_OK)
		fail_msg("%s", err.text);
	static const char *const names[] = {"qwen2", "gemma3"};
	for (int i = 0; i < 2; i++) {
		char path[4096];
		snprintf(path, sizeof path, "%s/%s.gguf", GOLDEN_DIR, names[i]);
		*loaded = sn_engine_load(e, &(sn_model_config){.name = names[i], .path = path}, &err);
		if (*loaded != SN_OK)
			fail_msg("%s", err.text);
	}
	if (sn_engine_start(e, &err) != SN_OK)
		fail_msg("%s", err.text);
	return e;
}

static sn_status submit(sn_engine *e, const char *name, const char *text, uint32_t max_tokens, sn_request **r)
{
	sn_part part = {.kind = SN_PART_TEXT, .data = text, .size = strlen(text)};
	sn_message m = {.role = "user", .parts = &part, .n_parts = 1, .is_string = true};
	sn_chat chat = {.request_id = "test", .model = name, .messages = &m, .n_messages = 1};
	sn_error err = {0};
	sn_sampling_init(&chat.sampling);
	chat.sampling.temperature = 0;
	chat.sampling.max_tokens = max_tokens;
	chat.sampling.ignore_eos = true;
	return sn_chat_submit(e, &chat, r, &err);
}

static sn_usage finish(sn_request *r)
{
	sn_event ev;
	sn_event_kind k;
	while ((k = sn_request_next(r, 20000, &ev)) != SN_EVENT_DONE) {
		assert_int_not_equal(k, SN_EVENT_NONE);
		if (k == SN_EVENT_ERROR)
			fail_msg("%s", ev.error.text);
	}
	sn_usage usage = ev.usage;
	sn_request_close(&r);
	return usage;
}

static void pages_move_from_one_model_to_the_other(void **state)
{
	(void)state;
	static char text[301];
	memset(text, 'x', sizeof text - 1);
	sn_status st;
	sn_request *r[4];
	static const struct { const char *model; uint32_t max_tokens; } asks[] = {{"qwen2", 150}, {"gemma3", 60}};

	/* Each of two fixed halves refuses what the whole has room for. */
	sn_engine *e = engine_of(3, &st);
	for (int i = 0; i < 2; i++)
		assert_int_equal(submit(e, asks[i].model, text, asks[i].max_tokens, &r[0]), SN_ERR_CONTEXT_LENGTH);
	sn_engine_close(&e);

	e = engine_of(6, &st);
	assert_int_equal(submit(e, "qwen2", text, 150, &r[0]), SN_OK);
	assert_int_equal(finish(r[0]).cached_tokens, 0);
	for (int i = 0; i < 400 && metric_get(&e->metrics, M_PAGES_CACHED) < 3; i++)
		usleep(5000);
	assert_int_equal(metric_get(&e->metrics, M_PAGES_CACHED), 3); /* the first model's, kept for its next request */
	assert_int_equal(submit(e, "qwen2", text, 150, &r[0]), SN_OK);
	assert_true(finish(r[0]).cached_tokens >= 256);
	assert_int_equal(submit(e, "gemma3", text, 60, &r[0]), SN_OK); /* takes all six */
	finish(r[0]);
	assert_int_equal(submit(e, "gemma3", text, 60, &r[0]), SN_OK);
	assert_true(finish(r[0]).cached_tokens >= 256);
	assert_int_equal(submit(e, "qwen2", text, 150, &r[0]), SN_OK); /* and back again */
	assert_int_equal(finish(r[0]).cached_tokens, 0);

	for (int i = 0; i < 4; i++) /* all at once: they take turns, none fails */
		assert_int_equal(submit(e, asks[i % 2].model, text, asks[i % 2].max_tokens, &r[i]), SN_OK);
	for (int i = 0; i < 4; i++)
		assert_int_equal(finish(r[i]).completion_tokens, asks[i % 2].max_tokens);
	sn_engine_close(&e);
}

int main(void)
{
	sn_error err;
	if (sn_log_open(&quiet, &(sn_log_config){.level = SN_LOG_ERROR, .fd = 2}, &err) != SN_OK)
		return 1;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(logits_and_greedy_ids_equal_transformers),
	    cmocka_unit_test(a_wrong_switch_is_seen),
	    cmocka_unit_test(two_models_in_a_small_pool_change_no_byte),
	    cmocka_unit_test(pages_move_from_one_model_to_the_other),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	sn_log_close(&quiet);
	return failed;
}
