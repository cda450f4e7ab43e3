/* synth_case.c - see synth_case.h. */
#include "synth_case.h"

#include <math.h>

#include "golden.h"

sn_fault synth_fault = {.size = sizeof synth_fault};

sn_rc serve(served *s, const synth_case *is, const char *path, size_t n_threads, kn_isa cap)
{
	sn_error err = {0};
	*s = (served){.is = is};
	assert_int_equal(pool_open(&s->threads, n_threads, &err), SN_OK);
	ops_init(&s->o, s->threads, cap);
	assert_int_equal(plugin_host_open(&s->host, PLUGIN_DIR, 1 << 20, s->threads, NULL, &err), SN_OK);
	for (size_t i = 0; i < plugin_count(s->host); i++)
		if (s->host->plugins[i]->desc && strcmp(s->host->plugins[i]->desc->id, is->name) == 0)
			s->d = s->host->plugins[i]->desc;
	assert_non_null(s->d);
	s->synth = s->d->extension(SN_EXT_SYNTH);
	s->speak = s->d->extension(SN_EXT_SPEAK);
	s->model = (struct sn_model){.o = &s->o, .mem = arena_open(0)};
	if (model_file_open(&s->model.file, path, &err) != SN_OK)
		fail_msg("%s", err.text);
	s->instance = plugin_instance_new(s->d);
	assert_int_equal(s->d->init(s->instance, &s->host->face, &synth_fault), SN_RC_OK);
	assert_int_equal(s->d->probe(&s->host->face, &s->model), 100);
	return s->d->load(s->instance, &s->model, &synth_fault);
}

void dismiss(served *s)
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

const char *miniature(const synth_case *is)
{
	static char path[512];
	snprintf(path, sizeof path, "%s/%s.gguf", GOLDEN_DIR, is->name);
	return path;
}

/* ---- streams ---- */

typedef struct stream {
	void *memory;
	const int32_t *codes;
	uint32_t n, done; /* frames */
	float pcm[MOST_SAMPLES];
	uint32_t n_samples;
} stream;

static stream stream_of(const served *s, const int32_t *codes, uint32_t n)
{
	return (stream){.memory = calloc(1, s->synth->describe(s->instance)->stream_bytes), .codes = codes, .n = n};
}

/* The next n_frames of every stream, as one job of steps of at most `units`. */
static void run_job(const served *s, stream **streams, uint32_t n, uint32_t n_frames, uint32_t units)
{
	const sn_synth_info *info = s->synth->describe(s->instance);
	sn_synth_chunk chunks[8];
	sn_ops_ctx *ctx;
	sn_error err;
	uint32_t n_units, done, total = 0;
	uint64_t size, capacity = ((uint64_t)n_frames + info->delay_frames) * info->frame_samples;
	assert_int_equal(s->synth->plan(s->instance, n, n_frames, &n_units, &size, &synth_fault), SN_RC_OK);
	for (uint32_t i = 0; i < n; i++) {
		stream *t = streams[i];
		chunks[i] = (sn_synth_chunk){.stream = t->memory, .codes = t->codes + t->done * s->is->n_codes, .n_frames = n_frames, .first_frame = t->done,
		                             .last = t->done + n_frames == t->n, .pcm = malloc(capacity * sizeof(float)), .capacity = capacity};
		t->done += n_frames;
	}
	void *state = calloc(1, size);
	assert_int_equal(ops_ctx_open(&ctx, (ops *)(uintptr_t)&s->o, size, &err), SN_OK);
	sn_rc rc = s->synth->begin(s->instance, NULL, state, ctx, chunks, n, &synth_fault);
	while (rc == SN_RC_OK || rc == SN_RC_AGAIN) {
		rc = s->synth->step(s->instance, NULL, state, ctx, units, &done, &synth_fault);
		assert_true(done <= units);
		total += done;
	}
	if (rc != SN_RC_END)
		fail_msg("%s", synth_fault.text);
	assert_int_equal(total, n_units);
	s->synth->end(s->instance, state);
	ops_ctx_close(&ctx);
	free(state);
	for (uint32_t i = 0; i < n; i++) {
		stream *t = streams[i];
		uint32_t least = t->done == t->n ? t->n : t->done > info->delay_frames ? t->done - info->delay_frames : 0;
		memcpy(t->pcm + t->n_samples, chunks[i].pcm, chunks[i].n_samples * sizeof(float));
		t->n_samples += chunks[i].n_samples;
		assert_true(t->n_samples >= least * info->frame_samples && t->n_samples <= t->done * info->frame_samples);
		free(chunks[i].pcm);
	}
}

