#include "engine/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* Philox 4x32-10 (Salmon et al., 2011). */
double sampler_uniform(uint64_t seed, uint32_t choice, uint32_t index, uint32_t draw)
{
	uint32_t c[4] = {index, choice, draw, 0}, k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
	for (int round = 0; round < 10; round++) {
		uint64_t a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
		uint32_t n[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k0, (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ k1, (uint32_t)a};
		memcpy(c, n, sizeof c);
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	return (double)(((uint64_t)c[0] << 21) ^ c[1] >> 11) * 0x1p-53;
}

sn_status sampler_reserve(sampler *s, uint32_t n_vocab, sn_error *err)
{
	if (n_vocab <= s->n_vocab)
		return SN_OK;
	sampler_fini(s);
	s->heap = malloc(n_vocab * sizeof *s->heap);
	s->mask = malloc(((size_t)n_vocab + 31) / 32 * sizeof *s->mask);
	s->work = malloc(n_vocab * sizeof *s->work);
	s->n_vocab = n_vocab;
	if (s->heap && s->mask && s->work)
		return SN_OK;
	sampler_fini(s);
	return error_set(err, SN_ERR_NOMEM, "no memory to sample from %u tokens", n_vocab);
}

size_t sampler_bytes(const sampler *s, uint32_t n_vocab)
{
	size_t n = n_vocab > s->n_vocab ? n_vocab : s->n_vocab;
	return n * (sizeof *s->heap + sizeof *s->work) + (n + 31) / 32 * sizeof *s->mask;
}

void sampler_fini(sampler *s)
{
	free(s->heap);
	free(s->mask);
	free(s->work);
	*s = (sampler){0};
}

/* ---- max-heap of candidates: higher logit first, then lower id ---- */

static bool before(token_logprob a, token_logprob b)
{
	return a.logprob > b.logprob || (a.logprob == b.logprob && a.token < b.token);
}

static void sift_down(token_logprob *h, uint32_t n, uint32_t i)
{
	for (;;) {
		uint32_t best = i, l = 2 * i + 1, r = l + 1;
		if (l < n && before(h[l], h[best]))
			best = l;
		if (r < n && before(h[r], h[best]))
			best = r;
		if (best == i)
			return;
		token_logprob t = h[i];
		h[i] = h[best];
		h[best] = t;
		i = best;
	}
}

static void heapify(token_logprob *h, uint32_t n)
{
	for (uint32_t i = n / 2; i-- > 0;)
		sift_down(h, n, i);
}

/* Moves the best of h[0, n) to h[n - 1]: popping k times leaves the k best, best last, at the end. */
static void pop(token_logprob *h, uint32_t n)
{
	token_logprob t = h[0];
	h[0] = h[n - 1];
	h[n - 1] = t;
	sift_down(h, n - 1, 0);
}

/* ---- stages ---- */

static bool all_finite(const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!isfinite(x[i]))
			return false;
	return true;
}

static void forbid_end(const sn_sampling *p, float *w, uint32_t n, int32_t first, const vocab *v)
{
	for (uint32_t i = 0; i < n; i++)
		if (vocab_is_eog(v, first + (int32_t)i))
			w[i] = -INFINITY;
	for (size_t i = 0; i < p->n_stop_token_ids; i++)
		if (p->stop_token_ids[i] >= first && (uint32_t)(p->stop_token_ids[i] - first) < n)
			w[p->stop_token_ids[i] - first] = -INFINITY;
}

/* The output so far as plain ids, for masks and rules; the heap is free before the draw and lends its memory. */
static const int32_t *said_so_far(sampler *s, const seq_row *rows, uint32_t n_rows, uint32_t n_prompt, uint32_t *n)
{
	int32_t *tokens = (int32_t *)(void *)s->heap;
	*n = n_rows - n_prompt < s->n_vocab ? n_rows - n_prompt : s->n_vocab;
	for (uint32_t i = 0; i < *n; i++)
		tokens[i] = rows[n_rows - *n + i].id;
	return tokens;
}

static void forbid_others(const uint32_t *allowed, float *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!(allowed[i / 32] >> (i % 32) & 1))
			w[i] = -INFINITY;
}

