/* auth.h - the API keys: where they come from and how a request's key is compared.
 *
 * Keys are kept as keyed BLAKE2b digests of fixed size; a request's key is hashed the same way and compared with all of
 * them in constant time. The secret is drawn at start, so a digest says nothing outside this process.
 */
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
