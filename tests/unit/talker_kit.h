/* talker_kit.h - a Qwen3-TTS directory in miniature with random weights, as tests write it, and its tensors to compute with: text 24
 * wide is projected to a talker of 32, whose frames are a code of its own and four of a predictor 16 wide. Text is letters and blanks. */
#ifndef SN_TESTS_TALKER_KIT_H
#define SN_TESTS_TALKER_KIT_H

#include "scratch.h"

#include <math.h>

enum { T_WIDTH = 32, T_TEXT_WIDTH = 24, T_HEADS = 4, T_KV = 2, T_DIM = 8, T_FFN = 48, T_LAYERS = 2, N_TEXT = 72, N_CODEC = 64, N_CODES = 40 };
enum { D_WIDTH = 16, D_HEADS = 4, D_KV = 2, D_DIM = 8, D_FFN = 20, D_LAYERS = 2, N_PREDICTED = 4, N_VALUES = 30 };
enum { CODEC_PAD = 40, CODEC_BOS, CODEC_EOS, CODEC_THINK, CODEC_ENGLISH = 50, CODEC_ANN = 60, CODEC_BO };

static const double EPS = 1e-6, THETA = 10000, D_THETA = 500;

struct matrix { char name[96]; uint32_t rows, cols; float *v; }; /* cols 0: a vector */

static struct { struct matrix m[256]; size_t n; } TENSORS;

static inline const struct matrix *tensor_of(const char *fmt, ...)
{
	char name[96];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(name, sizeof name, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < TENSORS.n; i++)
		if (strcmp(TENSORS.m[i].name, name) == 0)
			return &TENSORS.m[i];
	fail_msg("no tensor %s", name);
	return NULL;
}

static inline void add_tensor(rng *r, const char *prefix, const char *name, uint32_t rows, uint32_t cols, double scale, double around)
{
	struct matrix *m = &TENSORS.m[TENSORS.n++];
	size_t n = (size_t)rows * (cols ? cols : 1);
	*m = (struct matrix){.rows = rows, .cols = cols, .v = malloc(n * sizeof *m->v)};
	snprintf(m->name, sizeof m->name, "%s%s", prefix, name);
	for (size_t i = 0; i < n; i++)
		m->v[i] = (float)(around + scale * (2 * rng_unit(r) - 1));
}

static inline void add_layers(rng *r, const char *prefix, uint32_t n, uint32_t width, uint32_t q, uint32_t kv, uint32_t dim, uint32_t ffn)
{
	for (uint32_t i = 0; i < n; i++) {
		char at[64];
		snprintf(at, sizeof at, "%s%u.", prefix, i);
		add_tensor(r, at, "input_layernorm.weight", width, 0, 0.3, 1);
		add_tensor(r, at, "post_attention_layernorm.weight", width, 0, 0.3, 1);
		add_tensor(r, at, "self_attn.q_norm.weight", dim, 0, 0.3, 1);
		add_tensor(r, at, "self_attn.k_norm.weight", dim, 0, 0.3, 1);
		add_tensor(r, at, "self_attn.q_proj.weight", q, width, 0.4, 0);
		add_tensor(r, at, "self_attn.k_proj.weight", kv, width, 0.4, 0);
		add_tensor(r, at, "self_attn.v_proj.weight", kv, width, 0.4, 0);
		add_tensor(r, at, "self_attn.o_proj.weight", width, q, 0.4, 0);
		add_tensor(r, at, "mlp.gate_proj.weight", ffn, width, 0.4, 0);
		add_tensor(r, at, "mlp.up_proj.weight", ffn, width, 0.4, 0);
		add_tensor(r, at, "mlp.down_proj.weight", width, ffn, 0.4, 0);
	}
}

