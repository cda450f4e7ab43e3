#include "watch.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define TICK_MS 50

/* All of it under the owner's lock. */
struct watch_conn {
	watch *owner;
	watch_conn *prev, *next;
	const void *conn;  /* civetweb's */
	int fd;            /* borrowed; -1 until it is found */
	uint64_t since;    /* ms, monotonic: when it began to wait */
	uint64_t deadline; /* ms, monotonic; 0: none */
	watch_side side;
	bool waits, fired, crowded_out;
	bool lost;         /* the connection was broken before its descriptor was found */
};

struct watch {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	watch_locate *locate;
	unsigned places, n; /* n: connections that nobody has shut down for want of places */
	bool stop;
	watch_conn *conns;
};

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int address_port(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)a)->sin6_port)
	                                : ntohs(((const struct sockaddr_in *)a)->sin_port);
}

/* As civetweb writes it: with the scope of a link-local one. */
static bool address_is(const struct sockaddr_storage *a, socklen_t size, const char *text, int port)
{
	char name[NI_MAXHOST];
	if ((a->ss_family != AF_INET && a->ss_family != AF_INET6) || address_port(a) != port)
		return false;
	return getnameinfo((const struct sockaddr *)a, size, name, sizeof name, NULL, 0, NI_NUMERICHOST) == 0 && strcmp(name, text) == 0;
}

static bool is_connection(int fd, const char *peer, int peer_port)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof a;
	return getpeername(fd, (struct sockaddr *)&a, &n) == 0 && address_is(&a, n, peer, peer_port);
}

static bool is_listener(int fd)
{
	int on = 0;
	socklen_t n = sizeof on;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) == 0 && on;
}

enum { NO_SOCKET = -1, CANNOT_TELL = -2 };

/* This process's socket on local_port that is connected to the peer, or that listens if peer is NULL. */
static int socket_find(const char *peer, int peer_port, int local_port)
{
	DIR *dir = opendir("/proc/self/fd");
	if (!dir)
		return CANNOT_TELL;
	int found = NO_SOCKET;
	for (struct dirent *e; found < 0 && (e = readdir(dir));) {
		char *end;
		int fd = (int)strtol(e->d_name, &end, 10);
		struct sockaddr_storage a;
		socklen_t n = sizeof a;
		if (*end || end == e->d_name || !(peer ? is_connection(fd, peer, peer_port) : is_listener(fd)))
			continue;
		if (getsockname(fd, (struct sockaddr *)&a, &n) == 0 && address_port(&a) == local_port)
			found = fd;
	}
	closedir(dir);
	return found;
}

/* Locked. The descriptor, once it can be told. A client may reset the connection before that; then no socket has its address any more. */
static bool find(watch_conn *c)
{
	watch_address a;
	if (c->fd >= 0 || c->lost || !c->owner->locate(c->conn, &a))
		return c->fd >= 0;
	int fd = socket_find(a.peer, a.peer_port, a.local_port);
	c->lost = fd == NO_SOCKET;
	c->fd = fd >= 0 ? fd : -1;
	return fd >= 0;
}

