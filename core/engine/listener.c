#include "engine/listener.h"

#include <stdlib.h>

listener *listener_new(metrics *m, uint32_t rate)
{
	listener *l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	l->metrics = m;
	l->rate = rate * 1e-3;
	atomic_init(&l->owners, 1);
	return l;
}

listener *listener_ref(listener *l)
{
	atomic_fetch_add(&l->owners, 1);
	return l;
}

static uint64_t given_up_to(const listener *l, uint32_t i)
{
	uint64_t n = l->n_before;
	for (uint32_t k = l->first; k <= i; k++)
		n += l->n_given[k % SPEECH_FLIGHT];
	return n;
}

static void leave_figures(const listener *l)
{
	uint64_t n = given_up_to(l, l->first + SPEECH_FLIGHT - 1);
	if (!n)
		return;
	metric_observe(l->metrics, H_UNDERRUN, l->waited_ms);
	if (l->whole)
		metric_observe(l->metrics, H_RTF, (l->t_last - l->t_begin) / ((double)n / l->rate) * 1e3); /* a ratio where others are seconds */
}

void listener_unref(listener **lp)
{
	listener *l = *lp;
	*lp = NULL;
	if (!l || atomic_fetch_sub(&l->owners, 1) != 1)
		return;
	leave_figures(l);
	free(l);
}

void listener_expect(listener *l, uint32_t i)
{
	while (i - l->first >= SPEECH_FLIGHT) {
		l->n_before += l->n_given[l->first % SPEECH_FLIGHT];
		l->n_given[l->first++ % SPEECH_FLIGHT] = 0;
	}
}

double listener_slack(const listener *l, uint32_t i, double now)
{
	return l->t_play > 0 ? l->t_play + (double)given_up_to(l, i) / l->rate - now : 0;
}

void listener_give(listener *l, uint32_t i, uint32_t n, uint64_t n_unread, double t_words, double now)
{
	double had = (double)given_up_to(l, i) / l->rate, late = l->t_play > 0 ? now - l->t_play - had : 0;
	if (n == 0)
		return;
	if (l->t_play <= 0) {
		l->t_play = now - had;
		metric_observe(l->metrics, H_TTFA, now - l->t_words);
	} else if (late > 0 && !n_unread && t_words < now - late) {
		l->waited_ms += late;
		metric_add(l->metrics, S_UNDERRUN, (uint64_t)(late * 1e3));
	}
	if (late > 0) /* also where the words came late, or the reader takes its time: it is not kept waiting by us */
		l->t_play += late;
	l->t_last = now;
	l->n_given[i % SPEECH_FLIGHT] += n;
	metric_add(l->metrics, S_AUDIO, (uint64_t)((double)n / l->rate * 1e3));
}
