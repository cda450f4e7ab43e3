/* hash.h - keyed 256-bit content hashes (BLAKE2b, libsodium). The key is drawn when the engine opens, so that nobody
 * outside can aim at a collision or recognise a hash. */
#ifndef SN_BASE_HASH_H
#define SN_BASE_HASH_H

#include <sodium.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hash256 { uint8_t b[32]; } hash256;
typedef struct hash_key { uint8_t b[32]; } hash_key;

typedef struct hasher { crypto_generichash_state state; } hasher;

static inline void hash_key_draw(hash_key *k)
{
	randombytes_buf(k->b, sizeof k->b);
}

static inline void hash_begin(hasher *h, const hash_key *k)
{
	crypto_generichash_init(&h->state, k->b, sizeof k->b, sizeof(hash256));
}

static inline void hash_add(hasher *h, const void *p, size_t n)
{
	crypto_generichash_update(&h->state, p, n);
}

static inline void hash_u64(hasher *h, uint64_t v)
{
	hash_add(h, &v, sizeof v);
}

static inline hash256 hash_end(hasher *h)
{
	hash256 out;
	crypto_generichash_final(&h->state, out.b, sizeof out.b);
	return out;
}

#endif
