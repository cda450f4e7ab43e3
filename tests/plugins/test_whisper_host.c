/* test_whisper_host.c - whisper on the real host: GGUF files of every family, f32 kernels, threads: the references' rows, and the
 * same bytes whatever the slices and the number of threads. F16 convolutions, as converters store them, are read, too. */
#include "gguf_bytes.h"

#include <math.h>

#include "plugin/host.h"
#include "sounds.h"
#include "whisper_towers.h"

enum { F32 = 0, F16 = 1 }; /* as GGUF numbers them */

static void named(gguf *g, const char *name, uint32_t n_dims, uint64_t a, uint64_t b, uint64_t c, uint32_t type)
{
	size_t n = a * (b ? b : 1) * (c ? c : 1);
	float *v = malloc(n * sizeof *v);
	golden_tensor(name, n, v);
	pad(&g->data, g->alignment);
	info_at(g, name, n_dims, (uint64_t[]){a, b, c}, type, g->data.n);
	for (size_t i = 0; i < n; i++)
		put(&g->data, type == F16 ? (const void *)&(_Float16){(_Float16)v[i]} : &v[i], type == F16 ? 2 : 4);
	free(v);
}

static void matrix(gguf *g, const char *name, uint64_t n_out, uint64_t n_in) { named(g, name, 2, n_in, n_out, 0, F32); }
static void vector(gguf *g, const char *name, uint64_t n) { named(g, name, 1, n, 0, 0, F32); }

static void write_layer(gguf *g, uint32_t i, uint32_t ff)
{
	char name[64];
	static const char *const squares[] = {"attn_q", "attn_k", "attn_v", "attn_out"}, *const norms[] = {"ln1", "ln2"}, *const parts[] = {"weight", "bias"};
	for (int k = 0; k < 4; k++) {
		snprintf(name, sizeof name, "a.blk.%u.%s.weight", i, squares[k]);
		matrix(g, name, EMBD, EMBD);
		snprintf(name, sizeof name, "a.blk.%u.%s.bias", i, squares[k]);
		if (k != 1)
			vector(g, name, EMBD);
	}
	for (int k = 0; k < 4; k++) {
		snprintf(name, sizeof name, "a.blk.%u.%s.%s", i, norms[k / 2], parts[k % 2]);
		vector(g, name, EMBD);
	}
	snprintf(name, sizeof name, "a.blk.%u.ffn_up.weight", i);
	matrix(g, name, ff, EMBD);
	snprintf(name, sizeof name, "a.blk.%u.ffn_up.bias", i);
	vector(g, name, ff);
	snprintf(name, sizeof name, "a.blk.%u.ffn_down.weight", i);
	matrix(g, name, EMBD, ff);
	snprintf(name, sizeof name, "a.blk.%u.ffn_down.bias", i);
	vector(g, name, EMBD);
}

static const char *write_tower(const tower *t, uint32_t conv_type)
{
	gguf g = gguf_new();
	key_str(&g, "clip.audio.projector_type", t->type);
	key_head(&g, "clip.has_audio_encoder", FILE_BOOL);
	put(&g.keys, &(uint8_t){1}, 1);
	key_u32(&g, "clip.audio.num_mel_bins", MELS);
	key_u32(&g, "clip.audio.embedding_length", EMBD);
	key_u32(&g, "clip.audio.feed_forward_length", t->ff);
	key_u32(&g, "clip.audio.block_count", LAYERS);
	key_u32(&g, "clip.audio.attention.head_count", HEADS);
	key_u32(&g, "clip.audio.projection_dim", t->row_dim);
	key_f32(&g, "clip.audio.attention.layer_norm_epsilon", 1e-5f);
	key_u32(&g, "whisper.context_length", 448);
	if (t->stack)
		key_u32(&g, "clip.audio.projector.stack_factor", t->stack);
	if (t->n_window)
		key_u32(&g, "clip.audio.n_window", t->n_window);
	named(&g, "a.conv1d.1.weight", 3, 3, MELS, EMBD, conv_type);
	named(&g, "a.conv1d.1.bias", 2, 1, EMBD, 0, F32); /* as converters store it */
	named(&g, "a.conv1d.2.weight", 3, 3, EMBD, EMBD, conv_type);
	named(&g, "a.conv1d.2.bias", 2, 1, EMBD, 0, F32);
	matrix(&g, "a.position_embd.weight", CONTEXT, EMBD);
	for (uint32_t i = 0; i < LAYERS; i++)
		write_layer(&g, i, t->ff);
	vector(&g, "a.post_ln.weight", EMBD);
	vector(&g, "a.post_ln.bias", EMBD);
	uint64_t stacked = (uint64_t)EMBD * t->stack;
	if (strcmp(t->type, "ultravox") == 0) {
		vector(&g, "mm.a.norm_pre.weight", stacked);
		matrix(&g, "mm.a.mlp.1.weight", t->hidden, stacked);
		vector(&g, "mm.a.norm_mid.weight", t->hidden / 2);
		matrix(&g, "mm.a.mlp.2.weight", t->row_dim, t->hidden / 2);
	} else if (t->stack) {
		matrix(&g, "mm.a.mlp.1.weight", t->hidden, stacked);
		matrix(&g, "mm.a.mlp.2.weight", t->row_dim, t->hidden);
	} else if (t->row_dim == WIDTH) {
		matrix(&g, "mm.a.fc.weight", t->row_dim, EMBD);
		vector(&g, "mm.a.fc.bias", t->row_dim);
	}
	bytes f = gguf_bytes(&g);
	scratch_write("tower.gguf", f.p, f.n);
	free(f.p);
	return scratch_path("tower.gguf");
}

