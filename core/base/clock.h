/* clock.h - monotonic time in milliseconds, and as waiting wants it. */
#ifndef SN_BASE_CLOCK_H
#define SN_BASE_CLOCK_H

#include <time.h>

static inline double clock_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Whole milliseconds until then, rounded up: who waits in rounds does not spend the last one awake. 0: it is past. */
static inline int clock_left_ms(double until)
{
	double left = until - clock_ms();
	return left <= 0 ? 0 : left < 1e9 ? (int)left + 1 : 1000000000;
}

/* That many milliseconds from now, as pthread_cond_timedwait on a monotonic clock wants it. */
static inline struct timespec clock_in_ms(int ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

#endif
