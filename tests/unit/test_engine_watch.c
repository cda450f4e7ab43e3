/* test_engine_watch.c - promises of clips in a chat: the frames that the model wants, where it wants them, each encoded once. */
#include "engine_kit.h"

#include <sensorium/ext/write.h>

enum { SIDE_W = 96, SIDE_H = 64, ROWS = 4 /* of one frame, by the miniature */, MAX_BYTES = 1 << 20 };

typedef struct clip {
	uint8_t *bytes;
	size_t n;
} clip;

/* n frames, each of another brightness with a corner of its own, by the codec that will read them. */
static clip make_clip(sn_engine *e, const char *type, uint32_t n, double fps)
{
	const plugin *codec = NULL;
	for (size_t i = 0; i < plugin_count(e->plugins); i++)
		if (e->plugins->plugins[i]->clip && e->plugins->plugins[i]->write)
			codec = e->plugins->plugins[i];
	assert_non_null(codec);
	sn_media m = {.size = sizeof m, .kind = SN_MEDIA_VIDEO, .width = SIDE_W, .height = SIDE_H, .n_frames = n, .bytes = (uint64_t)SIDE_W * SIDE_H * 3 * n};
	uint8_t *p = m.samples = malloc(m.bytes);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t y = 0; y < SIDE_H; y++)
			for (uint32_t x = 0; x < SIDE_W; x++, p += 3)
				p[0] = p[1] = p[2] = (uint8_t)(x / 16 == i % 6 && y / 16 == i / 6 % 4 ? 255 : 40 + i * 7 % 160);
	const sn_write_options o = {.size = sizeof o, .media_type = type, .fps = fps};
	sn_fault fault = {.size = sizeof fault};
	clip c = {malloc(MAX_BYTES), 0};
	uint64_t got = 0;
	if (codec->write->write(codec->instance, &(struct sn_call){"test"}, &m, &o, c.bytes, MAX_BYTES, &got, &fault) != SN_RC_OK)
		fail_msg("%s", fault.text);
	c.n = got;
	free(m.samples);
	return c;
}

static sn_part part_of(const clip *c)
{
	return (sn_part){.kind = SN_PART_MEDIA, .kind_name = "video", .data = (const char *)c->bytes, .size = c->n};
}

static sn_status ask_about(sn_engine *e, const sn_part *media, size_t n_media, const char *text, sn_request **r, sn_error *err)
{
	sn_part parts[8];
	assert_true(n_media < 8);
	memcpy(parts, media, n_media * sizeof *parts);
	parts[n_media] = (sn_part){.kind = SN_PART_TEXT, .data = text, .size = strlen(text)};
	const sn_message m = {.role = "user", .parts = parts, .n_parts = n_media + 1};
	sn_chat chat = {.request_id = "test", .messages = &m, .n_messages = 1, .sampling = sampling_of(&(struct ask){.max_tokens = 4})};
	return sn_chat_submit(e, &chat, r, err);
}

static uint64_t counted(sn_engine *e, enum metric_id m) { return metric_get(&e->metrics, m); }

static struct answer watch(sn_engine *e, const sn_part *media, size_t n_media, const char *text)
{
	sn_request *r = NULL;
	struct answer out = {0};
	out.status = ask_about(e, media, n_media, text, &r, &out.error);
	if (out.status == SN_OK) {
		collect(r, &out);
		sn_request_close(&r);
	}
	return out;
}

/* The prompt as text, a row of a medium as '#'. */
static void prompt_of(sn_engine *e, const sn_request *r, char out[4096])
{
	size_t n = 0, size;
	for (uint32_t i = 0; i < r->n_prompt; i++) {
		const seq_row *row = &r->seqs[0].rows[i];
		char *text = NULL;
		if (row->media >= 0) {
			out[n++] = '#';
			continue;
		}
		assert_int_equal(sn_detokenize(e, NULL, &row->id, 1, &text, &size, NULL), SN_OK);
		assert_true(n + size < 4095);
		memcpy(out + n, text, size);
		n += size;
		free(text);
	}
	out[n] = 0;
}

#define FRAME(at) "\nFrame from " at ":<fake_token_around_image><global-img>####<fake_token_around_image>"

