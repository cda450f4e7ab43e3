#include "tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20" /* TLS 1.3 has only such */
#define OUR_SYMBOL __attribute__((visibility("default")))

struct tls {
	SSL_CTX *ctx;
	int index; /* of a connection's handshake, as its begin() gave it */
	tls_hooks hooks;
};

/* ---- the certificate and its key ----------------------------------------------------------------------------- */

static BIO *bio_of(const char *text, size_t size)
{
	return size <= INT32_MAX ? BIO_new_mem_buf(text, (int)size) : NULL;
}

/* Nobody is asked for a password. */
static int no_password(char *buf, int size, int writing, void *asked)
{
	(void)buf, (void)size, (void)writing;
	*(int *)asked = 1;
	return -1;
}

static tls_rc check_time(const X509 *cert)
{
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
		return TLS_EXPIRED;
	return X509_cmp_current_time(X509_get0_notBefore(cert)) > 0 ? TLS_NOT_YET : TLS_OK;
}

/* The server's own certificate first, then those between it and a root. */
static tls_rc use_certificates(SSL_CTX *ctx, const char *text, size_t size)
{
	tls_rc rc = TLS_NO_CERTIFICATE;
	BIO *in = bio_of(text, size);
	X509 *cert = in ? PEM_read_bio_X509_AUX(in, NULL, NULL, NULL) : NULL;
	if (cert)
		rc = check_time(cert);
	if (rc == TLS_OK && SSL_CTX_use_certificate(ctx, cert) != 1)
		rc = TLS_WEAK;
	X509_free(cert);
	while (rc == TLS_OK && (cert = PEM_read_bio_X509(in, NULL, NULL, NULL)))
		if (SSL_CTX_add0_chain_cert(ctx, cert) != 1) {
			X509_free(cert);
			rc = TLS_WEAK;
		}
	if (rc == TLS_OK && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) /* which is how a PEM text ends */
		rc = TLS_BAD_CHAIN;
	ERR_clear_error();
	BIO_free(in);
	return rc;
}

static tls_rc use_key(SSL_CTX *ctx, const char *text, size_t size)
{
	tls_rc rc = TLS_OK;
	int asked = 0;
	BIO *in = bio_of(text, size);
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_password, &asked) : NULL;
	if (!key)
		rc = asked ? TLS_ENCRYPTED_KEY : TLS_NO_KEY;
	else if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		rc = TLS_MISMATCH;
	ERR_clear_error();
	EVP_PKEY_free(key);
	BIO_free(in);
	return rc;
}

/* ---- handshakes ---------------------------------------------------------------------------------------------- */

/* Runs when a connection is freed: one whose handshake never came to its end. */
static void forget(void *ssl, void *handshake, CRYPTO_EX_DATA *data, int index, long n, void *t)
{
	(void)ssl, (void)data, (void)index, (void)n;
	if (handshake)
		((const tls *)t)->hooks.end(handshake);
}

static void handshake_over(const tls *t, SSL *s)
{
	void *handshake = SSL_get_ex_data(s, t->index);
	SSL_set_ex_data(s, t->index, NULL);
	if (handshake)
		t->hooks.end(handshake);
}

/* In words that the client understands. What else it has sent is read, for a socket closed over unread bytes is a reset. */
static void refuse_plain_http(int fd)
{
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 41\r\n\r\n"
	                             "This port speaks HTTPS, not plain HTTP.\r\n";
	char sink[16384];
	while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) == sizeof sink)
		;
	(void)!send(fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* civetweb's: called again and again while the socket has no more to say. */
OUR_SYMBOL int SSL_accept(SSL *s)
{
	const tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(s));
	if (SSL_in_before(s)) {
		SSL_set_accept_state(s);
		if (t->hooks.begin && !SSL_get_ex_data(s, t->index))
			SSL_set_ex_data(s, t->index, t->hooks.begin(t->hooks.ctx, SSL_get_fd(s)));
	}
	int rc = SSL_do_handshake(s);
	if (rc == 1)
		handshake_over(t, s);
	else if (ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_SSL && ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST)
		refuse_plain_http(SSL_get_fd(s));
	return rc;
}

#undef SSL_get_peer_certificate
OUR_SYMBOL X509 *SSL_get_peer_certificate(const SSL *s);
OUR_SYMBOL X509 *SSL_get_peer_certificate(const SSL *s) { return SSL_get1_peer_certificate(s); }

/* ---- the table ----------------------------------------------------------------------------------------------- */

static void tls_close(tls **pt)
{
	tls *t = *pt;
	if (!t)
		return;
	if (t->index > 0)
		CRYPTO_free_ex_index(CRYPTO_EX_INDEX_SSL, t->index);
	SSL_CTX_free(t->ctx);
	free(t);
	*pt = NULL;
}

static tls_rc tls_open(tls **out, const char *certificate, size_t certificate_size, const char *key, size_t key_size)
{
	tls *t = calloc(1, sizeof *t);
	tls_rc rc = TLS_NOMEM;
	*out = NULL;
	if (t && (t->ctx = SSL_CTX_new(TLS_server_method())) && (t->index = SSL_get_ex_new_index(0, t, NULL, NULL, forget)) > 0 &&
	    SSL_CTX_set_app_data(t->ctx, t) == 1 && SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_set_cipher_list(t->ctx, CIPHERS_1_2) == 1)
		rc = TLS_OK;
	if (rc == TLS_OK) {
		SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
		SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
		SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF); /* tickets are kept by the clients */
		rc = use_certificates(t->ctx, certificate, certificate_size);
	}
	if (rc == TLS_OK)
		rc = use_key(t->ctx, key, key_size);
	if (rc == TLS_OK)
		*out = t;
	else
		tls_close(&t);
	return rc;
}

static void tls_watch(tls *t, const tls_hooks *hooks)
{
	t->hooks = *hooks;
}

static void *tls_context(tls *t)
{
	return t->ctx;
}

static const tls_table TABLE = {sizeof TABLE, tls_open, tls_watch, tls_context, tls_close};

const tls_table *tls_table_1(void) { return &TABLE; }
