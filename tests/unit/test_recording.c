/* test_recording.c - promises of the order of work on a recording, with a runner that only plays: windows come in order whatever ends
 * first, the first one's language before all, hotter attempts while an answer looks wrong, waiting where a queue is full. */
#include "unit.h"

#include "base/error.h"
#include "engine/recording.h"

enum { WINDOW = 100, MAX_WINDOWS = 64, MAX_RUNS = 8 };

/* What the play has for one attempt. */
struct scene { float ratio, logprob, no_speech; };

struct play {
	rng r;
	struct scene scenes[MAX_WINDOWS][ATTEMPTS];
	uint32_t language_asked, words_asked, n_started, n_live, n_refused, n_ended;
	uint32_t starts[MAX_WINDOWS];
	float temperatures[MAX_WINDOWS][ATTEMPTS + 1];
	int32_t language;
	uint32_t max_live;       /* above it the queue is full */
	uint32_t most_live;
	bool at_random;          /* runs end in any order; else the last started first */
	uint32_t fails_at;       /* window whose text fails; 0: none */
	bool cut_fails;
	struct run { uint32_t window; bool live; } runs[MAX_RUNS];
};

static sn_status play_cut(void *ctx, uint64_t first, uint64_t *end, sn_error *err)
{
	struct play *p = ctx;
	*end = first + WINDOW;
	return p->cut_fails && first >= 3 * WINDOW ? error_set(err, SN_ERR_PLUGIN, "no cut") : SN_OK;
}

static sn_status play_start(void *ctx, const window *w, bool alone, void **run, sn_error *err)
{
	struct play *p = ctx;
	assert_int_equal(alone, p->n_live == 0);
	if (!alone && p->n_live >= p->max_live) {
		p->n_refused++;
		return error_set(err, SN_ERR_QUEUE_FULL, "full");
	}
	struct run *r = p->runs;
	while (r->live)
		r++;
	assert_true(r < p->runs + MAX_RUNS);
	*r = (struct run){w->index, true};
	*run = r;
	if (w->kind == ATTEMPT_TEXT) {
		assert_true(p->starts[w->index] < ATTEMPTS);
		p->temperatures[w->index][p->starts[w->index]++] = w->temperature;
	}
	p->language_asked += w->kind == ATTEMPT_LANGUAGE;
	p->words_asked += w->kind == ATTEMPT_WORDS;
	p->n_started++;
	p->n_live++;
	if (p->n_live > p->most_live)
		p->most_live = p->n_live;
	return SN_OK;
}

static void end_run(struct play *p, void **run)
{
	struct run *r = *run;
	assert_true(r && r->live);
	r->live = false;
	*run = NULL;
	p->n_live--;
}

static enum run_state play_ask(void *ctx, const window *w, void **run, int wait_ms, window_answer *a, sn_error *err)
{
	struct play *p = ctx;
	(void)wait_ms;
	struct run *r = *run;
	assert_int_equal(r->window, w->index);
	for (struct run *later = p->runs; later < p->runs + MAX_RUNS && !p->at_random; later++)
		if (later->live && later->window > w->index)
			return RUN_GOES_ON;
	if (p->at_random && rng_below(&p->r, 4))
		return RUN_GOES_ON;
	end_run(p, run);
	p->n_ended++;
	if (w->kind == ATTEMPT_TEXT && p->fails_at && w->index == p->fails_at) {
		error_set(err, SN_ERR_INTERNAL, "failed");
		return RUN_FAILED;
	}
	a->tokens = malloc(sizeof *a->tokens);
	a->tokens[0] = w->kind == ATTEMPT_LANGUAGE ? 77 : (int32_t)(w->index * 10 + w->attempt);
	a->n_tokens = 1;
	if (w->kind == ATTEMPT_TEXT) {
		const struct scene *s = &p->scenes[w->index][w->attempt];
		a->compression_ratio = s->ratio;
		a->avg_logprob = s->logprob;
		a->no_speech_prob = s->no_speech;
	} else if (w->kind == ATTEMPT_WORDS) {
		a->begins = calloc(2, sizeof *a->begins);
	}
	return RUN_ENDED;
}

static void play_stop(void *ctx, void **run)
{
	end_run(ctx, run);
}