static inline void make_tensors(void)
{
	rng r = {20260401};
	char name[64];
	TENSORS.n = 0;
	add_tensor(&r, "talker.", "model.text_embedding.weight", N_TEXT, T_TEXT_WIDTH, 1, 0);
	add_tensor(&r, "talker.", "model.codec_embedding.weight", N_CODEC, T_WIDTH, 1, 0);
	add_tensor(&r, "talker.", "text_projection.linear_fc1.weight", T_TEXT_WIDTH, T_TEXT_WIDTH, 0.5, 0);
	add_tensor(&r, "talker.", "text_projection.linear_fc1.bias", T_TEXT_WIDTH, 0, 0.5, 0);
	add_tensor(&r, "talker.", "text_projection.linear_fc2.weight", T_WIDTH, T_TEXT_WIDTH, 0.5, 0);
	add_tensor(&r, "talker.", "text_projection.linear_fc2.bias", T_WIDTH, 0, 0.5, 0);
	add_tensor(&r, "talker.", "model.norm.weight", T_WIDTH, 0, 0.3, 1);
	add_tensor(&r, "talker.", "codec_head.weight", N_CODEC, T_WIDTH, 0.5, 0);
	add_layers(&r, "talker.model.layers.", T_LAYERS, T_WIDTH, T_HEADS * T_DIM, T_KV * T_DIM, T_DIM, T_FFN);
	add_layers(&r, "talker.code_predictor.model.layers.", D_LAYERS, D_WIDTH, D_HEADS * D_DIM, D_KV * D_DIM, D_DIM, D_FFN);
	add_tensor(&r, "talker.code_predictor.", "model.norm.weight", D_WIDTH, 0, 0.3, 1);
	add_tensor(&r, "talker.code_predictor.", "small_to_mtp_projection.weight", D_WIDTH, T_WIDTH, 0.4, 0);
	add_tensor(&r, "talker.code_predictor.", "small_to_mtp_projection.bias", D_WIDTH, 0, 0.4, 0);
	for (int i = 0; i < N_PREDICTED; i++) {
		snprintf(name, sizeof name, "model.codec_embedding.%d.weight", i);
		add_tensor(&r, "talker.code_predictor.", name, N_VALUES, T_WIDTH, 1, 0);
		snprintf(name, sizeof name, "lm_head.%d.weight", i);
		add_tensor(&r, "talker.code_predictor.", name, N_VALUES, D_WIDTH, 0.8, 0);
	}
}

static inline void free_tensors(void)
{
	for (size_t i = 0; i < TENSORS.n; i++)
		free(TENSORS.m[i].v);
	TENSORS.n = 0;
}

static inline void write_text(const char *name, const char *text)
{
	char at[64];
	snprintf(at, sizeof at, "talker/%s", name);
	scratch_write(at, text, strlen(text));
}

static inline void write_tensors(void)
{
	bytes header = {0}, data = {0}, all = {0};
	char text[256];
	put(&header, "{", 1);
	for (size_t i = 0; i < TENSORS.n; i++) {
		const struct matrix *m = &TENSORS.m[i];
		size_t n = (size_t)m->rows * (m->cols ? m->cols : 1) * sizeof *m->v, begin = data.n;
		char sizes[32];
		put(&data, m->v, n);
		snprintf(sizes, sizeof sizes, m->cols ? "%u,%u" : "%u", m->rows, m->cols);
		put(&header, text, (size_t)snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", i ? "," : "",
		                                    m->name, sizes, begin, data.n));
	}
	put(&header, "}", 1);
	while (header.n % 8)
		put(&header, " ", 1);
	put64(&all, header.n);
	put(&all, header.p, header.n);
	put(&all, data.p, data.n);
	scratch_write("talker/model.safetensors", all.p, all.n);
	free(header.p);
	free(data.p);
	free(all.p);
}