/* One stream alone, first `first` frames, then `each`. */
static void play(const served *s, stream *t, uint32_t first, uint32_t each, uint32_t units)
{
	while (t->done < t->n) {
		uint32_t want = t->done ? each : first;
		run_job(s, &t, 1, t->n - t->done < want ? t->n - t->done : want, units);
	}
	assert_int_equal(t->n_samples, t->n * s->is->frame_samples);
}

static int32_t *codes_of(const synth_case *is, uint32_t n)
{
	char name[32];
	size_t size;
	snprintf(name, sizeof name, "%s-%u.codes", is->name, n);
	int32_t *codes = (int32_t *)(void *)golden_file(name, &size);
	assert_int_equal(size, n * is->n_codes * sizeof *codes);
	return codes;
}

/* ---- promises ---- */

void its_sound_is_the_references(void **state)
{
	const synth_case *is = *state;
	for (int best = 0; best < 2; best++) {
		served s;
		double worst = 0;
		assert_int_equal(serve(&s, is, miniature(is), best ? 3 : 1, best ? 0 : KN_ISA_REF), SN_RC_OK);
		for (size_t i = 0; i < is->n_lengths; i++) {
			char name[32];
			size_t size;
			int32_t *codes = codes_of(is, is->lengths[i]);
			snprintf(name, sizeof name, "%s-%u.f32", is->name, is->lengths[i]);
			const float *want = (const float *)(const void *)golden_file(name, &size);
			assert_int_equal(size, is->lengths[i] * is->frame_samples * sizeof(float));
			stream t = stream_of(&s, codes, is->lengths[i]);
			play(&s, &t, 4, 4, UINT32_MAX);
			for (uint32_t k = 0; k < t.n_samples; k++)
				worst = fmax(worst, fabs((double)t.pcm[k] - (double)want[k]));
			assert_true(worst <= 1e-4);
			free((void *)(uintptr_t)want);
			free(t.memory);
			free(codes);
		}
		print_message("%s, %s: worst error %.1e of full scale\n", is->name, kn_isa_name(s.o.isa), worst);
		dismiss(&s);
	}
}

/* Chunks of every length up to the whole, and slices of a job: the same bytes. */
void chunks_and_units_change_no_sample(void **state)
{
	const synth_case *is = *state;
	served s, alone;
	const uint32_t most = is->lengths[is->n_lengths - 1];
	int32_t *codes = codes_of(is, most);
	assert_int_equal(serve(&s, is, miniature(is), 3, 0), SN_RC_OK);
	assert_int_equal(serve(&alone, is, miniature(is), 1, 0), SN_RC_OK);
	stream whole = stream_of(&s, codes, most);
	play(&s, &whole, most, most, UINT32_MAX);
	for (uint32_t each = 1; each <= most; each++) {
		stream t = stream_of(&s, codes, most), u = stream_of(&alone, codes, most);
		play(&s, &t, each, each, UINT32_MAX);
		play(&alone, &u, 1 + each % 5, each, 1);
		assert_memory_equal(t.pcm, whole.pcm, most * is->frame_samples * sizeof(float));
		assert_memory_equal(u.pcm, whole.pcm, most * is->frame_samples * sizeof(float));
		free(t.memory);
		free(u.memory);
	}
	free(whole.memory);
	free(codes);
	dismiss(&s);
	dismiss(&alone);
}

