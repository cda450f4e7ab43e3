/* test_vocos_host.c - vocos on the real host: the miniature of tests/golden/vocos as a GGUF file, f32 kernels of every kind and threads:
 * the training script's sound, and the same samples whatever the chunks, the units, the threads and the company. */
#include "gguf_bytes.h"

#include <math.h>

#include "golden.h"
#include "plugin/host.h"

#include <sensorium/ext/speak.h>
#include <sensorium/ext/synth.h>

/* As in make.py. */
enum { HOP = 12, CODES = 37, MOST = 61 };

typedef struct served {
	pool *threads;
	ops o;
	plugin_host *host;
	const sn_plugin *d;
	const sn_ext_synth *synth;
	struct sn_model model;
	void *instance;
} served;

static sn_fault fault = {.size = sizeof fault};

static void serve(served *s, size_t n_threads, kn_isa cap)
{
	sn_error err = {0};
	*s = (served){0};
	assert_int_equal(pool_open(&s->threads, n_threads, &err), SN_OK);
	ops_init(&s->o, s->threads, cap);
	assert_int_equal(plugin_host_open(&s->host, PLUGIN_DIR, 1 << 20, s->threads, NULL, &err), SN_OK);
	for (size_t i = 0; i < plugin_count(s->host); i++)
		if (s->host->plugins[i]->desc && strcmp(s->host->plugins[i]->desc->id, "vocos") == 0)
			s->d = s->host->plugins[i]->desc;
	assert_non_null(s->d);
	s->synth = s->d->extension(SN_EXT_SYNTH);
	s->model = (struct sn_model){.o = &s->o, .mem = arena_open(0)};
	if (model_file_open(&s->model.file, GOLDEN_DIR "/vocos.gguf", &err) != SN_OK)
		fail_msg("%s", err.text);
	s->instance = plugin_instance_new(s->d);
	assert_int_equal(s->d->init(s->instance, &s->host->face, &fault), SN_RC_OK);
	assert_int_equal(s->d->probe(&s->host->face, &s->model), 100);
	if (s->d->load(s->instance, &s->model, &fault) != SN_RC_OK)
		fail_msg("%s", fault.text);
}

static void dismiss(served *s)
{
	s->d->fini(s->instance);
	free(s->instance);
	model_file_close(&s->model.file);
	arena_close(&s->model.mem);
	assert_int_equal(atomic_load(&s->host->held), 0);
	plugin_host_close(&s->host);
	ops_fini(&s->o);
	pool_close(&s->threads);
}

typedef struct stream {
	void *memory;
	int32_t codes[MOST];
	uint32_t n, done; /* frames */
	float pcm[MOST * HOP];
	uint32_t n_samples;
} stream;

static uint32_t mix32(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x7FEB352Du;
	x ^= x >> 15;
	x *= 0x846CA68Bu;
	return x ^ x >> 16;
}

static void stream_open(const served *s, stream *t, uint32_t n)
{
	*t = (stream){.memory = calloc(1, s->synth->describe(s->instance)->stream_bytes), .n = n};
	for (uint32_t i = 0; i < n; i++)
		t->codes[i] = (int32_t)(mix32(i + n * 1000003u) % CODES);
}

