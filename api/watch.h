/* watch.h - total deadlines for sockets that civetweb owns, and room for new ones.
 *
 * civetweb's own time-outs start over with every byte, so one byte a second never ends. This thread shuts the socket
 * down at a fixed time instead: the blocked read or write returns at once and the handler can still answer 408.
 * civetweb hides the descriptor, so it is looked up by the address of its peer.
 *
 * A connection holds a thread of civetweb's also while it only waits: for the first byte, for the rest of its headers, for
 * its next request. When threads run short the one that has waited longest is shut down, so that whoever sends its request at once
 * is served at once, however many others do not.
 */
#ifndef API_WATCH_H
#define API_WATCH_H

#include <stdbool.h>

typedef struct watch watch;
typedef struct watch_conn watch_conn;

typedef enum watch_side { WATCH_READ, WATCH_BOTH } watch_side; /* what to shut down when time is up */

typedef struct watch_address {
	const char *peer; /* numeric */
	int peer_port, local_port;
} watch_address;
/* Whose connection it is; false while that cannot be told. Called from any thread between watch_add and watch_remove. */
typedef bool watch_locate(const void *conn, watch_address *out);

/* places: so many connections may be there before those that wait are shut down. */
bool watch_open(watch **out, unsigned places, watch_locate *locate);
void watch_close(watch **w);
/* A connection that waits, for timeout_ms at most. *crowded: another one was shut down for it. NULL if there is no memory; the
 * other calls accept that. */
watch_conn *watch_add(watch *w, const void *conn, unsigned timeout_ms, bool *crowded);
/* The same for one that civetweb does not show yet, by its descriptor. */
watch_conn *watch_add_fd(watch *w, int fd, unsigned timeout_ms, bool *crowded);
void watch_remove(watch_conn **c);
/* It works from now on: no deadline but those that are armed, and nobody takes its place. Looks its descriptor up; where that cannot be
 * done nothing is enforced and the peer counts as present. */
void watch_work(watch_conn *c);
/* It waits again, for timeout_ms at most. */
void watch_wait(watch_conn *c, unsigned timeout_ms);
/* It was shut down for a newer one. */
bool watch_crowded_out(watch_conn *c);
void watch_arm(watch_conn *c, watch_side side, unsigned timeout_ms);
/* Returns false if the time had run out. */
bool watch_disarm(watch_conn *c);
bool watch_fired(watch_conn *c);
/* Milliseconds since it began to wait. */
unsigned long watch_age_ms(const watch_conn *c);
/* The client closed its end, or the connection is broken. Never waits. */
bool watch_peer_gone(const watch_conn *c);
/* Ends the reading side of every connection: idle ones close at once when the server stops. */
void watch_stop_reading(watch *w);
/* Wakes the thread that accepts on a port of this process, for good. */
void watch_stop_listening(int port);

#endif
