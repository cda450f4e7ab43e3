/* rope.c - reference of the rotary embedding. */
#include "cpu.h"

void kn_rope_ref(float *x, size_t ldx, const float *cos_sin, size_t m, size_t n_head, size_t head_dim, size_t n_rot, int neox)
{
	size_t half = n_rot / 2, next = neox ? half : 1, step = neox ? 1 : 2;
	for (size_t r = 0; r < m; r++, cos_sin += n_rot) {
		for (size_t h = 0; h < n_head; h++) {
			float *v = x + r * ldx + h * head_dim;
			for (size_t i = 0; i < half; i++) {
				float *a = v + i * step, *b = a + next;
				float c = cos_sin[i], s = cos_sin[half + i], a0 = *a, b0 = *b;
				*a = a0 * c - b0 * s;
				*b = b0 * c + a0 * s;
			}
		}
	}
}
