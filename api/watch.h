/* watch.h - total deadlines for sockets that civetweb owns.
 *
 * civetweb's own time-outs start over with every byte, so one byte a second never ends. This thread shuts the socket
 * down at a fixed time instead: the blocked read or write returns at once and the handler can still answer 408.
 * civetweb hides the descriptor, so it is looked up by the address of its peer.
 */
#ifndef API_WATCH_H
#define API_WATCH_H

#include <stdbool.h>

typedef struct watch watch;
typedef struct watch_conn watch_conn;

typedef enum watch_side { WATCH_READ, WATCH_BOTH } watch_side; /* what to shut down when time is up */

bool watch_open(watch **out);
void watch_close(watch **w);
/* NULL if there is no memory; the other calls accept that. */
watch_conn *watch_add(watch *w);
/* Looks the descriptor up, once. Until then nothing is enforced and the peer counts as present. */
void watch_find(watch_conn *c, const char *peer, int peer_port, int local_port);
void watch_remove(watch_conn **c);
void watch_arm(watch_conn *c, watch_side side, unsigned timeout_ms);
/* Returns false if the time had run out. */
bool watch_disarm(watch_conn *c);
bool watch_fired(watch_conn *c);
/* Milliseconds since the connection began, or since the last watch_touch. */
unsigned long watch_age_ms(const watch_conn *c);
void watch_touch(watch_conn *c);
/* The client closed its end, or the connection is broken. Never waits. */
bool watch_peer_gone(const watch_conn *c);
/* Ends the reading side of every connection: idle ones close at once when the server stops. */
void watch_stop_reading(watch *w);
/* Wakes the thread that accepts on a port of this process, for good. */
void watch_stop_listening(int port);

#endif