static void a_clip_stands_where_it_was_put(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){0});
	clip c = make_clip(e, "video/mp4", 30, 10);
	size_t n_png;
	char *png = read_golden("picture.png", &n_png), prompt[4096];
	const sn_part media[2] = {{.kind = SN_PART_MEDIA, .kind_name = "image", .data = png, .size = n_png}, part_of(&c)};
	sn_request *r = NULL;
	sn_error err = {0};
	if (ask_about(e, media, 2, "Well?", &r, &err) != SN_OK)
		fail_msg("%s", err.text);
	prompt_of(e, r, prompt);
	assert_non_null(strstr(prompt, "<fake_token_around_image><global-img>####<fake_token_around_image>You are provided the following series of three "
	                               "frames from a 0:00:03 [H:MM:SS] video.\n" FRAME("00:00") FRAME("00:01") FRAME("00:02") "\n\nWell?"));
	assert_int_equal(r->n_media, 4);
	struct answer a = {0};
	collect(r, &a);
	assert_int_equal(a.status, SN_OK);
	assert_int_equal(a.usage.media_rows, 4 * ROWS);
	sn_request_close(&r);
	assert_all_pages_free(e);
	assert_int_equal(e->gate.held, 0);
	assert_int_equal(e->cache.waiting_bytes, 0);
	free(png);
	free(c.bytes);
	sn_engine_close(&e);
}

/* Each value within 1e-4 of the row's largest. */
static void assert_near(const float *got, const float *want, size_t n)
{
	float most = 0;
	for (size_t i = 0; i < n; i++)
		most = fmaxf(most, fabsf(want[i]));
	for (size_t i = 0; i < n; i++)
		if (!(fabsf(got[i] - want[i]) <= 1e-4f * most))
			fail_msg("value %zu: %g, not %g (of %g)", i, (double)got[i], (double)want[i], (double)most);
}

static void *read_part(const char *name, const char *part, size_t *n)
{
	char file[64];
	snprintf(file, sizeof file, "%s.%s", name, part);
	return read_golden(file, n);
}

/* Prompt, rows of every frame, logits and continuation, from the file on. */
static void watched_as_transformers_does(const char *file, const char *name)
{
	size_t n_file, n_ids, n_rows, n_logits, n_greedy;
	clip c = {read_golden(file, &n_file), 0};
	c.n = n_file;
	int32_t *ids = read_part(name, "ids", &n_ids), *greedy = read_part(name, "greedy", &n_greedy);
	float *rows = read_part(name, "rows", &n_rows), *logits = read_part(name, "logits", &n_logits);
	sn_engine *e = open_engine((sn_engine_config){0});
	sn_part p = part_of(&c);
	p.fps = 2;
	sn_part parts[2] = {p, {.kind = SN_PART_TEXT, .data = "What happens?", .size = 13}};
	const sn_message m = {.role = "user", .parts = parts, .n_parts = 2};
	sn_chat chat = {.request_id = "test", .messages = &m, .n_messages = 1};
	const uint32_t all = (uint32_t)(n_greedy / sizeof *greedy);
	for (uint32_t most = all; most; most = most == all ? 1 : 0) { /* then again, from the caches: the last logits are the prompt's */
		sn_request *r = NULL;
		sn_error err = {0};
		chat.sampling = sampling_of(&(struct ask){.max_tokens = most});
		if (sn_chat_submit(e, &chat, &r, &err) != SN_OK)
			fail_msg("%s", err.text);
		assert_int_equal(r->n_prompt * sizeof *ids, n_ids);
		for (uint32_t i = 0; i < r->n_prompt; i++)
			assert_int_equal(r->seqs[0].rows[i].id, ids[i]);
		struct answer a = {0};
		collect(r, &a);
		assert_int_equal(a.status, SN_OK);
		assert_int_equal(a.n, most);
		assert_memory_equal(a.ids, greedy, most * sizeof *greedy);
		sn_request_close(&r);
	}
	assert_near(e->buffers.logits, logits, n_logits / sizeof *logits);
	assert_all_pages_free(e);
	const media_entry *f = e->cache.lru_head; /* in the order in which they were let go */
	size_t at = 0;
	for (; f; at += (size_t)f->n_rows * f->dim, f = f->lru_next) {
		if (!f->enc) /* what is noted about the clip */
			continue;
		assert_true(f->n_rows == ROWS && (at + (size_t)ROWS * f->dim) * sizeof *rows <= n_rows);
		for (uint32_t k = 0; k < ROWS; k++)
			assert_near((const float *)(const void *)f->rows + (size_t)k * f->dim, rows + at + (size_t)k * f->dim, f->dim);
	}
	assert_int_equal(at * sizeof *rows, n_rows);
	free(c.bytes);
	free(ids);
	free(greedy);
	free(rows);
	free(logits);
	sn_engine_close(&e);
}