typedef struct served {
	pool *threads;
	ops o;
	plugin_host *host;
	encoder *e;
} served;

static void serve(served *s, const char *path, size_t n_threads, kn_isa cap)
{
	sn_error err = {0};
	assert_int_equal(pool_open(&s->threads, n_threads, &err), SN_OK);
	ops_init(&s->o, s->threads, cap);
	assert_int_equal(plugin_host_open(&s->host, PLUGIN_DIR, 1 << 20, s->threads, NULL, &err), SN_OK);
	vocoder *none;
	if (beside_open(s->host, path, NULL, &s->o, &s->e, &none, &err) != SN_OK)
		fail_msg("%s", err.text);
	assert_null(none);
	assert_string_equal(s->e->p->desc->id, "whisper");
}

static void dismiss(served *s)
{
	encoder_close(&s->e);
	assert_int_equal(atomic_load(&s->host->held), 0);
	plugin_host_close(&s->host);
	ops_fini(&s->o);
	pool_close(&s->threads);
}

static float *encode(served *s, size_t clip, uint32_t slice, uint32_t *n_rows)
{
	const encoder *e = s->e;
	sn_fault fault = {.size = sizeof fault};
	sn_error err;
	sn_media m = {.size = sizeof m, .kind = SN_MEDIA_AUDIO, .rate = 16000, .n_samples = clip, .bytes = clip * 4, .samples = sound_wave(clip, clip)};
	sn_media_plan p = {.size = sizeof p};
	sn_ops_ctx *ctx;
	uint32_t done;
	assert_int_equal(e->p->plan->plan(e->instance, NULL, &m, &p, &fault), SN_RC_OK);
	void *job = calloc(1, p.state_bytes);
	assert_int_equal(ops_ctx_open(&ctx, &s->o, p.state_bytes, &err), SN_OK);
	float *rows = malloc((size_t)p.n_rows * e->p->plan->row_dim(e->instance) * sizeof *rows);
	sn_rc rc = e->p->encode->begin(e->instance, NULL, job, ctx, &m, &p, &fault);
	while (rc == SN_RC_OK || rc == SN_RC_AGAIN)
		rc = e->p->encode->step(e->instance, NULL, job, ctx, slice, &done, rows, &fault);
	if (rc != SN_RC_END)
		fail_msg("%s", fault.text);
	e->p->encode->end(e->instance, job);
	ops_ctx_close(&ctx);
	free(job);
	free(m.samples);
	*n_rows = p.n_rows;
	return rows;
}

static void rows_are_the_references(void **state)
{
	(void)state;
	for (int i = 0; i < N_TOWERS; i++)
		for (int best = 0; best < 2; best++) {
			const tower *t = &TOWERS[i];
			served s, alone;
			const char *path = write_tower(t, F32);
			double worst = 0;
			serve(&s, path, 3, best ? 0 : KN_ISA_REF);
			serve(&alone, path, 1, best ? 0 : KN_ISA_REF);
			for (int k = 0; k < 4 && t->clips[k]; k++) {
				uint32_t n_rows, again;
				float *rows = encode(&s, t->clips[k], UINT32_MAX, &n_rows), *sliced = encode(&alone, t->clips[k], 1, &again);
				double error = tower_error(t, t->clips[k], rows, n_rows);
				worst = error > worst ? error : worst;
				assert_memory_equal(rows, sliced, (size_t)n_rows * t->row_dim * sizeof *rows);
				free(rows);
				free(sliced);
			}
			print_message("%s, %s: worst error %.1e of a row's largest value\n", t->type, kn_isa_name(s.o.isa), worst);
			assert_true(worst <= 1e-4);
			dismiss(&s);
			dismiss(&alone);
		}
}

/* As close as weights of 11 bits are. */
static void convolutions_may_be_f16(void **state)
{
	(void)state;
	served s;
	uint32_t n_rows;
	serve(&s, write_tower(&TOWERS[0], F16), 2, 0);
	float *rows = encode(&s, 7777, 7, &n_rows);
	double error = tower_error(&TOWERS[0], 7777, rows, n_rows);
	assert_true(error > 1e-5 && error < 1e-2);
	free(rows);
	dismiss(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_are_the_references),
	    cmocka_unit_test(convolutions_may_be_f16),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
