/* engine_kit.h - what the tests of the whole engine share: an engine with the random-weight miniature of tests/golden/engine, asking
 * it, and gathering what it says, choice by choice. */
#ifndef SN_TESTS_ENGINE_KIT_H
#define SN_TESTS_ENGINE_KIT_H

#include "unit.h"

#include <math.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/engine.h"

#ifndef GOLDEN_DIR
#error "GOLDEN_DIR names tests/golden/engine"
#endif

static sn_log *quiet;

/* ---- goldens ---- */

static inline void *read_golden(const char *name, size_t *n)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*n = (size_t)ftell(f);
	rewind(f);
	void *p = malloc(*n + 1);
	assert_int_equal(fread(p, 1, *n, f), *n);
	fclose(f);
	return p;
}

/* ---- an engine with the miniature ---- */

static inline sn_engine *open_empty(sn_engine_config c)
{
	sn_engine *e = NULL;
	sn_error err = {0};
	c.log = quiet;
	c.plugin_dir = PLUGIN_DIR;
	if (!c.kv_cache_memory)
		c.kv_cache_memory = 64u << 20;
	if (sn_engine_open(&e, &c, &err) != SN_OK)
		fail_msg("open: %s", err.text);
	return e;
}

/* Files of GOLDEN_DIR; mmproj NULL: none. */
static inline void load_model(sn_engine *e, const char *name, const char *file, const char *mmproj)
{
	sn_error err = {0};
	char path[4096], tower[4096];
	snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, file);
	snprintf(tower, sizeof tower, "%s/%s", GOLDEN_DIR, mmproj ? mmproj : "");
	sn_model_config m = {.name = name, .path = path, .mmproj = (const char *[]){tower}, .n_mmproj = mmproj ? 1 : 0};
	if (sn_engine_load(e, &m, &err) != SN_OK)
		fail_msg("load: %s", err.text);
}

static inline void start_engine(sn_engine *e)
{
	sn_error err = {0};
	if (sn_engine_start(e, &err) != SN_OK)
		fail_msg("start: %s", err.text);
}

static inline sn_engine *open_engine(sn_engine_config c)
{
	sn_engine *e = open_empty(c);
	load_model(e, "mini", "model.gguf", "mmproj.gguf");
	start_engine(e);
	return e;
}

/* Everything given back: places, pages, and the pool's books agree. */
static inline void assert_all_pages_free(sn_engine *e)
{
	for (int i = 0; i < 1000 && atomic_load(&e->n_requests); i++)
		usleep(5000);
	for (int i = 0; i < 200 && metric_get(&e->metrics, M_PAGES_FREE) != metric_get(&e->metrics, M_PAGES_TOTAL); i++)
		usleep(5000);
	assert_int_equal(metric_get(&e->metrics, M_PAGES_FREE), metric_get(&e->metrics, M_PAGES_TOTAL));
	assert_true(page_pool_consistent(e->pages));
}

/* Rows that read 'Q' become NaN; the head keeps the clean matrix, so that nobody else is touched. The id of a printable byte
 * is its place in the byte alphabet's order: here the byte itself. The caller frees the copy after the engine. */
static inline float *poison(sn_engine *e)
{
	model *m = e->models[0].m;
	size_t n = (size_t)m->h.n_vocab * m->h.n_embd;
	float *copy = malloc(n * sizeof *copy);
	memcpy(copy, m->embed.data, n * sizeof *copy);
	for (uint32_t i = 0; i < m->h.n_embd; i++)
		copy[(size_t)'Q' * m->h.n_embd + i] = NAN;
	m->embed.data = copy;
	return copy;
}

/* ---- asking ---- */

struct ask {
	const char *text;
	const int32_t *ids;  /* [n_ids] instead of text: a completion */
	size_t n_ids;
	const char *model;   /* NULL: the first */
	const char *picture; /* encoded bytes or NULL */
	size_t picture_size;
	float temperature;
	uint64_t seed;
	uint32_t max_tokens;
	const char *key, *salt;
	uint32_t timeout_ms;
	sn_logit_bias bias;
	uint32_t n;          /* choices; 0: one */
	const sn_sampling *sampling; /* instead of what is made of the above */
};

/* What one choice said. */
struct answer {
	sn_status status;
	sn_error error;
	sn_usage usage;   /* of the request */
	sn_finish finish;
	int32_t stop_token, stop_string;
	bool ended;       /* CHOICE_DONE came */
	uint32_t n;
	int32_t ids[512];
	float logprobs[512];
	char text[4096];
	size_t text_size;
};