/* Single letters, a blank, and what stands for ends, pads and lanes. */
static inline void write_tokenizer(void)
{
	static const char *const special[] = {"<|im_start|>", "<|im_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>"};
	char text[8192];
	size_t n = (size_t)snprintf(text, sizeof text, "{\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"
	                            "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"\xC4\xA0\":0,\"\xC4\x8A\":1,\".\":2");
	int id = 3;
	for (char c = 'a'; c <= 'z'; c++)
		n += (size_t)snprintf(text + n, sizeof text - n, ",\"%c\":%d", c, id++);
	for (char c = 'A'; c <= 'Z'; c++)
		n += (size_t)snprintf(text + n, sizeof text - n, ",\"%c\":%d", c, id++);
	n += (size_t)snprintf(text + n, sizeof text - n, "}},\"added_tokens\":[");
	for (size_t i = 0; i < sizeof special / sizeof *special; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s{\"id\":%d,\"content\":\"%s\",\"special\":true,\"normalized\":false}", i ? "," : "", id++, special[i]);
	snprintf(text + n, sizeof text - n, "]}");
	write_text("tokenizer.json", text);
}

/* What the two configurations say beside the sizes: members, each with a comma before it. */
static inline void write_talker_config(const char *talker, const char *predictor)
{
	char text[4096];
	snprintf(text, sizeof text,
	         "{\"architectures\":[\"Qwen3TTSForConditionalGeneration\"],\"model_type\":\"qwen3_tts\",\"tts_model_type\":\"custom_voice\",\"talker_config\":{\"vocab_size\":%d,\"hidden_size\":%d,"
	         "\"intermediate_size\":%d,\"num_hidden_layers\":%d,\"num_attention_heads\":%d,\"num_key_value_heads\":%d,\"head_dim\":%d,"
	         "\"max_position_embeddings\":256,\"rope_theta\":%g,\"num_code_groups\":%d,\"text_hidden_size\":%d,\"text_vocab_size\":%d,"
	         "\"rope_scaling\":{\"mrope_section\":[2,1,1],\"interleaved\":true,\"type\":\"default\"},"
	         "\"codec_pad_id\":%d,\"codec_bos_id\":%d,\"codec_eos_token_id\":%d,\"codec_think_id\":%d,\"codec_language_id\":{\"english\":%d},"
	         "\"spk_id\":{\"ann\":%d,\"bo\":%d},\"spk_is_dialect\":{\"ann\":false,\"bo\":false}%s,\"code_predictor_config\":{\"vocab_size\":%d,\"hidden_size\":%d,\"intermediate_size\":%d,"
	         "\"num_hidden_layers\":%d,\"num_attention_heads\":%d,\"num_key_value_heads\":%d,\"head_dim\":%d,\"rope_theta\":%g,\"num_code_groups\":%d%s}}}",
	         N_CODEC, T_WIDTH, T_FFN, T_LAYERS, T_HEADS, T_KV, T_DIM, THETA, N_PREDICTED + 1, T_TEXT_WIDTH, N_TEXT, CODEC_PAD, CODEC_BOS, CODEC_EOS,
	         CODEC_THINK, CODEC_ENGLISH, CODEC_ANN, CODEC_BO, talker, N_VALUES, D_WIDTH, D_FFN, D_LAYERS, D_HEADS, D_KV, D_DIM, D_THETA, N_PREDICTED + 1,
	         predictor);
	write_text("config.json", text);
}

static inline void write_talker(void)
{
	mkdir(scratch_path("talker"), 0700);
	write_tensors();
	write_tokenizer();
	write_talker_config("", "");
}

/* ---- what comes out, in double precision, straight ahead ---- */

static inline void times(double *y, const struct matrix *w, const double *x, const struct matrix *bias)
{
	for (uint32_t o = 0; o < w->rows; o++) {
		y[o] = bias ? bias->v[o] : 0;
		for (uint32_t i = 0; i < w->cols; i++)
			y[o] += (double)w->v[(size_t)o * w->cols + i] * x[i];
	}
}

static inline double silu(double x)
{
	return x / (1 + exp(-x));
}

static inline void normed(double *y, const double *x, const struct matrix *w, uint32_t n)
{
	double sum = 0;
	for (uint32_t i = 0; i < n; i++)
		sum += x[i] * x[i];
	for (uint32_t i = 0; i < n; i++)
		y[i] = x[i] / sqrt(sum / n + EPS) * (double)w->v[i];
}

/* += the embedding of a token of the whole vocabulary. */
static inline void add_token(double *row, uint32_t token)
{
	if (token >= N_TEXT) {
		for (uint32_t i = 0; i < T_WIDTH; i++)
			row[i] += (double)tensor_of("talker.model.codec_embedding.weight")->v[(token - N_TEXT) * T_WIDTH + i];
		return;
	}
	double x[T_TEXT_WIDTH], mid[T_TEXT_WIDTH], y[T_WIDTH];
	for (uint32_t i = 0; i < T_TEXT_WIDTH; i++)
		x[i] = (double)tensor_of("talker.model.text_embedding.weight")->v[token * T_TEXT_WIDTH + i];
	times(mid, tensor_of("talker.text_projection.linear_fc1.weight"), x, tensor_of("talker.text_projection.linear_fc1.bias"));
	for (uint32_t i = 0; i < T_TEXT_WIDTH; i++)
		mid[i] = silu(mid[i]);
	times(y, tensor_of("talker.text_projection.linear_fc2.weight"), mid, tensor_of("talker.text_projection.linear_fc2.bias"));
	for (uint32_t i = 0; i < T_WIDTH; i++)
		row[i] += y[i];
}

static inline void add_code(double *row, uint32_t i, int32_t code)
{
	const struct matrix *e = tensor_of("talker.code_predictor.model.codec_embedding.%u.weight", i);
	for (uint32_t k = 0; k < T_WIDTH; k++)
		row[k] += (double)e->v[(size_t)code * T_WIDTH + k];
}

static inline void heads_normed_and_turned(double *x, uint32_t n_heads, const struct matrix *norm, uint32_t position)
{
	for (uint32_t h = 0; h < n_heads; h++) {
		double *y = x + h * D_DIM, a[D_DIM];
		normed(a, y, norm, D_DIM);
		for (uint32_t i = 0; i < D_DIM / 2; i++) {
			double angle = position * pow(D_THETA, -2.0 * i / D_DIM), c = cos(angle), s = sin(angle);
			y[i] = a[i] * c - a[i + D_DIM / 2] * s;
			y[i + D_DIM / 2] = a[i + D_DIM / 2] * c + a[i] * s;
		}
	}
}

/* The predictor's logits of the row behind n inputs [n][T_WIDTH], all rows computed anew. */
static inline void predictor_logits(double *logits, const double *inputs, uint32_t n)
{
	static double x[N_PREDICTED + 1][D_WIDTH], q[N_PREDICTED + 1][D_HEADS * D_DIM], k[N_PREDICTED + 1][D_KV * D_DIM], v[N_PREDICTED + 1][D_KV * D_DIM];
	double h[D_WIDTH], a[D_HEADS * D_DIM], gate[D_FFN], up[D_FFN];
#define PART(name) tensor_of("talker.code_predictor.model.layers.%u." name ".weight", l)
	for (uint32_t r = 0; r < n; r++)
		times(x[r], tensor_of("talker.code_predictor.small_to_mtp_projection.weight"), inputs + r * T_WIDTH,
		      tensor_of("talker.code_predictor.small_to_mtp_projection.bias"));
	for (uint32_t l = 0; l < D_LAYERS; l++) {
		for (uint32_t r = 0; r < n; r++) {
			normed(h, x[r], PART("input_layernorm"), D_WIDTH);
			times(q[r], PART("self_attn.q_proj"), h, NULL);
			times(k[r], PART("self_attn.k_proj"), h, NULL);
			times(v[r], PART("self_attn.v_proj"), h, NULL);
			heads_normed_and_turned(q[r], D_HEADS, PART("self_attn.q_norm"), r);
			heads_normed_and_turned(k[r], D_KV, PART("self_attn.k_norm"), r);
		}
		for (uint32_t r = 0; r < n; r++) {
			for (uint32_t head = 0; head < D_HEADS; head++) {
				uint32_t of = head * D_KV / D_HEADS * D_DIM;
				double p[N_PREDICTED + 1], sum = 0;
				for (uint32_t j = 0; j <= r; j++) {
					double dot = 0;
					for (uint32_t i = 0; i < D_DIM; i++)
						dot += q[r][head * D_DIM + i] * k[j][of + i];
					sum += p[j] = exp(dot / sqrt(D_DIM));
				}
				for (uint32_t i = 0; i < D_DIM; i++) {
					a[head * D_DIM + i] = 0;
					for (uint32_t j = 0; j <= r; j++)
						a[head * D_DIM + i] += p[j] / sum * v[j][of + i];
				}
			}
			times(h, PART("self_attn.o_proj"), a, NULL);
			for (uint32_t i = 0; i < D_WIDTH; i++)
				x[r][i] += h[i];
			normed(h, x[r], PART("post_attention_layernorm"), D_WIDTH);
			times(gate, PART("mlp.gate_proj"), h, NULL);
			times(up, PART("mlp.up_proj"), h, NULL);
			for (uint32_t i = 0; i < D_FFN; i++)
				gate[i] = silu(gate[i]) * up[i];
			times(h, PART("mlp.down_proj"), gate, NULL);
			for (uint32_t i = 0; i < D_WIDTH; i++)
				x[r][i] += h[i];
		}
	}
	normed(h, x[n - 1], tensor_of("talker.code_predictor.model.norm.weight"), D_WIDTH);
	times(logits, tensor_of("talker.code_predictor.lm_head.%u.weight", n - 2), h, NULL);
#undef PART
}

#endif
