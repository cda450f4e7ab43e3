/* module_load.h - finds and loads the program's own shared objects, lib/FILE, each of which alone knows a library that most servers
 * do without: fetch.so libcurl (fetch/fetch.h), tls.so OpenSSL (tls/tls.h). Never unloaded. */
#ifndef API_MODULE_LOAD_H
#define API_MODULE_LOAD_H

#include "core.h"

/* *entry: what `symbol` is; symbol NULL: it is only loaded. flag: who asks for it, for the error. */
int module_load(void **entry, const char *file, const char *symbol, const char *flag, sn_error *err);

#endif