static void clips_are_watched_as_transformers_does(void **state)
{
	(void)state;
	static const char *const CASES[][2] = {{"watch.png", "watch"}, {"../watch/vfr.mp4", "watch-vfr"}, {"../watch/turn90.mp4", "watch-turn90"},
	                                       {"../watch/bframes.mp4", "watch-bframes"}, {"../watch/odd.mp4", "watch-odd"}};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
		watched_as_transformers_does(CASES[i][0], CASES[i][1]);
}

/* The same clip at the same options is encoded once; of a longer stretch only the frames that are new. */
static void frames_are_encoded_once(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){0});
	clip c = make_clip(e, "video/webm", 6, 2);
	sn_part p = part_of(&c);
	p.fps = 2;
	p.end = 2;
	struct answer first = watch(e, &p, 1, "Well?");
	assert_int_equal(first.status, SN_OK);
	assert_int_equal(first.usage.media_rows, 4 * ROWS);
	uint64_t runs = metric_get(&e->metrics, M_ENCODER_RUNS);
	assert_int_equal(runs, 4);
	struct answer again = watch(e, &p, 1, "Well?");
	assert_same(&first, &again);
	assert_int_equal(metric_get(&e->metrics, M_ENCODER_RUNS), runs);
	assert_true(again.usage.cached_tokens > 0);
	p.end = 0;
	struct answer longer = watch(e, &p, 1, "Well?");
	assert_int_equal(longer.status, SN_OK);
	assert_int_equal(longer.usage.media_rows, 6 * ROWS);
	assert_int_equal(metric_get(&e->metrics, M_ENCODER_RUNS), runs + 2);
	p.max_frames = 2;
	assert_int_equal(watch(e, &p, 1, "Well?").usage.media_rows, 2 * ROWS);
	assert_int_equal(metric_get(&e->metrics, M_ENCODER_RUNS), runs + 2);
	assert_all_pages_free(e);
	free(c.bytes);
	sn_engine_close(&e);
}

/* What is known of it is used: neither its frames nor the rows of its prompt are made again. */
static void a_clip_is_read_once(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){0});
	clip c = make_clip(e, "video/mp4", 6, 2);
	sn_part p = part_of(&c), q = p;
	p.fps = 2;
	struct answer first = watch(e, &p, 1, "Well?"), again = watch(e, &p, 1, "Well?");
	assert_same(&first, &again);
	assert_int_equal(first.status, SN_OK);
	assert_int_equal(first.usage.cached_tokens, 0);
	assert_true(again.usage.cached_tokens + KV_MAX_BLOCK >= again.usage.prompt_tokens);
	assert_int_equal(again.usage.media_rows, 6 * ROWS);
	assert_int_equal(counted(e, M_DECODES), 1);
	assert_int_equal(counted(e, M_CLIP_HITS), 1);
	assert_int_equal(counted(e, M_ENCODER_RUNS), 6);
	assert_int_equal(counted(e, M_MEDIA_HITS), 6);
	struct answer asked = watch(e, &p, 1, "And then?"); /* another question behind the same frames */
	assert_true(asked.usage.cached_tokens >= KV_MAX_BLOCK / 2);
	assert_int_equal(counted(e, M_DECODES), 1);
	q.fps = 1; /* other frames: read, the first and the last have been encoded */
	assert_int_equal(watch(e, &q, 1, "Well?").usage.media_rows, 3 * ROWS);
	assert_int_equal(counted(e, M_DECODES), 2);
	assert_int_equal(counted(e, M_CLIP_HITS), 2);
	assert_int_equal(counted(e, M_ENCODER_RUNS), 6);
	const sn_part both[2] = {p, q};
	assert_int_equal(watch(e, both, 2, "Well?").usage.media_rows, 9 * ROWS);
	assert_int_equal(counted(e, M_DECODES), 2);
	p.mime = "video/webm"; /* what it was declared as is looked at each time */
	struct answer a = watch(e, &p, 1, "Well?");
	assert_int_equal(a.status, SN_ERR_MEDIA_TYPE);
	p.mime = "video/mp4";
	assert_int_equal(watch(e, &p, 1, "Well?").status, SN_OK);
	assert_int_equal(counted(e, M_ENCODER_RUNS), 6);
	assert_int_equal(e->gate.held, 0);
	assert_all_pages_free(e);
	free(c.bytes);
	sn_engine_close(&e);
}

