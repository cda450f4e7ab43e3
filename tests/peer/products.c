/* products.c - how long ggml takes for one quantised matrix of 4096 x 4096 times 1 and 16 rows, on one thread: what to hold
 * `kn_check --time linear_TYPE` against (its rows "n 4096 k 4096"). Times here hold the rows' quantisation, too.
 *
 *   cc -O2 -I LLAMA.CPP/ggml/include products.c -L LIBS -lggml-cpu -lggml-base -Wl,-rpath,LIBS -o products && ./products
 *
 * LIBS: where llama-cpp-python has its libraries, llama_cpp/lib. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ggml-cpu.h"
#include "ggml.h"

enum { N = 4096, PIECE = 64, RUNS = 12 };

static double now(void)
{
	struct timespec s;
	clock_gettime(CLOCK_MONOTONIC, &s);
	return (double)s.tv_sec + 1e-9 * (double)s.tv_nsec;
}

static double least(enum ggml_type type, int m, const float *values)
{
	struct ggml_context *c = ggml_init((struct ggml_init_params){.mem_size = (size_t)256 << 20});
	struct ggml_tensor *w = ggml_new_tensor_2d(c, type, N, N), *x = ggml_new_tensor_2d(c, GGML_TYPE_F32, N, m);
	size_t piece = PIECE * ggml_row_size(type, N);
	memcpy(x->data, values, (size_t)N * m * sizeof *values);
	ggml_quantize_chunk(type, values, w->data, 0, PIECE, N, NULL);
	for (size_t at = piece; at < N / PIECE * piece; at += piece)
		memcpy((char *)w->data + at, w->data, piece);
	struct ggml_cgraph *g = ggml_new_graph(c);
	ggml_build_forward_expand(g, ggml_mul_mat(c, w, x));
	struct ggml_cplan plan = ggml_graph_plan(g, 1, NULL);
	plan.work_data = malloc(plan.work_size + 1);
	double best = 1e9;
	for (int run = 0; run < RUNS && plan.work_data; run++) {
		double before = now();
		ggml_graph_compute(g, &plan);
		double took = now() - before;
		best = took < best ? took : best;
	}
	free(plan.work_data);
	ggml_free(c);
	return best;
}

int main(void)
{
	static const enum ggml_type types[] = {
	    GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q2_K, GGML_TYPE_Q3_K, GGML_TYPE_Q4_K,
	    GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS, GGML_TYPE_TQ1_0, GGML_TYPE_TQ2_0, GGML_TYPE_MXFP4,
	};
	float *values = malloc((size_t)PIECE * N * sizeof *values);
	if (!values)
		return 1;
	for (size_t i = 0; i < (size_t)PIECE * N; i++)
		values[i] = (float)rand() / (float)RAND_MAX - 0.5f;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		printf("%-8s m 1 %9.1f us   m 16 %9.1f us\n", ggml_type_name(types[i]), least(types[i], 1, values) * 1e6, least(types[i], 16, values) * 1e6);
	free(values);
}
