#include "keys.h"

#include <stdlib.h>

void keys_init(key_set *k)
{
	*k = (key_set){0};
	randombytes_buf(k->secret, sizeof k->secret);
}

void keys_fini(key_set *k)
{
	if (k->digests)
		sodium_memzero(k->digests, k->n * sizeof *k->digests);
	free(k->digests);
	sodium_memzero(k, sizeof *k);
}

static void digest_of(const key_set *k, unsigned char out[KEY_DIGEST_BYTES], const char *key, size_t size)
{
	crypto_generichash(out, KEY_DIGEST_BYTES, (const unsigned char *)key, size, k->secret, sizeof k->secret);
}

bool keys_add(key_set *k, const char *key, size_t size)
{
	void *grown = realloc(k->digests, (k->n + 1) * sizeof *k->digests);
	if (!grown)
		return false;
	k->digests = grown;
	digest_of(k, k->digests[k->n++], key, size);
	return true;
}

bool keys_match(const key_set *k, const char *key, size_t size, unsigned char digest[KEY_DIGEST_BYTES])
{
	unsigned differs = 1;
	digest_of(k, digest, key, size);
	for (size_t i = 0; i < k->n; i++) /* all of them: no early exit */
		differs &= (unsigned)sodium_memcmp(digest, k->digests[i], KEY_DIGEST_BYTES) & 1; /* 0 or -1 */
	return !differs;
}
