/* tls.h - the seam between the server and the one piece that knows OpenSSL: build/lib/tls.so, loaded only when the operator gives a
 * certificate (--ssl-certfile, --ssl-keyfile).
 *
 *   open(certificate, key)   the operator's PEM texts, checked: only what works is served
 *   context                  the SSL_CTX that civetweb accepts connections with
 *   watch(hooks)             who is told of each handshake while it lasts
 *   close
 *
 * Spoken are TLS 1.2 and 1.3 with forward secrecy and authenticated ciphers; no renegotiation, no compression, no client
 * certificates.
 *
 * tls.so stands between civetweb and OpenSSL. civetweb loads "libssl.so" and "libcrypto.so" by name when it serves TLS: names that
 * Debian has in its -dev packages only, and Debian 12's civetweb 1.15 asks them for SSL_get_peer_certificate, which OpenSSL 3 calls
 * SSL_get1_peer_certificate; it then calls a null pointer. So tls.so bears the SONAME libssl.so and tls-crypto.so libcrypto.so:
 * being loaded already they are what civetweb finds, with all of the OpenSSL that they are linked with behind them, the missing
 * name, and a SSL_accept of ours, because civetweb shows a connection to nobody before its handshake is over.
 *
 * This header is all that the two sides share; neither includes anything else of the other.
 */
#ifndef API_TLS_H
#define API_TLS_H

#include <stddef.h>
#include <stdint.h>

#define TLS_SYMBOL "tls_table_1"

typedef struct tls tls;

typedef enum tls_rc {
	TLS_OK,
	TLS_NO_CERTIFICATE, /* no certificate in PEM */
	TLS_BAD_CHAIN,      /* what follows it is no certificate */
	TLS_WEAK,           /* its key or signature is below what OpenSSL's security level asks */
	TLS_EXPIRED,
	TLS_NOT_YET,        /* valid from a later time on */
	TLS_NO_KEY,         /* no private key in PEM */
	TLS_ENCRYPTED_KEY,
	TLS_MISMATCH,       /* the key is another certificate's */
	TLS_NOMEM
} tls_rc;

typedef struct tls_hooks {
	void *ctx;
	void *(*begin)(void *ctx, int fd); /* a handshake on this socket; what it returns goes to end. Any thread */
	void (*end)(void *handshake);      /* it is over, well or not; the socket is still open. Not called for NULL */
} tls_hooks;

typedef struct tls_table {
	uint32_t size; /* sizeof(tls_table) */
	tls_rc (*open)(tls **out, const char *certificate, size_t certificate_size, const char *key, size_t key_size); /* one thread */
	void (*watch)(tls *t, const tls_hooks *hooks); /* before the first connection */
	void *(*context)(tls *t); /* borrowed until close */
	void (*close)(tls **t);   /* after the last connection */
} tls_table;

typedef const tls_table *tls_table_fn(void);
__attribute__((visibility("default"))) const tls_table *tls_table_1(void);

#endif