/* Eight streams in one job, each at another place of its sound, some at their end: the bytes of each alone. */
void company_changes_no_sample(void **state)
{
	const synth_case *is = *state;
	served s;
	int32_t *codes = codes_of(is, is->lengths[is->n_lengths - 1]);
	stream alone[8], together[8], *jobs[8];
	assert_int_equal(serve(&s, is, miniature(is), 2, 0), SN_RC_OK);
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t first = i * 2, n = i == 7 ? 3 : 9 + 2 * (i % 4);
		alone[i] = stream_of(&s, codes + first * is->n_codes, n);
		together[i] = stream_of(&s, codes + first * is->n_codes, n);
		play(&s, &alone[i], n, n, UINT32_MAX);
	}
	for (uint32_t round = 0, left = 8; left > 0; round++) {
		for (uint32_t length = 1; length <= 4; length++) { /* jobs of chunks as long */
			uint32_t n = 0;
			for (uint32_t i = 0; i < 8; i++) { /* stream i joins in round i */
				uint32_t rest = together[i].n - together[i].done;
				if (round >= i && rest && (rest < 4 ? rest : 4) == length)
					jobs[n++] = &together[i];
			}
			if (n)
				run_job(&s, jobs, n, length, 1 + round % 3);
		}
		left = 0;
		for (uint32_t i = 0; i < 8; i++)
			left += together[i].done < together[i].n;
	}
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(together[i].n_samples, alone[i].n * is->frame_samples);
		assert_memory_equal(together[i].pcm, alone[i].pcm, alone[i].n * is->frame_samples * sizeof(float));
		free(together[i].memory);
		free(alone[i].memory);
	}
	free(codes);
	dismiss(&s);
}

void jobs_that_cannot_be_are_refused(void **state)
{
	const synth_case *is = *state;
	served s;
	uint32_t units, done = 0;
	uint64_t size;
	sn_error err;
	sn_ops_ctx *ctx;
	assert_int_equal(serve(&s, is, miniature(is), 1, 0), SN_RC_OK);
	const sn_synth_info *info = s.synth->describe(s.instance);
	assert_int_equal(s.synth->plan(s.instance, 0, 1, &units, &size, &synth_fault), SN_RC_INTERNAL);
	assert_int_equal(s.synth->plan(s.instance, 1, 0, &units, &size, &synth_fault), SN_RC_INTERNAL);
	assert_int_equal(s.synth->plan(s.instance, info->max_streams + 1, 1, &units, &size, &synth_fault), SN_RC_INTERNAL);
	assert_int_equal(s.synth->plan(s.instance, 1, info->max_frames + 1, &units, &size, &synth_fault), SN_RC_INTERNAL);
	assert_int_equal(s.synth->plan(s.instance, 1, 2, &units, &size, &synth_fault), SN_RC_OK);
	int32_t codes[2 * 16] = {0};
	void *job = calloc(1, size), *memory = calloc(1, info->stream_bytes);
	float *pcm = calloc(2 + info->delay_frames, is->frame_samples * sizeof *pcm);
	const sn_synth_chunk good = {.stream = memory, .codes = codes, .n_frames = 2, .last = 1, .pcm = pcm, .capacity = (uint64_t)(2 + info->delay_frames) * is->frame_samples};
	for (int k = 0; k < 5; k++) {
		sn_synth_chunk c = good;
		codes[2 * is->n_codes - 1] = k == 0 ? 1 << 16 : k == 1 ? -1 : 1;
		c.capacity -= k == 2;
		c.first_frame = k == 3 ? info->max_frames - 1 : 0;
		memset(job, 0, size);
		assert_int_equal(ops_ctx_open(&ctx, &s.o, size, &err), SN_OK);
		assert_int_equal(s.synth->begin(s.instance, NULL, job, ctx, &c, 1, &synth_fault), k < 4 ? SN_RC_INTERNAL : SN_RC_OK);
		if (k == 4) {
			while (s.synth->step(s.instance, NULL, job, ctx, 5, &done, &synth_fault) == SN_RC_AGAIN)
				;
			assert_int_equal(s.synth->step(s.instance, NULL, job, ctx, 5, &done, &synth_fault), SN_RC_END);
			assert_int_equal(done, 0);
			assert_int_equal(c.n_samples, 2 * is->frame_samples);
		}
		s.synth->end(s.instance, job);
		ops_ctx_close(&ctx);
	}
	free(job);
	free(memory);
	free(pcm);
	dismiss(&s);
}

