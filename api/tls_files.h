/* tls_files.h - --ssl-certfile and --ssl-keyfile: read, checked and handed to lib/tls.so before anything else is opened, so that what
 * would not work ends the start with its reason. */
#ifndef API_TLS_FILES_H
#define API_TLS_FILES_H

#include "core.h"
#include "options.h"
#include "tls/tls.h"

typedef struct tls_files {
	const tls_table *table; /* NULL: no certificate was given */
	tls *tls;
} tls_files;

int tls_files_open(tls_files *out, const options *o, sn_error *err);
void tls_files_close(tls_files *t); /* after the server's */

#endif
