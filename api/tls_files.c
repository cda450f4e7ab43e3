#include "tls_files.h"

#include "fault.h"
#include "module_load.h"
#include "secret_file.h"

#define CERT "--ssl-certfile"
#define KEY "--ssl-keyfile"
#define MAX_BYTES (1u << 20)

static int load(const tls_table **out, sn_error *err)
{
	void *entry;
	int rc = module_load(NULL, "tls-crypto.so", NULL, CERT, err);
	if (rc == SN_OK)
		rc = module_load(&entry, "tls.so", TLS_SYMBOL, CERT, err);
	if (rc != SN_OK)
		return rc;
	const tls_table *table = (*(tls_table_fn **)&entry)();
	if (table->size != sizeof(tls_table))
		return fault_set(err, SN_ERR_INVALID, NULL, CERT ": lib/tls.so is of another version");
	*out = table;
	return SN_OK;
}

static int refuse(tls_rc rc, sn_error *err)
{
	static const char *const why[] = {
		[TLS_NO_CERTIFICATE] = CERT ": holds no certificate in PEM",
		[TLS_BAD_CHAIN] = CERT ": what follows the certificate is not its chain in PEM",
		[TLS_WEAK] = CERT ": a key or a signature in it is too weak",
		[TLS_EXPIRED] = CERT ": the certificate has expired",
		[TLS_NOT_YET] = CERT ": the certificate is not valid yet",
		[TLS_NO_KEY] = KEY ": holds no private key in PEM",
		[TLS_ENCRYPTED_KEY] = KEY ": the key needs a password, and nobody is asked for one",
		[TLS_MISMATCH] = KEY ": the key is not the certificate's",
		[TLS_NOMEM] = "no memory for TLS",
	};
	return fault_set(err, rc == TLS_NOMEM ? SN_ERR_NOMEM : SN_ERR_INVALID, NULL, "%s", why[rc]);
}

int tls_files_open(tls_files *out, const options *o, sn_error *err)
{
	char *cert = NULL, *key = NULL;
	size_t cert_size = 0, key_size = 0;
	if (!o->ssl_certfile && !o->ssl_keyfile)
		return SN_OK;
	if (!o->ssl_certfile || !o->ssl_keyfile)
		return fault_set(err, SN_ERR_INVALID, NULL, CERT " and " KEY " go together");
	int rc = public_file_read(&cert, &cert_size, o->ssl_certfile, MAX_BYTES, CERT, err);
	if (rc == SN_OK)
		rc = secret_file_read(&key, &key_size, o->ssl_keyfile, MAX_BYTES, KEY, err);
	if (rc == SN_OK)
		rc = load(&out->table, err);
	if (rc == SN_OK) {
		tls_rc opened = out->table->open(&out->tls, cert, cert_size, key, key_size);
		rc = opened == TLS_OK ? SN_OK : refuse(opened, err);
	}
	secret_file_free(&cert, cert_size);
	secret_file_free(&key, key_size);
	return rc;
}

void tls_files_close(tls_files *t)
{
	if (t->table)
		t->table->close(&t->tls);
}