static void apply_mask(sampler *s, const sn_sampling *p, uint32_t choice, float *w, uint32_t n, const seq_row *rows, uint32_t n_rows,
                       uint32_t n_prompt)
{
	size_t words = ((size_t)n + 31) / 32;
	memset(s->mask, 0xFF, words * sizeof *s->mask);
	uint32_t n_out;
	const int32_t *tokens = said_so_far(s, rows, n_rows, n_prompt, &n_out);
	p->mask(p->mask_ctx, choice, s->mask, n, tokens, n_out);
	forbid_others(s->mask, w, n);
}

/* Repetition looks at prompt and output, presence and frequency at the output only (as OpenAI and vLLM define them). */
static void penalise(sampler *s, const sn_sampling *p, float *w, const float *logits, uint32_t n, int32_t first, const seq_row *rows,
                     uint32_t n_rows, uint32_t n_prompt)
{
	uint32_t *seen = s->mask; /* free until apply_mask */
	memset(seen, 0, ((size_t)n + 31) / 32 * sizeof *seen);
	for (uint32_t r = 0; r < n_rows; r++) {
		uint32_t t = (uint32_t)(rows[r].id - first); /* of tokens before the first: beyond n */
		if (rows[r].media >= 0 || t >= n)
			continue;
		if (p->repetition_penalty != 1 && w[t] == logits[t]) /* once a token: untouched so far */
			w[t] = w[t] > 0 ? w[t] / p->repetition_penalty : w[t] * p->repetition_penalty;
	}
	for (uint32_t r = n_prompt; r < n_rows; r++) {
		uint32_t t = (uint32_t)(rows[r].id - first);
		if (t >= n)
			continue;
		bool new = !(seen[t / 32] >> (t % 32) & 1);
		seen[t / 32] |= 1u << (t % 32);
		w[t] -= p->frequency_penalty + (new ? p->presence_penalty : 0);
	}
}

static void log_softmax_of(const float *logits, uint32_t n, float *max, double *log_sum)
{
	*max = logits[0];
	for (uint32_t i = 1; i < n; i++)
		*max = logits[i] > *max ? logits[i] : *max;
	double sum = 0;
	for (uint32_t i = 0; i < n; i++)
		sum += exp((double)logits[i] - (double)*max);
	*log_sum = log(sum);
}

static void fill_logprobs(sampler *s, const sn_sampling *p, const float *logits, uint32_t n, sample *out)
{
	float max;
	double log_sum;
	log_softmax_of(logits, n, &max, &log_sum);
	out->logprob = (float)((double)logits[out->token] - (double)max - log_sum);
	for (uint32_t i = 0; i < n; i++)
		s->heap[i] = (token_logprob){(int32_t)i, logits[i]};
	heapify(s->heap, n);
	for (; out->n_top < p->top_logprobs && out->n_top < n && out->n_top < SN_MAX_TOP_LOGPROBS; out->n_top++) {
		pop(s->heap, n - out->n_top);
		token_logprob t = s->heap[n - out->n_top - 1];
		out->top[out->n_top] = (token_logprob){t.token, (float)((double)t.logprob - (double)max - log_sum)};
	}
}

static int32_t argmax(const float *w, uint32_t n)
{
	uint32_t best = 0;
	for (uint32_t i = 1; i < n; i++)
		if (w[i] > w[best])
			best = i;
	return (int32_t)best;
}

/* Draws from softmax(w / temperature) cut by min_p, top_k and top_p. */
static int32_t draw(sampler *s, const sn_sampling *p, const float *w, uint32_t n, double u)
{
	float max = w[argmax(w, n)], floor_at = -INFINITY;
	if (p->min_p > 0)
		floor_at = max + logf(p->min_p) * p->temperature;
	uint32_t n_kept = 0;
	double total = 0;
	for (uint32_t i = 0; i < n; i++)
		if (w[i] > -INFINITY && w[i] >= floor_at) {
			s->heap[n_kept++] = (token_logprob){(int32_t)i, w[i]};
			total += exp((double)((w[i] - max) / p->temperature));
		}
	uint32_t k = p->top_k > 0 && (uint32_t)p->top_k < n_kept ? (uint32_t)p->top_k : n_kept;
	if (k == n_kept && p->top_p >= 1) { /* nothing to cut: no order needed */
		double at = u * total, sum = 0;
		for (uint32_t i = 0; i < n_kept; i++) {
			sum += exp((double)((s->heap[i].logprob - max) / p->temperature));
			if (sum > at)
				return s->heap[i].token;
		}
		return s->heap[n_kept - 1].token;
	}
	/* Best first, until top_k tokens or top_p of their mass are there. */
	heapify(s->heap, n_kept);
	if (k < n_kept) {
		total = 0;
		for (uint32_t i = 0; i < k; i++) {
			pop(s->heap, n_kept - i);
			total += exp((double)((s->heap[n_kept - 1 - i].logprob - max) / p->temperature));
		}
	}
	double sum = 0;
	uint32_t n_nucleus = 0;
	while (n_nucleus < k && (n_nucleus == 0 || sum < (double)p->top_p * total)) {
		if (k == n_kept)
			pop(s->heap, n_kept - n_nucleus);
		sum += exp((double)((s->heap[n_kept - 1 - n_nucleus].logprob - max) / p->temperature));
		n_nucleus++;
	}
	double at = u * sum, cum = 0;
	for (uint32_t i = 0; i < n_nucleus; i++) {
		token_logprob t = s->heap[n_kept - 1 - i];
		cum += exp((double)((t.logprob - max) / p->temperature));
		if (cum > at)
			return t.token;
	}
	return s->heap[n_kept - n_nucleus].token;
}

