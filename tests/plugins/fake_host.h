/* fake_host.h - a host small enough to read: services for one plugin at a time, in plain C, counting what plugins do. */
#ifndef TESTS_FAKE_HOST_H
#define TESTS_FAKE_HOST_H

#include <sensorium/host/log.h>
#include <sensorium/host/memory.h>
#include <sensorium/host/ops.h>
#include <sensorium/host/weights.h>
#include <sensorium/plugin.h>

/* One key of a model file. */
typedef struct fake_key {
	const char *name;
	enum { FAKE_U32, FAKE_F32, FAKE_BOOL, FAKE_STR, FAKE_F32X3, FAKE_I32S, FAKE_STRS } type;
	double number;
	const char *text;
	float array[3];
	const int32_t *integers;    /* FAKE_I32S, FAKE_STRS: [n] */
	const char *const *strings;
	uint32_t n;
} fake_key;

/* A model file: keys, and tensors that are functions of their names (golden_weights). */
struct sn_model {
	const fake_key *keys;
	size_t n_keys;
	bool swapped_ff;         /* ffn_up and ffn_down carry each other's names */
	const char *missing;     /* a tensor that is not there, or NULL */
	uint32_t ff, embd;       /* so that swapped_ff knows whose shape is asked for */
	const struct fake_shape { const char *name; uint64_t rows, cols; } *shapes; /* of matrices whose shapes are asked for, [n_shapes] */
	size_t n_shapes;
};

typedef struct fake_host {
	sn_host host; /* first */
	size_t budget, held, peak, n_allocs;
	size_t fail_alloc; /* this allocation fails, counted from 1; 0: none */
	size_t n_logged;
	char last_log[256];
} fake_host;

void fake_host_init(fake_host *h);
/* Frees tensors and weights that the fake weights service made. */
void fake_host_fini(fake_host *h);

sn_ops_ctx *fake_ops_open(uint64_t budget);
void fake_ops_close(sn_ops_ctx *ctx);
uint64_t fake_ops_used(const sn_ops_ctx *ctx);

/* The list of a plugin file under PLUGIN_DIR. Fails the test if it does not load. */
const sn_plugin_list *fake_load_plugin(const char *file);

#endif