static void play_tell_language(void *ctx, int32_t token)
{
	((struct play *)ctx)->language = token;
}

static struct play *new_play(void)
{
	struct play *p = calloc(1, sizeof *p);
	p->r.s = 9;
	p->max_live = MAX_RUNS;
	return p;
}

struct taken { uint32_t n; window w[MAX_WINDOWS]; int32_t token[MAX_WINDOWS]; };

/* Runs it to its end; what was handed out, in order. */
static sn_status run_play(struct play *p, uint64_t n_samples, float temperature, bool knows, bool words, uint32_t flight, struct taken *t)
{
	const window_runner runner = {p, play_cut, play_start, play_ask, play_stop, play_tell_language};
	recording rec;
	sn_error err;
	memset(t, 0, sizeof *t);
	sn_status st = recording_open(&rec, &runner, n_samples, temperature, knows, words, flight, &err);
	for (int i = 0; !st && !recording_done(&rec) && i < 100000; i++) {
		window *w;
		st = recording_next(&rec, 0, &w, &err);
		if (st || !w)
			continue;
		assert_int_equal(w->index, t->n);
		t->token[t->n] = w->answer.tokens[0];
		t->w[t->n++] = *w;
		assert_int_equal(w->answer.begins != NULL, words && !w->silent);
		recording_take(&rec);
	}
	assert_true(st || recording_done(&rec));
	recording_close(&rec);
	assert_int_equal(p->n_live, 0);
	return st;
}

static void windows_come_in_order_whatever_ends_first(void **state)
{
	(void)state;
	struct taken t;
	for (uint32_t flight = 1; flight <= 5; flight++) {
		struct play *p = new_play();
		p->at_random = flight == 3;
		assert_int_equal(run_play(p, 9 * WINDOW + 40, 0, true, false, flight, &t), SN_OK);
		assert_int_equal(t.n, 10);
		for (uint32_t i = 0; i < 10; i++)
			assert_true(t.w[i].first == i * WINDOW && t.w[i].end == (i + 1) * WINDOW && !t.w[i].silent);
		assert_int_equal(p->n_started, 10);
		assert_int_equal(p->most_live, flight > MAX_FLIGHT ? MAX_FLIGHT : flight);
		assert_int_equal(p->language_asked, 0);
		free(p);
	}
}

static void the_first_windows_language_comes_before_all(void **state)
{
	(void)state;
	struct taken t;
	struct play *p = new_play();
	assert_int_equal(run_play(p, 5 * WINDOW, 0, false, false, 4, &t), SN_OK);
	assert_int_equal(p->language, 77);
	assert_int_equal(p->language_asked, 1);
	assert_int_equal(p->n_started, 6);
	assert_int_equal(t.n, 5);
	free(p);
}

static void an_answer_that_looks_wrong_is_tried_hotter(void **state)
{
	(void)state;
	struct taken t;
	struct play *p = new_play();
	p->scenes[0][0] = (struct scene){2.5f, -0.1f, 0};
	p->scenes[0][1] = (struct scene){1, -1.1f, 0.6f};
	p->scenes[0][2] = (struct scene){2.4f, -1.0f, 0.9f}; /* at the thresholds: good */
	for (int i = 0; i < ATTEMPTS; i++)
		p->scenes[1][i] = (struct scene){3, -2, 0.1f}; /* never good: the last one counts */
	assert_int_equal(run_play(p, 3 * WINDOW, 0, true, false, 4, &t), SN_OK);
	assert_int_equal(p->starts[0], 3);
	assert_int_equal(p->starts[1], ATTEMPTS);
	assert_int_equal(p->starts[2], 1);
	for (int i = 0; i < ATTEMPTS; i++)
		assert_true(p->temperatures[1][i] == (float)i * 0.2f);
	assert_int_equal(t.token[0], 2);
	assert_int_equal(t.token[1], 15);
	assert_true(t.w[1].temperature == 1.0f && t.w[1].answer.avg_logprob == -2);
	free(p);
	p = new_play(); /* a temperature that was asked for is the only one */
	p->scenes[0][0] = (struct scene){3, -2, 0};
	assert_int_equal(run_play(p, WINDOW, 0.4f, true, false, 4, &t), SN_OK);
	assert_int_equal(p->starts[0], 1);
	assert_true(p->temperatures[0][0] == 0.4f);
	free(p);
}