bool sampler_run(sampler *s, const sn_sampling *p, const token_rules *rules, const uint32_t *allowed, uint64_t seed, uint32_t choice, const vocab *v,
                 const float *logits, uint32_t n_logits, int32_t first, const seq_row *rows, uint32_t n_rows, uint32_t n_prompt, sample *out)
{
	uint32_t n = (uint32_t)vocab_size(v) - (uint32_t)first, index = n_rows - n_prompt;
	n = n_logits < n ? n_logits : n;
	*out = (sample){0};
	if (!all_finite(logits, n_logits))
		return false;
	float *w = s->work;
	memcpy(w, logits, n * sizeof *w);
	if (p->repetition_penalty != 1 || p->presence_penalty != 0 || p->frequency_penalty != 0)
		penalise(s, p, w, logits, n, first, rows, n_rows, n_prompt);
	for (size_t i = 0; i < p->n_logit_bias; i++)
		if (p->logit_bias[i].token >= first && (uint32_t)(p->logit_bias[i].token - first) < n)
			w[p->logit_bias[i].token - first] += p->logit_bias[i].bias;
	if (index < p->min_tokens)
		forbid_end(p, w, n, first, v);
	if (p->mask)
		apply_mask(s, p, choice, w, n, rows, n_rows, n_prompt);
	if (allowed)
		forbid_others(allowed, w, n);
	bool speaks = rules && rules->n_slots;
	if (speaks) {
		rules_apply_frames(rules, w, n, first, index);
	} else if (rules) {
		uint32_t n_said;
		const int32_t *said = said_so_far(s, rows, n_rows, n_prompt, &n_said);
		rules_apply(rules, w, n, said, n_said);
	}
	out->token = argmax(w, n);
	if (!isfinite(w[out->token]))
		return false; /* everything is forbidden, or parameters drove a logit out of range */
	if (p->temperature > 0)
		out->token = draw(s, p, w, n, sampler_uniform(seed, choice, index, 0));
	if (rules && !speaks) { /* of codes nobody asks */
		float max;
		double log_sum;
		log_softmax_of(w, n, &max, &log_sum);
		out->logprob = (float)((double)w[out->token] - (double)max - log_sum);
	} else if (p->logprobs) {
		fill_logprobs(s, p, logits, n, out);
	}
	out->token += first;
	for (uint32_t i = 0; i < out->n_top; i++)
		out->top[i].token += first;
	return true;
}

int32_t sampler_choose(sampler *s, const float *logits, uint32_t n, float temperature, uint32_t top_k, float top_p, double u)
{
	const sn_sampling p = {.temperature = temperature, .top_k = (int32_t)top_k, .top_p = top_p};
	if (!all_finite(logits, n))
		return -1;
	return temperature > 0 ? draw(s, &p, logits, n, u) : argmax(logits, n);
}

float sampler_probability(const float *logits, uint32_t n_logits, int32_t token)
{
	double max = -INFINITY, sum = 0;
	for (uint32_t i = 0; i < n_logits; i++)
		max = fmax(max, (double)logits[i]);
	for (uint32_t i = 0; i < n_logits; i++)
		sum += exp((double)logits[i] - max);
	return token < 0 || (uint32_t)token >= n_logits ? 0 : (float)(exp((double)logits[token] - max) / sum);
}