static void run_job(served *s, stream *const *streams, uint32_t n, uint32_t frames, uint32_t units)
{
	sn_synth_chunk chunks[8];
	sn_ops_ctx *ctx;
	sn_error err;
	uint32_t n_units, done;
	uint64_t size, capacity = (uint64_t)(frames + s->synth->describe(s->instance)->delay_frames) * HOP;
	assert_int_equal(s->synth->plan(s->instance, n, frames, &n_units, &size, &fault), SN_RC_OK);
	for (uint32_t i = 0; i < n; i++)
		chunks[i] = (sn_synth_chunk){.stream = streams[i]->memory, .codes = streams[i]->codes + streams[i]->done, .n_frames = frames,
		                             .first_frame = streams[i]->done, .last = streams[i]->done + frames == streams[i]->n,
		                             .pcm = malloc(capacity * sizeof(float)), .capacity = capacity};
	void *state = calloc(1, size);
	assert_int_equal(ops_ctx_open(&ctx, &s->o, size, &err), SN_OK);
	sn_rc rc = s->synth->begin(s->instance, NULL, state, ctx, chunks, n, &fault);
	while (rc == SN_RC_OK || rc == SN_RC_AGAIN)
		rc = s->synth->step(s->instance, NULL, state, ctx, units, &done, &fault);
	if (rc != SN_RC_END)
		fail_msg("%s", fault.text);
	s->synth->end(s->instance, state);
	ops_ctx_close(&ctx);
	free(state);
	for (uint32_t i = 0; i < n; i++) {
		stream *t = streams[i];
		t->done += frames;
		memcpy(t->pcm + t->n_samples, chunks[i].pcm, chunks[i].n_samples * sizeof(float));
		t->n_samples += chunks[i].n_samples;
		free(chunks[i].pcm);
	}
}

/* n streams of one length in the same jobs: first `first` frames, then `each`. */
static void play(served *s, stream *const *streams, uint32_t n, uint32_t frames, uint32_t first, uint32_t each, uint32_t units)
{
	for (uint32_t i = 0; i < n; i++)
		stream_open(s, streams[i], frames);
	for (uint32_t at = 0, want = first; at < frames; at += want, want = each) {
		want = frames - at < want ? frames - at : want;
		run_job(s, streams, n, want, units);
	}
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(streams[i]->n_samples, frames * HOP);
		free(streams[i]->memory);
	}
}

static void makes_the_sound_that_training_heard(void **state)
{
	(void)state;
	static const uint32_t lengths[] = {1, 2, 9, 61};
	for (int best = 0; best < 2; best++) {
		served s;
		serve(&s, 3, best ? 0 : KN_ISA_REF);
		for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
			static stream t;
			stream *one = &t;
			char name[32];
			size_t size;
			snprintf(name, sizeof name, "sound-%u.bin", lengths[i]);
			float *want = (float *)(void *)golden_file(name, &size), worst = 0;
			play(&s, &one, 1, lengths[i], lengths[i], 1, 100);
			assert_int_equal(size, t.n_samples * sizeof(float));
			for (uint32_t k = 0; k < t.n_samples; k++)
				worst = fmaxf(worst, fabsf(t.pcm[k] - want[k]));
			if (!(worst <= 1e-5f))
				fail_msg("%u frames: off by %g", lengths[i], (double)worst);
			free(want);
		}
		dismiss(&s);
	}
}

static void samples_do_not_depend_on_chunks_units_threads_or_company(void **state)
{
	(void)state;
	static const uint32_t cuts[][3] = {{1, 1, 1}, {4, 16, 2}, {5, 7, 100}, {60, 1, 3}};
	static stream whole, t[3];
	stream *const one = &whole, *const three[] = {&t[0], &t[1], &t[2]};
	for (int best = 0; best < 2; best++) {
		served s;
		serve(&s, 1, best ? 0 : KN_ISA_REF);
		play(&s, &one, 1, MOST, MOST, 1, 100);
		dismiss(&s);
		for (size_t threads = 1; threads <= 3; threads += 2) {
			serve(&s, threads, best ? 0 : KN_ISA_REF);
			for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
				for (uint32_t n = 1; n <= 3; n += 2) {
					play(&s, three, n, MOST, cuts[i][0], cuts[i][1], cuts[i][2]);
					for (uint32_t k = 0; k < n; k++)
						assert_memory_equal(t[k].pcm, whole.pcm, sizeof whole.pcm);
				}
			dismiss(&s);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(makes_the_sound_that_training_heard),
	    cmocka_unit_test(samples_do_not_depend_on_chunks_units_threads_or_company),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