static void *watch_run(void *arg)
{
	watch *w = arg;
	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		uint64_t now = now_ms();
		for (watch_conn *c = w->conns; c; c = c->next) {
			if (!c->deadline || now < c->deadline)
				continue;
			c->deadline = 0;
			c->fired = true;
			if (find(c))
				shutdown(c->fd, c->side == WATCH_READ ? SHUT_RD : SHUT_RDWR);
		}
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		pthread_cond_timedwait(&w->wake, &w->lock, &until);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

bool watch_open(watch **out, unsigned places, watch_locate *locate)
{
	watch *w = calloc(1, sizeof *w);
	if (!w)
		return false;
	w->places = places;
	w->locate = locate;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	if (pthread_create(&w->thread, NULL, watch_run, w) != 0) {
		pthread_cond_destroy(&w->wake);
		pthread_mutex_destroy(&w->lock);
		free(w);
		return false;
	}
	*out = w;
	return true;
}

void watch_close(watch **pw)
{
	watch *w = *pw;
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
	*pw = NULL;
}

/* Locked. Of those that wait, the one that has waited longest goes; its thread sees the end of the stream at once. */
static bool make_place(watch *w)
{
	watch_conn *oldest = NULL;
	for (watch_conn *c = w->conns; c; c = c->next)
		if (c->waits && !c->crowded_out && (!oldest || c->since <= oldest->since) && find(c))
			oldest = c;
	if (!oldest)
		return false;
	oldest->crowded_out = true;
	w->n--;
	shutdown(oldest->fd, SHUT_RD);
	return true;
}

static watch_conn *add(watch *w, const void *conn, int fd, unsigned timeout_ms, bool *crowded)
{
	watch_conn *c = calloc(1, sizeof *c);
	*crowded = false;
	if (!c)
		return NULL;
	*c = (watch_conn){.owner = w, .conn = conn, .fd = fd, .since = now_ms(), .waits = true};
	c->deadline = c->since + timeout_ms;
	pthread_mutex_lock(&w->lock);
	while (w->n >= w->places && make_place(w))
		*crowded = true;
	w->n++;
	c->next = w->conns;
	if (w->conns)
		w->conns->prev = c;
	w->conns = c;
	pthread_mutex_unlock(&w->lock);
	return c;
}

watch_conn *watch_add(watch *w, const void *conn, unsigned timeout_ms, bool *crowded)
{
	return add(w, conn, -1, timeout_ms, crowded);
}

watch_conn *watch_add_fd(watch *w, int fd, unsigned timeout_ms, bool *crowded)
{
	return add(w, NULL, fd, timeout_ms, crowded);
}

void watch_work(watch_conn *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->owner->lock);
	c->waits = false;
	c->deadline = 0;
	find(c);
	pthread_mutex_unlock(&c->owner->lock);
}

void watch_wait(watch_conn *c, unsigned timeout_ms)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->owner->lock);
	c->waits = true;
	c->since = now_ms();
	c->side = WATCH_READ;
	c->deadline = c->since + timeout_ms;
	while (c->owner->n > c->owner->places && make_place(c->owner)) /* when they came nobody waited whose place they could have had */
		;
	pthread_mutex_unlock(&c->owner->lock);
}

bool watch_crowded_out(watch_conn *c)
{
	if (!c)
		return false;
	pthread_mutex_lock(&c->owner->lock);
	bool out = c->crowded_out;
	pthread_mutex_unlock(&c->owner->lock);
	return out;
}

/* Its own thread alone writes since. */
unsigned long watch_age_ms(const watch_conn *c)
{
	return c ? (unsigned long)(now_ms() - c->since) : 0;
}

void watch_remove(watch_conn **pc)
{
	watch_conn *c = *pc;
	if (!c)
		return;
	pthread_mutex_lock(&c->owner->lock);
	c->owner->n -= !c->crowded_out;
	if (c->prev)
		c->prev->next = c->next;
	else
		c->owner->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	pthread_mutex_unlock(&c->owner->lock);
	free(c);
	*pc = NULL;
}

void watch_arm(watch_conn *c, watch_side side, unsigned timeout_ms)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->owner->lock);
	c->side = side;
	c->deadline = now_ms() + timeout_ms;
	pthread_mutex_unlock(&c->owner->lock);
}

bool watch_disarm(watch_conn *c)
{
	if (!c)
		return true;
	pthread_mutex_lock(&c->owner->lock);
	c->deadline = 0;
	bool in_time = !c->fired;
	pthread_mutex_unlock(&c->owner->lock);
	return in_time;
}

bool watch_fired(watch_conn *c)
{
	if (!c)
		return false;
	pthread_mutex_lock(&c->owner->lock);
	bool fired = c->fired;
	pthread_mutex_unlock(&c->owner->lock);
	return fired;
}

bool watch_peer_gone(const watch_conn *c)
{
	if (!c)
		return false;
	pthread_mutex_lock(&c->owner->lock);
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP}; /* -1 is never ready */
	bool lost = c->lost;
	pthread_mutex_unlock(&c->owner->lock);
	return lost || (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)));
}

void watch_stop_reading(watch *w)
{
	pthread_mutex_lock(&w->lock);
	for (watch_conn *c = w->conns; c; c = c->next)
		if (find(c))
			shutdown(c->fd, SHUT_RD);
	pthread_mutex_unlock(&w->lock);
}

void watch_stop_listening(int port)
{
	int fd = socket_find(NULL, 0, port);
	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
}