static void silent_windows_say_nothing_and_are_not_tried_again(void **state)
{
	(void)state;
	struct taken t;
	struct play *p = new_play();
	p->scenes[0][0] = (struct scene){5, -1.5f, 0.7f};
	p->scenes[1][0] = (struct scene){1, -0.9f, 0.99f}; /* sure of its words: they count */
	p->scenes[2][0] = (struct scene){1, -1.0f, 0.61f};
	p->scenes[3][0] = (struct scene){1, -1.0f, 0.6f};
	assert_int_equal(run_play(p, 4 * WINDOW, 0, true, true, 4, &t), SN_OK);
	assert_int_equal(p->starts[0], 1);
	assert_true(t.w[0].silent && !t.w[1].silent && t.w[2].silent && !t.w[3].silent);
	assert_int_equal(p->words_asked, 2);
	free(p);
}

static void where_the_queue_is_full_later_windows_wait(void **state)
{
	(void)state;
	struct taken t;
	for (uint32_t live = 0; live < 3; live++) {
		struct play *p = new_play();
		p->max_live = live;
		assert_int_equal(run_play(p, 12 * WINDOW, 0, false, true, 4, &t), SN_OK);
		assert_int_equal(t.n, 12);
		assert_int_equal(p->most_live, live ? live : 1);
		assert_true(p->n_refused > 0);
		free(p);
	}
}

static void a_failure_ends_it_and_stops_the_rest(void **state)
{
	(void)state;
	struct taken t;
	struct play *p = new_play();
	p->fails_at = 2;
	p->at_random = true;
	assert_int_equal(run_play(p, 9 * WINDOW, 0, true, false, 4, &t), SN_ERR_INTERNAL);
	assert_true(t.n <= 2);
	free(p);
	p = new_play();
	p->cut_fails = true;
	assert_int_equal(run_play(p, 9 * WINDOW, 0, true, false, 4, &t), SN_ERR_PLUGIN);
	free(p);
}

static void any_order_any_scene_every_window_once(void **state)
{
	(void)state;
	static struct taken t;
	for (uint64_t seed = 0; seed < 300; seed++) {
		struct play *p = new_play();
		p->r.s = seed;
		p->at_random = true;
		p->max_live = rng_below(&p->r, 6);
		uint32_t n = rng_between(&p->r, 1, MAX_WINDOWS);
		for (uint32_t i = 0; i < n; i++)
			for (uint32_t k = 0; k < ATTEMPTS; k++)
				p->scenes[i][k] = (struct scene){(float)(rng_unit(&p->r) * 4), (float)(-2 * rng_unit(&p->r)), (float)rng_unit(&p->r)};
		bool knows = rng_below(&p->r, 2), words = rng_below(&p->r, 2);
		assert_int_equal(run_play(p, (uint64_t)n * WINDOW - rng_below(&p->r, WINDOW), 0, knows, words, rng_between(&p->r, 1, 4), &t), SN_OK);
		assert_int_equal(t.n, n);
		assert_int_equal(p->n_started, p->n_ended);
		free(p);
	}
}

static void closing_stops_what_runs(void **state)
{
	(void)state;
	struct play *p = new_play();
	const window_runner runner = {p, play_cut, play_start, play_ask, play_stop, play_tell_language};
	recording rec;
	sn_error err;
	assert_int_equal(recording_open(&rec, &runner, 9 * WINDOW, 0, true, false, 4, &err), SN_OK);
	assert_int_equal(p->n_live, 4);
	recording_close(&rec);
	assert_int_equal(p->n_live, 0);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(windows_come_in_order_whatever_ends_first),
	    cmocka_unit_test(the_first_windows_language_comes_before_all),
	    cmocka_unit_test(an_answer_that_looks_wrong_is_tried_hotter),
	    cmocka_unit_test(silent_windows_say_nothing_and_are_not_tried_again),
	    cmocka_unit_test(where_the_queue_is_full_later_windows_wait),
	    cmocka_unit_test(a_failure_ends_it_and_stops_the_rest),
	    cmocka_unit_test(any_order_any_scene_every_window_once),
	    cmocka_unit_test(closing_stops_what_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
