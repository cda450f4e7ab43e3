/* auth.h - the API keys: where they come from and where a request's key stands. keys.h tells how they are compared. */
#ifndef API_AUTH_H
#define API_AUTH_H

#include "core.h"
#include "http.h"
#include "options.h"

#define AUTH_ID_SIZE 33

typedef struct auth auth;

/* Reads keys from --api-key, --api-key-file and SENSORIUM_API_KEY. */
int auth_open(auth **out, const options *o, sn_error *err);
/* Reads keys from --admin-api-key. */
int auth_open_admin(auth **out, const options *o, sn_error *err);
void auth_close(auth **a);
bool auth_needed(const auth *a); /* false if no key was given */
/* id: who asks, for caches: the same for the same key, "" without keys. */
bool auth_check(const auth *a, const http_exchange *x, char id[AUTH_ID_SIZE]);

#endif
