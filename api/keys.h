/* keys.h - a set of keys, of which only keyed digests of one size are kept; and the one way to ask whether a key is among them.
 *
 * A given key is hashed like the others and compared with every one of them in constant time, whatever came of those before: what is
 * done depends on the length that was given and on how many keys there are, never on which of them matches or how nearly. The
 * secret is drawn at start, so that a digest says nothing outside this process. */
#ifndef API_KEYS_H
#define API_KEYS_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>

enum { KEY_DIGEST_BYTES = 32 };

typedef struct key_set {
	unsigned char secret[crypto_generichash_KEYBYTES];
	unsigned char (*digests)[KEY_DIGEST_BYTES]; /* [n] */
	size_t n;
} key_set;

void keys_init(key_set *k);
void keys_fini(key_set *k); /* overwrites it */
bool keys_add(key_set *k, const char *key, size_t size); /* false: no memory */
/* digest: the given key's, the same for the same key. */
bool keys_match(const key_set *k, const char *key, size_t size, unsigned char digest[KEY_DIGEST_BYTES]);

#endif