/* Each request names its seed, says everything that it thinks, and does not stop at end tokens. */
static inline sn_sampling sampling_of(const struct ask *a)
{
	sn_sampling s;
	sn_sampling_init(&s);
	s.n = a->n ? a->n : 1;
	s.temperature = a->temperature;
	s.seed = a->seed;
	s.has_seed = true;
	s.max_tokens = a->max_tokens;
	s.ignore_eos = true;
	s.logprobs = true;
	s.top_logprobs = 2;
	if (a->bias.bias != 0) {
		s.logit_bias = &a->bias;
		s.n_logit_bias = 1;
	}
	return s;
}

static inline sn_status submit(sn_engine *e, const struct ask *a, sn_request **r, sn_error *err)
{
	if (a->ids)
		return sn_completion_submit(e,
		                            &(sn_completion){.request_id = "test", .model = a->model, .cache_key = a->key, .cache_salt = a->salt, .ids = a->ids,
		                                             .n_ids = a->n_ids, .sampling = a->sampling ? *a->sampling : sampling_of(a)},
		                            r, err);
	sn_part parts[2] = {{.kind = SN_PART_MEDIA, .kind_name = "image", .data = a->picture, .size = a->picture_size, .mime = "image/png"},
	                    {.kind = SN_PART_TEXT, .data = a->text, .size = strlen(a->text)}};
	bool pic = a->picture != NULL;
	sn_message m = {.role = "user", .parts = pic ? parts : parts + 1, .n_parts = pic ? 2 : 1, .is_string = !pic};
	sn_chat chat = {.request_id = "test", .model = a->model, .messages = &m, .n_messages = 1, .cache_key = a->key, .cache_salt = a->salt,
	                .timeout_ms = a->timeout_ms, .sampling = a->sampling ? *a->sampling : sampling_of(a)};
	return sn_chat_submit(e, &chat, r, err);
}

static inline void add_event(struct answer *out, const sn_event *ev)
{
	assert_false(out->ended); /* a choice that is done says no more */
	if (ev->kind == SN_EVENT_CHOICE_DONE) {
		out->ended = true;
		out->finish = ev->finish;
		out->stop_token = ev->stop_token;
		out->stop_string = ev->stop_string;
		return;
	}
	for (size_t i = 0; i < ev->n_logprobs && out->n < 512; i++) {
		out->ids[out->n] = ev->logprobs[i].self.token;
		out->logprobs[out->n++] = ev->logprobs[i].self.logprob;
	}
	if (out->text_size + ev->size < sizeof out->text) {
		memcpy(out->text + out->text_size, ev->text, ev->size);
		out->text_size += ev->size;
	}
}

/* Until the request's end. out: [n] choices, zeroed. */
static inline void collect_all(sn_request *r, struct answer *out, uint32_t n)
{
	sn_event ev;
	for (;;) {
		sn_event_kind k = sn_request_next(r, 20000, &ev);
		assert_int_not_equal(k, SN_EVENT_NONE);
		assert_true(ev.choice < n);
		if (k != SN_EVENT_DONE && k != SN_EVENT_ERROR) {
			add_event(&out[ev.choice], &ev);
			continue;
		}
		for (uint32_t c = 0; c < n; c++) {
			out[c].status = k == SN_EVENT_ERROR ? ev.error.status : SN_OK;
			out[c].error = ev.error;
			out[c].usage = ev.usage;
			assert_true(out[c].ended || k == SN_EVENT_ERROR);
		}
		return;
	}
}

static inline void collect(sn_request *r, struct answer *out)
{
	collect_all(r, out, 1);
}

static inline void ask_all(sn_engine *e, const struct ask *a, struct answer *out, uint32_t n)
{
	sn_request *r;
	memset(out, 0, n * sizeof *out);
	out->status = submit(e, a, &r, &out->error);
	if (out->status == SN_OK) {
		collect_all(r, out, n);
		sn_request_close(&r);
	}
}

static inline struct answer ask(sn_engine *e, const struct ask *a)
{
	struct answer out;
	ask_all(e, a, &out, 1);
	return out;
}

static inline void assert_same(const struct answer *a, const struct answer *b)
{
	assert_int_equal(a->status, SN_OK);
	assert_int_equal(b->status, SN_OK);
	assert_int_equal(a->n, b->n);
	assert_memory_equal(a->ids, b->ids, a->n * sizeof *a->ids);
	assert_memory_equal(a->logprobs, b->logprobs, a->n * sizeof *a->logprobs);
	assert_int_equal(a->text_size, b->text_size);
	assert_memory_equal(a->text, b->text, a->text_size);
	assert_int_equal(a->finish, b->finish);
}

/* ---- running ---- */

#define kit_run(tests) kit_run_group(tests, sizeof(tests) / sizeof *(tests), #tests)

static inline int kit_run_group(const struct CMUnitTest *tests, size_t n, const char *name)
{
	sn_error err;
	sn_log_config c = {.level = SN_LOG_ERROR, .fd = 2};
	if (sn_log_open(&quiet, &c, &err) != SN_OK)
		return 1;
	int failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);
	sn_log_close(&quiet);
	return failed;
}

#endif