/* A recording that went on: what was seen before is there. */
static void of_a_grown_clip_only_new_frames_are_encoded(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){0});
	clip begun = {0}, grown = {0};
	begun.bytes = read_golden("../watch/begun.mp4", &begun.n);
	grown.bytes = read_golden("../watch/grown.mp4", &grown.n);
	sn_part p = part_of(&begun), q = part_of(&grown);
	p.fps = q.fps = 2;
	assert_int_equal(watch(e, &p, 1, "Well?").usage.media_rows, 5 * ROWS);
	assert_int_equal(counted(e, M_ENCODER_RUNS), 5);
	assert_int_equal(watch(e, &q, 1, "Well?").usage.media_rows, 8 * ROWS);
	assert_int_equal(counted(e, M_ENCODER_RUNS), 8);
	assert_int_equal(counted(e, M_DECODES), 2);
	free(begun.bytes);
	free(grown.bytes);
	sn_engine_close(&e);
}

/* Notes count as rows do and go with them: in a cache that holds nothing every clip is read, with the same answer. */
static void a_clip_whose_rows_are_gone_is_read_again(void **state)
{
	(void)state;
	clip c = {0};
	c.bytes = read_golden("../watch/begun.mp4", &c.n);
	sn_part p = part_of(&c);
	p.fps = 2;
	struct answer kept = {0};
	for (int small = 0; small < 2; small++) {
		sn_engine *e = open_engine((sn_engine_config){.media_cache_memory = small ? 2100 : 1 << 20});
		for (int i = 0; i < 3; i++) {
			struct answer a = watch(e, &p, 1, "Well?");
			assert_int_equal(a.status, SN_OK);
			if (small || i)
				assert_same(&kept, &a);
			else
				kept = a;
			assert_true(e->cache.bytes <= e->cache.max_bytes);
		}
		assert_int_equal(counted(e, M_CLIP_HITS), small ? 0 : 2);
		assert_int_equal(counted(e, M_DECODES), small ? 3 : 1);
		assert_int_equal(counted(e, M_MEDIA_BYTES), e->cache.bytes);
		if (!small)
			assert_true(e->cache.bytes > 5 * ROWS * 64 * sizeof(float));
		assert_all_pages_free(e);
		sn_engine_close(&e);
	}
	free(c.bytes);
}

static void refused(sn_engine *e, sn_part p, sn_status status, const char *text)
{
	uint64_t runs = metric_get(&e->metrics, M_ENCODER_RUNS);
	struct answer a = watch(e, &p, 1, "Well?");
	if (a.status != status || !strstr(a.error.text, text) || strcmp(a.error.param, "messages") != 0)
		fail_msg("%d (%s): %s", a.status, a.error.param, a.error.text);
	assert_int_equal(metric_get(&e->metrics, M_ENCODER_RUNS), runs);
	assert_int_equal(e->gate.held, 0);
}

static void what_cannot_be_watched_is_refused(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){0});
	clip c = make_clip(e, "video/mp4", 40, 2);
	size_t n_png;
	char *png = read_golden("picture.png", &n_png);
	sn_part p = part_of(&c), q;
	refused(e, (sn_part){.kind = SN_PART_MEDIA, .kind_name = "video", .data = png, .size = n_png}, SN_ERR_MEDIA_TYPE, "no codec");
	refused(e, (sn_part){.kind = SN_PART_MEDIA, .kind_name = "video", .data = "hello", .size = 5}, SN_ERR_MEDIA_TYPE, "no codec");
	q = p;
	q.mime = "video/webm";
	refused(e, q, SN_ERR_MEDIA_TYPE, "declared");
	q = p;
	q.size /= 2;
	refused(e, q, SN_ERR_INVALID, "");
	q = p;
	q.fps = -1;
	refused(e, q, SN_ERR_INVALID, "fps");
	q = p;
	q.fps = NAN;
	refused(e, q, SN_ERR_INVALID, "fps");
	q = p;
	q.start = INFINITY;
	refused(e, q, SN_ERR_INVALID, "start");
	q = p;
	q.start = 3, q.end = 2;
	refused(e, q, SN_ERR_INVALID, "end");
	q = p;
	q.start = 30;
	refused(e, q, SN_ERR_INVALID, "start and end");
	q = p;
	q.fps = 1000, q.max_frames = 5000;
	refused(e, q, SN_ERR_CONTEXT_LENGTH, "512"); /* all 40 of them */
	struct answer a = watch(e, &p, 1, "Well?"); /* 20 frames and their text are more than 512 rows */
	assert_int_equal(a.status, SN_ERR_CONTEXT_LENGTH);
	q = part_of(&c);
	q.max_frames = 2;
	assert_int_equal(watch(e, &q, 1, "Well?").status, SN_OK);
	assert_all_pages_free(e);
	free(png);
	free(c.bytes);
	sn_engine_close(&e);
}

/* Who goes before all frames are encoded leaves nothing behind. */
static void a_cancelled_clip_leaves_nothing(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){0});
	clip c = make_clip(e, "video/mp4", 10, 10);
	for (int i = 0; i < 10; i++) {
		sn_part p = part_of(&c);
		p.fps = 10;
		p.max_frames = 1 + (uint32_t)i;
		sn_request *r = NULL;
		sn_error err = {0};
		assert_int_equal(ask_about(e, &p, 1, "Well?", &r, &err), SN_OK);
		sn_request_close(&r);
	}
	sn_part p = part_of(&c);
	assert_int_equal(watch(e, &p, 1, "Well?").status, SN_OK); /* its turn sweeps */
	assert_all_pages_free(e);
	assert_int_equal(e->cache.n_waiting, 0);
	assert_int_equal(e->cache.waiting_bytes, 0);
	assert_int_equal(e->gate.held, 0);
	free(c.bytes);
	sn_engine_close(&e);
}

static void the_engine_says_that_it_watches(void **state)
{
	(void)state;
	sn_engine *e = open_engine((sn_engine_config){0});
	const sn_model_info *m;
	assert_int_equal(sn_engine_models(e, &m), 1);
	assert_string_equal(m->modalities[0], "image");
	assert_string_equal(m->modalities[1], "video");
	assert_null(m->modalities[2]);
	clip c = make_clip(e, "video/webm", 2, 2);
	assert_string_equal(sn_engine_kind_of(e, c.bytes, c.n, "video/webm"), "video");
	assert_string_equal(sn_engine_kind_of(e, c.bytes, c.n, NULL), "video");
	assert_string_equal(sn_engine_kind_of(e, c.bytes, c.n, "audio/webm"), "audio");
	free(c.bytes);
	sn_engine_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_clip_stands_where_it_was_put),
	    cmocka_unit_test(clips_are_watched_as_transformers_does),
	    cmocka_unit_test(frames_are_encoded_once),
	    cmocka_unit_test(a_clip_is_read_once),
	    cmocka_unit_test(of_a_grown_clip_only_new_frames_are_encoded),
	    cmocka_unit_test(a_clip_whose_rows_are_gone_is_read_again),
	    cmocka_unit_test(what_cannot_be_watched_is_refused),
	    cmocka_unit_test(a_cancelled_clip_leaves_nothing),
	    cmocka_unit_test(the_engine_says_that_it_watches),
	};
	return kit_run(tests);
}
